"""The fixtures do what they say in a test-suite of somebody else's, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from aiodatapipeline import DataPipelineClient
from aiodatapipeline.local import LocalDataPipeline, StoreError, VirtualClock
from aiodatapipeline.testing import fixtures

pytest_plugins = ["pytester"]

CONFTEST = 'pytest_plugins = ["aiodatapipeline.testing.fixtures"]'
INI = "[pytest]\nfilterwarnings = error\n"
ANYIO = """pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend():
        return "asyncio"
"""
# pytest-asyncio warns where this is not set, and without it nobody knows it.
SCOPE = "--override-ini=asyncio_default_fixture_loop_scope=function"

USES_ALL = """
    from datetime import timedelta

    import pytest
    from aiodatapipeline import DataPipelineClient
    from aiodatapipeline.definition import Definition
    from aiodatapipeline.local import LocalDataPipeline, VirtualClock

    {mark}

    OBJECTS = {{"objects": [
        {{"id": "Default", "scheduleType": "cron", "schedule": {{"ref": "Daily"}},
          "workerGroup": "etl"}},
        {{"id": "Daily", "type": "Schedule", "period": "1 day",
          "startAt": "FIRST_ACTIVATION_DATE_TIME"}},
        {{"id": "Load", "type": "ShellCommandActivity", "command": "load"}},
    ]}}

    async def test_a_week(
        local_client: DataPipelineClient,
        local_data_pipeline: LocalDataPipeline,
        local_clock: VirtualClock,
    ) -> None:
        pipeline_id = (await local_client.create_pipeline("nightly", "u")).pipeline_id
        await local_client.call(Definition.from_mapping(OBJECTS).to_request(pipeline_id))
        await local_client.activate_pipeline(pipeline_id)
        await local_clock.advance(timedelta(days=6, seconds=1).total_seconds())

        instances = [each async for each in local_client.query_objects(pipeline_id, "INSTANCE")]

        assert len(instances) == 7
        assert local_data_pipeline.alarms() == []

    async def test_another_has_one_of_its_own(local_client: DataPipelineClient) -> None:
        assert not [each async for each in local_client.list_pipelines()]
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makeini(INI)
    return pytester


@pytest.mark.parametrize(
    ("mark", "arguments"),
    [
        ("", ["--asyncio-mode=auto", SCOPE]),
        ("pytestmark = pytest.mark.asyncio", ["--asyncio-mode=strict", SCOPE]),
        (ANYIO, ["-p", "no:asyncio"]),
        (ANYIO, ["--asyncio-mode=strict", SCOPE]),
    ],
    ids=["pytest-asyncio, auto", "pytest-asyncio, strict", "anyio", "anyio beside pytest-asyncio"],
)
def test_the_service_and_its_client_live_in_the_loop_of_a_test(
    suite: pytest.Pytester, mark: str, arguments: list[str]
) -> None:
    suite.makepyfile(USES_ALL.format(mark=mark))

    result = suite.runpytest_subprocess(*arguments)

    result.assert_outcomes(passed=2)


def test_an_address_is_for_tests_that_block_too(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        from botocore.session import Session

        def made_by(url, name):
            client = Session().create_client(
                "datapipeline",
                region_name="us-east-1",
                endpoint_url=url,
                aws_access_key_id="any",
                aws_secret_access_key="any",
            )
            client.create_pipeline(name=name, uniqueId="u")
            found = [each["name"] for each in client.list_pipelines()["pipelineIdList"]]
            client.close()
            return found

        def test_with_botocore(local_endpoint_url):
            assert made_by(local_endpoint_url, "one") == ["one"]

        def test_with_botocore_again(local_endpoint_url):
            assert made_by(local_endpoint_url, "two") == ["two"]
        """
    )

    # Without any plugin for coroutines.
    result = suite.runpytest_subprocess("-p", "no:asyncio", "-p", "no:anyio")

    result.assert_outcomes(passed=2)


def test_a_test_that_fails_leaves_nothing_running(pytester: pytest.Pytester) -> None:
    # The settings can ask for the fixtures, too.
    pytester.makeini(f"{INI}addopts = -p aiodatapipeline.testing.fixtures\n")
    pytester.makepyfile(
        """
        import threading

        def test_that_fails(local_endpoint_url):
            raise AssertionError

        def test_what_is_left():
            assert [each.name for each in threading.enumerate()] == ["MainThread"]
        """
    )

    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(failed=1, passed=1)


def test_nobody_gets_the_fixtures_without_asking_for_them(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makepyfile("def test_it(local_endpoint_url): pass")

    result = pytester.runpytest_subprocess("-p", "no:asyncio")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*fixture 'local_endpoint_url' not found*")


def test_the_stub_needs_no_pytest() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None; import aiodatapipeline.testing;"
        "sys.exit('aiodatapipeline.local' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_service_that_cannot_be_opened_is_told_on() -> None:
    service = LocalDataPipeline("/nowhere/at/all.db")

    with (
        pytest.raises(StoreError, match="cannot open the store"),
        fixtures._in_a_thread(service),  # pyright: ignore[reportPrivateUsage]  # its own test
    ):
        pytest.fail("it was opened")

    assert [each.name for each in threading.enumerate() if "Data Pipeline" in each.name] == []


# -- in this process, where coverage sees them ---------------------------------------------

# pytest finds fixtures by the names of a module.
local_clock = fixtures.local_clock
local_data_pipeline = fixtures.local_data_pipeline
local_client = fixtures.local_client
local_endpoint_url = fixtures.local_endpoint_url


async def test_the_client_asks_the_service(
    local_client: DataPipelineClient,
    local_data_pipeline: LocalDataPipeline,
    local_clock: VirtualClock,
) -> None:
    assert local_data_pipeline.clock is local_clock
    await local_client.create_pipeline("nightly", "u")
    async with local_data_pipeline.client() as another:
        assert [each.name async for each in another.list_pipelines()] == ["nightly"]


async def test_a_client_over_http_has_an_address(local_endpoint_url: str) -> None:
    async with DataPipelineClient(
        endpoint_url=local_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    ) as client:
        assert not [each async for each in client.list_pipelines()]
