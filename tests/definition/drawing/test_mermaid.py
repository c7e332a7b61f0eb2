from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition._drawing._graph import Graph, printable
from aiodatapipeline.definition._drawing._mermaid import draw_mermaid
from tests.definition.drawing.drawn import STATUSES, any_graphs, graph
from tests.definition.strategies import texts

# Letters, digits, spaces and entities: between quotes, nothing of it has another meaning.
# Source: Flowcharts Syntax, "Special characters that break syntax", mermaid.js.org.
SAFE = r"(?:[^\W_]| |#\d+;)*"
QUOTED = rf'"({SAFE}(?:<br/>{SAFE})*)"'
# The brackets decide the shape.
BRACKETS = [pair.split() for pair in ["( )", "[( )]", "[[ ]]", "{{ }}", "([ ])", "> ]", "[ ]"]]
NODE = re.compile(
    "  (n[0-9]+)(?:"
    + "|".join(rf"{re.escape(one)}{QUOTED}{re.escape(other)}" for one, other in BRACKETS)
    + ")"
)
EDGE = re.compile(rf"  (n[0-9]+) (-->|-\.->)\|{QUOTED}\| (n[0-9]+)")
REST = re.compile(
    rf"flowchart LR|  accTitle: {SAFE}|"
    r'  subgraph legend \["statuses"\]|'
    rf"    legend_[a-z]+\({QUOTED}\):::stage_[a-z]+|  end|"
    r"  classDef (?:role|stage)_[a-z]+ fill:#[0-9a-f]{6},stroke:#[0-9a-f]{6},color:#[0-9a-f]{6}|"
    r"  class n[0-9]+(?:,n[0-9]+)* (?:role|stage)_[a-z]+"
)
WORD_JOINER = "\u2060"


def read(text: str) -> str:
    """Give what a label shows: entities as their characters, line by line."""
    shown = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text.replace("<br/>", "\n"))
    return shown.replace(WORD_JOINER, "")


def parsed(text: str) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Give the labels of the boxes, and the lines; fail if there is anything else."""
    nodes: dict[str, str] = {}
    edges: list[tuple[str, str, str]] = []
    for line in text.removesuffix("\n").split("\n"):
        if node := NODE.fullmatch(line):
            nodes[node[1]] = read(next(each for each in node.groups()[1:] if each is not None))
        elif edge := EDGE.fullmatch(line):
            edges.append((edge[1], read(edge[3]), edge[4]))
        else:
            assert REST.fullmatch(line), line
    return nodes, edges


def test_every_kind_of_box_and_line_is_written() -> None:
    text = draw_mermaid(graph(), "Orders")

    nodes, edges = parsed(text)
    assert nodes["n0"] == "load the orders\nCopyActivity"
    assert ("n1", "input", "n0") in edges
    assert "  accTitle: Orders\n" in text
    for opening, closing in BRACKETS:
        assert re.search(rf'n[0-9]+{re.escape(opening)}"[^"]*"{re.escape(closing)}\n', text)
    assert "legend" not in text


def test_without_a_title_there_is_none() -> None:
    assert "accTitle" not in draw_mermaid(graph(), "")


def test_each_box_has_the_colours_of_its_class() -> None:
    text = draw_mermaid(graph(), "Orders")

    defined = set(re.findall(r"classDef (\w+) ", text))
    used = dict(re.findall(r"class ([n0-9,]+) (\w+)", text))
    assert set(used.values()) == defined
    assert sorted(",".join(used).split(",")) == sorted(parsed(text)[0])
    assert used["n0"] == "role_activity"


def test_statuses_colour_the_boxes_and_the_legend() -> None:
    text = draw_mermaid(graph(statuses=STATUSES), "Orders")

    nodes, _ = parsed(text)
    assert nodes["n0"] == "load the orders\nCopyActivity\nRUNNING"
    assert "  class n0 stage_running\n" in text
    assert '    legend_waiting("WAITING#95;ON#95;DEPENDENCIES"):::stage_waiting\n' in text
    assert "classDef stage_none " in text


@pytest.mark.parametrize(
    ("name", "kept_apart"),
    [
        ("fa:fa-car", "fa:|fa-car"),
        ("$$x$$", "$|$x$|$"),
        ("C:\\new", "C:\\|new"),
        ("\ufb02°°60¶ß", "\ufb02|°°60¶|ß"),
        ("1. **b** `c` #35; <i>&lt;", "1. **b** `c` #35; <i>&lt;"),
    ],
)
def test_what_mermaid_reads_late_is_kept_apart(name: str, kept_apart: str) -> None:
    text = draw_mermaid(graph({"objects": [{"id": name, "type": "CSV"}]}), "")

    (label,) = re.findall(r'n0\["(.*)<br/>CSV"\]', text)
    shown = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label)
    assert shown.replace(WORD_JOINER, "|") == kept_apart


@given(any_graphs(), texts)
def test_no_text_breaks_out(drawn: Graph, title: str) -> None:
    nodes, edges = parsed(draw_mermaid(drawn, printable(title)))

    def shown(text: str) -> str:
        return text.replace(WORD_JOINER, "")

    assert [nodes[f"n{number}"] for number in range(len(drawn.nodes))] == [
        shown("\n".join(node.lines())) for node in drawn.nodes
    ]
    assert edges == [
        (f"n{edge.source}", shown(edge.field), f"n{edge.target}") for edge in drawn.edges
    ]


@given(st.text('"#;<>&`|[](){}%:-_*~$\\', max_size=8))
def test_what_means_something_in_mermaid_is_only_a_text(name: str) -> None:
    nodes, _ = parsed(draw_mermaid(graph({"objects": [{"id": f"A{name}", "type": "CSV"}]}), name))

    assert nodes == {"n0": f"A{name}\nCSV"}
