from typing import NamedTuple

class ReadOnlyCredentials(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None
    account_id: str | None = ...

class AioCredentials:
    def __init__(
        self,
        access_key: str,
        secret_key: str,
        token: str | None = ...,
        method: str | None = ...,
        account_id: str | None = ...,
    ) -> None: ...
    async def get_frozen_credentials(self) -> ReadOnlyCredentials: ...
