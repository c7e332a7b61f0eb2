"""Pages and items, markers that end or lead in circles, and where to go on later."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from itertools import islice
from string import ascii_lowercase
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiodatapipeline import (
    CallOptions,
    DataPipelineClient,
    Reply,
    ResponseError,
    ThrottlingException,
)
from aiodatapipeline.models import PipelineIdName
from tests.fakes import Clock, FakeTransport, answer, refusal

ItemT = TypeVar("ItemT")

AT_ONCE = CallOptions(max_backoff=0)
ABSENT = object()


class Page(NamedTuple):
    """What a page says, its ids being letters."""

    ids: str
    marker: object = ABSENT
    more: object = ABSENT

    def reply(self) -> Reply:
        """A page of pipelines, of objects, and of their ids: each reads its own."""
        members: dict[str, object] = {
            "pipelineIdList": [{"id": one, "name": one} for one in self.ids],
            "pipelineObjects": [{"id": one, "name": one, "fields": []} for one in self.ids],
            "ids": list(self.ids),
            "marker": self.marker,
            "hasMoreResults": self.more,
        }
        return answer({name: value for name, value in members.items() if value is not ABSENT})


def pages(*given: Page, then: Page | None = None) -> FakeTransport:
    return FakeTransport(*(page.reply() for page in given), then=then and then.reply())


async def gather(items: AsyncIterable[ItemT]) -> list[ItemT]:
    return [item async for item in items]


async def gather_into(found: list[ItemT], items: AsyncIterable[ItemT]) -> None:
    """Keep what came before an error too."""
    async for item in items:
        found.append(item)  # noqa: PERF401  # or it would be lost


def bodies(transport: FakeTransport) -> list[Mapping[str, object]]:
    return [sent.body for sent in transport.sent]


def markers(transport: FakeTransport) -> list[object]:
    return [sent.body.get("marker") for sent in transport.sent]


# -- pages and items ----------------------------------------------------------------------


async def test_awaiting_gives_one_page() -> None:
    transport = pages(Page("ab", "m1", True))

    async with DataPipelineClient(transport=transport) as client:
        response = await client.list_pipelines()

    assert [pipeline.id for pipeline in response.pipeline_id_list] == ["a", "b"]
    assert response.marker == "m1"
    assert response.has_more_results
    assert response.metadata.attempts == 1


async def test_iterating_gives_the_items_of_all_pages_in_order() -> None:
    transport = pages(Page("ab", "m1", True), Page("", "m2", True), Page("c"))

    async with DataPipelineClient(transport=transport) as client:
        pipelines = await gather(client.list_pipelines())

    assert pipelines == [PipelineIdName(id=one, name=one) for one in "abc"]
    assert bodies(transport) == [{}, {"marker": "m1"}, {"marker": "m2"}]


async def test_pages_gives_page_after_page() -> None:
    transport = pages(Page("ab", "m1", True), Page("c"))

    async with DataPipelineClient(transport=transport) as client:
        found = await gather(client.query_objects("df-1", "INSTANCE").pages())

    assert [page.ids for page in found] == [("a", "b"), ("c",)]


async def test_nothing_is_asked_for_before_it_is_wanted() -> None:
    transport = pages(Page("ab", "m1", True))

    async with DataPipelineClient(transport=transport) as client:
        pager = client.list_pipelines()
        before = len(transport.sent)
        async for pipeline in pager:
            if pipeline.id == "b":
                break

    assert (before, len(transport.sent)) == (0, 1)


async def test_a_pager_asks_anew_whenever_it_is_gone_through() -> None:
    transport = pages(Page("a", "m1"), Page("b"), Page("a", "m1"), Page("c"))

    async with DataPipelineClient(transport=transport) as client:
        pager = client.query_objects("df-1", "INSTANCE")
        first, second = await gather(pager), await gather(pager)

    assert (first, second) == (["a", "b"], ["a", "c"])
    assert markers(transport) == [None, "m1", None, "m1"]


async def test_the_same_question_is_asked_for_every_page() -> None:
    transport = pages(Page("a", "m1"), Page("b"))

    async with DataPipelineClient(transport=transport) as client:
        await gather(client.query_objects("df-1", "INSTANCE", limit=1))

    question = {"pipelineId": "df-1", "sphere": "INSTANCE", "limit": 1}
    assert bodies(transport) == [question, {**question, "marker": "m1"}]


async def test_options_are_those_of_every_page() -> None:
    transport = pages(Page("a", "m1"), Page("b"))

    async with DataPipelineClient(transport=transport) as client:
        await gather(client.list_pipelines(options=CallOptions(timeout=7)))

    assert [sent.timeout for sent in transport.sent] == [7, 7]


async def test_a_page_that_fails_in_passing_is_asked_for_again() -> None:
    transport = FakeTransport(
        Page("a", "m1").reply(), refusal("ThrottlingException"), Page("b").reply()
    )

    async with DataPipelineClient(transport=transport, options=AT_ONCE) as client:
        ids = await gather(client.query_objects("df-1", "INSTANCE"))

    assert ids == ["a", "b"]
    assert markers(transport) == [None, "m1", "m1"]


# -- the end ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(Page("b"), id="no marker"),
        pytest.param(Page("b", None), id="null for a marker"),
        pytest.param(Page("b", ""), id="an empty marker"),
        pytest.param(Page("b", "", True), id="an empty marker and a promise of more"),
        pytest.param(Page("b", ABSENT, True), id="no marker and a promise of more"),
        pytest.param(Page("b", "m2", False), id="a marker and a plain no to more"),
    ],
)
async def test_pages_end_with(last: Page) -> None:
    transport = pages(Page("a", "m1", True), last)

    async with DataPipelineClient(transport=transport) as client:
        pager = client.query_objects("df-1", "INSTANCE")
        ids = await gather(pager)

    assert ids == ["a", "b"]
    assert pager.resume_marker is None


async def test_a_marker_alone_promises_more() -> None:
    transport = pages(Page("a", "m1", None), Page("b", "m2"), Page("c"))

    async with DataPipelineClient(transport=transport) as client:
        ids = await gather(client.query_objects("df-1", "INSTANCE"))

    assert ids == ["a", "b", "c"]


# -- markers that lie ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "circle"),
    [
        pytest.param(None, ["A", "A"], id="the same again"),
        pytest.param(None, ["A", "B", "A"], id="there and back"),
        pytest.param("start", ["start"], id="the one to begin with"),
        pytest.param("start", ["A", "start"], id="the one to begin with, later"),
    ],
)
async def test_pages_that_lead_in_a_circle_raise(start: str | None, circle: list[str]) -> None:
    transport = pages(*(Page("x", marker, True) for marker in circle))
    seen: list[str] = []

    async with DataPipelineClient(transport=transport) as client:
        with pytest.raises(ResponseError, match="circle"):
            await gather_into(seen, client.query_objects("df-1", "INSTANCE", marker=start))

    assert seen == ["x"] * len(circle)
    assert markers(transport) == [start, *circle[:-1]]


MARKERS = ["m1", "m2", "m3", "m4"]
# One page more than there are markers and the beginning: whoever asks for it goes in a circle.
LYING = st.lists(
    st.builds(
        Page,
        st.text("abc", max_size=3),
        st.sampled_from([*MARKERS, "", None, ABSENT]),
        st.sampled_from([True, False, None, ABSENT]),
    ),
    min_size=len(MARKERS) + 2,
    max_size=len(MARKERS) + 2,
)


@given(
    said=LYING,
    start=st.sampled_from([*MARKERS, "", None]),
    max_items=st.none() | st.integers(1, 9),
)
@example(said=[Page("a", "m1"), Page("b", "m1")], start=None, max_items=2)
@example(said=[Page("a", "m1"), Page("b", "m1")], start=None, max_items=3)
def test_whatever_a_server_says_no_page_is_asked_for_twice_and_no_item_lost(
    said: list[Page], start: str | None, max_items: int | None
) -> None:
    transport = pages(*said)
    seen: list[PipelineIdName] = []

    async def go_through() -> None:
        async with DataPipelineClient(transport=transport) as client:
            await gather_into(seen, client.list_pipelines(marker=start, max_items=max_items))

    try:
        Clock().run(go_through())
    except ResponseError:
        raised = True
    else:
        raised = False

    asked = markers(transport)
    received = said[: len(asked)]
    assert len(asked) == len(set(asked))
    assert asked == [start or None, *(page.marker for page in received[:-1])]
    everything = "".join(page.ids for page in received)
    assert "".join(pipeline.id for pipeline in seen) == everything[:max_items]
    enough = len(seen) == max_items
    ended = received[-1].more is False or received[-1].marker in {"", None, ABSENT}
    in_a_circle = received[-1].marker in asked
    assert raised is (not enough and not ended)
    assert in_a_circle or not raised


# -- where to end, and where to go on -----------------------------------------------------


async def test_max_items_ends_the_iteration_and_asks_for_no_more_than_it_takes() -> None:
    transport = pages(Page("ab", "m1"), Page("cd", "m2"))

    async with DataPipelineClient(transport=transport) as client:
        pipelines = await gather(client.list_pipelines(max_items=3))

    assert [pipeline.id for pipeline in pipelines] == ["a", "b", "c"]
    assert markers(transport) == [None, "m1"]


@pytest.mark.parametrize("max_items", [0, -1])
async def test_no_items_at_all_is_no_number_to_end_at(max_items: int) -> None:
    client = DataPipelineClient(transport=FakeTransport())

    with pytest.raises(ValueError, match="max_items is 1 or more"):
        client.list_pipelines(max_items=max_items)


async def test_pages_are_given_whole() -> None:
    transport = pages(Page("ab", "m1"), Page("cd", "m2"))

    async with DataPipelineClient(transport=transport) as client:
        pager = client.query_objects("df-1", "INSTANCE", max_items=3)
        found = await gather(pager.pages())

    assert [page.ids for page in found] == [("a", "b"), ("c", "d")]
    assert pager.resume_marker == "m2"


@pytest.mark.parametrize(
    ("limit", "max_items", "limits"),
    [
        pytest.param(None, None, [None, None, None], id="neither"),
        pytest.param(2, None, [2, 2, 2], id="a limit alone is for every page"),
        pytest.param(None, 5, [5, 3, 1], id="no page brings more than is wanted"),
        pytest.param(2, 5, [2, 2, 1], id="nor more than the limit"),
        pytest.param(9, 5, [5, 3, 1], id="the limit being the larger"),
        pytest.param(None, 500, [None, None, None], id="nor is a page of 500 asked for"),
        pytest.param(300, 500, [300, 300, 300], id="unless somebody does"),
    ],
)
async def test_a_page_of_a_query_is_as_small_as_limit_and_max_items_say(
    limit: int | None, max_items: int | None, limits: list[int | None]
) -> None:
    transport = pages(Page("ab", "m1"), Page("cd", "m2"), Page("e"))

    async with DataPipelineClient(transport=transport) as client:
        ids = await gather(
            client.query_objects("df-1", "INSTANCE", limit=limit, max_items=max_items)
        )

    assert ids == ["a", "b", "c", "d", "e"]
    assert [sent.body.get("limit") for sent in transport.sent] == limits


async def test_an_iteration_begins_at_the_marker() -> None:
    transport = pages(Page("c", "m2"), Page("d"))

    async with DataPipelineClient(transport=transport) as client:
        await gather(client.list_pipelines(marker="m1"))

    assert markers(transport) == ["m1", "m2"]


@pytest.mark.parametrize("marker", [None, ""])
async def test_no_marker_and_an_empty_one_are_the_beginning(marker: str | None) -> None:
    transport = pages(Page("a"), Page("a"))

    async with DataPipelineClient(transport=transport) as client:
        pager = client.list_pipelines(marker=marker)
        beginning = pager.resume_marker
        await pager
        await client.describe_objects("df-1", ["a"], marker=marker)

    assert beginning == ""
    assert markers(transport) == [None, None]


@pytest.mark.parametrize(
    ("wanted", "resume_marker"),
    [
        pytest.param(1, "", id="within the first page, at the beginning"),
        pytest.param(2, "m1", id="after the first page, at the second"),
        pytest.param(3, "m1", id="within the second page, at the second"),
        pytest.param(4, "m2", id="after the second page, at the third"),
        pytest.param(5, None, id="after the last page, nowhere"),
        pytest.param(6, None, id="nor if more were wanted"),
    ],
)
async def test_who_stops_goes_on(wanted: int, resume_marker: str | None) -> None:
    transport = pages(Page("ab", "m1"), Page("cd", "m2"), Page("e"))

    async with DataPipelineClient(transport=transport) as client:
        pager = client.list_pipelines(max_items=wanted)
        await gather(pager)

    assert pager.resume_marker == resume_marker


async def test_who_breaks_off_within_a_page_goes_on_with_that_page() -> None:
    transport = pages(Page("ab", "m1"), Page("cd", "m2"))

    async with DataPipelineClient(transport=transport) as client:
        pager = client.list_pipelines()
        async for pipeline in pager:
            if pipeline.id == "c":
                break

    assert pager.resume_marker == "m1"


async def test_who_awaits_a_page_goes_on_with_the_next() -> None:
    transport = pages(Page("ab", "m1"), Page("c"))

    async with DataPipelineClient(transport=transport) as client:
        first = client.list_pipelines()
        await first
        second = client.list_pipelines(marker=first.resume_marker)
        await second

    assert (first.resume_marker, second.resume_marker) == ("m1", None)


async def test_who_fails_goes_on_with_the_page_that_failed() -> None:
    failing = [refusal("ThrottlingException") for _ in range(3)]
    transport = FakeTransport(Page("a", "m1").reply(), Page("b", "m2").reply(), *failing)

    async with DataPipelineClient(transport=transport, options=AT_ONCE) as client:
        pager = client.list_pipelines()
        with pytest.raises(ThrottlingException):
            await gather(pager)

    assert pager.resume_marker == "m2"


async def test_who_begins_again_can_go_on_from_the_beginning_again() -> None:
    transport = pages(Page("a"), Page("a"))

    async with DataPipelineClient(transport=transport) as client:
        pager = client.list_pipelines()
        await gather(pager)
        at_the_end = pager.resume_marker
        async for _ in pager:
            break

    assert at_the_end is None
    assert pager.resume_marker == ""


class Shelf:
    """An honest server: what it gives depends on the marker alone."""

    def __init__(self, sizes: list[int]) -> None:
        letters = iter(ascii_lowercase)
        self.pages = ["".join(islice(letters, size)) for size in sizes]

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        at = int(str(body.get("marker", 0)))
        if at + 1 < len(self.pages):
            return Page(self.pages[at], str(at + 1), True).reply()
        return Page(self.pages[at], more=False).reply()


@given(
    sizes=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    max_items=st.integers(3, 9),
)
def test_who_goes_on_until_the_end_has_every_item(sizes: list[int], max_items: int) -> None:
    shelf = Shelf(sizes)
    seen: list[str] = []

    async def go_on_until_the_end() -> None:
        marker: str | None = ""
        async with DataPipelineClient(transport=shelf) as client:
            while marker is not None:
                pager = client.list_pipelines(marker=marker, max_items=max_items)
                seen.extend([pipeline.id async for pipeline in pager])
                marker = pager.resume_marker

    Clock().run(go_on_until_the_end())

    assert list(dict.fromkeys(seen)) == list("".join(shelf.pages))


# -- any number of ids --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "calls"),
    [
        pytest.param(0, 0, id="none"),
        pytest.param(1, 1, id="one"),
        pytest.param(25, 1, id="a call's worth"),
        pytest.param(26, 2, id="one more"),
        pytest.param(60, 3, id="many"),
    ],
)
async def test_objects_are_described_25_at_a_time(count: int, calls: int) -> None:
    transport = pages(then=Page("ab"))
    ids = [f"object {number}" for number in range(count)]

    async with DataPipelineClient(transport=transport) as client:
        pager = client.describe_objects("df-1", iter(ids), evaluate_expressions=True)
        found = await gather(pager)

    asked = [sent.body["objectIds"] for sent in transport.sent]
    assert asked == [ids[start : start + 25] for start in range(0, count, 25)]
    assert len(asked) == calls
    assert all(sent.body["evaluateExpressions"] for sent in transport.sent)
    assert [one.id for one in found] == ["a", "b"] * calls
    assert pager.resume_marker is None


async def test_every_25_objects_have_pages_and_markers_of_their_own() -> None:
    transport = pages(Page("a", "m1"), Page("b"), Page("c", "m1"), Page("d"))
    ids = [f"object {number}" for number in range(26)]

    async with DataPipelineClient(transport=transport) as client:
        found = await gather(client.describe_objects("df-1", ids))

    assert [one.id for one in found] == ["a", "b", "c", "d"]
    first, rest = ids[:25], ids[25:]
    assert [sent.body["objectIds"] for sent in transport.sent] == [first, first, rest, rest]
    assert markers(transport) == [None, "m1", None, "m1"]


@pytest.mark.parametrize(
    ("wanted", "calls", "resume_marker"),
    [
        pytest.param(1, 1, "", id="within the first 25"),
        pytest.param(2, 1, "", id="after the first 25"),
        pytest.param(3, 2, "", id="within the rest"),
        pytest.param(4, 2, None, id="after the rest"),
    ],
)
async def test_more_than_25_objects_are_asked_for_from_the_beginning_again_until_all_have_come(
    wanted: int, calls: int, resume_marker: str | None
) -> None:
    transport = pages(Page("ab"), Page("cd"))
    ids = [f"object {number}" for number in range(26)]

    async with DataPipelineClient(transport=transport) as client:
        pager = client.describe_objects("df-1", ids, max_items=wanted)
        found = await gather(pager)

    assert len(found) == wanted
    assert len(transport.sent) == calls
    assert pager.resume_marker == resume_marker


async def test_a_marker_of_some_of_more_than_25_objects_is_no_place_to_go_on() -> None:
    transport = pages(Page("ab", "m1"))
    ids = [f"object {number}" for number in range(26)]

    async with DataPipelineClient(transport=transport) as client:
        pager = client.describe_objects("df-1", ids, max_items=2)
        await gather(pager)

    assert pager.resume_marker == ""


async def test_more_than_25_objects_are_no_single_page() -> None:
    transport = FakeTransport()
    ids = [f"object {number}" for number in range(26)]

    async with DataPipelineClient(transport=transport) as client:
        with pytest.raises(ValueError, match="async for"):
            await client.describe_objects("df-1", ids)

    assert transport.sent == []


def test_no_marker_belongs_to_more_than_25_objects() -> None:
    client = DataPipelineClient(transport=FakeTransport())
    ids = [f"object {number}" for number in range(26)]

    with pytest.raises(ValueError, match="at most 25 ids"):
        client.describe_objects("df-1", ids, marker="m1")
