"""What a drawing shows: the objects that do something, and what leads from one to another.

Default and abstract parents are not drawn: what they say is drawn at the objects that
inherit it. A line goes the way the work goes, from what comes first to what comes next, so
from an input to its activity and from an activity to its output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from aiodatapipeline._text import clean
from aiodatapipeline.definition._catalog import Kind, catalog
from aiodatapipeline.definition._file import Definition, DefinitionError
from aiodatapipeline.definition._inherit import DEFAULT_ID, EffectiveObject, resolve

# A pipeline has 100 objects unless the quota was raised. No drawing of more is readable.
MAX_OBJECTS = 1000
MAX_LINES = 10_000
# From so many lines to one schedule, resource or the like on, its name stands in each box.
FAN = 5
# The longest text in a box, in characters.
MAX_LABEL = 32


class Role(StrEnum):
    """What a box stands for. It decides the shape."""

    ACTIVITY = "activity"
    DATA = "data"
    RESOURCE = "resource"
    PRECONDITION = "precondition"
    SCHEDULE = "schedule"
    ACTION = "action"
    DATABASE = "database"
    OTHER = "other"
    MISSING = "missing"
    """Something refers to it, and it is not there."""


class Flow(StrEnum):
    """What a line stands for. It decides the style."""

    DATA = "data"
    ORDER = "order"
    CONDITION = "condition"
    RESOURCE = "resource"
    SCHEDULE = "schedule"
    ACTION = "action"
    OTHER = "other"


class Stage(StrEnum):
    """How far an object has come in a run. It decides the colour."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    OTHER = "other"


def stage_of(status: str) -> Stage:
    """Say how far what has a status has come."""
    return _STAGES.get(status.upper(), Stage.OTHER)


@dataclass(frozen=True, slots=True)
class Node:
    """A box."""

    id: str
    label: str
    type: str
    role: Role
    status: str = ""
    """The status word; empty if none was given."""
    notes: tuple[tuple[str, str], ...] = ()
    """Fields that lead to what no line is drawn to, and the labels of that."""

    @property
    def stage(self) -> Stage | None:
        """How far it has come; None if nobody said."""
        return stage_of(self.status) if self.status else None

    def lines(self) -> tuple[str, ...]:
        """Give what stands in the box, line by line."""
        notes = (f"{field}: {to}" for field, to in self.notes)
        return tuple(line for line in (self.label, self.type, self.status, *notes) if line)


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from one box to another, by their numbers."""

    source: int
    target: int
    field: str
    flow: Flow
    outward: bool
    """Whether the field is the source's, not the target's."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes and lines, in the order of the definition."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def statuses(self) -> dict[Stage, list[str]]:
        """Give the status words there are, by what they mean. Empty if nobody gave any."""
        words = {
            stage: sorted({node.status for node in self.nodes if node.stage is stage})
            for stage in Stage
        }
        return {stage: found for stage, found in words.items() if found}


_ROLES = {
    Kind.ACTIVITY: Role.ACTIVITY,
    Kind.DATA_NODE: Role.DATA,
    Kind.RESOURCE: Role.RESOURCE,
    Kind.PRECONDITION: Role.PRECONDITION,
    Kind.SCHEDULE: Role.SCHEDULE,
    Kind.ACTION: Role.ACTION,
    Kind.DATABASE: Role.DATABASE,
}
# In the order in which they stand in a box; others come last.
_FLOWS = {
    "dependsOn": Flow.ORDER,
    "input": Flow.DATA,
    "output": Flow.DATA,
    "precondition": Flow.CONDITION,
    "runsOn": Flow.RESOURCE,
    "schedule": Flow.SCHEDULE,
    "onSuccess": Flow.ACTION,
    "onFail": Flow.ACTION,
    "onLateAction": Flow.ACTION,
}
_ORDER = {field: number for number, field in enumerate(_FLOWS)}
# These lead away from the object; every other leads to what must be there before it.
_ONWARD = {"output", "onFail", "onSuccess", "onLateAction"}
# However many there are, these say what happens when: they are always lines.
_ALWAYS_LINES = {Flow.DATA, Flow.ORDER, Flow.CONDITION}
# Source: Interpreting Pipeline Status Details, developer guide.
_STAGES = {
    word: stage
    for stage, words in {
        Stage.WAITING: "PENDING SCHEDULED VALIDATING WAITING_FOR_RUNNER WAITING_ON_DEPENDENCIES",
        Stage.RUNNING: "ACTIVATING CREATING RUNNING SHUTTING_DOWN",
        Stage.FINISHED: "FINISHED HEALTHY",
        Stage.FAILED: "CASCADE_FAILED ERROR FAILED TIMEDOUT",
        Stage.STOPPED: "CANCELED DEACTIVATING INACTIVE PAUSED SKIPPED",
    }.items()
    for word in words.split()
}
# Without these, some names of South Asia and Iran are misspelled.
_JOINERS = "\u200c\u200d"


def read_graph(definition: Definition, statuses: Mapping[str, str]) -> Graph:
    """Find the boxes and lines of a definition.

    Args:
        definition: Mistakes in it do no harm; what is missing gets a box of its own.
        statuses: Status words by object id. Ids that are not drawn are left alone.

    Raises:
        DefinitionError: It has too many objects or references to be drawn.
    """
    if len(definition.objects) > MAX_OBJECTS:
        raise DefinitionError(
            f"no more than {MAX_OBJECTS:,} objects can be drawn", definition.source
        )
    objects = resolve(definition).objects
    parents = {DEFAULT_ID, *(each.parent.id for each in objects.values() if each.parent)}
    drawn = [each for each in objects.values() if each.type or each.id not in parents]
    references = list(dict.fromkeys(one for each in drawn for one in _references(each)))
    if len(references) > MAX_LINES:
        raise DefinitionError(f"no more than {MAX_LINES:,} lines can be drawn", definition.source)

    ids = dict.fromkeys((*(each.id for each in drawn), *(each.to for each in references)))
    numbers = {object_id: number for number, object_id in enumerate(ids)}
    lines, notes = _sort(references)
    return Graph(
        nodes=tuple(
            _node(object_id, objects, statuses.get(object_id, ""), notes.get(object_id, ()))
            for object_id in ids
        ),
        edges=tuple(_edge(each, numbers) for each in lines),
    )


def printable(text: str) -> str:
    """Give one line of characters that every format can have in it."""
    line = " ".join(clean(text).split())
    if line.isprintable():
        return line
    return "".join(
        each if each.isprintable() or each in _JOINERS else "\N{REPLACEMENT CHARACTER}"
        for each in line
    )


def label(text: str) -> str:
    """Give a text for a box: printable, and not too long. Its end tells as much as its head."""
    line = printable(text)
    if len(line) <= MAX_LABEL:
        return line
    tail = MAX_LABEL // 3
    return f"{line[: MAX_LABEL - tail - 1]}\N{HORIZONTAL ELLIPSIS}{line[-tail:]}"


@dataclass(frozen=True, slots=True)
class _Reference:
    owner: str
    field: str
    to: str

    @property
    def flow(self) -> Flow:
        return _FLOWS.get(self.field, Flow.OTHER)


def _references(each: EffectiveObject) -> Iterator[_Reference]:
    """Give what an object refers to, itself or by inheritance."""
    for key in sorted(each.keys(), key=lambda key: (_ORDER.get(key, len(_ORDER)), key)):
        if key != "parent" and (key in each.own or _is_inherited(each, key)):
            yield from (_Reference(each.id, key, to) for to in each.refs(key))


def _is_inherited(each: EffectiveObject, key: str) -> bool:
    """Whether a reference that Default may have for others says something of this object."""
    if each.id in each.refs(key):
        return False
    known = catalog().types.get(each.type or "")
    if known is None:
        return True
    # What a data node would run on matters to its preconditions alone.
    return key in known.fields and (key != "runsOn" or known.kind is Kind.ACTIVITY)


def _sort(references: list[_Reference]) -> tuple[list[_Reference], dict[str, list[_Reference]]]:
    """Tell what becomes a line from what becomes a note in its owner's box."""
    fans = Counter(each.to for each in references if each.flow not in _ALWAYS_LINES)
    lines: list[_Reference] = []
    notes: dict[str, list[_Reference]] = {}
    for each in references:
        if each.flow in _ALWAYS_LINES or fans[each.to] < FAN:
            lines.append(each)
        else:
            notes.setdefault(each.owner, []).append(each)
    return lines, notes


def _node(
    object_id: str,
    objects: Mapping[str, EffectiveObject],
    status: str,
    notes: Iterable[_Reference],
) -> Node:
    def name(of: str) -> str:
        return label(objects[of].name if of in objects else of)

    found = objects.get(object_id)
    known = catalog().types.get(found.type or "") if found else None
    role = _ROLES.get(known.kind, Role.OTHER) if known else Role.OTHER
    return Node(
        id=printable(object_id),
        label=name(object_id),
        type=label(found.type or "no type") if found else "is not there",
        role=role if found else Role.MISSING,
        status=label(status),
        notes=tuple((label(each.field), name(each.to)) for each in notes),
    )


def _edge(each: _Reference, numbers: Mapping[str, int]) -> Edge:
    outward = each.field in _ONWARD
    source, target = (each.owner, each.to) if outward else (each.to, each.owner)
    return Edge(numbers[source], numbers[target], label(each.field), each.flow, outward)
