"""The difference of two AUCs, or of two proportions, with its 95 % interval and the marks of its coverage.

Both come from the bounds of the two and their correlation (`mover`), which knows the patients that both stand on. The
ALGORITHM_VERSION of `intervals` counts for this module.

    found = differences.aucs(one, other, n=len(labels), patients=120)
"""

from __future__ import annotations

import math

from mammo_tf.evaluation import auc_bounds, coverage, delong, intervals, marks, wilson

AUC_METHOD = "score intervals (MOVER), clustered DeLong"
PROPORTION_METHOD = "Wilson intervals (MOVER)"


def aucs(
    one: delong.Influence, other: delong.Influence, n: int, patients: int, pairing: str = "paired"
) -> intervals.Estimate:
    """One mean AUC minus another, both over the same `patients` of `delong.influence`.

    Means over folds are marked as one part is; their differences were not simulated.

    Args:
        n: examples. patients: that either stands on.
        pairing: "paired" on the same patients, "partly paired" or "unpaired".
    """
    value, method = one.value - other.value, f"{pairing}, {AUC_METHOD}"
    if math.isnan(value):
        return intervals.Estimate(math.nan, math.nan, math.nan, n, "undefined: one class alone", patients)
    apart = one.variance + other.variance - 2 * delong.covariance(one, other)
    if apart <= 1e-15 < one.variance:
        return intervals.Estimate(value, value, value, n, method + "; degenerate: one ranking", patients)
    low, high = auc_bounds.difference(one, other)
    least = marks.least(max(len(one.sizes), len(other.sizes)))
    told = marks.few(tuple(map(min, one.patients, other.patients)), least)
    kind = "gap" if pairing == "unpaired" else "difference"
    cell = (one.value, other.value), min(one.fewer, other.fewer), max(one.most, other.most)
    told = told or coverage.mark(kind, *cell)
    return intervals.Estimate(value, low, high, n, method + told, patients)


def proportions(
    one: wilson.Ratio, other: wilson.Ratio, n: int, patients: int, pairing: str = "paired"
) -> intervals.Estimate:
    """One proportion, or mean of one over folds, minus another, both over the same `patients` of `wilson.ratios`.

    On the same patients of one part it is marked by the coverage of such differences, else by that of each.
    """
    value, method = one.value - other.value, f"{pairing}, {PROPORTION_METHOD}"
    if math.isnan(value):
        return intervals.Estimate(math.nan, math.nan, math.nan, n, "undefined for these answers", patients)
    apart = one.errors - other.errors
    if apart @ apart <= 1e-15 < one.errors @ one.errors:
        return intervals.Estimate(
            value, value, value, n, method + "; degenerate: all patients differ alike", patients
        )
    low, high = wilson.bounds_of_difference(one, other)
    told = "".join(dict.fromkeys(map(marks.of_ratio, (one, other))))
    if pairing == "paired" and one.folds == other.folds == 1 and "few" not in told:
        fewer, views = min(one.patients, other.patients), max(one.most, other.most)
        told = coverage.mark("accuracy_difference", (one.value, other.value), fewer, views)
    return intervals.Estimate(value, low, high, n, method + told, patients)
