"""A table of which differences between the rows of a paper's own tables can be more than chance.

table = report_printed.table(lowresource2020)            # None for a paper file without PRINTED
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

from mammo_tf.evaluation import forensics, printed_differences
from mammo_tf.tables import Table

SHOWN, TOGETHER, NOT = "shown", "shown only if errors go together", "not shown, whatever the errors"
NOTE = (
    "Pairs of rows by their printed accuracies, on the smallest test set that the digits allow (`mammo-tf forensics "
    "--differences` names them); McNemar, p < 0.05 after Holm's correction over the pairs of a table. At best every "
    "image that one row alone gets right is the same row's; independent errors know nothing of each other. Several "
    "images of a patient make every p larger than these."
)


def found(group: Any, rounding: str | None = None) -> tuple[int, list[printed_differences.Difference]]:
    """Images of the smallest set that fits a `forensics.Group`, and the pairs of its rows; 0 and none without."""
    how = rounding or group.rounding
    fits = (n for n in group.sizes if forensics.possible(group.rows, [n], rounding=how))
    if sum("accuracy" in row for row in group.rows) < 2 or not (images := next(fits, 0)):
        return 0, []
    return images, printed_differences.differences(group.rows, images, rounding=how)


def says(difference: printed_differences.Difference) -> str:
    """SHOWN, TOGETHER or NOT."""
    if difference.best >= 0.05:
        return NOT
    return SHOWN if difference.independent < 0.05 else TOGETHER


def table(experiment: Any) -> Table | None:
    """Pairs of each printed table, counted by what it shows of them."""
    rows = list(_rows(getattr(experiment, "PRINTED", ())))
    columns = ["numbers", "images", "pairs of rows", SHOWN, TOGETHER, NOT]
    return Table("The paper's own differences", columns, rows, [NOTE]) if rows else None


def _rows(groups: Iterable[Any]) -> Iterable[list[str]]:
    for group in groups:
        images, some = found(group)
        if some:
            counts = collections.Counter(map(says, some))
            yield [group.title, str(images), str(len(some)), *(str(counts[one]) for one in (SHOWN, TOGETHER, NOT))]
