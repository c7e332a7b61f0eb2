class Loader:
    def __init__(
        self,
        extra_search_paths: object = ...,
        file_loader: object = ...,
        cache: object = ...,
        include_default_search_paths: bool = ...,
        include_default_extras: bool = ...,
    ) -> None: ...
    def load_data(self, name: str) -> object: ...
    def load_service_model(self, service_name: str, type_name: str) -> object: ...
