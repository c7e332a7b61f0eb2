from collections.abc import Callable, Mapping

class AioConfig:
    def __init__(
        self,
        connector_args: Mapping[str, object] | object | None = ...,
        http_session_cls: Callable[..., object] | object = ...,
        warm_up_loader_caches: bool | object = ...,
        *,
        client_cert: str | tuple[str, str] | None = ...,
        connect_timeout: float | None = ...,
        read_timeout: float | None = ...,
        max_pool_connections: int = ...,
        parameter_validation: bool = ...,
        retries: Mapping[str, object] = ...,
        user_agent: str = ...,
    ) -> None: ...
