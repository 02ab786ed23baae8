"""Several fits of one run reduced to one row: the mean of a metric over folds, with an interval over patients.

Folds are the test parts of a cross-validation (a patient stands in one) or one part scored by nets of several
training subsets (a patient stands in all). Bounds are those of `intervals` with each patient's examples summed over
the folds where she stands: so folds that share patients are not taken for independent ones. What other training
patients would have done is not in the interval; the deviation over folds, told by `method`, shows some of it.
AUCs are never pooled over folds: scores of different nets have no common scale (on noise a pooled AUC fell to 0.32).

    found = folds.evaluate([(labels, scores, patients), ...], threshold=[0.31, 0.44, ...])
    found["auc"].value, found["auc"].method     # "mean over 5 folds (sd 0.021), score interval, clustered DeLong"
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases
from mammo_tf.evaluation import auc_bounds, delong, differences, intervals, metrics

ALGORITHM_VERSION = 3


class Fold(NamedTuple):
    """The reported part of one fold; a plain tuple of the three will do.

    Attributes:
        labels: 0/1 (N,).
        scores: P(class 1) (N,).
        patients: the patient of each example (N,), named alike in every fold.
    """

    labels: ArrayLike
    scores: ArrayLike
    patients: Sequence[str] | np.ndarray


def evaluate(folds: Sequence[Fold], *, threshold: float | Sequence[float] = 0.5) -> dict[str, intervals.Estimate]:
    """The mean over folds of accuracy, balanced_accuracy, precision, recall, specificity, f1, log_loss and auc.

    A metric that one fold leaves undefined has no mean. One fold alone gives what `intervals.evaluate` gives.

    Args:
        folds: one at least.
        threshold: `score >= threshold` is called 1; one for all, or one a fold, chosen on that fold's validation.

    Returns:
        By metric; n counts examples over all folds, patients each patient once.

    Raises:
        cases.MammoError: no folds, as many thresholds as folds expected, or as `metrics.checked` for a fold.
    """
    checked, union = as_arrays(folds)
    index = [np.searchsorted(union, fold.patients) for fold in checked]
    chosen = _thresholds(threshold, len(checked))
    points, n = _points(checked, chosen), sum(len(fold.labels) for fold in checked)
    answers = [(f.labels, f.scores >= t, i) for f, t, i in zip(checked, chosen, index, strict=True)]
    found = intervals.of_counts(answers, len(union))
    ranking = influence(checked, union)
    losses = [(metrics.log_losses(f.labels, f.scores), i) for f, i in zip(checked, index, strict=True)]
    found["log_loss"] = intervals.of_losses(losses, len(union), ranking)
    found["auc"] = intervals.of_influence(ranking, n, len(union))
    return {name: _told(estimate, points[name]) for name, estimate in found.items()}


def per_fold(folds: Sequence[Fold], *, threshold: float | Sequence[float] = 0.5) -> dict[str, np.ndarray]:
    """The metrics of `evaluate`, fold by fold: float64 (F,) each, NaN where not defined."""
    checked, _ = as_arrays(folds)
    return _points(checked, _thresholds(threshold, len(checked)))


def between(
    folds: Sequence[Fold], *, threshold: float | Sequence[float] = 0.5
) -> dict[str, tuple[float, float, int]]:
    """Mean, standard deviation over the folds (F - 1 in the denominator) and F, by metric."""
    return {name: intervals.between_seeds(values) for name, values in per_fold(folds, threshold=threshold).items()}


def auc_difference(one: Sequence[Fold], other: Sequence[Fold]) -> tuple[intervals.Estimate, float]:
    """Mean AUC of `one` minus that of `other`, with the bounds and two-sided p of `auc_bounds`.

    Args:
        one, other: folds of two runs on the same patients; their numbers may differ.

    Raises:
        cases.MammoError: the two were not scored on the same patients.
    """
    (one, union), (other, theirs) = as_arrays(one), as_arrays(other)
    if not np.array_equal(union, theirs):
        alone = len(set(union) ^ set(theirs))
        raise cases.MammoError(f"folds: {alone} patients are scored in one run alone; a paired test needs one part")
    both = influence(one, union), influence(other, union)
    n = max(sum(len(f.labels) for f in folds) for folds in (one, other))
    return differences.aucs(*both, n, len(union)), auc_bounds.p_of_difference(*both)


def influence(folds: Sequence[Fold], union: np.ndarray) -> delong.Influence:
    """Of the mean AUC of the folds; `union` are the sorted patients to compare it over, theirs at least."""
    each = [(fold.labels, fold.scores, np.searchsorted(union, fold.patients)) for fold in folds]
    return delong.influence(each, len(union))


def as_arrays(folds: Sequence[Fold]) -> tuple[list[Fold], np.ndarray]:
    """The folds as checked arrays, and the sorted names of all their patients.

    Raises:
        cases.MammoError: no folds, lengths that differ, or as `metrics.checked`.
    """
    if not len(folds):
        raise cases.MammoError("folds: there are none; expected one at least")
    checked = []
    for i, fold in enumerate(folds):
        try:
            labels, scores = metrics.checked(fold[0], fold[1])
        except cases.MammoError as error:
            raise cases.MammoError(f"fold {i}: {error}") from None
        patients = np.asarray(fold[2])
        if patients.shape != labels.shape:
            raise cases.MammoError(f"fold {i}: {patients.shape} patients for {labels.shape} labels; one for each")
        checked.append(Fold(labels, scores, patients))
    return checked, np.unique(np.concatenate([fold.patients for fold in checked]))


def _thresholds(threshold: float | Sequence[float], count: int) -> list[float]:
    chosen = [float(threshold)] * count if np.ndim(threshold) == 0 else [float(t) for t in threshold]
    if len(chosen) != count:
        raise cases.MammoError(f"folds: {len(chosen)} thresholds for {count} folds; expected one, or one a fold")
    return chosen


def _sums(fold: Fold, threshold: float) -> np.ndarray:
    """What every metric but the AUC is made of: (N, 5), the four cells and the loss."""
    cells = metrics.cells(fold.labels, fold.scores >= threshold)
    return np.column_stack([cells, metrics.log_losses(fold.labels, fold.scores)])


def _values(sums: np.ndarray) -> dict[str, np.ndarray]:
    counts = metrics.Counts(*np.moveaxis(sums[..., :4], -1, 0))
    total = sums[..., :4].sum(axis=-1)
    loss = np.divide(sums[..., 4], total, out=np.full(np.shape(total), np.nan), where=total > 0)
    return {**{name: metric(counts) for name, metric in metrics.OF_COUNTS.items()}, "log_loss": loss}


def _points(folds: Sequence[Fold], chosen: Sequence[float]) -> dict[str, np.ndarray]:
    values = _values(np.stack([_sums(fold, t).sum(axis=0) for fold, t in zip(folds, chosen, strict=True)]))
    return {**values, "auc": np.array([metrics.auc(fold.labels, fold.scores) for fold in folds])}


def _told(estimate: intervals.Estimate, values: np.ndarray) -> intervals.Estimate:
    """The estimate of a mean with the spread of its folds' values (F,), or with how many have none."""
    count, missing = len(values), int(np.isnan(values).sum())
    if count == 1:
        return estimate
    if missing:
        return dataclasses.replace(
            estimate, value=math.nan, low=math.nan, high=math.nan, method=f"undefined in {missing} of {count} folds"
        )
    deviation = intervals.between_seeds(values)[1]
    return dataclasses.replace(estimate, method=f"mean over {count} folds (sd {deviation:.3f}), {estimate.method}")
