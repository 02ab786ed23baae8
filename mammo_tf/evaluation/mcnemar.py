"""McNemar's test of two classifiers on the same examples, plain and for several views of a patient.

Exact and mid-p: Fagerland et al. 2013, doi:10.1186/1471-2288-13-91; for clusters Obuchowski 1998,
doi:10.1002/(SICI)1097-0258(19980715)17:13<1495::AID-SIM863>3.0.CO;2-I.

    mcnemar.plain(only_a=12, only_b=4)                    # 0.077
    difference, p = mcnemar.clustered(right_a, right_b, patients)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, intervals, wilson


def plain(only_a: int, only_b: int, *, mid: bool = False) -> float:
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


def clustered(
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
    low, high = max(-1.0, value - wilson.Z95 * error), min(1.0, value + wilson.Z95 * error)
    found = intervals.Estimate(value, low, high, n, method, patients)
    if not d.any():
        return found, 1.0
    return found, float(stats.chi2.sf((patients - 1) / patients * d.sum() ** 2 / (d**2).sum(), 1))


def _checked(values: ArrayLike, groups: Sequence[str] | np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) != len(groups) or not len(values):
        raise cases.MammoError(f"mcnemar: {values.shape} values, {len(groups)} patients; expected (N,) of both")
    if wrong := int((~np.isin(values, (0, 1))).sum()):
        raise cases.MammoError(f"mcnemar: {wrong} of {len(values)} values are neither 0 nor 1")
    return (values, *bootstrap.patient_index(np.asarray(groups)))
