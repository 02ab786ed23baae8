"""Every metric with a 95 % interval that knows that the examples of one patient belong together.

AUC: score interval with clustered DeLong (`auc_bounds`). What is made of counts: Wilson's interval at an effective
number of examples (`wilson`). Log-loss and other means: Student's interval over patients (`means`). Plain intervals,
which take the views of a patient as independent, are too narrow. `coverage` says how often each covers, but for plain
means.

    found = intervals.evaluate(labels, scores, patients)
    found["auc"].low, found["auc"].high
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases
from mammo_tf.evaluation import auc_bounds, bootstrap, delong, marks, means, metrics, wilson

ALGORITHM_VERSION = 3

AUC_METHOD = "score interval, clustered DeLong"
COUNT_METHOD = "Wilson, clustered"
LOSS_METHOD = "Student over patients, of the logarithm"
MEAN_METHOD = "Student over patients"
CONSTANT = "constant answer: exact"


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value, low, high: NaN where not defined.
        n: examples it was computed from.
        method: of the interval, with marks: "few positives", "degenerate", "undefined in ... of the draws".
        patients: of the examples.
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    patients: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values; NaN becomes None."""
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Estimate:
        """The inverse of `as_dict`."""
        return cls(**{key: math.nan if value is None else value for key, value in fields.items()})


def evaluate(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[str] | np.ndarray,
    *,
    threshold: float = 0.5,
) -> dict[str, Estimate]:
    """Accuracy, balanced accuracy, precision, recall, specificity, f1, log_loss and auc of one classifier.

    Args:
        labels: 0/1 (N,).
        scores: P(class 1) (N,); `score >= threshold` is called 1.
        groups: the patient of each example (N,).
        threshold: operating point, chosen on other data.

    Raises:
        cases.MammoError: as `metrics.checked`, or groups of another length.
    """
    labels, scores = metrics.checked(labels, scores)
    index, patients = _index(groups, len(labels))
    ranking = delong.influence([(labels, scores, index)], patients)
    return {
        **of_counts([(labels, scores >= threshold, index)], patients),
        "log_loss": of_losses([(metrics.log_losses(labels, scores), index)], patients, ranking),
        "auc": of_influence(ranking, len(labels), patients),
    }


def of_counts(folds: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], patients: int) -> dict[str, Estimate]:
    """The metrics of `metrics.OF_COUNTS`, or their means over folds, with Wilson's bounds.

    Args:
        folds: labels 0/1 (N,), answers bool (N,) and patients (N,) in 0..patients-1 of each, one at least.
        patients: over all folds.
    """
    n = sum(len(labels) for labels, _, _ in folds)
    found = {name: wilson.ratios(_counted(folds, name), patients) for name in _PARTS}
    bounds = {name: (ratio.value, *wilson.bounds(ratio)) for name, ratio in found.items()}
    both = found["recall"], found["specificity"]
    bounds["balanced_accuracy"] = ((both[0].value + both[1].value) / 2, *wilson.bounds_of_mean(*both))
    estimates = {}
    for name in metrics.OF_COUNTS:
        value, low, high = bounds[name]
        if math.isnan(value):
            told = "undefined for these answers"
        elif name in ("balanced_accuracy", "precision", "f1"):
            told = COUNT_METHOD + marks.of_both(name, *both, (value, low, high))
        else:
            told = COUNT_METHOD + marks.of_ratio(found[name])
        estimates[name] = Estimate(float(value), low, high, n, told, patients)
    return estimates


def of_losses(
    folds: Sequence[tuple[np.ndarray, np.ndarray]], patients: int, ranking: delong.Influence | None
) -> Estimate:
    """The mean log-loss, or its mean over folds.

    Args:
        folds: losses (N,) and patients (N,) in 0..patients-1 of each, one at least.
        patients: over all folds.
        ranking: of the AUC of the same scores, by which `coverage` knows how often the bounds cover; several folds
            were not simulated and are taken for one part. None for more than two classes.
    """
    found = wilson.ratios([(losses, np.ones(len(losses)), index) for losses, index in folds], patients)
    bounds = means.student_log(found)
    n = sum(len(losses) for losses, _ in folds)
    return Estimate(found.value, *bounds, n, LOSS_METHOD + marks.of_loss(found, ranking, bounds), patients)


def proportion(values: ArrayLike, groups: Sequence[str] | np.ndarray) -> Estimate:
    """The mean of values 0/1 (N,) of patients (N,), with Wilson's bounds at the effective number of examples.

    Raises:
        cases.MammoError: other values, or groups of another length.
    """
    right, _ = metrics.checked(values, np.zeros(np.shape(values)), what="values")
    index, patients = _index(groups, len(right))
    found = wilson.ratios([(right.astype(float), np.ones(len(right)), index)], patients)
    return Estimate(found.value, *wilson.bounds(found), len(right), COUNT_METHOD + marks.of_ratio(found), patients)


_PARTS = {  # metric -> numerator and denominator of an example, from its label and answer
    "accuracy": lambda y, said: (y == said, np.ones(len(y))),
    "recall": lambda y, said: (y & said, y),
    "specificity": lambda y, said: (~y & ~said, ~y),
    "precision": lambda y, said: (y & said, said),
    "f1": lambda y, said: (2.0 * (y & said), y.astype(float) + said),
}


def _counted(folds: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], name: str) -> list[wilson.Counted]:
    parts = [(*_PARTS[name](labels == 1, np.asarray(said, bool)), index) for labels, said, index in folds]
    return [(np.asarray(x, float), np.asarray(y, float), index) for x, y, index in parts]


def auc(labels: ArrayLike, scores: ArrayLike, groups: Sequence[str] | np.ndarray) -> Estimate:
    """AUC with the bounds of `auc_bounds.single`, which exist at an AUC of 0 or 1 too.

    `method` says where fewer than 10 patients of a class are there, or the simulated coverage is not 93 to 97 %.
    """
    labels, scores = metrics.checked(labels, scores)
    index, patients = _index(groups, len(labels))
    return of_influence(delong.influence([(labels, scores, index)], patients), len(labels), patients)


def of_influence(found: delong.Influence, n: int, patients: int) -> Estimate:
    """The estimate of a mean AUC: of n examples of so many patients."""
    if math.isnan(found.value):
        return Estimate(math.nan, math.nan, math.nan, n, "undefined: one class alone", patients)
    if found.constant:
        return Estimate(0.5, 0.5, 0.5, n, CONSTANT, patients)
    bounds = auc_bounds.single(found)
    return Estimate(found.value, *bounds, n, AUC_METHOD + marks.of_auc(found, bounds), patients)


def auc_bootstrap(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[str] | np.ndarray,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """AUC with the percentile interval over patients: a second opinion."""
    labels, scores = metrics.checked(labels, scores)
    index, patients = _index(groups, len(labels))
    drawn = bootstrap.auc_draws(labels, scores, index, bootstrap.resample(patients, draws, seed))
    return _percentile(metrics.auc(labels, scores), drawn, len(labels), patients)


def mean(values: ArrayLike, groups: Sequence[str] | np.ndarray) -> Estimate:
    """Mean of values (N,) with Student's interval over patients; NaNs are left out and n counts the rest."""
    values = np.asarray(values, dtype=np.float64)
    index, _ = _index(groups, len(values))
    defined = ~np.isnan(values)
    if not defined.any():
        return Estimate(math.nan, math.nan, math.nan, 0, "undefined: no values")
    index, patients = bootstrap.patient_index(index[defined])
    found = wilson.ratios([(values[defined], np.ones(defined.sum()), index)], patients)
    low, high = means.student(found)
    method = MEAN_METHOD + marks.degenerate(found.value, low, high)
    return Estimate(found.value, low, high, int(defined.sum()), method, patients)


def majority_row(
    train_labels: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[str] | np.ndarray,
) -> dict[str, Estimate]:
    """`evaluate` of the classifier that gives every example the share of class 1 in training: the row to beat.

    It calls everything the majority class of training (class 1 on a tie). What cannot vary then (recall 0 or 1, AUC
    1/2) has an interval of width 0 that is exact.
    """
    train_labels, _ = metrics.checked(train_labels, np.zeros(np.shape(train_labels)))
    scores = np.full(np.shape(labels), train_labels.mean())
    return constant(evaluate(labels, scores, groups))


def constant(found: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """The estimates of a classifier that gives all the same answer: what cannot vary is exact."""
    exact = {
        name: dataclasses.replace(found[name], low=found[name].value, high=found[name].value, method=CONSTANT)
        for name in ("recall", "specificity", "balanced_accuracy", "auc")
        if not math.isnan(found[name].value)
    }
    return {**found, **exact}


def between_seeds(values: Sequence[float]) -> tuple[float, float, int]:
    """Mean, standard deviation (k - 1 in the denominator; NaN for k = 1) and k of one metric over k seeds.

    >>> between_seeds([0.25, 0.5, 0.75])
    (0.5, 0.25, 3)
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise cases.MammoError("between_seeds: no values")
    deviation = math.nan if len(values) < 2 else float(values.std(ddof=1))
    return float(values.mean()), deviation, len(values)


def _index(groups: Sequence[str] | np.ndarray, count: int) -> tuple[np.ndarray, int]:
    if len(groups) != count:
        raise cases.MammoError(f"evaluation: {len(groups)} patients for {count} examples; expected one for each")
    return bootstrap.patient_index(np.asarray(groups))


def _percentile(value: float, drawn: np.ndarray, n: int, patients: int) -> Estimate:
    method = f"clustered bootstrap, {len(drawn)} draws"
    if math.isnan(value):
        return Estimate(value, math.nan, math.nan, n, "undefined for these answers", patients)
    low, high, undefined = bootstrap.bounds(drawn)
    if undefined:
        method += f"; undefined in {100 * undefined:.2g} % of the draws"
    if low == high:
        method += "; degenerate"
    return Estimate(value, low, high, n, method, patients)
