"""A random forest on regional features: the second half of the two-step approach.

Source: Shen et al., section 3.1.4: "#trees=500, max depth=9, min samples split=300", on their training part of 1903
images. Where there are fewer, 300 would leave stumps or nothing; `scaled_min_samples_split` keeps its share.

    fitted = forest.forest(features, labels, seed=0, min_samples_split=forest.scaled_min_samples_split(len(labels)))
    fitted(test_features)          # float32 (N, 2)
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from sklearn import ensemble

from mammo_tf import cases

ALGORITHM_VERSION = 1

PAPER_IMAGES = 1903
PAPER_MIN_SAMPLES_SPLIT = 300


@dataclasses.dataclass(frozen=True)
class Forest:
    """A fitted forest, a function of features.

    Attributes:
        model: of scikit-learn, with the classes 0 and 1.
    """

    model: ensemble.RandomForestClassifier

    def __call__(self, features: ArrayLike) -> np.ndarray:
        """Features (N, F) -> probabilities of class 0 and 1, float32 (N, 2).

        Raises:
            cases.MammoError: another number of features than the forest was fitted on, or values that are not finite.
        """
        features = _checked(features)
        if features.shape[1] != self.model.n_features_in_:
            raise cases.MammoError(
                f"forest: {features.shape[1]} features; it was fitted on {self.model.n_features_in_}"
            )
        if not len(features):
            return np.zeros((0, 2), np.float32)
        return self.model.predict_proba(features).astype(np.float32)


def forest(
    features: ArrayLike,
    labels: ArrayLike,
    seed: int,
    *,
    trees: int = 500,
    max_depth: int = 9,
    min_samples_split: int = PAPER_MIN_SAMPLES_SPLIT,
) -> Forest:
    """Fits the forest; the rest is scikit-learn's default (Gini impurity, sqrt(F) features a split, bootstrap).

    Args:
        features: (N, F), finite.
        labels: 0/1 (N,), both classes.
        seed: of bootstrap and feature draws.
        min_samples_split: a node of fewer examples is a leaf. With N below it every tree is a single leaf and the
            answer is the share of class 1, whatever the features.

    Raises:
        cases.MammoError: shapes that do not agree, labels other than 0 and 1 or of one class alone.
    """
    features, labels = _checked(features), np.asarray(labels)
    if labels.shape != (len(features),):
        raise cases.MammoError(f"forest: {labels.shape} labels for features {features.shape}; expected one an image")
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise cases.MammoError(f"forest: labels {np.unique(labels)[:5].tolist()}; expected 0 and 1, and both of them")
    model = ensemble.RandomForestClassifier(
        n_estimators=trees, max_depth=max_depth, min_samples_split=min_samples_split, random_state=seed
    )
    return Forest(model.fit(features, labels.astype(int)))


def scaled_min_samples_split(images: int) -> int:
    """The paper's 300 of 1903 training images as the same share of `images`; never more than 300 nor less than 2.

    >>> [scaled_min_samples_split(n) for n in (4, 190, 1903, 10_000)]
    [2, 30, 300, 300]
    """
    return min(PAPER_MIN_SAMPLES_SPLIT, max(2, round(PAPER_MIN_SAMPLES_SPLIT * images / PAPER_IMAGES)))


def _checked(features: ArrayLike) -> np.ndarray:
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2:
        raise cases.MammoError(f"forest: features {features.shape}; expected (images, features)")
    if wrong := int((~np.isfinite(features)).sum()):
        raise cases.MammoError(f"forest: {wrong} of {features.size} features are not finite")
    return features
