"""What costs our calls time and does nothing for them is taken off, and off nothing else."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiobotocore.session import AioSession
from botocore.exceptions import UnknownServiceError
from botocore.handlers import BUILTIN_HANDLERS
from botocore.loaders import Loader

from aiodatapipeline import _transport as transport
from aiodatapipeline._loader import ModelLoader
from tests.integration.clients import ACCESS_KEY, REGION, SECRET_KEY, client_for
from tests.integration.server import Server, tls_of
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


def test_the_shared_loader_knows_the_services_that_botocore_knows() -> None:
    theirs: Any = Loader()
    ours: Any = ModelLoader()

    known = ours.list_available_services("service-2")

    assert list(known) == theirs.list_available_services("service-2")
    assert len(known) == len(list(known))
    assert "datapipeline" in known
    assert "no-such-service" not in known


def test_the_shared_loader_finds_no_service_that_is_not_there() -> None:
    loader: Any = ModelLoader()

    with pytest.raises(UnknownServiceError, match="datapipeline"):
        loader.load_service_model("no-such-service", "service-2")


async def test_certificates_are_read_for_tls_alone_and_once_for_all_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    load = ssl.SSLContext.load_verify_locations

    def load_and_note(context: ssl.SSLContext, cafile: str) -> None:
        read.append(cafile)
        load(context, cafile)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load_and_note)
    authority = trustme.CA()
    with authority.cert_pem.tempfile() as bundle:
        async with Server() as plain, client_for(plain.url, verify=bundle) as client:
            await client.set_task_status("task", "FINISHED")

            assert not read

        async with Server(tls=tls_of(authority)) as server:
            for _ in range(2):
                async with client_for(server.url, verify=bundle) as client:
                    await client.set_task_status("task", "FINISHED")

        assert read == [bundle]


async def test_certificates_that_were_replaced_are_read_again(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    for when in (1, 2):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(bundle)
        os.utime(bundle, (when, when))

        async with (
            Server(tls=tls_of(authority)) as server,
            client_for(server.url, verify=str(bundle)) as client,
        ):
            await client.set_task_status("task", "FINISHED")

        assert server.asked("SetTaskStatus")
