"""Every metric with a 95 % interval that knows that the examples of one patient belong together.

AUC: clustered DeLong (Obuchowski 1997, doi:10.2307/2533958) on the logit scale. Everything else: percentile bootstrap
over patients. Plain intervals, which take the views of a patient as independent, are too narrow.

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
from scipy import special, stats

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, delong, metrics

ALGORITHM_VERSION = 1

Z95 = float(stats.norm.ppf(0.975))
FEW = 20  # patients of a class; with fewer, intervals of the AUC cover less than they say


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
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Accuracy, balanced accuracy, precision, recall, specificity, f1, log_loss and auc of one classifier.

    Args:
        labels: 0/1 (N,).
        scores: P(class 1) (N,); `score >= threshold` is called 1.
        groups: the patient of each example (N,).
        threshold: operating point, chosen on other data.
        draws, seed: of the bootstrap.

    Raises:
        cases.MammoError: as `metrics.checked`, or groups of another length.
    """
    labels, scores = metrics.checked(labels, scores)
    index, patients = _index(groups, len(labels))
    losses = metrics.log_losses(labels, scores)
    per_example = np.column_stack([metrics.cells(labels, scores >= threshold), losses])
    table = bootstrap.sums(per_example, index, patients)
    points, drawn = _values(table.sum(axis=0)), _values(bootstrap.resample(patients, draws, seed) @ table)
    found = {
        name: _percentile(float(points[name]), drawn[name], len(labels), patients)
        for name in (*metrics.OF_COUNTS, "log_loss")
    }
    return {**found, "auc": auc(labels, scores, groups)}


def auc(labels: ArrayLike, scores: ArrayLike, groups: Sequence[str] | np.ndarray) -> Estimate:
    """AUC with L = logit(AUC), se(L) = se / (AUC (1 - AUC)), interval expit(L -+ 1.96 se(L)), se by clustered DeLong.

    At an AUC of 0 or 1, or with a single patient in a class, no standard error can be had: the bounds are NaN and
    `method` says "degenerate". With fewer than 20 patients in a class it says "few positives" (or negatives).
    """
    labels, scores = metrics.checked(labels, scores)
    index, patients = _index(groups, len(labels))
    values, covariance = delong.auc_covariance(labels, scores[None], index)
    value, variance = float(values[0]), float(covariance[0, 0])
    if math.isnan(value):
        return Estimate(value, math.nan, math.nan, len(labels), "undefined: one class alone", patients)
    method = "clustered DeLong, logit" + _few(labels, index)
    if not 0 < value < 1 or math.isnan(variance):
        return Estimate(value, math.nan, math.nan, len(labels), method + "; degenerate", patients)
    half = Z95 * math.sqrt(max(variance, 0.0)) / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-half, half]))
    return Estimate(value, float(low), float(high), len(labels), method, patients)


def auc_bootstrap(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[str] | np.ndarray,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """AUC with the percentile interval over patients: a second opinion where `auc` is marked."""
    labels, scores = metrics.checked(labels, scores)
    index, patients = _index(groups, len(labels))
    drawn = bootstrap.auc_draws(labels, scores, index, bootstrap.resample(patients, draws, seed))
    return _percentile(metrics.auc(labels, scores), drawn, len(labels), patients)


def mean(values: ArrayLike, groups: Sequence[str] | np.ndarray, *, draws: int = 2000, seed: int = 0) -> Estimate:
    """Mean of values (N,) with a percentile interval over patients; NaNs are left out and n counts the rest."""
    values = np.asarray(values, dtype=np.float64)
    index, _ = _index(groups, len(values))
    defined = ~np.isnan(values)
    if not defined.any():
        return Estimate(math.nan, math.nan, math.nan, 0, "undefined: no values")
    index, patients = bootstrap.patient_index(index[defined])
    table = bootstrap.sums(np.column_stack([values[defined], np.ones(defined.sum())]), index, patients)
    drawn = bootstrap.resample(patients, draws, seed) @ table
    return _percentile(float(values[defined].mean()), drawn[:, 0] / drawn[:, 1], int(defined.sum()), patients)


def majority_row(
    train_labels: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[str] | np.ndarray,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """`evaluate` of the classifier that gives every example the share of class 1 in training: the row to beat.

    It calls everything the majority class of training (class 1 on a tie). What cannot vary then (recall 0 or 1, AUC
    1/2) has an interval of width 0 that is exact.
    """
    train_labels, _ = metrics.checked(train_labels, np.zeros(np.shape(train_labels)))
    scores = np.full(np.shape(labels), train_labels.mean())
    found = evaluate(labels, scores, groups, draws=draws, seed=seed)
    return {
        name: dataclasses.replace(e, method="constant answer: exact") if e.low == e.value == e.high else e
        for name, e in found.items()
    }


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


def _values(sums: np.ndarray) -> dict[str, Any]:
    """Metrics from sums (..., 5): the four cells and the losses."""
    tn, fp, fn, tp, losses = np.moveaxis(sums, -1, 0)
    counts = metrics.Counts(tn, fp, fn, tp)
    found = {name: metric(counts) for name, metric in metrics.OF_COUNTS.items()}
    return {**found, "log_loss": losses / (tn + fp + fn + tp)}


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


def _few(labels: np.ndarray, index: np.ndarray) -> str:
    marks = ""
    for label, name in ((1, "positives"), (0, "negatives")):
        count = len(np.unique(index[labels == label]))
        if count < FEW:
            marks += f"; few {name} ({count} patients)"
    return marks
