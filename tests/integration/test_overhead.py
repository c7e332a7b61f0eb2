"""What costs our calls time and does nothing for them is taken off, and off nothing else."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiobotocore.session import AioSession
from botocore.exceptions import UnknownServiceError
from botocore.handlers import BUILTIN_HANDLERS
from botocore.loaders import Loader

from aiodatapipeline import _transport as transport
from aiodatapipeline._loader import ModelLoader, shared_loader
from tests.integration.clients import ACCESS_KEY, REGION, SECRET_KEY, client_for
from tests.integration.server import Server, tls_of
from tests.strategies import SERVICE

RETRY_HEADERS = {"amz-sdk-invocation-id", "amz-sdk-request"}
LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "runner", "_X_AMZN_TRACE_ID": "Root=1-5759e988"}
SETTINGS = "use_fips_endpoint", "use_dualstack_endpoint"


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

    assert names > transport._IDLE_HANDLERS | {transport._LAMBDA_HANDLER}  # pyright: ignore[reportPrivateUsage]  # no other way to ask


def test_the_service_has_no_use_for_the_handlers_that_are_taken_off() -> None:
    model = json.dumps(SERVICE)

    assert '"members"' in model
    assert '"idempotencyToken"' not in model
    assert '"endpointdiscovery"' not in model
    assert '"httpChecksum"' not in model


@pytest.mark.parametrize("variables", [{}, LAMBDA], ids=["elsewhere", "in-lambda"])
async def test_lambda_s_trace_id_goes_along(
    variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    async with Server() as server, client_for(server.url) as client:
        await client.set_task_status("task", "FINISHED")

    trace_id = server.received[0].headers.get("x-amzn-trace-id")
    assert trace_id == variables.get("_X_AMZN_TRACE_ID")


async def test_an_application_s_handlers_find_the_headers_they_are_used_to() -> None:
    found: list[bool] = []
    session: Any = AioSession()
    session.set_credentials(ACCESS_KEY, SECRET_KEY)

    def before_call(params: dict[str, Any], **_: object) -> None:
        found.append(params["headers"]["User-Agent"].startswith("aiodatapipeline/"))

    def request_created(request: Any, **_: object) -> None:
        found.append(request.headers["X-Amz-Target"] == "DataPipeline.SetTaskStatus")
        request.headers.add_header("X-Of-Mine", "first")

    def before_send(request: Any, **_: object) -> None:
        found.append(request.headers["user-agent"].startswith(b"aiodatapipeline/"))
        request.headers["X-Of-Mine-Too"] = "second"

    for event, handler in (
        ("before-call", before_call),
        ("request-created", request_created),
        ("before-send", before_send),
    ):
        session.get_component("event_emitter").register_last(event, handler)
    async with (
        Server() as server,
        client_for(
            server.url, session=session, aws_access_key_id=None, aws_secret_access_key=None
        ) as client,
    ):
        await client.set_task_status("task", "FINISHED")

    headers = server.received[0].headers
    assert found == [True] * 3
    assert (headers["x-of-mine"], headers["x-of-mine-too"]) == ("first", "second")
    assert headers["user-agent"].startswith("aiodatapipeline/")


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


class _NotSentError(Exception):
    """In the place of a request to the internet."""


async def endpoint(loader: Any, region: str) -> list[object]:
    """Where a client sends that has its models from the loader; and what it signs for."""
    session: Any = AioSession()
    session.register_component("data_loader", loader)
    session.set_credentials(ACCESS_KEY, SECRET_KEY)
    found: list[object] = []

    def note(request: Any, **_: object) -> None:
        found.extend((request.url, request.context.get("signing")))
        raise _NotSentError

    session.register("request-created", note)
    async with session.create_client("datapipeline", region_name=region, verify=False) as client:
        with pytest.raises(_NotSentError):
            await client.list_pipelines()
    return found


async def test_a_loader_without_rules_leads_to_the_same_endpoints() -> None:
    theirs: Any = Loader()
    ours: Any = shared_loader(AioSession())
    partitions = theirs.load_data("partitions")["partitions"]
    regions = [
        region
        for partition in partitions
        for region in partition["regions"]
        if not region.endswith("-global")  # for services of no region, which this is not
    ]

    for region in (*regions, "us-newest-9", "fips-us-east-1", "local"):
        assert await endpoint(ours, region) == await endpoint(theirs, region)

    assert len(regions) > 40


@pytest.mark.parametrize("setting", SETTINGS)
def test_endpoints_of_other_kinds_follow_the_rules(setting: str) -> None:
    session: Any = AioSession()
    plain: Any = shared_loader(session)
    session.set_config_variable(setting, True)
    loader: Any = shared_loader(session)

    rules = loader.load_service_model("datapipeline", "endpoint-rule-set-1")

    assert {parameter["builtIn"] for parameter in rules["parameters"].values()} >= {"AWS::UseFIPS"}
    assert shared_loader(session) is loader is not plain
    with pytest.raises(UnknownServiceError):
        plain.load_service_model("datapipeline", "endpoint-rule-set-1")


def test_endpoints_of_services_that_give_credentials_follow_the_rules() -> None:
    ours: Any = shared_loader(AioSession())
    theirs: Any = Loader()

    for service in ("sts", "sso", "sso-oidc"):
        rules = ours.load_service_model(service, "endpoint-rule-set-1")
        assert rules == theirs.load_service_model(service, "endpoint-rule-set-1")


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
