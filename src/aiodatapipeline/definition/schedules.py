"""Periods and times as definitions and the API write them, for whoever works out a schedule.

::

    daily = Period.parse("1 day")
    start = read_date_time("2026-01-31T00:00:00")
    [write_date_time(daily.after(start, n)) for n in range(3)]

Source: "Schedule" and "Pipeline Object Data Types" in the developer guide.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self, TypeAlias, cast

__all__ = ["ON_DEMAND_PERIOD", "Period", "Unit", "read_date_time", "write_date_time"]

ON_DEMAND_PERIOD = "ondemand_period"
"""What stands for a period where every activation is a run. Compare in lower case."""

Unit: TypeAlias = Literal["minute", "hour", "day", "week", "month", "year"]
"""What a period is counted in."""

# Nine digits of minutes are 1,900 years.
_PERIOD = re.compile(
    r"0*([0-9]{1,9})\s+(minute|hour|day|week|month|year)s?", re.ASCII | re.IGNORECASE
)
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_MINUTES = {
    "minute": 1,
    "hour": 60,
    "day": 24 * 60,
    "week": 7 * 24 * 60,
    # About so many, to compare with limits.
    "month": 30 * 24 * 60,
    "year": 365 * 24 * 60,
}
_MINUTE = timedelta(minutes=1)
_MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time, such as ``15 minutes``; of months and years, by the calendar."""

    count: int
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a period.

        Args:
            text: A number and minutes, hours, days, weeks, months or years, in the singular or
                the plural, in any case.

        Raises:
            ValueError: It is none. ``ONDEMAND_PERIOD`` is none either.
        """
        found = _PERIOD.fullmatch(text)
        if not found:
            raise ValueError(
                "a period is a number and minutes, hours, days, weeks, months or years, as in "
                "'2 hours'"
            )
        return cls(int(found[1]), cast("Unit", found[2].lower()))

    @property
    def minutes(self) -> int:
        """How many minutes it has; about so many if a month had 30 days and a year 365."""
        return self.count * _MINUTES[self.unit]

    def after(self, start: datetime, times: int = 1) -> datetime:
        """Give the time that is so many periods after another.

        Months and years keep the day, or take the month's last one. So a monthly schedule that
        starts on the 31st of January goes on with the 28th of February and the 31st of March
        if each is counted from the start, as it should.

        Args:
            start: From when to count. The arithmetic is that of its own clock, as in UTC.
            times: How often; negative for a time before.

        Raises:
            OverflowError: That is outside of the years 1 to 9999.
        """
        if self.unit not in _MONTHS:
            return start + times * self.minutes * _MINUTE
        months = start.year * 12 + start.month - 1 + times * self.count * _MONTHS[self.unit]
        year, month = divmod(months, 12)
        if not 1 <= year <= 9999:
            raise OverflowError("outside of the years 1 to 9999")
        day = min(start.day, monthrange(year, month + 1)[1])
        return start.replace(year=year, month=month + 1, day=day)

    def elapsed(self, start: datetime, end: datetime) -> int:
        """Give how many of these periods, one after the other, are over at the end.

        Args:
            start: When the first begins.
            end: The time in question; 0 if it is before the start.

        Raises:
            ValueError: The period has no length.
        """
        if not self.count:
            raise ValueError("a period of no length never gets anywhere")
        if end < start:
            return 0
        if self.unit not in _MONTHS:
            return (end - start) // _MINUTE // self.minutes
        months = (end.year - start.year) * 12 + end.month - start.month
        times = months // (self.count * _MONTHS[self.unit])
        # In the month of the end, it may be over only after that.
        return times if self.after(start, times) <= end else times - 1

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"


def read_date_time(text: str) -> datetime:
    """Read a time as the service writes it, ``2026-01-31T00:00:00``, in UTC.

    Raises:
        ValueError: It is none.
    """
    if _DATE_TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        except ValueError:  # the 30th of February
            pass
    raise ValueError("a time is written in UTC as in '2026-01-31T00:00:00'")


def write_date_time(moment: datetime) -> str:
    """Write a time as the service does: in UTC, without zone or fraction of a second.

    Args:
        moment: Without a zone it is taken for UTC.

    Raises:
        OverflowError: In UTC it is outside of the years 1 to 9999.
    """
    in_utc = moment if moment.tzinfo is None else moment.astimezone(UTC)
    return in_utc.replace(tzinfo=None).isoformat(timespec="seconds")
