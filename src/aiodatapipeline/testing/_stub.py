"""A transport that answers from a script, for applications that only use the client.

It stands below the client, so that everything above is real: checks of arguments, pages,
waiters, retries, exceptions.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeGuard, TypeVar

from aiodatapipeline._answers import error_body
from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._config import CallOptions
from aiodatapipeline._seam import Reply
from aiodatapipeline.errors import (
    BY_CODE,
    DataPipelineError,
    InternalServiceError,
    ReadTimeoutError,
    ServiceError,
)
from aiodatapipeline.operations import OPERATIONS, Request, Response, ResponseT

RequestT = TypeVar("RequestT", bound=Request[Any])
# A script of one kind of request is a script of requests with that response.
RequestT_co = TypeVar("RequestT_co", bound=Request[Any], covariant=True)

_Answer: TypeAlias = Response | DataPipelineError | Callable[[Any], object]

# Of errors that have none of their own: the first code that stands for their class.
_CODES = {kind: code for code, kind in reversed(list(BY_CODE.items()))}

# Nobody waits for a repeat in a test; what is repeated, and how often, is as ever.
_AT_ONCE = CallOptions(max_backoff=0.0)


class _HurriedClient(DataPipelineClient):
    """A client whose waiters take no time, and look as often as if they did."""

    async def _pause(self, seconds: float) -> float:
        await asyncio.sleep(0)
        return seconds


class UnscriptedCallError(AssertionError):
    """A call came that nothing was scripted for."""


@dataclass(eq=False, slots=True)
class _Lines:
    """What calls of one kind are answered."""

    request: type[Request[Any]]
    members: Mapping[str, object]
    answers: list[_Answer] = field(default_factory=list["_Answer"])
    given: int = 0

    def fit(self, request: Request[Any]) -> bool:
        return isinstance(request, self.request) and not self.differ(request)

    def differ(self, request: Request[Any]) -> list[str]:
        """Give the names of the members that a request of this kind has other values of."""
        return [name for name, value in self.members.items() if getattr(request, name) != value]

    def replace(self, other: _Lines) -> bool:
        return self.request is other.request and self.members == other.members

    def next(self) -> _Answer:
        if not self.answers:
            raise UnscriptedCallError(f"{self} was asked, and has no answer: add {self.hint}")
        answer = self.answers[min(self.given, len(self.answers) - 1)]
        self.given += 1
        return answer

    @property
    def left(self) -> int:
        """How many answers nobody got."""
        return max(0, len(self.answers) - self.given)

    @property
    def hint(self) -> str:
        return f".returns({self.response.__name__}(...))"

    @property
    def response(self) -> type[Response]:
        return OPERATIONS[self.request.operation].response

    def __str__(self) -> str:
        members = "".join(f", {name}={value!r}" for name, value in self.members.items())
        return f"stub.on({self.request.__name__}{members})"


class Script(Generic[RequestT_co]):
    """What one kind of call is answered. ``StubTransport.on`` begins one.

    Answers are given in the order in which they were added, each once, and the last one again
    and again. Every method gives the script, for more to be added.
    """

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines

    def returns(
        self: Script[Request[ResponseT]], answer: ResponseT, /, *more: ResponseT
    ) -> Script[RequestT_co]:
        """Answer with a response.

        Args:
            answer: Of the type that belongs to the request.
            more: What the calls after that one are answered.

        Raises:
            TypeError: It is the response to another request.
        """
        for each in (answer, *more):
            _check_response(self._lines.request.operation, each)
        self._lines.answers.extend((answer, *more))
        return Script(self._lines)

    def raises(
        self: Script[Request[ResponseT]], error: DataPipelineError, /, *more: DataPipelineError
    ) -> Script[RequestT_co]:
        """Refuse a call, or have its answer lost.

        A ``ServiceError`` goes through the client as the service's refusal would: it is
        repeated if such a one is, and raised with the code and the message that it has here.
        Every other error is raised where a connection would fail.

        Args:
            error: Such as ``TaskNotFoundException("no such task")``, or
                ``ResponseLostError("the network is down")``.
            more: What comes of the calls after that one.

        Raises:
            TypeError: It is none of this package's errors, or a ServiceError without a code.
        """
        for each in (error, *more):
            _check_error(each)
        self._lines.answers.extend((error, *more))
        return Script(self._lines)

    def answers(
        self: Script[Request[ResponseT]],
        function: Callable[[RequestT_co], ResponseT | Awaitable[ResponseT]],
        /,
    ) -> Script[RequestT_co]:
        """Have a function answer.

        Args:
            function: It is given the request, and returns a response or raises an error. It may
                be a coroutine function; while it waits, the client's time limit runs.

        Raises:
            TypeError: It is no function.
        """
        _check_function(function)
        self._lines.answers.append(function)
        return Script(self._lines)

    def __repr__(self) -> str:
        return str(self._lines)


class StubTransport:
    """Answers a client from a script, and keeps a log of what was asked."""

    def __init__(self) -> None:
        self.calls: list[Request[Any]] = []
        """The requests that came, the first one first. A repeat is one more."""
        self._script: list[_Lines] = []
        self._unscripted: list[UnscriptedCallError] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}(calls={self.calls!r})"

    def on(self, request: type[RequestT], /, **members: object) -> Script[RequestT]:
        """Begin a script for a kind of call.

        Where several fit a call, the one that was begun last counts, so a test can refine what
        its fixture has set up. A script takes the place of one for the same calls.

        Args:
            request: The class of their requests.
            members: What those have in common, such as ``worker_group="etl"``. Whatever a
                member is equal to will do, ``unittest.mock.ANY`` included.

        Raises:
            TypeError: A request has no such member, or this is no class of requests.
        """
        lines = _lines(request, members)
        self._script = [each for each in self._script if not lines.replace(each)]
        self._script.append(lines)
        return Script(lines)

    def calls_of(self, request: type[RequestT], /, **members: object) -> list[RequestT]:
        """Give the requests of one kind that came, the first one first.

        Args:
            request: Their class.
            members: What they have in common. See ``on``.

        Raises:
            TypeError: A request has no such member, or this is no class of requests.
        """
        lines = _lines(request, members)
        return [each for each in self.calls if isinstance(each, request) and lines.fit(each)]

    def call_of(self, request: type[RequestT], /, **members: object) -> RequestT:
        """Give the one request of a kind that came.

        Args:
            request: Its class.
            members: What it has. See ``on``.

        Raises:
            AssertionError: None came, or several. It says which calls there were.
            TypeError: A request has no such member, or this is no class of requests.
        """
        found = self.calls_of(request, **members)
        if len(found) != 1:
            wanted = str(_lines(request, members)).removeprefix("stub.on")
            raise AssertionError(f"{len(found)} calls fit {wanted}, not one: {self!r}")
        return found[0]

    def client(self, *, options: CallOptions | None = None) -> DataPipelineClient:
        """Make a client, to be opened, that asks this.

        It repeats calls without waiting, and its waiters skip the time between two looks.

        Args:
            options: Time limits and attempts of its calls.
        """
        return _HurriedClient(transport=self, options=_AT_ONCE.override(options))

    def assert_all_used(self) -> None:
        """Fail if an answer was never given, or if a call had none.

        The second fails the call as well; this tells of it if the application caught that.

        Raises:
            AssertionError: For the first of these that there is.
        """
        if self._unscripted:
            raise self._unscripted[0]
        unused = [f"{each}: {_last(each)}" for each in self._script if each.left]
        if unused:
            raise AssertionError("scripted and never asked for: " + "; ".join(unused))

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        """Answer a request. See ``Transport.send``."""
        request = OPERATIONS[operation].request.from_wire(body)
        self.calls.append(request)
        try:
            answer = self._find(request).next()
        except UnscriptedCallError as error:
            self._unscripted.append(error)
            raise
        try:
            response = await _within(timeout, answer, request)
        except ServiceError as error:
            _check_error(error)  # a function may have raised it
            return _refusal(error)
        return Reply(200, json.dumps(response.to_wire()).encode())

    def _find(self, request: Request[Any]) -> _Lines:
        for lines in reversed(self._script):
            if lines.fit(request):
                return lines
        wanted = _Lines(type(request), {})
        scripted = ", ".join(_why_not(each, request) for each in self._script) or "nothing"
        raise UnscriptedCallError(
            f"{request.operation} was called, and nothing is scripted for {request!r}: "
            f"add {wanted}{wanted.hint}. Scripted so far: {scripted}"
        )


def _lines(request: type[Request[Any]], members: Mapping[str, object]) -> _Lines:
    if not any(request is row.request for row in OPERATIONS.values()):
        raise TypeError(f"{request!r} is not the class of an operation's requests")
    for name in members:
        if name not in request.model_fields:
            known = ", ".join(request.model_fields) or "none"
            raise TypeError(f"{request.__name__} has no member {name!r}; there are: {known}")
    # The models have tuples for lists.
    plain = {name: tuple(value) if _is_list(value) else value for name, value in members.items()}
    return _Lines(request, plain)


def _why_not(lines: _Lines, request: Request[Any]) -> str:
    # The value that came may be a secret. The name of its member is none.
    if not isinstance(request, lines.request):
        return str(lines)
    return f"{lines} (for another {' and '.join(lines.differ(request))})"


def _last(lines: _Lines) -> str:
    return f"{lines.left} of {len(lines.answers)} answers"


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _check_response(operation: str, answer: object) -> Response:
    wanted = OPERATIONS[operation].response
    if not isinstance(answer, wanted):
        given = type(answer).__name__
        if isinstance(answer, type):
            given = f"the class {answer.__name__}"
        raise TypeError(f"{operation} is answered by {wanted.__name__}(...), not by {given}")
    return answer


def _check_function(function: object) -> None:
    if not callable(function):
        raise TypeError(f"a function answers, not {function!r}: for that there is returns()")


def _check_error(error: object) -> None:
    if isinstance(error, type) and issubclass(error, DataPipelineError):
        raise TypeError(f"a call raises an error, not its class: {error.__name__}('why')")
    if not isinstance(error, DataPipelineError):
        raise TypeError(f"a call raises a DataPipelineError, not {error!r}")
    if isinstance(error, ServiceError) and not _code(error):
        raise TypeError(f"a {type(error).__name__} needs a code: pass code='SomeException'")


def _code(error: ServiceError) -> str:
    return error.code or _CODES.get(type(error), "")


async def _within(timeout: float, answer: _Answer, request: Request[Any]) -> Response:
    """Give the response, or raise what is to be raised, in the time for it."""
    try:
        async with asyncio.timeout(timeout):
            return await _made(answer, request)
    except DataPipelineError:
        raise  # some are TimeoutErrors
    except TimeoutError as error:
        raise ReadTimeoutError(
            "no answer in the time for it", operation=request.operation
        ) from error


async def _made(answer: _Answer, request: Request[Any]) -> Response:
    if isinstance(answer, Response):
        return answer
    if isinstance(answer, DataPipelineError):
        raise copy(answer)  # the client writes into it how often it tried
    made = answer(request)
    if inspect.isawaitable(made):
        made = await made
    return _check_response(request.operation, made)


def _refusal(error: ServiceError) -> Reply:
    status = error.status or (500 if isinstance(error, InternalServiceError) else 400)
    headers = {"x-amzn-requestid": error.request_id} if error.request_id else {}
    return Reply(status, error_body(_code(error), error.message), headers)
