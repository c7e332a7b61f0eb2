"""Definitions to draw: of every kind one, and of any characters."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from aiodatapipeline.definition import Definition
from aiodatapipeline.definition._drawing._graph import Graph, read_graph
from tests.definition.strategies import Body, names, texts

EVERY_KIND: Body = {
    "objects": [
        {"id": "Default", "schedule": {"ref": "Daily"}},
        {"id": "Load", "name": "load the orders", "type": "CopyActivity",
         "input": {"ref": "Orders"}, "output": {"ref": "Table"}, "runsOn": {"ref": "Host"},
         "dependsOn": [{"ref": "Gone"}, {"ref": "Load"}], "onFail": {"ref": "Alarm"},
         "myFormat": {"ref": "Format"}},
        {"id": "Orders", "type": "S3DataNode", "precondition": {"ref": "Ready"}},
        {"id": "Table", "type": "SqlDataNode", "database": {"ref": "Db"}},
        {"id": "Ready", "type": "Exists"},
        {"id": "Db", "type": "JdbcDatabase"},
        {"id": "Host", "type": "Ec2Resource"},
        {"id": "Alarm", "type": "SnsAlarm"},
        {"id": "Format", "type": "CSV"},
        {"id": "Daily", "type": "Schedule", "period": "1 day"},
    ]
}  # fmt: skip
STATUSES = {
    "Load": "RUNNING",
    "Orders": "FINISHED",
    "Ready": "FINISHED",
    "Table": "WAITING_ON_DEPENDENCIES",
    "Host": "CASCADE_FAILED",
    "Alarm": "CANCELED",
    "Db": "SOMETHING_NEW",
}


def graph(body: Body = EVERY_KIND, statuses: Mapping[str, str] | None = None) -> Graph:
    return read_graph(Definition.from_mapping(body), statuses or {})


@st.composite
def any_graphs(draw: st.DrawFn) -> Graph:
    """Boxes with all the texts that a definition may have in them, and lines between some."""
    ids = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    types = names | st.sampled_from(["CopyActivity", "S3DataNode", "Schedule", "Exists"])
    keys = st.sampled_from(["dependsOn", "output", "runsOn"]) | names
    targets = st.lists(st.sampled_from(ids) | names, min_size=1, max_size=3)
    objects: list[object] = []
    for object_id in ids:
        name, kind, key = draw(names), draw(types), draw(keys)
        references = [{"ref": each} for each in draw(targets)]
        objects.append({key: references, "id": object_id, "name": name, "type": kind})
    statuses = draw(st.dictionaries(st.sampled_from(ids), texts))
    return graph({"objects": objects}, statuses)
