from collections.abc import Mapping
from email.message import Message

class AWSRequest:
    headers: Message
    def __init__(
        self,
        method: str | None = ...,
        url: str | None = ...,
        headers: Mapping[str, str] | None = ...,
        data: bytes | None = ...,
        params: Mapping[str, str] | None = ...,
        auth_path: str | None = ...,
        stream_output: bool = ...,
    ) -> None: ...
