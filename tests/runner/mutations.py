"""Break each of the runner's rules in its code, and see that a test fails: scenario A49.

``nox -s mutations`` runs it. Each line is a rule, a file, what stands there, what is put in its
place, and the tests that must notice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutation(NamedTuple):
    """A rule, broken."""

    rule: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    Mutation(
        "R1: acknowledge before the handler begins",
        "_attempts.py",
        "        why = await self._acknowledge(attempt)\n"
        "        if why:\n"
        "            await self._abandon(attempt, why)\n            return False\n",
        "",
        "a17 or a8",
    ),
    Mutation(
        "R2: the outcome is written down before it is sent",
        "_attempts.py",
        "written = written or await self._write(attempt, request)",
        "written = True",
        "a41 or a1_a2",
    ),
    Mutation(
        "R3: the lease is kept until the outcome is delivered",
        "_attempts.py",
        "        attempt.ended_at = self._clock.time()\n        detail",
        "        attempt.ended_at = self._clock.time()\n"
        "        self._core.keeper.release(attempt.lease)\n        detail",
        "r3 or a18",
    ),
    Mutation(
        "R4: a late failure proves that the task is ours",
        "_attempts.py",
        "request.task_status is not TaskStatus.FINISHED and age >= attempt.lease.suspect",
        "age < 0",
        "a26 or a5",
    ),
    Mutation(
        "R5: a status is never changed",
        "_outcome.py",
        '    yield bare.model_copy(update={"error_id": error_id})\n',
        '    yield bare.model_copy(update={"task_status": TaskStatus.FINISHED})\n',
        "a25",
    ),
    Mutation(
        "R6: no retries but the runner's",
        "_caller.py",
        "max_attempts=1",
        "max_attempts=3",
        "r6 or a44 or storm or a19",
    ),
    Mutation(
        "R7: the leases are kept in a thread of their own",
        "_lease.py",
        "        try:\n            await self._send(lease, caller)\n",
        "        try:\n"
        "            home = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._home)\n"
        "            await asyncio.wrap_future(home)\n"
        "            await self._send(lease, caller)\n",
        "a28",
    ),
    Mutation(
        "R8: time is monotonic, and goes on while the machine sleeps",
        "../_clock.py",
        "return self._epoch + _passed()",
        "return time.time()",
        "row_17",
    ),
]


def survives(mutation: Mutation) -> bool:
    """Run the tests against broken code. True: none of them noticed."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(shutil.copytree(ROOT / "src", Path(directory, "src")))
        path = source / "aiodatapipeline" / "runner" / mutation.file
        text = path.read_text()
        if text.count(mutation.old) < 1:
            raise SystemExit(f"{mutation.rule}: what it replaces is not in {mutation.file}")
        path.write_text(text.replace(mutation.old, mutation.new))
        command = [sys.executable, "-m", "pytest", "tests/runner", "-q", "-x", "-k", mutation.tests]
        environment = {**os.environ, "PYTHONPATH": str(source), "RUNNER_CUTS": "8"}
        ran = subprocess.run(
            [*command, "-p", "no:cacheprovider", "--no-header", "--tb=no"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            timeout=300,
            check=False,
        )
        if ran.returncode not in {0, 1}:
            raise SystemExit(f"{mutation.rule}: the tests did not run\n{ran.stdout.decode()}")
        return ran.returncode == 0


def main() -> None:
    """Break one rule after the other."""
    nothing = Mutation(
        "nothing", "_lease.py", "def ", "def ", " or ".join(m.tests for m in MUTATIONS)
    )
    if not survives(nothing):
        sys.exit("the tests fail without a mutation")
    survivors = [each.rule for each in MUTATIONS if survives(each)]
    for each in MUTATIONS:
        print("no test noticed" if each.rule in survivors else "noticed", each.rule, sep=": ")  # noqa: T201
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
