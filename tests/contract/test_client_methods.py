"""The client's methods, and what botocore says of the operations behind them."""

from __future__ import annotations

import inspect
import re

import pytest
from pydantic.alias_generators import to_camel

from aiodatapipeline import DataPipelineClient
from tests.strategies import OPERATION_NAMES, SERVICE

# For one call: what no request has.
OURS = {"options", "maxItems"}


@pytest.mark.parametrize("operation", OPERATION_NAMES)
def test_a_method_takes_what_is_required_in_order_and_all_else_by_name(operation: str) -> None:
    shape = SERVICE["shapes"][SERVICE["operations"][operation]["input"]["shape"]]
    assert shape["type"] == "structure"
    required = shape.get("required", [])

    method = getattr(DataPipelineClient, re.sub(r"(?<!^)([A-Z])", r"_\1", operation).lower())
    _, *parameters = inspect.signature(method).parameters.values()

    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    by_name = {to_camel(one.name) for one in parameters if one.kind is one.KEYWORD_ONLY}
    assert [to_camel(name) for name in positional] == required
    assert by_name - OURS == shape["members"].keys() - {*required}
