"""What ``__all__`` promises, and that all of it says what it is for."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import FunctionType, ModuleType

import pytest

import aiodatapipeline
from aiodatapipeline import errors
from aiodatapipeline.operations import OPERATIONS

MODULES = [
    import_module(f"aiodatapipeline.{module.name}")
    for module in pkgutil.iter_modules(aiodatapipeline.__path__)
    # A package defines nothing: its own tests say what it re-exports.
    if not module.name.startswith("_") and not module.ispkg
]

each_module = pytest.mark.parametrize("module", MODULES, ids=lambda one: one.__name__)


def statements(module: ModuleType) -> list[ast.stmt]:
    return ast.parse(inspect.getsource(module)).body


def defined(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module defines, other than by import."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        if isinstance(statement.value, ast.Call) and ast.unparse(statement.value.func) == "TypeVar":
            return []  # for the type checker alone
        return [ast.unparse(target) for target in statement.targets]
    if isinstance(statement, ast.AnnAssign):
        return [ast.unparse(statement.target)]
    return []


def exported(module: ModuleType) -> list[str]:
    names: list[str] = module.__all__
    return names


# -- names --------------------------------------------------------------------------------


@each_module
def test_a_public_module_promises_exactly_what_it_defines(module: ModuleType) -> None:
    names = {name for statement in statements(module) for name in defined(statement)}

    assert set(exported(module)) == {name for name in names if not name.startswith("_")}


def test_the_package_defines_nothing_and_promises_exactly_what_it_imports() -> None:
    docstring, *imports, names = statements(aiodatapipeline)

    assert isinstance(docstring, ast.Expr)
    assert defined(names) == ["__all__"]
    imported = [
        alias.asname or alias.name
        for statement in imports
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]
    assert len(imports) == len([one for one in imports if isinstance(one, ast.ImportFrom)])
    assert sorted(imported) == aiodatapipeline.__all__


@pytest.mark.parametrize("module", [aiodatapipeline, *MODULES], ids=lambda one: one.__name__)
def test_what_is_promised_is_there(module: ModuleType) -> None:
    assert not [name for name in exported(module) if not hasattr(module, name)]


def test_what_a_caller_needs_is_in_the_package_itself() -> None:
    operations = list(OPERATIONS.values())
    needed = {"DataPipelineClient", "TaskStatus", "CallOptions", "Pager", "Transport", "Reply"}
    needed |= {row.request.__name__ for row in operations}
    needed |= {row.response.__name__ for row in operations}
    needed |= {name for name in errors.__all__ if inspect.isclass(getattr(errors, name))}

    assert len(operations) == 19
    assert not needed - set(aiodatapipeline.__all__)


def test_every_exception_is_a_data_pipeline_error() -> None:
    promised = [getattr(errors, name) for name in errors.__all__]
    kinds = [one for one in promised if inspect.isclass(one)]

    assert not [one for one in kinds if not issubclass(one, errors.DataPipelineError)]


# -- docstrings ---------------------------------------------------------------------------


METHODS = (FunctionType, property, classmethod, staticmethod)


def public_classes() -> dict[str, type]:
    things = (
        getattr(module, name) for module in [aiodatapipeline, *MODULES] for name in exported(module)
    )
    return {thing.__qualname__: thing for thing in things if inspect.isclass(thing)}


def described(kind: type) -> Iterator[tuple[str, str | None]]:
    """A class and what it defines itself, each with its own docstring."""
    doc = vars(kind).get("__doc__")
    # A dataclass without one is given its signature.
    yield kind.__name__, None if doc and doc.startswith(f"{kind.__name__}(") else doc
    for name, member in vars(kind).items():
        if not name.startswith("_") and isinstance(member, METHODS):
            yield f"{kind.__name__}.{name}", member.__doc__


@pytest.mark.parametrize("kind", public_classes().values(), ids=lambda one: one.__name__)
def test_every_public_class_and_method_says_what_it_is_for(kind: type) -> None:
    assert not [name for name, doc in described(kind) if not (doc or "").strip()]


@each_module
def test_a_public_module_says_what_it_holds(module: ModuleType) -> None:
    assert (module.__doc__ or "").strip()
