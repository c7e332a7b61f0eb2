from collections.abc import Mapping
from email.message import Message
from typing import Any

class AWSRequest:
    headers: Message | dict[str, Any]
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

class AWSPreparedRequest:
    method: str
    url: str
    headers: Mapping[str, Any]
    body: Any
    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, Any],
        body: Any,
        stream_output: bool,
        context: object = ...,
    ) -> None: ...
