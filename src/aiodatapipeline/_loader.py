"""Service models, read once for all clients of a process, and no more of them than needed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

from aiobotocore.session import AioSession
from botocore import exceptions
from botocore.loaders import JSONFileLoader, Loader

from aiodatapipeline._config import SERVICE

_ENDPOINT_RULES = "endpoint-rule-set-1"

# Service models never change while a process runs, and reading them takes a fifth of a
# second: clients share them. By the value of AWS_DATA_PATH, which says where they are, and by
# whether the rules for endpoints are wanted.
_loaders: dict[tuple[object, bool], Loader] = {}


def shared_loader(session: AioSession) -> Loader:
    """Give the loader that all clients share whose models are in the same places."""
    where = session.get_config_variable("data_path")
    # The endpoint of a client is always the same one, but botocore follows the rules for each
    # call, for a tenth of its CPU. Without rules it asks its table of endpoints, once, and says so
    # in its log at INFO; both say the same but for these two settings.
    rules = any(
        session.get_config_variable(name)
        for name in ("use_fips_endpoint", "use_dualstack_endpoint")
    )
    if (where, rules) not in _loaders:
        paths = cast("Loader", session.get_component("data_loader")).search_paths
        kind = ModelLoader if rules else _LoaderWithoutRules
        _loaders[where, rules] = kind(paths, include_default_search_paths=False)
    return _loaders[where, rules]


class _Files(JSONFileLoader):
    """Reads JSON into plain dicts, which keep their order as well, in half the time."""

    def load_file(self, file_path: str) -> object:
        for ending, opened in ((".json", open), (".json.gz", gzip.open)):
            path = Path(f"{file_path}{ending}")
            if path.is_file():
                with opened(path, "rb") as file:
                    return json.load(file)
        return None


class ModelLoader(Loader):
    """Finds the model of a service without looking into the directories of 400 others."""

    FILE_LOADER_CLASS = _Files

    def list_available_services(self, type_name: str) -> Collection[str]:
        return _Services(self, type_name)


class _LoaderWithoutRules(ModelLoader):
    """Knows no rules for our service's endpoint, as for a service that has none."""

    def load_service_model(
        self, service_name: str, type_name: str, api_version: str | None = None
    ) -> object:
        # Others are asked for credentials, and STS for one has endpoints of many kinds.
        if (service_name, type_name) == (SERVICE, _ENDPOINT_RULES):
            raise exceptions.UnknownServiceError(service_name=service_name, known_service_names="")
        return super().load_service_model(service_name, type_name, api_version)


class _Services(Collection[str]):
    """All services that there are models of; whether one is among them is asked for itself."""

    def __init__(self, loader: Loader, type_name: str) -> None:
        self._loader, self._type_name = loader, type_name

    def __contains__(self, name: object) -> bool:
        try:
            return bool(self._loader.list_api_versions(str(name), self._type_name))
        except exceptions.DataNotFoundError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(Loader.list_available_services(self._loader, self._type_name))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_service_model(session: AioSession) -> None:
    """Read what a client is made of, so that the loader has it."""
    # create_client() reads these files too, on the event loop, unless they were read before.
    loader = cast("Loader", session.get_component("data_loader"))
    for name in ("_retry", "endpoints", "partitions"):
        loader.load_data(name)
    loader.load_service_model(SERVICE, "service-2")
    with suppress(exceptions.UnknownServiceError):
        loader.load_service_model(SERVICE, _ENDPOINT_RULES)
