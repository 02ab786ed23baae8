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
STOPPED, ENDED = 1.0, 2.0  # the descent before its tolerance; the path before there were as many features


def weights(
    features: np.ndarray, labels: np.ndarray, *, alpha: float | None = None, keep: float | None = None
) -> np.ndarray:
    """The weights of the features and, last, `STOPPED`, `ENDED` or 0, (F + 1,).

    Args:
        features: (N, F), standardised.
        labels: 0/1 (N,).
        alpha: above 0.
        keep: features for each example, in place of an alpha: that knot of the path counts which has the nearest
            number. Of features that repeat each other the first stands for all: no solution is the only one there,
            and the path ends where two of them meet on it.

    Raises:
        MammoError: not exactly one of alpha and keep.
    """
    if (alpha is None) == (keep is None):
        raise cases.MammoError(f"lasso: alpha {alpha}, keep {keep}; expected one of them")
    features, labels = np.asfortranarray(features), labels.astype(np.float64)
    if keep is not None:
        return _nearest(features, labels, max(1, round(keep * len(labels))))
    model = linear_model.Lasso(alpha=alpha, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model.fit(features, labels)
    return np.append(model.coef_, STOPPED if model.n_iter_ >= ITERATIONS else 0.0)


def _nearest(features: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The weights at the knot of the path with the nearest number of them; of equals the first.

    Features leave the path as well as enter it, so it is followed further until as many have stood on it at once.
    """
    apart = _apart(features)
    some, centred, steps = features[:, apart], labels - labels.mean(), count + count // 4 + 8
    whole = np.zeros(features.shape[1] + 1)
    if not np.abs(some.T @ centred).any():
        return whole  # no feature goes with the labels
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
            _, _, path, taken = linear_model.lars_path(
                some, centred, method="lasso", max_iter=steps, return_n_iter=True
            )
        found = np.count_nonzero(path, axis=0)
        if found.max() >= count or taken < steps:
            best = np.argmin(np.abs(found - count))
            whole[apart] = path[:, best]
            whole[-1] = ENDED if found[best] < 0.95 * count else 0.0
            return whole
        steps *= 2


def _apart(features: np.ndarray) -> np.ndarray:
    """The columns (int) that are not constant and do not repeat an earlier one or its mirror."""
    rounded = np.round(features, 9)
    first = np.argmax(rounded != 0, axis=0)
    signs = np.sign(rounded[first, np.arange(features.shape[1])])
    rounded = np.ascontiguousarray((rounded * signs + 0.0).T)  # + 0: of 0 and -0
    seen = {column.tobytes(): place for place, column in reversed(list(enumerate(rounded))) if signs[place]}
    return np.sort(np.fromiter(seen.values(), int, len(seen)))
