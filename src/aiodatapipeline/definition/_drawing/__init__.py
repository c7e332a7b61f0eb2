"""A definition as a drawing."""

from __future__ import annotations

from collections.abc import Mapping

from aiodatapipeline.definition._drawing._dot import draw_dot
from aiodatapipeline.definition._drawing._graph import printable, read_graph
from aiodatapipeline.definition._drawing._mermaid import draw_mermaid
from aiodatapipeline.definition._drawing._svg import draw_svg
from aiodatapipeline.definition._file import Definition

__all__ = ["Drawing"]


class Drawing:
    """The graph of a definition: what happens before what, on what and when.

    Each object is a box, but for Default and abstract parents: what they say is drawn at
    those that inherit it. Lines lead from what comes first to what comes next: from an input
    to its activity, from that to its output, from a precondition to what waits for it. A
    schedule, resource, alarm or the like that many objects share is named in their boxes
    instead. Mistakes in the definition do no harm; what is referred to and missing is drawn
    as such.
    """

    __slots__ = ("_graph", "_title")

    def __init__(
        self,
        definition: Definition,
        *,
        statuses: Mapping[str, str] | None = None,
        title: str = "Pipeline definition",
    ) -> None:
        """Find out what there is to draw.

        Args:
            definition: What to draw.
            statuses: Status words of a run by object id, for instance
                ``{"Load": "FINISHED"}``. With them, colours and a legend tell how far each
                object has come. Ids of other objects are left alone.
            title: What the drawing is called, for those who cannot see it.

        Raises:
            DefinitionError: It has more than 1,000 objects or 10,000 references.
        """
        self._graph = read_graph(definition, statuses or {})
        self._title = printable(title)

    def mermaid(self) -> str:
        """Write a Mermaid flowchart, as GitHub and many wikis show."""
        return draw_mermaid(self._graph, self._title)

    def dot(self) -> str:
        """Write a graph in DOT for Graphviz."""
        return draw_dot(self._graph, self._title)

    def svg(self) -> str:
        """Draw an SVG image, complete in itself: for a file, or to put into a page."""
        return draw_svg(self._graph, self._title)
