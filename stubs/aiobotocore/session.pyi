from collections.abc import Coroutine

from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials

class ClientCreatorContext:
    def __init__(self, coro: Coroutine[object, object, AioBaseClient]) -> None: ...
    async def __aenter__(self) -> AioBaseClient: ...
    async def __aexit__(self, exc_type: object, exc_val: object, exc_tb: object) -> None: ...

class AioSession:
    def __init__(
        self,
        session_vars: object = ...,
        event_hooks: object = ...,
        include_builtin_handlers: bool = ...,
        profile: str | None = ...,
    ) -> None: ...
    def create_client(
        self,
        service_name: str,
        *,
        region_name: str | None = ...,
        verify: bool | str | None = ...,
        endpoint_url: str | None = ...,
        aws_access_key_id: str | None = ...,
        aws_secret_access_key: str | None = ...,
        aws_session_token: str | None = ...,
        config: AioConfig | None = ...,
    ) -> ClientCreatorContext: ...
    async def get_credentials(self) -> AioCredentials | None: ...
    def get_component(self, name: str) -> object: ...
    def get_config_variable(self, logical_name: str, methods: object = ...) -> object: ...
    def register_component(self, name: str, component: object) -> None: ...
    def user_agent(self) -> str: ...
