"""Parts of the ROC curve: partial AUCs, and the rates read off the reported part's own curve.

McClish 1989, doi:10.1177/0272989X8900900307 (false positive rates up to `max_fpr`, and its standardised form, 1/2 for
chance and 1 for perfection); Jiang et al. 1996, doi:10.1148/radiology.201.3.8939225 (sensitivities from `least` up).
Sensitivity "at 90 % specificity" here is read where the reported part itself has that specificity: it compares
curves, but no threshold known beforehand gives it, so it is a little kind. `operating.operate` takes the threshold
from validation and is what a net would do on new images.

    statistic = functools.partial(partial.auc, max_fpr=0.1)
    clustered.estimate([(labels, scores, patients)], statistic)
"""

from __future__ import annotations

import numpy as np

from mammo_tf import cases
from mammo_tf.evaluation import clustered

ROUNDING = 1e-9


def auc(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, max_fpr: float = 0.1, standardized: bool = True
) -> np.ndarray:
    """Area under the ROC curve over false positive rates in [0, max_fpr], of every draw.

    Args:
        labels: 0/1 (N,); scores: (N,); weights: (D, N), of `clustered`.
        max_fpr: in (0, 1]; at 1 either form is the AUC.
        standardized: McClish's form, (1 + (A - m^2 / 2) / (m - m^2 / 2)) / 2; else the bare area, m at most.

    Returns:
        (D,), NaN where a class is missing.

    Raises:
        cases.MammoError: max_fpr outside (0, 1].
    """
    if not 0 < max_fpr <= 1:
        raise cases.MammoError(f"partial AUC: false positive rates up to {max_fpr}; expected a number in (0, 1]")
    fpr, tpr = roc(labels, scores, weights)
    left, right = (np.minimum(edge, max_fpr) for edge in (fpr[:, :-1], fpr[:, 1:]))
    run = np.diff(fpr, axis=1)
    share = np.divide(right - left, run, out=np.zeros_like(run), where=run > 0)
    area = ((right - left) * (tpr[:, :-1] + share * np.diff(tpr, axis=1) / 2)).sum(axis=1)
    if not standardized:
        return area
    chance = max_fpr**2 / 2
    return (1 + (area - chance) / (max_fpr - chance)) / 2


def auc_above(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, least: float = 0.9, standardized: bool = True
) -> np.ndarray:
    """The same over sensitivities in [least, 1]: the mean specificity there, times 1 - least; as `auc` otherwise.

    Raises:
        cases.MammoError: least outside [0, 1).
    """
    if not 0 <= least < 1:
        raise cases.MammoError(f"partial AUC: sensitivities from {least} up; expected a number in [0, 1)")
    return auc(1 - labels, -scores, weights, max_fpr=1 - least, standardized=standardized)


def sensitivity(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, specificity: float = 0.9
) -> np.ndarray:
    """The highest sensitivity among the points of the curve whose specificity is at least `specificity`, (D,).

    Points are thresholds, nothing is interpolated; "nothing is called 1" is one of them.

    Raises:
        cases.MammoError: specificity outside [0, 1].
    """
    _in_unit("specificity", specificity)
    fpr, tpr = roc(labels, scores, weights)
    return _highest(tpr, 1 - fpr, specificity)


def specificity(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, sensitivity: float = 0.9
) -> np.ndarray:
    """The highest specificity among the points whose sensitivity is at least `sensitivity`, (D,)."""
    _in_unit("sensitivity", sensitivity)
    fpr, tpr = roc(labels, scores, weights)
    return _highest(1 - fpr, tpr, sensitivity)


def roc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates of every draw, by falling threshold: (D, K + 1) each, NaN for a missing class."""
    tp, fp = clustered.cumulative(labels, scores, weights)
    return clustered.ratio(fp, fp[:, -1:]), clustered.ratio(tp, tp[:, -1:])


def _highest(wanted: np.ndarray, kept: np.ndarray, least: float) -> np.ndarray:
    best = np.where(kept >= least - ROUNDING, wanted, -1.0).max(axis=1)
    return np.where(np.isnan(wanted[:, -1]) | np.isnan(kept[:, -1]), np.nan, best)


def _in_unit(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise cases.MammoError(f"{name} {value} is not in [0, 1]")
