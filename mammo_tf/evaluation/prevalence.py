"""Predictive values where fewer women have cancer than in the part that was scored, by Bayes' rule.

PPV = se pi / (se pi + (1 - sp)(1 - pi)), NPV likewise, at a prevalence pi that is stated, not estimated (0.006 or so
in screening). Sensitivity and specificity are taken over as they are: a part that was enriched with clear cancers, or
with difficult benign lesions, has others than screening has, and no interval here knows of it.

    at = functools.partial(prevalence.ppv, prevalence=0.006, threshold=0.5)
    clustered.estimate([(labels, scores, patients)], at, stratified=True)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mammo_tf import cases
from mammo_tf.evaluation import clustered, metrics

EPSILON = metrics.EPSILON


def predictive_values(sensitivity: Any, specificity: Any, prevalence: float) -> tuple[Any, Any]:
    """PPV and NPV from rates, numbers or arrays of one shape; NaN where nothing is called so.

    Raises:
        cases.MammoError: a prevalence outside (0, 1).

    >>> [round(float(value), 4) for value in predictive_values(0.9, 0.9, 0.006)]
    [0.0515, 0.9993]
    """
    if not 0 < prevalence < 1:
        raise cases.MammoError(f"prevalence {prevalence} is not between 0 and 1")
    sensitivity, specificity = np.asarray(sensitivity, float), np.asarray(specificity, float)
    ill, well = prevalence, 1 - prevalence
    found = (sensitivity * ill, (1 - specificity) * well), (specificity * well, (1 - sensitivity) * ill)
    ppv, npv = (clustered.ratio(np.asarray(right), np.asarray(right + wrong)) for right, wrong in found)
    return ppv[()], npv[()]


def ppv(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, prevalence: float, threshold: float = 0.5
) -> np.ndarray:
    """Positive predictive value of `score >= threshold` in every draw, (D,) for weights (D, N) of `clustered`.

    Without a false positive it is 1 in every draw: the interval has width 0, is marked "degenerate" and says nothing.
    NaN where nothing is called positive or a class is missing.
    """
    return predictive_values(*rates(labels, scores, weights, threshold), prevalence)[0]


def npv(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, prevalence: float, threshold: float = 0.5
) -> np.ndarray:
    """Negative predictive value, as `ppv`."""
    return predictive_values(*rates(labels, scores, weights, threshold), prevalence)[1]


def rates(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity and specificity of every draw, (D,) each; NaN for a missing class."""
    called, positive = scores >= threshold, labels == 1
    sensitivity = clustered.ratio(weights @ (called & positive), weights @ positive)
    return sensitivity, clustered.ratio(weights @ (~called & ~positive), weights @ ~positive)


def shifted(scores: ArrayLike, old: float, new: float) -> np.ndarray:
    """Probabilities (N,) made for one prevalence, at another: odds times (new odds) / (old odds).

    Raises:
        cases.MammoError: a prevalence outside (0, 1).

    >>> shifted([0.5, 0.9], 0.5, 0.1).round(3).tolist()
    [0.1, 0.5]
    """
    if not (0 < old < 1 and 0 < new < 1):
        raise cases.MammoError(f"prevalence {old} -> {new}: both must lie between 0 and 1")
    p = np.clip(np.asarray(scores, float), EPSILON, 1 - EPSILON)
    return special.expit(special.logit(p) + special.logit(new) - special.logit(old))
