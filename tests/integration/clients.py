"""Clients of the scripted server, what to ask, and an event loop whose time can be skipped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.loaders import Loader

from aiodatapipeline import CallOptions, DataPipelineClient
from tests.strategies import SERVICE, Wire, smallest

ResultT = TypeVar("ResultT")

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI"
REGION = "us-east-1"

_LOADER = Loader()  # reads each service model once


def client_for(
    url: str,
    *,
    timeout: float | None = None,
    poll_timeout: float | None = None,
    max_attempts: int | None = None,
    **settings: Any,  # they are DataPipelineClient's, whose types say what they are
) -> DataPipelineClient:
    """A client with credentials and a region, that does not wait between attempts."""
    options = CallOptions(
        max_backoff=0, timeout=timeout, poll_timeout=poll_timeout, max_attempts=max_attempts
    )
    given: dict[str, Any] = {
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        # Where there is no TLS, reading the CAs would only take 40 ms of every test.
        "verify": False,
    }
    return DataPipelineClient(endpoint_url=url, options=options, **(given | settings))


def raw_client(url: str, aws_session_token: str | None = None) -> Any:
    """What aiobotocore itself makes of the same settings."""
    session = AioSession()
    session.register_component("data_loader", _LOADER)
    return session.create_client(
        "datapipeline",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        verify=False,
        config=AioConfig(retries={"total_max_attempts": 1}),
        aws_session_token=aws_session_token,
    )


def smallest_input(operation: str) -> Wire:
    """The least that an operation can be asked."""
    return cast("Wire", smallest(SERVICE["operations"][operation]["input"]["shape"]))


def smallest_output(operation: str) -> Wire:
    """The least that an operation can answer."""
    output = SERVICE["operations"][operation].get("output")
    return cast("Wire", smallest(output["shape"])) if output else {}


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time can be skipped, so that a limit of 90 seconds takes none."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


async def skip(seconds: float) -> None:
    """Let time pass; what was due within it has happened when this returns."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    loop.skipped += seconds
    for _ in range(10):
        await asyncio.sleep(0)


def run_skipping(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(main)
