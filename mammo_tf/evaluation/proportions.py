"""Proportions and paired proportions: Wilson's interval and McNemar's test, plain and for several views of a patient.

Wilson 1927, doi:10.1080/01621459.1927.10502953; the clustered one has the effective number of examples of Rao and
Scott 1992, doi:10.2307/2532311. McNemar's exact and mid-p test: Fagerland et al. 2013, doi:10.1186/1471-2288-13-91;
for clusters Obuchowski 1998, doi:10.1002/(SICI)1097-0258(19980715)17:13<1495::AID-SIM863>3.0.CO;2-I.
The variance of an AUC from the AUC alone: Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.

    proportions.wilson(45, 50)                                      # (0.786, 0.957)
    proportions.clustered_wilson(right, patients).low
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, intervals


def wilson(successes: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval without continuity correction; NaN for n = 0.

    Args:
        successes, n: need not be whole, so that an effective n will do.

    Raises:
        cases.MammoError: successes outside [0, n].
    """
    if not 0 <= successes <= n:
        raise cases.MammoError(f"wilson: {successes} successes of {n}; expected 0 <= successes <= n")
    if n == 0:
        return math.nan, math.nan
    z, p = float(stats.norm.ppf((1 + level) / 2)), successes / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


def design_effect(values: ArrayLike, groups: Sequence[str] | np.ndarray) -> float:
    """How many times the variance of a proportion is that of independent examples (Rao and Scott), 1 at least.

    Args:
        values: 0/1 (N,).
        groups: the patient of each example (N,).

    Returns:
        The number of examples a patient, on average, where all values agree, so that nothing tells it; NaN with one
        patient alone.
    """
    values, index, patients = _checked(values, groups)
    n, p = len(values), values.mean()
    if patients < 2:
        return math.nan
    if p in (0, 1):
        return n / patients
    residuals = bootstrap.sums((values - p)[:, None], index, patients)[:, 0]
    variance = patients / (patients - 1) * (residuals**2).sum() / n**2
    return max(1.0, float(variance / (p * (1 - p) / n)))


def clustered_wilson(values: ArrayLike, groups: Sequence[str] | np.ndarray) -> intervals.Estimate:
    """A proportion of values 0/1 (N,) with Wilson's 95 % interval at n / `design_effect` examples."""
    checked, _, patients = _checked(values, groups)
    p, effect = float(checked.mean()), design_effect(values, groups)
    if math.isnan(effect):
        return intervals.Estimate(p, math.nan, math.nan, len(checked), "one patient alone; degenerate", patients)
    low, high = wilson(p * len(checked) / effect, len(checked) / effect)
    return intervals.Estimate(p, low, high, len(checked), f"Wilson, design effect {effect:.2f}", patients)


def mcnemar(only_a: int, only_b: int, *, mid: bool = False) -> float:
    """Two-sided p that two classifiers are right equally often, from the examples that one alone gets right.

    Args:
        only_a, only_b: their numbers; without any p is 1.
        mid: half the probability of what was seen is left out; the exact test is conservative, this one nearly never
            passes its level.

    Raises:
        cases.MammoError: a number below 0.
    """
    if min(only_a, only_b) < 0:
        raise cases.MammoError(f"mcnemar: {only_a} and {only_b} discordant examples; expected 0 or more")
    n = only_a + only_b
    if not n:
        return 1.0
    exact = float(stats.binomtest(only_a, n).pvalue)
    if not mid:
        return exact
    seen = float(stats.binom.pmf(only_a, n, 0.5))
    return exact - seen if only_a != only_b else 1 - seen / 2


def clustered_mcnemar(
    right_a: ArrayLike, right_b: ArrayLike, groups: Sequence[str] | np.ndarray
) -> tuple[intervals.Estimate, float]:
    """The difference a - b of two proportions of the same examples, and its p (Obuchowski's test, chi-squared, 1).

    With d the differences summed over each of K patients, chi^2 = (K - 1) / K (sum d)^2 / sum d^2; with one example a
    patient this is McNemar's without correction, times (K - 1) / K.

    Args:
        right_a, right_b: 0/1 (N,), row by row the same example.
        groups: the patient of each example (N,).

    Returns:
        The difference, with a normal interval whose variance does not assume equality, and p: 1 where no patient's
        sum differs from 0, NaN with one patient.

    Raises:
        cases.MammoError: lengths that differ, values other than 0 and 1.
    """
    a, index, patients = _checked(right_a, groups)
    b, _, _ = _checked(right_b, groups)
    value, n = float((a - b).mean()), len(a)
    if patients < 2:
        return intervals.Estimate(value, math.nan, math.nan, n, "one patient alone; degenerate", patients), math.nan
    d, sizes = bootstrap.sums(np.column_stack([a - b, np.ones(n)]), index, patients).T
    error = math.sqrt(patients / (patients - 1) * ((d - value * sizes) ** 2).sum()) / n
    method = "paired, clustered, normal" + ("" if error else "; degenerate")
    low, high = max(-1.0, value - intervals.Z95 * error), min(1.0, value + intervals.Z95 * error)
    found = intervals.Estimate(value, low, high, n, method, patients)
    if not d.any():
        return found, 1.0
    return found, float(stats.chi2.sf((patients - 1) / patients * d.sum() ** 2 / (d**2).sum(), 1))


def hanley_mcneil(auc: float, positives: int, negatives: int) -> float:
    """Variance of an AUC of independent examples, for printed AUCs whose scores are not at hand.

    It is exact where the scores of both classes are exponential, and near for others; it knows nothing of patients,
    so for several views of a patient it is too small.

    Raises:
        cases.MammoError: an AUC outside [0, 1], or a class without examples.
    """
    if not 0 <= auc <= 1 or min(positives, negatives) < 1:
        raise cases.MammoError(f"hanley_mcneil: AUC {auc} of {positives} and {negatives}; expected [0, 1], 1 or more")
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)  # P(two positives beat one negative), P(one beats two)
    spread = (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    return (auc * (1 - auc) + spread) / (positives * negatives)


def _checked(values: ArrayLike, groups: Sequence[str] | np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) != len(groups) or not len(values):
        raise cases.MammoError(f"proportions: {values.shape} values, {len(groups)} patients; expected (N,) of both")
    if wrong := int((~np.isin(values, (0, 1))).sum()):
        raise cases.MammoError(f"proportions: {wrong} of {len(values)} values are neither 0 nor 1")
    return (values, *bootstrap.patient_index(np.asarray(groups)))
