"""Rules that choose the operating point on validation data: (labels, scores) -> t, and `score >= t` is called 1.

Candidates lie halfway between neighbouring scores, plus one below and one above all; among equally good ones the
nearest to 0.5 wins.

    threshold = thresholds.choose_threshold(val_labels, val_scores, thresholds.youden)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases
from mammo_tf.evaluation import metrics

ALGORITHM_VERSION = 1

Rule = Callable[[ArrayLike, ArrayLike], float]


def choose_threshold(labels: ArrayLike, scores: ArrayLike, rule: Rule) -> float:
    """The rule's threshold for validation labels 0/1 (N,) and scores (N,).

    Raises:
        cases.MammoError: as `metrics.checked`; validation lacks a class; the rule gives no finite number.
    """
    labels, scores = metrics.checked(labels, scores)
    positives = int(labels.sum())
    if not 0 < positives < len(labels):
        raise cases.MammoError(
            f"threshold: validation holds {len(labels) - positives} examples of class 0 and {positives} of class 1; "
            "a threshold needs both"
        )
    threshold = float(rule(labels, scores))
    if not np.isfinite(threshold):
        raise cases.MammoError(f"threshold: the rule {rule} gave {threshold}")
    return threshold


def fixed(labels: ArrayLike, scores: ArrayLike, *, value: float = 0.5) -> float:
    """`value`, whatever the data; `functools.partial(fixed, value=0.3)` for another."""
    return value


def max_accuracy(labels: ArrayLike, scores: ArrayLike) -> float:
    """The threshold of the highest accuracy, (tp + tn) / n."""
    candidates, tp, fp = _candidates(labels, scores)
    return _best(candidates, tp + (fp[0] - fp))  # tn = negatives - fp; fp[0] counts all negatives


def youden(labels: ArrayLike, scores: ArrayLike) -> float:
    """The threshold of the highest J = recall + specificity - 1 (Youden 1950)."""
    candidates, tp, fp = _candidates(labels, scores)
    # J times (positives * negatives), in whole numbers, so that ties are exact
    return _best(candidates, tp * fp[0] - fp * tp[0])


def _candidates(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rising thresholds (K + 1,) with the true and false positives at each; the first calls everything 1."""
    labels, scores = metrics.checked(labels, scores)
    distinct, index = np.unique(scores, return_inverse=True)
    inner = (distinct[1:] + distinct[:-1]) / 2
    candidates = np.concatenate([[min(distinct[0], 0.0)], inner, [np.nextafter(max(distinct[-1], 1.0), np.inf)]])
    positives = np.bincount(index, weights=labels, minlength=len(distinct))
    negatives = np.bincount(index, weights=1 - labels, minlength=len(distinct))
    at_or_above = [np.append(np.cumsum(n[::-1])[::-1], 0).astype(np.int64) for n in (positives, negatives)]
    return candidates, at_or_above[0], at_or_above[1]


def _best(candidates: np.ndarray, goodness: np.ndarray) -> float:
    best = candidates[goodness == goodness.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])
