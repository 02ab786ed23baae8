"""Feature vectors to an answer: standardise, select by Lasso, balance by SMOTE, classify; and as a method.

"Low Resource Breast Cancer Detection with Mammograms", section 3.2: features of a net, "reduced number of features by
using Lasso", "over-sample the malignant cases using" SMOTE, then a support vector machine or logistic regression. The
numbers of features in its Table 2 are the same with and without SMOTE, so selection comes first.

    Lasso    on standardised features and labels 0 and 1 (`lasso`); features with a weight other than 0 stay. Where
             none does, the `least` with the largest |correlation| with the label stay, and a note says so.
    SMOTE    Chawla et al. (2002, doi:10.1613/jair.953), imbalanced-learn's, from 5 neighbours (or as many as there
             are), until both classes are as large. It acts on what is learned from alone.

What is fitted here is fitted on what it is given. Given the training part of a fold that is `honest`; given
everything before the split it is not (`selected_folds`).

    recipe = Recipe(margins.linear_svm, alpha=0.01, smote=True)
    learn(recipe, features, labels, seed=0)(test_features)                       # (N,) decision scores
    Selected(measure, recipe).fit(train, val, context)(test)                     # (N, 2) probabilities
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.special
from sklearn import preprocessing

from mammo_tf import cache, cases
from mammo_tf.classical import lasso, margins

ALGORITHM_VERSION = 1
LOG = logging.getLogger("mammo_tf")
NEIGHBOURS = 5

Measure = Callable[[Sequence[cases.Example]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A row of Table 2 but for the features.

    Attributes:
        classify: (features (N, F), labels (N,), seed) -> features -> decision scores (N,), as those of `margins`.
        alpha: of the Lasso, or None.
        smote: enlarge the smaller class.
        least: so many features stay where the Lasso would keep none.
        keep: features for each example learned from, below 1, in place of an alpha, which is searched. Without
            either no feature is left out.
    """

    classify: Callable[..., Any]
    alpha: float | None = None
    smote: bool = False
    least: int = 10
    keep: float | None = None

    def __post_init__(self):
        if (self.alpha is not None and not self.alpha > 0) or self.least < 1:
            raise cases.MammoError(f"recipe: alpha {self.alpha}, least {self.least}; expected above 0, 1 or more")
        if self.keep is not None and (self.alpha is not None or not 0 < self.keep < 1):
            raise cases.MammoError(f"recipe: keep {self.keep}, alpha {self.alpha}; one of them, keep between 0 and 1")

    @property
    def selects(self) -> bool:
        """Whether features are left out."""
        return self.alpha is not None or self.keep is not None


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """Standardisation and selection, a function of features.

    Attributes:
        columns: those that stay, (S,) int, rising.
        mean, scale: (S,), of what it was fitted on.
        notes: what did not go as it should, in words.
    """

    columns: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    notes: tuple[str, ...] = ()

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (N, F) -> standardised ones that stay, (N, S) float64."""
        return (np.asarray(features, np.float64)[:, self.columns] - self.mean) / self.scale


@dataclasses.dataclass(frozen=True, eq=False)
class Learned:
    """What was learned of features and labels, a function of features.

    Attributes:
        columns: standardises and selects.
        decide: (N, S) -> decision scores (N,).
        width: number of features before selection.
        synthetic: how many examples SMOTE made.
    """

    columns: Columns
    decide: Any
    width: int
    synthetic: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What did not go as it should, in words."""
        stopped = getattr(self.decide, "stopped", "")
        return (*self.columns.notes, *([stopped] if stopped else []))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (N, F) -> decision scores (N,) float64, above 0 for class 1.

        Raises:
            MammoError: another number of features.
        """
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != self.width:
            raise cases.MammoError(f"selected: features {features.shape}; it was learned on {self.width}")
        return self.decide(self.columns(features)) if len(features) else np.zeros(0)


def learn(recipe: Recipe, features: np.ndarray, labels: np.ndarray, seed: int) -> Learned:
    """Everything fitted on these examples.

    Args:
        recipe: what is done.
        features: (N, F), finite.
        labels: 0/1 (N,), both classes.
        seed: of SMOTE.

    Raises:
        MammoError: as `margins.checked` and `balanced`.
    """
    features, labels = margins.checked(features, labels)
    columns = prepared(recipe, features, labels)
    ready, classes = columns(features), labels
    if recipe.smote:
        ready, classes = balanced(ready, labels, seed)
    decide = recipe.classify(ready, classes, seed)
    return Learned(columns, decide, features.shape[1], len(classes) - len(labels))


def prepared(recipe: Recipe, features: np.ndarray, labels: np.ndarray) -> Columns:
    """Standardisation and, where the recipe selects, selection, fitted on features (N, F) and labels (N,).

    A constant feature becomes 0, which no Lasso keeps. The weights are kept in memory by content, so that recipes
    that differ in what follows share them.

    Raises:
        MammoError: as `margins.checked`.
    """
    features, labels = margins.checked(features, labels)
    scaler = preprocessing.StandardScaler().fit(features)
    if not recipe.selects:
        return Columns(np.arange(features.shape[1]), scaler.mean_, scaler.scale_)
    content = hashlib.sha256(np.ascontiguousarray(features).data)
    content.update(np.ascontiguousarray(labels).data)
    key = ("lasso", features.shape, content.hexdigest(), recipe.alpha, recipe.keep)
    how = {"alpha": recipe.alpha, "keep": recipe.keep}
    found = cache.remembered(key, lambda: lasso.weights(scaler.transform(features), labels, **how))
    columns = np.flatnonzero(found[:-1])
    notes = {
        lasso.STOPPED: (f"the Lasso was stopped after {lasso.ITERATIONS} iterations",),
        lasso.ENDED: (f"the path of the Lasso ended with {len(columns)} features",),
    }.get(found[-1], ())
    if not len(columns):
        columns = correlated(features, labels, recipe.least)
        notes += (f"the Lasso kept no feature: the {len(columns)} with the largest correlations stand for it",)
    return Columns(columns, scaler.mean_[columns], scaler.scale_[columns], notes)


def correlated(features: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The columns (count,) whose |correlation| with the labels is largest, rising; of equals the first.

    >>> correlated(np.array([[0, 1, 5], [1, 0, 5], [0, 1, 6], [1, 0, 4]]), np.array([0, 1, 0, 1]), 2)
    array([0, 1])
    """
    z = preprocessing.StandardScaler().fit_transform(np.asarray(features, np.float64))
    strength = np.abs(z.T @ (labels - np.mean(labels)))
    return np.sort(np.argsort(-strength, kind="stable")[:count])


def balanced(features: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The examples, then the synthetic ones of the smaller class: features (M, F) and labels (M,).

    Raises:
        MammoError: the smaller class has one example alone, or imbalanced-learn is not installed.
    """
    fewest = int(np.bincount(labels, minlength=2).min())
    if fewest < 2:
        raise cases.MammoError(f"SMOTE: the smaller class has {fewest} example(s); it needs two to go between")
    smote = _over_sampling().SMOTE(k_neighbors=min(NEIGHBOURS, fewest - 1), random_state=seed)
    return smote.fit_resample(features, labels)


def _over_sampling() -> Any:
    try:
        return importlib.import_module("imblearn.over_sampling")  # takes two seconds, and few rows need it
    except ImportError:
        raise cases.MammoError("SMOTE: this row needs a package: pip install imbalanced-learn") from None


@dataclasses.dataclass(frozen=True)
class Selected:
    """The method: everything is fitted on the training part, validation is not looked at.

    Attributes:
        features: context -> (examples -> (N, F)); what it returns may have `problems` (`deep_features.DeepFeatures`).
        recipe: what becomes of them.
    """

    features: Callable[[cases.Context], Measure]
    recipe: Recipe

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Fitted:
        """Learns from the training examples, whatever their order.

        Raises:
            DataError: a file cannot be read.
            MammoError: as `learn`.
        """
        del val
        train = sorted(train, key=_id)
        measure = self.features(context)
        labels = np.array([example.label for example in train])
        learned = learn(self.recipe, measure(train), labels, context.seed)
        fitted = Fitted(measure, learned, self.recipe, context.seed)
        counts = (fitted.kept, learned.width, len(train), learned.synthetic)
        LOG.info("selected: %d of %d features, %d examples and %d synthetic ones", *counts)
        for note in learned.notes:
            LOG.warning("selected: %s", note)
        return fitted


def _id(example: cases.Example) -> str:
    return example.id


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """What was learned, a function of examples.

    Attributes:
        measure: examples -> features (N, F).
        learned: features -> decision scores.
        recipe, seed: what it was learned by.
    """

    measure: Measure
    learned: Learned
    recipe: Recipe
    seed: int

    @property
    def kept(self) -> int:
        """How many features count."""
        return len(self.learned.columns.columns)

    @property
    def problems(self) -> tuple[cases.Problem, ...]:
        """What did not go as it should while fitting, and what was missing of the examples measured."""
        notes = (cases.Problem("classifier", note, "left out") for note in self.learned.notes)
        return (*notes, *getattr(self.measure, "problems", ()))

    def decisions(self, examples: Sequence[cases.Example]) -> np.ndarray:
        """Decision scores (N,) float64."""
        return self.learned(self.measure(examples)) if len(examples) else np.zeros(0)

    def __call__(self, examples: Sequence[cases.Example]) -> np.ndarray:
        """(N, 2) float32: the logistic of the decision score for class 1, so that 1/2 stands for a score of 0.

        Of logistic regression these are its probabilities; of a support vector machine they rank as the scores do,
        and are no estimates of a probability.
        """
        scores = self.decisions(examples)
        return scipy.special.expit(np.stack([-scores, scores], axis=1)).astype(np.float32)
