from __future__ import annotations

import json
import pickle
import stat
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest
from pydantic import ValidationError

from aiodatapipeline.definition import Definition, DefinitionError, Position
from aiodatapipeline.models import (
    Field,
    ParameterAttribute,
    ParameterObject,
    ParameterValue,
    PipelineObject,
    Ref,
)
from aiodatapipeline.operations import GetPipelineDefinitionResponse

FILES = Path(__file__).parent / "files"
WHOLE_FILES = sorted(
    path.name for path in FILES.glob("*.json") if path.stem not in {"parameters", "values"}
)


def objects(*members: object) -> dict[str, object]:
    return {"objects": list(members)}


def refusal(body: Mapping[str, object]) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        Definition.from_mapping(body)
    return caught.value


def text_refusal(text: str) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        Definition.from_text(text, name="my.json")
    return caught.value


# Reading.


def test_an_object_becomes_fields_sorted_by_key() -> None:
    body = objects({"id": "A", "type": "Schedule", "b": {"ref": "B"}, "a": ["1", {"ref": "2"}]})

    definition = Definition.from_mapping(body)

    assert definition.objects == (
        PipelineObject(
            id="A",
            name="A",
            fields=(
                Field(key="a", string_value="1"),
                Field(key="a", ref_value="2"),
                Field(key="b", ref_value="B"),
                Field(key="type", string_value="Schedule"),
            ),
        ),
    )


def test_a_name_of_its_own_is_kept() -> None:
    definition = Definition.from_mapping(objects({"id": "A", "name": "The first"}))

    assert definition.objects[0].name == "The first"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (3, "3"), (-0.5, "-0.5"), (1e30, "1e+30"), ("x", "x")],
)
def test_numbers_and_booleans_become_text(value: object, text: str) -> None:
    definition = Definition.from_mapping(objects({"id": "A", "key": value}))

    assert definition.objects[0].string("key") == text


def test_a_number_in_a_text_is_spelled_as_there() -> None:
    definition = Definition.from_text('{"objects": [{"id": 1, "a": 1.50, "b": 1E2, "c": true}]}')

    assert definition.to_mapping() == objects({"id": "1", "a": "1.50", "b": "1E2", "c": "true"})


def test_a_list_of_one_is_the_same_as_its_item() -> None:
    listed = Definition.from_mapping(objects({"id": "A", "key": ["x"]}))
    alone = Definition.from_mapping(objects({"id": "A", "key": "x"}))

    assert listed == alone


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"objects": [{"id": "A", "key": []}]}', "<text>:1:33: 'A', member 'key'"),
        (
            '{"objects": [], "parameters": [{"id": "myX", "allowedValues": []}]}',
            "<text>:1:63: 'myX', member 'allowedValues'",
        ),
        ('{"objects": [], "values": {"myX": []}}', "<text>:1:35: 'myX'"),
    ],
)
def test_an_empty_list_would_be_lost_and_is_refused(text: str, place: str) -> None:
    with pytest.raises(DefinitionError) as told:
        Definition.from_text(text)

    assert str(told.value) == f"{place}: the service keeps no empty list; leave the member out"


def test_any_mapping_and_tuples_will_do() -> None:
    body = MappingProxyType({"objects": (MappingProxyType({"id": "A", "k": ("x", "y")}),)})

    definition = Definition.from_mapping(body)

    assert definition.objects[0].strings("k") == ("x", "y")


def test_parameters_and_values_are_read() -> None:
    body = {
        "objects": [],
        "parameters": [{"id": "myX", "type": "Integer", "allowedValues": [1, 2]}],
        "values": {"myX": 1, "myList": ["a", "b"]},
    }

    definition = Definition.from_mapping(body)

    assert definition.parameters == (
        ParameterObject(
            id="myX",
            attributes=(
                ParameterAttribute(key="allowedValues", string_value="1"),
                ParameterAttribute(key="allowedValues", string_value="2"),
                ParameterAttribute(key="type", string_value="Integer"),
            ),
        ),
    )
    assert definition.values == (
        ParameterValue(id="myX", string_value="1"),
        ParameterValue(id="myList", string_value="a"),
        ParameterValue(id="myList", string_value="b"),
    )


def test_a_file_is_read_with_and_without_a_byte_order_mark(tmp_path: Path) -> None:
    text = '{"objects": [{"id": "Ä"}]}'
    plain, marked = tmp_path / "plain.json", tmp_path / "marked.json"
    plain.write_text(text, "utf-8")
    marked.write_text(text, "utf-8-sig")

    definition = Definition.from_file(plain)

    assert definition == Definition.from_file(str(marked))
    assert definition.objects[0].id == "Ä"
    assert definition.source == str(plain)


def test_a_file_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Definition.from_file(tmp_path / "nope.json")


def test_bytes_that_are_no_text_have_a_place(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes(b'{"objects":\n ["\xe4"]}')

    with pytest.raises(DefinitionError) as caught:
        Definition.from_file(path)

    assert str(caught.value) == f"{path}:2:4: not UTF-8; save the file in this encoding"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(DefinitionError, match="longer than 40,000,000 bytes"):
        Definition.from_file("/dev/zero")


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(DefinitionError, match="null"):
        Definition.from_file("a\0b")


def test_places_of_objects_and_members_are_kept() -> None:
    text = '{"objects": [\n {"id": "A",\n  "type": "Schedule"}]}'

    definition = Definition.from_text(text)

    assert definition.positions == {
        ("A", ""): Position(2, 2),
        ("A", "id"): Position(2, 9),
        ("A", "type"): Position(3, 11),
    }


# Mistakes.


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, 'the "objects" are missing'),
        ({"objects": {}}, '"objects" must be a list'),
        ({"objects": "A"}, '"objects" must be a list'),
        ({"objects": None}, '"objects" must be a list'),
        (objects("A"), "objects[0]: an object in braces should stand here"),
        (objects({"id": "A"}, {"name": "A"}), 'objects[1]: the "id" is missing'),
        (objects({"id": None}), "objects[0].id: a text, a number or a boolean"),
        (objects({"id": ""}), "objects[0].id: String should have at least 1"),
        (objects({"id": "x" * 1025}), "at most 1024"),
        (objects({"id": "A", "name": ["A"]}), "'A', member 'name': a text, a number"),
        (objects({"id": "A", "name": ""}), "'A', member 'name': String should have at least 1"),
        (objects({"id": "A", "": "x"}), "'A': the name itself: String should have at least 1"),
        (objects({"id": "A"}, {"id": "A"}), "'A': the id is already taken"),
        (objects({"id": "A", 1: "x"}), "names of members must be texts"),
        (objects({"id": "A", "k": None}), "'A', member 'k': a text, a number"),
        (objects({"id": "A", "k": [["x"]]}), "'A', member 'k': a text, a number"),
        (objects({"id": "A", "k": b"x"}), "'A', member 'k': a text, a number"),
        (objects({"id": "A", "k": Decimal(1)}), "'A', member 'k': a text, a number"),
        (objects({"id": "A", "k": float("nan")}), "'A', member 'k': this number has no JSON"),
        (objects({"id": "A", "k": 10**5000}), "'A', member 'k': this number has no JSON"),
        (objects({"id": "A", "k": {}}), "'A', member 'k': an object here must be a reference"),
        (objects({"id": "A", "k": {"ref": "B", "x": 1}}), "must be a reference"),
        (objects({"id": "A", "k": {"Ref": "B"}}), "must be a reference"),
        (objects({"id": "A", "k": {"ref": ["B"]}}), "'A', member 'k': a text, a number"),
        (objects({"id": "A", "k": {"ref": ""}}), "'A', member 'k': String should have at least"),
        (objects({"id": "A", "k": "x" * 10_241}), "'A', member 'k': String should have at most"),
        (
            objects({"id": "A", "k\0": "x"}),
            "member 'k\\x00': the name itself: the service does not take U+0000",
        ),
        (objects({"id": "A", "k": ["x", "\ud800"]}), "the service does not take U+D800"),
        ({"objects": [], "parameters": {}}, '"parameters" must be a list'),
        ({"objects": [], "parameters": [{"type": "x"}]}, 'the "id" is missing'),
        ({"objects": [], "parameters": [{"id": "p"}] * 2}, "'p': the id is already taken"),
        ({"objects": [], "parameters": [{"id": ""}]}, "at least 1"),
        (
            {"objects": [], "parameters": [{"id": "p", "type": {"ref": "x"}}]},
            "'p', member 'type': a text, a number",
        ),
        (
            {"objects": [], "parameters": [{"id": "p", "type": ["\0"]}]},
            "'p', member 'type': the service does not take",
        ),
        ({"objects": [], "values": []}, "values: an object in braces should stand here"),
        ({"objects": [], "values": {"v": None}}, "'v': a text, a number"),
        ({"objects": [], "values": {"": "x"}}, "values.: the name itself: String should have"),
    ],
)
def test_what_is_no_definition_is_refused_by_name(body: dict[str, object], words: str) -> None:
    error = refusal(body)

    assert words in str(error)
    assert error.position is None
    assert error.source == ""


def test_a_mistake_in_a_text_names_object_member_line_and_column() -> None:
    text = '{"objects": [\n  {"id": "Copy",\n   "input": ["x",\n     {"reef": "B"}]}]}'

    error = text_refusal(text)

    assert (error.source, error.object_id, error.member) == ("my.json", "Copy", "input")
    assert error.position == Position(4, 6)
    assert str(error) == (
        "my.json:4:6: 'Copy', member 'input': an object here must be a reference, {\"ref\": \"id\"}"
    )


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", "my.json:1:1: "),
        ("[]", "my.json:1:1: an object in braces"),
        ('{"objects": [], }', "my.json:1:17: no comma"),
        ('{"objects": [{"id": "A", "c": "x\ny"}]}', "my.json:1:33: a line break"),
        ('{"objects": [{"id": "A"},\n{"id": "A"}]}', "my.json:2:8: 'A': the id is already"),
        ('{"objects": [{"id": "A", "a": 1,\n"a": 2}]}', "my.json:2:1: the name 'a' is already"),
        ('{"objects": [\n{"name": "A"}]}', 'my.json:2:1: objects[0]: the "id" is missing'),
        ('{"objects": [],\n "values": {"v": [1, null]}}', "my.json:2:22: 'v': a text"),
        ('{"objects": [{"id": "A",\n"name": ""}]}', "my.json:2:9: 'A', member 'name': "),
        ('{"objects": [{\n"id": ""}]}', "my.json:2:7: objects[0].id: "),
        ('{"objects": [{"id": "A",\n"": "x"}]}', "my.json:2:5: 'A': the name itself: "),
        ("\ufeff{}", 'my.json:1:1: the "objects" are missing'),
        ("[" * 10_000, "my.json:1:101: nested more than 100 levels"),
        ('{"objects": ' * 10_000, "my.json:1:1201: nested more than 100 levels"),
    ],
)
def test_a_text_that_is_no_definition_is_refused_with_its_place(text: str, start: str) -> None:
    error = text_refusal(text)

    assert str(error).startswith(start)


def test_a_mapping_that_holds_itself_is_refused() -> None:
    body: dict[str, object] = {"id": "A"}
    body["self"] = body

    error = refusal(objects(body))

    assert error.member == "self"


def test_the_error_can_be_pickled() -> None:
    error = text_refusal('{"objects": [{"id": "A", "k": null}]}')

    copy = pickle.loads(pickle.dumps(error))

    assert str(copy) == str(error)
    assert copy.position == error.position


# Writing.


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_file_comes_back_the_same(name: str, tmp_path: Path) -> None:
    definition = Definition.from_file(FILES / name)

    definition.write(tmp_path / "copy.json")

    assert Definition.from_file(tmp_path / "copy.json") == definition
    assert Definition.from_mapping(definition.to_mapping()) == definition


def test_a_file_that_is_replaced_keeps_its_permissions_and_its_links(tmp_path: Path) -> None:
    file, link = tmp_path / "etl.json", tmp_path / "link.json"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    definition = Definition.from_mapping(objects({"id": "A"}))

    definition.write(link)

    assert link.is_symlink()
    assert Definition.from_file(file) == definition
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(tmp_path.iterdir()) == [file, link]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "etl.json"
    file.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copymode", full)
    with pytest.raises(OSError, match="No space"):
        Definition.from_mapping(objects({"id": "A"})).write(file)

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_text_is_pretty_and_always_the_same() -> None:
    one = {"id": "A", "b": {"ref": "B"}, "parent": {"ref": "P"}, "type": "T", "a": ["x", "y"]}
    two = {"id": "Ä", "name": 'the "ref": {\n"x"\n}'}
    body = {
        "objects": [one, two],
        "parameters": [{"type": "String", "id": "myX", "default": "1"}],
        "values": {"myX": ["a", "b"]},
    }
    other = {**body, "objects": [dict(reversed(one.items())), two]}

    text = Definition.from_mapping(body).to_text()

    assert text == Definition.from_mapping(other).to_text()
    assert text == (
        "{\n"
        '  "objects": [\n'
        "    {\n"
        '      "id": "A",\n'
        '      "type": "T",\n'
        '      "parent": {"ref": "P"},\n'
        '      "a": [\n'
        '        "x",\n'
        '        "y"\n'
        "      ],\n"
        '      "b": {"ref": "B"}\n'
        "    },\n"
        "    {\n"
        '      "id": "Ä",\n'
        '      "name": "the \\"ref\\": {\\n\\"x\\"\\n}"\n'
        "    }\n"
        "  ],\n"
        '  "parameters": [\n'
        "    {\n"
        '      "id": "myX",\n'
        '      "type": "String",\n'
        '      "default": "1"\n'
        "    }\n"
        "  ],\n"
        '  "values": {\n'
        '    "myX": [\n'
        '      "a",\n'
        '      "b"\n'
        "    ]\n"
        "  }\n"
        "}\n"
    )


def test_nothing_is_written_of_parameters_and_values_that_are_not_there() -> None:
    definition = Definition.from_mapping(objects())

    assert definition.to_mapping() == {"objects": []}


def test_what_only_the_api_can_express_is_written_as_well_as_can_be() -> None:
    definition = Definition(
        objects=(
            PipelineObject.from_wire(
                {
                    "id": "A",
                    "name": "A",
                    "fields": [
                        {"key": "name", "stringValue": "hidden"},
                        {"key": "b", "stringValue": "1"},
                        {"key": "empty"},
                        {"key": "b", "stringValue": "2"},
                    ],
                }
            ),
        ),
        parameters=(
            ParameterObject(
                id="myX", attributes=(ParameterAttribute(key="id", string_value="hidden"),)
            ),
        ),
    )

    body = definition.to_mapping()

    assert body == {
        "objects": [{"id": "A", "b": ["1", "2"], "empty": ""}],
        "parameters": [{"id": "myX"}],
    }


# Requests and responses.


def test_a_request_carries_the_definition_and_a_response_gives_it_back() -> None:
    definition = Definition.from_file(FILES / "constructs.json")

    request = definition.to_request("df-1")
    response = GetPipelineDefinitionResponse.from_wire(request.to_wire())

    assert request.pipeline_id == "df-1"
    assert Definition.from_response(response) == definition


def test_a_request_needs_a_pipeline_id() -> None:
    with pytest.raises(ValidationError):
        Definition().to_request("")


# Parts.


def test_parameters_and_values_can_have_files_of_their_own() -> None:
    body = {
        **objects({"id": "A"}),
        "parameters": [{"id": "myX"}, {"id": "myY"}],
        "values": {"myX": "1"},
    }
    whole = Definition.from_mapping(body)

    merged = whole.with_parts(
        Definition.from_file(FILES / "parameters.json", whole=False)
    ).with_parts(Definition.from_file(FILES / "values.json", whole=False))

    assert merged.objects == whole.objects
    assert [each.id for each in merged.parameters] == ["myHours"]
    assert merged.values == (ParameterValue(id="myHours", string_value="3"),)


def test_objects_are_replaced_as_a_whole_with_their_places() -> None:
    first = Definition.from_text('{"objects": [{"id": "A"}], "values": {"v": "1"}}', name="1.json")
    second = Definition.from_text('{"objects": [{"id": "B"}]}', name="2.json")

    merged = first.with_parts(second)

    assert merged == Definition(objects=second.objects, values=first.values)
    assert (merged.source, set(merged.positions)) == ("2.json", {("B", ""), ("B", "id")})


def test_a_file_without_objects_is_no_definition() -> None:
    with pytest.raises(DefinitionError, match="objects"):
        Definition.from_file(FILES / "values.json")


# The value itself.


def test_objects_are_found_by_id() -> None:
    definition = Definition.from_mapping(objects({"id": "A"}, {"id": "B", "k": {"ref": "A"}}))

    found = definition.find("B")

    assert found is not None
    assert found.values("k") == (Ref("A"),)
    assert definition.find("C") is None


def test_where_it_was_read_from_does_not_matter() -> None:
    text = '{"objects": [{"id": "A"}]}'

    assert Definition.from_text(text, name="one") == Definition.from_text(text + " ", name="two")
    assert Definition.from_text(text) == Definition.from_mapping(json.loads(text))


def test_secrets_are_not_printed() -> None:
    definition = Definition.from_mapping(
        {
            "objects": [{"id": "A", "*password": "hush1"}],
            "parameters": [{"id": "*myX", "default": "hush2"}],
            "values": {"*myX": "hush3"},
        }
    )

    printed = repr(definition)

    assert "hush" not in printed
    assert "*password" in printed
