"""Objects of databases -> where they are, and as whom to go there."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from aiodatapipeline._secrets import Secrets
from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner._handlers import read
from aiodatapipeline.runner._task import Task, TaskFailed
from aiodatapipeline.runner.builtin._halt import Halt
from aiodatapipeline.runner.builtin._jdbc import Address, AddressError, read_address
from aiodatapipeline.runner.builtin._staging import look_up

if TYPE_CHECKING:
    from aiodatapipeline.runner.builtin._sql import Mode, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A database, and who goes there."""

    id: str
    """The object that says so."""
    address: Address
    database: str | None
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)

    @property
    def kind(self) -> str:
        """What kind of database it is: what stands behind ``jdbc:``."""
        return self.address.driver.kind

    def masked(self, text: str) -> str:
        """Take the password out of a text."""
        return Secrets([self.password]).cover(text)

    def opened(self, halt: Halt, mode: Mode) -> AbstractContextManager[Session]:
        """Connect. See ``_sql.connected``. In a thread: the import alone takes its time.

        Raises:
            TaskFailed: SQLAlchemy is not installed.
        """
        try:
            from aiodatapipeline.runner.builtin._sql import connected  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise TaskFailed(
                "NotInstalled",
                f"{error.name} is not installed, and databases need it: "
                "pip install 'aiodatapipeline[sql]'",
                detail="the task runner is installed without its extra sql",
            ) from None
        return connected(self, halt, mode)


class _Database(BaseModel):
    """What all databases say."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    username: str | None = None
    password: SecretStr | None = None
    database_name: str | None = None
    jdbc_properties: tuple[str, ...] = Field(default=(), repr=False)
    connection_string: str | None = Field(default=None, repr=False)
    rds_instance_id: str | None = None
    cluster_id: str | None = None
    region: str | None = None


_TYPES = ("JdbcDatabase", "RdsDatabase", "RedshiftDatabase")


async def find_database(task: Task, reference: Ref) -> Login:
    """Find the database that an object refers to.

    Raises:
        TaskFailed: There is none, or it cannot be reached from here.
    """
    subject = await look_up(task, reference)
    kind = subject.strings("type")
    if len(kind) != 1 or kind[0] not in _TYPES:
        raise TaskFailed(
            "InvalidTask",
            f"{subject.id} is no database but {' and '.join(kind) or 'has no type'}; there are "
            f"{', '.join(_TYPES)}",
        )
    return await login(subject)


async def login(subject: PipelineObject) -> Login:
    """Read where a database is from an object, or ask AWS where the one is that it names.

    Raises:
        TaskFailed: It does not say that, or not in a way that can be read.
    """
    found = read(_Database, subject)
    try:
        address = await _address(found)
    except AddressError as error:
        raise TaskFailed(error.error_id, f"{found.id}: {error}", detail=str(error)) from None
    return Login(
        id=found.id,
        address=address,
        # What AWS says is the first one that was made, and maybe not the one that is meant.
        database=found.database_name or address.database,
        username=found.username if address.host else None,
        password=found.password.get_secret_value() if found.password and address.host else None,
    )


async def _address(found: _Database) -> Address:
    if found.connection_string is not None:
        address = read_address(found.connection_string, found.jdbc_properties)
        if found.database_name is not None and address.database not in {None, found.database_name}:
            raise AddressError("its databaseName is not that of its connectionString")
        return address
    name = found.rds_instance_id or found.cluster_id
    if name is None:
        raise AddressError("it has no connectionString, rdsInstanceId or clusterId")
    from aiodatapipeline.runner.builtin import _rds  # noqa: PLC0415  # takes half a second

    ask = _rds.instance if found.rds_instance_id else _rds.cluster
    return await ask(name, found.region, found.jdbc_properties)
