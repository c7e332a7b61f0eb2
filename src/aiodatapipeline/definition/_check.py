"""Check a definition as a put would, and more, without a service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aiodatapipeline.definition import _rules
from aiodatapipeline.definition._file import Definition
from aiodatapipeline.definition._findings import FindingId, Report
from aiodatapipeline.definition._inherit import ParameterValues, resolve

__all__ = ["Quotas", "check"]


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits that AWS raises for an account on request. Source: "AWS Data Pipeline Limits"."""

    objects: int = 100
    """Objects in a pipeline."""
    active_instances: int = 5
    """Active instances of an object: the most that maxActiveInstances can ask for."""


_USUAL_QUOTAS = Quotas()
# With these, whatever looks things up could take for ever.
_TOO_MUCH = {FindingId.TOO_MANY_OBJECTS, FindingId.TOO_DEEP}


def check(
    definition: Definition,
    *,
    values: ParameterValues = (),
    quotas: Quotas = _USUAL_QUOTAS,
    activating: bool = False,
    now: datetime | None = None,
) -> Report:
    """Find what is wrong or doubtful with a definition.

    Roles, networks and what is stored elsewhere cannot be checked here.

    Args:
        definition: Whatever the models take. It need not come from a file.
        values: Values of parameters from outside, which go before those in the definition.
        quotas: The account's.
        activating: Whether it is to run now, so that parameters without a value are errors.
        now: The time, with its zone, to find schedules that begin in the past; None not to
            look for them.

    Returns:
        The findings. With more objects than the quota, or more levels of parents than anybody
        has, only what concerns the whole.

    Raises:
        ValueError: ``now`` has no time zone.
    """
    if now is not None and now.tzinfo is None:
        raise ValueError("now needs a time zone, such as datetime.now(UTC) has")
    subject = _rules.Subject(
        definition=definition,
        resolved=resolve(definition, values),
        max_objects=quotas.objects,
        max_active_instances=quotas.active_instances,
        activating=activating,
        now=now,
    )
    found = [each for rule in _rules.FIRST for each in rule(subject)]
    if not any(each.id in _TOO_MUCH for each in found):
        found += [each for rule in _rules.THEN for each in rule(subject)]
    places = {object_id: place for place, object_id in enumerate(("", *subject.resolved.objects))}
    return Report(tuple(sorted(found, key=lambda each: places.get(each.object_id, len(places)))))
