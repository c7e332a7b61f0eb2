"""What tests ask about the processes of others, and about the files that those write."""

from __future__ import annotations

import asyncio
from pathlib import Path

# Seconds, so that a test which waits for what does not come fails and does not hang.
PATIENCE = 10.0


def is_there(pid: str) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def line(file: Path) -> str:
    """The whole line that a script has written into a file; empty while it has not."""
    text = file.read_text() if file.exists() else ""
    return text.strip() if text.endswith("\n") else ""


async def written(file: Path) -> str:
    """Wait until a script has written a line into a file."""
    async with asyncio.timeout(PATIENCE):
        while not line(file):  # a script sets no event
            await asyncio.sleep(0.002)
    return line(file)


def names_in(directory: Path) -> list[str]:
    """What is in a directory."""
    return sorted(path.name for path in directory.iterdir())


def real(path: Path) -> str:
    """A path as the kernel tells it, without links."""
    return str(path.resolve())
