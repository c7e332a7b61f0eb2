"""What an object and a parameter come to: inheritance, defaults and values resolved.

An object takes what it does not say itself from its ``parent``, that one from its own, and
so on; whoever names no parent has ``Default``, if there is one. The nearest says what holds.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

from aiodatapipeline._secrets import MASK, is_secret
from aiodatapipeline._text import first_refused
from aiodatapipeline._wire import MAX_VALUE
from aiodatapipeline.definition._file import Definition
from aiodatapipeline.definition._functions import as_text
from aiodatapipeline.definition._json import shown
from aiodatapipeline.definition.expressions import (
    ExpressionError,
    Found,
    Limits,
    MappingScope,
    Scope,
    Template,
    UnknownNameError,
    parse,
)
from aiodatapipeline.models import Field, ParameterObject, ParameterValue, PipelineObject, Ref

__all__ = [
    "EffectiveObject",
    "EvaluatedObject",
    "ObjectScope",
    "Parameter",
    "ParameterValues",
    "ResolvedDefinition",
    "RunTime",
    "RunTimeValue",
    "resolve",
]

DEFAULT_ID = "Default"

RunTimeValue: TypeAlias = "Found | Ref | tuple[Found | Ref, ...]"
"""What a run-time name stands for. A ``Ref`` is the object of that id, with what is known of it."""

RunTime: TypeAlias = Mapping[str, Mapping[str, RunTimeValue]]
"""What is known only when a pipeline runs, such as ``@scheduledStartTime``, by the object's id
and the name."""

ParameterValues: TypeAlias = Mapping[str, str | Iterable[str]] | Iterable[ParameterValue]
"""Values of parameters, as a mapping or as the API has them."""

# Enough for a period or a time made of parameters.
_LITERAL_LIMITS = Limits(steps=2_000, size=MAX_VALUE)
# More than an object can hold, and little enough to be made for each of many fields.
_FIELD_LIMITS = Limits(steps=20_000, size=1_000_000)
# Source: "Pipeline Expressions and Functions" in the developer guide.
_NOT_EVALUATED = frozenset({"id", "name", "type", "sphere", "@sphere"})
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DOUBLE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EffectiveObject:
    """An object together with what it inherits.

    The texts and references of a key are those of the nearest object that has the key, all
    of them. ``parent`` is not inherited.
    """

    definition: PipelineObject
    """The object as it was written."""
    own: Mapping[str, tuple[str | Ref, ...]]
    """What it says itself, by key."""
    parent: EffectiveObject | None
    """From where it inherits; None at the end, and where a cycle was cut."""
    _origins: dict[str, EffectiveObject | None] = dataclasses.field(
        default_factory=dict[str, "EffectiveObject | None"], init=False
    )
    """What ``origin`` found. Lines of parents may be long, and each of them is asked."""

    @property
    def id(self) -> str:
        """The object's id."""
        return self.definition.id

    @property
    def name(self) -> str:
        """The object's name."""
        return self.definition.name

    @property
    def type(self) -> str | None:
        """The type, its own or an inherited one; None for Default and abstract parents."""
        return self.string("type")

    def lineage(self) -> Iterator[EffectiveObject]:
        """Give the object itself, its parent, that one's parent, and so on."""
        each: EffectiveObject | None = self
        while each is not None:
            yield each
            each = each.parent

    def origin(self, key: str) -> EffectiveObject | None:
        """Give the object that a key's values come from, or None if nobody has the key."""
        if key in self.own:
            return self
        passed: list[dict[str, EffectiveObject | None]] = []
        each = None if key == "parent" else self
        while each is not None and key not in each.own:
            origins = each._origins  # noqa: SLF001  # of its own kind
            if key in origins:
                each = origins[key]
                break
            passed.append(origins)
            each = each.parent
        for origins in passed:
            origins[key] = each
        return each

    def values(self, key: str) -> tuple[str | Ref, ...]:
        """Give the texts and references of a key, in order; empty if there is none."""
        origin = self.origin(key)
        return origin.own[key] if origin else ()

    def strings(self, key: str) -> tuple[str, ...]:
        """Give the texts of a key, in order; empty if there is none."""
        return tuple([value for value in self.values(key) if isinstance(value, str)])

    def refs(self, key: str) -> tuple[str, ...]:
        """Give the ids that the references of a key name, in order; empty if there is none."""
        return tuple([value.id for value in self.values(key) if isinstance(value, Ref)])

    def string(self, key: str) -> str | None:
        """Give the first text of a key, or None."""
        for value in self.values(key):
            if isinstance(value, str):
                return value
        return None

    def keys(self) -> tuple[str, ...]:
        """Give every key once: its own, then those of the parent, and so on."""
        mine = (key for key in self.own if key == "parent")
        rest = (key for each in self.lineage() for key in each.own if key != "parent")
        return tuple(dict.fromkeys((*mine, *rest)))

    def flattened(self) -> PipelineObject:
        """Give an object that says by itself all that this one comes to."""
        fields = tuple(Field.of(key, value) for key in self.keys() for value in self.values(key))
        return PipelineObject(id=self.id, name=self.name, fields=fields)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.origin(key) is not None

    def __repr__(self) -> str:
        inherits = f", parent={self.parent.id!r}" if self.parent else ""
        return f"EffectiveObject(id={self.id!r}, type={self.type!r}{inherits})"


@dataclass(frozen=True, slots=True, repr=False)
class Parameter:
    """A parameter with its value. What is secret is not shown when it is printed."""

    id: str
    type: str = "String"
    """String, Integer, Double or AWS::S3::ObjectKey, or whatever the definition says."""
    optional: bool = False
    is_array: bool = False
    default: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    """The only values it may have; empty if any will do."""
    minimum: str | None = None
    maximum: str | None = None
    given: tuple[str, ...] = ()
    """What was given for it, from outside or in the file; empty if nothing was."""
    declared: bool = True
    """False if there is a value and no parameter of that name."""

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown."""
        return is_secret(self.id)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts it stands for: what was given, or else the default."""
        return self.given or self.default

    @property
    def value(self) -> str | int | float | tuple[str | int | float, ...] | None:
        """What it stands for in an expression, by its type.

        None if it has no value, a tuple if it is an array. A text that does not fit the type
        stays a text.
        """
        values = tuple(self._typed(text) for text in self.texts)
        if self.is_array:
            return values
        return values[0] if values else None

    def _typed(self, text: str) -> str | int | float:
        kind = self.type.lower()
        try:
            if kind == "integer" and _INTEGER.fullmatch(text):
                return int(text)
        except ValueError:  # more digits than Python converts
            return text
        if kind == "double" and _DOUBLE.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        return text

    def problems(self) -> Iterator[str]:
        """Say what is wrong with its value, one sentence each; the value is in none of them."""
        if len(self.texts) > 1 and not self.is_array:
            yield f"has {len(self.texts)} values and is no array"
        for index, text in enumerate(self.texts):
            which = f"value {index + 1}" if len(self.texts) > 1 else "value"
            value = self._typed(text)
            if "#{" in text:  # what it comes to is not known yet
                continue
            if isinstance(value, str) and self.type.lower() in {"integer", "double"}:
                yield f"{which} is no {self.type}"
            elif self.allowed and text not in self.allowed:
                yield f"{which} is not among the allowedValues"
            yield from (f"{which} {reason}" for reason in self._beyond(value))

    def _beyond(self, value: str | float) -> Iterator[str]:
        for limit, word, sign in ((self.minimum, "less", 1), (self.maximum, "more", -1)):
            bound = None if limit is None else self._typed(limit)
            if isinstance(value, str) or bound is None or isinstance(bound, str):
                continue
            if (value - bound) * sign < 0:
                yield f"is {word} than {'allowed' if self.secret else limit}"

    def __repr__(self) -> str:
        shown = MASK if self.secret else repr(self.texts)
        return f"Parameter(id={self.id!r}, type={self.type!r}, texts={shown})"


class ObjectScope:
    """What the expressions of an object see: its fields, what they refer to, and parameters."""

    def __init__(
        self,
        resolved: ResolvedDefinition,
        own: EffectiveObject,
        run_time: Mapping[str, RunTimeValue],
        scopes: Mapping[str, ObjectScope],
    ) -> None:
        self._resolved, self._own = resolved, own
        self._run_time, self._scopes = run_time, scopes

    def lookup(self, name: str, /) -> Found:
        """Give what a name stands for: a run-time value, a field or a parameter, in this order.

        Raises:
            UnknownNameError: It stands for nothing.
            ExpressionError: A field of that name holds an expression that cannot be read.
        """
        if name in self._run_time:
            known = self._run_time[name]
            if isinstance(known, tuple):
                return tuple(self._target(name, each) for each in known)
            return self._target(name, known)
        if name in {"id", "@id", "name"}:
            return self._own.name if name == "name" else self._own.id
        if name in self._own:
            found = tuple(self._found(name, value) for value in self._own.values(name))
            return found[0] if len(found) == 1 else found
        if name == "parent" and self._own.parent:
            return self._scopes[self._own.parent.id]
        parameter = self._resolved.parameters.get(name)
        if parameter is None or (parameter.value is None and not parameter.optional):
            raise UnknownNameError(name)
        return parameter.value

    def _found(self, name: str, value: str | Ref) -> Found:
        if isinstance(value, str):
            return parse(value) if "#{" in value else value
        return self._target(name, value)

    def _target(self, name: str, value: Found | Ref) -> Found:
        if not isinstance(value, Ref):
            return value
        if value.id not in self._scopes:
            raise UnknownNameError(name)
        return self._scopes[value.id]


@dataclass(frozen=True, slots=True)
class EvaluatedObject:
    """An object as a task runner gets it, its expressions evaluated."""

    object: PipelineObject
    """With all that it inherits."""
    problems: Mapping[str, str]
    """Why a field stayed as it was written, by its key; empty if none did. No value is in it."""


@dataclass(frozen=True, slots=True)
class ResolvedDefinition:
    """A definition with inheritance and parameters worked out."""

    objects: Mapping[str, EffectiveObject]
    """By id, in the order of the definition. Of two objects with one id, the first."""
    parameters: Mapping[str, Parameter]
    """By id: those declared, then those that have a value and no declaration."""
    parent_cycles: tuple[tuple[str, ...], ...]
    """The ids of objects that are their own ancestors, one tuple for each cycle. The last of
    them inherits from nobody here."""

    def follow(self, object_id: str, key: str) -> tuple[EffectiveObject, ...]:
        """Give the objects that a key's references lead to, without those that are not there.

        Args:
            object_id: Where to start. An unknown one leads nowhere.
            key: The reference field.
        """
        start = self.objects.get(object_id)
        found = (self.objects.get(each) for each in (start.refs(key) if start else ()))
        return tuple(each for each in found if each)

    def scopes(self, run_time: RunTime | None = None) -> Mapping[str, ObjectScope]:
        """Give for each object, by id, what its expressions see.

        Args:
            run_time: Goes before the fields of the same name. For ``node``, and for fields that
                refer to instances, give a ``Ref`` to their component.
        """
        scopes: dict[str, ObjectScope] = {}
        for object_id, own in self.objects.items():
            known = (run_time or {}).get(object_id, {})
            scopes[object_id] = ObjectScope(self, own, known, scopes)
        return scopes

    def evaluated(self, object_id: str, run_time: RunTime | None = None) -> EvaluatedObject:
        """Give an object with all that it inherits, and the value in the place of expressions.

        References stay, and so do ``type``, ``sphere`` and the ids and names, in which the
        service evaluates nothing. An expression that gives a list gives its key several
        values; one that gives nothing leaves its field out. Run-time values are no fields of
        the result.

        Args:
            object_id: The object.
            run_time: As for ``scopes``.

        Returns:
            What cannot be evaluated is told there, and stays as it was written.

        Raises:
            LookupError: There is no object of that id.
        """
        if object_id not in self.objects:
            raise LookupError(f"there is no object {shown(object_id)}")
        written = self.objects[object_id].flattened()
        scope = self.scopes(run_time)[object_id]
        fields: list[Field] = []
        problems: dict[str, str] = {}
        for each in written.fields:
            try:
                fields += _evaluated(each, scope)
            except ExpressionError as error:
                secret = is_secret(each.key)
                problems.setdefault(each.key, "cannot be evaluated" if secret else error.reason)
                fields.append(each)
        evaluated = PipelineObject(id=written.id, name=written.name, fields=tuple(fields))
        return EvaluatedObject(evaluated, problems)

    def literal(self, template: Template) -> str | None:
        """Give what a text comes to if it needs nothing but parameters, or else None.

        The result may hold what is secret.
        """
        if template.is_constant:
            return template.text
        known: dict[str, Found] = {}
        for name in {str(each) for each in template.names}:
            parameter = self.parameters.get(name)
            if parameter is None or not parameter.texts:
                return None
            known[name] = parameter.value
        try:
            return template.render(MappingScope(known), limits=_LITERAL_LIMITS)
        except ExpressionError:
            return None


def _evaluated(field: Field, scope: Scope) -> tuple[Field, ...]:
    """Give what a field comes to.

    Raises:
        ExpressionError: It has no value, or none that a field can hold.
    """
    value = field.string_value
    if value is None or field.key in _NOT_EVALUATED or "#{" not in value:
        return (field,)
    found = parse(value).evaluate(scope, limits=_FIELD_LIMITS)
    if found is None:
        return ()
    texts = tuple(map(as_text, found if isinstance(found, tuple) else (found,)))
    for text in texts:
        if len(text) > MAX_VALUE:
            raise ExpressionError(value, 0, f"the value has more than {MAX_VALUE:,} characters")
        if refused := first_refused(text):
            raise ExpressionError(value, 0, f"the service does not take {refused} of the value")
    return tuple(Field.of(field.key, text) for text in texts)


def resolve(definition: Definition, values: ParameterValues = ()) -> ResolvedDefinition:
    """Work out inheritance and parameters.

    Args:
        definition: Mistakes in it do no harm here; ``check`` names them.
        values: From outside. They go before those in the definition, parameter by parameter,
            and those before the defaults.
    """
    objects, cycles = _link(definition.objects)
    given = _by_id(definition.values) | _by_id(values)
    declared = {
        each.id: _parameter(each, given.get(each.id, ()))
        for each in reversed(definition.parameters)
    }
    parameters = {each.id: declared[each.id] for each in definition.parameters}
    for parameter_id, texts in given.items():
        if parameter_id not in parameters:
            parameters[parameter_id] = Parameter(
                parameter_id, is_array=len(texts) > 1, given=texts, declared=False
            )
    return ResolvedDefinition(objects, parameters, cycles)


def _link(
    objects: Iterable[PipelineObject],
) -> tuple[dict[str, EffectiveObject], tuple[tuple[str, ...], ...]]:
    """Give each object its parent, without recursion, and cut every cycle once."""
    written: dict[str, PipelineObject] = {}
    for each in objects:
        written.setdefault(each.id, each)
    own = {each.id: _own(each) for each in written.values()}
    parents = _parents(own)
    linked: dict[str, EffectiveObject] = {}
    cycles: list[tuple[str, ...]] = []
    for object_id in written:
        path: dict[str, None] = {}
        at: str | None = object_id
        while at is not None and at not in linked and at not in path:
            path[at] = None
            at = parents.get(at)
        if at in path:
            steps = tuple(path)
            cycles.append(steps[steps.index(at) :])
        parent = linked.get(at) if at else None
        for each_id in reversed(path):
            parent = EffectiveObject(written[each_id], own[each_id], parent)
            linked[each_id] = parent
    return {object_id: linked[object_id] for object_id in written}, tuple(cycles)


def _parents(own: Mapping[str, Mapping[str, tuple[str | Ref, ...]]]) -> dict[str, str]:
    """Tell who inherits from whom, of those that are there."""
    named = {
        object_id: next((each.id for each in keys.get("parent", ()) if isinstance(each, Ref)), None)
        for object_id, keys in own.items()
    }
    # Default inherits from nobody unasked, nor does anybody from whom it inherits.
    above_default: set[str] = set()
    at: str | None = DEFAULT_ID if DEFAULT_ID in own else None
    while at is not None and at not in above_default:
        above_default.add(at)
        at = named.get(at)
    parents: dict[str, str] = {}
    for object_id, parent in named.items():
        if parent is None and above_default and object_id not in above_default:
            parents[object_id] = DEFAULT_ID
        elif parent is not None and parent in own:
            parents[object_id] = parent
    return parents


def _own(written: PipelineObject) -> dict[str, tuple[str | Ref, ...]]:
    grouped: dict[str, list[str | Ref]] = {}
    for field in written.fields:
        value = field.value
        grouped.setdefault(field.key, []).extend(() if value is None else (value,))
    return {key: tuple(values) for key, values in grouped.items()}


def _is_mapping(values: ParameterValues) -> TypeGuard[Mapping[str, str | Iterable[str]]]:
    return isinstance(values, Mapping)


def _by_id(values: ParameterValues) -> dict[str, tuple[str, ...]]:
    if _is_mapping(values):
        return {
            key: (value,) if isinstance(value, str) else tuple(value)
            for key, value in values.items()
        }
    grouped: dict[str, list[str]] = {}
    # They all are, as the type checkers cannot know.
    for value in (each for each in values if isinstance(each, ParameterValue)):
        grouped.setdefault(value.id, []).append(value.string_value)
    return {key: tuple(texts) for key, texts in grouped.items()}


def _parameter(written: ParameterObject, given: tuple[str, ...]) -> Parameter:
    said: dict[str, list[str]] = {}
    for attribute in written.attributes:
        said.setdefault(attribute.key, []).append(attribute.string_value)

    def first(key: str) -> str | None:
        return said[key][0] if key in said else None

    def truth(key: str) -> bool:
        return _TRUTH.get((first(key) or "").lower(), False)

    return Parameter(
        id=written.id,
        type=first("type") or "String",
        optional=truth("optional"),
        is_array=truth("isArray"),
        default=tuple(said.get("default", ())),
        allowed=tuple(said.get("allowedValues", ())),
        minimum=first("min"),
        maximum=first("max"),
        given=given,
    )
