from collections.abc import Callable
from typing import Any

class AioBaseClient:
    @property
    def meta(self) -> _ClientMeta: ...

class _ClientMeta:
    events: _Events
    method_to_api_mapping: dict[str, str]

class _Events:
    def register(self, event_name: str, handler: Callable[..., Any]) -> None: ...
    def unregister(self, event_name: str, *, unique_id: str) -> None: ...
