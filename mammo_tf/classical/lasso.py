"""The Lasso as a selection of features: at a fixed alpha, or at one that keeps about so many.

Tibshirani (1996), Regression shrinkage and selection via the lasso, J. R. Statist. Soc. B 58(1), 267-288,
doi:10.1111/j.2517-6161.1996.tb02080.x: the least of |y - Xw - b|^2 / 2N + alpha |w|_1. "Low Resource Breast Cancer
Detection with Mammograms" gives the numbers of features kept (217, 350 and 325 of 410 images) and no alpha, and what
an alpha keeps depends on the features; so a number can be asked for. It is found on the path of all alphas, which
least angle regression follows from knot to knot (Efron et al. 2004, doi:10.1214/009053604000000067); features of a
net go together, and coordinate descent takes thousands of iterations at one alpha there. Both are scikit-learn's.

    found = weights(features, labels, keep=217 / 410)
    kept = np.flatnonzero(found[:-1])
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn import exceptions, linear_model

from mammo_tf import cases

ALGORITHM_VERSION = 1
ITERATIONS = 10_000


def weights(
    features: np.ndarray, labels: np.ndarray, *, alpha: float | None = None, keep: float | None = None
) -> np.ndarray:
    """The weights of the features and, last, 1 where the descent was stopped before its tolerance, (F + 1,).

    Args:
        features: (N, F), standardised.
        labels: 0/1 (N,).
        alpha: above 0.
        keep: features for each example, in place of an alpha: that knot of the path counts which has the nearest
            number.

    Raises:
        MammoError: not exactly one of alpha and keep.
    """
    if (alpha is None) == (keep is None):
        raise cases.MammoError(f"lasso: alpha {alpha}, keep {keep}; expected one of them")
    features, labels = np.asfortranarray(features), labels.astype(np.float64)
    if keep is not None:
        return np.append(_nearest(features, labels, max(1, round(keep * len(labels)))), 0.0)
    model = linear_model.Lasso(alpha=alpha, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model.fit(features, labels)
    return np.append(model.coef_, float(model.n_iter_ >= ITERATIONS))


def _nearest(features: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The weights at the knot of the path with the nearest number of them; of equals the first.

    Features leave the path as well as enter it, so it is followed further until as many have stood on it at once.
    """
    if not np.abs(features.T @ (labels - labels.mean())).any():
        return np.zeros(features.shape[1])  # no feature goes with the labels
    steps = count + count // 4 + 8
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)  # a feature that repeats others is dropped
            _, _, weights, taken = linear_model.lars_path(
                features, labels - labels.mean(), method="lasso", max_iter=steps, return_n_iter=True
            )
        found = np.count_nonzero(weights, axis=0)
        if found.max() >= count or taken < steps:
            return weights[:, np.argmin(np.abs(found - count))]
        steps *= 2
