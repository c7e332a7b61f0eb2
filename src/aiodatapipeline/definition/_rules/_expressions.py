"""Expressions: what cannot be read, and names that stand for nothing."""

from __future__ import annotations

from collections.abc import Iterator

from aiodatapipeline.definition._catalog import Kind, ValueKind
from aiodatapipeline.definition._findings import Finding, FindingId, Severity
from aiodatapipeline.definition._inherit import SECRET, EffectiveObject
from aiodatapipeline.definition._json import shown
from aiodatapipeline.definition._rules._subject import IDENTITY, Subject
from aiodatapipeline.definition.expressions import ExpressionError


def expressions(subject: Subject) -> Iterator[Finding]:
    """Find expressions that cannot be read, or use names that stand for nothing."""
    for each in subject.objects:
        for key, said in each.own.items():
            texts = [value for value in said if isinstance(value, str) and "#{" in value]
            for text in texts if key != "type" else ():
                template = subject.template(text)
                if isinstance(template, ExpressionError):
                    secret = key.startswith(SECRET)
                    yield subject.finding(
                        FindingId.INVALID_EXPRESSION,
                        (each.id, key),
                        f"cannot be read at index {template.column}"
                        + ("" if secret else f": {template.reason}"),
                        "Mend the expression.",
                    )
                    continue
                for path in dict.fromkeys(name.path for name in template.names):
                    yield from _unknown_name(subject, each, key, path)


def _unknown_name(
    subject: Subject, each: EffectiveObject, key: str, path: tuple[str, ...]
) -> Iterator[Finding]:
    # What an abstract object says is evaluated in those that inherit from it.
    owners = iter((each,)) if "type" in each else subject.heirs(each)
    reason = _unresolved(subject, next(owners), path)
    if reason and all(_unresolved(subject, owner, path) for owner in owners):
        run_time = any(name.startswith("@") for name in path)
        yield subject.finding(
            FindingId.UNKNOWN_NAME,
            (each.id, key),
            f"uses {shown('.'.join(path))}: {reason}",
            "Declare a parameter, add the field, or correct the name.",
            severity=Severity.WARNING if run_time else None,
        )


def _unresolved(subject: Subject, owner: EffectiveObject, path: tuple[str, ...]) -> str | None:
    """Say why a name stands for nothing, or None if it stands for something."""
    if path[0] == "node":
        known = subject.types.get(owner.id)
        fits = known is None or known.kind in {Kind.ACTION, Kind.PRECONDITION}
        return None if fits else "only actions and preconditions have a node"
    at = [owner]
    for depth, name in enumerate(path):
        following: dict[str, EffectiveObject] = {}
        for each in at:
            if name in subject.catalog.run_time or name in IDENTITY or subject.is_open(each):
                continue
            if name == "parent" and each.parent:
                following[each.parent.id] = each.parent
            elif name in each:
                following.update((target.id, target) for target in subject.targets(each, name))
                mixed_up = subject.kind(each, name) is ValueKind.REFERENCE
                if depth + 1 < len(path) and each.strings(name) and not mixed_up:
                    return f"{shown(name)} of {shown(each.id)} is no reference"
            elif depth or name not in subject.resolved.parameters:
                return f"{shown(each.id)} has no field {shown(name)}"
        at = list(following.values())
    return None
