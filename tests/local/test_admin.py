"""Faults, time and switches over HTTP."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from aiodatapipeline.local import (
    Fault,
    FaultKind,
    Faults,
    LocalDataPipeline,
    Switches,
    VirtualClock,
)
from tests.local.fakes import Answer, ask

PLAIN = {"Content-Type": "application/json", "X-Amz-Target": None}


class Here:
    def __init__(self, service: LocalDataPipeline) -> None:
        self.service = service

    async def ask(self, method: str, path: str, members: object = None) -> Answer:
        body = b"" if members is None else json.dumps(members).encode()
        port = int(self.service.endpoint_url.rpartition(":")[2])
        return await ask(port, body, PLAIN, method=method, path=path)


@pytest.fixture
async def here() -> AsyncGenerator[Here]:
    async with LocalDataPipeline(admin=True, clock=VirtualClock(), faults=Faults()) as service:
        yield Here(service)


async def test_a_fault_is_added_listed_logged_and_cleared(here: Here) -> None:
    fault = {"kind": "error", "operations": ["ListPipelines"], "times": 1, "seconds": "Infinity"}

    added = await here.ask("POST", "/admin/faults", fault)
    [kept] = here.service.faults.active.values()
    here.service.faults.choose("ListPipelines", 5.0)
    listed = (await here.ask("GET", "/admin/faults")).members
    await here.ask("DELETE", "/admin/faults")

    assert added.members == {"number": 1}
    assert kept == Fault(
        kind=FaultKind.ERROR, operations=("ListPipelines",), times=1, seconds=math.inf
    )
    assert listed["active"]["1"]["kind"] == "error"
    assert listed["log"] == [
        {"number": 1, "kind": "error", "operation": "ListPipelines", "at": 5.0, "call": 1}
    ]
    assert not here.service.faults


async def test_a_single_operation_may_be_a_string(here: Here) -> None:
    await here.ask("POST", "/admin/faults", {"kind": "drop", "operations": "ListPipelines"})

    [kept] = here.service.faults.active.values()
    assert kept.operations == ("ListPipelines",)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"kind": "explode"}, "kind"),
        ({"kind": "drop", "probability": 2}, "probability"),
        ({"kind": "drop", "tmies": 1}, "tmies"),
        ({"kind": "drop", "operations": ["SetState"]}, "SetState"),
        ([], "Input should be"),
    ],
)
async def test_a_fault_that_is_none_is_named(here: Here, fault: Any, told: str) -> None:
    answer = await here.ask("POST", "/admin/faults", fault)

    assert (answer.status, answer.code) == (400, "InvalidRequestException")
    assert told in answer.members["message"]


async def test_a_virtual_clock_is_moved(here: Here) -> None:
    before = (await here.ask("GET", "/admin/clock")).members["time"]

    after = (await here.ask("POST", "/admin/clock", {"seconds": 86400})).members["time"]

    assert after - before == 86400
    assert here.service.clock.time() == after


@pytest.mark.parametrize("seconds", [-1, "soon", None])
async def test_a_clock_is_not_moved_by_what_is_no_time(here: Here, seconds: object) -> None:
    answer = await here.ask("POST", "/admin/clock", {"seconds": seconds})

    assert (answer.status, "seconds" in answer.members["message"]) == (400, True)


async def test_a_clock_that_goes_by_itself_is_not_moved() -> None:
    async with LocalDataPipeline(admin=True) as service:
        answer = await Here(service).ask("POST", "/admin/clock", {"seconds": 1})

    assert "VirtualClock" in answer.members["message"]


async def test_the_switches_are_told(here: Here) -> None:
    switches = (await here.ask("GET", "/admin/switches")).members

    assert switches["lease"] == Switches().lease
    assert switches["late_status"] == "task-not-found"


async def test_other_methods_are_told_which_there_are(here: Here) -> None:
    answer = await here.ask("PATCH", "/admin/faults")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST, DELETE")
