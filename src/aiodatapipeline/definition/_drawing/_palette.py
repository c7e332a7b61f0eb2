"""The colours of drawings, on a light and on a dark ground.

A colour never is the only thing that tells two things apart: boxes differ in shape and carry
their type and status, lines differ in their dashes and lead to the name of their field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiodatapipeline.definition._drawing._graph import Flow, Node, Role, Stage


@dataclass(frozen=True, slots=True)
class Paint:
    """What fills a box, and what surrounds it."""

    fill: str
    edge: str


@dataclass(frozen=True, slots=True)
class Ground:
    """All colours for one ground."""

    paper: str
    ink: str
    faint: str
    """For texts that matter less."""
    roles: Mapping[Role, Paint]
    stages: Mapping[Stage, Paint]
    no_stage: Paint
    """For a box without a status where others have one."""
    flows: Mapping[Flow, str]


LIGHT = Ground(
    paper="#ffffff",
    ink="#1f2933",
    faint="#52606d",
    roles={
        Role.ACTIVITY: Paint("#e3eefb", "#2f6db5"),
        Role.DATA: Paint("#e2f3e7", "#2f7d4a"),
        Role.RESOURCE: Paint("#eee8fa", "#7250b0"),
        Role.PRECONDITION: Paint("#fcf1cd", "#927000"),
        Role.SCHEDULE: Paint("#ddf2f3", "#1e7480"),
        Role.ACTION: Paint("#fde9db", "#b55b17"),
        Role.DATABASE: Paint("#e6ebf0", "#4b6073"),
        Role.OTHER: Paint("#f2f2f0", "#6b6b66"),
        Role.MISSING: Paint("#ffffff", "#c0302b"),
    },
    stages={
        Stage.WAITING: Paint("#fcf1cd", "#927000"),
        Stage.RUNNING: Paint("#d9e9fd", "#1d63c0"),
        Stage.FINISHED: Paint("#dcf2e1", "#257a40"),
        Stage.FAILED: Paint("#fcdedc", "#b92c26"),
        Stage.STOPPED: Paint("#e7e4ee", "#665d7c"),
        Stage.OTHER: Paint("#f2f2f0", "#6b6b66"),
    },
    no_stage=Paint("#fafafa", "#7b8794"),
    flows={
        Flow.DATA: "#2f7d4a",
        Flow.ORDER: "#2f6db5",
        Flow.CONDITION: "#927000",
        Flow.RESOURCE: "#7250b0",
        Flow.SCHEDULE: "#1e7480",
        Flow.ACTION: "#b55b17",
        Flow.OTHER: "#6b6b66",
    },
)
DARK = Ground(
    paper="#14181d",
    ink="#e6eaee",
    faint="#a3b0bd",
    roles={
        Role.ACTIVITY: Paint("#152c46", "#6aa5e3"),
        Role.DATA: Paint("#13301f", "#64b981"),
        Role.RESOURCE: Paint("#281d42", "#a98be0"),
        Role.PRECONDITION: Paint("#352a08", "#d3ae3c"),
        Role.SCHEDULE: Paint("#0f2f34", "#57b4c0"),
        Role.ACTION: Paint("#3a2110", "#e29155"),
        Role.DATABASE: Paint("#1f2933", "#8ba1b6"),
        Role.OTHER: Paint("#25282b", "#9aa0a6"),
        Role.MISSING: Paint("#14181d", "#ef7d78"),
    },
    stages={
        Stage.WAITING: Paint("#352a08", "#d3ae3c"),
        Stage.RUNNING: Paint("#12305a", "#71abf2"),
        Stage.FINISHED: Paint("#11321d", "#5fbd7e"),
        Stage.FAILED: Paint("#43150f", "#f0807a"),
        Stage.STOPPED: Paint("#2a2633", "#a79cc0"),
        Stage.OTHER: Paint("#25282b", "#9aa0a6"),
    },
    no_stage=Paint("#1b2026", "#7b8794"),
    flows={
        Flow.DATA: "#64b981",
        Flow.ORDER: "#6aa5e3",
        Flow.CONDITION: "#d3ae3c",
        Flow.RESOURCE: "#a98be0",
        Flow.SCHEDULE: "#57b4c0",
        Flow.ACTION: "#e29155",
        Flow.OTHER: "#9aa0a6",
    },
)
# Lengths of dashes and gaps in pixels. Lines that are not here have no gaps.
DASHES: Mapping[Flow, tuple[int, ...]] = {
    Flow.CONDITION: (7, 3),
    Flow.RESOURCE: (2, 3),
    Flow.SCHEDULE: (1, 3),
    Flow.ACTION: (9, 3, 2, 3),
    Flow.OTHER: (4, 4),
}


def paint(node: Node, *, by_stage: bool) -> Paint:
    """Give the colours of a box on a light ground.

    Args:
        node: The box.
        by_stage: Whether the drawing shows statuses.
    """
    if not by_stage:
        return LIGHT.roles[node.role]
    return LIGHT.stages[node.stage] if node.stage else LIGHT.no_stage
