"""The Lasso as a selection of features: at a fixed alpha, or at one that keeps about so many.

Tibshirani (1996), Regression shrinkage and selection via the lasso, J. R. Statist. Soc. B 58(1), 267-288,
doi:10.1111/j.2517-6161.1996.tb02080.x. scikit-learn's minimises |y - Xw - b|^2 / 2N + alpha |w|_1 by coordinate
descent. "Low Resource Breast Cancer Detection with Mammograms" gives the numbers of features kept (217, 350 and 325
of 410 images) and no alpha, and what an alpha keeps depends on the features; so a number can be asked for.

    found = weights(features, labels, keep=217 / 410)
    kept = np.flatnonzero(found[:-1])
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from sklearn import exceptions, linear_model

from mammo_tf import cases

ALGORITHM_VERSION = 1
ITERATIONS = 10_000
STEP, LOWEST, HALVINGS = 0.85, 1e-4, 3  # of the search for an alpha: its factor, where it ends, then halvings


def weights(
    features: np.ndarray, labels: np.ndarray, *, alpha: float | None = None, keep: float | None = None
) -> np.ndarray:
    """The weights of the features and, last, 1 where the descent was stopped before its tolerance, (F + 1,).

    Args:
        features: (N, F), standardised.
        labels: 0/1 (N,).
        alpha: above 0.
        keep: features for each example, in place of an alpha. Alpha falls from where nothing is kept by `STEP` until
            as many are kept; `HALVINGS` of the last step come nearer. Of all alphas seen, that with the nearest
            number counts.

    Raises:
        MammoError: not exactly one of alpha and keep.
    """
    if (alpha is None) == (keep is None):
        raise cases.MammoError(f"lasso: alpha {alpha}, keep {keep}; expected one of them")
    features, labels = np.asfortranarray(features), labels.astype(np.float64)
    model = linear_model.Lasso(alpha=alpha or 1.0, max_iter=ITERATIONS, warm_start=True)
    if alpha is not None:
        return _fitted(model, features, labels)
    return _nearest(model, features, labels, max(1, round(keep * len(labels))))


def _fitted(model: linear_model.Lasso, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model.fit(features, labels)
    return np.append(model.coef_, float(model.n_iter_ >= ITERATIONS))


def _nearest(model: linear_model.Lasso, features: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The numbers do not always rise as alpha falls, so all that were seen are compared; of equals the first."""
    highest = float(np.abs(features.T @ (labels - labels.mean())).max()) / len(labels)
    if not highest:
        return np.zeros(features.shape[1] + 1)  # no feature goes with the labels
    seen: list[np.ndarray] = []

    def kept(alpha: float) -> int:
        model.alpha = alpha
        seen.append(_fitted(model, features, labels))
        return np.count_nonzero(seen[-1][:-1])

    alpha = highest * STEP
    while kept(alpha) < count and alpha > LOWEST * highest:
        alpha *= STEP
    low, high = alpha, alpha / STEP
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if kept(middle) >= count else (low, middle)
    return min(seen, key=lambda found: abs(np.count_nonzero(found[:-1]) - count))
