"""Sensitivity and specificity at a threshold that validation data chose, and two more rules to choose it by.

Shen et al. give "sensitivity: 86.1%, specificity: 80.1%" for one point of a ROC curve and no rule that chose it; here
the part that chooses and the part that is reported are two arguments. The rules go where those of `thresholds` go.

    rule = functools.partial(operating.at_specificity, specificity=0.9)
    found = operating.operate((val_labels, val_scores), (labels, scores, patients), rule)
    found.sensitivity.low, found.specificity.high
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases
from mammo_tf.evaluation import intervals, metrics, thresholds

ALGORITHM_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Operating:
    """One point of the ROC curve.

    Attributes:
        threshold: `score >= threshold` is called 1.
        rule: name of the rule that chose it on validation.
        sensitivity, specificity: of the reported part, with intervals over patients.
        aimed: (sensitivity, specificity) of the validation part at the same threshold.
    """

    threshold: float
    rule: str
    sensitivity: intervals.Estimate
    specificity: intervals.Estimate
    aimed: tuple[float, float]


def operate(
    validation: tuple[ArrayLike, ArrayLike],
    reported: tuple[ArrayLike, ArrayLike, Sequence[str] | np.ndarray],
    rule: thresholds.Rule = thresholds.youden,
) -> Operating:
    """The operating point that `rule` chooses on validation, measured on the reported part.

    Args:
        validation: labels 0/1 (M,) and scores (M,), what the rule sees.
        reported: labels 0/1 (N,), scores (N,) and the patient of each example (N,).

    Raises:
        cases.MammoError: as `thresholds.choose_threshold` and `intervals.evaluate`.
    """
    threshold = thresholds.choose_threshold(*validation, rule)
    found = intervals.evaluate(*reported, threshold=threshold)
    on_validation = metrics.count(validation[0], np.asarray(validation[1]) >= threshold)
    return Operating(
        threshold,
        getattr(rule, "func", rule).__name__,
        found["recall"],
        found["specificity"],
        (float(metrics.recall(on_validation)), float(metrics.specificity(on_validation))),
    )


def at_specificity(labels: ArrayLike, scores: ArrayLike, *, specificity: float = 0.9) -> float:
    """The lowest threshold, so the one of highest sensitivity, whose specificity is at least `specificity` in (0, 1].

    Raises:
        cases.MammoError: a specificity outside (0, 1].
    """
    if not 0 < specificity <= 1:
        raise cases.MammoError(f"threshold: specificity {specificity} is not in (0, 1]")
    candidates, _, fp, (_, negatives) = _candidates(labels, scores)
    return float(candidates[negatives - fp >= specificity * negatives - 1e-9].min())


def closest(labels: ArrayLike, scores: ArrayLike) -> float:
    """The threshold nearest to the corner of no errors: least (1 - sensitivity)^2 + (1 - specificity)^2.

    Among equally near ones the one nearest to 0.5 wins.
    """
    candidates, tp, fp, (positives, negatives) = _candidates(labels, scores)
    distance = ((positives - tp) * negatives) ** 2 + (fp * positives) ** 2  # in whole numbers, so that ties are exact
    best = candidates[distance == distance.min()]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _candidates(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Falling thresholds (K + 1,) above, halfway between and below the distinct scores, tp and fp there; P and N."""
    labels, scores = metrics.checked(labels, scores)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    fpr, tpr, cuts = metrics.roc_curve(labels, scores)
    above, below = np.nextafter(max(cuts[1], 1.0), np.inf), min(cuts[-1], 0.0)
    candidates = np.concatenate([[above], (cuts[1:-1] + cuts[2:]) / 2, [below]])
    counts = [np.rint(rate * whole).astype(np.int64) for rate, whole in ((tpr, positives), (fpr, negatives))]
    return candidates, counts[0], counts[1], (positives, negatives)
