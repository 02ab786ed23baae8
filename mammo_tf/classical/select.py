"""Stepwise selection of features by Wilks' lambda.

Sahiner et al. (1998, doi:10.1118/1.598228) choose the features of their linear discriminant so. With W and T the
within-class and the total sums of squares and products of a set S of p features, N cases and g classes,

    Lambda(S) = det W / det T                                   Wilks (1932), doi:10.1093/biomet/24.3-4.471
    F to enter j  = (N - g - p) / (g - 1) * (1 / l - 1)         l = Lambda(S + j) / Lambda(S)
    F to remove j = (N - g - p + 1) / (g - 1) * (1 / l - 1)     l = Lambda(S) / Lambda(S - j)

A step takes out the feature with the smallest F to remove, if that is below `f_out`; else it takes in the one with
the largest F to enter, if that is at least `f_in`; else it ends. Of equals the first counts. A feature that those
already in explain but for a share of `TOLERANCE` of its variance within the classes cannot enter.

Only the training part's features and labels come in here.

    chosen = select.stepwise(features, labels, f_in=3.84, f_out=2.71)        # columns, in the order of entry
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases

ALGORITHM_VERSION = 1
F_IN, F_OUT = 3.84, 2.71  # about p = 0.05 and 0.10 with one degree of freedom
TOLERANCE = 1e-3


def stepwise(
    features: ArrayLike, labels: ArrayLike, *, f_in: float = F_IN, f_out: float = F_OUT, most: int | None = None
) -> tuple[int, ...]:
    """The columns chosen, in the order in which they entered.

    Args:
        features: (N, F), finite.
        labels: (N,), at least two classes.
        f_in, f_out: thresholds of F to enter and to remove, 0 < f_out <= f_in, or steps would go in circles.
        most: at most so many features; None leaves it to the F values (and to N).

    Raises:
        MammoError: shapes that do not agree, values that are not finite, one class only, or such thresholds.
    """
    features, labels = _checked(features, labels, f_in, f_out)
    total, within = scatter(features, labels)
    classes = len(np.unique(labels))
    most = min(len(features) - classes - 1, features.shape[1] if most is None else most)
    chosen: list[int] = []
    while True:
        f = f_values(total, within, chosen, len(features), classes)
        weakest = min(chosen, key=lambda j: f[j], default=None)
        if weakest is not None and f[weakest] < f_out:
            chosen.remove(weakest)
            continue
        outside = [j for j in range(features.shape[1]) if j not in chosen and f[j] >= f_in]
        if not outside or len(chosen) >= most:
            return tuple(chosen)
        chosen.append(max(outside, key=lambda j: f[j]))


def f_values(total: np.ndarray, within: np.ndarray, chosen: list[int], n: int, classes: int) -> np.ndarray:
    """F to remove of the chosen features and F to enter of the others, (F,); 0 where one cannot enter.

    Args:
        total, within: (F, F), as `scatter` gives them.
        chosen: columns already in.
        n: number of cases.
        classes: number of classes.
    """
    t, w = (_swept(matrix, chosen) for matrix in (total, within))
    inside = np.isin(np.arange(len(total)), chosen)
    possible = inside | (w > TOLERANCE * np.diag(within)) & (np.diag(within) > TOLERANCE * np.diag(total) * 1e-9)
    ratio = np.ones(len(total))
    np.divide(t, w, out=ratio, where=possible)
    freedom = n - classes - len(chosen) + inside
    return np.where(possible, freedom / (classes - 1) * (ratio - 1), 0.0)


def scatter(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T and W, (F, F) each: sums of squares and products about the mean of all and about those of the classes.

    The features are brought to standard deviation 1 first, which changes no F; a constant one stays 0.
    """
    spread = features.std(axis=0)
    constant = spread <= 1e-12 * np.maximum(np.abs(features).max(axis=0), 1e-300)
    z = np.where(constant, 0.0, (features - features.mean(axis=0)) / np.where(constant, 1.0, spread))
    inside = z.copy()
    for label in np.unique(labels):
        rows = labels == label
        inside[rows] -= z[rows].mean(axis=0)
    return z.T @ z, inside.T @ inside


def _swept(matrix: np.ndarray, chosen: list[int]) -> np.ndarray:
    """What each feature keeps of its sum of squares, given the chosen ones other than itself, (F,)."""
    if not chosen:
        return np.diag(matrix).copy()
    inverse = np.linalg.inv(matrix[np.ix_(chosen, chosen)])
    across = matrix[:, chosen]
    kept = np.diag(matrix) - np.einsum("fi,ij,fj->f", across, inverse, across)
    kept[chosen] = 1 / np.diag(inverse)
    return kept


def _checked(features: ArrayLike, labels: ArrayLike, f_in: float, f_out: float) -> tuple[np.ndarray, np.ndarray]:
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise cases.MammoError(f"select: features {features.shape} and labels {labels.shape}; expected (N, F), (N,)")
    if wrong := int((~np.isfinite(features)).sum()):
        raise cases.MammoError(f"select: {wrong} of {features.size} features are not finite")
    if len(np.unique(labels)) < 2:
        raise cases.MammoError(f"select: labels of one class only, {np.unique(labels).tolist()}")
    if not 0 < f_out <= f_in:
        raise cases.MammoError(f"select: f_out {f_out} and f_in {f_in}; expected 0 < f_out <= f_in")
    return features, labels
