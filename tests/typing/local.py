"""The local service, as a type checker sees it."""

from __future__ import annotations

from typing import assert_type

from aiodatapipeline import DataPipelineClient, Transport
from aiodatapipeline.local import (
    Credential,
    Fault,
    FaultKind,
    Faults,
    LocalDataPipeline,
    Switches,
    VirtualClock,
)


async def opened() -> None:
    async with LocalDataPipeline(
        "store.db",
        port=4180,
        switches=Switches.STRICT,
        clock=VirtualClock(),
        credentials={"AKID": "secret", "AKID2": Credential("secret", "token")},
        rates={"PollForTask": 2.0},
        faults=Faults(Fault(kind=FaultKind.DROP, operations=["SetStatus"]), seed=1),
    ) as service:
        assert_type(service, LocalDataPipeline)
        assert_type(service.endpoint_url, str)
        assert_type(service.client(), DataPipelineClient)
        assert_type(service.transport, Transport)
        assert_type(service.faults.add(Fault(kind=FaultKind.LATE, seconds=3)), int)


def refused() -> None:
    LocalDataPipeline(port="4180")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Fault("drop")  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue]
