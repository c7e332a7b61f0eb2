from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition._drawing._layout import (
    BOX_GAP,
    CHANNEL,
    LANE_GAP,
    MOST_ROWS,
    PART_GAP,
    ROW_WIDTH,
    Box,
    Layout,
    Line,
    lay_out,
)

BOX = Box(100.0, 50.0)


def lines(*pairs: tuple[int, int]) -> list[Line]:
    """Lines from the middle of a box to the middle of another, each of them alone."""
    return [
        Line(source, target, 25.0, 25.0, bundle=str(number))
        for number, (source, target) in enumerate(pairs)
    ]


def laid_out(count: int, *pairs: tuple[int, int]) -> Layout:
    return lay_out([BOX] * count, lines(*pairs))


def columns(layout: Layout) -> list[float]:
    """Give for each box the place of its column."""
    return [place.x for place in layout.places]


def passes(route: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float, float]]:
    """Give where a line goes straight through a column: from, to, and at what height."""
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(route)):
        if number % 2:
            assert y == to_y
            yield min(x, to_x), max(x, to_x), y


def test_a_box_stands_right_of_all_that_lead_to_it() -> None:
    layout = laid_out(4, (0, 1), (1, 2), (0, 2), (3, 2))

    first, second, third, beside = columns(layout)
    assert first < second < third
    assert beside == second


def test_a_line_runs_from_the_right_side_of_a_box_to_the_left_side_of_another() -> None:
    boxes = [Box(100.0, 50.0), Box(140.0, 80.0)]

    layout = lay_out(boxes, [Line(0, 1, 10.0, 60.0, bundle="")])

    (start, end), (source, target) = layout.routes[0], layout.places
    assert start == (source.x + 100.0, source.y + 10.0)
    assert end == (target.x, target.y + 60.0)
    assert start[1] == end[1]
    assert end[0] - start[0] >= CHANNEL


def test_a_chain_is_straight() -> None:
    layout = laid_out(4, (0, 1), (1, 2), (2, 3))

    assert {place.y for place in layout.places} == {0.0}


def test_lines_that_need_not_cross_do_not_cross() -> None:
    # The second column is turned round at first.
    layout = laid_out(6, (0, 5), (1, 4), (2, 3))

    for source, target in [(0, 5), (1, 4), (2, 3)]:
        assert layout.places[source].y == layout.places[target].y


def test_lines_leave_a_box_in_the_order_of_what_they_lead_to() -> None:
    boxes = [Box(100.0, 90.0), BOX, BOX, BOX]
    wanted = [Line(0, 1, 80.0, 25.0, "1"), Line(0, 2, 10.0, 25.0, "2"), Line(0, 3, 45.0, 25.0, "3")]

    layout = lay_out(boxes, wanted)

    _, last, first, middle = (place.y for place in layout.places)
    assert first < middle < last


def test_a_line_that_passes_a_column_has_a_place_of_its_own_there() -> None:
    layout = laid_out(3, (0, 1), (1, 2), (0, 2))

    passed = layout.places[1]
    ((start, end, height),) = passes(layout.routes[2])
    assert (start, end) == (passed.x, passed.x + passed.width)
    assert height <= passed.y - LANE_GAP or height >= passed.y + BOX.height + LANE_GAP


def test_lines_of_one_bundle_pass_together() -> None:
    pairs = [(0, 1), (1, 2), (0, 2), (0, 3), (1, 3)]
    alone = lines(*pairs)
    together = [
        Line(each.source, each.target, 25.0, 25.0, bundle=str(each.source)) for each in alone
    ]

    def heights(wanted: list[Line]) -> set[float]:
        routes = lay_out([BOX] * 4, wanted).routes
        return {height for route in routes for _, _, height in passes(route)}

    assert len(heights(alone)) == 2
    assert len(heights(together)) == 1


def test_without_lanes_left_a_line_goes_straight() -> None:
    wanted = lines((0, 1), (1, 2), (0, 2), (2, 0))

    layout = lay_out([BOX] * 3, wanted, most_lanes=0)

    assert [len(route) for route in layout.routes] == [2, 2, 2, 2]


def test_a_line_that_closes_a_cycle_goes_round_the_boxes() -> None:
    layout = laid_out(2, (0, 1), (1, 0))

    first, second = layout.places
    assert first.x < second.x
    back = layout.routes[1]
    assert back[0] == (second.x + 100.0, second.y + 25.0)
    assert back[-1] == (first.x, first.y + 25.0)
    assert [x for x, _ in back] == sorted((x for x, _ in back), reverse=True)
    assert len(list(passes(back))) == 2
    assert layout.width > second.x + 100.0
    assert first.x > 0


def test_a_cycle_is_drawn_from_where_one_gets_into_it() -> None:
    layout = laid_out(3, (0, 1), (1, 0), (2, 1))

    last, entered, outside = columns(layout)
    assert outside < entered < last


def test_a_line_from_a_box_to_itself_goes_round_it() -> None:
    layout = laid_out(1, (0, 0))

    ((start, end, height),) = passes(layout.routes[0])
    (place,) = layout.places
    assert (start, end) == (place.x, place.x + 100.0)
    assert not place.y <= height <= place.y + BOX.height


def test_boxes_of_a_column_are_as_wide_as_the_widest() -> None:
    layout = lay_out([BOX, Box(180.0, 50.0), BOX], lines((0, 2), (1, 2)))

    assert [place.width for place in layout.places] == [180.0, 180.0, 100.0]


def test_a_column_of_too_many_boxes_is_cut() -> None:
    layout = laid_out(2 * MOST_ROWS, *((0, number) for number in range(1, 2 * MOST_ROWS)))

    counts = [columns(layout).count(x) for x in sorted(set(columns(layout)))]
    assert counts == [1, MOST_ROWS, MOST_ROWS - 1]


def test_parts_stand_beside_each_other_until_a_row_is_full() -> None:
    layout = laid_out(20)

    in_a_row = sum(place.y == 0.0 for place in layout.places)
    assert in_a_row == int((ROW_WIDTH + PART_GAP) // (BOX.width + PART_GAP))
    assert layout.width <= ROW_WIDTH
    assert layout.height == 3 * BOX.height + 2 * PART_GAP


def test_nothing_needs_no_room() -> None:
    assert lay_out([], []) == Layout(0.0, 0.0, (), ())


@st.composite
def drawings(draw: st.DrawFn) -> tuple[list[Box], list[Line]]:
    sizes = st.builds(Box, st.integers(50, 200), st.integers(40, 120))
    boxes = draw(st.lists(sizes, min_size=1, max_size=9))
    ends = st.integers(0, len(boxes) - 1)
    wanted: list[Line] = []
    for source, target in draw(st.lists(st.tuples(ends, ends), max_size=14)):
        leaves = draw(st.integers(0, int(boxes[source].height)))
        enters = draw(st.integers(0, int(boxes[target].height)))
        together = draw(st.booleans())
        bundle = f"from {source}" if together else f"alone {len(wanted)}"
        wanted.append(Line(source, target, leaves, enters, bundle))
    return boxes, wanted


@given(drawings())
def test_no_two_boxes_touch_and_all_are_inside(drawing: tuple[list[Box], list[Line]]) -> None:
    boxes, wanted = drawing

    layout = lay_out(boxes, wanted)

    for (one, box), (other, other_box) in combinations(zip(layout.places, boxes, strict=True), 2):
        beside = one.x + one.width < other.x or other.x + other.width < one.x
        above = one.y + box.height + BOX_GAP <= other.y + 1e-6
        below = other.y + other_box.height + BOX_GAP <= one.y + 1e-6
        assert beside or above or below
    for place, box in zip(layout.places, boxes, strict=True):
        assert place.width >= box.width
        assert 0 <= place.x <= place.x + place.width <= layout.width + 1e-6
        assert 0 <= place.y <= place.y + box.height <= layout.height + 1e-6


@given(drawings())
def test_a_line_joins_its_boxes_and_passes_no_other(
    drawing: tuple[list[Box], list[Line]],
) -> None:
    boxes, wanted = drawing

    layout = lay_out(boxes, wanted)

    for line, route in zip(wanted, layout.routes, strict=True):
        source, target = layout.places[line.source], layout.places[line.target]
        assert route[0] == pytest.approx((source.x + source.width, source.y + line.leaves))
        assert route[-1] == pytest.approx((target.x, target.y + line.enters))
        assert all(
            -1e-6 <= x <= layout.width + 1e-6 and -1e-6 <= y <= layout.height + 1e-6
            for x, y in route
        )
        for start, end, height in passes(route):
            for place, box in zip(layout.places, boxes, strict=True):
                if place.x < end and start < place.x + place.width:
                    assert not place.y + 1e-6 < height < place.y + box.height - 1e-6


@given(drawings())
def test_without_cycles_every_line_goes_to_the_right(
    drawing: tuple[list[Box], list[Line]],
) -> None:
    boxes, drawn = drawing
    wanted = [line for line in drawn if line.source < line.target]

    layout = lay_out(boxes, wanted)

    for route in layout.routes:
        assert [x for x, _ in route] == sorted(x for x, _ in route)


@given(drawings())
def test_the_same_input_gives_the_same_layout(drawing: tuple[list[Box], list[Line]]) -> None:
    boxes, wanted = drawing

    assert lay_out(boxes, wanted) == lay_out(boxes, wanted)
