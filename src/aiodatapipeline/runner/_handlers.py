"""Which function handles which type of object, and what it is given."""

from __future__ import annotations

import inspect
import os
import re
import types
import typing
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias, TypeVar, overload

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.alias_generators import to_camel

from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner._task import SyncTask, Task, TaskFailed

RunIn: TypeAlias = Literal["thread", "process"] | Executor
"""Where a sync handler runs: in a thread, in a process of its own, or on an executor."""

ModelT = TypeVar("ModelT", bound=BaseModel)
ReturnT = TypeVar("ReturnT")

Async: TypeAlias = Callable[[Task], Awaitable[ReturnT]]
Sync: TypeAlias = Callable[[SyncTask], ReturnT]
AsyncTyped: TypeAlias = Callable[[Task, ModelT], Awaitable[ReturnT]]
SyncTyped: TypeAlias = Callable[[SyncTask, ModelT], ReturnT]

AsyncT = TypeVar("AsyncT", bound=Async[object])
SyncT = TypeVar("SyncT", bound=Sync[object])
AsyncTestT = TypeVar("AsyncTestT", bound=Async[bool])
SyncTestT = TypeVar("SyncTestT", bound=Sync[bool])

_SECONDS = {
    "second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800,
    # A time limit needs no calendar.
    "month": 30 * 86_400, "year": 365 * 86_400,
}  # fmt: skip
_PERIOD = re.compile(r"\s*(\d+)\s*(second|minute|hour|day|week|month|year)s?\s*", re.IGNORECASE)


def _read_period(value: object) -> object:
    return timedelta(seconds=seconds(value)) if isinstance(value, str) else value


def seconds(period: str) -> float:
    """Read a length of time as the service writes it.

    Raises:
        ValueError: It is none.
    """
    found = _PERIOD.fullmatch(period)
    if found is None:
        raise ValueError(f"{period!r} is no period, such as '2 hours'")
    try:
        return float(int(found[1]) * _SECONDS[found[2].lower()])
    except OverflowError:
        raise ValueError("a period is longer than anybody waits") from None


Period = Annotated[timedelta, BeforeValidator(_read_period)]
"""A field of a handler's model that is a length of time: ``"2 hours"`` at the service."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A function, and how it is called."""

    name: str
    """The type that it handles."""
    function: Callable[..., object]
    model: type[BaseModel] | None
    run_in: RunIn | None
    """None: it is async and runs in the runner's event loop."""
    is_precondition: bool
    retry: bool
    """Of a precondition: whether the runner asks again until it holds."""

    def arguments(self, subject: PipelineObject) -> tuple[BaseModel, ...]:
        """Make what the function is given behind the task.

        Raises:
            TaskFailed: The object does not fit the model.
        """
        return () if self.model is None else (read(self.model, subject),)


class Handlers:
    """The handlers of a runner, by type."""

    def __init__(self) -> None:
        self._by_type: dict[str, Handler] = {}

    def get(self, type: str) -> Handler | None:  # noqa: A002  # the service's word
        """Give the handler of a type; None if there is none."""
        return self._by_type.get(type)

    def types(self) -> Collection[str]:
        """Give the types that there are handlers of."""
        return sorted(self._by_type)

    # -- handlers -------------------------------------------------------------------------

    @overload
    def handler(self, type: str, /) -> Callable[[AsyncT], AsyncT]: ...
    @overload
    def handler(self, type: str, /, *, run_in: RunIn) -> Callable[[SyncT], SyncT]: ...
    @overload
    def handler(
        self, model: type[ModelT], /, *, type: str | None = None
    ) -> Callable[[AsyncTyped[ModelT, object]], AsyncTyped[ModelT, object]]: ...
    @overload
    def handler(
        self, model: type[ModelT], /, *, type: str | None = None, run_in: RunIn
    ) -> Callable[[SyncTyped[ModelT, object]], SyncTyped[ModelT, object]]: ...
    def handler(
        self,
        what: str | type[BaseModel],
        /,
        *,
        type: str | None = None,  # noqa: A002  # the service's word
        run_in: RunIn | None = None,
    ) -> Callable[..., object]:
        """Let a function handle the tasks of a type. Use it as a decorator.

        Returning is FINISHED, raising is FAILED. The function itself stays as it is.

        Args:
            what: The type of the objects, such as ``"ShellCommandActivity"``; or a pydantic
                model of the object's fields, which the function is then given as its second
                argument. A model's field ``chunk_size`` is ``chunkSize`` at the service; one
                that is a list has all values of its key; references are ``models.Ref``. A task
                that does not fit fails as ``InvalidTask``, and the function is not called.
            type: The type, if the model is not called like it.
            run_in: Where a sync function runs. ``"thread"``: beside the event loop; it can be
                asked to stop and not be made to. ``"process"``: in a new process, which is
                killed, with all that it started, if it does not stop; the function and what it
                is given have to be picklable. An executor: wherever that runs it; it is given
                a task that knows its ``info`` only, unless the executor runs threads.

        Raises:
            ValueError: There is a handler of that type already.
            TypeError: A sync function without ``run_in``, or an async one with it; or one for a
                process that is not at the top of a module.
            NotImplementedError: ``run_in="process"`` on a system without groups of processes,
                such as Windows.
        """
        return self._decorator(what, type, run_in)

    @overload
    def precondition(
        self, type: str, /, *, retry: bool = True
    ) -> Callable[[AsyncTestT], AsyncTestT]: ...
    @overload
    def precondition(
        self, type: str, /, *, run_in: RunIn, retry: bool = True
    ) -> Callable[[SyncTestT], SyncTestT]: ...
    @overload
    def precondition(
        self, model: type[ModelT], /, *, type: str | None = None, retry: bool = True
    ) -> Callable[[AsyncTyped[ModelT, bool]], AsyncTyped[ModelT, bool]]: ...
    @overload
    def precondition(
        self,
        model: type[ModelT],
        /,
        *,
        type: str | None = None,
        run_in: RunIn,
        retry: bool = True,
    ) -> Callable[[SyncTyped[ModelT, bool]], SyncTyped[ModelT, bool]]: ...
    def precondition(
        self,
        what: str | type[BaseModel],
        /,
        *,
        type: str | None = None,  # noqa: A002  # the service's word
        run_in: RunIn | None = None,
        retry: bool = True,
    ) -> Callable[..., object]:
        """Let a function say whether the preconditions of a type are met.

        True is FINISHED, False is FALSE, raising is FAILED.

        Args:
            what: As for ``handler``.
            type: As for ``handler``.
            run_in: As for ``handler``.
            retry: Whether to ask again after a False: every ``retryDelay`` (10 minutes if the
                object has none) until ``preconditionTimeout`` (without end if it has none), as
                AWS's own task runner does. The lease is kept meanwhile.

        Raises:
            ValueError: There is a handler of that type already.
            TypeError: A sync function without ``run_in``, or an async one with it; or one for a
                process that is not at the top of a module.
            NotImplementedError: ``run_in="process"`` on a system without groups of processes,
                such as Windows.
        """
        return self._decorator(what, type, run_in, is_precondition=True, retry=retry)

    def _decorator(
        self,
        what: str | type[BaseModel],
        name: str | None,
        run_in: RunIn | None,
        *,
        is_precondition: bool = False,
        retry: bool = False,
    ) -> Callable[..., object]:
        model = None if isinstance(what, str) else what
        name = what if isinstance(what, str) else name or what.__name__

        def decorate(function: Callable[..., object]) -> Callable[..., object]:
            _check(function, name, run_in)
            if name in self._by_type:
                raise ValueError(f"there is a handler of {name} already")
            self._by_type[name] = Handler(name, function, model, run_in, is_precondition, retry)
            return function

        return decorate


def _check(function: Callable[..., object], name: str, run_in: object) -> None:
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # an object with an async __call__
    )
    if run_in is None and not is_async:
        raise TypeError(
            f"the handler of {name} is not async: it would block the event loop. Say where it "
            "runs: run_in='thread', run_in='process' or an executor"
        )
    if run_in is not None and is_async:
        raise TypeError(f"the handler of {name} is async: it runs in the event loop, not {run_in}")
    if not (run_in is None or run_in in ("thread", "process") or isinstance(run_in, Executor)):
        raise TypeError(f"run_in is 'thread', 'process' or an executor, not {run_in!r}")
    if run_in == "process" and not hasattr(os, "killpg"):
        raise NotImplementedError(
            f"the handler of {name} cannot run in a process here: this system has no groups of "
            "processes, to end one with all that it started. Give run_in='thread' or an executor"
        )
    if run_in == "process" and "<" in getattr(function, "__qualname__", ""):
        raise TypeError(
            f"the handler of {name} is not at the top of a module, where its process looks for "
            "it: write it there, with def"
        )


def read(model: type[ModelT], subject: PipelineObject) -> ModelT:
    """Read an object's fields into a model.

    Raises:
        TaskFailed: They do not fit; it names the fields, and no values.
    """
    known: dict[str, tuple[str, bool]] = {}
    for name, field in model.model_fields.items():
        key = field.validation_alias if isinstance(field.validation_alias, str) else to_camel(name)
        given = field.validation_alias or name
        known[key] = (given if isinstance(given, str) else name, _is_many(field.annotation))
    values: dict[str, object] = {"id": subject.id, "name": subject.name}
    for key in subject.keys():  # noqa: SIM118  # no mapping
        name, many = known.get(key) or known.get(key.lstrip("*"), (key, False))
        found: tuple[str | Ref, ...] = subject.values(key)
        values[name] = found if many or len(found) > 1 else found[0] if found else None
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or subject.id}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise TaskFailed("InvalidTask", f"{subject.id} is no {model.__name__}: {wrong}") from None


def _is_many(annotation: object) -> bool:
    """Whether a field holds several values."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, Annotated):
        return any(_is_many(each) for each in typing.get_args(annotation))
    kind = origin or annotation
    return (
        isinstance(kind, type)
        and issubclass(kind, Collection)
        and not issubclass(kind, str | bytes | Mapping)
    )
