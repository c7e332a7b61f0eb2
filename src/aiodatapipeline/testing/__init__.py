"""For tests of applications: a scripted client, and fixtures for a service of one's own.

The fixtures are in ``aiodatapipeline.testing.fixtures``, which a test-suite names as a plugin.
"""

from aiodatapipeline.testing._stub import Script, StubTransport, UnscriptedCallError

__all__ = ["Script", "StubTransport", "UnscriptedCallError"]
