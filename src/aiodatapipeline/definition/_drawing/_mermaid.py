"""A graph as a Mermaid flowchart. Source: Flowcharts Syntax, mermaid.js.org."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aiodatapipeline.definition._drawing._graph import Flow, Graph, Role
from aiodatapipeline.definition._drawing._palette import LIGHT, Paint, paint

_SHAPES = {
    Role.ACTIVITY: ("(", ")"),
    Role.DATA: ("[(", ")]"),
    Role.RESOURCE: ("[[", "]]"),
    Role.PRECONDITION: ("{{", "}}"),
    Role.SCHEDULE: ("([", "])"),
    Role.ACTION: (">", "]"),
    Role.DATABASE: ("[(", ")]"),
    Role.OTHER: ("[", "]"),
    Role.MISSING: ("[", "]"),
}
# Between quotes Mermaid still reads quotes, entities, HTML and Markdown: only letters, digits
# and spaces are written as they are.
_ESCAPED = re.compile(r"[^\w ]|_")
# These it reads even when they come from entities: names of icons, mathematics, line breaks
# and what it marks entities with on their way. What nobody sees keeps their halves apart.
_READ_LATE = re.compile(r"(?<=:)(?=fa-)|(?<=\$)(?=\$)|(?<=\\)(?=n)|(?<=\ufb02)(?=°)|(?<=¶)(?=ß)")
_APART = "\N{WORD JOINER}"


def draw_mermaid(graph: Graph, title: str) -> str:
    """Write the boxes and lines of a graph.

    Args:
        graph: Its texts are printable.
        title: What screen readers are told that it is; printable too.
    """
    return "".join(f"{line}\n" for line in _lines(graph, title))


def _lines(graph: Graph, title: str) -> Iterator[str]:
    statuses = graph.statuses()
    yield "flowchart LR"
    if title:
        yield f"  accTitle: {_escaped(title)}"
    for number, node in enumerate(graph.nodes):
        opening, closing = _SHAPES[node.role]
        yield f"  n{number}{opening}{_quoted(node.lines())}{closing}"
    for edge in graph.edges:
        arrow = "-->" if edge.flow in {Flow.DATA, Flow.ORDER} else "-.->"
        yield f"  n{edge.source} {arrow}|{_quoted([edge.field])}| n{edge.target}"
    if statuses:
        yield '  subgraph legend ["statuses"]'
        for stage, words in statuses.items():
            yield f"    legend_{stage}({_quoted(words)}):::stage_{stage}"
        yield "  end"
    yield from _classes(graph, by_stage=bool(statuses))


def _classes(graph: Graph, *, by_stage: bool) -> Iterator[str]:
    """Give the boxes their colours."""
    members: dict[str, list[str]] = {}
    colours: dict[str, Paint] = {}
    for number, node in enumerate(graph.nodes):
        name = f"stage_{node.stage or 'none'}" if by_stage else f"role_{node.role}"
        members.setdefault(name, []).append(f"n{number}")
        colours[name] = paint(node, by_stage=by_stage)
    for name, numbers in members.items():
        fill, edge = colours[name].fill, colours[name].edge
        yield f"  classDef {name} fill:{fill},stroke:{edge},color:{LIGHT.ink}"
        yield f"  class {','.join(numbers)} {name}"


def _quoted(lines: Iterable[str]) -> str:
    return f'"{"<br/>".join(map(_escaped, lines))}"'


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"#{ord(found[0])};", _READ_LATE.sub(_APART, text))
