"""Patterns of Joda-Time, as its DateTimeFormat describes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.definition._joda import PatternError, check, format_datetime

AFTERNOON = datetime(2011, 5, 24, 17, 8, 9, 45_678, tzinfo=UTC)
MIDNIGHT = datetime(2011, 5, 24, tzinfo=UTC)
NOON = datetime(2011, 5, 24, 12, tzinfo=UTC)
LETTERS = "GCYyxwEeMDdaKhHkmsSzZ"


@pytest.mark.parametrize(
    ("pattern", "printed"),
    [
        ("YYYY-MM-dd HH:mm:ss", "2011-05-24 17:08:09"),
        ("yyyyMMdd", "20110524"),
        ("y Y", "2011 2011"),
        ("yy YY", "11 11"),
        ("yyyyy", "02011"),
        ("C", "20"),
        ("G", "AD"),
        ("M MM MMM MMMM MMMMM", "5 05 May May May"),
        ("d dd ddd", "24 24 024"),
        ("D DDD", "144 144"),
        ("E EEE EEEE", "Tue Tue Tuesday"),
        ("e", "2"),
        ("x xx w ww", "2011 11 21 21"),
        ("a", "PM"),
        ("h hh H HH", "5 05 17 17"),
        ("K k", "5 17"),
        ("m mm s ss", "8 08 9 09"),
        ("S SSS SSSSSS", "0 045 045000"),
        ("z zzz zzzz", "UTC UTC Coordinated Universal Time"),
        ("Z ZZ ZZZ", "+0000 +00:00 UTC"),
        ("YYYY-MM-dd'T'HH", "2011-05-24T17"),
        ("''yy''", "'11'"),
        ("'o''clock'", "o'clock"),
        ("''''", "''"),
        ("HH 'open to the end HH", "17 open to the end HH"),
        ("é/日_{}", "é/日_{}"),
    ],
)
def test_a_pattern_prints_as_in_joda(pattern: str, printed: str) -> None:
    check(pattern)

    assert format_datetime(AFTERNOON, pattern) == printed


@pytest.mark.parametrize(
    ("moment", "printed"), [(MIDNIGHT, "AM 12 00 0 24"), (NOON, "PM 12 12 0 12")]
)
def test_the_four_ways_to_count_hours_differ_at_twelve(moment: datetime, printed: str) -> None:
    assert format_datetime(moment, "a h HH K k") == printed


def test_a_week_can_belong_to_another_year_than_its_days() -> None:
    new_years_day = datetime(2011, 1, 1, tzinfo=UTC)

    assert format_datetime(new_years_day, "YYYY xxxx-ww") == "2011 2010-52"


@pytest.mark.parametrize(
    ("zone", "printed"),
    [
        (ZoneInfo("America/Los_Angeles"), "PDT -0700 -07:00 America/Los_Angeles"),
        (ZoneInfo("Asia/Kolkata"), "IST +0530 +05:30 Asia/Kolkata"),
        (timezone(-timedelta(minutes=30), "X"), "X -0030 -00:30 X"),
    ],
)
def test_a_zone_prints_as_abbreviation_offset_or_name(
    zone: ZoneInfo | timezone, printed: str
) -> None:
    assert format_datetime(AFTERNOON.replace(tzinfo=zone), "z Z ZZ ZZZ") == printed


def test_the_long_name_of_a_zone_other_than_utc_is_refused_where_it_stands() -> None:
    moment = AFTERNOON.replace(tzinfo=ZoneInfo("America/Los_Angeles"))

    with pytest.raises(PatternError) as caught:
        format_datetime(moment, "HH zzzz")

    assert caught.value.index == 3


@pytest.mark.parametrize(
    ("pattern", "index"),
    [("", 0), ("YYYY-bb", 5), ("'quoted b' b", 11), ("T", 0), ("''n", 2), ("uu", 0)],
)
def test_what_is_no_pattern_is_refused_where_it_stands(pattern: str, index: int) -> None:
    with pytest.raises(PatternError) as caught:
        check(pattern)

    assert caught.value.index == index
    with pytest.raises(PatternError):
        format_datetime(AFTERNOON, pattern)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_date_and_time_prints_as_pythons_own_iso_format(moment: datetime) -> None:
    printed = format_datetime(moment, "yyyy-MM-dd'T'HH:mm:ss.SSSZZ")

    assert printed == moment.isoformat(timespec="milliseconds")


@given(st.datetimes(timezones=st.just(UTC)), st.text(LETTERS + "' -/日", min_size=1))
def test_every_run_of_known_letters_can_be_printed(moment: datetime, pattern: str) -> None:
    check(pattern)

    assert isinstance(format_datetime(moment, pattern), str)
