"""What is on disk when, and what becomes of a service whose disk is full."""

# What a disk does wrong is done to the service's own store.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from aiodatapipeline._clock import VirtualClock
from aiodatapipeline.errors import InternalServiceError
from aiodatapipeline.local import _store
from aiodatapipeline.local._engine._views import Views
from aiodatapipeline.local._schema import APPLICATION_ID, VERSIONS
from aiodatapipeline.local._store import Batch, Store, StoreError
from aiodatapipeline.local._switches import Switches
from tests.local.service import HOUR, MINUTE, START, Place, every, on_demand, serving, shell

_ADD = "INSERT INTO timer VALUES (?, 1, 0)"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@contextlib.contextmanager
def opened(path: str, **told: Callable[[], None]) -> Generator[Store, None, None]:
    store = Store(path, **told)
    try:
        yield store
    finally:
        store.close()


def kinds(store: Store) -> list[str]:
    return [kind for (kind,) in store.all("SELECT kind FROM timer ORDER BY kind")]


def on_disk(path: str) -> list[str]:
    """What a store has when everything that is not written is lost, as after kill -9."""
    copy = f"{path}-copy"
    for suffix in ("", "-wal"):
        Path(copy + suffix).unlink(missing_ok=True)
        if Path(path + suffix).exists():
            shutil.copy(path + suffix, copy + suffix)
    with opened(copy) as store:
        return kinds(store)


def in_another_process(code: str, *arguments: str) -> str:
    """Run a program that prints what it saw."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def fill(store: Store) -> None:
    """Let there be no room for another page."""
    (pages,) = store.one("PRAGMA page_count") or (0,)
    store.one(f"PRAGMA max_page_count={pages}")


def make_room(store: Store) -> None:
    store.one("PRAGMA max_page_count=1000000")


def _fail_after(changed: int) -> None:
    raise KeyError(changed)


BIG = "x" * 50_000


# -- units and batches ----------------------------------------------------------------------------


async def test_a_unit_happens_whole_or_not_at_all(path: str) -> None:
    taken_back: list[int] = []
    with opened(path, on_rollback=lambda: taken_back.append(1)) as store:
        with store.unit():
            store.do(_ADD, "first")
        with pytest.raises(KeyError), store.unit():
            _fail_after(store.do(_ADD, "second"))
        with store.unit():
            store.many(_ADD, [("third",), ("fourth",)])

        assert kinds(store) == ["first", "fourth", "third"]
        assert taken_back == [1]


async def test_a_unit_in_memory_happens_whole_or_not_at_all() -> None:
    with opened(":memory:") as store:
        with store.unit() as batch:
            store.do(_ADD, "first")
        with pytest.raises(StoreError, match="no such table"), store.unit():
            store.many("INSERT INTO absent VALUES (?)", [(store.do(_ADD, "second"),)])
        await batch.durable()

        assert kinds(store) == ["first"]


async def test_units_of_one_turn_are_on_disk_together_and_before_anybody_is_told(
    path: str,
) -> None:
    with opened(path) as store:
        with store.unit() as first:
            store.do(_ADD, "first")
        with store.unit() as second:
            store.do(_ADD, "second")
        before = on_disk(path)
        await first.durable()

        assert (before, on_disk(path)) == ([], ["first", "second"])
        assert first is second
        with store.unit() as third:
            store.do(_ADD, "third")
        assert third is not first
        await first.durable()  # which has been for long, and takes no turn
        assert on_disk(path) == ["first", "second"]


async def test_a_unit_that_is_alone_is_on_disk_in_the_next_turn(path: str) -> None:
    with opened(path) as store:
        with store.unit():
            store.do(_ADD, "alone")
        await asyncio.sleep(0)

        assert on_disk(path) == ["alone"]


async def test_where_units_come_at_once_those_of_the_next_turns_share_their_sync(
    path: str,
) -> None:
    with opened(path) as store:
        with store.unit() as batch:
            store.do(_ADD, "first")
        for kind in ("second", "third", "fourth"):
            with store.unit() as joined:
                store.do(_ADD, kind)
            assert joined is batch
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        before = on_disk(path)
        await batch.durable()

        assert (before, on_disk(path)) == ([], ["first", "fourth", "second", "third"])


async def test_units_that_come_without_end_are_not_waited_for(path: str) -> None:
    with opened(path) as store:
        batches: list[Batch] = []
        for number in range(300):
            with store.unit() as batch:
                store.do(_ADD, str(number))
            if number:  # the first two come together
                await asyncio.sleep(0)
            if batch not in batches:
                batches.append(batch)

        assert len(batches) > 300 / 100


async def test_what_was_read_is_on_disk_when_its_batch_is(path: str) -> None:
    with opened(path) as store:
        await store.batch.durable()
        with store.unit():
            store.do(_ADD, "first")

        assert kinds(store) == ["first"]
        await store.batch.durable()
        assert on_disk(path) == ["first"]


async def test_who_no_longer_waits_is_not_told(path: str) -> None:
    with opened(path) as store:
        with store.unit() as batch:
            store.do(_ADD, "first")
        gone = asyncio.ensure_future(batch.durable())
        stays = asyncio.ensure_future(batch.durable())
        gone.cancel()

        await stays
        assert on_disk(path) == ["first"]


async def test_a_batch_tells_everybody_who_still_waits() -> None:
    batch = Batch()
    gone, stays = (asyncio.ensure_future(batch.durable()) for _ in range(2))
    await asyncio.sleep(0)

    gone.cancel()
    batch.settle()

    await stays
    assert (await asyncio.gather(gone, return_exceptions=True))[0].__class__ is (
        asyncio.CancelledError
    )


async def test_closing_writes_what_is_not_on_disk_yet(path: str) -> None:
    store = Store(path)
    with store.unit() as batch:
        store.do(_ADD, "first")

    store.close()

    await batch.durable()
    with opened(path) as again:
        assert kinds(again) == ["first"]
    with pytest.raises(StoreError, match="cannot write the store"), store.unit():
        pass


async def test_an_insert_gives_the_number_of_its_row_and_a_change_how_many(path: str) -> None:
    alarm = "INSERT INTO alarm (pipeline, time, action, node, fields) VALUES (1, '', '', '', '')"
    with opened(path) as store, store.unit():
        assert (store.insert(alarm), store.insert(alarm)) == (1, 2)
        assert store.do("UPDATE alarm SET pipeline = 2") == 2
        assert store.one("SELECT seq FROM alarm WHERE pipeline = 1") is None


async def test_an_empty_store_has_its_tables_still(path: str) -> None:
    with opened(path) as store:
        with store.unit():
            store.do(_ADD, "first")
            store.empty()

        assert kinds(store) == []


# -- what cannot be written ------------------------------------------------------------------------


async def test_a_full_disk_loses_the_batch_and_says_so_to_everybody_in_it(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[int] = []
    with opened(path, on_loss=lambda: lost.append(1)) as store:
        with store.unit() as earlier:
            store.do(_ADD, "earlier")
        await earlier.durable()
        with store.unit() as batch:
            store.do(_ADD, "first")
        waiting = asyncio.ensure_future(batch.durable())
        fill(store)
        with pytest.raises(StoreError, match="full"), store.unit():
            store.do(_ADD, BIG)

        with pytest.raises(StoreError, match=r"cannot write the store .* full"):
            await waiting
        with pytest.raises(StoreError, match="full"):  # also who asks later
            await batch.durable()
        make_room(store)
        with store.unit() as later:
            store.do(_ADD, "later")
        await later.durable()

        assert kinds(store) == on_disk(path) == ["earlier", "later"]
        assert lost == [1]
    assert "is lost" in caplog.text


async def test_a_full_memory_loses_one_unit() -> None:
    lost: list[int] = []
    with opened(":memory:", on_loss=lambda: lost.append(1)) as store:
        with store.unit():
            store.do(_ADD, "first")
        fill(store)

        with pytest.raises(StoreError, match="full"), store.unit():
            store.do(_ADD, BIG)

        assert (kinds(store), lost) == (["first"], [])
        await store.batch.durable()


# The limit for the size of files stands for a full disk: the write of the commit itself fails.
_FULL_AT_COMMIT = """
import asyncio, resource, signal, sys
from aiodatapipeline.local._store import Store, StoreError
from pathlib import Path

async def main(path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    lost = []
    store = Store(path, on_loss=lambda: lost.append(1))
    with store.unit() as batch:
        store.do("INSERT INTO timer VALUES ('first', 1, 0)")
    await batch.durable()
    size = Path(path + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
    with store.unit() as batch:
        store.do("INSERT INTO timer VALUES ('second', 1, 0)")
    try:
        await batch.durable()
    except StoreError as error:
        print(str(error).partition(": ")[2], lost, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with store.unit() as batch:
        store.do("INSERT INTO timer VALUES ('third', 1, 0)")
    await batch.durable()
    print([kind for (kind,) in store.all("SELECT kind FROM timer ORDER BY kind")], flush=True)
    import os; os._exit(0)

asyncio.run(main(sys.argv[1]))
"""


def test_a_commit_that_fails_loses_its_batch_and_no_other(path: str) -> None:
    seen = in_another_process(_FULL_AT_COMMIT, path).splitlines()

    assert seen[0] in {"disk I/O error [1]", "database or disk is full [1]"}
    assert seen[1:] == ["['first', 'third']"]
    with opened(path) as store:
        assert kinds(store) == ["first", "third"]


# -- what cannot be opened -------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="there are no such permissions")
async def test_what_is_in_a_store_is_for_its_owner_alone(path: str) -> None:
    before = os.umask(0o022)
    try:
        with opened(path) as store:
            with store.unit():
                store.do(_ADD, "a")
            files = list(Path(path).parent.glob("store*"))
            modes = {each.name: each.stat().st_mode & 0o077 for each in files}
    finally:
        os.umask(before)

    assert modes == {"store": 0, "store-wal": 0}


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "none" / "store")

    with pytest.raises(StoreError, match=r"none/store'.* its directory is not there"):
        Store(path)


def test_a_file_is_no_directory_for_a_store(path: str) -> None:
    Path(path).touch()

    with pytest.raises(StoreError, match=r"store/in'.* its directory is not there"):
        Store(f"{path}/in")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_store_that_the_disk_has_no_room_for_is_refused() -> None:
    with pytest.raises(StoreError, match="cannot open the store '/dev/full': disk I/O error"):
        Store("/dev/full")


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_names_no_file_is_refused(path: str) -> None:
    with pytest.raises(StoreError, match="no name of a file"):
        Store(path)


@pytest.mark.skipif(sys.platform == "win32", reason="no name of a file has a colon there")
def test_a_name_that_looks_like_a_uri_is_that_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    Store("file:store?mode=memory").close()

    assert [each.name for each in tmp_path.iterdir()] == ["file:store?mode=memory"]


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot open the store .* it is a directory"):
        Store(str(tmp_path))


def test_a_file_that_is_no_database_is_left_as_it_is(path: str) -> None:
    Path(path).write_text("a letter to a friend\n" * 100)

    with pytest.raises(StoreError, match="it is no SQLite database"):
        Store(path)

    assert Path(path).read_text() == "a letter to a friend\n" * 100


@pytest.mark.parametrize(
    "made", ["CREATE TABLE bill (id)", "PRAGMA application_id=7", "PRAGMA user_version=1"]
)
def test_the_database_of_another_program_is_left_as_it_is(path: str, made: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as theirs:
        theirs.execute(made)
        theirs.commit()
    before = Path(path).read_bytes()

    with pytest.raises(StoreError, match="another program's data is in it"):
        Store(path)

    assert Path(path).read_bytes() == before


def test_an_empty_file_becomes_a_store(path: str) -> None:
    Path(path).touch()

    with opened(path) as store:
        assert kinds(store) == []
    with contextlib.closing(sqlite3.connect(path)) as found:
        assert found.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_store_that_this_process_has_open_is_refused(path: str) -> None:
    with opened(path):
        begun = time.monotonic()
        with pytest.raises(StoreError, match="is in use: another service has it open"):
            Store(path)
        took = time.monotonic() - begun
    with opened(path):
        pass

    assert took < 3  # SQLite itself waits for 5 seconds


def test_a_store_that_another_process_has_open_is_refused(path: str) -> None:
    code = """
import sys
from aiodatapipeline.local._store import Store, StoreError
try:
    Store(sys.argv[1])
except StoreError as error:
    print(error)
"""
    with opened(path):
        refused = in_another_process(code, path)

    assert refused == (
        f"the store {path!r} is in use: another service has it open, and only one can at a time"
    )


_WITHOUT_RIGHTS = """
import os, sys
from aiodatapipeline.local._store import Store, StoreError
root = os.getuid() == 0
if root:  # which may do everything
    os.setresuid(65534, 65534, 0)
for path in sys.argv[1:]:
    try:
        Store(path)
    except StoreError as error:
        print(error)
if root:  # to write down which lines it ran
    os.setresuid(0, 0, 0)
"""


def test_where_nobody_may_write_or_look_a_store_is_refused() -> None:
    # Not among those that pytest makes, which other users cannot come to.
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        with opened(str(place / "store")):
            pass
        (place / "store").chmod(0o444)
        for directory, mode in (("shown", 0o555), ("hidden", 0o000)):
            (place / directory).mkdir(mode=mode)
        paths = [str(place / each) for each in ("store", "shown/store", "hidden/store")]
        paths.append(str(place / "hidden" / "more" / "store"))

        refused = in_another_process(_WITHOUT_RIGHTS, *paths).split("\n")

    assert [
        each.removeprefix(f"cannot open the store {path!r}: ")
        for each, path in zip(refused, paths, strict=True)
    ] == [
        "it must not be written",
        "its directory must not be written",
        "its directory must not be written",
        "its directory cannot be looked into",
    ]


# -- versions --------------------------------------------------------------------------------------


def test_a_newer_store_is_refused_and_left_as_it_is(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(_store, "VERSIONS", (*VERSIONS, "CREATE TABLE more (x)"))
        Store(path).close()

    with pytest.raises(StoreError, match=r"by a newer version .*\(version 2, and this knows 1\)"):
        Store(path)

    with contextlib.closing(sqlite3.connect(path)) as found:
        assert found.execute("PRAGMA user_version").fetchone() == (2,)


async def test_an_older_store_is_brought_to_the_next_versions_with_what_is_in_it(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as store, store.unit():
        store.do(_ADD, "kept")
    steps = (
        "ALTER TABLE timer ADD COLUMN why TEXT; UPDATE timer SET why = 'before'",
        "CREATE TABLE more (x)",
    )
    monkeypatch.setattr(_store, "VERSIONS", (*VERSIONS, *steps))

    with opened(path) as store:
        assert store.all("SELECT kind, why FROM timer") == [("kept", "before")]
        assert store.all("SELECT * FROM more") == []
        assert store.one("PRAGMA user_version") == (3,)


async def test_a_step_to_the_next_version_that_fails_changes_nothing(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as store, store.unit():
        store.do(_ADD, "kept")
    with monkeypatch.context() as later:
        later.setattr(_store, "VERSIONS", (*VERSIONS, "DELETE FROM timer; CREATE TABLE timer (x)"))
        with pytest.raises(StoreError, match="table timer already exists"):
            Store(path)

    with opened(path) as store:
        assert kinds(store) == ["kept"]


# -- what a crash leaves ---------------------------------------------------------------------------


def _length(path: str) -> int:
    return Path(f"{path}-wal").stat().st_size


def _log_of(path: str) -> bytes:
    return Path(f"{path}-wal").read_bytes()


def _with_log(path: str, log: bytes | None) -> list[str]:
    """Open what a crash left, with another log or none."""
    torn = f"{path}-torn"
    shutil.copy(f"{path}-crashed", torn)
    Path(f"{torn}-wal").unlink(missing_ok=True)
    if log is not None:
        Path(f"{torn}-wal").write_bytes(log)
    with opened(torn) as store:
        assert store.one("PRAGMA integrity_check") == ("ok",)
        return kinds(store)


async def _crashed(path: str, count: int) -> list[int]:
    """Leave a store as a crash does; give how long its -wal was after each batch."""
    lengths: list[int] = []
    with opened(path) as store:
        for number in range(count):
            with store.unit() as batch:
                store.do(_ADD, f"{number:03}")
            await batch.durable()
            lengths.append(_length(path))
        for suffix in ("", "-wal"):
            shutil.copy(path + suffix, f"{path}-crashed{suffix}")
    return lengths


async def test_a_torn_log_loses_only_what_was_written_last(path: str) -> None:
    lengths = await _crashed(path, 6)
    whole = _log_of(f"{path}-crashed")

    for cut in sorted({*range(0, len(whole), 3001), *lengths, *(each - 1 for each in lengths)}):
        there = sum(each <= cut for each in lengths)
        assert _with_log(path, whole[:cut]) == [f"{number:03}" for number in range(there)], cut


async def test_a_log_with_a_flipped_byte_gives_a_whole_beginning_of_what_was_written(
    path: str,
) -> None:
    lengths = await _crashed(path, 6)
    whole = _log_of(f"{path}-crashed")

    for place in range(32, len(whole), 2777):
        torn = bytearray(whole)
        torn[place] ^= 0x55
        there = sum(each <= place for each in lengths)
        assert _with_log(path, bytes(torn)) == [f"{number:03}" for number in range(there)], place


async def test_without_its_log_a_store_is_as_it_was_when_that_was_last_worked_in(
    path: str,
) -> None:
    with opened(path) as store, store.unit():
        store.do(_ADD, "before")
    await _crashed(path, 3)

    assert _with_log(path, None) == ["before"]


# -- the service on it -----------------------------------------------------------------------------


@asynccontextmanager
async def stored(path: str, clock: VirtualClock | None = None) -> AsyncGenerator[Place, None]:
    async with serving(store=path, clock=clock) as place:
        yield place


def _store_of(place: Place) -> Store:
    return place.service._store


async def _create_without_end(place: Place) -> None:
    for number in range(1000):
        await place.client.create_pipeline(f"{number}" + "x" * 1000, "u")


async def test_a_full_disk_is_an_error_of_the_service_until_there_is_room(path: str) -> None:
    async with stored(path) as place:
        pipe = await place.create()
        fill(_store_of(place))

        with pytest.raises(InternalServiceError, match=r"cannot write the store .*full") as refused:
            await _create_without_end(place)
        listed = [each.id async for each in place.client.list_pipelines()]
        make_room(_store_of(place))
        later = await place.create("later")

        assert refused.value.status == 500
        assert pipe.id in listed
        ids = [each.id async for each in place.client.list_pipelines()]
        assert ids == [*listed, later.id]
    async with stored(path) as place:
        assert [each.id async for each in place.client.list_pipelines()] == ids


async def test_nobody_in_a_lost_batch_is_told_that_it_happened(path: str) -> None:
    async with stored(path) as place:
        kept = await place.create("kept")
        fill(_store_of(place))

        answers = await asyncio.gather(
            place.ask("CreatePipeline", name="small", uniqueId="u"),
            place.ask("CreatePipeline", name="small", uniqueId="u"),
            place.ask("DescribePipelines", pipelineIds=[kept.id]),
            place.ask("CreatePipeline", name="n", uniqueId="u", description="x" * 1024),
            *(
                place.ask("CreatePipeline", name=f"{n}", uniqueId="u" * 1000, description=BIG[:999])
                for n in range(20)
            ),
        )
        make_room(_store_of(place))

        assert all("InternalServiceError" in each for each in answers)  # reading may have seen it
        assert [each.name async for each in place.client.list_pipelines()] == ["kept"]


class _Refusing:
    """A database that takes nothing for a while."""

    def __init__(self, db: sqlite3.Connection, *starts: str) -> None:
        self._db, self._starts, self.full, self.takes_back = db, starts, True, False

    def execute(self, sql: str, arguments: tuple[object, ...] = ()) -> sqlite3.Cursor:
        if self.full and sql.startswith(self._starts):
            if self.takes_back:
                self._db.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")
        return self._db.execute(sql, arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def refuse(place: Place, *starts: str) -> _Refusing:
    """Let statements that start so fail as on a full disk."""
    store = _store_of(place)
    refusing = _Refusing(store._db, *starts)
    store._db = refusing  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    return refusing


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO task", "SAVEPOINT"])
async def test_a_task_is_given_to_a_held_poll_when_there_is_room_again(
    path: str, statement: str
) -> None:
    async with stored(path) as place:
        pipe = await place.pipeline(
            on_demand(shell("A"), shell("B", dependsOn={"ref": "A"})), activate=True
        )
        first = await place.begin()
        held = [place.polling() for _ in range(2)]
        await place.passes(0)
        refusing = refuse(place, statement)
        if statement == "INSERT INTO task":  # a task whose hand-over is all that fails
            await place.end(first)
        else:
            with pytest.raises(InternalServiceError):
                await place.client.set_task_status(first.task_id, "FINISHED")
            await place.passes(0)
        refusing.full = False
        await place.passes(10)
        if statement != "INSERT INTO task":
            assert not any(each.done() for each in held)
            await place.end(first)

        done = [each for each in held if each.done()]
        given = [await each for each in done]
        assert [each and each.attempt_id[:2] for each in given] == ["@B"]
        for each in held:
            each.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        assert (await pipe.run())["A"] == "FINISHED"


async def test_a_poll_whose_task_could_not_be_written_is_refused_and_the_task_goes_to_another(
    path: str,
) -> None:
    async with stored(path) as place:
        await place.pipeline(on_demand(shell("A")))
        refusing = refuse(place, "COMMIT")

        refused = await place.ask("PollForTask", workerGroup="g")
        waiting = place.polling()
        refusing.full = False
        await place.passes(10)

        assert "InternalServiceError" in refused
        task = await waiting
        assert task is not None
        assert not await place.report(task)


async def test_timers_go_off_when_there_is_room_again(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with stored(path) as place:
        pipe = await place.pipeline(every("1 hour", shell("A")))
        refusing = refuse(place, "COMMIT")

        await place.passes(3 * HOUR)
        before = len(await _ids_now(place, pipe.id))
        refusing.full = False
        await place.passes(MINUTE)

        assert (before, len(await pipe.ids())) == (1, 4)


async def _ids_now(place: Place, pipeline_id: str) -> list[str]:
    found: list[str] = (await place.ask("QueryObjects", pipelineId=pipeline_id, sphere="INSTANCE"))[
        "ids"
    ]
    return found


async def test_a_timer_that_cannot_begin_its_unit_waits_for_room(path: str) -> None:
    async with stored(path) as place:
        pipe = await place.pipeline(every("1 hour", shell("A")))
        refusing = refuse(place, "BEGIN")

        await place.passes(3 * HOUR)
        refusing.full = False
        await place.passes(MINUTE)

        assert len(await pipe.ids()) == 4


async def test_a_timer_that_fails_is_tried_again_and_the_others_go_off(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with stored(path) as place:
        good = await place.pipeline(every("1 hour", shell("A")), name="good")
        bad = await place.pipeline(every("1 hour", shell("A")), name="bad")
        (seq,) = _store_of(place).one("SELECT seq FROM pipeline WHERE name = 'bad'") or (0,)
        timers = place.service._timers
        broken = True

        def on_schedule(subject: int) -> None:
            row = _store_of(place).one("SELECT pipeline FROM component WHERE seq = ?", subject)
            if broken and row == (seq,):
                raise ValueError("broken")
            timers["schedule"](subject)

        place.service._timers = {**timers, "schedule": on_schedule}
        await place.passes(HOUR)
        seen = (len(await good.ids()), len(await bad.ids()))
        broken = False
        await place.passes(MINUTE)

        assert (seen, len(await bad.ids())) == ((2, 1), 2)
    assert "the timer schedule of" in caplog.text


async def test_a_task_that_cannot_be_shown_does_not_keep_others_from_theirs(
    path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stored(path) as place:
        await place.pipeline(on_demand(shell("A")))
        held = place.polling("other")
        with monkeypatch.context() as broken:
            broken.setattr(place.service._tasks, "hand_over", None)  # which nobody can call
            assert await place.poll() is None
        assert await place.take() is not None
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
    assert "cannot be handed over" in caplog.text


async def test_what_a_refused_request_had_changed_is_not_remembered(path: str) -> None:
    async with stored(path) as place:
        pipe = await place.create()
        refusing = refuse(place, "COMMIT")
        with pytest.raises(InternalServiceError):
            await pipe.put(on_demand(shell("A")))
        refusing.full = False

        await pipe.put(on_demand(shell("B")))
        await pipe.activate()

        assert list(await pipe.run()) == ["B"]
        assert await pipe.ids("COMPONENT") == ["B", "Default"]


async def test_after_closing_everything_is_refused_and_open_polls_are_over(path: str) -> None:
    async with stored(path) as place:
        await place.pipeline(on_demand(shell("A")))
        poll = place.polling("other")
        await place.passes(0)
        place.service.close()
        place.service.close()

        assert await poll is None
        for operation, members in (
            ("ListPipelines", {}),
            ("CreatePipeline", {"name": "n", "uniqueId": "u"}),
            ("PollForTask", {"workerGroup": "g"}),
        ):
            refused = await place.ask(operation, **members)
            assert refused == "InternalServiceError: the local service is closed"
        await place.passes(HOUR)


async def test_a_commit_that_fails_while_closing_harms_nobody(path: str) -> None:
    async with stored(path) as place:
        await place.create("kept")
        refuse(place, "COMMIT")
        lost = asyncio.ensure_future(place.ask("CreatePipeline", name="n", uniqueId="u"))
        await asyncio.sleep(0)

        place.service.close()

        assert "InternalServiceError" in await lost
    async with stored(path) as place:
        assert [each.name async for each in place.client.list_pipelines()] == ["kept"]


async def test_a_reset_store_is_empty_on_disk(path: str) -> None:
    async with stored(path) as place:
        await place.pipeline(every("1 hour", shell("A")))
        await place.service.reset()
    async with stored(path) as place:
        assert [each.id async for each in place.client.list_pipelines()] == []
        assert _store_of(place).all("SELECT * FROM timer") == []


async def test_leases_retries_and_schedules_go_on_after_a_restart(path: str) -> None:
    clock = VirtualClock(START)
    objects = every("1 hour", shell("A", retryDelay="10 minutes"))
    async with stored(path, clock) as place:
        pipe = await place.pipeline(objects)
        failed = await place.fail()
        await place.passes(HOUR)
        held = [await place.take(), await place.take()]
    clock_again = VirtualClock(START)
    await clock_again.advance(clock.time() - START.timestamp())
    async with stored(path, clock_again) as place:
        assert failed.endswith("Attempt=1")
        assert await place.poll() is None
        await place.passes(2 * MINUTE)  # nobody has acknowledged them
        taken = [await place.take(), await place.take()]
        await place.passes(HOUR)

        assert {each.attempt_id for each in taken} == {each.attempt_id for each in held}
        assert len(await _ids_now(place, pipe.id)) == 3


async def test_ids_that_a_seed_gives_do_not_repeat_after_a_restart(path: str) -> None:
    async with stored(path) as place:
        pipes = [await place.pipeline(on_demand(shell("A"), shell("B")))]
        tasks = [await place.take()]
    async with stored(path) as place:
        pipes.append(await place.create("other"))
        tasks.append(await place.take())

    assert pipes[0].id != pipes[1].id
    assert tasks[0].task_id != tasks[1].task_id


async def test_a_restart_catches_up_on_what_fell_due_meanwhile(path: str) -> None:
    async with stored(path) as place:
        pipe = await place.pipeline(every("1 hour", shell("A")))
    later = VirtualClock(START)
    await later.advance(5 * HOUR)
    async with stored(path, later) as place:
        await place.passes(0)

        assert len(await _ids_now(place, pipe.id)) == 6


async def test_a_refusal_waits_for_what_it_goes_by(path: str) -> None:
    async with stored(path) as place:
        pipe = await place.pipeline(on_demand(shell("A")))
        task = await place.begin()
        refuse(place, "COMMIT")

        first, second = await asyncio.gather(
            place.ask("SetTaskStatus", taskId=task.task_id, taskStatus="FINISHED"),
            place.ask("SetTaskStatus", taskId=task.task_id, taskStatus="FINISHED"),
        )

        assert "InternalServiceError" in first
        assert "InternalServiceError" in second  # and not that the task is done
        assert (await pipe.run()) == {"A": "RUNNING"}


async def test_an_unknown_request_needs_no_disk(path: str) -> None:
    async with stored(path) as place:
        refuse(place, "BEGIN", "COMMIT")

        assert "UnknownOperationException" in await place.ask("Fly")
        assert "SerializationException" in await place.ask("CreatePipeline", b"?")


async def test_a_poll_called_off_with_its_task_on_the_way_gives_that_back(path: str) -> None:
    async with stored(path) as place:
        await place.pipeline(on_demand(shell("A")))
        body = json.dumps({"workerGroup": "g"}).encode()
        gone = asyncio.ensure_future(place.service.answer("PollForTask", body))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)

        assert (await place.take()).attempt_id.startswith("@A")


@pytest.mark.parametrize("switches", [Switches(), Switches.HOSTILE], ids=["default", "hostile"])
async def test_a_poll_that_hangs_up_on_a_full_disk_keeps_its_task_for_the_lease(
    path: str, switches: Switches, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(switches, store=path) as place:
        await place.pipeline(on_demand(shell("A")))
        body = json.dumps({"workerGroup": "g"}).encode()
        poll = asyncio.ensure_future(place.service.answer("PollForTask", body))
        await asyncio.sleep(0)
        poll.cancel()
        refusing = refuse(place, "SAVEPOINT", "BEGIN")
        await asyncio.gather(poll, return_exceptions=True)
        refusing.full = False

        await place.passes(13 * MINUTE)
        assert await place.take() is not None
    assert ("its lease is over" in caplog.text) == switches.notices_hangup


async def test_a_poll_is_over_in_time_while_the_disk_is_full(path: str) -> None:
    async with stored(path) as place:
        poll = place.polling()
        await place.passes(88)
        refusing = refuse(place, "COMMIT")
        with pytest.raises(InternalServiceError):
            await place.create()
        await place.passes(2)

        assert poll.done()
        assert await poll is None
        refusing.full = False


async def test_a_database_that_has_taken_all_back_itself_is_not_asked_to(path: str) -> None:
    async with stored(path) as place:
        refusing = refuse(place, "COMMIT")
        refusing.takes_back = True
        with pytest.raises(InternalServiceError, match="full"):
            await place.create("lost")
        refusing.full = False

        await place.create("kept")
        assert [each.name async for each in place.client.list_pipelines()] == ["kept"]


def test_a_store_that_can_only_be_read_is_refused(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(path).touch()
    only_read = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    monkeypatch.setattr(sqlite3, "connect", Mock(return_value=only_read))

    with pytest.raises(StoreError, match="must not be written"):
        Store(path)


async def test_a_failure_of_the_service_is_told_without_its_details(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Views, "list_pipelines", Mock(side_effect=ValueError("a detail")))
    async with serving() as place:
        said = await place.ask("ListPipelines")

        assert said == "InternalServiceError: the local service failed: its log tells why"
        await place.create()  # it lives
    assert "ListPipelines failed" in caplog.text
    assert "a detail" in caplog.text
