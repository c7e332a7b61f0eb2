"""``python -m benchmarks [topic ...]``: all topics, or those that are named."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks import calls, definition, local, polls, runner, startup

TOPICS: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "calls": calls.run,
    "startup": startup.run,
    "polls": polls.run,
    "definition": definition.run,
    "local": local.run,
    "runner": runner.run,
}


def main() -> None:
    topics = sys.argv[1:] or list(TOPICS)
    if unknown := set(topics) - TOPICS.keys():
        sys.exit(f"no such topic: {', '.join(sorted(unknown))}; there are {', '.join(TOPICS)}")
    _forget_the_machine()
    for topic in topics:
        asyncio.run(TOPICS[topic]())


def _forget_the_machine() -> None:
    """Take away what a machine has set for its own use, and would tip the scales."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SSL_CERT_")) or name.lower().endswith(
            ("_proxy", "_ca_bundle")
        ):
            del os.environ[name]
    # As installed: with the byte code of modules on disk, which some machines switch off.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="bench",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )


if __name__ == "__main__":
    main()
