"""What people open."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from aiodatapipeline import CallOptions, DataPipelineClient, ThrottlingException
from aiodatapipeline.errors import (
    InvalidCredentialsError,
    InvalidRequestException,
    RequestNotSentError,
    ResponseLostError,
)
from aiodatapipeline.local import (
    AccountQuotas,
    Credential,
    Fault,
    FaultKind,
    LocalDataPipeline,
    StoreError,
    Switches,
    VirtualClock,
)

ONCE = CallOptions(max_attempts=1)


@pytest.mark.parametrize("port", [0, None], ids=["over HTTP", "without a socket"])
async def test_a_client_of_it_makes_calls(port: int | None) -> None:
    async with LocalDataPipeline(port=port) as service, service.client() as client:
        made = await client.create_pipeline("n", "u")
        page = await client.list_pipelines()

    assert [each.id for each in page.pipeline_id_list] == [made.pipeline_id]


async def test_without_a_socket_there_is_no_url() -> None:
    async with LocalDataPipeline(port=None) as service:
        with pytest.raises(RuntimeError, match="port=None"):
            _ = service.endpoint_url


def test_before_it_is_open_there_is_nothing_to_talk_to() -> None:
    service = LocalDataPipeline()

    for ask in (lambda: service.endpoint_url, lambda: service.transport, service.client):
        with pytest.raises(RuntimeError, match="not open"):
            ask()


@pytest.mark.parametrize("token", [None, "a-token"])
async def test_its_clients_sign_with_its_credentials(token: str | None) -> None:
    credentials = {"AKID": Credential("s3cret", token)}
    async with LocalDataPipeline(credentials=credentials) as service, service.client() as client:
        await client.list_pipelines()


async def test_other_credentials_are_refused() -> None:
    async with (
        LocalDataPipeline(credentials={"AKID": "s3cret"}) as service,
        DataPipelineClient(
            endpoint_url=service.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="AKID",
            aws_secret_access_key="other",
        ) as client,
    ):
        with pytest.raises(InvalidCredentialsError, match="signature"):
            await client.list_pipelines()


async def test_the_state_is_kept_and_opening_goes_on_with_it(tmp_path: Path) -> None:
    service = LocalDataPipeline(tmp_path / "store.db", port=None)
    made: list[str] = []
    for _ in range(2):
        async with service, service.client() as client:
            made.append((await client.create_pipeline("n", "u")).pipeline_id)

    assert made[0] == made[1]


async def test_opening_twice_is_opening_once_and_closing_twice_too() -> None:
    service = LocalDataPipeline()
    await service.open()
    url = service.endpoint_url
    await service.open()

    assert service.endpoint_url == url
    await service.aclose()
    await service.aclose()


async def test_what_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await LocalDataPipeline(store, port=taken.getsockname()[1]).open()

    async with LocalDataPipeline(store):  # nobody has it
        pass
    with pytest.raises(StoreError):
        await LocalDataPipeline(tmp_path / "no" / "store.db").open()


@pytest.mark.parametrize("port", [0, None], ids=["over HTTP", "without a socket"])
@pytest.mark.parametrize("notices_hangup", [True, False])
async def test_closing_gives_open_polls_their_empty_answer(
    port: int | None, *, notices_hangup: bool
) -> None:
    before = asyncio.all_tasks()
    switches = Switches(notices_hangup=notices_hangup)
    service = LocalDataPipeline(port=port, switches=switches)
    await service.open()
    async with service.client() as client:
        poll = asyncio.ensure_future(client.poll_for_task("wg"))
        while not service.worker_groups:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)

        await service.aclose()

        assert (await poll).task_object is None
    assert asyncio.all_tasks() == before


async def test_a_client_without_a_socket_notices_that_it_is_closed() -> None:
    service = LocalDataPipeline(port=None)
    await service.open()
    async with service.client(options=ONCE) as client:
        await service.aclose()
        with pytest.raises(RequestNotSentError, match="closed"):
            await client.list_pipelines()


@pytest.mark.parametrize("rates", [True, {"ListPipelines": 1.0}])
async def test_callers_are_held_to_rates_on_request(rates: bool | dict[str, float]) -> None:
    clock = VirtualClock()
    async with (
        LocalDataPipeline(port=None, rates=rates, clock=clock) as service,
        service.client(options=ONCE) as client,
    ):
        for _ in range(100):
            await client.list_pipelines()
        with pytest.raises(ThrottlingException):
            await client.list_pipelines()
        await clock.advance(1)
        await client.list_pipelines()


async def test_callers_are_held_to_quotas_on_request() -> None:
    async with (
        LocalDataPipeline(port=None, quotas=AccountQuotas(pipelines=1)) as service,
        service.client(options=ONCE) as client,
    ):
        await client.create_pipeline("n", "1")
        with pytest.raises(InvalidRequestException):
            await client.create_pipeline("n", "2")


@pytest.mark.parametrize("port", [0, None], ids=["over HTTP", "without a socket"])
async def test_a_fault_is_met_and_the_call_was_made_all_the_same(port: int | None) -> None:
    async with LocalDataPipeline(port=port) as service, service.client(options=ONCE) as client:
        drop = Fault(kind=FaultKind.DROP, applied=True)
        with service.faults.during(drop), pytest.raises(ResponseLostError):
            await client.create_pipeline("n", "u")
        page = await client.list_pipelines()

    assert [each.name for each in page.pipeline_id_list] == ["n"]
    assert [each.operation for each in service.faults.log] == ["CreatePipeline"]


async def test_a_reset_forgets_the_pipelines() -> None:
    async with LocalDataPipeline(port=None) as service, service.client() as client:
        await client.create_pipeline("n", "u")

        await service.reset()

        assert (await client.list_pipelines()).pipeline_id_list == ()
        assert list(service.alarms()) == []


# -- the page -----------------------------------------------------------------------------


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_a_browser_gets_a_page() -> None:
    async with LocalDataPipeline() as service, service.client() as client:
        made = await client.create_pipeline("nightly", "u")

        status, page = await get(service.endpoint_url)
        of_pipeline = await get(f"{service.endpoint_url}/pipelines/{made.pipeline_id}")

    assert status == 200
    assert f'<a href="/pipelines/{made.pipeline_id}">nightly</a>' in page
    assert (of_pipeline[0], "<h1>nightly</h1>" in of_pipeline[1]) == (200, True)


async def test_a_browser_gets_none_if_it_is_not_wanted() -> None:
    async with LocalDataPipeline(page=False) as service:
        assert (await get(service.endpoint_url))[0] == 405


async def test_a_browser_gets_none_where_requests_have_to_be_signed() -> None:
    async with LocalDataPipeline(credentials={"AKID": "s3cret"}) as service:
        status, text = await get(service.endpoint_url)

    assert status == 403
    assert "every request has to be signed, which a browser does not do" in text
