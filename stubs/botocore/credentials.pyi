class Credentials:
    def __init__(
        self,
        access_key: str,
        secret_key: str,
        token: str | None = ...,
        method: str | None = ...,
        account_id: str | None = ...,
    ) -> None: ...
