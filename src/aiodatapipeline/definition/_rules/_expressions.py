"""Expressions: what cannot be read, and names that stand for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from aiodatapipeline._secrets import is_secret
from aiodatapipeline.definition._catalog import Kind, ValueKind
from aiodatapipeline.definition._findings import Finding, FindingId, Severity
from aiodatapipeline.definition._inherit import EffectiveObject
from aiodatapipeline.definition._json import shown
from aiodatapipeline.definition._rules._subject import Subject
from aiodatapipeline.definition.expressions import ExpressionError


def expressions(subject: Subject) -> Iterator[Finding]:
    """Find expressions that cannot be read, or use names that stand for nothing."""
    names = _Names(subject)
    for each in subject.objects:
        for key, said in each.own.items():
            texts = [value for value in said if isinstance(value, str) and "#{" in value]
            for text in texts if key != "type" else ():
                template = subject.template(text)
                if isinstance(template, ExpressionError):
                    yield _unreadable(subject, each, key, template)
                    continue
                for path in dict.fromkeys(name.path for name in template.names):
                    reason = names.problem(each, path)
                    if reason:
                        yield _unknown(subject, each, key, path, reason)


def _unreadable(
    subject: Subject, each: EffectiveObject, key: str, error: ExpressionError
) -> Finding:
    reason = "" if is_secret(key) else f": {error.reason}"
    return subject.finding(
        FindingId.INVALID_EXPRESSION,
        (each.id, key),
        f"cannot be read at index {error.column}{reason}",
        "Mend the expression.",
    )


def _unknown(
    subject: Subject, each: EffectiveObject, key: str, path: tuple[str, ...], reason: str
) -> Finding:
    run_time = any(name.startswith("@") for name in path)
    # What looks like an expression may be a part of a password.
    told = (
        "uses a name that stands for nothing"
        if is_secret(key)
        else f"uses {shown('.'.join(path))}: {reason}"
    )
    return subject.finding(
        FindingId.UNKNOWN_NAME,
        (each.id, key),
        told,
        "Declare a parameter, add the field, or correct the name.",
        # The guide may not list everything that the service sets.
        severity=Severity.WARNING if run_time else None,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """Where a name leads from some objects, and why it may not."""

    targets: frozenset[str]
    lacking: str | None
    """An object that has no such field."""
    plain: str | None
    """An object whose field of that name is a text."""


class _Names:
    """What names stand for. Each step is remembered, or paths through lists would fan out."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._steps: dict[tuple[frozenset[str], str], _Step] = {}
        self._heirs_have: dict[str, tuple[frozenset[str], bool]] = {}

    def problem(self, each: EffectiveObject, path: tuple[str, ...]) -> str | None:
        """Say why a path stands for nothing, or None if it stands for something."""
        if path[0] in self._subject.resolved.parameters and len(path) == 1:
            return None
        if each.id in self._subject.untyped:
            return self._problem_of_heirs(each, path[0])
        if path[0] == "node":
            return self._problem_of_node(each, path[1:])
        at = frozenset({each.id})
        for depth, name in enumerate(path, start=1):
            step = self._step(at, name)
            if step.lacking:
                return f"{shown(step.lacking)} has no field {shown(name)}"
            if step.plain and depth < len(path):
                return f"{shown(name)} of {shown(step.plain)} is no reference"
            at = step.targets
        return None

    def _problem_of_heirs(self, each: EffectiveObject, name: str) -> str | None:
        """What an abstract object says is evaluated in those that inherit from it.

        What they refer to differs, so no more than the first name is looked up.
        """
        if self._heirs_may_have(each, name):
            return None
        return f"neither {shown(each.id)} has such a field nor anything that inherits from it"

    @cached_property
    def _referrers(self) -> Mapping[str, list[EffectiveObject]]:
        """For each id, the objects that refer to it."""
        found: dict[str, list[EffectiveObject]] = {}
        for each in self._subject.objects:
            for refs in map(each.refs, each.own):
                for target in dict.fromkeys(refs):
                    found.setdefault(target, []).append(each)
        return found

    def _problem_of_node(self, each: EffectiveObject, path: tuple[str, ...]) -> str | None:
        """The node is whoever refers to the object, or inherits that it does: any of them.

        No more than the first name behind it is looked up, as theirs differ.
        """
        known = self._subject.types.get(each.id)
        if known and known.kind not in {Kind.ACTION, Kind.PRECONDITION}:
            return "only actions and preconditions have a node"
        referrers = self._referrers.get(each.id)
        if not (path and referrers) or any(self._heirs_may_have(one, path[0]) for one in referrers):
            return None
        return f"nothing that refers to {shown(each.id)} has a field {shown(path[0])}"

    def _heirs_may_have(self, each: EffectiveObject, name: str) -> bool:
        if each.id not in self._heirs_have:
            heirs = [heir.id for heir in self._subject.heirs(each)]
            names = frozenset[str]().union(*(self._subject.names[heir] for heir in heirs))
            self._heirs_have[each.id] = names, not self._subject.open_ids.isdisjoint(heirs)
        names, is_open = self._heirs_have[each.id]
        return is_open or name in names or name in self._subject.catalog.run_time

    def _has(self, object_id: str, name: str) -> bool:
        subject = self._subject
        return (
            name in subject.names[object_id]
            or name in subject.catalog.run_time
            or object_id in subject.open_ids
        )

    def _step(self, at: frozenset[str], name: str) -> _Step:
        found = self._steps.get((at, name))
        if found is None:
            found = self._steps[at, name] = self._new_step(at, name)
        return found

    def _new_step(self, at: frozenset[str], name: str) -> _Step:
        subject = self._subject
        if len(at) != 1:
            # Put together from those of the single objects, which many steps share.
            single = [self._step(frozenset({each}), name) for each in sorted(at)]
            return _Step(
                frozenset[str]().union(*(step.targets for step in single)),
                next((step.lacking for step in single if step.lacking), None),
                next((step.plain for step in single if step.plain), None),
            )
        each = subject.resolved.objects[next(iter(at))]
        lacking = None if self._has(each.id, name) else each.id
        if name == "parent":
            parents = {each.parent.id} if each.parent else set[str]()
            return _Step(frozenset(parents), lacking, plain=None)
        targets = frozenset(target.id for target in subject.targets(each, name))
        return _Step(targets, lacking, each.id if self._is_plain(each, name) else None)

    def _is_plain(self, each: EffectiveObject, name: str) -> bool:
        # A text where a reference must be is told elsewhere.
        mistaken = self._subject.kind(each, name) is ValueKind.REFERENCE
        return bool(each.strings(name)) and not mistaken
