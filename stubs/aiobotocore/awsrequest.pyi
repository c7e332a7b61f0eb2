from collections.abc import Awaitable, Mapping

class AioAWSResponse:
    url: str
    status_code: int
    headers: Mapping[str, str]
    raw: object
    def __init__(
        self, url: str, status_code: int, headers: Mapping[str, str], raw: object
    ) -> None: ...
    @property
    def content(self) -> Awaitable[bytes]: ...
