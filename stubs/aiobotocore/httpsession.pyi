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
    async def send(self, request: AWSPreparedRequest) -> AioAWSResponse: ...
