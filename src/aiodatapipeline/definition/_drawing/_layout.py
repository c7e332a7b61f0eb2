"""Where boxes and lines go: columns from left to right, with few crossings.

The way of Sugiyama, Tagawa and Toda, in four steps: put each box into a column right of all
that lead to it; give lines that pass columns a place of their own in each; order the columns
so that lines seldom cross; move boxes to the height of what they are connected with. Parts
that are not connected are laid out one by one and then packed.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

# Pixels between the boxes of a column, around a line that passes it, and between columns.
BOX_GAP = 20.0
LANE_GAP = 10.0
CHANNEL = 56.0
# What a channel is wider for each line in it, and at most.
PER_LINE, MOST_WIDER = 2.0, 64.0
# What a line that goes back needs beside the first and the last column, to turn.
TURN = 28.0
# Between parts that are not connected, and how wide a row of them may be at least.
PART_GAP = 32.0
ROW_WIDTH = 1100.0
# A column of more boxes is cut into several.
MOST_ROWS = 25
# Further sweeps change next to nothing.
ORDER_SWEEPS = 12
HEIGHT_SWEEPS = 10
# What lines have on their way in all; a line that finds none left goes straight.
MOST_LANES = 20_000
# A line that passes columns should do so without bends; elsewhere they are no harm.
LANE_PULL = 8.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """The size of a box."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line from the right side of one box to the left side of another, by their numbers."""

    source: int
    target: int
    leaves: float
    """At what height, below the upper edge of the source."""
    enters: float
    """At what height, below the upper edge of the target."""
    bundle: str
    """Lines of one bundle pass columns together. They should all begin in one place, or end."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box is: its upper left corner and its width, which is its column's."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is."""

    width: float
    height: float
    places: tuple[Place, ...]
    routes: tuple[tuple[Point, ...], ...]
    """The points of each line, in pairs: from the first to the second of a pair it bends
    through a channel, and from there it goes straight to the first of the next."""


def lay_out(boxes: Sequence[Box], lines: Sequence[Line], *, most_lanes: int = MOST_LANES) -> Layout:
    """Find a place for each box and a way for each line. The same input gives the same.

    Args:
        boxes: Their numbers are their places in this sequence.
        lines: From box to box.
        most_lanes: How many places lines may take in columns that they pass, in all.
    """
    parts: list[_Placed] = []
    for numbers, own_lines in _parts(len(boxes), lines):
        share = most_lanes * len(numbers) // len(boxes)
        parts.append(_Part(boxes, lines, numbers, own_lines, share).lay_out())
    return _packed(parts, len(boxes), len(lines))


def _parts(count: int, lines: Sequence[Line]) -> list[tuple[list[int], list[int]]]:
    """Give the numbers of boxes that are connected, and of the lines between them."""
    links: dict[int, list[int]] = defaultdict(list)
    for line in lines:
        links[line.source].append(line.target)
        links[line.target].append(line.source)
    part_of: dict[int, int] = {}
    parts: list[tuple[list[int], list[int]]] = []
    for start in range(count):
        if start not in part_of:
            waiting, found = [start], {start}
            while waiting:
                new = [each for each in links[waiting.pop()] if each not in found]
                found.update(new)
                waiting += new
            part_of.update(dict.fromkeys(found, len(parts)))
            parts.append((sorted(found), []))
    for number, line in enumerate(lines):
        parts[part_of[line.source]][1].append(number)
    return parts


@dataclass(frozen=True, slots=True)
class _Placed:
    width: float
    height: float
    places: Mapping[int, Place]
    routes: Mapping[int, tuple[Point, ...]]


def _packed(parts: Iterable[_Placed], boxes: int, lines: int) -> Layout:
    """Put parts beside and below each other, the highest first."""
    by_height = sorted(parts, key=lambda part: -part.height)
    most = max([ROW_WIDTH, *(part.width for part in by_height)])
    places: dict[int, Place] = {}
    routes: dict[int, tuple[Point, ...]] = {}
    x = y = width = bottom = 0.0
    for part in by_height:
        if x and x + part.width > most:
            x, y = 0.0, bottom + PART_GAP
        for number, place in part.places.items():
            places[number] = Place(place.x + x, place.y + y, place.width)
        for number, route in part.routes.items():
            routes[number] = tuple((px + x, py + y) for px, py in route)
        width, bottom = max(width, x + part.width), max(bottom, y + part.height)
        x += part.width + PART_GAP
    return Layout(
        width,
        bottom,
        tuple(places[number] for number in range(boxes)),
        tuple(routes[number] for number in range(lines)),
    )


@dataclass(frozen=True, slots=True)
class _Link:
    """A piece of a line between two neighbouring columns. Items are boxes and lanes."""

    left: int
    right: int
    leaves: float
    enters: float


_Ends: TypeAlias = dict[int, list[tuple[int, float]]]
"""For each item, those it is linked with, and at what share of their heights."""


class _Part:
    """Boxes that are connected, on their way to a place. A lane is a box without height."""

    def __init__(
        self,
        boxes: Sequence[Box],
        lines: Sequence[Line],
        numbers: Sequence[int],
        own_lines: Sequence[int],
        most_lanes: int,
    ) -> None:
        self._numbers = numbers
        self._lines = {number: lines[number] for number in own_lines}
        self._heights = {number: boxes[number].height for number in numbers}
        self._widths = {number: boxes[number].width for number in numbers}
        self._next_lane = len(boxes)
        self._lanes_left = most_lanes
        self._columns: list[list[int]] = []
        # For each line the lanes it uses, from its source on; for a link, how often it is used.
        self._lanes: dict[int, list[int]] = {}
        self._links: dict[_Link, int] = defaultdict(int)
        self._y: dict[int, float] = {}

    def lay_out(self) -> _Placed:
        back = _backward(self._numbers, self._lines)
        self._fill_columns(back)
        self._add_lanes(back)
        self._order()
        self._set_heights()
        return self._placed(back)

    def _fill_columns(self, back: set[int]) -> None:
        forward = [line for number, line in self._lines.items() if number not in back]
        levels = _levels(self._numbers, forward)
        by_level: dict[int, list[int]] = defaultdict(list)
        for number in self._numbers:
            by_level[levels[number]].append(number)
        for level in sorted(by_level):
            boxes = by_level[level]
            pieces = -(-len(boxes) // MOST_ROWS)
            size = -(-len(boxes) // pieces)
            self._columns += [boxes[at : at + size] for at in range(0, len(boxes), size)]

    def _add_lanes(self, back: set[int]) -> None:
        column_of = {
            number: index for index, column in enumerate(self._columns) for number in column
        }
        shared: dict[tuple[str, bool, int], int] = {}
        for number, line in self._lines.items():
            start, end = column_of[line.source], column_of[line.target]
            # A line that goes back also passes the columns of both its boxes.
            way = range(start, end - 1, -1) if number in back else range(start + 1, end)
            if len(way) > self._lanes_left:
                way = range(0)
            lanes: list[int] = []
            for index in way:
                key = line.bundle, number in back, index
                if key not in shared:
                    shared[key] = self._new_lane(index)
                lanes.append(shared[key])
            self._lanes[number] = lanes
            self._link(line, lanes, backward=number in back)

    def _new_lane(self, column: int) -> int:
        lane = self._next_lane
        self._next_lane += 1
        self._lanes_left -= 1
        self._heights[lane] = 0.0
        # In the middle it is not in the way of anything that wants to be there too.
        self._columns[column].insert(len(self._columns[column]) // 2, lane)
        return lane

    def _link(self, line: Line, lanes: list[int], *, backward: bool) -> None:
        if backward:
            for right, left in pairwise(lanes):
                self._links[_Link(left, right, 0.0, 0.0)] += 1
        elif lanes:
            self._links[_Link(line.source, lanes[0], line.leaves, 0.0)] += 1
            for left, right in pairwise(lanes):
                self._links[_Link(left, right, 0.0, 0.0)] += 1
            self._links[_Link(lanes[-1], line.target, 0.0, line.enters)] += 1
        else:
            self._links[_Link(line.source, line.target, line.leaves, line.enters)] += 1

    def _order(self) -> None:
        """Order the columns, back and forth, and keep the order with the fewest crossings."""
        best, fewest = [list(column) for column in self._columns], self._crossings()
        to_left, to_right = self._neighbours()
        spots = {item: spot for column in self._columns for item, spot in _spots(column)}
        for sweep in range(ORDER_SWEEPS):
            if not fewest:
                break
            forth = sweep % 2 == 0
            beside = to_left if forth else to_right
            for column in self._columns if forth else reversed(self._columns):
                wishes = {item: _wish(item, beside[item], spots) for item in column}
                column.sort(key=wishes.__getitem__)
                spots.update(_spots(column))
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(column) for column in self._columns], crossings
        self._columns = best

    def _neighbours(self) -> tuple[_Ends, _Ends]:
        """Give what each item is linked with on its left and on its right, and how far down."""
        to_left: _Ends = defaultdict(list)
        to_right: _Ends = defaultdict(list)
        for link in self._links:
            to_left[link.right].append((link.left, self._share(link.left, link.leaves)))
            to_right[link.left].append((link.right, self._share(link.right, link.enters)))
        return to_left, to_right

    def _share(self, item: int, height: float) -> float:
        return height / self._heights[item] if self._heights[item] else 0.5

    def _crossings(self) -> int:
        index = {item: at for column in self._columns for at, item in enumerate(column)}
        column_of = {item: at for at, column in enumerate(self._columns) for item in column}
        ends: dict[int, list[tuple[int, float, int, float]]] = defaultdict(list)
        for link in self._links:
            left, right = link.left, link.right
            ends[column_of[left]].append((index[left], link.leaves, index[right], link.enters))
        crossings = 0
        for found in ends.values():
            above: list[tuple[int, float]] = []
            for _, _, right_index, enters in sorted(found):
                crossings += len(above) - bisect_right(above, (right_index, enters))
                insort(above, (right_index, enters))
        return crossings

    def _set_heights(self) -> None:
        """Move boxes and lanes to where their lines are straight, without changing the order."""
        for column in self._columns:
            y = 0.0
            for above, item in zip([None, *column], column, strict=False):
                y += self._distance(above, item) if above is not None else 0.0
                self._y[item] = y
        pulls: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
        for link, times in self._links.items():
            ends_in_lanes = (self._heights[link.left] == 0.0) + (self._heights[link.right] == 0.0)
            weight = times * LANE_PULL**ends_in_lanes
            pulls[link.right].append((link.left, link.leaves - link.enters, weight))
            pulls[link.left].append((link.right, link.enters - link.leaves, weight))
        for sweep in range(HEIGHT_SWEEPS):
            for column in self._columns if sweep % 2 == 0 else reversed(self._columns):
                self._settle(column, pulls)
        top = min(self._y.values())
        self._y = {item: y - top for item, y in self._y.items()}

    def _distance(self, above: int, below: int) -> float:
        """How far the upper edges of neighbours must be apart."""
        boxes = self._heights[above] and self._heights[below]
        return self._heights[above] + (BOX_GAP if boxes else LANE_GAP)

    def _settle(
        self, column: Sequence[int], pulls: Mapping[int, list[tuple[int, float, float]]]
    ) -> None:
        """Bring each item of a column as near as can be to where its neighbours want it."""
        offset = 0.0
        wishes: list[tuple[float, float]] = []
        offsets: list[float] = []
        for above, item in zip([None, *column], column, strict=False):
            offset += self._distance(above, item) if above is not None else 0.0
            offsets.append(offset)
            total = sum(weight for _, _, weight in pulls[item])
            wish = sum((self._y[of] + by) * weight for of, by, weight in pulls[item])
            # What nothing pulls at stays where it is, and is easily moved.
            wishes.append(
                (wish / total - offset, total) if total else (self._y[item] - offset, 0.1)
            )
        for item, own_offset, y in zip(column, offsets, _increasing(wishes), strict=True):
            self._y[item] = y + own_offset

    def _placed(self, back: set[int]) -> _Placed:
        margin = TURN if back else 0.0
        x = margin
        places: dict[int, Place] = {}
        lefts: dict[int, float] = {}
        rights: dict[int, float] = {}
        leaving = Counter(link.left for link in self._links)
        channel = 0.0
        for column in self._columns:
            x += channel
            width = max(self._widths.get(item, 0.0) for item in column)
            for item in column:
                places[item] = Place(x, self._y[item], width)
                lefts[item], rights[item] = x, x + width
            x += width
            lines = sum(leaving[item] for item in column)
            channel = CHANNEL + min(lines * PER_LINE, MOST_WIDER)
        routes: dict[int, tuple[Point, ...]] = {}
        for number, line in self._lines.items():
            points = [(rights[line.source], self._y[line.source] + line.leaves)]
            first, last = (rights, lefts) if number in back else (lefts, rights)
            for lane in self._lanes[number]:
                points += [(first[lane], self._y[lane]), (last[lane], self._y[lane])]
            points.append((lefts[line.target], self._y[line.target] + line.enters))
            routes[number] = tuple(points)
        return _Placed(
            width=x + margin,
            height=max(self._y[item] + self._heights[item] for item in self._y),
            places={number: places[number] for number in self._numbers},
            routes=routes,
        )


def _backward(numbers: Sequence[int], lines: Mapping[int, Line]) -> set[int]:
    """Find the lines to leave aside for the rest to be free of cycles."""
    outgoing: dict[int, list[int]] = defaultdict(list)
    entered: set[int] = set()
    for number, line in lines.items():
        outgoing[line.source].append(number)
        entered.add(line.target)
    back: set[int] = set()
    open_boxes: set[int] = set()
    seen: set[int] = set()
    # Begin where nothing leads to, so that what is drawn backward is where a cycle closes.
    for start in sorted(numbers, key=lambda box: box in entered):
        if start in seen:
            continue
        path = [(start, iter(outgoing[start]))]
        open_boxes.add(start)
        while path:
            box, rest = path[-1]
            line_number = next(rest, None)
            if line_number is None:
                path.pop()
                open_boxes.remove(box)
                seen.add(box)
                continue
            target = lines[line_number].target
            if target in open_boxes:
                back.add(line_number)
            elif target not in seen:
                open_boxes.add(target)
                path.append((target, iter(outgoing[target])))
    return back


def _levels(numbers: Sequence[int], lines: Iterable[Line]) -> dict[int, int]:
    """Give each box the level after the last of those that lead to it.

    What nothing leads to stands right before the first that it leads to.
    """
    outgoing: dict[int, set[int]] = defaultdict(set)
    waits_for: dict[int, int] = dict.fromkeys(numbers, 0)
    for line in lines:
        if line.target not in outgoing[line.source]:
            outgoing[line.source].add(line.target)
            waits_for[line.target] += 1
    starts = [number for number in numbers if not waits_for[number]]
    levels = dict.fromkeys(starts, 0)
    ready = list(starts)
    for box in ready:
        for target in sorted(outgoing[box]):
            levels[target] = max(levels.get(target, 0), levels[box] + 1)
            waits_for[target] -= 1
            if not waits_for[target]:
                ready.append(target)
    for box in starts:
        levels[box] = min((levels[target] for target in outgoing[box]), default=1) - 1
    return levels


def _spots(column: Sequence[int]) -> Iterator[tuple[int, tuple[float, float]]]:
    """Give where in its column, from 0 to 1, each item begins, and its share of the column."""
    return ((item, (at / len(column), 1 / len(column))) for at, item in enumerate(column))


def _wish(
    item: int, ends: Sequence[tuple[int, float]], spots: Mapping[int, tuple[float, float]]
) -> float:
    """Give the middle of where the lines of an item end; without lines, it stays."""
    heights = [spots[to][0] + spots[to][1] * share for to, share in ends or [(item, 0.5)]]
    return sum(heights) / len(heights)


def _increasing(wishes: Iterable[tuple[float, float]]) -> list[float]:
    """Give numbers that never decrease, as near as can be to the wishes by their weights.

    The method is known as pooling adjacent violators.
    """
    pools: list[tuple[float, float, int]] = []
    for wish, weight in wishes:
        pool = wish, weight, 1
        while pools and pools[-1][0] > pool[0]:
            mean, mass, count = pools.pop()
            total = mass + pool[1]
            pool = (mean * mass + pool[0] * pool[1]) / total, total, count + pool[2]
        pools.append(pool)
    return [mean for mean, _, count in pools for _ in range(count)]
