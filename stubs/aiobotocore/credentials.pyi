class ReadOnlyCredentials:
    access_key: str
    secret_key: str
    token: str | None

class AioCredentials:
    def __init__(self, access_key: str, secret_key: str, token: str | None = ...) -> None: ...
    async def get_frozen_credentials(self) -> ReadOnlyCredentials: ...
