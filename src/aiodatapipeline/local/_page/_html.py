"""HTML in which every text is escaped, unless it was made here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

_VOID = frozenset({"br", "link", "meta"})


class Html(str):
    """A piece of HTML. Any other string is a text."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"
"""A text, a piece of HTML, several of them, or nothing."""


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """Make an element.

    Args:
        name: What it is called.
        children: What is in it.
        attributes: An underscore at the end is dropped and others become hyphens: ``class_``,
            ``aria_label``. False and None leave one out; True gives it no value.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    inside = join(*children)
    return Html(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{inside}</{name}>")


def join(*children: Child) -> Html:
    """Put pieces one behind the other."""
    return Html("".join(map(_written, children)))


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return escape(child)
    return join(*child)
