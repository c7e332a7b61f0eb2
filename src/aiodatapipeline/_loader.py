"""Service models, read once for all clients of a process, and no more of them than needed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import cast

from aiobotocore.session import AioSession
from botocore import exceptions
from botocore.loaders import JSONFileLoader, Loader

# Service models never change while a process runs, and reading them takes a fifth of a
# second: clients share them. By the value of AWS_DATA_PATH, which says where they are.
_loaders: dict[object, Loader] = {}


def shared_loader(session: AioSession) -> Loader:
    """Give the loader that all clients share whose models are in the same places."""
    where = session.get_config_variable("data_path")
    if where not in _loaders:
        paths = cast("Loader", session.get_component("data_loader")).search_paths
        _loaders[where] = ModelLoader(paths, include_default_search_paths=False)
    return _loaders[where]


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


def read_service_model(session: AioSession, service: str) -> None:
    """Read what a client of a service is made of, so that the loader has it."""
    # create_client() reads these files too, on the event loop, unless they were read before.
    loader = cast("Loader", session.get_component("data_loader"))
    for name in ("_retry", "endpoints", "partitions"):
        loader.load_data(name)
    for name in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model(service, name)
