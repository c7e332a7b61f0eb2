"""Print a date and time by a pattern of Joda-Time, as the function ``format`` takes it.

Only what its DateTimeFormat prints, in English. Source: "Date and Time Functions" in the
developer guide, which sends its readers to the class DateTimeFormat of Joda-Time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# Two quotes are a quote wherever they stand; one quote begins or ends a literal text; a run of
# one letter is a field. An open literal ends with the pattern, as it does in Joda.
_PIECE = re.compile(r"''|'|([A-Za-z])\1*|[^A-Za-z']+")


class PatternError(ValueError):
    """A pattern asks for what is not known here.

    Attributes:
        index: Where in the pattern.
        reason: What is wrong there.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(index, reason)
        self.index, self.reason = index, reason


def check(pattern: str) -> None:
    """Find out, without a date and time, whether a pattern is one.

    Raises:
        PatternError: It is not.
    """
    for _ in _pieces(pattern):
        pass


def format_datetime(moment: datetime, pattern: str) -> str:
    """Print ``moment`` as ``pattern`` says.

    Raises:
        PatternError: The pattern is none, or asks for a zone's long name.
    """
    return "".join(
        piece if field is None else field(moment, index, len(piece))
        for index, piece, field in _pieces(pattern)
    )


def _pieces(pattern: str) -> Iterator[tuple[int, str, _Field | None]]:
    """Take a pattern apart: where, what, and how to print it if it is no literal text."""
    if not pattern:
        raise PatternError(0, "a pattern cannot be empty")
    literal = False
    for found in _PIECE.finditer(pattern):
        piece, letter = found[0], found[1]
        if piece == "'":
            literal = not literal
        elif piece == "''":
            yield found.start(), "'", None
        elif literal or letter is None:
            yield found.start(), piece, None
        elif letter in _FIELDS:
            yield found.start(), piece, _FIELDS[letter]
        else:
            raise PatternError(
                found.start(),
                f"a date pattern has no letter {letter!r}; put literal text into '...'",
            )


# How a run of one letter is printed: of which moment, at which index, of which length.
_Field = Callable[[datetime, int, int], str]


def _era(_moment: datetime, _: int, __: int) -> str:
    return "AD"  # there is no year before 1 here


def _half_day(moment: datetime, _: int, __: int) -> str:
    return "AM" if moment.hour < 12 else "PM"


def _number(read: Callable[[datetime], int]) -> _Field:
    return lambda moment, _, count: str(read(moment)).zfill(count)


def _year(read: Callable[[datetime], int]) -> _Field:
    def field(moment: datetime, _: int, count: int) -> str:
        year = read(moment)
        return str(year % 100 if count == 2 else year).zfill(count)

    return field


def _month(moment: datetime, _: int, count: int) -> str:
    if count < 3:
        return str(moment.month).zfill(count)
    name = _MONTHS[moment.month - 1]
    return name if count > 3 else name[:3]


def _day_of_week(moment: datetime, _: int, count: int) -> str:
    name = _DAYS[moment.weekday()]
    return name if count > 3 else name[:3]


def _fraction(moment: datetime, _: int, count: int) -> str:
    # Joda counts milliseconds; further digits are zeros there.
    return f"{moment.microsecond // 1000:03}".ljust(count, "0")[:count]


def _zone_name(moment: datetime, index: int, count: int) -> str:
    if count < 4:
        return moment.tzname() or ""
    if moment.tzinfo is not UTC:
        raise PatternError(index, "long names of zones are not known here; use 'z', 'ZZ' or 'ZZZ'")
    return "Coordinated Universal Time"


def _zone_offset(moment: datetime, _: int, count: int) -> str:
    if count > 2:
        return str(moment.tzinfo)
    offset = moment.utcoffset() or timedelta()
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    sign = "-" if offset < timedelta() else "+"
    return f"{sign}{hours:02}{':' if count == 2 else ''}{minutes:02}"


_FIELDS: Mapping[str, _Field] = {
    "G": _era,
    "C": _number(lambda moment: moment.year // 100),
    "Y": _year(lambda moment: moment.year),
    "y": _year(lambda moment: moment.year),
    "x": _year(lambda moment: moment.isocalendar().year),
    "w": _number(lambda moment: moment.isocalendar().week),
    "e": _number(datetime.isoweekday),
    "E": _day_of_week,
    "M": _month,
    "D": _number(lambda moment: moment.timetuple().tm_yday),
    "d": _number(lambda moment: moment.day),
    "a": _half_day,
    "K": _number(lambda moment: moment.hour % 12),
    "h": _number(lambda moment: moment.hour % 12 or 12),
    "H": _number(lambda moment: moment.hour),
    "k": _number(lambda moment: moment.hour or 24),
    "m": _number(lambda moment: moment.minute),
    "s": _number(lambda moment: moment.second),
    "S": _fraction,
    "z": _zone_name,
    "Z": _zone_offset,
}
