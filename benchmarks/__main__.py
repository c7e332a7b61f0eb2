"""``python -m benchmarks [topic ...]``: all topics, or those that are named."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

from benchmarks import calls, polls, startup

TOPICS: dict[str, Callable[[], Awaitable[None]]] = {
    "calls": calls.run,
    "startup": startup.run,
    "polls": polls.run,
}


def main() -> None:
    topics = sys.argv[1:] or list(TOPICS)
    if unknown := set(topics) - TOPICS.keys():
        sys.exit(f"no such topic: {', '.join(sorted(unknown))}; there are {', '.join(TOPICS)}")
    # What a machine has set for its own use must not tip the scales.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_DEFAULT_REGION="us-east-1"
    )
    for topic in topics:
        asyncio.run(TOPICS[topic]())


if __name__ == "__main__":
    main()
