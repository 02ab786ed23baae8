"""Precision over recall, and average precision: the mean precision at the positives, by falling score.

The area is a sum of steps, sum (R_k - R_{k-1}) P_k, not a trapezoid, which is too kind (Davis and Goadrich 2006,
doi:10.1145/1143844.1143874). Scores that know nothing reach the share of positives, so the number belongs to its
prevalence: parts with other shares cannot be compared by it.

    clustered.estimate([(labels, scores, patients)], precision_recall.average_precision)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf.evaluation import clustered, metrics


def curve(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, precision and threshold at every distinct score, by falling threshold: (K,) each.

    Recall is NaN without positives. There is no point "nothing is called 1": its precision is not defined.

    Raises:
        cases.MammoError: as `metrics.checked`.
    """
    labels, scores = metrics.checked(labels, scores)
    tp, fp = clustered.cumulative(labels, scores, np.ones((1, len(labels))))
    precision, recall = tp[0, 1:] / (tp + fp)[0, 1:], clustered.ratio(tp[0, 1:], tp[0, -1])
    return recall, precision, np.unique(scores)[::-1]


def average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of every draw, (D,) for weights (D, N) of `clustered`; NaN without positives."""
    tp, fp = clustered.cumulative(labels, scores, weights)
    called = tp + fp
    precision = np.divide(tp, called, out=np.zeros_like(tp), where=called > 0)
    return clustered.ratio((np.diff(tp, axis=1) * precision[:, 1:]).sum(axis=1), tp[:, -1])


def prevalence(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The share of positives of every draw, (D,): what `average_precision` is of scores that know nothing."""
    return weights @ labels / weights.sum(axis=1)
