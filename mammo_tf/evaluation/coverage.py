"""How often the 95 % intervals of this project cover the truth, by simulation; marks where that is not 93 to 97 %.

`coverage.csv` is written by `benchmarks/interval_coverage.py`, which simulates at least 2,000 studies for each line:
by kind of number, its true value (of a log-loss the AUC), patients (of the rarer class; of those counted), views of a
patient and correlation rho of two views. rho of a real study is not known, so a cell's mark is about the least and
the largest coverage over all rho. Of precision and F1 half of the patients were positive.

    mark("auc", 0.97, patients=12, views=4.0, bounds=(0.85, 0.99))    # "" or "; simulated coverage 91.0 to 96.2 %"
"""

from __future__ import annotations

import csv
import functools
import math
import pathlib
from collections.abc import Sequence

FILE = pathlib.Path(__file__).with_name("coverage.csv")
LEAST, MOST = 0.93, 0.97
HIGHEST = 0.999  # values above are taken for it
COLUMNS = ("kind", "method", "value", "patients", "views", "rho", "studies", "coverage", "width")
DEFAULT = {"auc": "score", "folds": "score", "difference": "score", "gap": "score", "log_loss": "student, log"}
DEFAULT |= dict.fromkeys(("proportion", "proportion_folds", "balanced", "precision", "f1"), "wilson")
DEFAULT |= {"accuracy_difference": "wilson"}
Value = tuple[float, ...]


def mark(kind: str, value: float | Value, patients: int, views: float, bounds: Value | None = None) -> str:
    """What an estimate's method says of its coverage; empty where it is 93 to 97 % wherever the truth may lie.

    The truth is not known, and studies that missed it measured another value; so all cells count whose value lies
    within the bounds, beside the nearest to what was measured.

    Args:
        kind: "auc", "folds" (a mean of AUCs), "difference" (of two AUCs on the same patients), "gap" (on others),
            "proportion", "proportion_folds" (a mean of proportions), "balanced" (balanced accuracy), "precision",
            "f1", "accuracy_difference" (of two accuracies on the same patients), "log_loss".
        value: measured, in [0, 1], taken as 1 - value below 1/2; of a difference or gap both values, of a log-loss
            the AUC.
        patients: of the rarer class, or of those counted.
        views: examples that a patient counts for, 1 at least.
        bounds: of the interval; none for a difference.
    """
    least, most = nearest(kind, value, patients, views, bounds)
    if least >= LEAST and most <= MOST:
        return ""
    ends = [f"{100 * end:.1f}" for end in dict.fromkeys((least, most))]
    return f"; simulated coverage {' to '.join(ends)} %"


def nearest(
    kind: str, value: float | Value, patients: int, views: float, bounds: Value | None = None
) -> tuple[float, float]:
    """Least and largest coverage over rho of the simulated cells nearest to this one."""
    cells = _cells()[kind]
    wanted = sorted(map(_folded, value if isinstance(value, tuple) else (value,)), reverse=True)
    # more than simulated is nearest to the most simulated; distances in the logit of the values, and in ratios
    of = _closest({p for _, p, _ in cells}, patients), _closest({w for _, _, w in cells}, max(views, 1.0))
    values = sorted({v for v, _, _ in cells})
    chosen = {min(values, key=lambda some: _apart(some, wanted))}
    if bounds:
        ends = sorted(map(_folded, bounds))
        low = 0.5 if bounds[0] <= 0.5 <= bounds[1] else ends[0]
        chosen |= {some for some in values if low <= some[0] <= ends[1]}
    found = [cells[(some, *of)] for some in chosen]
    return min(least for least, _ in found), max(most for _, most in found)


def _folded(value: float) -> float:
    return max(value, 1 - value)


def _apart(some: Sequence[float], wanted: Sequence[float]) -> float:
    return sum(abs(_logit(a) - _logit(min(b, HIGHEST))) for a, b in zip(some, wanted, strict=True))


def _closest(some: set[float], wanted: float) -> float:
    inside = min(max(wanted, min(some)), max(some))
    return min(sorted(some), key=lambda one: abs(math.log(one / inside)))


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


@functools.cache
def _cells() -> dict[str, dict[tuple[Value, float, float], tuple[float, float]]]:
    found: dict[str, dict[tuple[Value, float, float], tuple[float, float]]] = {kind: {} for kind in DEFAULT}
    for row in rows():
        if DEFAULT.get(row["kind"]) == row["method"]:
            values = tuple(sorted(map(float, row["value"].split(" - ")), reverse=True))
            key = values, float(row["patients"]), float(row["views"])
            least, most = found[row["kind"]].get(key, (1.0, 0.0))
            covers = float(row["coverage"])
            found[row["kind"]][key] = min(least, covers), max(most, covers)
    return found


def rows() -> list[dict[str, str]]:
    """The lines of `coverage.csv`, by `COLUMNS`."""
    with FILE.open(newline="") as file:
        return list(csv.DictReader(file))
