from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition._drawing._dot import draw_dot
from aiodatapipeline.definition._drawing._graph import Graph, printable
from tests.definition.drawing.drawn import STATUSES, any_graphs, graph
from tests.definition.strategies import texts

# The language, as far as it is used. Source: The DOT Language, graphviz.org.
TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|->|[{}\[\];,=]|\w+)')


@dataclass
class Parsed:
    name: str = ""
    nodes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    edges: list[tuple[str, str, dict[str, str]]] = field(
        default_factory=list[tuple[str, str, dict[str, str]]]
    )


def tokens(text: str) -> Iterator[str]:
    at = 0
    while text[at:].strip():
        found = TOKEN.match(text, at)
        assert found, text[at : at + 40]
        yield found[1]
        at = found.end()


class Parser:
    """Reads a graph, and fails where it is not one."""

    def __init__(self, text: str) -> None:
        self._tokens = [*tokens(text), ""]
        self.parsed = Parsed()
        self._take("digraph")
        self.parsed.name = self._text()
        self._statements()
        assert self._tokens == [""]

    def _take(self, wanted: str) -> None:
        assert self._tokens.pop(0) == wanted

    def _text(self) -> str:
        token = self._tokens.pop(0)
        assert token[0] == token[-1] == '"' != token
        return token[1:-1]

    def _statements(self) -> None:
        self._take("{")
        while self._tokens[0] != "}":
            self._statement()
        self._take("}")

    def _statement(self) -> None:
        first = self._tokens.pop(0)
        assert re.fullmatch(r"\w+", first)
        if first == "subgraph":
            assert self._tokens.pop(0) == "cluster_legend"
            self._statements()
            return
        if self._tokens[0] == "=":
            self._take("=")
            self._tokens.pop(0)
        elif self._tokens[0] == "->":
            self._take("->")
            self.parsed.edges.append((first, self._tokens.pop(0), self._attributes()))
        else:
            self.parsed.nodes[first] = self._attributes()
        self._take(";")

    def _attributes(self) -> dict[str, str]:
        self._take("[")
        found: dict[str, str] = {}
        while True:
            key = self._tokens.pop(0)
            self._take("=")
            found[key] = (
                self._tokens.pop(0).strip('"') if self._tokens[0][0] != '"' else self._text()
            )
            if self._tokens[0] == "]":
                self._take("]")
                return found
            self._take(",")


def read(text: str) -> str:
    """Give what a label shows, with a line break for each that it has."""
    shown = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
    return shown.replace("&amp;", "&")


def shown(drawn: Graph) -> list[str]:
    return ["\n".join(node.lines()) for node in drawn.nodes]


def test_every_kind_of_box_and_line_is_written() -> None:
    drawn = graph()

    parsed = Parser(draw_dot(drawn, "Orders")).parsed

    nodes = {name: found for name, found in parsed.nodes.items() if name.startswith("n")}
    assert parsed.name == "Orders"
    assert {nodes[f"n{number}"]["label"] for number in range(2)} == {
        r"load the orders\nCopyActivity", r"Orders\nS3DataNode"
    }  # fmt: skip
    assert {found.get("shape") for found in nodes.values()} >= {
        "box", "cylinder", "box3d", "hexagon", "oval", "cds", "note"
    }  # fmt: skip
    assert {edge[2]["style"] for edge in parsed.edges} == {"solid", "dashed", "dotted"}
    assert ("n1", "n0", "input") in {(one, two, how["label"]) for one, two, how in parsed.edges}
    assert "legend" not in draw_dot(drawn, "Orders")


def test_statuses_colour_the_boxes_and_the_legend() -> None:
    parsed = Parser(draw_dot(graph(statuses=STATUSES), "Orders")).parsed

    assert parsed.nodes["n0"]["label"] == r"load the orders\nCopyActivity\nRUNNING"
    assert parsed.nodes["n0"]["fillcolor"] == parsed.nodes["legend_running"]["fillcolor"]
    assert parsed.nodes["legend_waiting"]["label"] == "WAITING_ON_DEPENDENCIES"
    assert {name for name in parsed.nodes if name.startswith("legend_")} == {
        "legend_waiting", "legend_running", "legend_finished", "legend_failed",
        "legend_stopped", "legend_other",
    }  # fmt: skip


def test_names_that_mean_something_in_dot_are_only_texts() -> None:
    objects = [
        {"id": r'"]; evil [label="x\N'},
        {"id": "<b>bold</b>"},
        {"id": "&lt;"},
        {"id": "ends with \\"},
    ]

    drawn = graph({"objects": [each | {"type": "CSV"} for each in objects]})
    parsed = Parser(draw_dot(drawn, '"}')).parsed

    labels = [read(parsed.nodes[f"n{number}"]["label"]) for number in range(4)]
    assert labels == [f"{each['id']}\nCSV" for each in objects]
    assert read(parsed.name) == '"}'


@given(any_graphs(), texts)
def test_no_text_breaks_out(drawn: Graph, title: str) -> None:
    parsed = Parser(draw_dot(drawn, printable(title))).parsed

    labels = [read(parsed.nodes[f"n{number}"]["label"]) for number in range(len(drawn.nodes))]
    assert labels == shown(drawn)
    assert [(one, two, read(how["label"])) for one, two, how in parsed.edges] == [
        (f"n{edge.source}", f"n{edge.target}", edge.field) for edge in drawn.edges
    ]
    assert read(parsed.name) == printable(title)
    assert {name for name in parsed.nodes if name.startswith("legend_")} == {
        f"legend_{stage}" for stage in drawn.statuses()
    }


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed")
def test_graphviz_reads_the_same() -> None:
    ids = ["plain", r"\N\l\"", '"];x', "&amp;&lt;", "<table>", "日本語", "a\\", "{|}"]
    after = {"type": "CSV", "dependsOn": {"ref": "plain"}}
    drawn = graph({"objects": [{"id": each, **after} for each in ids]})

    done = subprocess.run(
        ["dot", "-Tjson0"],
        input=draw_dot(drawn, "title").encode(),
        capture_output=True,
        check=True,
        timeout=30,
    )

    parsed = json.loads(done.stdout)
    assert done.stderr == b""
    assert [read(node["label"]) for node in parsed["objects"]] == shown(drawn)
    assert len(parsed["edges"]) == len(drawn.edges)


@given(st.text('"\\\n&;[]{}<>', max_size=8))
def test_what_ends_a_text_in_dot_never_does(name: str) -> None:
    drawn = graph({"objects": [{"id": f"A{name}", "type": "CSV"}]})

    parsed = Parser(draw_dot(drawn, "")).parsed

    assert read(parsed.nodes["n0"]["label"]) == shown(drawn)[0]
