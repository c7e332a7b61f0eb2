"""A graph in DOT, the language of Graphviz. Source: The DOT Language, graphviz.org."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aiodatapipeline.definition._drawing._graph import Edge, Flow, Graph, Node, Role, Stage
from aiodatapipeline.definition._drawing._palette import LIGHT, Paint, paint

_SHAPES = {
    Role.ACTIVITY: "box",
    Role.DATA: "cylinder",
    Role.RESOURCE: "box3d",
    Role.PRECONDITION: "hexagon",
    Role.SCHEDULE: "oval",
    Role.ACTION: "cds",
    Role.DATABASE: "cylinder",
    Role.OTHER: "note",
    Role.MISSING: "box",
}
_STYLES = {
    Flow.CONDITION: "dashed",
    Flow.RESOURCE: "dotted",
    Flow.SCHEDULE: "dotted",
    Flow.ACTION: "dashed",
    Flow.OTHER: "dashed",
}


def draw_dot(graph: Graph, title: str) -> str:
    """Write the boxes and lines of a graph.

    Args:
        graph: Its texts are printable.
        title: What to call it; printable too.
    """
    return "".join(f"{line}\n" for line in _lines(graph, title))


def _lines(graph: Graph, title: str) -> Iterator[str]:
    statuses = graph.statuses()
    yield f"digraph {_quoted(title)} {{"
    yield '  graph [rankdir=LR, fontname="Helvetica,Arial,sans-serif"];'
    yield '  node [fontname="Helvetica,Arial,sans-serif", fontsize=11];'
    yield '  edge [fontname="Helvetica,Arial,sans-serif", fontsize=9];'
    for number, node in enumerate(graph.nodes):
        yield f"  n{number} {_node(node, paint(node, by_stage=bool(statuses)))};"
    for edge in graph.edges:
        yield f"  n{edge.source} -> n{edge.target} {_edge(edge)};"
    if statuses:
        yield from _legend(statuses)
    yield "}"


def _node(node: Node, colours: Paint) -> str:
    style = "filled,dashed" if node.role is Role.MISSING else "filled"
    return _attributes(
        {
            "label": "\\n".join(map(_escaped, node.lines())),
            "tooltip": _escaped(node.id),
            "shape": _SHAPES[node.role],
            "style": "filled,rounded" if node.role is Role.ACTIVITY else style,
            "fillcolor": colours.fill,
            "color": colours.edge,
        }
    )


def _edge(edge: Edge) -> str:
    colour = LIGHT.flows[edge.flow]
    style = _STYLES.get(edge.flow, "solid")
    return _attributes({"label": _escaped(edge.field), "color": colour, "style": style})


def _legend(statuses: Mapping[Stage, list[str]]) -> Iterator[str]:
    yield "  subgraph cluster_legend {"
    yield '    label="statuses"; style=dashed;'
    for stage, words in statuses.items():
        colours = LIGHT.stages[stage]
        shown = {
            "label": "\\n".join(map(_escaped, words)),
            "shape": "box",
            "style": "filled,rounded",
        }
        looks = _attributes(shown | {"fillcolor": colours.fill, "color": colours.edge})
        yield f"    legend_{stage} {looks};"
    yield "  }"


def _attributes(values: Mapping[str, str]) -> str:
    """Write attributes. The values are escaped already, for a label may have line breaks."""
    written = ", ".join(f'{key}="{value}"' for key, value in values.items())
    return f"[{written}]"


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    r"""Make a text safe within double quotes, where ``\N`` and ``&lt;`` have meanings too."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
