"""Databases that are named and not addressed: AWS says where they are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aiodatapipeline.models import PipelineObject
from aiodatapipeline.runner import TaskFailed
from aiodatapipeline.runner.builtin._databases import Login, login
from tests.integration.server import Answer, Received, Server, http

ENDPOINT = "<Endpoint><Address>shop.x.eu-west-1.example</Address><Port>{port}</Port></Endpoint>"


def xml(text: str, status: int = 200) -> Answer:
    return http(text.encode(), status, headers={"Content-Type": "text/xml"})


class Aws:
    """RDS and Redshift, as their API references have them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.instance = f"<Engine>mysql</Engine><DBName>first</DBName>{ENDPOINT.format(port=3306)}"

    async def __call__(self, request: Received) -> Answer:
        asked = request.body.decode()
        self.asked.append(f"{request.credential[2]} {request.credential[3]} {asked}")
        if "gone" in asked:
            return xml(
                "<ErrorResponse><Error><Type>Sender</Type><Code>DBInstanceNotFound</Code>"
                "<Message>DBInstance gone not found.</Message></Error></ErrorResponse>",
                404,
            )
        if "DescribeDBInstances" in asked:
            return xml(
                "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance>"
                f"{self.instance}</DBInstance></DBInstances></DescribeDBInstancesResult>"
                "</DescribeDBInstancesResponse>"
            )
        return xml(
            "<DescribeClustersResponse><DescribeClustersResult><Clusters><Cluster>"
            f"<DBName>dev</DBName>{ENDPOINT.format(port=5439)}</Cluster></Clusters>"
            "</DescribeClustersResult></DescribeClustersResponse>"
        )


@pytest.fixture
async def aws(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    aws = Aws()
    async with Server(handler=aws) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield aws


async def found(**fields: str) -> Login:
    return await login(
        PipelineObject.of(
            "Db",
            {"username": "etl", "*password": "hunter2-hunter2", "region": "eu-west-1", **fields},
        )
    )


async def test_rds_says_where_an_instance_is(aws: Aws) -> None:
    one = await found(rdsInstanceId="shop")
    other = await found(rdsInstanceId="shop", databaseName="second")

    assert aws.asked[0].startswith("eu-west-1 rds ")
    assert "DBInstanceIdentifier=shop" in aws.asked[0]
    assert (one.kind, one.address.host, one.address.port) == (
        "mysql",
        "shop.x.eu-west-1.example",
        3306,
    )
    assert (one.username, one.password, one.database) == ("etl", "hunter2-hunter2", "first")
    assert other.database == "second"


async def test_redshift_says_where_a_cluster_is(aws: Aws) -> None:
    one = await found(clusterId="shop", jdbcProperties="sslmode=require")

    assert "ClusterIdentifier=shop" in aws.asked[0]
    assert (one.kind, one.address.port, one.database) == ("redshift", 5439, "dev")
    assert one.address.arguments["sslmode"] == "require"


@pytest.mark.parametrize(
    ("instance", "error"),
    [
        ("<Engine>oracle-se2</Engine>", "no driver is known for 'oracle-se2' databases of RDS"),
        ("<Engine>aurora-postgresql</Engine>", "it has no address yet: it is being made"),
    ],
)
async def test_an_instance_that_cannot_be_used_is_refused(
    aws: Aws, instance: str, error: str
) -> None:
    aws.instance = instance

    with pytest.raises(TaskFailed, match=f"^Db: {error}$") as failed:
        await found(rdsInstanceId="old")

    assert failed.value.error_id == "InvalidTask"


async def test_what_is_not_there_is_refused_in_the_words_of_aws(aws: Aws) -> None:
    with pytest.raises(TaskFailed, match=r"^Db: DBInstance gone not .* \[DBInstanceNotFound\]$"):
        await found(rdsInstanceId="gone")


async def test_who_cannot_be_asked_is_named(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    with pytest.raises(TaskFailed, match=r"^Db: redshift cannot be asked where it is: ") as failed:
        await found(clusterId="shop")

    assert failed.value.error_id == "ConnectionFailed"
