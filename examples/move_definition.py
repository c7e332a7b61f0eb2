"""Move the definition of a pipeline from AWS to a service on this machine.

    aiodatapipeline local --store pipelines.db
    python move_definition.py df-0123 --region us-east-1

It reads from AWS, and changes nothing there. The pipeline here has the same name, definition,
parameters and values; moving it again replaces its definition. What is secret is moved, and not
shown.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence

from aiodatapipeline import DataPipelineClient, DataPipelineError
from aiodatapipeline.definition import Definition


async def move(source: DataPipelineClient, target: DataPipelineClient, pipeline_id: str) -> str:
    """Move a definition, and give the id of the pipeline that has it then.

    Raises:
        ValueError: The target finds errors in it.
    """
    (described,) = (await source.describe_pipelines([pipeline_id])).pipeline_description_list
    definition = Definition.from_response(await source.get_pipeline_definition(pipeline_id))
    # Whoever asks with the same name and unique id gets the same pipeline.
    created = await target.create_pipeline(described.name, pipeline_id)
    answer = await target.call(definition.to_request(created.pipeline_id))
    for warning in answer.validation_warnings:
        print(f"warning: {warning.id}: {', '.join(warning.warnings)}", file=sys.stderr)
    if answer.errored:
        raise ValueError(
            "; ".join(f"{each.id}: {', '.join(each.errors)}" for each in answer.validation_errors)
        )
    print(f"{len(definition.objects)} objects, {len(definition.parameters)} parameters")
    for name, value in written(definition):
        print(f"{name} = {'***' if name.startswith('*') else value}")
    return created.pipeline_id


def written(definition: Definition) -> Iterator[tuple[str, str | None]]:
    """Give the values of parameters, and the secret fields of objects."""
    yield from ((value.id, value.string_value) for value in definition.values)
    for each in definition.objects:
        yield from ((one.key, one.string_value) for one in each.fields if one.key.startswith("*"))


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pipeline", metavar="PIPELINE", help="its id, such as df-0123")
    parser.add_argument("--region", help="where it is")
    parser.add_argument("--profile", metavar="NAME", help="who may read it")
    parser.add_argument("--from", metavar="URL", dest="source", help="another service than AWS's")
    parser.add_argument(
        "--to", metavar="URL", dest="target", default="http://127.0.0.1:4180", help="%(default)s"
    )
    return parser.parse_args(words)


async def run(given: argparse.Namespace) -> str:
    """Open both clients, and move."""
    source = DataPipelineClient(
        region_name=given.region, profile_name=given.profile, endpoint_url=given.source
    )
    # A local service takes any credentials: none of AWS are sent to it.
    target = DataPipelineClient(
        endpoint_url=given.target,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",  # noqa: S106  # it is none
    )
    async with source, target:
        return await move(source, target, given.pipeline)


def main(words: Sequence[str] | None = None) -> int:
    """Move a definition, and give the exit code."""
    try:
        print(asyncio.run(run(arguments(words))))
    except (DataPipelineError, ValueError) as error:
        print(f"move_definition: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
