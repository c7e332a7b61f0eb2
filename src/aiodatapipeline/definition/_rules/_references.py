"""Where references lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aiodatapipeline.definition._catalog import ValueKind
from aiodatapipeline.definition._findings import Finding, FindingId
from aiodatapipeline.definition._inherit import EffectiveObject
from aiodatapipeline.definition._json import shown
from aiodatapipeline.definition._rules._subject import Subject, way_round
from aiodatapipeline.models import Ref


def references(subject: Subject) -> Iterator[Finding]:
    """Find references that lead nowhere, or to what the field has no use for."""
    for each in subject.objects:
        for key, said in each.own.items():
            for target_id in dict.fromkeys(value.id for value in said if isinstance(value, Ref)):
                if target_id not in subject.resolved.objects:
                    yield subject.finding(
                        FindingId.UNRESOLVED_REFERENCE,
                        (each.id, key),
                        f"refers to {shown(target_id)}, which is not there",
                        subject.guess(target_id, subject.resolved.objects)
                        or "Add an object with this id, or take the reference away.",
                    )
                elif not _is_fit(subject, each, key, target_id):
                    usable = sorted(subject.catalog.references[key])
                    yield subject.finding(
                        FindingId.WRONG_REFERENCE,
                        (each.id, key),
                        f"refers to {shown(target_id)}, which is {_described(subject, target_id)}",
                        f"Refer to an object of the kind {' or '.join(usable)}.",
                    )


def _is_fit(subject: Subject, each: EffectiveObject, key: str, target_id: str) -> bool:
    usable = subject.catalog.references.get(key)
    if usable is None or subject.kind(each, key) is not ValueKind.REFERENCE:
        return True
    known = subject.types.get(target_id)
    if known:
        return bool(usable & {known.kind, known.name})
    # A type that is not in the guide may fit; one that is missing was told already.
    target = subject.resolved.objects[target_id]
    return subject.is_open(target) or not subject.may_lack_type(target)


def _described(subject: Subject, object_id: str) -> str:
    known = subject.types.get(object_id)
    return f"of the type {known.name}" if known else "without a type"


def dependency_cycles(subject: Subject) -> Iterator[Finding]:
    """Find objects that wait for each other."""
    waits = {
        each.id: tuple(dict.fromkeys(each.refs("dependsOn")))
        for each in subject.resolved.objects.values()
        if "type" in each
    }
    for cycle in _cycles(waits):
        yield subject.finding(
            FindingId.DEPENDENCY_CYCLE,
            (cycle[0], "dependsOn"),
            f"makes the object wait for itself: {way_round(cycle)}",
            "Take one of these dependencies away.",
        )


def _cycles(edges: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Walk a graph depth first, without recursion; give the way round where it closes."""
    done: set[str] = set()
    for start in edges:
        path = {} if start in done else {start: iter(edges[start])}
        while path:
            last = next(reversed(path))
            following = next(path[last], None)
            if following is None:
                done.add(last)
                del path[last]
            elif following in path:
                steps = tuple(path)
                yield steps[steps.index(following) :]
            elif following not in done:
                path[following] = iter(edges.get(following, ()))
