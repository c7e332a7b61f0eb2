"""The request as a whole: how much there is of everything."""

from __future__ import annotations

from collections.abc import Iterator

from aiodatapipeline.definition._findings import Finding, FindingId
from aiodatapipeline.definition._inherit import EffectiveObject
from aiodatapipeline.definition._rules._subject import MAX_FIELDS, MAX_OBJECT_BYTES, Subject, size

# Quotas that cannot be adjusted. Source: "AWS Data Pipeline Limits" in the developer guide, and
# for parameters "Creating a Pipeline Using Parametrized Templates".
MAX_NAME_BYTES = 256
MAX_FIELD_BYTES = 10_240
MAX_PARAMETERS = 50
MAX_VALUES_BYTES = 15 * 1024


def too_many_objects(subject: Subject) -> Iterator[Finding]:
    """Find more objects than a pipeline may have."""
    count = len(subject.definition.objects)
    if count > subject.max_objects:
        yield subject.finding(
            FindingId.TOO_MANY_OBJECTS,
            ("", ""),
            f"there are {count} objects, and {subject.max_objects} are allowed",
            "Split the pipeline, or have the quota of objects per pipeline raised.",
        )


def duplicate_ids(subject: Subject) -> Iterator[Finding]:
    """Find ids that are used twice."""
    for elements in (subject.definition.objects, subject.definition.parameters):
        seen: dict[str, int] = {}
        for each in elements:
            seen[each.id] = seen.get(each.id, 0) + 1
        for object_id, count in seen.items():
            if count > 1:
                yield subject.finding(
                    FindingId.DUPLICATE_ID,
                    (object_id, "id"),
                    f"is used {count} times",
                    "Give each its own id.",
                )


def empty_fields(subject: Subject) -> Iterator[Finding]:
    """Find fields that say nothing."""
    for each in subject.definition.objects:
        empty = (field.key for field in each.fields if field.value in (None, ""))
        for key in dict.fromkeys(empty):
            yield subject.finding(
                FindingId.EMPTY_FIELD,
                (each.id, key),
                "is empty",
                "Give it a value, or leave the field out.",
            )


def sizes(subject: Subject) -> Iterator[Finding]:
    """Find what has more bytes, or more parts, than the service takes."""
    for each in subject.resolved.objects.values():
        yield from _sizes_of(subject, each)
    parameters = len(subject.definition.parameters)
    if parameters > MAX_PARAMETERS:
        yield subject.finding(
            FindingId.TOO_MANY_PARAMETERS,
            ("", ""),
            f"there are {parameters} parameters, and {MAX_PARAMETERS} are allowed",
            "Write values that never change into the objects.",
        )
    total = sum(size(value.id) + size(value.string_value) for value in subject.definition.values)
    if total > MAX_VALUES_BYTES:
        yield _too_long(subject, ("", ""), "the parameter values have", total, MAX_VALUES_BYTES)


def _sizes_of(subject: Subject, each: EffectiveObject) -> Iterator[Finding]:
    if (count := size(each.id)) > MAX_NAME_BYTES:
        yield _too_long(subject, (each.id, "id"), "has", count, MAX_NAME_BYTES)
    if len(each.own) > MAX_FIELDS:
        yield subject.finding(
            FindingId.TOO_MANY_FIELDS,
            (each.id, ""),
            f"there are {len(each.own)} fields, and {MAX_FIELDS} are allowed",
            "Move fields to a parent, or split the object.",
        )
    for key, values in each.own.items():
        if (count := size(key)) > MAX_NAME_BYTES:
            yield _too_long(subject, (each.id, key), "has a name of", count, MAX_NAME_BYTES)
        count = max([size(value) for value in values if isinstance(value, str)], default=0)
        if count > MAX_FIELD_BYTES:
            yield _too_long(subject, (each.id, key), "has", count, MAX_FIELD_BYTES)
    if (count := subject.bytes_of[each.id]) > MAX_OBJECT_BYTES:
        yield _too_long(subject, (each.id, ""), "the fields have", count, MAX_OBJECT_BYTES)


def _too_long(subject: Subject, at: tuple[str, str], what: str, count: int, limit: int) -> Finding:
    return subject.finding(
        FindingId.TOO_LONG,
        at,
        f"{what} {count:,} bytes of UTF-8, and {limit:,} are allowed",
        "Make it shorter; long scripts can be kept in S3.",
    )
