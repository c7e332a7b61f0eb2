from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition import Finding, FindingId, Position, Report, Severity
from aiodatapipeline.definition._findings import usual_severity


def finding(severity: Severity, object_id: str = "A", message: str = "m") -> Finding:
    return Finding(FindingId.TOO_LONG, severity, object_id, "", message, "Do something.")


def test_no_findings_are_no_errors() -> None:
    report = Report()

    assert report.fatal == report.errors == report.warnings == ()


def test_what_is_fatal_is_an_error_too() -> None:
    fatal, error, warning = map(finding, Severity)

    report = Report((warning, error, fatal))

    assert report.fatal == (fatal,)
    assert report.errors == (error, fatal)
    assert report.warnings == (warning,)


def test_messages_of_one_object_are_one_entry() -> None:
    report = Report(
        (
            finding(Severity.ERROR, "A", "1"),
            finding(Severity.ERROR, "B", "2"),
            finding(Severity.WARNING, "A", "3"),
            finding(Severity.FATAL, "A", "4"),
        )
    )

    answer = report.to_validation()

    assert [(each.id, each.errors) for each in answer.validation_errors] == [
        ("A", ("1", "4")),
        ("B", ("2",)),
    ]
    assert [(each.id, each.warnings) for each in answer.validation_warnings] == [("A", ("3",))]


@given(st.text(min_size=1, max_size=50), st.integers(0, 300))
def test_any_message_fits_into_an_answer(text: str, times: int) -> None:
    message = text * times

    (error,) = Report((finding(Severity.ERROR, "A", message),)).to_validation().validation_errors

    assert len(error.errors[0]) <= 10_000


def test_where_it_stands_makes_no_difference() -> None:
    one = finding(Severity.ERROR)

    assert dataclasses.replace(one, position=Position(1, 2)) == one


@pytest.mark.parametrize("finding_id", FindingId)
def test_every_id_has_a_severity_and_is_its_own_word(finding_id: FindingId) -> None:
    assert usual_severity(finding_id) in Severity
    assert finding_id == finding_id.name
