"""Net benefit of acting on a score: true positives less false positives at the price that a threshold implies.

Vickers and Elkin 2006, doi:10.1177/0272989X06295361. Who acts at a probability of t takes (1 - t) / t false alarms
for one cancer found: net benefit = TP / n - FP / n t / (1 - t). Acting on everyone and on no one are the two to beat;
a score below both at some t does harm there. Scores are taken for probabilities: ill calibrated ones lose by it.

    curve = decision_curve.curve([(labels, scores, patients)])
    curve.net_benefit, curve.treat_all
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases
from mammo_tf.evaluation import clustered, folds, precision_recall

THRESHOLDS = np.arange(1, 100) / 100


@dataclasses.dataclass(frozen=True)
class Curve:
    """Net benefits, of a part or as means over folds.

    Attributes:
        thresholds: probabilities at which one acts, (T,).
        net_benefit, low, high: of the score, with pointwise 95 % bounds over patients, (T,).
        treat_all: of acting on everyone, (T,); acting on no one has 0 everywhere.
        prevalence: that these hold at.
    """

    thresholds: np.ndarray
    net_benefit: np.ndarray
    low: np.ndarray
    high: np.ndarray
    treat_all: np.ndarray
    prevalence: float


def curve(
    parts: Sequence[folds.Fold],
    thresholds: ArrayLike = THRESHOLDS,
    *,
    prevalence: float | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Curve:
    """The decision curve of one part or several folds.

    Args:
        parts: (labels, scores, patients) of each fold.
        thresholds: in (0, 1).
        prevalence: to which the classes are reweighted; None for that of the parts. Scores are taken as they are
            (`prevalence.shifted` moves them along).

    Raises:
        cases.MammoError: as `folds.evaluate`, or a threshold or prevalence outside (0, 1).
    """
    thresholds = np.asarray(thresholds, float)
    statistic = functools.partial(net_benefit, thresholds=thresholds, prevalence=prevalence)
    how = {"draws": draws, "seed": seed, "stratified": prevalence is not None}
    value, low, high = clustered.band(parts, statistic, **how)
    share = prevalence
    if share is None:
        shares = [precision_recall.prevalence(np.asarray(p[0]), p[1], np.ones((1, len(p[0])))) for p in parts]
        share = float(np.mean(shares))
    return Curve(thresholds, value, low, high, treat_all(thresholds, share), share)


def net_benefit(
    labels: np.ndarray,
    scores: np.ndarray,
    weights: np.ndarray,
    *,
    thresholds: np.ndarray,
    prevalence: float | None = None,
) -> np.ndarray:
    """Of every draw at thresholds (T,): (D, T) for weights (D, N) of `clustered`.

    NaN where the classes are reweighted and one is missing.
    """
    thresholds = np.asarray(thresholds, float)
    if ((thresholds <= 0) | (thresholds >= 1)).any() or not (prevalence is None or 0 < prevalence < 1):
        raise cases.MammoError(f"decision curve: thresholds and prevalence {prevalence} must lie between 0 and 1")
    called = scores[:, None] >= thresholds
    total = weights.sum(axis=1, keepdims=True)
    shares = []
    for label, share in ((1, prevalence), (0, None if prevalence is None else 1 - prevalence)):
        of = labels == label
        count = weights[:, of] @ called[of]
        whole = total if share is None else weights[:, of].sum(axis=1, keepdims=True) / share
        shares.append(clustered.ratio(count, whole))
    return shares[0] - shares[1] * thresholds / (1 - thresholds)


def treat_all(thresholds: ArrayLike, prevalence: float) -> np.ndarray:
    """Net benefit of acting on everyone, (T,): 0 at a threshold that equals the prevalence."""
    thresholds = np.asarray(thresholds, float)
    return prevalence - (1 - prevalence) * thresholds / (1 - thresholds)
