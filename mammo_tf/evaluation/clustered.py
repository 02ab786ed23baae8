"""Any statistic of labels and scores with a 95 % interval that knows the patients, of one part or over folds.

A statistic takes weights: how often each example was drawn, one row a draw. Its value on the part is the value at
weights of 1, so that value and draws come from the same lines. One bootstrap serves all folds, whole patients drawn
with replacement; `stratified` draws those with a positive example and those without apart, so
that every draw has as many of either (for what takes the prevalence from outside).

    found = clustered.estimate([(labels, scores, patients)], precision_recall.average_precision)
    found.value, found.low, found.high
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from mammo_tf.evaluation import bootstrap, folds, intervals, marks

UNDEFINED = "undefined for these answers"

# labels 0/1 (N,), scores (N,), weights >= 0 (D, N) -> (D,) or (D, ...), NaN where not defined
Statistic = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def estimate(
    parts: Sequence[folds.Fold],
    statistic: Statistic,
    *,
    draws: int = 2000,
    seed: int = 0,
    stratified: bool = False,
) -> intervals.Estimate:
    """The mean over parts of a statistic, with a percentile interval over patients.

    Args:
        parts: (labels 0/1 (N,), scores (N,), patients (N,)) of each fold; mostly one.
        statistic: gives one number a draw.
        draws, seed: of the bootstrap.
        stratified: see above.

    Returns:
        NaN where a fold leaves the statistic undefined; `method` tells the share of draws that do, and a class with
        fewer than `bootstrap.FEW` patients.

    Raises:
        cases.MammoError: as `folds.evaluate`.
    """
    checked, union = folds.as_arrays(parts)
    values, drawn = _drawn(checked, union, statistic, draws, seed, stratified)
    n, count, missing = sum(len(part.labels) for part in checked), len(checked), int(np.isnan(values).sum())
    if missing:
        method = UNDEFINED if count == 1 else f"undefined in {missing} of {count} folds"
        return intervals.Estimate(math.nan, math.nan, math.nan, n, method, len(union))
    mean, deviation, _ = intervals.between_seeds(values)
    low, high, undefined = bootstrap.bounds(drawn)
    method = "" if count == 1 else f"mean over {count} folds (sd {deviation:.3f}), "
    method += f"{'stratified ' if stratified else ''}clustered bootstrap, {draws} draws{_few(checked)}"
    method += f"; undefined in {100 * undefined:.2g} % of the draws" if undefined else ""
    method += "; degenerate" if low == high else ""
    return intervals.Estimate(mean, low, high, n, method, len(union))


def band(
    parts: Sequence[folds.Fold],
    statistic: Statistic,
    *,
    draws: int = 2000,
    seed: int = 0,
    stratified: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a statistic with K numbers a draw: its mean over parts and the pointwise 95 % bounds, (K,) each.

    Draws that leave a number undefined are left out for that number; a fold that does leaves it NaN.
    """
    checked, union = folds.as_arrays(parts)
    values, drawn = _drawn(checked, union, statistic, draws, seed, stratified)
    bounds = np.array([bootstrap.bounds(column)[:2] for column in drawn.T])
    mean = values.mean(axis=0)
    bounds[np.isnan(mean)] = np.nan
    return mean, bounds[:, 0], bounds[:, 1]


def cumulative(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted true and false positives by falling threshold, from "none" to all K distinct scores: (D, K + 1)."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    found = []
    for label in (1, 0):
        counts = np.cumsum(weights[:, order] * (labels[order] == label), axis=1)[:, last_of_tie]
        found.append(np.concatenate([np.zeros((len(weights), 1)), counts], axis=1))
    return found[0], found[1]


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0; the two are broadcast."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    return np.divide(part, whole, out=np.full(shape, np.nan), where=np.broadcast_to(whole, shape) != 0)


def resample_stratified(strata: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """`bootstrap.resample` within each stratum: strata (P,) -> float64 (draws, P)."""
    weights = np.zeros((draws, len(strata)))
    for i, stratum in enumerate(np.unique(strata)):
        of = np.flatnonzero(strata == stratum)
        weights[:, of] = bootstrap.resample(len(of), draws, [seed, i])
    return weights


def _few(parts: Sequence[folds.Fold]) -> str:
    each = [np.concatenate([part.patients[part.labels == label] for part in parts]) for label in (1, 0)]
    return marks.few([len(np.unique(patients)) for patients in each], bootstrap.FEW)


def _drawn(
    parts: Sequence[folds.Fold], union: np.ndarray, statistic: Statistic, draws: int, seed: int, stratified: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The statistic of every part (F, ...), and its mean over the parts in every draw (draws, ...)."""
    if stratified:
        positive = np.isin(union, np.concatenate([part.patients[part.labels == 1] for part in parts]))
        weights = resample_stratified(positive, draws, seed)
    else:
        weights = bootstrap.resample(len(union), draws, seed)
    values, total = [], 0.0
    for part in parts:
        index = np.searchsorted(union, part.patients)
        values.append(statistic(part.labels, part.scores, np.ones((1, len(index))))[0])
        size = max(1, bootstrap.BLOCK // (8 * len(index)))
        blocks = (weights[i : i + size][:, index] for i in range(0, draws, size))
        total = total + np.concatenate([statistic(part.labels, part.scores, w) for w in blocks])
    return np.array(values), total / len(parts)
