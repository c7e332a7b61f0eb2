"""Which calls something goes wrong with."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.local._faults import Fault, FaultKind, Faults, Injected

DROP, ERROR, SKEW = FaultKind.DROP, FaultKind.ERROR, FaultKind.SKEWED_CLOCK


def course(faults: Faults, calls: int, operation: str = "ListPipelines") -> list[FaultKind | None]:
    chosen = [faults.choose(operation, float(call)) for call in range(calls)]
    return [fault.kind if fault else None for fault in chosen]


def test_nothing_goes_wrong_unless_it_is_asked_for() -> None:
    faults = Faults()

    assert not faults
    assert course(faults, 3) == [None, None, None]


def test_a_fault_happens_to_all_calls_of_its_operations() -> None:
    faults = Faults(Fault(kind=DROP, operations=["PollForTask", "SetStatus"]))

    assert course(faults, 2, "PollForTask") == [DROP, DROP]
    assert course(faults, 1, "SetStatus") == [DROP]
    assert course(faults, 1, "ListPipelines") == [None]


def test_a_single_operation_may_be_a_string() -> None:
    assert Fault(kind=DROP, operations="PollForTask").operations == ("PollForTask",)


def test_a_fault_begins_with_the_first_and_happens_so_many_times() -> None:
    faults = Faults(Fault(kind=DROP, first=3, times=2))

    assert course(faults, 6) == [None, None, DROP, DROP, None, None]


def test_the_fault_that_was_added_first_happens_and_others_count_the_call() -> None:
    faults = Faults(Fault(kind=DROP, times=1), Fault(kind=ERROR, first=2, times=1))

    assert course(faults, 3) == [DROP, ERROR, None]


def test_a_clock_that_is_off_goes_together_with_another_fault() -> None:
    faults = Faults(Fault(kind=SKEW, seconds=-600), Fault(kind=DROP))

    assert faults.skew("ListPipelines", 0.0) == -600
    assert course(faults, 1) == [DROP]


def test_a_clock_is_right_where_no_fault_says_otherwise() -> None:
    faults = Faults(Fault(kind=SKEW, seconds=-600, operations="SetStatus"))

    assert faults.skew("ListPipelines", 0.0) == 0


@given(st.integers(), st.floats(0, 1), st.integers(1, 200))
def test_the_same_seed_gives_the_same_course(seed: int, probability: float, calls: int) -> None:
    fault = Fault(kind=DROP, probability=probability)
    courses = [course(Faults(fault, seed=seed), calls) for _ in range(2)]

    assert courses[0] == courses[1]


def test_a_fault_happens_about_as_often_as_is_probable() -> None:
    happened = course(Faults(Fault(kind=DROP, probability=0.25), seed=7), 4000).count(DROP)

    assert 900 < happened < 1100


def test_what_is_added_later_leaves_the_course_of_the_others_alone() -> None:
    alone = course(Faults(Fault(kind=DROP, probability=0.5)), 50)
    faults = Faults(Fault(kind=DROP, probability=0.5))

    both = course(faults, 25)
    faults.add(Fault(kind=ERROR, probability=0.5))
    both += course(faults, 25)

    assert [one if one is DROP else None for one in both] == alone


def test_the_log_tells_what_happened_and_when() -> None:
    faults = Faults(Fault(kind=DROP, first=2), Fault(kind=SKEW, seconds=1))

    course(faults, 2, "SetStatus")
    faults.skew("PollForTask", 5.0)

    assert list(faults.log) == [
        Injected(number=1, kind=DROP, operation="SetStatus", at=1.0, call=2),
        Injected(number=2, kind=SKEW, operation="PollForTask", at=5.0, call=1),
    ]


def test_faults_are_taken_away_by_number_all_at_once_or_behind_a_block() -> None:
    faults = Faults(Fault(kind=DROP))
    number = faults.add(Fault(kind=ERROR))

    with faults.during(Fault(kind=FaultKind.HALF)):
        assert list(faults.active) == [1, number, 3]
    assert list(faults.active) == [1, number]
    faults.remove(1)
    assert faults.active == {number: Fault(kind=ERROR)}
    faults.clear()
    assert not faults


def test_a_number_that_is_not_there_cannot_be_taken_away() -> None:
    with pytest.raises(ValueError, match="no fault number 7"):
        Faults().remove(7)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"kind": "dropp"}, "'dropp'"),
        ({"kind": "drop", "operations": ["PollForTasks"]}, "PollForTasks"),
        ({"kind": "drop", "first": 0}, "first"),
        ({"kind": "drop", "times": 0}, "once or more"),
        ({"kind": "drop", "probability": 1.1}, "1.1"),
        ({"kind": "drop", "probability": float("nan")}, "nan"),
        ({"kind": "drop", "seconds": -1}, "-1"),
        ({"kind": "drop", "seconds": float("nan")}, "nan"),
        ({"kind": "late"}, "how many seconds"),
        ({"kind": "html", "status": 302}, "302"),
        ({"kind": "throttle", "applied": True}, "throttle"),
        ({"kind": "skewed-clock", "seconds": float("inf")}, "inf"),
        ({"kind": "skewed-clock", "applied": True, "seconds": 3}, "skewed-clock"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(members: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Fault(**members)


@pytest.mark.parametrize(
    ("fault", "applies"),
    [
        (Fault(kind=FaultKind.THROTTLE), False),
        (Fault(kind=DROP), False),
        (Fault(kind=DROP, applied=True), True),
        (Fault(kind=FaultKind.HALF), True),
        (Fault(kind=FaultKind.WRONG_CRC), True),
        (Fault(kind=FaultKind.LATE, seconds=1), True),
    ],
)
def test_it_is_clear_whether_the_operation_is_carried_out(fault: Fault, *, applies: bool) -> None:
    assert fault.applies is applies
