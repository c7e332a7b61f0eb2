"""The definitions of pipelines: to the service, and back from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from aiodatapipeline.cli import _output
from aiodatapipeline.cli._command import Context, Pipeline, connected, printed
from aiodatapipeline.cli._files import (
    DefinitionFile,
    ParametersFile,
    Values,
    ValuesFile,
    read_to_send,
)
from aiodatapipeline.cli._output import Answer
from aiodatapipeline.definition import Definition
from aiodatapipeline.operations import (
    GetPipelineDefinitionResponse,
    PutPipelineDefinitionResponse,
    ValidatePipelineDefinitionResponse,
)


@connected
async def put(
    context: Context,
    *,
    pipeline: Pipeline,
    file: DefinitionFile,
    parameters: ParametersFile = None,
    values: ValuesFile = None,
    value: Values = None,
) -> Answer:
    """Replace the whole definition of a pipeline.

    The exit code is 1 if the service found errors: it may have saved the definition all the
    same, which then cannot be activated.
    """
    definition = read_to_send(file, parameters, values, value)
    answer = await context.client.call(definition.to_request(pipeline))
    saved = f"The definition is saved. Next: aiodatapipeline activate {pipeline}"
    return _judged(answer, saved, "The definition is saved, and cannot be activated.")


@connected
async def validate(
    context: Context,
    *,
    pipeline: Pipeline,
    file: DefinitionFile,
    parameters: ParametersFile = None,
    values: ValuesFile = None,
    value: Values = None,
) -> Answer:
    """Have the service check a definition, and save nothing.

    The exit code is 1 if it found errors. 'definition check' needs no service, and finds more.
    """
    definition = read_to_send(file, parameters, values, value)
    answer = await context.client.validate_pipeline_definition(
        pipeline,
        definition.objects,
        parameter_objects=definition.parameters,
        parameter_values=definition.values,
    )
    return _judged(answer, "The definition has no errors.", "The definition has errors.")


def _judged(
    answer: PutPipelineDefinitionResponse | ValidatePipelineDefinitionResponse,
    good: str,
    bad: str,
) -> Answer:
    shown = [*_messages(answer), bad if answer.errored else good]
    return Answer(_output.document_of(answer), shown, int(answer.errored))


def _messages(
    answer: PutPipelineDefinitionResponse | ValidatePipelineDefinitionResponse,
) -> Iterable[RenderableType]:
    for kind, style, found in (
        ("error", "bold red", [(each.id, each.errors) for each in answer.validation_errors]),
        ("warning", "yellow", [(each.id, each.warnings) for each in answer.validation_warnings]),
    ):
        for object_id, messages in found:
            for message in messages:
                place = f"{object_id}: " if object_id else ""
                yield Text.assemble((kind, style), _output.visible(f": {place}{message}"))


@printed
async def get(
    context: Context,
    *,
    pipeline: Pipeline,
    version: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="latest, which was saved last, or active, which is in use."
        ),
    ] = None,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Print the values of secret fields, too.")
    ] = False,
) -> str:
    """Print the definition of a pipeline: a file for 'put'."""
    answer = await context.client.get_pipeline_definition(pipeline, version=version)
    shown = GetPipelineDefinitionResponse.from_wire(
        _output.document_of(answer, show_secrets=show_secrets)
    )
    if shown != answer:
        _output.note("Secret values are masked: --show-secrets prints them.")
    return Definition.from_response(shown).to_text()
