"""Seconds since the epoch, as the clock has them <-> the service's texts, always UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def as_datetime(seconds: float) -> datetime:
    """Give a time of the clock; what is less than a second is dropped."""
    return _EPOCH + timedelta(seconds=int(seconds))


def as_seconds(moment: datetime) -> float:
    """Give the seconds since the epoch of a time with a zone."""
    return (moment - _EPOCH) / _SECOND


def written(seconds: float) -> str:
    """Write a time of the clock as the service does: ``2026-01-31T00:00:00``."""
    return as_datetime(seconds).isoformat()[:19]


def read(text: str) -> datetime:
    """Read what was written here."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
