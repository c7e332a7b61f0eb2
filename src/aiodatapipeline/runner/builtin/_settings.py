"""How the built-in handlers work."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """How the built-in handlers work. Nothing of it has to be said."""

    shell: str = "/bin/sh"
    """What reads commands and scripts whose first line names nothing else (``#!/bin/bash``)."""
    directory: str | os.PathLike[str] | None = None
    """Where commands run; where the runner runs if None."""
    scratch: str | os.PathLike[str] | None = None
    """Where each attempt gets a directory, for as long as it runs, for its script, its output
    and what is staged; the system's directory for such things if None."""
    log_uri: str | None = None
    """Where logs go that no ``pipelineLogUri`` says a place for: ``s3://...`` or a path. If None,
    they are not kept."""
    kill_grace: float = 10.0
    """Seconds that a command gets to end before it is killed. Less than the runner's
    ``cancel_grace`` by the time that its logs need."""
    region_name: str | None = None
    """The region of S3; that of the environment or the profile if None."""
    s3_endpoint_url: str | None = None
    """Another S3 than AWS's."""
