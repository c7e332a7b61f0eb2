"""What costs our calls time and does nothing for them is taken off, and off nothing else."""

from __future__ import annotations

import json
from typing import Any

from aiobotocore.session import AioSession
from botocore.handlers import BUILTIN_HANDLERS

from aiodatapipeline import _transport as transport
from tests.integration.clients import ACCESS_KEY, REGION, SECRET_KEY, client_for
from tests.integration.server import Server
from tests.strategies import SERVICE

RETRY_HEADERS = {"amz-sdk-invocation-id", "amz-sdk-request"}


async def test_other_clients_of_the_same_session_keep_their_handlers() -> None:
    session: Any = AioSession()
    session.set_credentials(ACCESS_KEY, SECRET_KEY)
    async with Server() as server:
        theirs = session.create_client(
            "datapipeline", region_name=REGION, endpoint_url=server.url, verify=False
        )
        ours = client_for(
            server.url, session=session, aws_access_key_id=None, aws_secret_access_key=None
        )

        async with ours, theirs as raw:
            await ours.set_task_status("task", "FINISHED")
            await raw.set_task_status(taskId="task", taskStatus="FINISHED")

    from_ours, from_theirs = (set(request.headers) for request in server.received)
    assert from_theirs - from_ours == RETRY_HEADERS


def test_botocore_still_has_the_handlers_that_are_taken_off() -> None:
    names = {getattr(handler, "__name__", "") for _, handler, *_ in BUILTIN_HANDLERS}

    assert names >= transport._IDLE_HANDLERS  # pyright: ignore[reportPrivateUsage]  # no other way to ask


def test_the_service_has_no_use_for_the_handlers_that_are_taken_off() -> None:
    model = json.dumps(SERVICE)

    assert '"members"' in model
    assert '"idempotencyToken"' not in model
    assert '"endpointdiscovery"' not in model
