"""The changelog keeps its form, and knows the package's version."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from aiodatapipeline import __version__

CHANGELOG = Path(__file__).parent.parent / "docs" / "changelog.md"
TEXT = CHANGELOG.read_text(encoding="utf-8")
# Of "## [1.2.3] - 2026-12-24": the version, and when it was released.
VERSIONS = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_the_newest_version_is_the_packages() -> None:
    version, is_in_development, _ = __version__.partition(".dev")

    newest, _, released = VERSIONS[0].partition(" - ")

    assert newest == f"[{version}]"
    assert (released == "Unreleased") == bool(is_in_development)


def test_versions_stand_under_their_dates_and_go_back_in_time() -> None:
    dates = [heading.partition(" - ")[2] for heading in VERSIONS]

    times = [date.max if one == "Unreleased" else date.fromisoformat(one) for one in dates]

    assert times == sorted(times, reverse=True)


def test_changes_are_of_the_kinds_of_keep_a_changelog() -> None:
    kinds = re.findall(r"^### (.*)$", TEXT, re.MULTILINE)

    assert kinds
    assert set(kinds) <= set(KINDS)
