from __future__ import annotations

import time

import pytest

from aiodatapipeline.definition import Definition, DefinitionError
from aiodatapipeline.definition._drawing import Drawing
from tests.definition.drawing.drawn import EVERY_KIND, STATUSES

DEFINITION = Definition.from_mapping(EVERY_KIND)


def test_a_drawing_has_three_forms_of_the_same() -> None:
    drawing = Drawing(DEFINITION)

    assert drawing.mermaid().startswith("flowchart LR\n  accTitle: Pipeline definition\n")
    assert drawing.dot().startswith('digraph "Pipeline definition" {\n')
    assert drawing.svg().startswith('<svg xmlns="http://www.w3.org/2000/svg" ')
    for text in (drawing.mermaid(), drawing.dot(), drawing.svg()):
        assert "load the orders" in text
        assert text.endswith("\n")


def test_statuses_and_a_title_are_in_all_of_them() -> None:
    drawing = Drawing(DEFINITION, statuses=STATUSES, title="The\norders")

    for text in (drawing.mermaid(), drawing.dot(), drawing.svg()):
        assert "The orders" in text
        assert "RUNNING" in text


def test_the_same_definition_gives_the_same_drawing() -> None:
    one, other = (Drawing(DEFINITION, statuses=STATUSES) for _ in range(2))

    assert (one.mermaid(), one.dot(), one.svg()) == (other.mermaid(), other.dot(), other.svg())


def test_too_large_a_definition_is_refused_by_name() -> None:
    objects = [{"id": str(number)} for number in range(1_001)]
    definition = Definition.from_mapping({"objects": objects})

    with pytest.raises(DefinitionError, match="no more than 1,000 objects"):
        Drawing(definition)


def test_the_largest_graph_is_drawn_in_time() -> None:
    # Each object waits for ten others, near and far: as many lines as there may be.
    objects = [
        {"id": str(number), "type": "CopyActivity",
         "dependsOn": [{"ref": str(number * 7 * step % 1_000)} for step in range(1, 11)]}
        for number in range(1_000)
    ]  # fmt: skip
    definition = Definition.from_mapping({"objects": objects})

    start = time.thread_time()
    text = Drawing(definition).svg()

    assert time.thread_time() - start < 20
    assert text.count('class="head"') > 9_000
