"""Maps of probabilities that validation data fit: temperature, Platt's sigmoid, isotonic steps.

Temperature: Guo et al. 2017, arXiv:1706.04599; Platt 1999 with his smoothed targets, on logits; isotonic: Zadrozny
and Elkan 2002, doi:10.1145/775047.775151. The part that fits and the part that is reported are two arguments, and a
patient in both is refused. A rising map leaves the AUC as it is (isotonic ties may change it a little).

    found = recalibration.recalibrate((val_labels, val_scores, val_patients), (labels, scores, patients))
    found.map(0.8), found.before["brier"].value, found.after["brier"].value
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from mammo_tf import cases
from mammo_tf.evaluation import calibration, clustered, intervals, metrics

HOTTEST = 100.0  # temperatures are sought in [1 / HOTTEST, HOTTEST]


@dataclasses.dataclass(frozen=True)
class Temperature:
    """p -> expit(logit(p) / value); above 1 it draws probabilities to 1/2."""

    value: float

    def __call__(self, scores: ArrayLike) -> np.ndarray:
        return special.expit(_logits(scores) / self.value)


@dataclasses.dataclass(frozen=True)
class Platt:
    """p -> expit(intercept + slope logit(p))."""

    slope: float
    intercept: float

    def __call__(self, scores: ArrayLike) -> np.ndarray:
        return special.expit(self.intercept + self.slope * _logits(scores))


@dataclasses.dataclass(frozen=True)
class Isotonic:
    """p -> y, linear between the knots x, flat outside; it may answer 0 and 1, whose log loss has no bound."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, scores: ArrayLike) -> np.ndarray:
        return np.interp(np.asarray(scores, float), self.x, self.y)


def temperature(labels: ArrayLike, scores: ArrayLike) -> Temperature:
    """The temperature of least log loss on labels 0/1 (M,) and probabilities (M,).

    Raises:
        cases.MammoError: as `calibration.probabilities`, or a class is missing.
    """
    labels, scores = _both_classes(labels, scores)
    bound = float(np.log(HOTTEST))
    options = {"xatol": 1e-10}
    found = optimize.minimize_scalar(
        _loss, bounds=(-bound, bound), args=(labels, _logits(scores)), method="bounded", options=options
    )
    return Temperature(float(np.exp(found.x)))


def platt(labels: ArrayLike, scores: ArrayLike) -> Platt:
    """Slope and intercept on logits, by scikit-learn, without a penalty, towards (P + 1) / (P + 2) and 1 / (N + 2).

    Those targets keep the fit finite where the classes are told apart perfectly.
    """
    from sklearn import linear_model

    labels, scores = _both_classes(labels, scores)
    x, positives = _logits(scores)[:, None], int(labels.sum())
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    model = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(np.concatenate([x, x]), np.repeat([1, 0], len(x)), np.concatenate([target, 1 - target]))
    return Platt(float(model.coef_[0, 0]), float(model.intercept_[0]))


def isotonic(labels: ArrayLike, scores: ArrayLike) -> Isotonic:
    """The rising map of least squared distance from the labels, by scikit-learn."""
    from sklearn import isotonic as peer

    labels, scores = _both_classes(labels, scores)
    model = peer.IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    return Isotonic(*(tuple(map(float, knots)) for knots in (model.X_thresholds_, model.y_thresholds_)))


FITS: dict[str, Callable[[ArrayLike, ArrayLike], Any]] = {
    "temperature": temperature,
    "platt": platt,
    "isotonic": isotonic,
}


@dataclasses.dataclass(frozen=True)
class Recalibrated:
    """The reported part before and after.

    Attributes:
        map: what validation fitted, p -> p.
        scores: of the reported part, mapped, (N,).
        before, after: "brier", "log_loss" and "ece" of the reported part.
        gain: Brier score after minus before, paired; below 0 is better.
    """

    map: Any
    scores: np.ndarray
    before: dict[str, intervals.Estimate]
    after: dict[str, intervals.Estimate]
    gain: intervals.Estimate


def recalibrate(
    validation: tuple[ArrayLike, ArrayLike, Sequence[str] | np.ndarray],
    reported: tuple[ArrayLike, ArrayLike, Sequence[str] | np.ndarray],
    fit: Callable[[ArrayLike, ArrayLike], Any] = temperature,
    *,
    bins: int = calibration.BINS,
    draws: int = 2000,
    seed: int = 0,
) -> Recalibrated:
    """The map that `fit` finds on validation, applied to the reported part and measured there.

    Args:
        validation: labels 0/1 (M,), probabilities (M,) and patients (M,), what the fit sees.
        reported: the same of the part that is measured, (N,) each.
        fit: one of FITS.
        bins: of the ECE. draws, seed: of the bootstrap over patients.

    Raises:
        cases.MammoError: a patient in both parts, or as the fit.
    """
    if shared := sorted(set(np.asarray(validation[2]).tolist()) & set(np.asarray(reported[2]).tolist())):
        raise cases.MammoError(
            f"recalibration: {len(shared)} patients stand in validation and in the reported part "
            f"({', '.join(map(str, shared[:3]))}); a map must be fitted on others"
        )
    found = fit(*validation[:2])
    labels, scores = calibration.probabilities(*reported[:2])
    mapped, how = found(scores), {"draws": draws, "seed": seed}
    before, after = (_measured(labels, some, reported[2], bins, how) for some in (scores, mapped))
    gain = intervals.mean((mapped - labels) ** 2 - (scores - labels) ** 2, reported[2])
    return Recalibrated(found, mapped, before, after, gain)


def _measured(
    labels: np.ndarray, scores: np.ndarray, patients: Any, bins: int, how: dict[str, int]
) -> dict[str, intervals.Estimate]:
    part = [(labels, scores, patients)]
    return {
        "brier": clustered.estimate(part, calibration.brier, **how),
        "log_loss": intervals.evaluate(labels, scores, patients)["log_loss"],
        "ece": clustered.estimate(part, functools.partial(calibration.ece, bins=bins), **how),
    }


def _loss(log_temperature: float, labels: np.ndarray, logits: np.ndarray) -> float:
    z = logits / np.exp(log_temperature)
    return float((np.logaddexp(0, z) - labels * z).mean())


def _logits(scores: ArrayLike) -> np.ndarray:
    return special.logit(np.clip(np.asarray(scores, float), metrics.EPSILON, 1 - metrics.EPSILON))


def _both_classes(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = calibration.probabilities(labels, scores)
    if not 0 < (positives := int(labels.sum())) < len(labels):
        raise cases.MammoError(
            f"recalibration: validation holds {len(labels) - positives} examples of class 0 and {positives} of "
            "class 1; a fit needs both"
        )
    return labels, scores
