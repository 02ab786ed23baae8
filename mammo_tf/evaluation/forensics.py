"""Which test sets make a paper's printed numbers arithmetically possible?

Accuracy, recall and the rest are ratios of whole numbers, so digits printed of a test set of n images, p of them
positive, are digits of few fractions. Rows of one table share their test set; what fits all of them is often one set
and its multiples. Nothing here says that a set was used: it says which others were not. Brown and Heathers do so for
means of whole numbers (2017, doi:10.1177/1948550616673876).

    rows = [{"accuracy": "0.8676", "balanced_accuracy": "0.8362"}, {"accuracy": "0.7426", "balanced_accuracy": "0.5"}]
    possible(rows, range(2, 411))                                   # [(136, 35), (136, 101), ...]
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mammo_tf import cases
from mammo_tf.evaluation import metrics

ALIASES = {"sensitivity": "recall"}
METRICS = ("accuracy", "precision", "recall", "specificity", "f1", "balanced_accuracy", "auc")
SLACK = 1e-12  # of a double, where a fraction lies on the edge of what rounds to the digits
ROUNDING = ("nearest", "down", "either")


@dataclasses.dataclass(frozen=True)
class Printed:
    """A number as printed, and what may have been rounded to it.

    Attributes:
        low, high: ends of the interval of values that give these digits, both included.
    """

    low: float
    high: float

    @classmethod
    def read(cls, text: str, rounding: str = "nearest") -> Printed:
        """Of "0.8676", ".97" or "86.7%".

        Args:
            text: the digits, all of them: "0.5" allows 0.45 to 0.55, and "0.500" 0.4995 to 0.5005.
            rounding: "nearest" (halves either way), "down" (digits cut off), "either".

        Raises:
            MammoError: not a number between 0 and 1, or an unknown rounding.

        >>> Printed.read("86.7%")
        Printed(low=0.8665, high=0.8675)
        """
        if rounding not in ROUNDING:
            raise cases.MammoError(f"forensics: rounding {rounding!r}; known are {', '.join(ROUNDING)}")
        match = re.fullmatch(r"\s*(\d*)(?:\.(\d*))?\s*(%?)\s*", str(text))
        if not match or not (match[1] or match[2]):
            raise cases.MammoError(f"forensics: {text!r} is no number as a table prints it, such as 0.8676 or 86.7%")
        digits = len(match[2] or "") + (2 if match[3] else 0)
        whole = int((match[1] or "0") + (match[2] or ""))
        unit = 10**digits
        if whole > unit:
            raise cases.MammoError(f"forensics: {text!r} is above 1")
        below = 0.0 if rounding == "down" else 0.5
        low, high = (whole - below) / unit, (whole + 0.5) / unit
        if rounding != "nearest":
            high = (whole + 1) / unit - 2 * SLACK  # which itself is cut off to the next digits
        return cls(round(low, digits + 1), high if rounding != "nearest" else round(high, digits + 1))

    def fits(self, values: np.ndarray) -> np.ndarray:
        """Which values (any shape) give the digits; NaN gives none."""
        return (values >= self.low - SLACK) & (values <= self.high + SLACK)

    def whole(self, total: int) -> range:
        """The whole numbers whose share of `total` gives the digits."""
        low, high = np.ceil((self.low - SLACK) * total), np.floor((self.high + SLACK) * total)
        return range(max(0, int(low)), min(total, int(high)) + 1)


Row = Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Group:
    """Rows of one table that share a test set, as a paper file names them in `PRINTED`.

    Attributes:
        title: which rows.
        rows: metric -> digits.
        most: the largest number of images to try.
        images: their number, where the paper says it; then none else is tried.
        rounding: as for `Printed.read`.
    """

    title: str
    rows: tuple[Row, ...]
    most: int = 1000
    images: int | None = None
    rounding: str = "nearest"

    @property
    def sizes(self) -> range:
        """Numbers of images to try."""
        return range(2, self.most + 1) if self.images is None else range(self.images, self.images + 1)


def possible(
    rows: Sequence[Row], sizes: Iterable[int], *, rounding: str = "nearest", positives: Iterable[int] | None = None
) -> list[tuple[int, int]]:
    """Every test set, (images, positives), of which all rows can be.

    Args:
        rows: metric -> digits as printed; "accuracy", "precision", "recall" ("sensitivity"), "specificity", "f1",
            "balanced_accuracy", "auc" (of the scores behind the answers). Each row has a confusion matrix of its own.
        sizes: numbers of images to try.
        rounding: as for `Printed.read`.
        positives: numbers of positives to try; None for 1 to n - 1.

    Raises:
        MammoError: no rows, a metric of another name, or digits that are none.
    """
    read = [_read(row, rounding) for row in rows]
    if not read or not all(read):
        raise cases.MammoError("forensics: there are no rows, or one without numbers")
    wanted = None if positives is None else set(positives)
    found = []
    for n in sizes:
        if not all(row["accuracy"].whole(n) for row in read if "accuracy" in row):
            continue  # no number of right answers gives some row's digits, whatever the positives
        some = [p for p in range(1, n) if wanted is None or p in wanted]
        for row in read:
            some = [p for p in some if _fits(row, n, p)]
        found += [(n, p) for p in some]
    return found


def matrices(row: Row, images: int, positives: int, *, rounding: str = "nearest") -> list[tuple[int, int]]:
    """Every (true positives, true negatives) of which the row's numbers can be; raises as `possible`."""
    tp, tn = _candidates(_read(row, rounding), images, positives)
    return [(int(a), int(b)) for a, b in zip(tp, tn, strict=True)]


def _read(row: Row, rounding: str) -> dict[str, Printed]:
    found = {}
    for name, text in row.items():
        name = ALIASES.get(name, name)
        if name not in METRICS:
            raise cases.MammoError(f"forensics: unknown metric {name!r}; known are {', '.join(METRICS)}")
        found[name] = Printed.read(text, rounding)
    return found


def _fits(row: Mapping[str, Printed], n: int, p: int) -> bool:
    return len(_candidates(row, n, p)[0]) > 0


def _candidates(row: Mapping[str, Printed], n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """True positives and true negatives of the matrices that fit, (M,) each."""
    hits = np.array(row["recall"].whole(p) if "recall" in row else range(p + 1))
    spared = np.array(row["specificity"].whole(n - p) if "specificity" in row else range(n - p + 1))
    if "accuracy" in row:
        right = np.array(row["accuracy"].whole(n))
        tp, total = (grid.ravel() for grid in np.meshgrid(hits, right, indexing="ij"))
        tn = total - tp
        known = (tn >= 0) & (tn <= n - p) & np.isin(tn, spared)
        tp, tn = tp[known], tn[known]
    else:
        tp, tn = (grid.ravel() for grid in np.meshgrid(hits, spared, indexing="ij"))
    counts = metrics.Counts(tn=tn, fp=n - p - tn, fn=p - tp, tp=tp)
    fits = np.ones(len(tp), bool)
    for name in row.keys() - {"accuracy", "recall", "specificity", "auc"}:
        fits &= row[name].fits(metrics.OF_COUNTS[name](counts))
    if "auc" in row:
        fits &= _auc_fits(row["auc"], counts)
    return tp[fits], tn[fits]


def _auc_fits(printed: Printed, c: metrics.Counts) -> np.ndarray:
    """Whether a ROC curve through each matrix's point can have the area, (M,) bool.

    Of p (n - p) pairs, tp tn are won at the point and fn fp lost, whatever the scores; each other may be won, lost,
    or tied, which counts half.
    """
    halves = 2 * (c.tp + c.fn) * (c.tn + c.fp)
    least = np.maximum(np.ceil((printed.low - SLACK) * halves), 2 * c.tp * c.tn)
    most = np.minimum(np.floor((printed.high + SLACK) * halves), halves - 2 * c.fn * c.fp)
    return least <= most


def smallest(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of the fewest images."""
    found = sorted(found)
    return list(itertools.takewhile(lambda one: one[0] == found[0][0], found))
