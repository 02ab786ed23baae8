"""Covariance of AUCs when a patient has several examples: DeLong's estimate, clustered (Obuchowski 1997).

For examples i of class 1 with scores x, j of class 0 with scores y, psi = 1, 1/2, 0 for x >, =, < y, the placements

    V10(i) = mean_j psi(x_i, y_j)          V01(j) = mean_i psi(x_i, y_j)          AUC = mean V10 = mean V01

are summed over each patient g, as deviations D10(g) = sum_i (V10(i) - AUC), D01(g) = sum_j (V01(j) - AUC). With m and
n examples of class 1 and 0, of I10 and I01 patients, and I patients in all (doi:10.2307/2533958):

    S10 = I10 / (I10 - 1) sum_g D10 D10' / m      S01 = I01 / (I01 - 1) sum_g D01 D01' / n
    S11 = I / (I - 1) sum_g D10 D01'              cov = S10 / m + S01 / n + (S11 + S11') / (m n)

With one example a patient this is the covariance of DeLong et al. 1988 (doi:10.2307/2531595). The mean of AUCs over
folds has the same form: a patient's deviations, each divided by its own m or n, are summed over the folds where she
stands (`Influence`); folds that share patients are so not taken for independent.

    aucs, covariance = delong.auc_covariance(labels, np.stack([scores_a, scores_b]), patient_index)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

Scored = tuple[np.ndarray, np.ndarray, np.ndarray]  # labels 0/1 (N,), scores (N,), patients (N,) in 0..I-1


@dataclasses.dataclass(frozen=True)
class Influence:
    """A mean AUC and what each patient does to it.

    Attributes:
        value: the mean over the folds.
        own10, own01: (I,), what a patient's examples of class 1, and of class 0, do; scaled for the variance.
        across10, across01: (I,), the same, scaled for the covariance of the two classes.
        plain: the variance if all examples were of different patients.
        sizes: (m, n) of each fold.
        patients: of class 1 and of class 0, over all folds.
        constant: all scores of each fold are equal.
        most: the largest design effect that patients and folds could have.
    """

    value: float
    own10: np.ndarray
    own01: np.ndarray
    across10: np.ndarray
    across01: np.ndarray
    plain: float
    sizes: tuple[tuple[int, int], ...]
    patients: tuple[int, int]
    most: float
    constant: bool = False

    @property
    def fewer(self) -> int:
        """Patients of the rarer class."""
        return min(self.patients)

    @property
    def variance(self) -> float:
        """Clustered; NaN where a class of a fold has one patient alone."""
        return max(covariance(self, self), 0.0) if not math.isnan(covariance(self, self)) else math.nan


def covariance(one: Influence, other: Influence) -> float:
    """Of two mean AUCs over the same patients."""
    across = one.across10 @ other.across01 + one.across01 @ other.across10
    return float(one.own10 @ other.own10 + one.own01 @ other.own01 + across)


def influence(folds: Sequence[Scored], patients: int) -> Influence:
    """Of the mean AUC of some folds, one at least; NaN where a fold lacks a class.

    Args:
        folds: labels, scores and patients of each.
        patients: I, over all folds.
    """
    own10, own01, across10, across01 = np.zeros((4, patients))
    aucs, plain, sizes, stands = [], 0.0, [], np.zeros((2, patients))
    for labels, scores, index in folds:
        positive = labels == 1
        m, n = int(positive.sum()), int((~positive).sum())
        sizes.append((m, n))
        if not m or not n:
            return Influence(math.nan, own10, own01, across10, across01, math.nan, tuple(sizes), (0, 0), math.nan)
        v10, v01 = _placements(scores[None, positive], scores[None, ~positive])
        aucs.append(v10.mean())
        d10, d01 = v10[0] - aucs[-1], v01[0] - aucs[-1]
        counts = [np.bincount(index[rows], minlength=patients) for rows in (positive, ~positive)]
        for each, some, own, across, of in ((d10, m, own10, across10, 0), (d01, n, own01, across01, 1)):
            rows = positive if of == 0 else ~positive
            summed = np.bincount(index[rows], weights=each, minlength=patients) / (some * len(folds))
            own += summed * _correction(int((counts[of] > 0).sum()))
            across += summed * _correction(int((counts[0] + counts[1] > 0).sum()))
            stands[of] += counts[of]
            plain += (each**2).sum() / (max(some - 1, 1) * some * len(folds) ** 2)
    there = tuple(int(count) for count in (stands > 0).sum(axis=1))
    most = max(float((row**2).sum() / row.sum()) for row in stands)
    same = all(scores.min() == scores.max() for _, scores, _ in folds)
    value = float(np.mean(aucs))
    return Influence(value, own10, own01, across10, across01, float(plain), tuple(sizes), there, most, same)


def _correction(count: int) -> float:
    """sqrt(I / (I - 1)); NaN for one patient, whose deviation says nothing."""
    return math.sqrt(count / (count - 1)) if count > 1 else math.nan


def auc_covariance(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUCs (K,) of K sets of scores on the same examples, and their covariance (K, K).

    Args:
        labels: int 0/1 (N,).
        scores: float (K, N).
        patients: int (N,) in 0..I-1, the patient of each example.

    Returns:
        NaN throughout where a class is missing; a covariance of NaN where a class has one patient alone.
    """
    count = len(scores)
    if not 0 < labels.sum() < len(labels):
        return np.full(count, np.nan), np.full((count, count), np.nan)
    each = [influence([(labels, one, patients)], int(patients.max()) + 1) for one in scores]
    found = np.array([[covariance(one, other) for other in each] for one in each])
    return np.array([one.value for one in each]), found


def _placements(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """V10 (K, m) and V01 (K, n), by mid-ranks in O(N log N) (Sun and Xu 2014, doi:10.1109/LSP.2014.2337313)."""
    m, n = x.shape[1], y.shape[1]
    ranks = stats.rankdata(np.concatenate([x, y], axis=1), axis=1)
    v10 = (ranks[:, :m] - stats.rankdata(x, axis=1)) / n
    v01 = 1 - (ranks[:, m:] - stats.rankdata(y, axis=1)) / m
    return v10, v01
