"""Nothing that comes from outside gets into a page as anything but a text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from aiodatapipeline.local._page._html import Html, join, tag


class Reader(HTMLParser):
    """Notes what a browser finds."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_an_element_has_its_attributes_and_what_is_in_it() -> None:
    made = tag("p", "a ", tag("b", "c"), None, ["d", tag("br")], class_="x", aria_label="y")

    assert made == '<p class="x" aria-label="y">a <b>c</b>d<br></p>'


def test_an_attribute_may_be_there_without_a_value_or_not_at_all() -> None:
    assert tag("details", open=True, hidden=False, id=None) == "<details open></details>"


def test_pieces_are_put_one_behind_the_other() -> None:
    assert join("<", Html("<br>"), (each for each in "&>")) == "&lt;<br>&amp;&gt;"


@given(st.text(), st.text())
def test_a_text_is_a_text_wherever_it_stands(inside: str, attribute: str) -> None:
    reader = Reader()
    reader.feed(tag("p", inside, title=attribute))
    reader.close()

    assert reader.tags == ["p"]
    assert reader.attributes == [("title", attribute)]
    assert "".join(reader.texts) == inside
