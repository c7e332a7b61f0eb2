"""The tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes depends on who else uses the machine, and the first one of a model
# builds its schema.
settings.register_profile("aiodatapipeline", deadline=None)
settings.load_profile("aiodatapipeline")
