from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from aiodatapipeline.definition._drawing._graph import Graph, Stage, printable
from aiodatapipeline.definition._drawing._palette import DARK, LIGHT, Ground, Paint
from aiodatapipeline.definition._drawing._svg import draw_svg
from tests.definition.drawing.drawn import STATUSES, any_graphs, graph
from tests.definition.strategies import texts

SVG = "{http://www.w3.org/2000/svg}"


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)


def boxes(root: ET.Element) -> list[ET.Element]:
    """Give the groups that are boxes, without those of the legend: they have a text."""
    return [each for each in root.iter(f"{SVG}g") if each.find(f"{SVG}svg") is not None]


def groups(root: ET.Element, prefix: str) -> list[ET.Element]:
    return [each for each in root.iter(f"{SVG}g") if each.get("class", "").startswith(prefix)]


def words(element: ET.Element) -> list[str]:
    return [each.text or "" for each in element.iter(f"{SVG}text")]


def number(element: ET.Element, name: str) -> float:
    return float(element.get(name, "nan"))


def place(box: ET.Element) -> tuple[float, float, float]:
    """Give where a box begins, and its width."""
    x, y = map(float, box.get("transform", "").removeprefix("translate(")[:-1].split())
    inner = box.find(f"{SVG}svg")
    assert inner is not None
    return x, y, number(inner, "width")


def titles(root: ET.Element) -> list[str]:
    return [each.findtext(f"{SVG}title", "") for each in root.iter(f"{SVG}g")]


def body(*objects: Mapping[str, object]) -> dict[str, object]:
    return {"objects": list(objects)}


def test_a_box_tells_name_type_and_fields() -> None:
    root = parse(draw_svg(graph(), "Orders"))

    load, orders = boxes(root)[:2]
    assert words(load) == [
        "load the orders", "CopyActivity", "dependsOn", "input", "runsOn", "schedule", "myFormat",
        "output", "onFail",
    ]  # fmt: skip
    assert load.findtext(f"{SVG}title") == "Load, load the orders, CopyActivity"
    assert words(orders) == ["Orders", "S3DataNode", "precondition", "schedule"]


def test_a_box_names_what_many_share() -> None:
    objects = [
        {"id": f"Load{number}", "type": "CopyActivity", "runsOn": {"ref": "Host"}}
        for number in range(6)
    ]

    root = parse(draw_svg(graph(body(*objects)), "Orders"))

    assert words(boxes(root)[0]) == ["Load0", "CopyActivity", "runsOn: Host"]


def test_a_line_tells_what_it_stands_for() -> None:
    root = parse(draw_svg(graph(), "Orders"))

    told = titles(root)
    assert "Load, input: Orders" in told
    assert "Load, output: Table" in told
    assert "Load, dependsOn: Gone" in told
    drawn = [each for each in groups(root, "f-") if each.find(f"{SVG}title") is not None]
    assert len(drawn) == len(graph().edges)


def test_a_line_ends_in_an_arrow_at_the_field_it_stands_for() -> None:
    two = body({"id": "A", "type": "CSV"}, {"id": "B", "type": "CSV", "myX": {"ref": "A"}})

    root = parse(draw_svg(graph(two), ""))

    (x, y, width), (to_x, to_y, _) = map(place, boxes(root))
    label = list(boxes(root)[1].iter(f"{SVG}text"))[-1]
    line, arrow = (str(each.get("d")) for each in groups(root, "f-")[0].iter(f"{SVG}path"))
    start, end = re.findall(r"^M(\S+) (\S+)C|(\S+) (\S+)$", line)
    assert (float(start[0]), float(start[1])) == (x + width, y + 22)
    assert (float(end[2]), float(end[3])) == (to_x, to_y + number(label, "y") - 4)
    assert arrow.startswith(f"M{end[2]} {end[3]}l-7 ")


def test_a_line_from_a_box_to_itself_turns_right_of_it_and_then_left() -> None:
    one = body({"id": "A", "type": "CSV", "myX": {"ref": "A"}})

    root = parse(draw_svg(graph(one), ""))

    ((x, _, width),) = map(place, boxes(root))
    line = next(groups(root, "f-")[0].iter(f"{SVG}path")).get("d", "")
    bends = [float(each) for each in re.findall(r"C(\S+) ", line)]
    assert bends == [x + width + 28, x - 28]


def test_the_image_has_a_name_and_a_description() -> None:
    root = parse(draw_svg(graph(statuses=STATUSES), "The orders"))

    assert root.get("role") == "img"
    assert [each.tag for each in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert root.findtext(f"{SVG}title") == "The orders"
    described = root.findtext(f"{SVG}desc", "")
    assert "2 data" in described
    assert "1 input" in described
    assert "2 FINISHED" in described


def test_nothing_is_described_as_nothing() -> None:
    root = parse(draw_svg(graph(body()), "Nothing"))

    assert root.findtext(f"{SVG}desc") == "Objects: none. Lines: none."
    assert words(root) == []


def test_the_legend_explains_shapes_and_lines() -> None:
    root = parse(draw_svg(graph(), "Orders"))

    inside = {id(each) for box in boxes(root) for each in box.iter()}
    legend = [each.text for each in root.iter(f"{SVG}text") if id(each) not in inside]
    assert legend == [
        "activity", "data", "resource", "precondition", "schedule", "action", "database", "other",
        "missing",
        "input, output", "dependsOn", "precondition", "runsOn", "schedule", "onFail",
        "database, myFormat",
    ]  # fmt: skip


def test_a_legend_does_not_name_too_many() -> None:
    fields = {f"my{number}": {"ref": "B"} for number in range(4)}
    more = {f"my{number}": {"ref": "C"} for number in range(4, 7)}

    root = parse(draw_svg(graph(body({"id": "A", "type": "CSV", **fields, **more})), ""))

    assert words(root)[-1] == "my0, my1, my2, my3, 3 more"


def test_a_legend_is_no_wider_than_the_image() -> None:
    words_of_all_stages = ["WAITING_ON_DEPENDENCIES", "SHUTTING_DOWN", "FINISHED", "FAILED",
                           "DEACTIVATING", "SOMETHING_THAT_NOBODY_KNOWS"]  # fmt: skip
    first = {"id": "First", "type": "CSV"}
    rest = [
        {"id": f"A{number}", "type": "CSV", "dependsOn": {"ref": "First"}}
        for number in range(len(words_of_all_stages))
    ]
    statuses = {f"A{number}": word for number, word in enumerate(words_of_all_stages)}

    root = parse(draw_svg(graph(body(first, *rest), statuses), ""))

    *_, legend = root
    entries = list(legend)
    ends = [
        float(entry.get("transform", "")[10:].split()[0]) + 34 + 11 * 0.6 * len(words(entry)[0])
        for entry in entries
    ]
    assert len(entries) == len(words_of_all_stages) + 2
    assert max(ends) + 24 <= number(root, "width")


def test_statuses_colour_the_boxes_and_are_told_in_words() -> None:
    root = parse(draw_svg(graph(statuses=STATUSES), "Orders"))

    load = boxes(root)[0]
    assert load.get("class") == "s-running"
    assert words(load)[:3] == ["load the orders", "CopyActivity", "RUNNING"]
    assert load.findtext(f"{SVG}title") == "Load, load the orders, CopyActivity, RUNNING"
    classes = {each.get("class") for each in root.iter(f"{SVG}g")}
    assert classes >= {f"s-{stage}" for stage in Stage} | {"s-none", "s-none missing"}
    assert not groups(root, "r-")


def test_without_statuses_the_kind_colours_the_boxes() -> None:
    root = parse(draw_svg(graph(), "Orders"))

    assert boxes(root)[0].get("class") == "r-activity"
    assert "r-missing missing" in {box.get("class") for box in boxes(root)}
    assert not groups(root, "s-")


def test_the_image_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    text = draw_svg(graph(statuses=STATUSES), "Orders")

    assert {each.tag.removeprefix(SVG) for each in parse(text).iter()} == {
        "svg", "title", "desc", "style", "rect", "g", "path", "text"
    }  # fmt: skip
    attributes = {name for each in parse(text).iter() for name in each.keys()}  # noqa: SIM118
    assert attributes == {"class", "d", "height", "role", "transform", "viewBox", "width", "x", "y"}
    style = parse(text).findtext(f"{SVG}style", "")
    assert not re.search("url|import|@font", style)


def test_the_style_reaches_nothing_outside_and_knows_dark_and_light() -> None:
    style = parse(draw_svg(graph(), "Orders")).findtext(f"{SVG}style", "")

    light, dark = style.split("@media (prefers-color-scheme:dark){")
    for part in (light, dark.removesuffix("}")):
        selectors = re.findall(r"([^{}]+)\{[^{}]*\}", part)
        assert selectors
        assert all(selector.startswith(".dp-drawing ") for selector in selectors)
    assert LIGHT.paper in light
    assert DARK.paper in dark


# The widths in em of some letters in DejaVu Sans, which is among the widest fonts there are.
WIDE_FONT = {"W": 0.99, "m": 0.97, "M": 0.86, "O": 0.79, "e": 0.62, "n": 0.63, "i": 0.28, "_": 0.5}


@pytest.mark.parametrize("letter", WIDE_FONT)
def test_a_box_is_wide_enough_for_a_wide_font(letter: str) -> None:
    name = letter * 30
    (box,) = boxes(parse(draw_svg(graph(body({"id": name, "type": "CSV"})), "")))

    inner = box.find(f"{SVG}svg")
    assert inner is not None
    text = next(inner.iter(f"{SVG}text"))
    # What is bold is about a tenth wider.
    assert number(text, "x") + 13 * 30 * WIDE_FONT[letter] * 1.08 <= number(inner, "width")


@given(any_graphs(), texts)
def test_any_text_stays_a_text(drawn: Graph, title: str) -> None:
    root = parse(draw_svg(drawn, printable(title)))

    assert (root.findtext(f"{SVG}title") or "") == printable(title)
    for box, node in zip(boxes(root), drawn.nodes, strict=True):
        assert words(box)[0] == node.label
        assert words(box)[1] == node.type
        assert (node.status or node.type) in words(box)
        assert {f"{field}: {to}" for field, to in node.notes} <= set(words(box))


@given(any_graphs())
def test_every_text_stands_within_its_box(drawn: Graph) -> None:
    for box in boxes(parse(draw_svg(drawn, ""))):
        inner = box.find(f"{SVG}svg")
        assert inner is not None
        baselines = [number(each, "y") for each in inner.iter(f"{SVG}text")]
        assert all(0 < each < number(inner, "height") for each in baselines)
        assert all(0 < number(each, "x") < number(inner, "width") for each in inner)


@given(any_graphs())
def test_everything_stands_within_the_image(drawn: Graph) -> None:
    root = parse(draw_svg(drawn, ""))

    width, height = number(root, "width"), number(root, "height")
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    for box in boxes(root):
        x, y, box_width = place(box)
        inner = box.find(f"{SVG}svg")
        assert inner is not None
        assert 0 <= x <= x + box_width <= width
        assert 0 <= y <= y + number(inner, "height") <= height


# Colours.


def brightness(colour: str) -> float:
    """Give the relative luminance. Source: Web Content Accessibility Guidelines 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted([brightness(one), brightness(other)])
    return (high + 0.05) / (low + 0.05)


def paints(ground: Ground) -> list[Paint]:
    return [*ground.roles.values(), *ground.stages.values(), ground.no_stage]


@pytest.mark.parametrize("ground", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_and_lines_can_be_told_from_their_ground(ground: Ground) -> None:
    for fill in [ground.paper, *(each.fill for each in paints(ground))]:
        assert contrast(ground.ink, fill) >= 7
        assert contrast(ground.faint, fill) >= 4.5
    for line in [*ground.flows.values(), *(each.edge for each in paints(ground))]:
        assert contrast(line, ground.paper) >= 3
