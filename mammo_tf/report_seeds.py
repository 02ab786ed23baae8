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
    "sd / error: the AUC's sd over the standard error that the intervals over patients stand for (their mean width / "
    "3.92). Beyond about 1 a seed changes more than who is tested.",
    "gap: as_published - honest of the same seed; p: by Student's test that the AUC's mean gap is 0, Holm: for those "
    "here.",
)
COLUMNS = ("run", "of", "seeds", "AUC, mean", "AUC, sd", "AUC, least to most", "sd / error", "p", "p, Holm")
COLUMNS += ("accuracy, mean", "accuracy, sd")
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
    runs = dict.fromkeys(r.run for r in group)
    found = [row for run in runs for row in _rows([r for r in group if r.run == run])]
    adjusted = holm.adjusted([row.auc.p if row.of == "gap" else math.nan for row in found])
    rows = [row.cells(p) for row, p in zip(found, adjusted, strict=True)]
    return Table("Between seeds", COLUMNS, rows, NOTES) if rows else None


@dataclasses.dataclass(frozen=True)
class _Row:
    """A run's numbers `of` a protocol, or of the gap."""

    run: str
    of: str
    seeds: int
    auc: Spread
    accuracy: Spread

    def cells(self, adjusted: float) -> list[str]:
        a, b = self.auc, self.accuracy
        ps = [p_text(a.p), p_text(adjusted)] if self.of == "gap" else ["", ""]
        spread = [number(a.deviation), f"{number(a.least)} to {number(a.most)}", number(a.ratio, 1)]
        named = [self.run, self.of, str(self.seeds), with_interval(a.mean)]
        return [*named, *spread, *ps, with_interval(b.mean), number(b.deviation)]


def _rows(of: Sequence[records.Record]) -> Iterable[_Row]:
    for protocol in dict.fromkeys(r.protocol for r in of):
        same = [r for r in of if r.protocol == protocol]
        if len(same) > 1:
            both = [Spread.of([r.metrics[name] for r in same], (0, 1)) for name in ("auc", "accuracy")]
            yield _Row(of[0].run, protocol, len(same), *both)
    matched = gaps.matched(of)
    if len(matched) > 1:
        found = [gaps.gap(one, other) for one, other in matched]
        both = [Spread.of([getattr(g, name) for g in found], (-1, 1)) for name in ("auc", "accuracy")]
        yield _Row(of[0].run, "gap", len(matched), *both)
