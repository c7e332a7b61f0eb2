"""What people see of the state: all of it at a glance, and no secret."""

from __future__ import annotations

import dataclasses
import json

import pytest

from aiodatapipeline.local._engine import _sight
from aiodatapipeline.local._engine._sight import Overview, PipelineSight, Sight
from tests.local.service import (
    HOUR,
    MINUTE,
    Pipe,
    Place,
    alarm,
    at,
    clock_time,
    data,
    every,
    on_demand,
    ref,
    shell,
    tags,
)


async def overview(place: Place) -> Overview:
    return await place.service.see(Sight.overview)


async def close(place: Place, pipe: Pipe, before: str | None = None) -> PipelineSight:
    seen = await place.service.see(lambda sight: sight.pipeline(pipe.id, before))
    assert seen is not None
    return seen


# -- everything at a glance ---------------------------------------------------------------


async def test_the_pipelines_are_seen_with_their_states_the_last_one_first(place: Place) -> None:
    first = await place.create("first")
    second = await place.pipeline(every("1 hour", shell("A"), shell("B", dependsOn=ref("A"))))

    seen = await overview(place)

    assert seen.time == clock_time(0)
    assert seen.pipeline_count == 2
    assert [line.id for line in seen.pipelines] == [second.id, first.id]
    line = seen.pipelines[0]
    assert (line.name, line.state, line.health) == ("p", "SCHEDULED", None)
    assert line.open == {"WAITING_FOR_RUNNER": 1, "WAITING_ON_DEPENDENCIES": 1}
    assert (line.created, line.last_run, line.next_run) == (clock_time(0), None, clock_time(HOUR))
    assert (seen.pipelines[1].state, seen.pipelines[1].next_run) == ("PENDING", None)


async def test_of_many_pipelines_the_last_ones_are_seen(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sight, "PIPELINES", 2)
    for number in range(3):
        await place.client.create_pipeline(f"p{number}", "u")

    seen = await overview(place)

    assert ([line.name for line in seen.pipelines], seen.pipeline_count) == (["p2", "p1"], 3)


async def test_a_deleted_pipeline_is_seen_no_more(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    await place.client.delete_pipeline(pipe.id)

    assert (await overview(place)).pipelines == ()
    assert (await overview(place)).tasks == ()
    assert await place.service.see(lambda sight: sight.pipeline(pipe.id)) is None
    assert await place.service.see(lambda sight: sight.pipeline("df-none")) is None


async def test_a_task_is_seen_as_it_waits_is_handed_over_and_is_worked_on(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))

    (waiting,) = (await overview(place)).tasks
    task = await place.take()
    (held,) = (await overview(place)).tasks
    await place.passes(MINUTE)
    await place.report(task)
    (worked_on,) = (await overview(place)).tasks
    await place.end(task)

    assert (waiting.worker_group, waiting.pipeline_id) == ("g", pipe.id)
    assert (waiting.attempt_id, waiting.handed_over) == (at("A", 0, 1), False)
    assert (held.handed_over, held.hostname, held.since) == (True, "host", None)
    assert (worked_on.status, worked_on.since) == ("RUNNING", clock_time(MINUTE))
    assert (await overview(place)).tasks == ()


async def test_a_group_with_many_tasks_hides_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sight, "TASKS", 3)
    await place.pipeline(on_demand(*(shell(f"A{each}") for each in range(4))))
    await place.take()
    await place.pipeline(on_demand(shell("B", workerGroup="misspelled")), name="last")

    seen = await overview(place)

    assert {each.worker_group for each in seen.tasks} == {"g", "misspelled"}
    assert len(seen.tasks) == 3
    assert seen.task_counts == {("g", True): 1, ("g", False): 3, ("misspelled", False): 1}


async def test_open_polls_are_seen_with_their_hostnames(place: Place) -> None:
    poll = place.polling("etl")
    await place.passes(0)

    assert place.service.pollers == {"etl": ("host",)}
    poll.cancel()
    await place.passes(0)
    assert place.service.pollers == {}


async def test_alarms_are_seen_the_last_one_first(place: Place) -> None:
    pipe = await place.pipeline(
        on_demand(
            shell("A", onSuccess=ref("Done")),
            alarm("Done", subject="done: #{node.name}"),
        )
    )
    other = await place.pipeline(
        on_demand(shell("B", onSuccess=ref("Told")), alarm("Told")), name="other"
    )
    await place.work()

    seen = await overview(place)

    assert [(each.action, each.pipeline_name) for each in seen.alarms] == [
        ("Told", "other"),
        ("Done", "p"),
    ]
    assert [each.action for each in (await close(place, pipe)).alarms] == ["Done"]
    assert (seen.alarms[0].pipeline_id, seen.alarms[0].about) == (other.id, at("B"))
    assert (seen.alarms[1].subject, seen.alarms[1].message) == ("done: A", "it is FINISHED")


# -- one pipeline -------------------------------------------------------------------------


async def test_a_pipeline_without_a_definition_is_seen_as_such(place: Place) -> None:
    answer = await place.client.create_pipeline("p", "unique", tags=tags(team="data"))

    seen = await close(place, Pipe(place, answer.pipeline_id))

    assert (seen.unique_id, seen.tags, seen.version) == ("unique", (("team", "data"),), None)
    assert (seen.objects, seen.runs, seen.older, seen.statuses) == ((), (), None, {})
    assert not seen.newer


async def test_runs_are_seen_the_last_one_first_with_what_became_of_them(place: Place) -> None:
    objects = every("1 hour", shell("A", output=ref("D")), data("D"), maximumRetries="0")
    pipe = await place.pipeline(objects)
    await place.fail()
    await place.until(HOUR)

    seen = await close(place, pipe)

    latest, first = seen.runs
    assert (latest.start, latest.end) == (clock_time(HOUR), clock_time(2 * HOUR))
    assert latest.statuses == {"WAITING_FOR_RUNNER": 1, "WAITING_ON_DEPENDENCIES": 1}
    assert seen.statuses == {"A": "WAITING_FOR_RUNNER", "D": "WAITING_ON_DEPENDENCIES"}
    failed, waiting = first.instances
    assert (failed.component, failed.kind, failed.status) == ("A", "activity", "FAILED")
    (attempt,) = failed.attempts
    assert (attempt.number, attempt.status, attempt.hostname) == (1, "FAILED", "host")
    assert (attempt.error_id, attempt.error_message) == ("E", "broken")
    assert waiting.waiting_on == (at("A"),)


async def test_progress_is_seen_at_the_attempt(place: Place) -> None:
    pipe = await place.pipeline(on_demand(shell("A")))
    task = await place.take()
    await place.report(task, percentComplete="40")

    (run,) = (await close(place, pipe)).runs

    (attempt,) = run.instances[0].attempts
    assert attempt.progress == (("percentComplete", "40"),)
    assert attempt.reported == clock_time(0)


async def test_older_runs_are_seen_when_they_are_asked_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sight, "RUNS", 2)
    pipe = await place.pipeline(every("1 hour", shell("A")))
    await place.until(3 * HOUR)

    last = await close(place, pipe)
    before = await close(place, pipe, last.older)

    hours = [clock_time(each * HOUR) for each in (3, 2, 1, 0)]
    assert [run.start for run in last.runs] == hours[:2]
    assert [run.start for run in before.runs] == hours[2:]
    assert (last.older, before.older) == (hours[1], None)


async def test_what_is_put_after_an_activation_is_not_yet_what_is_seen(place: Place) -> None:
    pipe = await place.pipeline(every("1 day", shell("A")))
    await pipe.put(every("1 day", shell("A"), shell("B")))

    seen = await close(place, pipe)

    assert seen.newer
    assert "B" not in [each.id for each in seen.objects]


async def test_values_that_are_given_at_the_activation_make_nothing_newer(place: Place) -> None:
    pipe = await place.create()
    await pipe.put(on_demand(shell("A", command="#{myWord}")), [{"id": "myWord", "type": "String"}])
    await pipe.activate(myWord="hello")

    assert not (await close(place, pipe)).newer


async def test_errors_are_seen_until_a_definition_without_any_is_put(place: Place) -> None:
    pipe = await place.create()
    bad = [{"id": "B", "type": "ShellCommandActivity", "*token": "Nowhere"}]
    await pipe.put(on_demand(shell("A", dependsOn=ref("Nowhere")), *bad))
    first = await close(place, pipe)
    await pipe.put(on_demand(shell("A")))
    mended = await close(place, pipe)
    await pipe.activate()
    await pipe.put(on_demand(shell("A"), *bad))
    again = await close(place, pipe)
    await pipe.put(on_demand(shell("C")))
    forbidden = await close(place, pipe)

    missing = ("B", "MISSING_FIELD: 'command' is missing, and so is 'scriptUri'")
    assert first.errors == (
        ("A", "UNRESOLVED_REFERENCE: 'dependsOn' refers to '***', which is not there"),
        missing,
    )
    assert mended.errors == ()
    assert again.errors == (missing,)
    text = "FORBIDDEN_CHANGE: an object cannot be removed once activated."
    assert forbidden.errors == (("A", text),)


async def test_of_a_wide_run_those_are_seen_that_failed_or_have_not_ended(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sight, "INSTANCES", 3)
    pipe = await place.pipeline(
        on_demand(
            shell("A"),
            *(shell(each, dependsOn=ref("A")) for each in "BCD"),
            maximumRetries="0",
        )
    )
    waiting = (await close(place, pipe)).runs[0]
    await place.work(at_most=1)
    task = await place.begin()
    await place.fail()
    working = (await close(place, pipe)).runs[0]

    assert [each.component for each in waiting.instances] == ["A", "B", "C"]
    shown = {each.component: each.status for each in working.instances}
    assert list(shown.items()) == [
        ("B", "RUNNING"),
        ("C", "FAILED"),
        ("D", "WAITING_FOR_RUNNER"),
    ]
    await place.end(task)


# -- secrets ------------------------------------------------------------------------------


async def test_no_secret_is_seen_wherever_it_comes_up(place: Place) -> None:
    pipe = await place.create()
    objects = on_demand(
        shell("A", command="login #{*myPassword}", onFail=ref("Told")),
        data("Db", **{"*token": "t0ken-of-db", "*other": ref("A")}),
        alarm("Told", message="with #{*myPassword} and #{*myDefault}"),
        maximumRetries="0",
    )
    parameters = [
        {"id": "*myPassword", "type": "String"},
        {"id": "*myDefault", "type": "String", "default": "hunter2-by-default"},
        {"id": "myPlain", "type": "String", "default": "plain"},
    ]
    answer = await pipe.put(objects, parameters, {"*myPassword": "hunter2", "myPlain": "word"})
    assert not answer.errored, answer.validation_errors
    await place.client.create_pipeline("other", "u", description="hunter2 is no secret of mine")
    await pipe.activate()
    task = await place.begin()
    await place.report(task, **{"*key": "k3y", "said": "hunter2!"})
    await place.end(
        task,
        "FAILED",
        error_id="hunter2",
        error_message="no login with hunter2",
        error_stack_trace="login('hunter2', 't0ken-of-db')",
    )

    seen = await close(place, pipe)
    shown = json.dumps(
        [
            dataclasses.asdict(dataclasses.replace(seen, definition="")),
            dataclasses.asdict(await overview(place)),
        ]
    )

    attempt = seen.runs[0].instances[0].attempts[0]
    assert attempt.error_message == "no login with ***"
    assert attempt.progress == (("*key", "***"), ("said", "***!"))
    assert seen.alarms[0].message == "with *** and ***"
    assert dict(seen.parameters) == {"*myPassword": "***", "myPlain": "word"}
    assert shown.count("hunter2") == 1  # the other pipeline's
    assert "t0ken" not in shown
    assert "k3y" not in shown


async def test_a_secret_of_one_character_is_hidden_too(place: Place) -> None:
    pipe = await place.create("p")
    await pipe.put(on_demand(shell("A", command="pay 7", **{"*pin": "7"})))

    seen = await close(place, pipe)

    assert dict(seen.objects[1].fields)["command"] == "pay ***"


async def test_what_must_not_change_is_told_without_secrets(place: Place) -> None:
    pipe = await place.create("p")
    await pipe.put(on_demand(shell("A"), data("Out")))
    await pipe.activate()
    await pipe.put(
        on_demand(shell("A"), data("Out"), shell("B", output=ref("Out"), **{"*token": "Out"}))
    )

    seen = await close(place, pipe)

    text = "FORBIDDEN_CHANGE: '***' cannot become the output of a new object."
    assert seen.errors == (("B", text),)


async def test_an_empty_secret_hides_nothing(place: Place) -> None:
    pipe = await place.create("p")
    await pipe.put(on_demand(shell("A", **{"*password": " "})))

    seen = await close(place, pipe)

    assert dict(seen.objects[1].fields)["command"] == "true"
