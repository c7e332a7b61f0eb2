"""A definition under check, with all that the rules look up, and how a finding is made."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from aiodatapipeline.definition._catalog import Catalog, ObjectType, ValueKind, catalog
from aiodatapipeline.definition._file import Definition
from aiodatapipeline.definition._findings import Finding, FindingId, Severity, usual_severity
from aiodatapipeline.definition._inherit import DEFAULT_ID, EffectiveObject, ResolvedDefinition
from aiodatapipeline.definition._json import shown
from aiodatapipeline.definition.expressions import ExpressionError, Template, parse
from aiodatapipeline.models import Ref

# Quotas that cannot be adjusted. Source: "AWS Data Pipeline Limits" in the developer guide.
MAX_FIELDS = 50
MAX_OBJECT_BYTES = 15_360

MAX_GUESSES = 100
MAX_GUESSED = 50  # characters; no name in the guide has so many

ON_DEMAND = "ondemand"
# What an object is in itself, and no field.
IDENTITY = frozenset({"id", "name", "type"})
TRUTH = frozenset({"true", "false"})
PARAMETER_ID = re.compile(r"\*?my")


@dataclass(frozen=True)
class Subject:
    """A definition under check, with all that the rules look up."""

    definition: Definition
    resolved: ResolvedDefinition
    max_objects: int
    max_active_instances: int
    activating: bool
    now: datetime | None

    @cached_property
    def catalog(self) -> Catalog:
        """What is known of types."""
        return catalog()

    @cached_property
    def objects(self) -> tuple[EffectiveObject, ...]:
        """The objects to look into. One that is far too large is not worth the time."""
        return tuple(
            each
            for each in self.resolved.objects.values()
            if len(each.own) <= MAX_FIELDS and self.bytes_of[each.id] <= MAX_OBJECT_BYTES
        )

    @cached_property
    def bytes_of(self) -> Mapping[str, int]:
        """The bytes of each object by id, field names included."""
        return {object_id: _bytes_of(each) for object_id, each in self.resolved.objects.items()}

    @cached_property
    def types(self) -> Mapping[str, ObjectType]:
        """The types of the objects by id, without those that have none or an unknown one."""
        found: dict[str, ObjectType] = {}
        for each in self.resolved.objects.values():
            said = each.values("type")
            if len(said) == 1 and isinstance(said[0], str) and said[0] in self.catalog.types:
                found[each.id] = self.catalog.types[said[0]]
        return found

    @cached_property
    def untyped(self) -> frozenset[str]:
        """The ids of those that have no type at all: Default and abstract parents."""
        return frozenset(each.id for each in self.resolved.objects.values() if "type" not in each)

    @cached_property
    def children(self) -> Mapping[str, tuple[EffectiveObject, ...]]:
        """For the id of each object from whom somebody inherits, who names it as parent."""
        found: dict[str, list[EffectiveObject]] = {}
        for each in self.resolved.objects.values():
            if each.parent:
                found.setdefault(each.parent.id, []).append(each)
        return {parent_id: tuple(each) for parent_id, each in found.items()}

    @cached_property
    def on_demand(self) -> bool:
        """Whether the pipeline runs once for each activation."""
        default = self.resolved.objects.get(DEFAULT_ID)
        said = default.string("scheduleType") if default else None
        return (self.literal(said or "") or "").lower() == ON_DEMAND

    @cached_property
    def _templates(self) -> dict[str, Template | ExpressionError]:
        return {}

    def template(self, text: str) -> Template | ExpressionError:
        """Read a text's expressions, once."""
        found = self._templates.get(text)
        if found is None:
            try:
                found = parse(text)
            except ExpressionError as error:
                found = error
            self._templates[text] = found
        return found

    def literal(self, text: str) -> str | None:
        """Give a text with parameters put in; None if it needs more, or has no value yet."""
        if "#{" not in text:
            return text
        template = self.template(text)
        return self.resolved.literal(template) if isinstance(template, Template) else None

    def waits(self, text: str) -> bool:
        """Whether all that a text wants is the value of parameters, or the mending of a mistake."""
        template = self.template(text)
        return isinstance(template, ExpressionError) or all(
            PARAMETER_ID.match(str(name)) for name in template.names
        )

    @cached_property
    def names_used(self) -> frozenset[str]:
        """What expressions begin with, in all objects."""
        found = (
            self.template(value)
            for each in self.objects
            for values in each.own.values()
            for value in values
            if isinstance(value, str) and "#{" in value
        )
        templates = (each for each in found if isinstance(each, Template))
        return frozenset(name.path[0] for each in templates for name in each.names)

    def kind(self, each: EffectiveObject, key: str) -> ValueKind | None:
        """Tell what a field holds: of a known type its own fields, without a type all fields."""
        known = self.types.get(each.id)
        if known:
            return known.fields.get(key)
        return self.catalog.fields.get(key) if each.id in self.untyped else None

    @cached_property
    def open_ids(self) -> frozenset[str]:
        """The objects that may have fields unknown here: by their type, or a parent gone astray."""
        return frozenset(
            each.id
            for each in self.resolved.objects.values()
            if (each.id not in self.untyped and each.id not in self.types)
            or any(_is_astray(one) for one in each.lineage())
        )

    def is_open(self, each: EffectiveObject) -> bool:
        """Whether an object is one of those."""
        return each.id in self.open_ids

    @cached_property
    def names(self) -> Mapping[str, frozenset[str]]:
        """What expressions can use of each object by id: fields and what it is in itself."""
        found: dict[str, frozenset[str]] = {}
        for each in self.resolved.objects.values():
            inherits = {"parent"} if each.parent else set[str]()
            found[each.id] = IDENTITY.union(each.keys(), inherits)
        return found

    def may_lack_type(self, each: EffectiveObject) -> bool:
        """Whether an object is there to be inherited from, and need not be anything itself."""
        return each.id == DEFAULT_ID or each.id in self.children

    def lone(self, each: EffectiveObject, key: str) -> str | None:
        """Give the literal value of a key, or None."""
        said = each.string(key)
        return None if said is None else self.literal(said)

    def heirs(self, parent: EffectiveObject) -> Iterator[EffectiveObject]:
        """Give whoever inherits from an object, and itself."""
        waiting = [parent]
        while waiting:
            each = waiting.pop()
            yield each
            waiting += self.children.get(each.id, ())

    def targets(self, each: EffectiveObject, key: str) -> Iterator[EffectiveObject]:
        """Give the objects that a key refers to, of those that are there."""
        found = (self.resolved.objects.get(ref) for ref in dict.fromkeys(each.refs(key)))
        return (target for target in found if target)

    @cached_property
    def _guesses(self) -> Iterator[int]:
        return iter(range(MAX_GUESSES))

    def guess(self, word: str, known: Iterable[str]) -> str:
        """Ask about the most similar of the known words; empty if none is, or it was done often.

        The comparison is slow, and nobody reads a hundred guesses.
        """
        if len(word) > MAX_GUESSED or next(self._guesses, None) is None:
            return ""
        by_lower = {each.lower(): each for each in known}
        close = difflib.get_close_matches(word.lower(), by_lower, 1, 0.75)
        return f"Did you mean {by_lower[close[0]]!r}?" if close else ""

    def finding(
        self,
        finding_id: FindingId,
        at: tuple[str, str],
        reason: str,
        advice: str,
        *,
        severity: Severity | None = None,
        message: str | None = None,
    ) -> Finding:
        """Make a finding about a field of an object, or about all of it."""
        object_id, field = at
        # The one code that was seen in an answer of the service has two spaces behind it.
        gap = "  " if finding_id is FindingId.INVALID_FIELD_VALUE else " "
        subject = f"{shown(field)} " if field else ""
        positions = self.definition.positions
        return Finding(
            id=finding_id,
            severity=severity or usual_severity(finding_id),
            object_id=object_id,
            field=field,
            message=message or f"{finding_id}:{gap}{subject}{reason}",
            advice=advice,
            position=positions.get(at) or positions.get((object_id, "")),
        )


def _is_astray(each: EffectiveObject) -> bool:
    """Whether an object names a parent, and does not inherit from that one alone."""
    if "parent" not in each.own:
        return False
    return each.parent is None or each.own["parent"] != (Ref(each.parent.id),)


def _bytes_of(each: EffectiveObject) -> int:
    total = 0
    for key, values in each.own.items():
        for value in values:
            total += size(key) + size(value.id if isinstance(value, Ref) else value)
    return total


Rule = Callable[[Subject], Iterable[Finding]]


def size(text: str) -> int:
    """Give the bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def way_round(cycle: tuple[str, ...]) -> str:
    """Show a cycle, at no great length."""
    ids = [shown(each) for each in (*cycle, cycle[0])]
    return " -> ".join(ids if len(ids) < 10 else [*ids[:8], "...", ids[-1]])
