"""Pipelines from their creation to their deletion."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import RenderableType

from aiodatapipeline._client import DataPipelineClient
from aiodatapipeline._secrets import MASK, is_secret
from aiodatapipeline.cli import _output
from aiodatapipeline.cli._command import Context, Pipeline, connected, pairs
from aiodatapipeline.cli._failure import Failure
from aiodatapipeline.cli._files import Values, ValuesFile, read_values
from aiodatapipeline.cli._output import Answer
from aiodatapipeline.errors import PipelineDeletedException, PipelineNotFoundException
from aiodatapipeline.models import Field, PipelineDescription, PipelineObject, Ref, Tag

# Of DescribePipelines. Source: its page in the API reference.
_IDS_PER_CALL = 25

_NONE = "No pipelines. Next: aiodatapipeline create NAME"

_Tags = Annotated[list[str], typer.Argument(metavar="KEY=VALUE", help="Tags to add or overwrite.")]


@connected
async def create(
    context: Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="It need not be unique.")],
    unique_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="With the same name, asking twice gives the first pipeline again. "
            "The name, if it is left out.",
        ),
    ] = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="For people.")] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A tag. Can be given several times."),
    ] = None,
) -> Answer:
    """Create an empty pipeline, and print its id.

    Whoever asks twice gets the id of the first one, unless the unique ids differ.
    """
    made = await context.client.create_pipeline(
        name, unique_id or name, description=description, tags=_tags(tag or ())
    )
    return Answer(_output.document_of(made), [made.pipeline_id])


@connected
async def list_pipelines(
    context: Context,
    *,
    long: Annotated[
        bool, typer.Option("--long", help="Describe each of them: its state, health and runs.")
    ] = False,
) -> Answer:
    """List all pipelines that these credentials can see."""
    found = [each async for each in context.client.list_pipelines()]
    if not long:
        document = {"pipelineIdList": [_output.document_of(each) for each in found]}
        rows = [(each.id, each.name) for each in found]
        return Answer(document, [_output.table(("Pipeline", "Name"), rows) if rows else _NONE])
    described = [each async for each in describe_all(context.client, [each.id for each in found])]
    if not described:
        return Answer(_document(described), [_NONE])
    columns = ("Pipeline", "Name", "State", "Health", "Latest run (UTC)", "Next run (UTC)")
    return Answer(
        _document(described),
        [
            _output.table(
                columns,
                [
                    (
                        each.pipeline_id,
                        each.name,
                        _output.status(each.state),
                        _output.status(_field(each, "@healthStatus")),
                        _field(each, "@latestRunTime"),
                        _field(each, "@nextRunTime"),
                    )
                    for each in described
                ],
            )
        ],
    )


async def describe_all(
    client: DataPipelineClient, ids: Sequence[str]
) -> AsyncIterator[PipelineDescription]:
    """Describe pipelines; some may be deleted while they are asked for."""
    for start in range(0, len(ids), _IDS_PER_CALL):
        some = ids[start : start + _IDS_PER_CALL]
        try:
            found = (await client.describe_pipelines(some)).pipeline_description_list
        except (PipelineDeletedException, PipelineNotFoundException):
            if len(some) > 1:  # one that is gone fails the call
                for one in some:
                    async for each in describe_all(client, [one]):
                        yield each
            continue
        for each in found:
            yield each


@connected
async def describe(
    context: Context,
    *,
    pipeline: Pipeline,
    objects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OBJECT", help="Describe these components, instances or attempts of it."
        ),
    ] = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Show what the expressions of objects come to.")
    ] = False,
) -> Answer:
    """Describe a pipeline, or objects of it: all their fields."""
    if objects:
        pager = context.client.describe_objects(
            pipeline, objects, evaluate_expressions=evaluate or None
        )
        found = [each async for each in pager]
        document = {"pipelineObjects": [_output.document_of(each) for each in found]}
        return Answer(document, [part for each in found for part in _object(each)])
    if evaluate:
        raise Failure(
            "--evaluate is about objects: name some, such as @Load_2026-01-01T00:00:00", 2
        )
    answer = await context.client.describe_pipelines([pipeline])
    described = answer.pipeline_description_list
    return Answer(_document(described), [part for each in described for part in _pipeline(each)])


def _document(described: Iterable[PipelineDescription]) -> dict[str, object]:
    return {"pipelineDescriptionList": [_output.document_of(each) for each in described]}


def _pipeline(described: PipelineDescription) -> Iterable[RenderableType]:
    yield f"{described.pipeline_id} {described.name}"
    yield _fields(described.fields)
    if described.tags:
        yield ""
        yield _output.table(("Tag", "Value"), [(each.key, each.value) for each in described.tags])


def _object(described: PipelineObject) -> Iterable[RenderableType]:
    yield described.id if described.id == described.name else f"{described.id} {described.name}"
    yield _fields(described.fields)
    yield ""


def _fields(fields: Iterable[Field]) -> RenderableType:
    rows = sorted((each.key, _shown(each)) for each in fields)
    return _output.table(("Field", "Value"), rows)


def _shown(field: Field) -> str:
    if is_secret(field.key):
        return MASK
    value = field.value
    return f"-> {value.id}" if isinstance(value, Ref) else value or ""


def _field(described: PipelineDescription, key: str) -> str | None:
    return next((each.string_value for each in described.fields if each.key == key), None)


@connected
async def activate(
    context: Context,
    *,
    pipeline: Pipeline,
    values: ValuesFile = None,
    value: Values = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Where a deactivated pipeline resumes, such as 2026-01-31T00:00:00; UTC.",
        ),
    ] = None,
) -> Answer:
    """Start a pipeline, or let a deactivated one go on."""
    await context.client.activate_pipeline(
        pipeline,
        parameter_values=read_values(values, value),
        start_timestamp=read_time(start) if start else None,
    )
    return _done(pipeline, "is activated", "status --watch")


@connected
async def deactivate(
    context: Context,
    *,
    pipeline: Pipeline,
    cancel: Annotated[
        bool, typer.Option("--cancel/--no-cancel", help="Cancel what runs, or wait for it.")
    ] = True,
) -> Answer:
    """Stop a pipeline; 'activate' lets it go on."""
    await context.client.deactivate_pipeline(pipeline, cancel_active=cancel)
    return _done(pipeline, "is deactivated", "activate")


@connected
async def delete(context: Context, *, pipeline: Pipeline) -> Answer:
    """Delete a pipeline, its definition and its history.

    What runs is cancelled. Nobody is asked, and nothing brings it back.
    """
    await context.client.delete_pipeline(pipeline)
    return _done(pipeline, "is deleted")


@connected
async def add_tags(context: Context, *, pipeline: Pipeline, tags: _Tags) -> Answer:
    """Add tags to a pipeline, or overwrite those with the same keys."""
    await context.client.add_tags(pipeline, _tags(tags))
    return _done(pipeline, "has the tags")


@connected
async def remove_tags(
    context: Context,
    *,
    pipeline: Pipeline,
    keys: Annotated[list[str], typer.Argument(metavar="KEY", help="The keys of the tags.")],
) -> Answer:
    """Remove tags from a pipeline."""
    await context.client.remove_tags(pipeline, keys)
    return _done(pipeline, "no longer has the tags")


def _done(pipeline: str, what: str, then: str = "") -> Answer:
    """Say what the service accepted; it takes effect a little later."""
    shown = f"{pipeline} {what}."
    if then:
        shown += f" Next: aiodatapipeline {then} {pipeline}"
    return Answer({"pipelineId": pipeline}, [shown])


def _tags(texts: Iterable[str]) -> list[Tag]:
    found = pairs(texts, "tag")
    return [Tag(key=key, value=value) for key, values in found.items() for value in values[-1:]]


def read_time(text: str) -> datetime:
    """Read a time, which is UTC unless it says something else.

    Raises:
        Failure: It is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(f"{text!r} is no time: write it as 2026-01-31T00:00:00", 2) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
