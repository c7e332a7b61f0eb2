"""Tables of databases: SqlDataNode and MySqlDataNode, read and written some rows at a time.

Source: developer guide, "SqlDataNode" and "MySqlDataNode".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from aiodatapipeline.models import PipelineObject, Ref
from aiodatapipeline.runner._handlers import read
from aiodatapipeline.runner._task import Task, TaskFailed
from aiodatapipeline.runner.builtin._databases import Login, find_database, login
from aiodatapipeline.runner.builtin._statements import Statement, statements

if TYPE_CHECKING:
    from aiodatapipeline.runner.builtin._sql import Rows, Session

TYPES = ("SqlDataNode", "MySqlDataNode")


class _Node(BaseModel):
    """The fields of a SqlDataNode."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    table: str
    schema_name: str | None = None
    select_query: str | None = None
    insert_query: str | None = None
    create_table_sql: str | None = None
    database: Ref | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and where it is."""

    node: _Node
    login: Login

    @classmethod
    async def of(cls, task: Task, subject: PipelineObject) -> Table:
        """Read a data node.

        Raises:
            TaskFailed: It does not say where the table is.
        """
        node = read(_Node, subject)
        # Before there was a field for it, the node itself was the database as well.
        found = await (find_database(task, node.database) if node.database else login(subject))
        return cls(node, found)

    @property
    def names(self) -> tuple[str | None, str]:
        """The schema, if one is said, and the table."""
        schema, dot, table = self.node.table.partition(".")
        if dot and self.node.schema_name is None:
            return schema, table
        return self.node.schema_name, self.node.table

    def select(self, session: Session) -> tuple[list[str], Iterator[Rows]]:
        """Read the table, or what its ``selectQuery`` says: its columns, and rows."""
        # Who writes the definition may run any SQL there, so the name of the table is no door.
        whole = f"SELECT * FROM {self._name(session)}"  # noqa: S608
        return session.select(self.node.select_query or whole)

    def insert(
        self, session: Session, columns: Sequence[str], batches: Iterable[Rows]
    ) -> Iterator[int]:
        """Write rows, and give how many there are after each time; create the table before.

        Args:
            session: A connection to its database.
            columns: What they are called; the table's own order if empty.
            batches: The rows, some at a time.

        Raises:
            TaskFailed: The database refuses.
        """
        if self.node.create_table_sql is not None:
            schema, table = self.names
            if not session.has_table(table, schema):
                for each in statements(self.node.create_table_sql, session.kind):
                    session.run(each, about="createTableSql")
        statement, written = None, 0
        for batch in batches:
            statement = statement or self._insertion(session, columns, len(batch[0]))
            session.insert(statement, batch)
            written += len(batch)
            yield written

    def _insertion(self, session: Session, columns: Sequence[str], width: int) -> Statement:
        if self.node.insert_query is None:
            names = f" ({', '.join(map(session.name, columns))})" if columns else ""
            # Not read from a text: there may be a question mark in a name.
            head = f"INSERT INTO {self._name(session)}{names} VALUES ("  # noqa: S608  # as above
            parts = (head, *itertools.repeat(", ", width - 1), ")")
            return Statement("?".join(parts), parts, "INSERT")
        found = statements(self.node.insert_query, session.kind)
        if len(found) != 1:
            raise TaskFailed(
                "InvalidTask", f"{self.node.id}: its insertQuery has {len(found)} statements"
            )
        if found[0].placeholders != width:
            raise TaskFailed(
                "InvalidTask",
                f"{self.node.id}: its insertQuery has {found[0].placeholders} placeholders (?), "
                f"and a record {width} values",
            )
        return found[0]

    def _name(self, session: Session) -> str:
        return ".".join(session.name(name) for name in self.names if name)
