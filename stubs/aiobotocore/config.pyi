from collections.abc import Mapping

class AioConfig:
    def __init__(
        self,
        *,
        connect_timeout: float | None = ...,
        read_timeout: float | None = ...,
        max_pool_connections: int = ...,
        parameter_validation: bool = ...,
        retries: Mapping[str, object] = ...,
        user_agent: str = ...,
    ) -> None: ...
