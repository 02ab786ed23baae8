"""What other seeds gave: mean and spread of a row over seeds, and of its gap between the protocols.

A seed deals split, first weights, order and augmentation anew; the dataset stays. An interval over patients holds one
net fixed, so it does not hold what another training would have given. Here the seeds are the sample: the mean of k
seeds with Student's interval is about all seeds on this dataset, and knows nothing of other patients.

    table = report_seeds.table(group)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from mammo_tf import gaps, records
from mammo_tf.evaluation import auc_bounds, holm, intervals
from mammo_tf.tables import Table, number, p_text, with_interval

NOTES = (
    "A seed deals split, first weights, order and augmentation anew. Means with Student's 95 % interval: of all "
    "seeds on this dataset, not of other patients. sd: between seeds.",
    "sd / error: sd over the standard error that the intervals over patients stand for (their mean width / 3.92). "
    "Beyond about 1 a seed changes more than who is tested.",
    "gap: as_published - honest of the same seed; p: by Student's test that its mean is 0, Holm: for the gaps here.",
)
COLUMNS = (
    "run",
    "of",
    "seeds",
    "AUC, mean",
    "sd",
    "least to most",
    "sd / error",
    "accuracy, mean",
    "sd",
    "p",
    "p, Holm",
)

EQUAL = 1e-12  # numbers no further apart are one number


@dataclasses.dataclass(frozen=True)
class Spread:
    """One number over k seeds.

    Attributes:
        mean: with Student's 95 % interval; no bounds where a seed's number is not defined.
        deviation: standard deviation between seeds, k - 1 in the denominator.
        least, most: of the seeds.
        ratio: deviation over the standard error by patients; NaN where that is 0 or not known.
        p: two-sided, that the mean is 0; NaN where all seeds are equal.
    """

    mean: intervals.Estimate
    deviation: float
    least: float
    most: float
    ratio: float
    p: float

    @classmethod
    def of(cls, found: Sequence[intervals.Estimate], within: tuple[float, float]) -> Spread:
        """Of the same number by two seeds or more.

        Args:
            found: its estimates, one a seed.
            within: what the number can be; the bounds are cut there.
        """
        values = np.array([e.value for e in found])
        mean, deviation, count = intervals.between_seeds(values)
        low = high = p = math.nan
        if np.ptp(values) > EQUAL:
            test = stats.ttest_1samp(values, 0.0)
            low, high = np.clip(test.confidence_interval(0.95), *within)
            p = float(test.pvalue)
        elif not math.isnan(mean):
            low, high, deviation = mean, mean, 0.0
        error = float(np.mean([(e.high - e.low) / (2 * auc_bounds.Z95) for e in found]))
        estimate = intervals.Estimate(mean, float(low), float(high), found[0].n, f"Student, {count} seeds")
        ratio = deviation / error if error > 0 else math.nan
        return cls(estimate, deviation, float(values.min()), float(values.max()), ratio, p)


def table(group: Sequence[records.Record]) -> Table | None:
    """One row a protocol of each run with several seeds, and one of their gap; None where no run has several."""
    rows = [row for run in dict.fromkeys(r.run for r in group) for row in _rows([r for r in group if r.run == run])]
    adjusted = holm.adjusted([row[-1] for row in rows])
    told = [
        ("", "") if row[1] != "gap" else (p_text(row[-1]), p_text(p)) for row, p in zip(rows, adjusted, strict=True)
    ]
    shown = [[*row[:-1], *both] for row, both in zip(rows, told, strict=True)]
    return Table("Between seeds", COLUMNS, shown, NOTES) if shown else None


def _rows(of: Sequence[records.Record]) -> Iterable[list]:
    """Rows of one run, p last (NaN but for the gap)."""
    for protocol in dict.fromkeys(r.protocol for r in of):
        same = [r for r in of if r.protocol == protocol]
        if len(same) > 1:
            both = [Spread.of([r.metrics[name] for r in same], (0, 1)) for name in ("auc", "accuracy")]
            yield [*_cells(of[0].run, protocol, len(same), *both), math.nan]
    matched = [gaps.gap(one, other) for one, other in gaps.matched(of)]
    if len(matched) > 1:
        both = [Spread.of([getattr(g, name) for g in matched], (-1, 1)) for name in ("auc", "accuracy")]
        yield [*_cells(of[0].run, "gap", len(matched), *both), both[0].p]


def _cells(run: str, what: str, seeds: int, auc: Spread, accuracy: Spread) -> list[str]:
    ends = f"{number(auc.least)} to {number(auc.most)}"
    shown = [with_interval(auc.mean), number(auc.deviation), ends, number(auc.ratio, 1)]
    return [run, what, str(seeds), *shown, with_interval(accuracy.mean), number(accuracy.deviation)]
