"""What several groups of commands are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def nightly(tmp_path: Path) -> Path:
    """A definition file, with a secret."""
    file = tmp_path / "nightly.json"
    file.write_text(
        """{
  "objects": [
    {"id": "Default", "scheduleType": "ondemand", "workerGroup": "etl"},
    {"id": "Load", "type": "ShellCommandActivity", "command": "load #{myTable}",
     "*myPassword": "hunter2"},
    {"id": "Report", "type": "ShellCommandActivity", "command": "report",
     "dependsOn": {"ref": "Load"}}
  ],
  "parameters": [{"id": "myTable", "type": "String"}],
  "values": {"myTable": "orders"}
}
""",
        encoding="utf-8",
    )
    return file
