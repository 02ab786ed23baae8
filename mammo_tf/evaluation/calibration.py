"""Whether probabilities mean what they say: Brier score, reliability, calibration error, slope and intercept.

Brier score split by Murphy 1973, doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2, within bins by Stephenson
et al. 2008, doi:10.1175/2007WAF2006116.1; expected calibration error (ECE): Naeini et al. 2015,
doi:10.1609/aaai.v29i1.9602; slope and intercept: Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7.
The ECE is a mean of absolute values: noise alone makes it larger than 0, more so with more bins or fewer examples.
Its bootstrap adds the noise once more, so the percentile interval of a small ECE can lie above the ECE itself. What
a perfectly calibrated net with these scores would show (`ece_if_calibrated`) belongs beside it.

    clustered.estimate([(labels, scores, patients)], calibration.ece)
    calibration.ece_if_calibrated(scores, patients).high
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, intervals, metrics

BINS = 10


@dataclasses.dataclass(frozen=True)
class Split:
    """Brier score = reliability - resolution + uncertainty + within.

    Attributes:
        reliability: mean squared distance of the bins' mean scores from their shares of positives; 0 is best.
        resolution: how far these shares differ from the share of all; more is better.
        uncertainty: variance of the labels, not the net's doing.
        within: what bins hide (variance of scores inside a bin less twice their covariance with labels); 0 where each
            distinct score has a bin of its own.
    """

    reliability: float
    resolution: float
    uncertainty: float
    within: float


@dataclasses.dataclass(frozen=True)
class Reliability:
    """A reliability curve, empty bins left out.

    Attributes:
        edges: of all bins, (B + 1,).
        counts: examples of each bin shown, (K,).
        scores: mean score of each, (K,).
        shares: share of positives of each, with clustered Wilson intervals, K of them.
    """

    edges: np.ndarray
    counts: np.ndarray
    scores: np.ndarray
    shares: tuple[intervals.Estimate, ...]


def probabilities(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """`metrics.checked` of scores in [0, 1].

    Raises:
        cases.MammoError: as `metrics.checked`, or scores outside [0, 1].
    """
    labels, scores = metrics.checked(labels, scores)
    if wrong := int(((scores < 0) | (scores > 1)).sum()):
        raise cases.MammoError(f"calibration: {wrong} of {len(scores)} scores are not in [0, 1]: no probabilities")
    return labels, scores


def brier(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared distance of score and label in every draw, (D,) for weights (D, N) of `clustered`."""
    labels, scores = probabilities(labels, scores)
    return weights @ (scores - labels) ** 2 / weights.sum(axis=1)


def split(labels: ArrayLike, scores: ArrayLike, edges: np.ndarray | None = None) -> Split:
    """The Brier score of labels 0/1 (N,) and scores (N,) taken apart over bins; None: each distinct score is one."""
    labels, scores = probabilities(labels, scores)
    index = np.unique(scores, return_inverse=True)[1] if edges is None else _bin(scores, edges)
    _, index = np.unique(index, return_inverse=True)
    count, score, share = (np.bincount(index, weights=w) for w in (np.ones(len(labels)), scores, labels))
    score, share, part = score / count, share / count, count / len(labels)
    off = scores - score[index]
    return Split(
        float((part * (score - share) ** 2).sum()),
        float((part * (share - labels.mean()) ** 2).sum()),
        float(labels.mean() * (1 - labels.mean())),
        float((off**2).mean() - 2 * (off * labels).mean()),
    )


def equal_width(bins: int = BINS) -> np.ndarray:
    """Edges of bins of one width over [0, 1], (bins + 1,).

    Raises:
        cases.MammoError: fewer than one bin.
    """
    if bins < 1:
        raise cases.MammoError(f"calibration: {bins} bins; expected 1 or more")
    return np.linspace(0, 1, bins + 1)


def equal_mass(scores: ArrayLike, bins: int = BINS) -> np.ndarray:
    """Edges between quantiles of the scores, from 0 to 1; fewer than bins + 1 where scores repeat."""
    inner = np.quantile(np.asarray(scores, float), equal_width(bins)[1:-1])
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))


def reliability(
    labels: ArrayLike, scores: ArrayLike, groups: Sequence[str] | np.ndarray, edges: np.ndarray | None = None
) -> Reliability:
    """Share of positives and mean score of every bin that holds examples.

    Args:
        labels, scores, groups: 0/1, probabilities and patients, (N,) each.
        edges: of the bins, rising; None for BINS of equal width. A bin holds its lower edge, the last both.
    """
    labels, scores = probabilities(labels, scores)
    edges, groups = equal_width() if edges is None else np.asarray(edges), np.asarray(groups)
    index = _bin(scores, edges)
    shown = np.unique(index)
    shares = tuple(intervals.proportion(labels[index == b], groups[index == b]) for b in shown)
    means = np.array([scores[index == b].mean() for b in shown])
    return Reliability(edges, np.array([share.n for share in shares]), means, shares)


def ece(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, bins: int = BINS, mass: bool = False
) -> np.ndarray:
    """Expected calibration error of every draw: the bins' distances |share - mean score|, weighted by examples.

    Args:
        labels, scores, weights: (N,), (N,) and (D, N), of `clustered`.
        bins, mass: number of bins, and whether they hold equal numbers of the part's scores (the same bins for every
            draw) instead of being equally wide.

    Returns:
        (D,), biased upwards: see above.
    """
    labels, scores = probabilities(labels, scores)
    index = _bin(scores, equal_mass(scores, bins) if mass else equal_width(bins))
    member = index[:, None] == np.unique(index)
    return np.abs(weights @ (member * (labels - scores)[:, None])).sum(axis=1) / weights.sum(axis=1)


def ece_if_calibrated(
    scores: ArrayLike,
    groups: Sequence[str] | np.ndarray,
    *,
    bins: int = BINS,
    mass: bool = False,
    draws: int = 2000,
    seed: int = 0,
) -> intervals.Estimate:
    """The ECE of a net that is calibrated perfectly and gives these scores: mean and 95 % range over drawn labels.

    All examples of a patient are drawn by one random number, as views of one breast share their truth: the more
    dependent, the larger the ECE. `groups=range(N)` draws examples by themselves.
    """
    _, scores = probabilities(np.zeros(np.shape(scores)), scores)
    index, patients = bootstrap.patient_index(np.asarray(groups))
    member = _bin(scores, equal_mass(scores, bins) if mass else equal_width(bins))
    member = (member[:, None] == np.unique(member)).astype(float)
    uniform = np.random.default_rng(seed).random((draws, patients))
    size = max(1, bootstrap.BLOCK // (8 * len(scores)))
    gaps = [(uniform[i : i + size][:, index] < scores) - scores for i in range(0, draws, size)]
    found = np.concatenate([np.abs(gap @ member).sum(axis=1) for gap in gaps]) / len(scores)
    low, high, _ = bootstrap.bounds(found)
    return intervals.Estimate(
        float(found.mean()), low, high, len(scores), f"simulated, {draws} draws of labels", patients
    )


def slope(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """b of logit P(1) = a + b logit(score) in every draw, (D,); 1 is best, less says overconfident.

    NaN where the classes are told apart perfectly, one is missing, or all scores are one.
    """
    return logistic(labels, scores, weights)[:, 1]


def intercept(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """a of logit P(1) = a + logit(score) in every draw, (D,): 0 is best, more says that risks are put too low.

    "Calibration in the large". NaN where a class is missing.
    """
    labels, x = _logits(labels, scores)
    ones, total = weights @ labels, weights.sum(axis=1)
    defined = (ones > 0) & (ones < total)
    found, step = np.zeros(len(weights)), np.ones(len(weights))
    for _ in range(100):  # Newton's, by 1 at the most
        p = special.expit(x + found[:, None])
        off, curve = ones - (weights * p).sum(axis=1), (weights * p * (1 - p)).sum(axis=1)
        step = np.clip(off / np.maximum(curve, 1e-300), -1, 1)
        found = found + step
        done = (np.abs(step) < 1e-10) | (np.abs(off) <= 1e-12 * total)  # rounding keeps saturated scores in motion
        if done[defined].all():
            break
    return np.where(defined & done, found, np.nan)


def logistic(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, steps: int = 50) -> np.ndarray:
    """(a, b) of logistic recalibration in every draw by Newton's method, (D, 2); NaN as for `slope`."""
    labels, x = _logits(labels, scores)
    found = np.full((len(weights), 2), math.nan)
    rows = np.flatnonzero(_solvable(labels, x, weights))
    w, theta = weights[rows], np.zeros((len(rows), 2))
    loss, open_ = _loss(theta, labels, x, w), np.ones(len(rows), bool)
    for _ in range(steps):
        p = special.expit(theta[:, :1] + theta[:, 1:] * x)
        off, curve = w * (labels - p), w * p * (1 - p)
        g = np.stack([off.sum(axis=1), off @ x], axis=1)
        h0, h1, h2 = curve.sum(axis=1), curve @ x, curve @ x**2
        step = np.stack([h2 * g[:, 0] - h1 * g[:, 1], h0 * g[:, 1] - h1 * g[:, 0]], axis=1)
        step = np.divide(step, (h0 * h2 - h1**2)[:, None], out=np.zeros_like(step), where=open_[:, None])
        for _ in range(30):  # halved where the loss would rise
            worse = _loss(theta + step, labels, x, w) > loss + 1e-12 * np.abs(loss)
            if not worse.any():
                break
            step[worse] /= 2
        theta = theta + step
        loss = _loss(theta, labels, x, w)
        open_ = np.abs(step).max(axis=1) > 1e-10
        if not open_.any():
            break
    found[rows[~open_]] = theta[~open_]
    return found


def _solvable(labels: np.ndarray, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Where both classes were drawn and their scores overlap, so that the fit is finite: bool (D,)."""
    drawn = weights > 0
    ends = []
    for label in (0, 1):
        of = drawn & (labels == label)
        ends.append((np.where(of, x, np.inf).min(axis=1), np.where(of, x, -np.inf).max(axis=1)))
    (low0, high0), (low1, high1) = ends
    return (high0 > low1) & (high1 > low0)


def _loss(theta: np.ndarray, labels: np.ndarray, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    z = theta[:, :1] + theta[:, 1:] * x
    return (weights * (np.logaddexp(0, z) - labels * z)).sum(axis=1)


def _logits(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = probabilities(labels, scores)
    return labels, special.logit(np.clip(scores, metrics.EPSILON, 1 - metrics.EPSILON))


def _bin(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2)
