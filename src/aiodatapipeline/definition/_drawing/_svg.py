"""A graph as an SVG image that needs no other program, no font and no script.

A box has its name and type on top; below them stand the fields that lines come from or go
to, at the ends of those lines. It is light or dark as the reader's system is.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import zip_longest
from typing import TypeAlias

from aiodatapipeline.definition._drawing._graph import Edge, Flow, Graph, Node, Role, Stage
from aiodatapipeline.definition._drawing._layout import (
    TURN,
    Box,
    Layout,
    Line,
    Place,
    Point,
    lay_out,
)
from aiodatapipeline.definition._drawing._palette import DARK, DASHES, LIGHT, Ground

# Pixels. Baselines are counted from the upper edge of a box or of the legend.
_NAME_SIZE, _NAME_BASE = 13.0, 20.0
_SMALL_SIZE, _TYPE_BASE, _STATUS_BASE = 11.0, 35.0, 51.0
_HEAD, _HEAD_WITH_STATUS = 44.0, 60.0
_ANCHOR = 22.0
_ROW, _ROW_BASE = 16.0, 12.0
_FOOT = 6.0
_LID, _BULGE = 5.0, 4.0
_PAD = 14.0
_NARROWEST = 110.0
_MARGIN = 24.0
_ARROW = 7.0
_LEGEND_ROW, _LEGEND_BASE, _LEGEND_GAP = 24.0, 13.0, 22.0
_SAMPLE, _SAMPLE_HEIGHT = 26.0, 18.0
_TEXT_GAP = 8.0
_LEAST_WIDTH = 420.0
# So many fields or statuses are named for one kind of line or colour.
_MOST_LISTED = 4

# Widths in em, on the wide side: those of DejaVu Sans and Verdana, which hardly any font
# that a browser takes for sans-serif exceeds. What is not listed has the default.
_WIDTHS = {
    **dict.fromkeys("iIjl.,:;|'!", 0.42),
    **dict.fromkeys("frt()[]/\\- ", 0.48),
    **dict.fromkeys("mwMW@%", 1.05),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", 0.8),
}
_LETTER_WIDTH, _WIDE_WIDTH = 0.68, 1.1
# What is bold is so much wider.
_BOLD = 1.08


def draw_svg(graph: Graph, title: str) -> str:
    """Draw the boxes and lines of a graph.

    Args:
        graph: Its texts are printable.
        title: What to call the image; printable too.
    """
    return "\n".join(_Image(graph, title).lines()) + "\n"


@dataclass(frozen=True)
class _Card:
    """What stands in a box, and the box's size."""

    node: Node
    left: dict[str, int]
    """The rows of fields whose lines come in."""
    right: dict[str, int]
    """The rows of fields whose lines go out."""

    @cached_property
    def top(self) -> float:
        return _LID if self.node.role in {Role.DATA, Role.DATABASE} else 0.0

    @cached_property
    def head(self) -> float:
        return self.top + (_HEAD_WITH_STATUS if self.node.status else _HEAD)

    @cached_property
    def rows(self) -> int:
        return max(len(self.left), len(self.right))

    @cached_property
    def box(self) -> Box:
        rows = self.rows + len(self.node.notes)
        height = self.head + rows * _ROW + (_FOOT if rows else 0.0)
        return Box(max(_NARROWEST, *self._widths()) + 2 * _PAD, height)

    def _widths(self) -> Iterator[float]:
        yield _width(self.node.label, _NAME_SIZE) * _BOLD
        yield _width(self.node.type, _SMALL_SIZE)
        yield _width(self.node.status, _SMALL_SIZE) * _BOLD
        for both in zip_longest(self.left, self.right, fillvalue=""):
            yield _width("".join(both), _SMALL_SIZE) + _PAD * all(both)
        for field, to in self.node.notes:
            yield _width(f"{field}: {to}", _SMALL_SIZE)

    def leaves(self, edge: Edge) -> float:
        return self._port(self.right, edge.field) if edge.outward else self.top + _ANCHOR

    def enters(self, edge: Edge) -> float:
        return self.top + _ANCHOR if edge.outward else self._port(self.left, edge.field)

    def _port(self, rows: dict[str, int], field: str) -> float:
        return self.head + (rows[field] + 0.5) * _ROW


def _cards(graph: Graph) -> tuple[_Card, ...]:
    cards = tuple(_Card(node, {}, {}) for node in graph.nodes)
    for edge in graph.edges:
        rows = cards[edge.source].right if edge.outward else cards[edge.target].left
        rows.setdefault(edge.field, len(rows))
    return cards


def _lines(graph: Graph, cards: Sequence[_Card]) -> list[Line]:
    """Give the lines between the cards, in bundles of those that begin or end together."""
    begin = [
        f"from {each.source}, {each.flow}, {each.outward and each.field}" for each in graph.edges
    ]
    end = [
        f"to {each.target}, {each.flow}, {not each.outward and each.field}" for each in graph.edges
    ]
    sizes = Counter((*begin, *end))
    return [
        Line(
            edge.source,
            edge.target,
            cards[edge.source].leaves(edge),
            cards[edge.target].enters(edge),
            bundle=max(bundles, key=lambda bundle: sizes[bundle]),
        )
        for edge, bundles in zip(graph.edges, zip(begin, end, strict=True), strict=True)
    ]


class _Image:
    def __init__(self, graph: Graph, title: str) -> None:
        self._graph, self._title = graph, title
        self._cards = _cards(graph)
        self._layout: Layout = lay_out(
            [card.box for card in self._cards], _lines(graph, self._cards)
        )
        self._width = max(_LEAST_WIDTH, self._layout.width) + 2 * _MARGIN
        self._coloured = bool(graph.statuses())

    def lines(self) -> Iterator[str]:
        legend = list(self._legend())
        top = self._layout.height + 2 * _MARGIN
        rows = 1 + max((row for row, _, _ in legend), default=-1)
        height = top + (rows * _LEGEND_ROW + _MARGIN / 2 if rows else 0.0)
        size = f'width="{_n(self._width)}" height="{_n(height)}"'
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="dp-drawing" role="img" {size} '
            f'viewBox="0 0 {_n(self._width)} {_n(height)}">'
        )
        yield f"<title>{escape(self._title)}</title>"
        yield f"<desc>{escape(_description(self._graph))}</desc>"
        yield f"<style>{_style()}</style>"
        yield f'<rect class="paper" {size}/>'
        yield f'<g transform="translate({_n(_MARGIN)} {_n(_MARGIN)})">'
        for edge, route in zip(self._graph.edges, self._layout.routes, strict=True):
            yield self._line(edge, route)
        for card, place in zip(self._cards, self._layout.places, strict=True):
            yield from self._box(card, place)
        yield "</g>"
        if legend:
            yield f'<g transform="translate({_n(_MARGIN)} {_n(top)})">'
            for row, x, drawn in legend:
                yield f'<g transform="translate({_n(x)} {_n(row * _LEGEND_ROW)})">{drawn}</g>'
            yield "</g>"
        yield "</svg>"

    def _line(self, edge: Edge, route: Sequence[Point]) -> str:
        ends = (edge.source, edge.target) if edge.outward else (edge.target, edge.source)
        owner, other = (self._graph.nodes[end].id for end in ends)
        title = f"{owner}, {edge.field}: {other}"
        x, y = route[-1]
        head = f"M{_n(x)} {_n(y)}l{_n(-_ARROW)} {_n(-_ARROW / 2)}v{_n(_ARROW)}z"
        return (
            f'<g class="f-{edge.flow}"><title>{escape(title)}</title>'
            f'<path class="line" d="{_way(route)}"/><path class="head" d="{head}"/></g>'
        )

    def _box(self, card: _Card, place: Place) -> Iterator[str]:
        node, width, height = card.node, place.width, card.box.height
        words = [node.id, *([node.label] if node.label != node.id else []), node.type]
        title = ", ".join(word for word in (*words, node.status) if word)
        classes, at = self._class(node.role, node.stage), f"{_n(place.x)} {_n(place.y)}"
        yield f'<g class="{classes}" transform="translate({at})">'
        yield f"<title>{escape(title)}</title>"
        yield f'<path class="box" d="{_SHAPES[node.role](width, height)}"/>'
        if card.box.height > card.head:
            yield f'<path class="rule" d="M{_n(_PAD)} {_n(card.head)}H{_n(width - _PAD)}"/>'
        # An image within the image cuts off what a font might make wider than expected.
        yield f'<svg width="{_n(width)}" height="{_n(height)}">'
        yield _text(_PAD, card.top + _NAME_BASE, node.label, "name")
        yield _text(_PAD, card.top + _TYPE_BASE, node.type, "type")
        if node.status:
            yield _text(_PAD, card.top + _STATUS_BASE, node.status, "status")
        for field, row in card.left.items():
            yield _text(_PAD, card.head + row * _ROW + _ROW_BASE, field)
        for field, row in card.right.items():
            yield _text(width - _PAD, card.head + row * _ROW + _ROW_BASE, field, "right")
        for row, (field, to) in enumerate(node.notes, start=card.rows):
            y = card.head + row * _ROW + _ROW_BASE
            yield _text(_PAD, y, f"{field}: {to}", "note")
        yield "</svg></g>"

    def _legend(self) -> Iterator[tuple[int, float, str]]:
        """Give the row, the place in it and the drawing of each entry."""
        row = 0
        for entries in (self._statuses(), self._shapes(), self._flows()):
            x = 0.0
            for sample, words in entries:
                width = _SAMPLE + _TEXT_GAP + _width(words, _SMALL_SIZE)
                if x and x + width > self._width - 2 * _MARGIN:
                    row, x = row + 1, 0.0
                yield row, x, sample + _text(_SAMPLE + _TEXT_GAP, _LEGEND_BASE, words)
                x += width + _LEGEND_GAP
            row += bool(x)

    def _statuses(self) -> Iterator[tuple[str, str]]:
        for stage, words in self._graph.statuses().items():
            yield _sample(_rounded(_SAMPLE, _SAMPLE_HEIGHT), f"s-{stage}"), _listed(words)

    def _shapes(self) -> Iterator[tuple[str, str]]:
        for role in Role:
            if any(node.role is role for node in self._graph.nodes):
                shape = _SHAPES[role](_SAMPLE, _SAMPLE_HEIGHT)
                yield _sample(shape, self._class(role, None)), role

    def _flows(self) -> Iterator[tuple[str, str]]:
        for flow in Flow:
            fields = {edge.field for edge in self._graph.edges if edge.flow is flow}
            if fields:
                line = f'<path class="line" d="M0 {_n(_SAMPLE_HEIGHT / 2)}h{_n(_SAMPLE)}"/>'
                yield f'<g class="f-{flow}">{line}</g>', _listed(fields)

    def _class(self, role: Role, stage: Stage | None) -> str:
        colour = f"s-{stage or 'none'}" if self._coloured else f"r-{role}"
        return f"{colour} missing" if role is Role.MISSING else colour


def _sample(shape: str, classes: str) -> str:
    return f'<g class="{classes}"><path class="box" d="{shape}"/></g>'


def _listed(words: Iterable[str]) -> str:
    """Name some of them."""
    first, rest = sorted(words)[:_MOST_LISTED], sorted(words)[_MOST_LISTED:]
    return ", ".join([*first, *([f"{len(rest)} more"] if rest else [])])


def _text(x: float, y: float, text: str, style: str = "") -> str:
    written = f' class="{style}"' if style else ""
    return f'<text x="{_n(x)}" y="{_n(y)}"{written}>{escape(text)}</text>'


def _width(text: str, size: float) -> float:
    """Guess how wide a text gets, rather too wide than too narrow."""
    return size * sum(
        _WIDE_WIDTH
        if unicodedata.east_asian_width(each) in "WF"
        else _WIDTHS.get(each, _LETTER_WIDTH)
        for each in text
    )


def _n(number: float) -> str:
    """Write a number in pixels; a tenth of one is exact enough."""
    return f"{number:.1f}".removesuffix(".0")


def _way(route: Sequence[Point]) -> str:
    """Give the path of a line: bent in the channels, straight where it passes a column."""
    x, y = route[0]
    steps = [f"M{_n(x)} {_n(y)}"]
    for number, (to_x, to_y) in enumerate(route[1:]):
        if number % 2:
            steps.append(f"H{_n(to_x)}")
        else:
            bend = (x + to_x) / 2
            if x == to_x:  # a line that goes back turns right of its first box, left of its last
                bend += -TURN if number else TURN
            steps.append(f"C{_n(bend)} {_n(y)} {_n(bend)} {_n(to_y)} {_n(to_x)} {_n(to_y)}")
        x, y = to_x, to_y
    return "".join(steps)


def _rounded(width: float, height: float, radius: float = 7.0) -> str:
    r = min(radius, height / 2)
    across, down = _n(width - 2 * r), _n(height - 2 * r)
    return (
        f"M{_n(r)} 0h{across}a{r} {r} 0 0 1 {r} {r}v{down}a{r} {r} 0 0 1 {-r} {r}"
        f"h-{across}a{r} {r} 0 0 1 {-r} {-r}v-{down}a{r} {r} 0 0 1 {r} {-r}z"
    )


def _stadium(width: float, height: float) -> str:
    return _rounded(width, height, 18.0)


def _cylinder(width: float, height: float) -> str:
    """A drum seen from the side: how data is drawn since it was kept on drums."""
    half, bulge = _n(width / 2), _n(_BULGE)
    return (
        f"M0 {bulge}a{half} {bulge} 0 0 1 {_n(width)} 0v{_n(height - 2 * _BULGE)}"
        f"a{half} {bulge} 0 0 1 {_n(-width)} 0zm0 0a{half} {bulge} 0 0 0 {_n(width)} 0"
    )


def _octagon(width: float, height: float) -> str:
    cut = min(8.0, height / 3)
    across, down = _n(width - 2 * cut), _n(height - 2 * cut)
    c = _n(cut)
    return f"M{c} 0h{across}l{c} {c}v{down}l-{c} {c}h-{across}l-{c} -{c}v-{down}z"


def _gate(width: float, height: float) -> str:
    """Two corners cut off: what comes next has to pass it."""
    cut = min(12.0, height / 2)
    c = _n(cut)
    return f"M0 0h{_n(width - cut)}l{c} {c}v{_n(height - 2 * cut)}l-{c} {c}H0z"


def _framed(width: float, height: float) -> str:
    bar = 5
    return f"M0 0h{_n(width)}v{_n(height)}H0zM{bar} 0v{_n(height)}M{_n(width - bar)} 0v{_n(height)}"


def _sheet(width: float, height: float) -> str:
    return f"M0 0h{_n(width - 8)}l8 8v{_n(height - 8)}H0zM{_n(width - 8)} 0v8h8"


def _plain(width: float, height: float) -> str:
    return f"M0 0h{_n(width)}v{_n(height)}H0z"


_SHAPES: dict[Role, Callable[[float, float], str]] = {
    Role.ACTIVITY: _rounded,
    Role.DATA: _cylinder,
    Role.RESOURCE: _octagon,
    Role.PRECONDITION: _gate,
    Role.SCHEDULE: _stadium,
    Role.ACTION: _framed,
    Role.DATABASE: _cylinder,
    Role.OTHER: _sheet,
    Role.MISSING: _plain,
}


def _description(graph: Graph) -> str:
    """Say in words how much of what there is."""
    boxes = _counted(Counter(str(node.role) for node in graph.nodes))
    lines = _counted(Counter(edge.field for edge in graph.edges))
    statuses = _counted(Counter(node.status for node in graph.nodes if node.status))
    said = [f"Objects: {boxes or 'none'}.", f"Lines: {lines or 'none'}."]
    return " ".join([*said, *([f"Statuses: {statuses}."] if statuses else [])])


def _counted(counts: Counter[str]) -> str:
    most = counts.most_common(_MOST_LISTED * 3)
    return ", ".join(f"{count} {word}" for word, count in most)


_Rule: TypeAlias = tuple[str, str]
"""A selector and what it sets."""


def _style() -> str:
    plain: list[_Rule] = [
        ("text", "font:11px system-ui,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"),
        (".name", "font-size:13px;font-weight:600"),
        (".status", "font-weight:700"),
        (".right", "text-anchor:end"),
        (".box", "stroke-width:1.3"),
        (".missing .box", "stroke-dasharray:5 3"),
        (".rule", "fill:none;stroke-width:.6;opacity:.5"),
        (".line", "fill:none;stroke-width:1.5"),
        *(
            (f".f-{flow} .line", f"stroke-dasharray:{' '.join(map(str, dashes))}")
            for flow, dashes in DASHES.items()
        ),
    ]
    light = "".join(map(_rule, [*plain, *_coloured(LIGHT)]))
    dark = "".join(map(_rule, _coloured(DARK)))
    return f"{light}@media (prefers-color-scheme:dark){{{dark}}}"


def _coloured(ground: Ground) -> Iterator[_Rule]:
    yield ".paper", f"fill:{ground.paper}"
    yield "text", f"fill:{ground.ink}"
    yield ".type", f"fill:{ground.faint}"
    yield ".note", f"fill:{ground.faint}"
    for name, paint in (
        *((f"r-{role}", paint) for role, paint in ground.roles.items()),
        *((f"s-{stage}", paint) for stage, paint in ground.stages.items()),
        ("s-none", ground.no_stage),
    ):
        yield f".{name} .box", f"fill:{paint.fill};stroke:{paint.edge}"
        yield f".{name} .rule", f"stroke:{paint.edge}"
    for flow, colour in ground.flows.items():
        yield f".f-{flow} .line", f"stroke:{colour}"
        yield f".f-{flow} .head", f"fill:{colour}"


def _rule(rule: _Rule) -> str:
    # In a page, these must not reach what is around the drawing.
    return f".dp-drawing {rule[0]}{{{rule[1]}}}"
