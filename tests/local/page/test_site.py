"""What a browser is given: pages whose texts are texts, and headers that allow nothing else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import pytest

from aiodatapipeline._seam import Reply
from aiodatapipeline.definition import Definition, Drawing
from aiodatapipeline.local._engine import _sight
from aiodatapipeline.local._engine._sight import Sight
from aiodatapipeline.local._page import Site, _render, _site
from aiodatapipeline.local._page._site import Page
from aiodatapipeline.local._store import StoreError
from tests.local.page.hostile import EVIL, EVIL_ID, fill_with_hostile_texts
from tests.local.page.test_html import Reader
from tests.local.service import (
    DAY,
    HOUR,
    MINUTE,
    Place,
    alarm,
    asks,
    at,
    data,
    every,
    on_demand,
    ref,
    shell,
)

SeenT = TypeVar("SeenT")

# All that the page itself is made of, and that a drawing is.
OURS = set(
    re.findall(
        r"\w+",
        "html head meta title link script body a header span button main noscript section "
        "h1 h2 h3 p div ul ol li details summary dl dt dd table thead tbody tr th td "
        "strong code pre time br svg desc style rect g path text",
    )
)


def find(site: Site, path: str) -> Page:
    page = site.find(path)
    assert page is not None, path
    return page


async def shown(place: Place, path: str = "/") -> str:
    reply = await find(Site(place.service), path)()
    assert reply.status == 200
    return reply.body.decode()


def texts(page: str) -> str:
    """What can be read on a page, in one line."""
    reader = Reader()
    reader.feed(page)
    return re.sub(r"\s+", " ", " ".join(reader.texts))


# -- the overview -------------------------------------------------------------------------


async def test_an_empty_service_says_how_to_begin(place: Place) -> None:
    text = texts(await shown(place))

    assert "There are none yet. Create one with any AWS SDK" in text
    assert "Nobody polls for tasks, and none is ready." in text
    assert "No alarm was sent." in text


async def test_a_pipeline_is_listed_and_leads_to_its_page(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")), name="nightly")

    page = await shown(place)

    assert f'<a href="/pipelines/{pipe.id}">nightly</a>' in page
    assert '<span class="chip s-waiting">SCHEDULED</span>' in page
    assert '<span class="chip s-waiting">1 WAITING_FOR_RUNNER</span>' in page
    assert '<time datetime="2026-01-02T00:00:00Z">2026-01-02 00:00:00</time>' in page


async def test_it_says_how_many_pipelines_are_not_listed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sight, "PIPELINES", 1)
    for number in range(3):
        await place.create(f"p{number}")

    assert "And 2 older ones." in await shown(place)


async def test_a_worker_group_that_nobody_polls_for_stands_out_while_a_task_waits(
    place: Place,
) -> None:
    await place.pipeline(on_demand(shell("A"), shell("B", workerGroup="other")))
    task = await place.take("other")
    before = texts(await shown(place))
    await place.passes(MINUTE)
    await place.report(task)
    working = texts(await shown(place))
    polls = [place.polling("idle"), place.polling("idle")]
    await place.passes(0)
    polled = texts(await shown(place))
    for poll in polls:
        poll.cancel()

    assert f"g nobody polls {at('A', 0, 1)}" in before
    assert f"other {at('B', 0, 1)} at host, not acknowledged yet" in before
    assert f"{at('B', 0, 1)} at host, since 2026-01-01 00:01:00" in working
    assert "idle host (2 polls)" in polled


async def test_it_says_how_many_tasks_of_a_worker_group_are_not_listed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sight, "TASKS", 1)
    await place.pipeline(on_demand(shell("A"), shell("B"), shell("C")))

    assert f"nobody polls {at('A', 0, 1)} And 2 more." in texts(await shown(place))


async def test_a_poller_without_a_hostname_is_told_as_one(place: Place) -> None:
    poll = asyncio.ensure_future(place.client.poll_for_task("g"))
    await place.passes(0)

    assert "g without a hostname" in texts(await shown(place))
    poll.cancel()


async def test_an_alarm_says_when_about_what_and_by_whom(place: Place) -> None:
    await place.pipeline(
        on_demand(shell("A", onSuccess=ref("Told")), alarm("Told")), name="nightly"
    )
    await place.work()

    text = texts(await shown(place))

    assert f"2026-01-01 00:00:00 nightly {at('A')} by Told about {at('A')} it is" in text


# -- a pipeline ---------------------------------------------------------------------------


async def test_a_pipeline_has_its_graph_with_the_statuses_of_the_last_run(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A", output=ref("D")), data("D")))
    await place.work()
    await pipe.activate()

    page = await shown(place, f"/pipelines/{pipe.id}")

    drawing = page.partition("<svg")[2].partition("</svg></div>")[0]
    assert "<title>A, ShellCommandActivity, WAITING_FOR_RUNNER</title>" in drawing
    assert 'role="region" aria-label="Graph" tabindex="0"' in page


async def test_a_run_shows_its_instances_their_attempts_and_their_errors(place: Place) -> None:
    pipe = await place.pipeline(
        every(
            "1 day",
            shell("A", precondition=ref("P")),
            shell("B", dependsOn=ref("A"), failureAndRerunMode="cascade"),
            asks("P"),
            maximumRetries="1",
            retryDelay="10 minutes",
            failureAndRerunMode="cascade",
        )
    )
    await place.work()
    await place.until(DAY)
    await place.work(at_most=1)
    for _ in range(2):
        task = await place.begin()
        await place.passes(90 * MINUTE / 60)
        await place.client.set_task_status(
            task.task_id,
            "FAILED",
            error_id="Broken",
            error_message="no way",
            error_stack_trace="line 1",
        )
        await place.passes(10 * MINUTE)

    page = await shown(place, f"/pipelines/{pipe.id}")

    text = texts(page)
    assert "2026-01-02 00:00:00 to 2026-01-03 00:00:00" in text
    assert "1 CASCADE_FAILED 1 FAILED 1 FINISHED" in text
    assert "A activity FAILED 2026-01-02 00:00:00 , 13 min 2 attempts Attempt 2" in text
    assert "Broken no way Stack trace line 1" in text
    assert f"B activity CASCADE_FAILED failed with {at('A', DAY)}" in text
    # What failed is open, what went well is not.
    assert '<details class="run" open data-open data-key="2026-01-02T00:00:00">' in page
    assert '<details class="run" data-key="2026-01-01T00:00:00">' in page


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (HOUR + 61, "1 h 1 min"), (DAY + HOUR, "1 d 1 h")],
)
async def test_how_long_it_took_is_said_in_two_units(
    place: Place, seconds: float, words: str
) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await place.begin()
    for _ in range(int(seconds // 100)):
        await place.passes(100)
        await place.report(task)
    await place.passes(seconds % 100)
    await place.end(task)

    assert f"2026-01-01 00:00:00 , {words} 1 attempt" in texts(
        await shown(place, f"/pipelines/{pipe.id}")
    )


async def test_a_run_that_goes_on_shows_progress(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A"), shell("B", dependsOn=ref("A"))))
    task = await place.begin()
    await place.report(task, percentComplete="40")

    text = texts(await shown(place, f"/pipelines/{pipe.id}"))

    assert "RUNNING began 2026-01-01 00:00:00" in text
    assert "percentComplete 40" in text
    assert f"waits for {at('A')}" in text


async def test_a_long_story_is_told_in_part(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in {"RUNS": 1, "INSTANCES": 1, "ATTEMPTS": 1}.items():
        monkeypatch.setattr(_sight, name, most)
    objects = every("1 hour", shell("A"), shell("B"), maximumRetries="1", retryDelay="10 minutes")
    pipe = await place.pipeline(objects)
    for _ in range(2):
        await place.work(how=lambda _: "FAILED")
        await place.passes(10 * MINUTE)
    await place.work(how=lambda _: "FAILED")
    await place.until(HOUR)

    first = await shown(place, f"/pipelines/{pipe.id}")
    older = re.search(r'href="(/pipelines/[^"]+\?before=[^"]+)"', first)
    assert older is not None
    last = await shown(place, older[1])
    none = await shown(place, f"/pipelines/{pipe.id}?before=2000-01-01T00:00:00")

    assert "And 1 more." in first
    assert "Latest runs" not in first
    assert "And 1 before." in last
    assert f'<a href="/pipelines/{pipe.id}">Latest runs</a>' in last
    assert "Older runs" not in last
    assert "There are none before that." in none


async def test_a_pipeline_that_has_nothing_says_so(place: Place) -> None:
    pipe = await place.create()

    text = texts(await shown(place, f"/pipelines/{pipe.id}"))

    assert "There is no definition to draw yet." in text
    assert "Runs There are none." in text
    assert "Definition None was put yet." in text


async def test_a_definition_is_shown_and_whether_a_newer_one_waits(place: Place) -> None:
    pipe = await place.create()
    parameters = [{"id": "myWord", "type": "String"}]
    objects = on_demand(shell("A", command="echo #{myWord}"))
    await pipe.put(objects, parameters, {"myWord": "hello"})
    await pipe.activate()
    await pipe.put(on_demand(shell("A"), shell("B")))

    text = texts(await shown(place, f"/pipelines/{pipe.id}"))

    assert "A newer definition was put, and is not active yet." in text
    assert "command echo #{myWord}" in text
    assert "Parameters myWord hello" in text


async def test_what_keeps_a_definition_from_being_activated_is_listed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_render, "_ERRORS", 1)
    pipe = await place.create()
    await pipe.put(on_demand(shell("A", dependsOn=ref("B")), shell("C", dependsOn=ref("D"))))

    text = texts(await shown(place, f"/pipelines/{pipe.id}"))

    assert "Errors The definition that was put last cannot be activated. A : UNRESOLVED" in text
    assert "'D'" not in text.partition("Graph")[0]
    assert "And 1 more." in text


async def test_times_of_a_pipelines_life_are_told(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))
    await place.passes(HOUR)
    await pipe.deactivate()
    await place.passes(HOUR)
    await pipe.activate()

    text = texts(await shown(place, f"/pipelines/{pipe.id}"))

    assert "First activation 2026-01-01 00:00:00 Last activation 2026-01-01 02:00:00" in text
    assert "Deactivated 2026-01-01 01:00:00" in text


async def test_a_definition_that_is_too_large_is_not_drawn(place: Place) -> None:
    pipe = await place.pipeline(on_demand(*(shell(f"A{number}") for number in range(1001))))

    assert "It cannot be drawn: " in texts(await shown(place, f"/pipelines/{pipe.id}"))


async def test_a_drawing_is_made_once_for_as_long_as_nothing_changes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    class Noted(Drawing):
        def __init__(
            self, definition: Definition, *, statuses: Mapping[str, str] | None, title: str
        ) -> None:
            drawn.append(title)
            super().__init__(definition, statuses=statuses, title=title)

    monkeypatch.setattr(_site, "_DRAWINGS", 1)
    monkeypatch.setattr(_site, "Drawing", Noted)
    first = await place.pipeline(on_demand(shell("A")), name="first")
    other = await place.pipeline(on_demand(shell("B", workerGroup="h")), name="other")
    site = Site(place.service)

    for pipe in (first, first, other, other, first):
        await find(site, f"/pipelines/{pipe.id}")()
    await place.work()
    await find(site, f"/pipelines/{first.id}")()

    assert drawn == ["first", "other", "first", "first"]


# -- paths --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "x", "/x", "/page.html", "/pipelines", "/admin", "//"])
async def test_nothing_else_is_there(place: Place, path: str) -> None:
    assert Site(place.service).find(path) is None


@pytest.mark.parametrize("pipeline_id", ["df-none", "", "%3Cscript%3E", "a/b?before=&before"])
async def test_a_pipeline_that_is_not_there_gets_a_page_that_says_so(
    place: Place, pipeline_id: str
) -> None:
    reply = await find(Site(place.service), f"/pipelines/{pipeline_id}")()

    assert reply.status == 404
    assert "There is no such pipeline" in texts(reply.body.decode())


@pytest.mark.parametrize("path", ["/", "/pipelines/df-1"])
async def test_a_store_that_fails_gets_a_page_that_says_so(path: str) -> None:
    class Failing:
        pollers: Mapping[str, tuple[str | None, ...]] = MappingProxyType({})

        async def see(self, look: Callable[[Sight], SeenT]) -> SeenT:
            raise StoreError("the disk is full")

    reply = await find(Site(Failing()), path)()

    assert reply.status == 500
    assert "the disk is full" in texts(reply.body.decode())


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/page.svg", "image/svg+xml")],
)
async def test_the_files_of_the_page_are_there(place: Place, path: str, kind: str) -> None:
    reply = await find(Site(place.service), path)()

    assert reply.headers["content-type"].startswith(kind)
    assert len(reply.body) > 100


# -- safety -------------------------------------------------------------------------------


def policy(reply: Reply) -> dict[str, str]:
    rules = (rule.partition(" ") for rule in reply.headers["content-security-policy"].split("; "))
    return {name: sources for name, _, sources in rules}


async def test_the_policy_allows_no_script_or_style_but_our_own(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    reply = await find(Site(place.service), f"/pipelines/{pipe.id}")()
    rules = policy(reply)

    style = re.findall(r"<style>(.*?)</style>", reply.body.decode(), re.DOTALL)
    assert len(style) == 1
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert rules["style-src"] == f"'self' 'sha256-{digest}'"
    assert (rules["default-src"], rules["script-src"]) == ("'none'", "'self'")
    assert rules["frame-ancestors"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert not [rule for rule in rules.values() if "unsafe" in rule or "*" in rule]
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/pipelines/"])
async def test_hostile_texts_stay_texts(place: Place, path: str) -> None:
    pipe = await fill_with_hostile_texts(place)
    page = await shown(place, path + (pipe.id if path != "/" else ""))

    reader = Reader()
    reader.feed(page)

    assert set(reader.tags) <= OURS
    assert [value for name, value in reader.attributes if name == "src"] == ["/page.js"]
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name == "style"]
    assert reader.tags.count("script") == 1
    assert reader.tags.count("style") == (1 if path != "/" else 0)
    assert page.count("<script>") == 0
    assert EVIL in "".join(reader.texts)
    assert EVIL_ID in "".join(reader.texts)


@pytest.mark.parametrize("path", ["/", "/pipelines/"])
async def test_the_page_has_nothing_that_changes_anything(place: Place, path: str) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    page = await shown(place, path + (pipe.id if path != "/" else ""))

    reader = Reader()
    reader.feed(page)

    assert not {"form", "input", "select", "textarea", "iframe", "object"} & set(reader.tags)
