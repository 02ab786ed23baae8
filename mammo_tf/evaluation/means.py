"""Bounds of means when patients have several examples: Student's interval over patients.

With e_g, the summed errors of patient g as in `wilson`, s = sqrt(sum_g e_g^2) and t of Student's distribution with
one degree of freedom less than there are patients,

    M -+ t s          or, of what is positive and skewed such as a log-loss, M exp(-+ t s / M)

`benchmarks/interval_coverage.py` compares both with the percentile bootstrap, which covers less.

    low, high = means.student_log(wilson.ratios([(losses, np.ones(len(losses)), index)], patients))
"""

from __future__ import annotations

import math

from scipy import stats

from mammo_tf.evaluation import wilson

LEVEL = 0.95


def student(found: wilson.Ratio) -> tuple[float, float]:
    """The bounds (low, high) of a mean; NaN for one patient.

    Args:
        found: of `wilson.ratios`, whose x may be any numbers here.
    """
    half = _half(found)
    return found.value - half, found.value + half


def student_log(found: wilson.Ratio) -> tuple[float, float]:
    """The bounds (low, high) of a mean of positive numbers, which are positive; NaN for one patient."""
    if not found.value > 0:
        return math.nan, math.nan
    half = _half(found) / found.value
    return found.value * math.exp(-half), found.value * math.exp(half)


def _half(found: wilson.Ratio) -> float:
    if found.patients < 2:
        return math.nan
    t = stats.t.ppf((1 + LEVEL) / 2, found.patients - 1)
    return float(t * math.sqrt(found.errors @ found.errors))
