"""The readings of the service that every scenario is run under."""

from __future__ import annotations

import pytest

from aiodatapipeline.local._switches import Switches
from tests.runner.bed import PROFILES


@pytest.fixture(params=list(PROFILES))
def switches(request: pytest.FixtureRequest) -> Switches:
    """Each scenario holds under four readings of what nobody knows."""
    return PROFILES[str(request.param)]
