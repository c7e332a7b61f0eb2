"""What is seen -> the HTML that shows it. Pure.

A status is a word in a chip, whose colour says it again. ``data-key`` tells the script which
element of the page that stands is which of the one that comes, and ``data-open`` what to open
in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from aiodatapipeline.definition._drawing._graph import Stage, stage_of
from aiodatapipeline.local._engine._sight import (
    AlarmLine,
    AttemptLine,
    HeldTask,
    InstanceLine,
    ObjectLine,
    Overview,
    Pairs,
    PipelineLine,
    PipelineSight,
    Run,
)
from aiodatapipeline.local._page._html import Child, Html, join, tag
from aiodatapipeline.local._times import read

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_ERRORS = 50
"""How many errors of a definition are shown at most."""
# Statuses of an instance whose attempts are worth seeing at once.
_TELLING = {Stage.FAILED, Stage.RUNNING}


def render_overview(seen: Overview, pollers: Mapping[str, Sequence[str | None]]) -> Html:
    """Show everything at a glance.

    Args:
        seen: What there is.
        pollers: The hostnames of the open polls of each worker group.
    """
    return _page(
        "Pipelines",
        seen.time,
        _section("Pipelines", _pipelines(seen), level="h1"),
        _section("Worker groups", _worker_groups(seen, pollers)),
        _section("Alarms", _alarms(seen.alarms)),
    )


def render_pipeline(seen: PipelineSight, drawing: Html, *, latest: bool) -> Html:
    """Show a pipeline from close by.

    Args:
        seen: What there is.
        drawing: Its graph, or what is to say in its place.
        latest: Whether its runs are the last ones.
    """
    line = seen.line
    return _page(
        line.name,
        seen.time,
        tag("p", tag("a", "All pipelines", href="/"), class_="back"),
        tag(
            "div",
            tag("h1", line.name),
            tag("p", tag("code", line.id), " ", _chip(line.state), " ", _health(line.health)),
            tag("p", line.description, class_="quiet") if line.description else None,
            _facts(_times_of(seen)),
            class_="title",
        ),
        _section("Errors", _errors(seen)) if seen.errors else None,
        _section("Graph", _newer(seen), drawing),
        _section("Runs", _runs(seen, latest=latest)),
        _section("Alarms", _alarms(seen.alarms, linked=False)) if seen.alarms else None,
        _section("Definition", _definition(seen)),
    )


def render_message(title: str, text: str, *, follows: bool = True) -> Html:
    """Say something in the place of a page.

    Args:
        title: In short.
        text: What it is about.
        follows: Whether there may be another page at this address some time.
    """
    return _page(
        title,
        None,
        tag("h1", title),
        tag("p", text),
        tag("p", tag("a", "All pipelines", href="/"), class_="back"),
        follows=follows,
    )


def drawing_of(svg: str) -> Html:
    """Make a drawing, which is HTML already, part of a page."""
    # A region that scrolls has to be reached with the keyboard.
    return tag("div", Html(svg), class_="drawing", role="region", aria_label="Graph", tabindex="0")


def no_drawing(why: str) -> Html:
    """Say why there is no drawing."""
    return _nothing(why)


# -- the frame ----------------------------------------------------------------------------------


def _page(title: str, time: str | None, *main: Child, follows: bool = True) -> Html:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} - local Data Pipeline"),
        tag("link", rel="icon", href="/page.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="/page.css"),
        tag("script", src="/page.js", defer=True) if follows else None,
    )
    body = tag(
        "body",
        tag("a", "Skip to content", href="#main", class_="skip"),
        tag(
            "header",
            tag("a", "Local Data Pipeline", href="/", class_="brand"),
            tag("span", _time(time), " UTC" if time else None, id="clock"),
            tag("button", "Pause", type="button", id="follow", hidden=True),
            tag("span", role="status", id="news"),
        ),
        tag("main", *main, id="main", tabindex="-1"),
        tag("noscript", tag("p", "Without JavaScript, reload the page to see what has changed."))
        if follows
        else None,
    )
    return join(Html("<!doctype html>"), tag("html", head, body, lang="en"))


def _section(title: str, *inside: Child, level: str = "h2") -> Html:
    return tag("section", tag(level, title), *inside, data_key=title)


def _nothing(text: str) -> Html:
    return tag("p", text, class_="quiet")


def _rest(count: int) -> Child:
    return _nothing(f"And {count} more.") if count > 0 else None


def _table(titles: Sequence[str], rows: Iterable[Sequence[Child]]) -> Html:
    """Make a table that a narrow screen shows as cards: each cell knows its title."""
    head = tag("tr", [tag("th", each, scope="col") for each in titles])
    body = [
        tag(
            "tr",
            [tag("td", cell, data_title=title) for title, cell in zip(titles, row, strict=True)],
        )
        for row in rows
    ]
    return tag("table", tag("thead", head), tag("tbody", body))


# -- pieces -------------------------------------------------------------------------------------


def _chip(status: str, count: int | None = None) -> Html:
    text = status if count is None else f"{count} {status}"
    return tag("span", text, class_=f"chip s-{stage_of(status)}")


def _chips(statuses: Mapping[str, int]) -> Child:
    return [(_chip(status, count), " ") for status, count in statuses.items()]


def _health(health: str | None) -> Html | None:
    return _chip(health) if health else None


def _time(time: str | None) -> Child:
    return tag("time", time.replace("T", " "), datetime=f"{time}Z") if time else None


def _duration(begin: str, end: str) -> str:
    seconds = int((read(end) - read(begin)).total_seconds())
    for unit, name, smaller, small in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if seconds >= unit:
            rest = seconds % unit // smaller
            return f"{seconds // unit} {name}" + (f" {rest} {small}" if rest else "")
    return f"{seconds} s"


def _span(begin: str | None, end: str | None) -> Child:
    """Say when something began, ended, and how long it took."""
    if begin is None:
        return None
    if end is None:
        return tag("span", "began ", _time(begin), class_="quiet")
    return tag("span", _time(begin), f", {_duration(begin, end)}", class_="quiet")


def _link(pipeline_id: str, text: str) -> Html:
    return tag("a", text, href=path_of(pipeline_id))


def path_of(pipeline_id: str, before: str | None = None) -> str:
    """Give the path of a pipeline's page."""
    query = "" if before is None else f"?before={quote(before, safe='')}"
    return f"/pipelines/{quote(pipeline_id, safe='')}{query}"


def _facts(pairs: Iterable[tuple[str, Child]]) -> Html:
    return tag(
        "dl", [tag("div", tag("dt", key), tag("dd", value)) for key, value in pairs if value]
    )


def _texts(pairs: Pairs) -> Iterator[tuple[str, Child]]:
    for key, text in pairs:
        yield key, tag("span", text, class_="text")


# -- everything at a glance ---------------------------------------------------------------------


def _pipelines(seen: Overview) -> Child:
    if not seen.pipelines:
        return _nothing(
            "There are none yet. Create one with any AWS SDK, the AWS CLI or DataPipelineClient, "
            "with the address of this page as the endpoint."
        )
    titles = ("Pipeline", "State", "Open instances", "Last run", "Next run")
    rows = ([*_pipeline_cells(line)] for line in seen.pipelines)
    rest = seen.pipeline_count - len(seen.pipelines)
    return _table(titles, rows), _nothing(f"And {rest} older ones.") if rest > 0 else None


def _pipeline_cells(line: PipelineLine) -> Iterator[Child]:
    described = tag("p", line.description, class_="quiet") if line.description else None
    name = tag("strong", _link(line.id, line.name))
    yield tag("div", name, tag("br"), tag("code", line.id), described)
    yield tag("div", _chip(line.state), " ", _health(line.health))
    yield tag("div", _chips(line.open)) if line.open else None
    yield _time(line.last_run)
    yield _time(line.next_run)


def _worker_groups(seen: Overview, pollers: Mapping[str, Sequence[str | None]]) -> Child:
    tasks: defaultdict[tuple[str, bool], list[HeldTask]] = defaultdict(list)
    for task in seen.tasks:
        tasks[task.worker_group, task.handed_over].append(task)
    groups = sorted({group for group, _ in tasks} | pollers.keys())
    if not groups:
        return _nothing("Nobody polls for tasks, and none is ready.")

    def row(group: str) -> list[Child]:
        ready, held = (group, False), (group, True)
        return [
            tag("strong", group),
            _pollers(pollers.get(group, ()), waits=bool(tasks[ready])),
            _tasks(tasks[ready], seen.task_counts.get(ready, 0)),
            _tasks(tasks[held], seen.task_counts.get(held, 0)),
        ]

    return _table(("Worker group", "Pollers", "Ready", "With a runner"), map(row, groups))


def _pollers(hosts: Sequence[str | None], *, waits: bool) -> Child:
    if not hosts:
        return tag("span", "nobody polls", class_="warning") if waits else None
    counted = Counter(host or "without a hostname" for host in hosts)
    items = [
        tag("li", host, f" ({count} polls)" if count > 1 else None)
        for host, count in sorted(counted.items())
    ]
    return tag("ul", items)


def _tasks(tasks: Sequence[HeldTask], count: int) -> Child:
    if not tasks:
        return None
    return tag("ul", [tag("li", _task(each)) for each in tasks]), _rest(count - len(tasks))


def _task(task: HeldTask) -> Child:
    at = [" at ", task.hostname] if task.hostname else None
    if not task.handed_over:
        told = None
    elif task.since:
        told = tag("span", at, ", since ", _time(task.since), class_="quiet")
    else:
        told = tag("span", at, ", not acknowledged yet", class_="quiet")
    return _link(task.pipeline_id, task.attempt_id), told


def _alarms(alarms: Sequence[AlarmLine], *, linked: bool = True) -> Child:
    if not alarms:
        return _nothing("No alarm was sent.")
    titles = ("Time", *(["Pipeline"] if linked else []), "About", "Message")
    return _table(titles, ([*_alarm_cells(each, linked=linked)] for each in alarms))


def _alarm_cells(alarm: AlarmLine, *, linked: bool) -> Iterator[Child]:
    yield _time(alarm.time)
    if linked:
        yield _link(alarm.pipeline_id, alarm.pipeline_name)
    yield tag("div", tag("code", alarm.about), tag("br"), "by ", alarm.action)
    yield tag("div", tag("strong", alarm.subject), tag("p", alarm.message, class_="text"))


# -- one pipeline -------------------------------------------------------------------------------


def _times_of(seen: PipelineSight) -> Iterator[tuple[str, Child]]:
    line = seen.line
    yield "Open instances", _chips(line.open) if line.open else None
    yield "Last run", _time(line.last_run)
    yield "Next run", _time(line.next_run)
    yield "Created", _time(line.created)
    yield "First activation", _time(seen.first_activation)
    if seen.last_activation != seen.first_activation:
        yield "Last activation", _time(seen.last_activation)
    yield "Deactivated", _time(seen.deactivated)
    yield "Finished", _time(seen.finished)
    yield "Unique id", seen.unique_id
    yield "Tags", [(tag("span", f"{key}: {text}", class_="chip"), " ") for key, text in seen.tags]


def _errors(seen: PipelineSight) -> Child:
    return (
        tag("p", "The definition that was put last cannot be activated."),
        tag(
            "ul",
            [
                tag("li", tag("code", each), ": " if each else None, text, class_="text")
                for each, text in seen.errors[:_ERRORS]
            ],
            class_="error",
        ),
        _rest(len(seen.errors) - _ERRORS),
    )


def _newer(seen: PipelineSight) -> Child:
    return _nothing("A newer definition was put, and is not active yet.") if seen.newer else None


def _runs(seen: PipelineSight, *, latest: bool) -> Child:
    if not seen.runs:
        text = "There are none." if latest else "There are none before that."
        return _nothing(text), None if latest else _newest(seen)
    older = seen.older and tag("a", "Older runs", href=path_of(seen.line.id, seen.older))
    return (
        None if latest else _newest(seen),
        [_run(each, is_open=each is seen.runs[0] or _has_failed(each)) for each in seen.runs],
        tag("p", older) if older else None,
    )


def _newest(seen: PipelineSight) -> Html:
    return tag("p", tag("a", "Latest runs", href=path_of(seen.line.id)))


def _has_failed(run: Run) -> bool:
    return any(stage_of(status) is Stage.FAILED for status in run.statuses)


def _run(run: Run, *, is_open: bool) -> Html:
    until = [" to ", _time(run.end)] if run.end != run.start else None
    return tag(
        "details",
        tag("summary", tag("h3", _time(run.start), until), " ", _chips(run.statuses)),
        tag("ul", [_instance(each) for each in run.instances], class_="instances"),
        _rest(sum(run.statuses.values()) - len(run.instances)),
        class_="run",
        open=is_open,
        data_open=is_open,
        data_key=run.start,
    )


def _instance(instance: InstanceLine) -> Html:
    stage = stage_of(instance.status)
    return tag(
        "li",
        tag(
            "div",
            tag("strong", instance.component),
            tag("span", instance.kind, class_="quiet"),
            _chip(instance.status),
            _span(instance.began, instance.ended),
            class_="row",
        ),
        _reason("", instance.reason),
        _reason("failed with ", instance.failed_on),
        _reason("waits for ", ", ".join(instance.waiting_on)),
        _attempts(instance, is_open=stage in _TELLING) if instance.attempts else None,
        class_=f"instance e-{stage}",
        data_key=instance.id,
    )


def _reason(what: str, text: str | None) -> Html | None:
    return tag("p", what, text, class_="text") if text else None


def _attempts(instance: InstanceLine, *, is_open: bool) -> Html:
    count = instance.attempt_count
    rest = count - len(instance.attempts)
    return tag(
        "details",
        tag("summary", f"{count} attempt" + ("s" if count != 1 else "")),
        tag("ol", [_attempt(each) for each in instance.attempts], class_="attempts"),
        _nothing(f"And {rest} before.") if rest > 0 else None,
        open=is_open,
        data_open=is_open,
    )


def _attempt(attempt: AttemptLine) -> Html:
    failed = attempt.error_id or attempt.error_message
    stack = attempt.error_stack_trace
    return tag(
        "li",
        tag(
            "div",
            tag("span", f"Attempt {attempt.number}"),
            tag("span"),
            _chip(attempt.status),
            _span(attempt.began, attempt.ended),
            class_="row",
        ),
        _facts(_attempt_facts(attempt)),
        tag(
            "div",
            tag("strong", attempt.error_id) if attempt.error_id else None,
            tag("p", attempt.error_message, class_="text") if attempt.error_message else None,
            class_="error",
        )
        if failed
        else None,
        tag("details", tag("summary", "Stack trace"), tag("pre", stack, tabindex="0"))
        if stack
        else None,
        data_key=str(attempt.number),
    )


def _attempt_facts(attempt: AttemptLine) -> Iterator[tuple[str, Child]]:
    yield "Worker group", attempt.worker_group
    yield "Host", attempt.hostname
    yield "Progress reported", _time(attempt.reported)
    yield from _texts(attempt.progress)


def _definition(seen: PipelineSight) -> Child:
    if seen.version is None:
        return _nothing("None was put yet.")
    return (
        _nothing(f"Version {seen.version}."),
        [_object(each) for each in seen.objects],
        tag("div", tag("h3", "Parameters"), _facts(_texts(seen.parameters)))
        if seen.parameters
        else None,
    )


def _object(each: ObjectLine) -> Html:
    type_ = next((text for key, text in each.fields if key == "type"), "")
    return tag(
        "details",
        tag("summary", tag("strong", each.id), " ", tag("span", type_, class_="quiet")),
        _facts([("name", each.name), *_texts(each.fields)]),
        class_="object",
        data_key=each.id,
    )
