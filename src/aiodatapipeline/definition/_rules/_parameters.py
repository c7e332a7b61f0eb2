"""Parameters and their values. No value is shown: it may be secret."""

from __future__ import annotations

from collections.abc import Iterator

from aiodatapipeline.definition._findings import Finding, FindingId, Severity
from aiodatapipeline.definition._rules._subject import PARAMETER_ID, TRUTH, Subject

_TYPES = frozenset({"string", "integer", "double", "aws::s3::objectkey"})


def parameters(subject: Subject) -> Iterator[Finding]:
    """Find parameters whose attributes make no sense."""
    for each in subject.definition.parameters:
        if not PARAMETER_ID.match(each.id):
            yield subject.finding(
                FindingId.INVALID_PARAMETER,
                (each.id, "id"),
                "does not begin with 'my'",
                "Call it my and a capital letter, with a '*' in front if it is secret.",
            )
        for attribute in each.attributes:
            wanted = _wanted(attribute.key, attribute.string_value)
            if wanted:
                yield subject.finding(
                    FindingId.INVALID_PARAMETER,
                    (each.id, attribute.key),
                    f"must be {wanted}",
                    "Correct the attribute, or leave it out.",
                )


def _wanted(key: str, text: str) -> str | None:
    if not text:
        return "more than an empty text"
    if key == "type" and text.lower() not in _TYPES:
        return "String, Integer, Double or AWS::S3::ObjectKey"
    if key in {"optional", "isArray"} and text.lower() not in TRUTH:
        return "true or false"
    return None


def parameter_values(subject: Subject) -> Iterator[Finding]:
    """Find parameters without a value, values without a parameter, and values that do not fit."""
    declared = [each.id for each in subject.definition.parameters]
    for each in subject.resolved.parameters.values():
        if not (each.declared or each.id in subject.names_used):
            yield subject.finding(
                FindingId.UNDECLARED_PARAMETER,
                (each.id, ""),
                "there is a value for a parameter that is neither declared nor used",
                subject.guess(each.id, declared) or "Declare it, or drop the value.",
            )
        elif not (each.texts or each.optional):
            yield subject.finding(
                FindingId.MISSING_PARAMETER_VALUE,
                (each.id, ""),
                "there is neither a value nor a default",
                "Give it a value now or at activation, a default, or make it optional.",
                severity=Severity.ERROR if subject.activating else None,
            )
        for problem in each.problems() if each.declared else ():
            yield subject.finding(
                FindingId.INVALID_PARAMETER_VALUE,
                (each.id, ""),
                problem,
                "Give it a value that fits its type, isArray, allowedValues, min and max.",
            )
