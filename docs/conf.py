"""Settings of Sphinx. Build with ``nox -s docs``; a dead reference is an error.

What the code knows is not written again: the tables of operations and exceptions, and the
members of each model, are made of it here.
"""

from __future__ import annotations

import builtins
import inspect
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from enum import Enum
from importlib import import_module
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Any

from docutils import nodes
from pydantic import BaseModel
from pydantic.alias_generators import to_snake
from pydantic.json_schema import PydanticJsonSchemaWarning
from sphinx import addnodes
from sphinx.ext.autodoc.mock import mock
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.logging import getLogger

import aiodatapipeline
from aiodatapipeline import __version__, errors
from aiodatapipeline._wire import WireModel
from aiodatapipeline.definition.objects import Component
from aiodatapipeline.operations import OPERATIONS

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

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
# The signature has them, without the modules that they come from.
napoleon_attr_annotations = False

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
    (
        "py:class",
        r"aiodatapipeline\.(definition\.(_written\.\w+|objects\._.*)|runner\._handlers\._.*)",
    ),
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


UNREADABLE = (
    (re.compile(r"<class '(?:\w+\.)*(\w+)'>"), r"\1"),
    (re.compile(r"<(?:factory|function [^<>]*(?:<lambda>)?)>"), "..."),
    (re.compile(r"~types\.Annotated\[(.*), ~pydantic\.[\w.]+\(.*?\)\]"), r"\1"),
)


def mend_signature(
    _app: Sphinx,
    _what: str,
    _name: str,
    documented: object,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str, str | None] | None:
    """Handle autodoc-process-signature.

    A model's members stand below it, with their limits. What cannot be read as Python, such as the
    default of a factory, would leave the whole signature with the full names of all types.
    """
    if inspect.isclass(documented) and issubclass(documented, (WireModel, Component)):
        return "", None
    if not signature:
        return None
    for found, shown in UNREADABLE:
        signature = found.sub(shown, signature)
    return signature, returns


def unlink_builtins(_app: Sphinx, doctree: nodes.document) -> None:
    """Handle doctree-read: no type is meant by a member of ours that is called ``object``."""
    for reference in list(doctree.findall(addnodes.pending_xref)):
        if reference["refdomain"] == "py" and hasattr(builtins, reference["reftarget"]):
            reference.replace_self(reference.children)


def tell_alias(
    _app: Sphinx, what: str, name: str, _alias: object, _options: object, lines: list[str]
) -> None:
    """Handle autodoc-process-docstring: what is said of an alias stands where it is written."""
    if what != "data":
        return
    where, _, alias = name.rpartition(".")
    package = f"{sys.modules[where].__package__}."
    for module in (where, *sorted(each for each in sys.modules if each.startswith(package))):
        if said := ModuleAnalyzer.for_module(module).find_attr_docs().get(("", alias)):
            lines[:] = said
            return


def keep_colons(
    _app: Sphinx, what: str, _name: str, _told: object, _options: object, lines: list[str]
) -> None:
    """Handle autodoc-process-docstring: what stands before a colon is no type."""
    if what in {"attribute", "data", "property"} and ":" in "".join(lines[:1]):
        lines[:0] = ["..", ""]  # napoleon looks at the first line alone


def skip_member(
    app: Sphinx, what: str, name: str, member: object, _skip: object, _options: object
) -> bool | None:
    """Handle autodoc-skip-member: what is told already, and what is pydantic's."""
    if isinstance(member, Enum):
        return False  # also one whose name says all
    if name in {"model_config", "model_post_init", "operation"}:
        return True
    document = app.env.temp_data
    owner = getattr(
        import_module(document["autodoc:module"]), document.get("autodoc:class") or "", None
    )
    is_code = isinstance(member, (property, classmethod)) or inspect.isroutine(member)
    if what == "class" and owner in MODELS and name in owner.model_fields and not is_code:
        return True
    return None


def miss_public_names(app: Sphinx, environment: BuildEnvironment) -> None:
    """Handle env-check-consistency: what a module says is public has to be in the reference."""
    told = environment.domains.python_domain.objects.keys() | MENTIONED
    below = pkgutil.walk_packages(aiodatapipeline.__path__, "aiodatapipeline.")
    names = ["aiodatapipeline", *(each.name for each in below if "._" not in each.name)]
    with mock(app.config.autodoc_mock_imports):
        modules = {name: import_module(name) for name in names}
    for place, module in modules.items():
        for name in getattr(module, "__all__", ()):
            written = f"{getattr(getattr(module, name), '__module__', '')}.{name}"
            if told.isdisjoint({f"{place}.{name}", written}):
                getLogger(__name__).warning("%s.%s is in no page", place, name)


# What pages show in their own way.
MENTIONED = {
    "aiodatapipeline.__version__",
    "aiodatapipeline.errors.BY_CODE",
    "aiodatapipeline.operations.OPERATIONS",
}


def models(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Give a model and every one below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from models(below)


MODELS = [*models(WireModel), *models(Component)]


def setup(app: Sphinx) -> None:
    """Connect the handlers."""
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    app.connect("autodoc-process-docstring", add_members)
    app.connect("autodoc-process-docstring", tell_alias)
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("autodoc-process-signature", mend_signature)
    app.connect("doctree-read", unlink_builtins)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("env-check-consistency", miss_public_names)
