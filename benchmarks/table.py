"""Figures in rows, and whether a target was reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median, quantiles


def show(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    lines = [list(map(str, row)) for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}")
    for line in lines:
        cells = [
            text.ljust(width) if index == 0 else text.rjust(width)
            for index, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  " + "  ".join(cells))


def spread(figures: Sequence[float]) -> str:
    """Median and quartiles."""
    low, _, high = quantiles(figures, n=4)
    return f"{median(figures):.2f} ({low:.2f}-{high:.2f})"


def target(name: str, reached: bool, figure: str) -> None:
    print(f"  {'PASS' if reached else 'FAIL'}  {name}: {figure}")
