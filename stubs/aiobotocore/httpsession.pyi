from typing import Self

from aiobotocore.awsrequest import AioAWSResponse
from botocore.awsrequest import AWSPreparedRequest

class AIOHTTPSession:
    def __init__(
        self,
        verify: bool | str = ...,
        proxies: dict[str, str] | None = ...,
        timeout: object = ...,
        max_pool_connections: int = ...,
        socket_options: object = ...,
        client_cert: object = ...,
        proxies_config: object = ...,
        connector_args: object = ...,
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, exc_type: object, exc_val: object, exc_tb: object) -> None: ...
    async def send(self, request: AWSPreparedRequest) -> AioAWSResponse: ...
