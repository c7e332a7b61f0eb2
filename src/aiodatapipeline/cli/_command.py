"""What all commands that talk with a service have in common."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.cli._output import Answer, Format, show

P = ParamSpec("P")

Pipeline = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="The id of the pipeline, such as df-0123.")
]
Output = Annotated[
    Format, typer.Option("--output", help="A table for people, or a JSON document for programs.")
]


@dataclass(frozen=True, slots=True)
class Context:
    """What a command has."""

    client: DataPipelineClient
    """Open, unless the command opens it."""
    output: Format
    """How its answer will be shown."""


_COMMON = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        (
            "endpoint_url",
            None,
            Annotated[
                str | None,
                typer.Option(
                    metavar="URL", help="Another service than AWS's, such as a local one."
                ),
            ],
        ),
        ("region", None, Annotated[str | None, typer.Option(help="The region of AWS.")]),
        (
            "profile",
            None,
            Annotated[str | None, typer.Option(help="A profile of the files in ~/.aws.")],
        ),
        ("output", Format.TABLE, Output),
    )
]
"""The options of all of them. What is left out comes from where botocore finds it."""


def connected(
    function: Callable[Concatenate[Context, P], Coroutine[Any, Any, Answer]],
) -> Callable[..., None]:
    """Make a command of a function that has an open client."""
    return _command(function, _COMMON, opened=True)


def connectable(
    function: Callable[Concatenate[Context, P], Coroutine[Any, Any, Answer]],
) -> Callable[..., None]:
    """Make a command of a function that opens its client if it needs one."""
    return _command(function, _COMMON, opened=False)


def printed(
    function: Callable[Concatenate[DataPipelineClient, P], Coroutine[Any, Any, str]],
) -> Callable[..., None]:
    """Make a command of a function that has a client, to be opened, and gives a text as it is."""

    async def ask(context: Context, /, *args: P.args, **given: P.kwargs) -> Answer:
        return Answer(await function(context.client, *args, **given))

    vars(ask).update(__signature__=inspect.signature(function, eval_str=True))
    ask.__name__, ask.__doc__ = function.__name__, function.__doc__
    return _command(ask, _COMMON[:-1], opened=False)


def _command(
    function: Callable[..., Coroutine[Any, Any, Answer]],
    options: Sequence[inspect.Parameter],
    *,
    opened: bool,
) -> Callable[..., None]:
    """Add options to those of a function, and print what it answers."""

    async def ask(
        endpoint_url: str | None,
        region: str | None,
        profile: str | None,
        output: Format | None,
        **given: Any,
    ) -> Answer:
        client = DataPipelineClient(
            endpoint_url=endpoint_url, region_name=region, profile_name=profile
        )
        async with AsyncExitStack() as stack:
            if opened:
                await stack.enter_async_context(client)
            return await function(Context(client, output or Format.TABLE), **given)

    def command(*, output: Format | None = None, **given: Any) -> None:
        answer = asyncio.run(ask(output=output, **given))
        show(answer, output)
        raise typer.Exit(answer.exit_code)

    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    parameters = [
        *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own),
        *options,
    ]
    # typer reads both.
    vars(command).update(__signature__=inspect.Signature(parameters))
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


def pairs(texts: Iterable[str], what: str) -> Mapping[str, list[str]]:
    """Read words such as ``key=value``; a key may be there several times.

    Raises:
        Failure: One of them is none.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not key or not separator:
            raise Failure(f"{text!r} is no {what}: write it as KEY=VALUE", 2)
        found.setdefault(key, []).append(value)
    return found
