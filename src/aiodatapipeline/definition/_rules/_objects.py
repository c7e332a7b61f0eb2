"""Objects by themselves: names, parents, types, and which fields they have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aiodatapipeline.definition._catalog import Catalog, Kind, ObjectType
from aiodatapipeline.definition._findings import Finding, FindingId, Severity
from aiodatapipeline.definition._inherit import DEFAULT_ID, EffectiveObject
from aiodatapipeline.definition._json import shown
from aiodatapipeline.definition._rules._subject import IDENTITY, Subject, way_round
from aiodatapipeline.models import Ref

_USER_FIELD = re.compile(r"\*?my[A-Z_]")
# Instances have ids with "@". "Service_" begins the service's own error ids; whether an object
# may be called so is not documented.
MAX_LEVELS = 100  # more than a pipeline has objects, unless its quota was raised
_RESERVED = {"@": Severity.ERROR, "Service_": Severity.WARNING}
_RESERVED_PREFIXES = tuple(_RESERVED)


def reserved_names(subject: Subject) -> Iterator[Finding]:
    """Find names that only the service gives."""
    for each in subject.objects:
        if each.id.startswith(_RESERVED_PREFIXES):
            prefix = next(one for one in _RESERVED if each.id.startswith(one))
            yield subject.finding(
                FindingId.RESERVED_NAME,
                (each.id, "id"),
                f"begins with {prefix!r}, which the service keeps for itself",
                "Choose another id.",
                severity=_RESERVED[prefix],
            )
        known = subject.types.get(each.id)
        for key in each.own:
            settable = known is None or key in known.fields
            run_time = key.startswith("@") or (key in subject.catalog.run_time and not settable)
            if run_time or key in {"id", "name"}:
                yield subject.finding(
                    FindingId.RESERVED_NAME,
                    (each.id, key),
                    "is set by the service" if run_time else "is no field, it is the object's own",
                    "Leave the field out; one of your own begins with 'my' and a capital letter.",
                )


def parent_cycles(subject: Subject) -> Iterator[Finding]:
    """Find objects that inherit from themselves."""
    for cycle in subject.resolved.parent_cycles:
        yield subject.finding(
            FindingId.PARENT_CYCLE,
            (cycle[0], "parent"),
            f"leads back to the object itself: {way_round(cycle)}",
            "Take one of these parents away.",
        )


def deep_parents(subject: Subject) -> Iterator[Finding]:
    """Find a line of parents that is too long to look at whatever each object inherits."""
    levels: dict[str, int] = {}
    for each in subject.resolved.objects.values():
        line: list[str] = []
        at: EffectiveObject | None = each
        while at is not None and at.id not in levels:
            line.append(at.id)
            at = at.parent
        above = levels[at.id] if at else 0
        levels.update((one, above + level) for level, one in enumerate(reversed(line), start=1))
    deepest = max(levels, key=levels.__getitem__, default="")
    if levels.get(deepest, 0) > MAX_LEVELS:
        yield subject.finding(
            FindingId.TOO_DEEP,
            (deepest, "parent"),
            f"has {levels[deepest] - 1:,} objects above it, and no more than {MAX_LEVELS - 1} are "
            "looked at",
            "Let objects inherit from each other less deeply, so that they can be checked.",
        )


def parents(subject: Subject) -> Iterator[Finding]:
    """Find objects that inherit from several."""
    for each in subject.objects:
        if len(each.own.get("parent", ())) > 1:
            yield subject.finding(
                FindingId.INVALID_FIELD_VALUE,
                (each.id, "parent"),
                "value must be one reference",
                "Keep one parent, and give that one the other as its parent.",
            )


def types(subject: Subject) -> Iterator[Finding]:
    """Find objects without a type, or with one that the guide does not know."""
    for each in subject.objects:
        said = each.own.get("type", ())
        if len(said) > 1 or any(isinstance(value, Ref) for value in said):
            yield subject.finding(
                FindingId.INVALID_FIELD_VALUE,
                (each.id, "type"),
                "value must be one text",
                "Say one type, as a plain text.",
            )
        elif said and each.id not in subject.types and (name := each.string("type")):
            yield subject.finding(
                FindingId.UNKNOWN_TYPE,
                (each.id, "type"),
                f"is {shown(name)}, which is no documented type",
                subject.guess(name, subject.catalog.types)
                or "See the pipeline object reference for the types there are.",
            )
        elif not ("type" in each or subject.may_lack_type(each) or subject.is_open(each)):
            yield subject.finding(
                FindingId.MISSING_FIELD,
                (each.id, "type"),
                "is missing",
                "Give the object a type; only Default and parents of others need none.",
            )


def fields(subject: Subject) -> Iterator[Finding]:
    """Find fields that a type does not have."""
    for each in subject.objects:
        known = subject.types.get(each.id)
        if known is None:
            continue
        for key in each.own:
            if key in known.refused:
                yield subject.finding(
                    FindingId.REFUSED_FIELD,
                    (each.id, key),
                    f"is not allowed on {known.name}",
                    "Leave it out.",
                )
            elif not _is_expected(key, known, subject.catalog):
                yield subject.finding(
                    FindingId.UNKNOWN_FIELD,
                    (each.id, key),
                    f"is no documented field of {known.name}",
                    subject.guess(key, known.fields)
                    or "A field of your own begins with 'my' and a capital letter.",
                )


def _is_expected(key: str, known: ObjectType, catalog: Catalog) -> bool:
    return (
        key in known.fields
        or key in IDENTITY
        or key.startswith("@")
        or key in catalog.run_time
        or _USER_FIELD.match(key) is not None
    )


def required_fields(subject: Subject) -> Iterator[Finding]:
    """Find what is missing after inheritance."""
    for each in subject.objects:
        known = subject.types.get(each.id)
        if known is None or subject.is_open(each):
            continue
        for key in known.required:
            if key not in each:
                yield _missing(subject, each, (key,))
        for group in known.one_of:
            if not any(key in each for key in group):
                yield _missing(subject, each, group)
        is_activity = known.kind is Kind.ACTIVITY
        if is_activity and "schedule" not in each and not subject.on_demand:
            yield subject.finding(
                FindingId.MISSING_FIELD,
                (each.id, "schedule"),
                "is missing",
                "Refer to a Schedule, here or on Default, or make Default's scheduleType ondemand.",
            )
        if is_activity and not ("runsOn" in each or "workerGroup" in each):
            yield subject.finding(
                FindingId.MISSING_RUNNER,
                (each.id, "runsOn"),
                "is missing, and so is 'workerGroup': the task will wait for a runner for ever",
                "Refer to a resource, or name the worker group of a task runner.",
            )


def _missing(subject: Subject, each: EffectiveObject, group: tuple[str, ...]) -> Finding:
    first, *others = group
    if not others:
        return subject.finding(
            FindingId.MISSING_FIELD, (each.id, first), "is missing", "Add it, or inherit it."
        )
    alternatives = " and ".join(map(repr, others))
    return subject.finding(
        FindingId.MISSING_FIELD,
        (each.id, first),
        f"is missing, and so {'is' if len(others) == 1 else 'are'} {alternatives}",
        "Add one of them, or inherit one.",
    )


def resources(subject: Subject) -> Iterator[Finding]:
    """Find resources without logs or without an end. Both texts are the service's own."""
    found = [
        each
        for each in subject.objects
        if each.id in subject.types
        and subject.types[each.id].kind is Kind.RESOURCE
        and not subject.is_open(each)
    ]
    if any("pipelineLogUri" not in each for each in found):
        yield subject.finding(
            FindingId.MISSING_LOG_URI,
            (DEFAULT_ID, "pipelineLogUri"),
            "",
            "Set it to an s3:// folder.",
            message="'pipelineLogUri'is missing. It is recommended to set this value on Default "
            "object for better troubleshooting.",
        )
    for each in found:
        if "terminateAfter" not in each:
            yield subject.finding(
                FindingId.MISSING_TERMINATE_AFTER,
                (each.id, "terminateAfter"),
                "",
                "Set it to a period that all of the work fits into.",
                message="'terminateAfter' is missing. It is recommended to set this to avoid "
                "leaving resource running for long duration.",
            )
