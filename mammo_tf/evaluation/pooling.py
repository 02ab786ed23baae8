"""From images to breasts or cases: the scores of a unit's images become one, by a named rule.

Shen et al. 2019 (doi:10.1038/s41598-019-48995-4) report single views; the NYU net (Wu et al. 2019,
doi:10.1109/TMI.2019.2945514) averages the views of a breast. `mean_then_max` takes the worse breast for the case. A
unit is positive where any of its images is.

    pooled = pooling.pool(predictions, "case", "mean_then_max")
    intervals.auc(pooled.labels, pooled.scores, pooled.patients)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from mammo_tf import cases
from mammo_tf.evaluation import metrics

LEVELS = ("breast", "case")


class Scored(Protocol):
    """Predictions of images: ids, patients, breasts ("" where unknown), labels 0/1 and scores P(class 1), (N,) each.

    `artifacts.Predictions` is one; its `breasts` is None where none is known.
    """

    ids: Sequence[str]
    patients: Sequence[str] | np.ndarray
    breasts: Sequence[str] | np.ndarray | None
    labels: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class Pooled:
    """Units by sorted name.

    Attributes:
        ids: names of breasts, or patients for cases, (U,).
        patients, labels, scores: of each, (U,).
        images: how many each was made of, (U,).
    """

    ids: tuple[str, ...]
    patients: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    images: np.ndarray


def mean(scores: np.ndarray, breasts: np.ndarray) -> float:
    """Mean over the images (n,) of a unit."""
    return float(scores.mean())


def max(scores: np.ndarray, breasts: np.ndarray) -> float:
    """The highest score of the unit."""
    return float(scores.max())


def noisy_or(scores: np.ndarray, breasts: np.ndarray) -> float:
    """1 - prod(1 - p): that any image is positive, were they independent; views of one lesion are not."""
    return float(1 - np.prod(1 - scores))


def mean_then_max(scores: np.ndarray, breasts: np.ndarray) -> float:
    """Mean over the views of each breast, the higher of a case's breasts."""
    return float(np.max([scores[breasts == breast].mean() for breast in np.unique(breasts)]))


RULES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mean": mean,
    "max": max,
    "noisy_or": noisy_or,
    "mean_then_max": mean_then_max,
}


def pool(scored: Scored, level: str, rule: str = "mean_then_max") -> Pooled:
    """One score and label for each breast or case.

    Args:
        scored: images of one fit; those of several folds are pooled apart, their scores have no common scale.
        level: one of LEVELS.
        rule: a name of RULES.

    Raises:
        cases.MammoError: an unknown level or rule; scores outside [0, 1] for `noisy_or`; a breast that is unknown
            where the level or the rule needs it, or that belongs to two patients; as `metrics.checked`.
    """
    if level not in LEVELS or rule not in RULES:
        raise cases.MammoError(
            f"pooling: {level} by {rule}; levels are {', '.join(LEVELS)}, rules {', '.join(RULES)}"
        )
    labels, scores = metrics.checked(scored.labels, scored.scores)
    if rule == "noisy_or" and ((scores < 0) | (scores > 1)).any():
        raise cases.MammoError("pooling: noisy_or takes probabilities; some scores are not in [0, 1]")
    patients = np.asarray(scored.patients).astype(str)
    breasts = np.full(len(labels), "") if scored.breasts is None else np.asarray(scored.breasts).astype(str)
    if level == "breast" or rule == "mean_then_max":
        _refuse_unknown(scored.ids, patients, breasts)
    names, index = np.unique(breasts if level == "breast" else patients, return_inverse=True)
    rows = [np.flatnonzero(index == unit) for unit in range(len(names))]
    return Pooled(
        tuple(names.tolist()),
        np.array([patients[some[0]] for some in rows]),
        np.array([labels[some].max() for some in rows]),
        np.array([RULES[rule](scores[some], breasts[some]) for some in rows]),
        np.array([len(some) for some in rows]),
    )


def _refuse_unknown(ids: Sequence[str], patients: np.ndarray, breasts: np.ndarray) -> None:
    if unknown := np.flatnonzero(breasts == "").tolist():
        raise cases.MammoError(
            f"pooling: the breast of {len(unknown)} of {len(breasts)} images is unknown ({ids[unknown[0]]}, ...); "
            "it is read from the column `breast`, which older tables lack"
        )
    pairs = np.unique(np.stack([breasts, patients]), axis=1)
    if len(shared := [b for b, count in zip(*np.unique(pairs[0], return_counts=True), strict=True) if count > 1]):
        raise cases.MammoError(f"pooling: breast {shared[0]} stands with several patients; its name must tell them")
