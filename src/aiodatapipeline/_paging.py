"""Follow a marker until there are no more results."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing
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
        if marker and parts > 1:
            raise ValueError("a marker belongs to one call of at most 25 ids; these need more")
        self._fetch, self._items = fetch, items
        self._parts, self._marker, self._max_items = parts, marker or None, max_items
        self._resume_marker: str | None = marker or ""

    @property
    def resume_marker(self) -> str | None:
        """Where to go on later: pass it as ``marker``. None at the end, when nothing is left.

        It moves when a page has been gone through: who stops within a page, by ``max_items``
        or ``break``, gets the first items of that page again. Empty stands for the beginning,
        where it stays until the end if there is more than one call's worth of ids.
        """
        return self._resume_marker

    def __await__(self) -> Generator[Any, None, PageT]:
        return self._one_page().__await__()

    async def _one_page(self) -> PageT:
        if self._parts > 1:
            raise ValueError(
                "one call takes at most 25 ids; iterate with 'async for' to send several"
            )
        page = await self._fetch(0, self._marker, self._max_items)
        self._resume_marker = _next_marker(page)
        return page

    async def pages(self) -> AsyncGenerator[PageT, None]:
        """Give page after page, each whole: the last one may go beyond ``max_items``.

        Raises:
            ResponseError: A marker came twice: the pages lead in a circle.
        """
        left = self._max_items
        self._resume_marker = self._marker or ""
        for part in range(self._parts):
            marker, asked = self._marker, set[str | None]()
            while left is None or left > 0:
                if marker in asked:
                    raise ResponseError("a marker came twice: the pages lead in a circle")
                asked.add(marker)
                page = await self._fetch(part, marker, left)
                yield page
                if left is not None:
                    left -= len(self._items(page))
                marker = _next_marker(page)
                if marker is None:
                    break
                if self._parts == 1:
                    self._resume_marker = marker
            else:  # as many as were wanted, and there are more
                return
        self._resume_marker = None

    async def __aiter__(self) -> AsyncIterator[ItemT_co]:
        left = self._max_items
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                items = self._items(page)
                for item in items[:left]:
                    yield item
                if left is not None:
                    left -= len(items)
                    if left < 0:  # the rest of this page is still to come
                        return


def _next_marker(page: Page) -> str | None:
    """An absent, null or empty marker is the end, and so is a plain no to more results."""
    return None if page.has_more_results is False else page.marker or None
