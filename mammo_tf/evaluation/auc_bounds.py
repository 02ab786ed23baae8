"""Bounds of an AUC, of a mean of AUCs over folds, and of the difference of two, when patients have several examples.

The bounds hold those values t of the AUC that lie within z standard errors of the measured A, the standard error
being the one that t would have (a score interval, method 5 of Newcombe 2006, doi:10.1002/sim.2324). With m examples
of class 1, n of class 0, N = (m + n) / 2, summed over F folds,

    V0(t) = sum_f t (1 - t) / (m n) (1 + (N - 1) ((1 - t) / (2 - t) + t / (1 + t))) / F^2         (A - t)^2 = z^2 V(t)
    V(t) = D (w r + 1 - w) V0(t)        r = V_DeLong / V0(A)        D = V_clustered / V_DeLong        w = c / (c + 10)

V0 alone does not know how scores are spread, so it is drawn to DeLong's variance the more patients c the rarer class
has; D is the design effect of views and folds that share patients, in [1, largest possible]. Where there is no
variance (A of 0 or 1, one patient in a class) r is 1 and D the largest, so that bounds exist there too.

w, with its 10, is ours; `benchmarks/interval_coverage.py` shows that these bounds cover best (docs/evidence.md),
better than the logit of A with 1.96 standard errors. The difference of two AUCs takes each one's distance to
its bounds and their correlation (`mover`).

    low, high = auc_bounds.single(delong.influence([(labels, scores, index)], patients))
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special, stats

from mammo_tf import cases
from mammo_tf.evaluation import delong, mover

Z95 = float(stats.norm.ppf(0.975))
DRAWN = 10  # patients of the rarer class at which DeLong's variance counts half
EDGE = 1e-12


def single(found: delong.Influence, z: float = Z95) -> tuple[float, float]:
    """The bounds (low, high) of a mean AUC in [0, 1]; NaN where the AUC is.

    Args:
        found: of `delong.influence`.
        z: of the normal distribution; 1.96 for 95 %.
    """
    if math.isnan(found.value):
        return math.nan, math.nan
    factor = _factor(found) * z**2

    def outside(t: float) -> float:
        return (found.value - t) ** 2 - factor * _variance(t, found.sizes)

    inside = min(max(found.value, EDGE), 1 - EDGE)  # at 0 and 1 the value is a root itself
    low = optimize.brentq(outside, 0.0, inside) if found.value > 0 else 0.0
    high = optimize.brentq(outside, inside, 1.0) if found.value < 1 else 1.0
    return float(low), float(high)


def difference(one: delong.Influence, other: delong.Influence, z: float = Z95) -> tuple[float, float]:
    """The bounds of one minus other, both over the same `patients` of `delong.influence`."""
    bounds = [single(one, z), single(other, z)]
    return mover.difference((one.value, other.value), bounds, _correlation(one, other))


def p_of_difference(one: delong.Influence, other: delong.Influence) -> float:
    """Two-sided p that both AUCs are equal, by `difference`; NaN where an AUC is."""

    def bounds(z: float) -> list[tuple[float, float]]:
        return [single(one, z), single(other, z)]

    return mover.p_value((one.value, other.value), bounds, _correlation(one, other))


def logit(found: delong.Influence, z: float = Z95) -> tuple[float, float]:
    """expit(logit(A) -+ z se / (A (1 - A))), se clustered: what is reported most; NaN without a variance.

    With 10 patients of a class and an AUC of 0.97 it covers in two thirds of the studies.
    """
    if not 0 < found.value < 1 or math.isnan(found.variance):
        return math.nan, math.nan
    half = z * math.sqrt(found.variance) / (found.value * (1 - found.value))
    low, high = special.expit(special.logit(found.value) + np.array([-half, half]))
    return float(low), float(high)


def p_on_logits(one: delong.Influence, other: delong.Influence) -> float:
    """Two-sided p of z = (logit A - logit B) / se, se clustered; NaN without a variance or at an AUC of 0 or 1."""
    values, each = (one.value, other.value), (one, other)
    if not all(0 < value < 1 for value in values):
        return math.nan
    slope = np.array([1, -1]) / [value * (1 - value) for value in values]
    matrix = np.array([[delong.covariance(a, b) for b in each] for a in each])
    variance = float(slope @ matrix @ slope)
    if not variance > 1e-15:
        return math.nan
    return float(2 * stats.norm.sf(abs(special.logit(values[0]) - special.logit(values[1])) / math.sqrt(variance)))


def hanley_mcneil(auc: float, positives: int, negatives: int) -> float:
    """Variance of an AUC from its value alone (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747).

    With Q1 = A / (2 - A) and Q2 = 2 A^2 / (1 + A): (A (1 - A) + (m - 1) (Q1 - A^2) + (n - 1) (Q2 - A^2)) / (m n).

    It is exact where the scores of both classes are exponential; it knows nothing of patients.

    Raises:
        cases.MammoError: an AUC outside [0, 1], or a class without examples.
    """
    if not 0 <= auc <= 1 or min(positives, negatives) < 1:
        raise cases.MammoError(f"hanley_mcneil: AUC {auc} of {positives} and {negatives}; expected [0, 1], 1 or more")
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    inner = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return inner / (positives * negatives)


def _variance(t: float, sizes: tuple[tuple[int, int], ...]) -> float:
    """V0: Hanley and McNeil's with both classes of N, summed over the folds."""
    shape = (1 - t) / (2 - t) + t / (1 + t)
    each = (t * (1 - t) / (m * n) * (1 + ((m + n) / 2 - 1) * shape) for m, n in sizes)
    return sum(each) / len(sizes) ** 2


def _factor(found: delong.Influence) -> float:
    """D (w r + 1 - w)."""
    guessed = _variance(found.value, found.sizes)
    if math.isnan(found.variance) or not guessed or found.plain <= 1e-15:
        return found.most
    effect = min(max(found.variance / found.plain, 1.0), found.most)
    weight = found.fewer / (found.fewer + DRAWN)
    return effect * (weight * found.plain / guessed + 1 - weight)


def _correlation(one: delong.Influence, other: delong.Influence) -> float:
    """Of the two estimates; 0 where a variance is 0 or not to be had, which makes bounds of the difference wider."""
    product = one.variance * other.variance
    if not product > 1e-30:
        return 0.0
    return min(max(delong.covariance(one, other) / math.sqrt(product), -1.0), 1.0)
