"""Where AWS runs a database: RDS and Redshift are asked. Imported when one of them is used."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientError as HttpError
from botocore import exceptions

from aiodatapipeline.runner.builtin._aws import AwsClient
from aiodatapipeline.runner.builtin._jdbc import Address, AddressError, NotAskedError, address_of

# Source: Engine of CreateDBInstance in the API reference of RDS.
_ENGINES = {
    **dict.fromkeys(("mysql", "mariadb", "aurora", "aurora-mysql"), "mysql"),
    **dict.fromkeys(("postgres", "aurora-postgresql"), "postgresql"),
}


async def instance(name: str, region: str | None, properties: tuple[str, ...]) -> Address:
    """Ask RDS where an instance is.

    Raises:
        AddressError: There is none, or no driver for it, or RDS is out of reach.
    """
    answer = await _ask("rds", region, "describe_db_instances", DBInstanceIdentifier=name)
    [found] = answer["DBInstances"]
    kind = _ENGINES.get(found["Engine"])
    if kind is None:
        raise AddressError(f"no driver is known for {found['Engine']!r} databases of RDS")
    return _address(kind, found, properties)


async def cluster(name: str, region: str | None, properties: tuple[str, ...]) -> Address:
    """Ask Redshift where a cluster is.

    Raises:
        AddressError: There is none, or Redshift is out of reach.
    """
    answer = await _ask("redshift", region, "describe_clusters", ClusterIdentifier=name)
    [found] = answer["Clusters"]
    return _address("redshift", found, properties)


def _address(kind: str, found: dict[str, Any], properties: tuple[str, ...]) -> Address:
    endpoint = found.get("Endpoint")
    if endpoint is None:
        raise AddressError("it has no address yet: it is being made")
    return address_of(kind, endpoint["Address"], endpoint["Port"], found.get("DBName"), properties)


async def _ask(service: str, region: str | None, method: str, **members: str) -> dict[str, Any]:
    client = AwsClient(service, region)
    try:
        return await client.call(method, **members)
    except exceptions.ClientError as error:
        told = error.response.get("Error", {})
        raise AddressError(f"{told.get('Message')} [{told.get('Code')}]") from error
    except (exceptions.BotoCoreError, HttpError, OSError) as error:
        raise NotAskedError(f"{service} cannot be asked where it is: {error}") from error
    finally:
        await client.aclose()
