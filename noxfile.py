"""What a contributor runs: ``nox`` before a commit, ``nox -s NAME`` for one thing."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
# Every interpreter that is found; a machine with one of them is enough.
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "typing", "tests-3.11"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
NEWEST_EVERYWHERE = PYTHONS[0]


def group(name: str) -> list[str]:
    return nox.project.dependency_groups(PROJECT, name)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests, and require every branch of src to be run."""
    session.install("-e", ".", *group("test"))
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    if not session.posargs:
        session.run("coverage", "report")


@nox.session(python=NEWEST_EVERYWHERE)
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml admits."""
    session.install("uv")
    python = f"{session.virtualenv.location}/bin/python"
    session.run(
        "uv", "pip", "install", "--python", python, "--resolution", "lowest-direct",
        "-e", ".", *group("test"),
    )  # fmt: skip
    session.run("pytest", *session.posargs)


@nox.session(python=NEWEST_EVERYWHERE)
def typing(session: nox.Session) -> None:
    """Check the types of src, tests and stubs with two type checkers."""
    session.install("-e", ".", *group("typing"))
    session.run("mypy", "src", "tests", "stubs")
    session.run("pyright")


@nox.session(python=NEWEST_EVERYWHERE)
def typing_user(session: nox.Session) -> None:
    """Check a user's file beside the built wheel alone: no stubs, no settings of ours."""
    directory = session.create_tmp()
    session.install("build", "mypy", "pyright[nodejs]")
    session.run("python", "-m", "build", "--wheel", "--outdir", directory, silent=True)
    session.run("python", "-m", "pip", "install", "--force-reinstall", "--no-index", "--no-deps",
                "--find-links", directory, "aiodatapipeline", external=True)  # fmt: skip


@nox.session(python=NEWEST_EVERYWHERE)
def stubs(session: nox.Session) -> None:
    """Compare the stubs with what is installed."""
    session.install("-e", ".", *group("typing"))
    session.run(
        "python", "-m", "mypy.stubtest", "--ignore-missing-stub", "--ignore-positional-only",
        "--mypy-config-file", "pyproject.toml", "aiobotocore", "botocore",
        env={"MYPYPATH": "stubs"},
    )  # fmt: skip


@nox.session(python=NEWEST_EVERYWHERE)
def lint(session: nox.Session) -> None:
    """Check style, format and the layers."""
    session.install("-e", ".", *group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
