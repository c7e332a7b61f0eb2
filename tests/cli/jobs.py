"""Task runners to be named on a command line."""

from __future__ import annotations

from aiodatapipeline.runner import Event, Task, TaskRunner

events: list[str] = []


def remember(event: Event) -> None:
    events.append(event.kind)


runner = TaskRunner("nobody's", max_concurrency=2, on_event=remember)
nothing = 7
done: list[str] = []


@runner.handler("ShellCommandActivity")
async def shell(task: Task) -> None:
    """Do no work."""
    done.append(task.object.string("command") or "")


def make() -> TaskRunner:
    return TaskRunner("made")
