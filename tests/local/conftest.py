"""What the scenarios have: a service of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.local.service import Place, serving


@pytest.fixture
async def place() -> AsyncGenerator[Place, None]:
    async with serving() as place:
        yield place
