"""What a test in another process can ask of the local service: faults, time, switches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict

import pydantic

from aiodatapipeline._clock import Clock, VirtualClock
from aiodatapipeline._seam import Reply
from aiodatapipeline.local._errors import refusal
from aiodatapipeline.local._faults import Fault, Faults
from aiodatapipeline.local._switches import Switches

Answer = Callable[[bytes], Awaitable[Reply]]


class _Advance(pydantic.BaseModel, extra="forbid"):
    seconds: float = pydantic.Field(ge=0, allow_inf_nan=False)


_FAULT = pydantic.TypeAdapter(Fault)


class Admin:
    """Answers below ``/admin``, in JSON."""

    def __init__(self, faults: Faults, clock: Clock, switches: Switches) -> None:
        self._faults, self._clock, self._switches = faults, clock, switches
        self._advancing = asyncio.Lock()
        self._routes: Mapping[str, Mapping[str, Answer]] = {
            "/admin/faults": {
                "GET": self._list_faults,
                "POST": self._add_fault,
                "DELETE": self._clear_faults,
            },
            "/admin/clock": {"GET": self._tell_time, "POST": self._advance},
            "/admin/switches": {"GET": self._tell_switches},
        }

    def find(self, method: str, path: str) -> Answer | None:
        """Give what answers a request."""
        return self._routes.get(path, {}).get(method)

    def methods(self, path: str) -> list[str]:
        """Give the methods that a path takes."""
        return list(self._routes.get(path, {}))

    async def _list_faults(self, _: bytes) -> Reply:
        active = {
            number: _FAULT.dump_python(fault, mode="json")
            for number, fault in self._faults.active.items()
        }
        return _json({"active": active, "log": [asdict(one) for one in self._faults.log]})

    async def _add_fault(self, body: bytes) -> Reply:
        try:
            fault = _FAULT.validate_json(body)
        except pydantic.ValidationError as error:
            return _refused(error)
        return _json({"number": self._faults.add(fault)})

    async def _clear_faults(self, _: bytes) -> Reply:
        self._faults.clear()
        return _json({})

    async def _tell_time(self, _: bytes) -> Reply:
        return _json({"time": self._clock.time()})

    async def _advance(self, body: bytes) -> Reply:
        if not isinstance(self._clock, VirtualClock):
            return refusal(
                "InvalidRequestException",
                "The clock of this service goes by itself: only a VirtualClock can be moved",
            )
        try:
            by = _Advance.model_validate_json(body)
        except pydantic.ValidationError as error:
            return _refused(error)
        async with self._advancing:
            await self._clock.advance(by.seconds)
        return await self._tell_time(b"")

    async def _tell_switches(self, _: bytes) -> Reply:
        return _json(asdict(self._switches))


def _json(members: object) -> Reply:
    return Reply(200, json.dumps(members).encode(), {"content-type": "application/json"})


def _refused(error: pydantic.ValidationError) -> Reply:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return refusal("InvalidRequestException", f"{where}: {message}" if where else message)
