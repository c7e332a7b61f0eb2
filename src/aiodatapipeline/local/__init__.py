"""A Data Pipeline on your own machine: all 19 operations, and the pipelines run.

``LocalDataPipeline`` is what to open. What nobody outside of AWS knows about the real service is
a switch here, with named positions.
"""

from aiodatapipeline._clock import Appointment, Clock, SystemClock, VirtualClock
from aiodatapipeline.local._engine._world import Alarm, Hooks
from aiodatapipeline.local._faults import Fault, FaultKind, Faults, Injected
from aiodatapipeline.local._http import Page, Patience
from aiodatapipeline.local._pipeline import LocalDataPipeline
from aiodatapipeline.local._quotas import AccountQuotas
from aiodatapipeline.local._signature import Credential
from aiodatapipeline.local._store import StoreError
from aiodatapipeline.local._switches import (
    EmptyAnswer,
    EmptyPoll,
    Late,
    Switches,
    ThrottleShape,
)

__all__ = [
    "AccountQuotas",
    "Alarm",
    "Appointment",
    "Clock",
    "Credential",
    "EmptyAnswer",
    "EmptyPoll",
    "Fault",
    "FaultKind",
    "Faults",
    "Hooks",
    "Injected",
    "Late",
    "LocalDataPipeline",
    "Page",
    "Patience",
    "StoreError",
    "Switches",
    "SystemClock",
    "ThrottleShape",
    "VirtualClock",
]
