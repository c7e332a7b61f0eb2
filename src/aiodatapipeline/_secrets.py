"""Which values nobody but their owner may see, and how they are covered in what people read."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"
# Of an id or key whose value the service stores encrypted.
# Source: dp-pipeline-characters and dp-custom-templates of the developer guide.
_MARK = "*"
# What a secret parameter says of itself without telling its value.
HARMLESS = frozenset({"description", "isArray", "optional", "type"})


def is_secret(key: object) -> bool:
    """Say whether the value of a field, parameter or attribute is secret, by its key or id."""
    return isinstance(key, str) and key.startswith(_MARK)


class Secrets:
    """Covers values wherever they stand in a text.

    Args:
        values: The secrets. None and blank ones are none.
        shortest: Characters. A shorter value is let be where what is covered is prose: it would
            be found in words that have nothing to do with it.
    """

    __slots__ = ("_pattern", "size")

    def __init__(self, values: Iterable[str | None], *, shortest: int = 4) -> None:
        found = {each for each in values if each and each.strip() and len(each) >= shortest}
        # The longest first: one may be the beginning of another.
        words = "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
        self._pattern = re.compile(words) if found else None
        self.size = max((len(each.encode(errors="replace")) for each in found), default=0)
        """Bytes of the longest in UTF-8; 0 if there are none."""

    def cover(self, text: str) -> str:
        """Put a mask in the place of each."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def cut(self, text: str, start: int) -> str:
        """Give a text from an index on, covered, and nothing of a secret that begins before it.

        Args:
            text: Of what is before the start, it has ``size`` bytes or all.
            start: The index.
        """
        for found in self._pattern.finditer(text) if self._pattern else ():
            if found.start() < start < found.end():
                start = found.end()
        return self.cover(text[start:])
