"""Clocks: one that is the machine's, and one that stands still until it is moved."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from datetime import UTC, datetime
from functools import partial
from unittest.mock import Mock, patch

import pytest

from aiodatapipeline._clock import (
    SystemClock,
    VirtualClock,
    _turns,  # pyright: ignore[reportPrivateUsage]
    sleep,
    sleep_until,
)

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


# -- the virtual clock -----------------------------------------------------------------------------


async def test_time_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock()

    assert clock.time() == START
    await clock.advance(2.5)
    assert clock.time() == START + 2.5


@pytest.mark.parametrize("seconds", [-1, float("nan")])
async def test_time_does_not_go_back(seconds: float) -> None:
    with pytest.raises(ValueError, match="goes on by 0 seconds or more"):
        await VirtualClock().advance(seconds)


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        VirtualClock(datetime(2026, 1, 1))  # noqa: DTZ001  # that is what is refused


async def test_calls_are_made_in_the_order_of_their_times_and_at_those() -> None:
    clock = VirtualClock()
    made: list[tuple[str, float]] = []

    def note(name: str) -> None:
        made.append((name, clock.time() - START))

    for name, after in (("late", 20), ("early", 10), ("first of two", 15), ("second", 15)):
        clock.call_at(START + after, partial(note, name))

    await clock.advance(19)

    assert made == [("early", 10), ("first of two", 15), ("second", 15)]
    await clock.advance(1)
    assert made[3:] == [("late", 20)]


async def test_what_is_past_is_called_soon_and_not_at_once() -> None:
    clock = VirtualClock()
    made: list[float] = []
    clock.call_at(START - 5, lambda: made.append(clock.time()))
    off = clock.call_at(START, lambda: made.append(0))
    off.cancel()

    assert made == []
    await clock.advance(0)
    assert made == [START]


async def test_an_appointment_made_on_the_way_is_kept_on_the_way() -> None:
    clock = VirtualClock()
    made: list[float] = []

    def again() -> None:
        made.append(clock.time() - START)
        clock.call_at(clock.time() + 10, again)

    clock.call_at(START + 10, again)
    await clock.advance(35)

    assert made == [10, 20, 30]


async def test_a_coroutine_that_wakes_up_works_at_that_time() -> None:
    clock = VirtualClock()
    seen: list[float] = []

    async def work() -> None:
        for _ in range(3):
            await sleep(clock, 10)
            for _ in range(20):  # awaits that take no time
                await asyncio.sleep(0)
            seen.append(clock.time() - START)

    working = asyncio.ensure_future(work())
    await clock.advance(100)

    assert seen == [10, 20, 30]
    await working


async def test_what_goes_to_and_fro_over_sockets_happens_before_time_goes_on() -> None:
    clock, loop = VirtualClock(), asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    seen: list[float] = []

    async def ask() -> None:
        await sleep(clock, 10)
        for _ in range(10):
            await loop.sock_sendall(ours, b"?")
            await loop.sock_recv(ours, 1)
            seen.append(clock.time() - START)

    async def answer() -> None:
        while await loop.sock_recv(theirs, 1):
            await loop.sock_sendall(theirs, b"!")

    with ours, theirs:
        both = asyncio.gather(ask(), answer())
        await asyncio.sleep(0)
        clock.call_at(START + 11, lambda: seen.append(11))
        await clock.advance(60)
        ours.shutdown(socket.SHUT_WR)
        await both

    assert seen == [10] * 10 + [11]


def test_an_event_loop_that_does_not_show_what_it_is_to_call_gets_all_its_turns() -> None:
    loop = Mock(spec=asyncio.AbstractEventLoop)

    turns = sum(1 for _ in _turns(loop))

    assert turns == 50


async def test_a_cancelled_call_is_not_made_even_when_it_is_next() -> None:
    clock = VirtualClock()
    made: list[str] = []
    second = clock.call_at(START + 10, lambda: made.append("second"))
    clock.call_at(START + 5, second.cancel)
    third = clock.call_at(START + 20, lambda: made.append("third"))
    third.cancel()
    third.cancel()

    await clock.advance(60)

    assert made == []


async def test_a_sleep_that_is_given_up_leaves_no_call() -> None:
    clock = VirtualClock()
    sleeping = asyncio.ensure_future(sleep_until(clock, START + 10))
    await clock.advance(5)
    sleeping.cancel()
    await asyncio.gather(sleeping, return_exceptions=True)

    await clock.advance(10)

    assert sleeping.cancelled()
    assert not clock._calls  # pyright: ignore[reportPrivateUsage]


async def test_a_callback_that_raises_says_so_to_whoever_moves_the_time() -> None:
    clock = VirtualClock()
    made: list[float] = []
    clock.call_at(START + 10, Mock(side_effect=IndexError))
    clock.call_at(START + 20, lambda: made.append(clock.time() - START))

    with pytest.raises(IndexError):
        await clock.advance(60)
    at = clock.time() - START
    await clock.advance(60)

    assert (at, made) == (10, [20])


async def test_time_waits_for_whoever_is_at_work() -> None:
    clock = VirtualClock()
    seen: list[float] = []
    answered = threading.Event()

    async def ask() -> None:
        with clock.working():
            await asyncio.to_thread(answered.wait)
            seen.append(clock.time() - START)

    clock.call_at(START + 10, lambda: tasks.append(asyncio.ensure_future(ask())))
    tasks: list[asyncio.Task[None]] = []
    moving = asyncio.ensure_future(clock.advance(60))
    while not tasks:  # noqa: ASYNC110  # the clock alone tells
        await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)
    held = moving.done()
    answered.set()
    await moving

    assert (held, seen) == (False, [10])


async def test_time_goes_on_though_somebody_takes_up_work_all_the_time() -> None:
    clock = VirtualClock()

    async def work() -> None:
        while True:
            with clock.working():
                pass
            await asyncio.sleep(0)

    working = asyncio.ensure_future(work())
    await clock.advance(10)
    working.cancel()

    assert clock.time() == START + 10


async def test_who_fails_at_work_holds_the_time_no_longer() -> None:
    clock = VirtualClock()
    with pytest.raises(KeyError), clock.working():
        raise KeyError

    await asyncio.wait_for(clock.advance(1), 5)


def test_event_loops_in_other_threads_have_their_calls_made_there() -> None:
    clock = VirtualClock()
    seen: list[tuple[str, float]] = []
    ready, stop = threading.Barrier(3), threading.Event()

    async def other(name: str, every: float) -> None:
        ready.wait(5)
        while not stop.is_set():
            await sleep(clock, every)
            seen.append((name, clock.time() - START))

    def run(name: str, every: float) -> None:
        asyncio.run(other(name, every))

    async def move() -> None:
        ready.wait(5)
        while len(clock._calls) < 2:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0)
        await clock.advance(60)
        stop.set()
        await clock.advance(30)  # everybody wakes up once more and leaves

    threads = [
        threading.Thread(target=partial(run, name, every))
        for name, every in (("ten", 10.0), ("thirty", 30.0))
    ]
    for each in threads:
        each.start()
    asyncio.run(move())
    for each in threads:
        each.join(5)

    assert not any(each.is_alive() for each in threads)
    assert [each for each in seen if each[1] <= 60 and each[0] == "ten"] == [
        ("ten", 10.0 * n) for n in range(1, 7)
    ]
    assert [each for each in seen if each[1] <= 60 and each[0] == "thirty"] == [
        ("thirty", 30),
        ("thirty", 60),
    ]


async def test_what_threads_hand_to_each_other_happens_before_time_goes_on() -> None:
    clock = VirtualClock()
    here, asked = asyncio.get_running_loop(), threading.Event()
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, clock.time() - START))

    def come_back(there: asyncio.AbstractEventLoop) -> None:
        note("here")
        there.call_soon_threadsafe(note, "there again")

    async def other() -> None:
        there = asyncio.get_running_loop()
        for _ in range(20):
            waiting = asyncio.ensure_future(sleep(clock, 10))
            await asyncio.sleep(0)
            asked.set()
            await waiting
            note("there")
            here.call_soon_threadsafe(come_back, there)

    def run() -> None:
        asyncio.run(other())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    await asyncio.to_thread(asked.wait, 5)
    await clock.advance(195)

    assert seen == [
        (name, 10.0 * n) for n in range(1, 20) for name in ("there", "here", "there again")
    ]
    await clock.advance(10)
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


async def test_a_call_in_an_event_loop_that_is_closed_is_passed_over() -> None:
    clock = VirtualClock()
    made: list[str] = []

    async def appoint() -> None:
        clock.call_at(START + 10, lambda: made.append("gone"))

    await asyncio.to_thread(asyncio.run, appoint())
    clock.call_at(START + 20, lambda: made.append("here"))

    await clock.advance(60)

    assert made == ["here"]


# -- the system's clock ----------------------------------------------------------------------------


async def test_the_system_clock_tells_the_time_of_day() -> None:
    assert abs(SystemClock().time() - time.time()) < 5
    with SystemClock().working():
        pass


async def test_the_system_clock_does_not_jump_with_the_machine() -> None:
    clock = SystemClock()
    before = clock.time()

    with patch("time.time", return_value=0.0):  # somebody sets it to 1970
        after = clock.time()

    assert before <= after < before + 60
    times = [clock.time() for _ in range(1000)]
    assert times == sorted(times)


async def test_the_system_clock_calls_when_it_is_time_and_not_when_called_off() -> None:
    clock = SystemClock()
    called: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    off = clock.call_at(clock.time(), lambda: called.set_exception(AssertionError))
    off.cancel()
    due = clock.time() + 0.02

    clock.call_at(due, lambda: called.set_result(clock.time()))

    assert await called >= due - 0.001  # an event loop is that exact
    past: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    clock.call_at(0, lambda: past.set_result(None))
    await past
