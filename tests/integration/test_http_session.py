"""What sends our requests does as aiobotocore's own class does, and lets others send."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.awsrequest import AWSPreparedRequest

from aiodatapipeline import (
    DataPipelineClient,
    ResponseError,
    ResponseLostError,
    TransportError,
)
from tests.integration.clients import ACCESS_KEY, REGION, SECRET_KEY, client_for
from tests.integration.server import Answer, Server, Then, always, http, refusing_port, tls_of

BREAKS = {
    "closed": Answer(then=Then.CLOSE),
    "reset": Answer(then=Then.RESET),
    "half-of-the-headers": Answer(b"HTTP/1.1 200 OK\r\nContent-", Then.CLOSE),
    "half-of-the-body": http(b"{", content_length=2, then=Then.CLOSE),
    "reset-in-the-body": http(b"{", content_length=2, then=Then.RESET),
}


async def of_ours(url: str, verify: bool | str) -> tuple[str, str]:
    """What our exception was made of, and its message."""
    async with client_for(url, max_attempts=1, verify=verify) as client:
        with pytest.raises(TransportError) as caught:
            await client.set_task_status("task", "FINISHED")
    return type(caught.value.__cause__).__name__, str(caught.value.__cause__)


async def of_aiobotocore(url: str, verify: bool | str) -> tuple[str, str]:
    """What aiobotocore itself raises, and its message."""
    creating = AioSession().create_client(
        "datapipeline",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        verify=verify,
        config=AioConfig(retries={"total_max_attempts": 1}),
    )
    async with creating as client:
        raw: Any = client
        with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is the question
            await raw.set_task_status(taskId="task", taskStatus="FINISHED")
    return type(caught.value).__name__, str(caught.value)


@pytest.mark.parametrize("answer", BREAKS.values(), ids=BREAKS)
async def test_a_connection_that_breaks_is_told_as_aiobotocore_tells_it(answer: Answer) -> None:
    async with Server(handler=always(answer)) as server:
        ours = await of_ours(server.url, verify=False)

        assert ours == await of_aiobotocore(server.url, verify=False)


async def test_a_connection_that_is_refused_is_told_as_aiobotocore_tells_it() -> None:
    with refusing_port() as port:
        ours = await of_ours(f"http://127.0.0.1:{port}", verify=False)

        assert ours == await of_aiobotocore(f"http://127.0.0.1:{port}", verify=False)


async def test_a_host_that_has_no_address_is_told_as_aiobotocore_tells_it() -> None:
    ours = await of_ours("http://service.invalid", verify=False)

    assert ours == await of_aiobotocore("http://service.invalid", verify=False)


async def test_an_unknown_authority_is_told_as_aiobotocore_tells_it(
    authority: trustme.CA,
) -> None:
    async with Server(tls=tls_of(authority)) as server:
        ours = await of_ours(server.url, verify=True)

        assert ours == await of_aiobotocore(server.url, verify=True)


async def test_a_certificate_for_another_host_is_not_accepted(
    authority: trustme.CA, bundle: str
) -> None:
    async with Server(tls=tls_of(authority)) as server:
        kind, message = await of_ours(f"https://localhost:{server.port}", verify=bundle)

    assert kind == "SSLError"
    assert "localhost" in message
    assert not server.received


async def test_a_certificate_of_the_client_s_is_shown(
    authority: trustme.CA, bundle: str, tmp_path: Path
) -> None:
    tls = tls_of(authority)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)  # pyright: ignore[reportUnknownMemberType]  # pyOpenSSL's
    certificate = tmp_path / "client.pem"
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(certificate)

    async with Server(tls=tls) as server:
        await ask_with(AioConfig(client_cert=str(certificate)), server, verify=bundle)

    assert server.asked("SetTaskStatus")


async def test_the_http_session_that_an_application_has_chosen_sends() -> None:
    sent: list[str] = []

    class Chosen(AIOHTTPSession):
        async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
            sent.append(request.url)
            return await super().send(request)

    async with Server() as server:
        await ask_with(AioConfig(http_session_cls=Chosen), server, verify=False)

    assert sent == [f"{server.url}/"]
    assert "authorization" in server.received[0].headers


async def ask_with(config: AioConfig, server: Server, *, verify: bool | str) -> None:
    """Make a call with a session of the application's own that has a configuration."""
    session = AioSession()
    session.set_default_client_config(config)
    client = DataPipelineClient(
        session=session,
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        verify=verify,
    )
    async with client:
        await client.set_task_status("task", "FINISHED")


class Follows(AIOHTTPSession):
    """An application's own, which goes where it is sent."""


async def test_what_another_class_brings_from_somewhere_else_is_no_answer() -> None:
    session: Any = AioSession()
    session.set_default_client_config(AioConfig(http_session_cls=Follows))
    redirect = http(b"", 302, headers={"Location": "/elsewhere"})
    async with (
        Server(redirect, http(b"")) as server,
        client_for(server.url, session=session) as client,
    ):
        with pytest.raises(ResponseError, match=r"/elsewhere.*endpoint_url"):
            await client.set_task_status("task", "FINISHED")


async def test_a_redirect_to_nowhere_does_not_make_a_request_unsent() -> None:
    session: Any = AioSession()
    session.set_default_client_config(AioConfig(http_session_cls=Follows))
    with refusing_port() as port:
        redirect = http(b"", 307, headers={"Location": f"http://127.0.0.1:{port}/"})
        async with (
            Server(handler=always(redirect)) as server,
            client_for(server.url, session=session) as client,
        ):
            with pytest.raises(ResponseLostError):
                await client.poll_for_task("group")

    assert len(server.received) == 1


async def test_what_another_class_shows_of_what_is_not_http_is_not_told() -> None:
    session: Any = AioSession()
    session.set_default_client_config(AioConfig(http_session_cls=Follows))
    answer = Answer(b"220 mail.example.com ESMTP\r\n\r\n", Then.CLOSE)
    async with (
        Server(handler=always(answer)) as server,
        client_for(server.url, session=session, max_attempts=1) as client,
    ):
        with pytest.raises(ResponseLostError, match="what came is not HTTP") as caught:
            await client.set_task_status("task", "FINISHED")

    assert "ESMTP" not in str(caught.value)


async def test_a_request_is_signed_after_all_others_had_their_say() -> None:
    session: Any = AioSession()

    def change(request: AWSPreparedRequest, **_: object) -> None:
        assert "Authorization" not in request.headers

    session.register("before-send.data-pipeline", change)
    async with Server() as server, client_for(server.url, session=session) as client:
        await client.set_task_status("task", "FINISHED")

    assert "authorization" in server.received[0].headers
