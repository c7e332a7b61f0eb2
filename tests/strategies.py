"""Random wire bodies, made of botocore's service model.

``inputs("CreatePipeline")`` and ``outputs("CreatePipeline")`` give what the service takes and
what it answers, in camelCase and of what JSON knows. Where our models ask for more than the
service model, what is made here fits both; each such rule stands in a table with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict, cast

from botocore.loaders import Loader
from hypothesis import strategies as st

Wire = dict[str, object]


class ShapeRef(TypedDict):
    shape: str


class Structure(TypedDict):
    type: Literal["structure"]
    members: dict[str, ShapeRef]
    required: NotRequired[list[str]]
    exception: NotRequired[bool]


class ListShape(TypedDict):
    type: Literal["list"]
    member: ShapeRef
    max: NotRequired[int]


class MapShape(TypedDict):
    type: Literal["map"]
    key: ShapeRef
    value: ShapeRef


class StringShape(TypedDict):
    type: Literal["string"]
    min: NotRequired[int]
    max: NotRequired[int]
    pattern: NotRequired[str]
    enum: NotRequired[list[str]]


class PlainShape(TypedDict):
    type: Literal["boolean", "integer", "timestamp"]


Shape = Structure | ListShape | MapShape | StringShape | PlainShape


class OperationShape(TypedDict):
    input: ShapeRef
    output: NotRequired[ShapeRef]
    errors: list[ShapeRef]


class Paginator(TypedDict):
    input_token: str
    output_token: str
    more_results: str
    result_key: str
    limit_key: NotRequired[str]


class Service(TypedDict):
    operations: dict[str, OperationShape]
    shapes: dict[str, Shape]


_LOADER = Loader()
SERVICE = cast("Service", _LOADER.load_service_model("datapipeline", "service-2"))
PAGINATORS = cast(
    "dict[str, dict[str, Paginator]]",
    _LOADER.load_service_model("datapipeline", "paginators-1"),
)["pagination"]
OPERATION_NAMES = sorted(SERVICE["operations"])

# No task and no pipeline comes without them, so the models require them.
ALSO_REQUIRED: Mapping[str, frozenset[str]] = {
    "TaskObject": frozenset({"taskId", "pipelineId", "attemptId"}),
    "PipelineIdName": frozenset({"id", "name"}),
}
# The API reference says so in words; the service model has no number.
LIST_MAXIMA: Mapping[tuple[str, str], int] = {
    ("DescribePipelinesInput", "pipelineIds"): 25,
    ("DescribeObjectsInput", "objectIds"): 100,
    ("Query", "selectors"): 10,
}
# Enough for what can go wrong, little enough for a fast test. Now and then a string or a list
# is as long as it may be; but 20 MB of text (longString) is too much.
_FEW = 3
_USUAL_LENGTH = 12
_LONGEST = 20_000

CHARACTERS = st.characters(
    min_codepoint=0x20,
    exclude_categories=["Cs"],
    exclude_characters="\ufffe\uffff",
    include_characters="\t\n\r",
)
_PLAIN: Mapping[str, st.SearchStrategy[object]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    # Whole seconds, within what every platform can make a date of in every time zone.
    "timestamp": st.integers(-2_000_000_000, 253_402_200_000),
}


def inputs(operation: str) -> st.SearchStrategy[Wire]:
    """What an operation can be asked."""
    return structures(SERVICE["operations"][operation]["input"]["shape"])


def outputs(operation: str) -> st.SearchStrategy[Wire]:
    """What an operation can answer."""
    output = SERVICE["operations"][operation].get("output")
    return structures(output["shape"]) if output else st.just({})


def structures(name: str) -> st.SearchStrategy[Wire]:
    """Bodies of a structure, with every required member and some of the others."""
    shape = SERVICE["shapes"][name]
    assert shape["type"] == "structure"
    members = {member: _member(name, member) for member in shape["members"]}
    required = _required(name)
    needed = {member: values for member, values in members.items() if member in required}
    others = {member: values for member, values in members.items() if member not in required}
    if name == "Field":
        return st.sampled_from(sorted(others)).flatmap(
            lambda one: st.fixed_dictionaries({**needed, one: others[one]})
        )
    return st.fixed_dictionaries(needed, optional=others)


def _member(structure: str, member: str) -> st.SearchStrategy[object]:
    shape = SERVICE["shapes"][structure]
    assert shape["type"] == "structure"
    name = shape["members"][member]["shape"]
    if member == "errorId":
        return strings(name).filter(lambda text: not text.startswith("Service_"))
    return values(name, longest_list=LIST_MAXIMA.get((structure, member)))


def values(name: str, *, longest_list: int | None = None) -> st.SearchStrategy[object]:
    """Values of a shape of any kind."""
    shape = SERVICE["shapes"][name]
    if shape["type"] == "structure":
        return st.deferred(lambda: structures(name))
    if shape["type"] == "list":
        return _lists(values(shape["member"]["shape"]), longest_list or shape.get("max"))
    if shape["type"] == "map":
        keys, items = strings(shape["key"]["shape"]), values(shape["value"]["shape"])
        return st.dictionaries(keys, items, max_size=_FEW)
    if shape["type"] == "string":
        return strings(name)
    return _PLAIN[shape["type"]]


def smallest(name: str) -> object:
    """The simplest value of a shape."""
    shape = SERVICE["shapes"][name]
    if shape["type"] == "structure":
        needed = sorted(_required(name)) + ["stringValue"] * (name == "Field")
        return {member: smallest(shape["members"][member]["shape"]) for member in needed}
    if shape["type"] == "string":
        return shape["enum"][0] if "enum" in shape else "x" * shape.get("min", 0)
    empty: dict[str, object]
    empty = {"list": [], "map": {}, "boolean": False, "integer": 0, "timestamp": 0}
    return empty[shape["type"]]


def _required(name: str) -> set[str]:
    shape = SERVICE["shapes"][name]
    assert shape["type"] == "structure"
    return {*shape.get("required", ()), *ALSO_REQUIRED.get(name, ())}


def _lists(items: st.SearchStrategy[object], longest: int | None) -> st.SearchStrategy[object]:
    few = st.lists(items, max_size=_FEW)
    return few if longest is None else few | items.map(lambda item: [item] * longest)


def strings(name: str) -> st.SearchStrategy[str]:
    """Strings of a shape: its words, or any text within its limits."""
    shape = SERVICE["shapes"][name]
    assert shape["type"] == "string"
    if "enum" in shape:
        return st.sampled_from(shape["enum"])
    longest = shape.get("max")
    usual = st.text(CHARACTERS, min_size=shape.get("min", 0), max_size=_USUAL_LENGTH)
    if longest is None or longest > _LONGEST:
        return usual
    return usual | st.sampled_from(["x" * longest, "\u00e9" * longest, "\U0001f600" * longest])
