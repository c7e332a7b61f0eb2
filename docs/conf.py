"""Settings of Sphinx. Build with ``nox -s docs``; a dead reference is an error.

What the code knows is not written again: the tables of operations and exceptions, and the
members of each model, are made of it here.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Iterator
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.alias_generators import to_snake
from pydantic.json_schema import PydanticJsonSchemaWarning
from sphinx.pycode import ModuleAnalyzer

from aiodatapipeline import __version__, errors
from aiodatapipeline._wire import WireModel
from aiodatapipeline.definition.objects import Component
from aiodatapipeline.operations import OPERATIONS

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "aiodatapipeline"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"aiodatapipeline {release}"
html_copy_source = html_show_copyright = False
# What is copied of a block is what is typed.
copybutton_prompt_text = r"\$ |> ?"
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

myst_enable_extensions = ["substitution"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
# The fixtures are for those who have it.
autodoc_mock_imports = ["pytest"]
autodoc_typehints_format = "short"

nitpick_ignore_regex = [
    # The references of other projects would have to be fetched: only ours are checked.
    ("py:.*", r"(?!aiodatapipeline\b).*"),
    # A type variable has no page.
    ("py:.*", r"aiodatapipeline\..*\b(ResponseT|PageT|ItemT_co|RequestT|RequestT_co)"),
    # Nor has what a stub begins a script with.
    ("py:class", r"aiodatapipeline\.testing\._stub\._Lines"),
    # Nor has what a clock gives back, and what a runner makes for itself.
    ("py:class", r"aiodatapipeline\._clock\.Appointment"),
    ("py:class", r"aiodatapipeline\.runner\._(task\.Link|handlers\.Handlers?)"),
    # Nor has a validator inside of a type, which nobody outside calls.
    ("py:class", r"aiodatapipeline\.definition\.(_written\.\w+|objects\._.*)"),
]


def link(kind: type, suffix: str = "") -> str:
    """Refer to a class, in MyST; its name is shown without a suffix."""
    name = kind.__name__
    return f"{{py:class}}`{name.removesuffix(suffix)} <{kind.__module__}.{name}>`"


def table(*rows: Iterable[str]) -> str:
    """Write a table in Markdown; the first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * head.count(" | ") + "|---|", *body])


def operations() -> Iterator[tuple[str, ...]]:
    """Give a row for each operation."""
    yield "Method", "Request and response", "Besides the common errors"
    common = frozenset.intersection(*(row.errors for row in OPERATIONS.values()))
    for name, row in OPERATIONS.items():
        method = f"{{py:meth}}`~aiodatapipeline.DataPipelineClient.{to_snake(name)}`"
        special = sorted(row.errors - common, key=lambda kind: kind.__name__)
        yield (
            method,
            f"{link(row.request)}, {link(row.response)}",
            ", ".join(link(kind, "Exception") for kind in special),
        )


def exceptions(kind: type[errors.DataPipelineError], depth: int = 0) -> Iterator[tuple[str, ...]]:
    """Give a row for an exception and one for each below it."""
    if depth == 0:
        yield "Exception", "What it means", "Retryable"
    meaning = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    yield f"{'&nbsp;' * 4 * depth}{link(kind)}", meaning, "yes" if kind.retryable else ""
    for below in kind.__subclasses__():
        yield from exceptions(below, depth + 1)


def codes() -> Iterator[tuple[str, ...]]:
    """Give a row for each exception that stands for codes of the service."""
    yield "Exception", "Codes"
    for kind in dict.fromkeys(errors.BY_CODE.values()):
        found = (f"`{code}`" for code, value in errors.BY_CODE.items() if value is kind)
        yield link(kind), ", ".join(found)


myst_substitutions = {
    "operations": table(*operations()),
    "exceptions": table(*exceptions(errors.DataPipelineError)),
    "codes": table(*codes()),
}


def describe(schema: dict[str, Any]) -> str:  # noqa: PLR0911  # one for each kind of schema
    """Put what JSON Schema says of a value into words, in reStructuredText."""
    match schema:
        case {"anyOf": [value, {"type": "null"}]}:
            return describe(value)
        case {"$ref": reference}:
            return f":py:class:`~aiodatapipeline.models.{reference.rpartition('/')[2]}`"
        case {"type": "array", "items": items}:
            most = f", at most {schema['maxItems']}" if "maxItems" in schema else ""
            return f"tuple{most}; each {describe(items)}"
        case {"type": "object", "additionalProperties": items}:
            return f"mapping of ids; to each {describe(items)}"
        case {"type": "string", "format": "date-time"}:
            return "datetime"
        case {"type": "string"}:
            least, most = schema.get("minLength", 0), schema.get("maxLength")
            return f"text of {least} to {most:,} characters" if most else "text"
        case {"type": kind}:
            return {"boolean": "bool", "integer": "int"}[kind]
    raise ValueError(f"no words for {schema}")


def members(model: type[WireModel]) -> Iterator[str]:
    """Tell the members of a model, a line each, with their limits and what is said of them."""
    with warnings.catch_warnings():
        # That a default cannot be written in JSON Schema.
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)
        schema = model.model_json_schema(by_alias=False)
    comments = ModuleAnalyzer.for_module(model.__module__).find_attr_docs()
    for name, member in schema.get("properties", {}).items():
        optional = "" if name in schema.get("required", ()) else " (optional)"
        comment = " ".join(comments.get((model.__name__, name), ())).strip()
        yield f"* ``{name}``{optional}: {describe(member)}." + (f" {comment}" if comment else "")


def fields(component: type[Component]) -> Iterator[str]:
    """Tell the fields that a typed object has beyond those of its public base, a line each."""
    comments = ModuleAnalyzer.for_module(component.__module__).find_attr_docs()
    private = takewhile(is_private, component.__mro__[1:])
    for kind in (component, *private):
        for name, written in inspect.get_annotations(kind).items():
            if name in component.model_fields:
                comment = " ".join(comments.get((kind.__name__, name), ())).strip()
                yield f"* ``{name}``: ``{written}``." + (f" {comment}" if comment else "")


def is_private(kind: type) -> bool:
    """Whether a class has no page."""
    return kind.__name__.startswith("_")


def show_public_bases(
    _app: Sphinx, _name: str, _documented: type, _options: object, bases: list[type]
) -> None:
    """Handle autodoc-process-bases."""
    bases[:] = [
        next(dropwhile(is_private, base.__mro__)) if inspect.isclass(base) else base
        for base in bases
    ]


def add_members(
    _app: Sphinx, what: str, _name: str, documented: object, _options: object, lines: list[str]
) -> None:
    """Handle autodoc-process-docstring."""
    if what == "class" and inspect.isclass(documented) and issubclass(documented, WireModel):
        lines += ["", *members(documented), ""]
    elif inspect.isclass(documented) and issubclass(documented, Component):
        lines += ["", *fields(documented), ""]


def drop_signature(
    _app: Sphinx, _what: str, _name: str, documented: object, *_: object
) -> tuple[str, None] | None:
    """Handle autodoc-process-signature: a model's members stand below it, with their limits."""
    if inspect.isclass(documented) and issubclass(documented, (WireModel, Component)):
        return "", None
    return None


def skip_member(
    _app: Sphinx, _what: str, name: str, member: object, _skip: object, _options: object
) -> bool | None:
    """Handle autodoc-skip-member: what is told already, and what is pydantic's."""
    told = any(name in model.model_fields for model in MODELS)
    is_code = isinstance(member, (property, classmethod)) or inspect.isroutine(member)
    if (told and not is_code) or name in {"model_config", "model_post_init", "operation"}:
        return True
    return None


def models(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Give a model and every one below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from models(below)


MODELS = [*models(WireModel), *models(Component)]


def setup(app: Sphinx) -> None:
    """Connect the handlers."""
    app.connect("autodoc-process-docstring", add_members)
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("autodoc-process-signature", drop_signature)
    app.connect("autodoc-skip-member", skip_member)
