"""Operators and functions on single values, at the edges that the guide leaves open."""

from __future__ import annotations

import zoneinfo
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition._functions import FUNCTIONS, OPERATORS, Refused, Scalar, as_text

BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
COUNTS = st.integers(-40_000, 40_000)


def utc(*parts: int) -> datetime:
    year, month, day, *time = parts
    hour, minute, second = (*time, 0, 0, 0)[:3]
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sign", "left", "right", "result"),
    [
        ("+", 1, 2, 3),
        ("+", 1, 0.5, 1.5),
        ("+", "1", 2, "12"),
        ("+", 2, "1", "21"),
        ("+", "a", None, "a"),
        ("+", "at ", utc(2011, 5, 24), "at 2011-05-24T00:00:00"),
        ("-", 1, 2, -1),
        ("-", "5", 2, 3),
        ("*", "1.5", 2, 3.0),
        ("*", "-2", "+3", -6),
        ("/", 7, 2, 3),
        ("/", -7, 2, -3),
        ("/", 7, -2, -3),
        ("/", -7, -2, 3),
        ("/", 7.0, 2, 3.5),
        ("^", 2, 2, 4.0),
        ("^", 2, -1, 0.5),
    ],
)
def test_an_operator_gives(sign: str, left: Scalar, right: Scalar, result: Scalar) -> None:
    given_result = OPERATORS[sign](left, right)

    assert (type(given_result), given_result) == (type(result), result)


@pytest.mark.parametrize(
    ("sign", "left", "right", "reason", "place"),
    [
        ("/", 1, 0, "division by zero", None),
        ("/", 1.0, 0.0, "division by zero", None),
        ("*", 2**62, 2, "the result is too large", None),
        ("*", 1e308, 10, "the result is too large", None),
        ("^", 10, 400, "the result is too large", None),
        ("^", -8, 0.5, "there is no such power", None),
        ("^", 0, -1, "there is no such power", None),
        ("-", "x", 1, "a number is needed here, and this is a text", 0),
        ("-", 1, "x", "a number is needed here, and this is a text", 1),
        ("+", 1, None, "a number is needed here, and this is empty", 1),
        ("+", utc(2011, 5, 24), 1, "a number is needed here, and this is a DateTime", 0),
    ],
)
def test_an_operator_refuses(
    sign: str, left: Scalar, right: Scalar, reason: str, place: int | None
) -> None:
    with pytest.raises(Refused) as caught:
        OPERATORS[sign](left, right)

    assert (caught.value.reason, caught.value.place) == (reason, place)


@pytest.mark.parametrize(
    "text",
    [
        "2011-05-24T17:10:00",
        "2011-05-24T17:10:00z",
        "2011-05-24T17:10:00Z",
        "2011-05-24T17:10:00.123",
    ],
)
def test_a_text_that_reads_as_a_datetime_is_one(text: str) -> None:
    assert FUNCTIONS["plusDays"](text, 1) == utc(2011, 5, 25, 17, 10)


@pytest.mark.parametrize("text", ["2011-05-24", "2011-05-24T0:00:00", "2011-05-24T0:00:00z"])
def test_a_date_alone_is_its_midnight(text: str) -> None:
    assert FUNCTIONS["plusDays"](text, 0) == utc(2011, 5, 24)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2011-02-30", "there is no such date and time"),
        ("0000-01-01", "there is no such date and time"),
        ("2011-05-24T24:00:00", "there is no such date and time"),
        ("٢٠١١-05-24", "a DateTime (YYYY-MM-DDTHH:MM:SS) is needed here, and this is a text"),
        ("yesterday", "a DateTime (YYYY-MM-DDTHH:MM:SS) is needed here, and this is a text"),
        (20110524, "a DateTime (YYYY-MM-DDTHH:MM:SS) is needed here, and this is a number"),
        (None, "a DateTime (YYYY-MM-DDTHH:MM:SS) is needed here, and this is empty"),
    ],
)
def test_a_function_of_a_datetime_refuses_what_is_none(value: Scalar, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        FUNCTIONS["day"](value)

    assert (caught.value.reason, caught.value.place) == (reason, 0)


@pytest.mark.parametrize("count", [1, 1.0, "1", "+1", "1.0"])
def test_a_count_may_be_any_whole_number(count: Scalar) -> None:
    assert FUNCTIONS["plusDays"](utc(2011, 5, 24), count) == utc(2011, 5, 25)


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (1.5, "a whole number is needed here"),
        ("one", "a number is needed here, and this is a text"),
        (None, "a number is needed here, and this is empty"),
    ],
)
def test_a_count_that_is_no_whole_number_is_refused(count: Scalar, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        FUNCTIONS["plusDays"](utc(2011, 5, 24), count)

    assert (caught.value.reason, caught.value.place) == (reason, 1)


@pytest.mark.parametrize(
    ("function", "moment", "count", "result"),
    [
        ("plusMonths", utc(2011, 1, 31), 1, utc(2011, 2, 28)),
        ("plusMonths", utc(2012, 1, 31), 1, utc(2012, 2, 29)),
        ("plusMonths", utc(2011, 12, 31), 2, utc(2012, 2, 29)),
        ("minusMonths", utc(2011, 3, 31), 1, utc(2011, 2, 28)),
        ("plusYears", utc(2012, 2, 29), 1, utc(2013, 2, 28)),
        ("minusYears", utc(2012, 2, 29), 4, utc(2008, 2, 29)),
    ],
)
def test_a_day_that_a_month_lacks_becomes_its_last(
    function: str, moment: datetime, count: int, result: datetime
) -> None:
    assert FUNCTIONS[function](moment, count) == result


@given(MOMENTS, COUNTS)
def test_months_change_nothing_but_the_month_and_what_it_cannot_hold(
    moment: datetime, count: int
) -> None:
    try:
        moved = FUNCTIONS["plusMonths"](moment, count)
    except Refused:
        assert not 0 <= moment.year * 12 + moment.month - 1 + count - 12 < 9999 * 12
        return

    assert isinstance(moved, datetime)
    assert (moved.year - moment.year) * 12 + moved.month - moment.month == count
    assert moved.day == min(moment.day, monthrange(moved.year, moved.month)[1])
    assert moved.time() == moment.time()


@given(MOMENTS, COUNTS)
@pytest.mark.parametrize("unit", ["Minutes", "Hours", "Days", "Weeks"])
def test_minus_takes_back_what_plus_has_added(unit: str, moment: datetime, count: int) -> None:
    try:
        moved = FUNCTIONS[f"plus{unit}"](moment, count)
    except Refused:
        return

    assert FUNCTIONS[f"minus{unit}"](moved, count) == moment


@given(MOMENTS.filter(lambda moment: moment.date() > date(1, 1, 7)))
def test_sunday_is_the_last_sunday_until_that_day_at_the_same_time(moment: datetime) -> None:
    sunday = FUNCTIONS["sunday"](moment)

    assert isinstance(sunday, datetime)
    assert sunday.strftime("%w") == "0"
    assert timedelta() <= moment - sunday < timedelta(days=7)
    assert sunday.time() == moment.time()


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("plusYears", (utc(2011, 5, 24), 90_000)),
        ("plusDays", (utc(2011, 5, 24), 10**17)),
        ("plusMinutes", (utc(2011, 5, 24), -(10**10))),
        ("yesterday", (utc(1, 1, 1),)),
        ("inTimeZone", (utc(1, 1, 1), "America/Los_Angeles")),
    ],
)
def test_a_result_beyond_the_calendar_is_refused(function: str, arguments: tuple[Scalar]) -> None:
    with pytest.raises(Refused, match="outside of the years 1 to 9999"):
        FUNCTIONS[function](*arguments)


@pytest.mark.parametrize(
    "parts", [(2011, 13, 1), (2011, 2, 29), (0, 1, 1), (10**17, 1, 1), (2011, 1, 1, 24, 0)]
)
def test_a_date_that_there_is_not_cannot_be_made(parts: tuple[int, ...]) -> None:
    function = "makeDate" if len(parts) == 3 else "makeDateTime"

    with pytest.raises(Refused, match="there is no such date and time"):
        FUNCTIONS[function](*parts)


def test_a_time_zone_changes_the_clock_and_not_the_moment() -> None:
    moment = utc(2011, 5, 24, 17, 10)

    moved = FUNCTIONS["inTimeZone"](moment, "America/Los_Angeles")

    assert moved == moment
    assert as_text(moved) == "2011-05-24T10:10:00"
    assert as_text(FUNCTIONS["inTimeZone"](moved, "UTC")) == "2011-05-24T17:10:00"


@pytest.mark.parametrize(
    "zone",
    ["Nowhere/Town", "America", "", "/etc/passwd", "../UTC", "Europe//Berlin", "\0", "é", "A" * 99],
)
def test_a_zone_that_is_not_in_the_database_is_refused(zone: str) -> None:
    with pytest.raises(Refused) as caught:
        FUNCTIONS["inTimeZone"](utc(2011, 5, 24), zone)

    assert caught.value.place == 1


def test_a_file_of_the_database_that_is_no_zone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "leapseconds").write_text("# no zone")
    zoneinfo.reset_tzpath([tmp_path])

    try:
        with pytest.raises(Refused, match="no zone of this name"):
            FUNCTIONS["inTimeZone"](utc(2011, 5, 24), "leapseconds")
    finally:
        zoneinfo.reset_tzpath()


def test_a_day_is_a_day_of_the_calendar_and_an_hour_is_an_hour_of_the_clock() -> None:
    before_the_jump = datetime(2013, 3, 30, 12, tzinfo=BERLIN)

    assert as_text(FUNCTIONS["plusDays"](before_the_jump, 1)) == "2013-03-31T12:00:00"
    assert as_text(FUNCTIONS["plusHours"](before_the_jump, 24)) == "2013-03-31T13:00:00"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("plusDays", (datetime(2013, 3, 30, 2, 30, tzinfo=BERLIN), 1)),
        ("plusMonths", (datetime(2013, 1, 31, 2, 30, tzinfo=BERLIN), 2)),
        ("yesterday", (datetime(2013, 4, 1, 2, 30, tzinfo=BERLIN),)),
    ],
)
def test_a_time_that_the_clocks_jump_over_moves_behind_the_jump(
    function: str, arguments: tuple[Scalar, ...]
) -> None:
    assert as_text(FUNCTIONS[function](*arguments)) == "2013-03-31T03:30:00"


def test_midnight_is_the_first_moment_of_a_day_that_has_no_midnight() -> None:
    moment = datetime(2013, 10, 20, 15, tzinfo=ZoneInfo("America/Sao_Paulo"))

    assert as_text(FUNCTIONS["midnight"](moment)) == "2013-10-20T01:00:00"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (None, ""),
        ("as it is", "as it is"),
        (-5, "-5"),
        (4.0, "4.0"),
        (0.1, "0.1"),
        (utc(33, 5, 4, 3, 2, 1), "0033-05-04T03:02:01"),
    ],
)
def test_a_value_prints_as(value: Scalar, printed: str) -> None:
    assert as_text(value) == printed
