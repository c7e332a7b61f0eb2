"""Handlers that run in processes of their own: they are imported by name there."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from pydantic import BaseModel

from aiodatapipeline.runner import SyncTask, TaskFailed


class Job(BaseModel):
    """What the handlers are told."""

    command: str
    script_argument: list[str] = []


def returns(task: SyncTask) -> None:
    assert task.cancelled is None
    task.progress(50, process=os.getpid())


def tells(task: SyncTask, job: Job) -> None:
    raise TaskFailed("Told", f"{job.command} {job.script_argument} {task.attempt_id}")


def holds(_task: SyncTask) -> bool:
    return True


def raises(_task: SyncTask) -> None:
    raise ValueError("over there")


def exits(_task: SyncTask) -> None:
    sys.exit(3)


def dies(_task: SyncTask) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_as_a_parent(_task: SyncTask) -> None:
    if os.fork() == 0:
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGKILL)


def vanishes(_task: SyncTask) -> None:
    os._exit(7)


def _note(task: SyncTask, *numbers: int) -> None:
    """Write process ids where the test finds them, all at once."""
    path = Path(str(task.object.string("command")))
    path.with_suffix(".part").write_text(" ".join(map(str, numbers)))
    path.with_suffix(".part").rename(path)


def waits(task: SyncTask) -> None:
    _note(task, os.getpid())
    time.sleep(600)


def cleans_up(task: SyncTask) -> None:
    try:
        _note(task, os.getpid())
        time.sleep(600)
    finally:
        Path(f"{task.object.string('command')}.clean").touch()


def ignores(task: SyncTask) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _note(task, os.getpid())
    time.sleep(600)


def swallows(task: SyncTask) -> None:
    _note(task, os.getpid())
    while True:
        try:
            time.sleep(600)
        except BaseException:  # noqa: BLE001  # what nobody should write
            continue


def has_children(task: SyncTask) -> None:
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", script])
    _note(task, os.getpid(), child.pid)
    child.wait()


def leaves_children(task: SyncTask) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    _note(task, os.getpid(), child.pid)


def hogs(task: SyncTask) -> None:
    """Hold the interpreter's lock in C code, and note from when to when."""
    began = time.monotonic()
    sum(range(30_000_000))
    Path(str(task.object.string("command"))).write_text(f"{began} {time.monotonic()}")


# On a Dask cluster in this process, functions that are found by their names share these.
begun: queue.Queue[str] = queue.Queue()
release = threading.Event()


def waits_on_a_cluster(task: SyncTask) -> None:
    begun.put(task.attempt_id)
    release.wait()


def holds_a_cluster() -> str:
    begun.put("held")
    release.wait()
    return "done"
