"""What is checked, and how: ``nox`` before a commit, ``nox -s NAME`` for one session."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import nox

# The first that skips an interpreter which is only a shim of pyenv.
nox.needs_version = ">=2026.8.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "typing", "docs", "tests"]
# One interpreter is enough. Those that are not there are skipped and never downloaded; the
# workflow, which installs what it asks for, has --error-on-missing-interpreters.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"

PROJECT = nox.project.load_toml()
PYTHONS = nox.project.python_versions(PROJECT)
# On all cores; who is done takes from the others. A few tests alone are quicker without.
ALL_TESTS = ("--numprocesses=auto", "--dist=worksteal")
# What needs a cluster, whose threads would be beside the tests that count them.
DASK = ("-k", "dask or executors", "tests/runner/test_dask.py", "tests/test_docs.py")
# A hundred tests start a process of their own, which would compile every module that it imports.
KEEP_PYC = {"PYTHONDONTWRITEBYTECODE": ""}
# What a user of two strict type checkers has, and no more.
USER_SETTINGS = {
    "typeCheckingMode": "strict",
    "enableTypeIgnoreComments": False,
    "reportUnnecessaryTypeIgnoreComment": "error",
}


def group(name: str) -> list[str]:
    """Give the requirements of a dependency group."""
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every Python that is found."""
    session.install("-e", ".[cli]", *group("test"))
    session.run("pytest", *(session.posargs or ALL_TESTS), env=KEEP_PYC)


# Apart from ``tests``: it takes half as long again, and what it tells is the same on every Python.
@nox.session(python=PYTHONS[0])
def coverage(session: nox.Session) -> None:
    """Run the tests while noting which lines are run; together they reach every branch."""
    session.install("-e", ".[cli]", *group("test"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or ALL_TESTS), env=KEEP_PYC)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def dask(session: nox.Session) -> None:
    """Run handlers on a Dask cluster: twenty packages that the other tests do without."""
    session.install("-e", ".[cli,dask]", *group("test"))
    session.run("coverage", "erase")
    # In the place of what pyproject.toml leaves out, which is just this module.
    session.run("coverage", "run", "--omit=-", "-m", "pytest", *(session.posargs or DASK))
    if not session.posargs:
        session.run("coverage", "combine", "--quiet")
        session.run("coverage", "report", "--include=*/runner/dask.py", "--omit=-")


# The oldest Python, for which the oldest versions of compiled packages have wheels.
@nox.session(python=PYTHONS[0])
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml admits."""
    session.install("uv")
    lowest = ("uv", "pip", "install", "--python", str(Path(session.bin, "python")),
              "--resolution", "lowest-direct", *group("test"))  # fmt: skip
    session.run_install(*lowest, "-e", ".[cli]")
    session.run("pytest", *(session.posargs or ALL_TESTS), env=KEEP_PYC)
    if not session.posargs:
        # It changes how every exception is pickled, so that it comes last.
        session.run_install(*lowest, "-e", ".[cli,dask]")
        session.run("pytest", *DASK)


@nox.session
def mutations(session: nox.Session) -> None:
    """Break each rule of the task runner in its code; a test has to notice."""
    session.install("-e", ".[cli]", *group("test"))
    session.run("python", "tests/runner/mutations.py")


@nox.session
def soak(session: nox.Session) -> None:
    """Try what has to hold for anything at random, with many more examples than in ``tests``."""
    session.install("-e", ".[cli]", *group("test"))
    session.run(
        "pytest", "--long", "--timeout=900", "-m", "hypothesis", *ALL_TESTS, *session.posargs,
        env=KEEP_PYC,
    )  # fmt: skip


@nox.session
def scale(session: nox.Session) -> None:
    """Give a task runner a hundred thousand tasks, and a day of faults."""
    session.install("-e", ".[cli]", *group("test"))
    session.run("pytest", "--long", "--timeout=600", "tests/runner/test_scale.py", *session.posargs)


@nox.session
def javascript(session: nox.Session) -> None:
    """Talk to the local service with the AWS SDK for JavaScript, which ``tests`` may not find."""
    if shutil.which("npm") is None:
        session.skip("npm is not on the path")
    session.install("-e", ".[cli]", *group("test"))
    directory = Path(session.create_tmp()).resolve()
    package = "@aws-sdk/client-data-pipeline"
    session.run(
        "npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(directory),
        package, external=True,
    )  # fmt: skip
    env = {"NODE_PATH": str(directory / "node_modules")}
    session.run("node", "-e", f"require.resolve('{package}')", env=env, external=True)
    session.run("pytest", "tests/local/test_clients.py", "-k", "javascript", env=env)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill the local service at 200 points under load, and look for what it acknowledged."""
    session.install("-e", ".[cli]", *group("test"))
    session.run("pytest", "--long", "tests/local/test_kill.py", *session.posargs)


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of src, tests, examples and stubs with mypy and pyright, both strict."""
    session.install("-e", ".[cli,dask]", *group("typing"))
    session.run("mypy", "src", "tests", "examples", "stubs")
    session.run("pyright")


@nox.session
def typing_user(session: nox.Session) -> None:
    """Check a user's files beside the built wheel: no stubs and no settings of ours."""
    session.install("hatchling", "mypy", "pyright[nodejs]")
    with tempfile.TemporaryDirectory() as directory:
        session.run("hatchling", "build", "-t", "wheel", "-d", directory, silent=True)
        session.install(*(f"{wheel}[dask,otel,sql]" for wheel in Path(directory).glob("*.whl")))
        # Outside of the tree, where neither checker finds pyproject.toml.
        app = Path(shutil.copytree("tests/typing", Path(directory, "app")))
        Path(app, "pyrightconfig.json").write_text(json.dumps(USER_SETTINGS))
        with session.chdir(app):
            session.run("mypy", "--strict", ".")
            session.run("pyright")
            session.run("pyright", "--verifytypes", "aiodatapipeline", "--ignoreexternal")


@nox.session
def package(session: nox.Session) -> None:
    """Build the sdist, and the wheel from it: what is tracked is in them, and nothing else."""
    session.install("build", "hatchling", "twine")
    listed: str = session.run("git", "ls-files", external=True, silent=True)
    tracked = {name for name in listed.splitlines() if not name.startswith(".github/")}
    ours = {name.removeprefix("src/") for name in tracked if name.startswith("src/")}
    with tempfile.TemporaryDirectory() as directory:
        session.run("python", "-m", "build", "-n", "-o", directory, ".", silent=True)
        (sdist,) = Path(directory).glob("*.tar.gz")
        (wheel,) = Path(directory).glob("*.whl")
        session.run("twine", "check", "--strict", str(sdist), str(wheel))
        with tarfile.open(sdist) as archive:
            packed = {each.name.partition("/")[2] for each in archive if each.isfile()}
        same(session, "the sdist", packed, tracked | {"PKG-INFO"})
        files = set(zipfile.ZipFile(wheel).namelist())
        same(session, "the wheel", {name for name in files if ".dist-info/" not in name}, ours)
        as_the_pages_say(session, sdist, wheel)


def as_the_pages_say(session: nox.Session, sdist: Path, wheel: Path) -> None:
    """Type what the pages say of installing, in a checkout; pip finds the wheel by its name."""
    home = sdist.parent
    with tarfile.open(sdist) as archive:
        archive.extractall(home, filter="data")
    name, version, *_ = wheel.name.split("-")
    Path(home, "constraints").write_text(f"{name}=={version}\n")
    typed: str = session.run("python", "-P", "tests/pages.py", silent=True)
    Path(home, "script").write_text(f". {home}/new/bin/activate\n{typed}")
    session.run("python", "-m", "venv", str(home / "new"))
    env = {"PIP_CONSTRAINT": str(home / "constraints"), "PIP_FIND_LINKS": str(home)}
    with session.chdir(home / f"{name}-{version}"):
        said: str = session.run("bash", str(home / "script"), env=env, external=True, silent=True)
    # Which pip does not mind.
    if missing := re.findall(r".*does not provide the extra.*", said):
        session.error(*missing)


def same(session: nox.Session, what: str, found: set[str], expected: set[str]) -> None:
    """Fail with what is there and should not be, and the other way around."""
    if found != expected:
        session.error(f"{what} lacks {expected - found}, and should not have {found - expected}")


@nox.session
def stubs(session: nox.Session) -> None:
    """Compare the stubs with what aiobotocore and botocore really have."""
    session.install("-e", ".[cli]", *group("typing"))
    session.run(
        "stubtest", "--ignore-missing-stub", "--mypy-config-file", "pyproject.toml",
        "aiobotocore", "botocore",
    )  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the layers of imports."""
    session.install("-e", ".", *group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a dead reference fails it."""
    session.install("-e", ".[cli,dask,otel,sql]", *group("docs"))
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-q", "docs", "docs/_build/html")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, beside other clients; name topics behind ``--`` to measure only those."""
    session.install("-e", ".[cli]", *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)
