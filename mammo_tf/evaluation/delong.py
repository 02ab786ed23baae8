"""Covariance of AUCs when a patient has several examples: DeLong's estimate, clustered (Obuchowski 1997).

For examples i of class 1 with scores x, j of class 0 with scores y, psi = 1, 1/2, 0 for x >, =, < y, the placements

    V10(i) = mean_j psi(x_i, y_j)          V01(j) = mean_i psi(x_i, y_j)          AUC = mean V10 = mean V01

are summed over each patient g, as deviations D10(g) = sum_i (V10(i) - AUC), D01(g) = sum_j (V01(j) - AUC). With m and
n examples of class 1 and 0, of I10 and I01 patients, and I patients in all (doi:10.2307/2533958):

    S10 = I10 / (I10 - 1) sum_g D10 D10' / m      S01 = I01 / (I01 - 1) sum_g D01 D01' / n
    S11 = I / (I - 1) sum_g D10 D01'              cov = S10 / m + S01 / n + (S11 + S11') / (m n)

With one example a patient this is the covariance of DeLong et al. 1988 (doi:10.2307/2531595).

    aucs, covariance = delong.auc_covariance(labels, np.stack([scores_a, scores_b]), patient_index)
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from mammo_tf.evaluation import bootstrap


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
    positive = labels == 1
    v10, v01 = _placements(scores[:, positive], scores[:, ~positive])
    aucs = v10.mean(axis=1)
    total = int(patients.max()) + 1
    d10 = bootstrap.sums((v10 - aucs[:, None]).T, patients[positive], total).T
    d01 = bootstrap.sums((v01 - aucs[:, None]).T, patients[~positive], total).T
    m, n = v10.shape[1], v01.shape[1]
    i10, i01 = len(np.unique(patients[positive])), len(np.unique(patients[~positive]))
    if min(i10, i01) < 2:
        return aucs, np.full((count, count), np.nan)
    s10 = i10 / (i10 - 1) * d10 @ d10.T / m
    s01 = i01 / (i01 - 1) * d01 @ d01.T / n
    s11 = total / (total - 1) * d10 @ d01.T
    return aucs, s10 / m + s01 / n + (s11 + s11.T) / (m * n)


def _placements(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """V10 (K, m) and V01 (K, n), by mid-ranks in O(N log N) (Sun and Xu 2014, doi:10.1109/LSP.2014.2337313)."""
    m, n = x.shape[1], y.shape[1]
    ranks = stats.rankdata(np.concatenate([x, y], axis=1), axis=1)
    v10 = (ranks[:, :m] - stats.rankdata(x, axis=1)) / n
    v01 = 1 - (ranks[:, m:] - stats.rankdata(y, axis=1)) / m
    return v10, v01
