"""The paths of the page, and the answers that they get.

No page has a script or a style in itself, so a browser can be told to run none: whatever got
into an id or a command, it stays a text.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import Protocol, TypeVar
from urllib.parse import parse_qs, unquote

from aiodatapipeline._seam import Reply
from aiodatapipeline.definition import Definition, DefinitionError, Drawing
from aiodatapipeline.local._engine._sight import PipelineSight, Sight
from aiodatapipeline.local._page._html import Html
from aiodatapipeline.local._page._render import (
    drawing_of,
    no_drawing,
    render_message,
    render_overview,
    render_pipeline,
)
from aiodatapipeline.local._store import StoreError
from aiodatapipeline.operations import GetPipelineDefinitionResponse

SeenT = TypeVar("SeenT")
Page = Callable[[], Awaitable[Reply]]

_HTML = "text/html; charset=utf-8"
_FILES = {
    "/page.css": "text/css; charset=utf-8",
    "/page.js": "text/javascript; charset=utf-8",
    "/page.svg": "image/svg+xml",
}
_PIPELINES = "/pipelines/"
# Drawings that are kept: one takes up to some seconds, and does not change until a status does.
_DRAWINGS = 64


class Seen(Protocol):
    """A service that can be looked at."""

    @property
    def pollers(self) -> Mapping[str, tuple[str | None, ...]]:
        """Whose polls are open, by worker group."""
        ...

    async def see(self, look: Callable[[Sight], SeenT]) -> SeenT:
        """Look at the state."""
        ...


class Site:
    """What a browser is shown of a service.

    Args:
        service: What is looked at.
    """

    def __init__(self, service: Seen) -> None:
        self._service = service
        self._drawings: OrderedDict[tuple[object, ...], Html] = OrderedDict()

    def find(self, target: str) -> Page | None:
        """Give what a path leads to, which may have a query; None if nothing is there."""
        path, _, query = target.partition("?")
        if path == "/":
            return self._overview
        if path in _FILES:
            return partial(_file, path)
        if path.startswith(_PIPELINES):
            pipeline_id = unquote(path.removeprefix(_PIPELINES))
            return partial(self._pipeline, pipeline_id, parse_qs(query).get("before", [None])[0])
        return None

    async def _overview(self) -> Reply:
        try:
            seen = await self._service.see(Sight.overview)
        except StoreError as error:
            return _failed(error)
        pollers = self._service.pollers
        return _html(await asyncio.to_thread(render_overview, seen, pollers))

    async def _pipeline(self, pipeline_id: str, before: str | None) -> Reply:
        try:
            seen = await self._service.see(lambda sight: sight.pipeline(pipeline_id, before))
        except StoreError as error:
            return _failed(error)
        if seen is None:
            text = "It was deleted, or there never was one with this id."
            return _html(render_message("There is no such pipeline", text), 404)
        # No definition is kept here: it has secrets in it.
        digest = hashlib.sha256(seen.definition.encode()).digest()
        key = (digest, seen.line.name, tuple(seen.statuses.items()))
        drawing = self._drawings.get(key)
        if drawing is None:
            drawing = self._drawings[key] = await asyncio.to_thread(_draw, seen)
            if len(self._drawings) > _DRAWINGS:
                self._drawings.popitem(last=False)
        page = partial(render_pipeline, seen, drawing, latest=before is None)
        # In a thread, as the drawing: the service goes on meanwhile.
        return _html(await asyncio.to_thread(page))


def _draw(seen: PipelineSight) -> Html:
    if not seen.objects:
        return no_drawing("There is no definition to draw yet.")
    try:
        answer = GetPipelineDefinitionResponse.from_wire(json.loads(seen.definition))
        definition = Definition.from_response(answer)
        drawing = Drawing(definition, statuses=seen.statuses, title=seen.line.name)
    except DefinitionError as error:
        return no_drawing(f"It cannot be drawn: {error}")
    return drawing_of(drawing.svg())


def _style_of_drawings() -> str:
    """Give the hash of the style that every drawing has in itself.

    Source: Content Security Policy Level 3, section 6.7.3.3 (hashes of inline elements).
    """
    svg = Drawing(Definition.from_mapping({"objects": []})).svg()
    style = svg.partition("<style>")[2].partition("</style>")[0]
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


_HEADERS: Mapping[str, str] = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'sha256-{_style_of_drawings()}'",
            "connect-src 'self'",
            "img-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def _html(page: Html, status: int = 200) -> Reply:
    return Reply(status, page.encode(errors="replace"), {"content-type": _HTML, **_HEADERS})


def refusing_page(text: str, status: int) -> Reply:
    """Refuse what a browser asks for: AWS's JSON, it would take for a file to save."""
    message = f"{text[:1].upper()}{text[1:]}."
    return _html(render_message(HTTPStatus(status).phrase, message, follows=False), status)


def _failed(error: StoreError) -> Reply:
    return _html(render_message("The state cannot be shown", str(error)), 500)


async def _file(path: str) -> Reply:
    body = files("aiodatapipeline.local._page").joinpath(path[1:]).read_bytes()
    return Reply(200, body, {"content-type": _FILES[path], **_HEADERS})
