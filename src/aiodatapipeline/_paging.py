"""Follow a marker until there are no more results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from aiodatapipeline.errors import ResponseError


class Page(Protocol):
    """What the responses with pages have in common."""

    @property
    def marker(self) -> str | None: ...
    @property
    def has_more_results(self) -> bool | None: ...


PageT = TypeVar("PageT", bound=Page)
ItemT_co = TypeVar("ItemT_co", covariant=True)


class Pager(Generic[PageT, ItemT_co]):
    """Results that come in pages, asked for only when they are wanted.

    ``await`` it for one page, the response model. ``async for`` gives the items of all pages,
    and ``pages()`` the pages. Each of them asks anew, from the same beginning.
    """

    def __init__(
        self,
        fetch: Callable[[int, str | None, int | None], Awaitable[PageT]],
        items: Callable[[PageT], Sequence[ItemT_co]],
        *,
        parts: int = 1,
        marker: str | None = None,
        max_items: int | None = None,
    ) -> None:
        """Make a pager; the client's methods do.

        Args:
            fetch: Asks for a page: of which part, from which marker, of how many items at most.
            items: What a page holds.
            parts: How many lists follow each other, each with pages of its own.
            marker: Where to begin, from an earlier ``resume_marker``.
            max_items: When to end; None for never.

        Raises:
            ValueError: ``max_items`` is below 1, or there is a marker for more than one part.
        """
        if max_items is not None and max_items < 1:
            raise ValueError(f"max_items is 1 or more, not {max_items}")
        if marker and parts != 1:
            raise ValueError("a marker belongs to one call of at most 25 ids; these need more")
        self._fetch, self._items = fetch, items
        self._parts, self._marker, self._max_items = parts, marker, max_items
        self._resume_marker = marker

    @property
    def resume_marker(self) -> str | None:
        """Where to go on later: pass it as ``marker``. None at the end.

        It moves when a page has been gone through. With ``max_items`` an iteration may end
        within a page, whose first items then come again.
        """
        return self._resume_marker

    def __await__(self) -> Generator[Any, None, PageT]:
        return self._one_page().__await__()

    async def _one_page(self) -> PageT:
        if self._parts > 1:
            raise ValueError(
                "one call takes at most 25 ids; iterate with 'async for' to send several"
            )
        return await self._fetch(0, self._marker, self._max_items)

    async def pages(self) -> AsyncIterator[PageT]:
        """Give page after page.

        Raises:
            ResponseError: A marker came twice: the pages lead in a circle.
        """
        left = self._max_items
        for part in range(self._parts):
            marker = self._marker
            seen = {marker}
            while left is None or left > 0:
                page = await self._fetch(part, marker, left)
                yield page
                if left is not None:
                    left -= len(self._items(page))
                marker = _next_marker(page)
                self._resume_marker = marker if self._parts == 1 else None
                if marker is None:
                    break
                if marker in seen:
                    raise ResponseError("a marker came twice: the pages lead in a circle")
                seen.add(marker)

    async def __aiter__(self) -> AsyncIterator[ItemT_co]:
        left = self._max_items
        async for page in self.pages():
            for item in self._items(page)[:left]:
                yield item
            if left is not None:
                left -= len(self._items(page))


def _next_marker(page: Page) -> str | None:
    """An absent, null or empty marker is the end, and so is a plain no to more results."""
    return None if page.has_more_results is False else page.marker or None
