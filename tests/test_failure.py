"""``SetTaskStatusRequest.failed``: any exception in words that the service takes."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline import SetTaskStatusRequest, TaskStatus
from aiodatapipeline._text import clean, first_refused

GAP = "\n[...]\n"


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


# A text that is none when it is asked.
WeirdText: Callable[[str], str] = type(
    "WeirdText",
    (str,),
    dict.fromkeys(("__str__", "__len__", "__getitem__", "__iter__", "encode"), _interrupt),
)


def exception_of(
    name: str, told: object, *args: str, weird: bool = False, base: type[Exception] = Exception
) -> Exception:
    """An exception of a class of its own, which tells something, or raises it."""

    def tell(_: object) -> object:
        if isinstance(told, BaseException):
            raise told
        return WeirdText(told) if weird and isinstance(told, str) else told

    made: Exception = type(name, (base,), {"__str__": tell, "__repr__": tell})(*args)
    return made


def raised(exception: BaseException, depth: int = 0) -> BaseException:
    """The exception with a traceback, and some frames in it."""
    try:
        _raise(exception, depth)
    except BaseException as caught:  # noqa: BLE001  # whatever it is
        return caught


def _raise(exception: BaseException, depth: int) -> NoReturn:
    if depth:
        _raise_deeper(exception, depth - 1)
    raise exception


def _raise_deeper(exception: BaseException, depth: int) -> NoReturn:
    # Two functions in turn: a traceback says it only once if one calls itself.
    _raise(exception, depth)


def whole_trace(exception: BaseException) -> str:
    return clean("".join(traceback.format_exception(exception)))


def check(exception: BaseException) -> SetTaskStatusRequest:
    """What holds for the request, whatever the exception."""
    request = SetTaskStatusRequest.failed("task", exception)

    assert SetTaskStatusRequest.from_wire(request.to_wire()) == request
    assert request.task_id == "task"
    assert request.task_status is TaskStatus.FAILED
    texts = (request.error_id, request.error_message, request.error_stack_trace)
    for text in texts:
        assert type(text) is str
        assert first_refused(text) is None
    error_id, message, stack_trace = map(str, texts)
    assert 1 <= len(error_id) <= 1024
    assert not error_id.startswith("Service_")
    assert len(message.encode()) <= 2048
    assert 1 <= len(stack_trace) <= 1024
    return request


ANY_TEXT = st.text(st.characters())  # lone surrogates and control characters included
LONG_TEXT = st.tuples(ANY_TEXT, st.integers(1, 500)).map(lambda pair: pair[0] * pair[1])
# What the language allows for a class.
NAMES = st.sampled_from(["", "Service_", "Service_Service_", "Service_Down", "N" * 2000]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
)
ERRORS = (ValueError, RecursionError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit)
TOLD: st.SearchStrategy[object] = (
    LONG_TEXT
    | st.sampled_from([None, 5, b"bytes", object()])
    | st.sampled_from(ERRORS).map(lambda error: error())
)


def with_cause(exception: Exception, cause: Exception, notes: list[str]) -> Exception:
    exception.__cause__ = cause
    for note in notes:
        exception.add_note(note)
    return exception


def group_of(message: str, exceptions: list[Exception]) -> Exception:
    return ExceptionGroup(message, exceptions)


EXCEPTIONS: st.SearchStrategy[Exception] = st.recursive(
    st.builds(
        exception_of,
        NAMES,
        TOLD,
        LONG_TEXT,
        weird=st.booleans(),
        base=st.sampled_from([Exception, KeyError, OSError]),
    ),
    lambda inner: (
        st.builds(with_cause, inner, inner, st.lists(ANY_TEXT, max_size=2))
        | st.builds(group_of, LONG_TEXT, st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=5,
)


@given(EXCEPTIONS, st.integers(0, 5))
def test_any_exception_becomes_a_request_within_the_limits(
    exception: Exception, depth: int
) -> None:
    check(exception)
    check(raised(exception, depth))


@given(LONG_TEXT)
def test_any_text_becomes_a_message_that_begins_like_it(text: str) -> None:
    request = check(ValueError(text))

    message = request.error_message
    assert message is not None
    assert clean(text).startswith(message)
    if message != clean(text):
        assert len(message.encode()) > 2048 - 4  # the next character did not fit


@given(LONG_TEXT, st.integers(0, 20))
def test_the_beginning_and_the_end_of_a_long_trace_are_kept(text: str, depth: int) -> None:
    exception = raised(ValueError(text), depth)

    stack_trace = check(exception).error_stack_trace

    assert stack_trace is not None
    whole = whole_trace(exception)
    if len(whole) <= 1024:
        assert stack_trace == whole
    else:
        assert stack_trace == whole[:300] + GAP + whole[-(1024 - 300 - len(GAP)) :]


def test_an_exception_tells_its_class_its_text_and_where_it_happened() -> None:
    request = check(raised(LookupError("no such table: sales")))

    assert request.error_id == "LookupError"
    assert request.error_message == "no such table: sales"
    assert request.error_stack_trace is not None
    assert request.error_stack_trace.startswith("Traceback (most recent call last):\n")
    assert request.error_stack_trace.endswith("\nLookupError: no such table: sales\n")


@pytest.mark.parametrize(
    ("name", "error_id"),
    [
        ("Service_Down", "Runner_Down"),
        ("Service_", "Runner_"),
        ("Service_Service_", "Runner_Service_"),
        ("ServiceError", "ServiceError"),
        ("", "Exception"),
        ("N" * 1025, "N" * 1024),
        ("Tab\x1b", r"Tab\x1b"),
    ],
)
def test_an_error_id_is_the_name_of_the_class_as_far_as_it_may_be(name: str, error_id: str) -> None:
    assert check(exception_of(name, "told")).error_id == error_id


@pytest.mark.parametrize("told", [None, b"bytes", KeyboardInterrupt(), ValueError("again")])
def test_an_exception_that_cannot_be_printed_still_tells_where_it_happened(told: object) -> None:
    request = check(raised(exception_of("Shy", told)))

    assert request.error_id == "Shy"
    assert request.error_message == "(the exception could not be printed)"
    assert request.error_stack_trace is not None
    assert "in _raise" in request.error_stack_trace


def test_an_exception_whose_notes_cannot_be_read_still_tells_where_it_happened() -> None:
    class UnreadError(Exception):
        __notes__ = property(_interrupt)  # pyright: ignore[reportAssignmentType]

    request = check(raised(UnreadError("told")))

    assert request.error_message == "told"
    assert request.error_stack_trace is not None
    assert "in _raise" in request.error_stack_trace


def test_a_class_that_does_not_tell_its_name_is_an_exception() -> None:
    class Nameless(type):
        __getattribute__ = _interrupt

    class TestedError(Exception, metaclass=Nameless):
        pass

    request = check(BaseException.__new__(TestedError))

    assert request.error_id == "Exception"
    assert request.error_stack_trace == "(no stack trace)"


@pytest.mark.parametrize(
    "name",
    [
        None,
        pytest.param(WeirdText("Weird"), id="weird"),
        pytest.param("\0" * 5000, id="long and to be cleaned"),
        pytest.param("\ud800", id="half a pair"),
    ],
)
def test_a_class_may_tell_any_name(name: object) -> None:
    class Named(type):
        @property
        def __name__(cls) -> object:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
            return name

    class TestedError(Exception, metaclass=Named):
        pass

    check(raised(TestedError("told")))


def test_an_exception_that_tells_nothing_at_all_is_reported() -> None:
    class SilentError(Exception):
        __getattribute__ = _interrupt

    request = check(raised(SilentError("told")))

    assert request.error_id == "SilentError"
    assert request.error_stack_trace == "(no stack trace)"


def _chain() -> Exception:
    last = ValueError("0")
    for number in range(5_000):
        cause, last = last, ValueError(f"{number}")
        last.__cause__ = cause
    return last


def _nested_groups() -> Exception:
    inner: Exception = ValueError("innermost")
    for _ in range(2_000):
        inner = group_of("group", [inner])
    return inner


def _circle() -> Exception:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def _endless() -> BaseException:
    def call() -> NoReturn:
        call()

    try:
        call()
    except RecursionError as error:
        return error


@pytest.mark.parametrize(
    "make",
    [
        _chain,
        _circle,
        _endless,
        _nested_groups,
        lambda: ExceptionGroup("wide", [ValueError(f"{number}") for number in range(2_000)]),
        lambda: SyntaxError("no", ("file", -1, None, "\0")),
        lambda: KeyError("\ud800", "\0"),
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
        asyncio.CancelledError,
        lambda: SystemExit(1),
    ],
)
def test_exceptions_of_every_shape_are_reported(make: Callable[[], BaseException]) -> None:
    request = check(make())

    assert request.error_id == type(make()).__name__


def test_ten_million_characters_to_clean_take_no_time_to_speak_of() -> None:
    started = time.perf_counter()

    check(ValueError("\x1b" * 10_000_000))

    # Cleaning them all took 6 s where this takes 0.02 s.
    assert time.perf_counter() - started < 2


def test_a_task_id_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="task_id"):
        SetTaskStatusRequest.failed("", ValueError("told"))
