"""The AWS CLI's converter and ours say the same of the same file."""

from __future__ import annotations

import copy
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given

from aiodatapipeline.definition import Definition
from tests.definition.strategies import Body, bodies


def _imported(module: str) -> Any:
    """Import from the AWS CLI, which puts its own botocore in the place of the one installed.

    Everybody else goes on with what they had, so no module of either is left half exchanged.
    """
    finders, before = sys.meta_path[:], _theirs()
    for name in before:
        del sys.modules[name]
    try:
        return importlib.import_module(module)
    finally:
        sys.meta_path[:] = finders
        for name in _theirs():
            del sys.modules[name]
        sys.modules.update(before)


def _theirs() -> dict[str, ModuleType]:
    packages = {"awscli", "botocore", "s3transfer"}
    return {name: each for name, each in sys.modules.items() if name.split(".")[0] in packages}


awscli = _imported("awscli.customizations.datapipeline.translator")

FILES = Path(__file__).parent / "files"
WHOLE_FILES = sorted(
    path.name for path in FILES.glob("*.json") if path.stem not in {"parameters", "values"}
)


def converted_by_awscli(body: Body) -> dict[str, Any]:
    """Give what the AWS CLI would send; numbers and booleans, which it passes on, as text."""
    own = copy.deepcopy(body)  # the converter takes its argument apart
    request: dict[str, Any] = {
        "pipelineObjects": awscli.definition_to_api_objects(own),
        "parameterObjects": awscli.definition_to_api_parameters(own) or [],
        "parameterValues": awscli.definition_to_parameter_values(own) or [],
    }
    for element in (*request["pipelineObjects"], *request["parameterObjects"]):
        for field in (*element.get("fields", ()), *element.get("attributes", ())):
            make_text(field)
    for value in request["parameterValues"]:
        make_text(value)
    return request


def make_text(field: dict[str, object]) -> None:
    value = field.get("stringValue", "")
    if not isinstance(value, str):
        field["stringValue"] = json.dumps(value)


def converted_by_us(body: Body) -> dict[str, object]:
    wire = Definition.from_mapping(body).to_request("df-1").to_wire()
    return {name: value for name, value in wire.items() if name != "pipelineId"}


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_file_becomes_the_same_request(name: str) -> None:
    body = json.loads((FILES / name).read_text("utf-8"))

    assert converted_by_us(body) == converted_by_awscli(body)


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_request_becomes_the_same_file(name: str) -> None:
    definition = Definition.from_file(FILES / name)

    theirs = awscli.api_to_definition(definition.to_request("df-1").to_wire())

    assert Definition.from_mapping(theirs) == definition


@given(bodies)
def test_whatever_a_file_says_becomes_the_same_request(body: Body) -> None:
    assert converted_by_us(body) == converted_by_awscli(body)


@given(bodies)
def test_whatever_a_request_says_becomes_the_same_file(body: Body) -> None:
    definition = Definition.from_mapping(body)

    theirs = awscli.api_to_definition(definition.to_request("df-1").to_wire())

    assert Definition.from_mapping(theirs) == definition
    assert Definition.from_mapping(definition.to_mapping()) == definition
