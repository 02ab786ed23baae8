"""A table before it is Markdown, HTML or text for a terminal, and how its numbers are written.

print(tables.text(tables.Table("Measured", ["run", "AUC"], [["alexnet", tables.number(0.8123)]])))
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

from mammo_tf.evaluation import intervals


@dataclasses.dataclass(frozen=True)
class Table:
    """A table before it is Markdown or HTML: title, column names, rows of text, notes below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


MARKS = ("few", "degenerate", "simulated coverage")  # of `Estimate.method`, which a star stands for
NOT_TRUSTED = (
    "\\*: few patients of a class, nothing varies, or intervals like it cover the truth in less than 93 or more than "
    "97 % of simulated studies (the record says which): not to be trusted to the letter."
)


def number(value: float | str | None, digits: int = 3) -> str:
    """A number as a table shows it; `n/a` for what is not defined.

    >>> number(0.96851), number(float("nan")), number(12)
    ('0.969', 'n/a', '12')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "n/a"
    return str(value) if isinstance(value, int | str) else f"{value:.{digits}f}"


def p_text(p: float) -> str:
    """A p-value as a table shows it.

    >>> p_text(0.04321), p_text(0.00002), p_text(float("nan"))
    ('0.043', '<0.001', 'n/a')
    """
    return "<0.001" if p < 0.001 else number(p)


def with_interval(estimate: intervals.Estimate | None) -> str:
    """`0.812 [0.771, 0.850]`, with a star where the interval cannot be trusted; `n/a` for what is not defined."""
    if estimate is None or math.isnan(estimate.value):
        return "n/a"
    mark = "*" if any(word in estimate.method for word in MARKS) else ""
    return f"{number(estimate.value)}{mark} [{number(estimate.low)}, {number(estimate.high)}]"


def markdown(table: Table) -> list[str]:
    head = [f"#### {table.title}", "", "| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    body = ["| " + " | ".join(map(str, row)) + " |" for row in table.rows]
    return [*head, *body, "", *itertools.chain.from_iterable((note, "") for note in table.notes)]


def text(table: Table) -> str:
    """The table for a terminal, columns aligned."""
    grid = [list(map(str, table.columns)), *[list(map(str, row)) for row in table.rows]]
    widths = [max(len(row[i]) for row in grid) for i in range(len(table.columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in grid]
    return "\n".join([table.title, *lines, *(note.replace("\\*", "*") for note in table.notes)])
