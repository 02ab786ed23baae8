"""Bootstrap over patients: whole patients are drawn with replacement, so that their examples stay together.

Source: Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x, the cluster bootstrap. Whatever is a ratio of sums
over patients (confusion counts, losses) is one matrix product of the draws with a table of sums per patient; the AUC
takes weighted sums over the sorted examples.

    draws = bootstrap.resample(patients=120, draws=2000, seed=0)      # (2000, 120) counts
    values = draws @ sums_per_patient
"""

from __future__ import annotations

import numpy as np

FEW = 20  # patients of a class; with fewer, percentile intervals cover less than they say
BLOCK = 20_000_000  # numbers held at once by `auc_draws`, 160 MB


def patient_index(groups: np.ndarray) -> tuple[np.ndarray, int]:
    """Each example's patient as int (N,) in 0..P-1, by sorted name, and P."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    return index.reshape(-1), len(names)


def resample(patients: int, draws: int, seed: int) -> np.ndarray:
    """How often each patient is drawn: float64 (draws, patients), each row multinomial with sum `patients`."""
    chosen = np.random.default_rng(seed).integers(patients, size=(draws, patients))
    flat = chosen + patients * np.arange(draws)[:, None]
    return np.bincount(flat.ravel(), minlength=draws * patients).reshape(draws, patients).astype(np.float64)


def sums(values: np.ndarray, index: np.ndarray, patients: int) -> np.ndarray:
    """Values (N, K) summed over the examples of each patient: (patients, K)."""
    return np.stack([np.bincount(index, weights=column, minlength=patients) for column in values.T], axis=1)


def bounds(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """The percentile interval of draws (D,), and the share of draws where the value is not defined (left out)."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan"), 1.0
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high), 1 - len(defined) / len(values)


def auc_draws(labels: np.ndarray, scores: np.ndarray, index: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The AUC of every draw, (draws,); NaN where a draw holds one class alone.

    Args:
        labels: int 0/1 (N,).
        scores: float (N,).
        index: patient of each example, int (N,).
        weights: (draws, patients), of `resample`.
    """
    order = np.argsort(scores, kind="stable")
    scores, positive, index = scores[order], labels[order] == 1, index[order]
    first = np.searchsorted(scores, scores, side="left")
    end = np.searchsorted(scores, scores, side="right")
    size = max(1, BLOCK // len(scores))
    blocks = (weights[i : i + size][:, index] for i in range(0, len(weights), size))
    return np.concatenate([_weighted_aucs(w, positive, first, end) for w in blocks])


def _weighted_aucs(w: np.ndarray, positive: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """AUCs (D,) under weights (D, N) over examples in order of score; [first, end) are the ties of each."""
    below = np.concatenate([np.zeros((len(w), 1)), np.cumsum(w * ~positive, axis=1)], axis=1)
    wins = (below[:, first[positive]] + below[:, end[positive]]) / 2
    pairs = w[:, positive].sum(axis=1) * below[:, -1]
    won = (w[:, positive] * wins).sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(w), np.nan), where=pairs > 0)
