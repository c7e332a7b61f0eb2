"""What an application can put in: a session, a transport, settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiodatapipeline import AiobotocoreSession, DataPipelineClient, Reply, Transport


class SessionLike:
    """As a type checker sees aiobotocore's AioSession once it has types."""

    def get_component(self, name: str) -> Any:  # Any: its own types say so
        return name

    def get_config_variable(self, logical_name: str, methods: Any = None) -> Any:  # Any: likewise
        return methods or logical_name


class Canned:
    """A transport without a base class."""

    async def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        return Reply(200, b"{}")


class Synchronous:
    """What looks like a transport and cannot be awaited."""

    def send(self, operation: str, body: Mapping[str, object], timeout: float) -> Reply:
        return Reply(200, b"{}")


def a_session_is_one_by_its_shape(untyped: Any) -> None:
    session: AiobotocoreSession = SessionLike()

    DataPipelineClient(session=session)
    DataPipelineClient(session=untyped)  # aiobotocore's own has no types


def anything_else_is_no_session() -> None:
    DataPipelineClient(session=object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DataPipelineClient(session="default")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # Not the class but one of its objects.
    DataPipelineClient(session=SessionLike)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_transport_is_one_by_its_shape() -> None:
    transport: Transport = Canned()

    DataPipelineClient(transport=transport)
    DataPipelineClient(transport=Synchronous())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def settings_have_types() -> None:
    DataPipelineClient(region_name="us-east-1", verify=False)
    DataPipelineClient(verify="bundle.pem", max_pool_connections=10)
    DataPipelineClient("us-east-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DataPipelineClient(regionname="us-east-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DataPipelineClient(options={"timeout": 5})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
