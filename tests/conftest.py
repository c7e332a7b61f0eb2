"""What every test has: a machine without AWS settings of its own."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="try many more cases, for minutes instead of seconds"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say how many examples a property has to hold for, and be as in a shell's foreground."""
    # Few in every run, many in ``soak``.
    examples = 500 if config.getoption("--long") else 30
    # How long one takes depends on who else uses the machine, and the first of a model builds
    # its schema.
    settings.register_profile("aiodatapipeline", max_examples=examples, deadline=None)
    settings.load_profile("aiodatapipeline")
    # A shell has what runs in its background ignore Ctrl-C, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, empty_home: Path) -> None:
    """Hide ``AWS_*``, ``~/.aws`` and proxies, or a developer's own region decides what passes."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO_")) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(empty_home))
    monkeypatch.setenv("USERPROFILE", str(empty_home))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty_home / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty_home / "credentials"))
    # Who looks for credentials and finds none asks a link-local address in the end.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a command line sets up: pytest keeps every record that gets through."""
    loggers = [logging.getLogger(), logging.getLogger("aiodatapipeline")]
    before = [(each.level, each.propagate, list(each.handlers)) for each in loggers]
    yield
    for each, (level, propagate, handlers) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.propagate = propagate
        each.handlers[:] = handlers
