"""Classifiers of feature vectors that answer with a decision score: above 0 stands for class 1.

Linear and radial support vector machines and logistic regression, scikit-learn's, with its defaults (C = 1, no class
weights, gamma "scale"). What is kept of them is a handful of arrays. Where there are more features than examples they
are fitted in the dual: the machines on the matrix of products, logistic regression on the coordinates of the examples
in the space that they span, which a rotation gives; neither changes what is learned.

libsvm has no bound of its own on the iterations, and on examples that no plane parts it can take tens of minutes.
Here it stops after `ITERATIONS`, and `stopped` says so.

    decide = margins.linear_svm(features, labels, seed=0)
    decide(test_features) >= 0
"""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
from sklearn import exceptions, linear_model, metrics, svm

from mammo_tf import cases

ALGORITHM_VERSION = 1
C = 1.0  # scikit-learn's; the paper states none
ITERATIONS = 200_000
NEWTON_LIKE = 5_000  # of logistic regression, which needs far fewer
TOLERANCE = 1e-6  # of its gradient
RANK = 1e-10  # of the largest eigenvalue: below, a direction is rounding


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """A plane, a function of features.

    Attributes:
        weights: (F,).
        intercept: decision of the zero vector.
        stopped: why the fit ended before its tolerance was reached, or "".
    """

    weights: np.ndarray
    intercept: float
    stopped: str = ""

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (N, F) -> decision scores (N,) float64."""
        return np.asarray(features, np.float64) @ self.weights + self.intercept


@dataclasses.dataclass(frozen=True, eq=False)
class Radial:
    """A sum of Gaussians round support vectors, a function of features.

    Attributes:
        vectors: (V, F), the support vectors.
        weights: (V,), of their Gaussians.
        intercept: decision far from all of them.
        gamma: the Gaussians are exp(-gamma |x - v|^2).
        stopped: why the fit ended before its tolerance was reached, or "".
    """

    vectors: np.ndarray
    weights: np.ndarray
    intercept: float
    gamma: float
    stopped: str = ""

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (N, F) -> decision scores (N,) float64."""
        kernel = metrics.pairwise.rbf_kernel(np.asarray(features, np.float64), self.vectors, gamma=self.gamma)
        return kernel @ self.weights + self.intercept


def linear_svm(
    features: np.ndarray, labels: np.ndarray, seed: int, *, c: float = C, iterations: int = ITERATIONS
) -> Linear:
    """A support vector machine with a linear kernel (libsvm).

    Args:
        features: (N, F), finite.
        labels: 0/1 (N,), both classes.
        seed: not used: nothing is drawn.
        c: cost of an example on the wrong side of its margin.
        iterations: libsvm stops there.

    Raises:
        MammoError: shapes that do not agree, values that are not finite, labels other than 0 and 1 or of one class.
    """
    del seed
    features, labels = checked(features, labels)
    model = _machine(features @ features.T, labels, c, iterations)
    weights = model.dual_coef_[0] @ features[model.support_]
    return Linear(weights, float(model.intercept_[0]), _stopped("linear SVM", model.fit_status_ != 0, iterations))


def rbf_svm(
    features: np.ndarray,
    labels: np.ndarray,
    seed: int,
    *,
    c: float = C,
    iterations: int = ITERATIONS,
    gamma: float | None = None,
) -> Radial:
    """A support vector machine with a Gaussian kernel (libsvm).

    Arguments and errors as for `linear_svm`; without a `gamma` it is 1 / (F variance of all values).
    """
    del seed
    features, labels = checked(features, labels)
    if gamma is None:
        variance = features.var()
        gamma = 1.0 / (features.shape[1] * variance) if variance else 1.0
    model = _machine(metrics.pairwise.rbf_kernel(features, gamma=gamma), labels, c, iterations)
    stopped = _stopped("RBF SVM", model.fit_status_ != 0, iterations)
    return Radial(features[model.support_], model.dual_coef_[0], float(model.intercept_[0]), float(gamma), stopped)


def logistic(
    features: np.ndarray, labels: np.ndarray, seed: int, *, c: float = C, iterations: int = NEWTON_LIKE
) -> Linear:
    """Logistic regression with a penalty of |w|^2 / 2c; its decision score is the log odds.

    Arguments and errors as for `linear_svm`; here lbfgs stops after `iterations`.
    """
    del seed
    features, labels = checked(features, labels)
    spanned, back = spanned_by(features) if features.shape[1] > len(features) else (features, None)
    model = linear_model.LogisticRegression(C=c, tol=TOLERANCE, max_iter=iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model.fit(spanned, labels)
    weights = model.coef_[0] if back is None else back @ model.coef_[0]
    stopped = _stopped("logistic regression", int(model.n_iter_[0]) >= iterations, iterations)
    return Linear(weights, float(model.intercept_[0]), stopped)


def spanned_by(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the examples in the space that they span, and the way back.

    Args:
        features: (N, F).

    Returns:
        coordinates (N, R), R the rank, and an orthonormal basis (F, R): features = coordinates @ basis.T.
    """
    values, vectors = np.linalg.eigh(features @ features.T)
    kept = values > RANK * values[-1]
    if not kept.any():  # all examples are the zero vector
        return np.zeros((len(features), 1)), np.eye(features.shape[1], 1)
    roots = np.sqrt(values[kept])
    return vectors[:, kept] * roots, features.T @ (vectors[:, kept] / roots)


def checked(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features as float64 (N, F) and labels as int (N,).

    Raises:
        MammoError: as `linear_svm`.
    """
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    if features.ndim != 2 or not features.shape[1] or labels.shape != features.shape[:1]:
        raise cases.MammoError(
            f"classifier: features {features.shape} and labels {labels.shape}; expected (N, F) and (N,), F >= 1"
        )
    if wrong := int((~np.isfinite(features)).sum()):
        raise cases.MammoError(f"classifier: {wrong} of {features.size} features are not finite")
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise cases.MammoError(f"classifier: labels {np.unique(labels)[:5].tolist()}; expected 0 and 1, both of them")
    return features, labels.astype(int)


def _machine(kernel: np.ndarray, labels: np.ndarray, c: float, iterations: int) -> svm.SVC:
    """A machine fitted on the products (N, N) of its examples."""
    if not math.isfinite(c) or c <= 0 or iterations < 1:
        raise cases.MammoError(f"classifier: c {c} and {iterations} iterations; expected c > 0 and 1 or more")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        return svm.SVC(kernel="precomputed", C=c, max_iter=iterations).fit(kernel, labels)


def _stopped(name: str, early: bool, iterations: int) -> str:
    return f"the {name} was stopped after {iterations} iterations" if early else ""
