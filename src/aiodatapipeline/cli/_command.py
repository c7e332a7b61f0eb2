"""What all commands that talk with a service have in common."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec

import typer
from typer.models import ArgumentInfo

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._config import CallOptions
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.cli._output import Answer, Format, show, write
from aiodatapipeline.operations import Request, ResponseT

P = ParamSpec("P")

Pipeline = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="The id of the pipeline, such as df-0123.")
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Another service than AWS's, such as a local one."),
]
Region = Annotated[str | None, typer.Option(metavar="REGION", help="The region of AWS.")]
Profile = Annotated[
    str | None, typer.Option(metavar="NAME", help="A profile of the files in ~/.aws.")
]
Output = Annotated[
    Format, typer.Option("--output", help="A table for people, or a JSON document for programs.")
]


class LazyClient(DataPipelineClient):
    """A client that opens itself when it is first needed: not every word leads to a call."""

    async def call(
        self, request: Request[ResponseT], *, options: CallOptions | None = None
    ) -> ResponseT:
        """Open, and send a request."""
        await self.open()
        return await super().call(request, options=options)


@dataclass(frozen=True, slots=True)
class Context:
    """What a command has."""

    client: DataPipelineClient
    """It opens itself, and is closed when the command ends."""
    output: Format
    """How its answer will be shown."""


_COMMON = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("endpoint_url", None, EndpointUrl),
        ("region", None, Region),
        ("profile", None, Profile),
        ("output", Format.TABLE, Output),
    )
]
"""The options of all of them. What is left out comes from where botocore finds it."""


def connected(
    function: Callable[Concatenate[Context, P], Coroutine[Any, Any, Answer]],
) -> Callable[..., None]:
    """Make a command of a function that has a client."""
    return _command(function, _COMMON)


def printed(
    function: Callable[Concatenate[Context, P], Coroutine[Any, Any, str]],
) -> Callable[..., None]:
    """Make a command of a function that has a client, and gives a text to be printed as it is."""
    return _command(function, _COMMON[:-1])


def _command(
    function: Callable[..., Coroutine[Any, Any, Answer | str]],
    options: Sequence[inspect.Parameter],
) -> Callable[..., None]:
    """Add options to those of a function, and print what it answers."""

    async def ask(
        endpoint_url: str | None,
        region: str | None,
        profile: str | None,
        output: Format,
        **given: Any,
    ) -> Answer | str:
        client = LazyClient(endpoint_url=endpoint_url, region_name=region, profile_name=profile)
        try:
            return await function(Context(client, output), **given)
        finally:
            await client.aclose()

    def command(*, output: Format = Format.TABLE, **given: Any) -> None:
        for name, word in words.items():
            if "" in given[name] if isinstance(given[name], list) else given[name] == "":
                raise Failure(f"{word} is empty: is a variable of the shell not set?", 2)
        answer = asyncio.run(ask(output=output, **given))
        if isinstance(answer, str):
            write(answer)
        else:
            show(answer, output)
            raise typer.Exit(answer.exit_code)

    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    words = {
        each.name: about.metavar
        for each in own
        for about in each.annotation.__metadata__
        if isinstance(about, ArgumentInfo)
    }
    parameters = [*own, *options]
    # typer reads both.
    vars(command).update(__signature__=inspect.Signature(parameters))
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


def pairs(texts: Iterable[str], what: str, form: str = "KEY=VALUE") -> Mapping[str, list[str]]:
    """Read words such as ``key=value``; a key may be there several times.

    Raises:
        Failure: One of them is none.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not key or not separator:
            raise Failure(f"{text!r} is no {what}: write it as {form}", 2)
        found.setdefault(key, []).append(value)
    return found
