"""Definitions at random, as a file would say them."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import strategies as st

Body: TypeAlias = dict[str, object]

_REFUSED = {chr(point) for point in range(0x20)} - set("\t\r\n") | {"\ufffe", "\uffff"}

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=sorted(_REFUSED)), max_size=12
)
names = texts.filter(bool)
scalars = texts | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
references = st.fixed_dictionaries({"ref": names})


def members(of: st.SearchStrategy[object]) -> st.SearchStrategy[Body]:
    """What an element says besides its id: single values, lists of them, few at a time."""
    keys = names.filter(lambda name: name not in {"id", "name"})
    return st.dictionaries(keys, of | st.lists(of, min_size=1, max_size=3), max_size=4)


@st.composite
def elements(draw: st.DrawFn, of: st.SearchStrategy[object], *, named: bool) -> list[Body]:
    """Draw elements of different ids."""
    drawn: list[Body] = []
    for element_id in draw(st.lists(names, max_size=4, unique=True)):
        element: Body = {"id": element_id, **draw(members(of))}
        if named and draw(st.booleans()):
            element["name"] = draw(names)
        drawn.append(element)
    return drawn


bodies: st.SearchStrategy[Body] = st.fixed_dictionaries(
    {"objects": elements(scalars | references, named=True)},
    optional={"parameters": elements(scalars, named=False), "values": members(scalars)},
)
