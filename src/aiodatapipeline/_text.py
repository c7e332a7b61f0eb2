"""The characters that the service takes in its strings, and how to make any text fit.

The service model states them as a pattern in UTF-16 terms, which is no Python regular
expression: its pairs of surrogates are the astral characters, and those are allowed.
Source: SetTaskStatus and others, API reference 2012-10-29; botocore's service model.
"""

from __future__ import annotations

import re

# What is left out of tab, line feed, return, U+0020-D7FF, E000-FFFD and 10000-10FFFF; the other
# way round it takes 5 ms to compile, whenever this is imported.
_REFUSED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# The same, for the regular expressions of Rust, in which no text has half a pair.
ALLOWED = r"\A[^\x00-\x08\x0B\x0C\x0E-\x1F\u{FFFE}\u{FFFF}]*\z"
_SURROGATE = re.compile("[\ud800-\udfff]")
_GAP = "\n[...]\n"


def first_refused(text: str) -> str | None:
    """Say which character the service would refuse, and where; None when it takes them all."""
    return _named(_REFUSED.search(text))


def first_surrogate(text: str) -> str | None:
    """Say where half a surrogate pair stands, which is no character at all; None if nowhere."""
    return _named(_SURROGATE.search(text))


def _named(found: re.Match[str] | None) -> str | None:
    return None if found is None else f"U+{ord(found[0]):04X} at index {found.start()}"


def clean(text: str) -> str:
    r"""Make every character one that the service takes.

    A control character becomes its escape, so that it can still be read (``ESC`` becomes
    ``\x1b``); half a surrogate pair stands for nothing and becomes U+FFFD.
    """
    return _REFUSED.sub(_stand_in, text)


def _stand_in(found: re.Match[str]) -> str:
    point = ord(found[0])
    if 0xD800 <= point <= 0xDFFF:
        return "\ufffd"
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"


def cut_bytes(text: str, limit: int) -> str:
    """Keep the beginning that fits into ``limit`` bytes of UTF-8, whole characters only."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[:limit].decode(errors="ignore")


def cut_middle(text: str, limit: int, head: int) -> str:
    """Keep ``head`` characters of the beginning and as much of the end as ``limit`` allows."""
    if len(text) <= limit:
        return text
    return text[:head] + _GAP + text[len(text) - (limit - head - len(_GAP)) :]
