"""Seconds since the epoch <-> the service's texts: ``2026-01-31T00:00:00``, always UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_datetime(seconds: float) -> datetime:
    """Give a time of the clock; what is less than a second is dropped."""
    return _EPOCH + timedelta(seconds=int(seconds))


def as_seconds(time: datetime) -> float:
    """Give the seconds since the epoch of a time with a zone."""
    return (time - _EPOCH) / SECOND


def written(time: datetime) -> str:
    """Write a time as the service does."""
    return time.isoformat()[:19]


def written_seconds(seconds: float) -> str:
    """Write a time of the clock as the service does."""
    return as_datetime(seconds).isoformat()[:19]


def read(text: str) -> datetime:
    """Read what was written here."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
