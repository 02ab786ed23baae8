"""Point metrics of a binary classifier. The positive class is 1; a score is P(class 1); `score >= threshold` says 1.

A metric that is not defined for the input is NaN, never 0: precision where nothing is called positive, recall without
positives, specificity without negatives, F1 without either positives or positive calls, AUC with one class alone.

    counts = metrics.count(labels, scores >= 0.5)
    metrics.precision(counts), metrics.auc(labels, scores)
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mammo_tf import cases

EPSILON = float(np.finfo(np.float32).eps)  # probabilities are float32: 1 - eps is the last one below 1


@dataclasses.dataclass(frozen=True)
class Counts:
    """Cells of the confusion matrix: numbers, or arrays of one shape for many draws at once."""

    tn: Any
    fp: Any
    fn: Any
    tp: Any


def checked(labels: ArrayLike, scores: ArrayLike, what: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Labels as int 0/1 (N,) and scores as float64 (N,), N >= 1.

    Raises:
        cases.MammoError: the lengths differ, there is nothing, a label is not 0 or 1, a score is not finite.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape or not len(labels):
        raise cases.MammoError(f"evaluation: {labels.shape} labels and {scores.shape} scores; expected (N,) of both")
    if wrong := int((~np.isin(labels, (0, 1))).sum()):
        raise cases.MammoError(f"evaluation: {wrong} of {len(labels)} {what} are neither 0 nor 1")
    if wrong := int((~np.isfinite(scores)).sum()):
        raise cases.MammoError(f"evaluation: {wrong} of {len(scores)} scores are not finite")
    return labels.astype(np.int64), scores


def cells(labels: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """Which cell an example falls in: float64 (N, 4), one 1 a row, columns tn, fp, fn, tp."""
    labels, predicted = np.asarray(labels).astype(bool), np.asarray(predicted).astype(bool)
    return np.eye(4)[2 * labels + predicted]


def count(labels: ArrayLike, predicted: ArrayLike) -> Counts:
    """The counts of labels (N,) against predictions (N,), both 0/1 or bool."""
    return Counts(*cells(labels, predicted).sum(axis=0))


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """int (2, 2), rows the true class, columns the predicted: [[tn, fp], [fn, tp]].

    >>> confusion_matrix([0, 0, 1, 1, 1], [0, 1, 1, 1, 0]).tolist()
    [[1, 1], [1, 2]]
    """
    return cells(labels, predicted).sum(axis=0).astype(int).reshape(2, 2)


def _ratio(part: Any, whole: Any) -> Any:
    """part / whole, NaN where whole is 0."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)[()]


def accuracy(c: Counts) -> Any:
    """(tp + tn) / n."""
    return _ratio(c.tp + c.tn, c.tp + c.tn + c.fp + c.fn)


def recall(c: Counts) -> Any:
    """tp / (tp + fn), the sensitivity."""
    return _ratio(c.tp, c.tp + c.fn)


def specificity(c: Counts) -> Any:
    """tn / (tn + fp)."""
    return _ratio(c.tn, c.tn + c.fp)


def balanced_accuracy(c: Counts) -> Any:
    """(recall + specificity) / 2."""
    return (recall(c) + specificity(c)) / 2


def precision(c: Counts) -> Any:
    """tp / (tp + fp), the positive predictive value."""
    return _ratio(c.tp, c.tp + c.fp)


def f1(c: Counts) -> Any:
    """2 tp / (2 tp + fp + fn): 0 where there are positives and none is found, although precision is NaN there."""
    return _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)


OF_COUNTS = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "precision": precision,
    "recall": recall,
    "specificity": specificity,
    "f1": f1,
}


def log_losses(labels: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """-log P(label) of each example, (N,) in nats; scores are clipped to [EPSILON, 1 - EPSILON]."""
    labels, scores = checked(labels, scores)
    p = np.clip(scores, EPSILON, 1 - EPSILON)
    return -np.where(labels == 1, np.log(p), np.log1p(-p))


def log_loss(labels: ArrayLike, scores: ArrayLike) -> float:
    """Mean of `log_losses`."""
    return float(log_losses(labels, scores).mean())


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, P(s1 > s0) + P(s1 = s0) / 2 (Mann and Whitney), from mid-ranks.

    >>> auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])
    0.875
    """
    labels, scores = checked(labels, scores)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = stats.rankdata(scores)[labels == 1].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The operating points by falling threshold, from (0, 0) to (1, 1), one per distinct score.

    Returns:
        False positive rates, true positive rates and thresholds, each (K + 1,); the first threshold is infinite. The
        rates of a missing class are NaN.
    """
    labels, scores = checked(labels, scores)
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    tp = np.append(0, np.cumsum(labels[order])[last_of_tie])
    fp = np.append(0, last_of_tie + 1) - tp
    return _ratio(fp, fp[-1]), _ratio(tp, tp[-1]), np.append(np.inf, scores[order][last_of_tie])
