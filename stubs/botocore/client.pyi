from botocore.hooks import HierarchicalEmitter

class ClientMeta:
    events: HierarchicalEmitter
    def __init__(
        self,
        events: HierarchicalEmitter,
        client_config: object,
        endpoint_url: str,
        service_model: object,
        method_to_api_mapping: dict[str, str],
        partition: str,
    ) -> None: ...
    @property
    def endpoint_url(self) -> str: ...
    @property
    def method_to_api_mapping(self) -> dict[str, str]: ...
