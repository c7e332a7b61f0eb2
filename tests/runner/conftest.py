"""The readings of the service that every scenario is run under."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

import pytest

from aiodatapipeline.local._switches import Switches
from tests.runner.bed import PROFILES


@pytest.fixture(params=list(PROFILES))
def switches(request: pytest.FixtureRequest) -> Switches:
    """Each scenario holds under four readings of what nobody knows."""
    return PROFILES[str(request.param)]


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Processes that begin at once, since what they import is there already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.runner.worker", "tests.runner.programs"])
    forkserver.ensure_running()  # it stays, and is no runner's
    return context
