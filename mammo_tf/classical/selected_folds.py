"""What a recipe of `selected` is worth by cross-validation, in two ways of fitting, on arrays alone.

    honest        Patients are dealt to the folds. In each, everything (scaling, selection, SMOTE, classifier) is
                  fitted on the examples of the others.
    as_published  Scaling, selection and SMOTE are fitted on everything before the split; then examples are dealt,
                  synthetic ones included, whoever the patient, and in each fold the classifier alone is fitted.

That the paper fitted so follows from Table 2: its accuracies without SMOTE are whole numbers of 136 test images,
those with SMOTE of 205. These are 33 % of 410 images and of 620 = 2 x 310, and 620 there are only where synthetic
images stand in the test part. Its "AUC" is the balanced accuracy of hard labels; the area under the ROC curve of the
decision scores stands beside it here. Scores of several folds have no common scale, so neither is ever pooled.

On noise the first is worth 1/2 and the second is not: `noise` makes what shows it (benchmarks/noise_rows.py).

    found = as_published(Recipe(margins.linear_svm, 0.01, smote=True), *noise(seed=0), seed=0)
    scores(found).balanced_accuracy                                              # about 1, on nothing
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from sklearn import metrics, model_selection

from mammo_tf import cases
from mammo_tf.classical import margins, selected

ALGORITHM_VERSION = 1
FOLDS = 10  # "a 10-fold cross validation of the balanced accuracy score"
TEST_SHARE = 0.33  # of the one split behind the columns "Accuracy" and "AUC"
PATIENTS = ((90, 4), (25, 2))  # section 4: cases by number of images, 410 in all
POSITIVE_BREASTS = 50  # of 205, two images each: 100 of 410 are BI-RADS 4 to 6

Deal = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class OutOfFold:
    """Decision scores of examples that the classifier of their fold has not seen.

    Attributes:
        labels: 0/1 (M,).
        decisions: (M,), above 0 for class 1.
        folds: (M,) int, the fold in which each was tested.
        rows: (M,) int, the example's place in the arrays given, -1 for a synthetic one.
        kept: features that each fold kept, (folds,).
        notes: what did not go as it should, each once.
    """

    labels: np.ndarray
    decisions: np.ndarray
    folds: np.ndarray
    rows: np.ndarray
    kept: np.ndarray
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Scores:
    """Means over folds; NaN where a fold leaves a number undefined.

    Attributes:
        balanced_accuracy: of hard labels: the paper's "mean", and of one split its "AUC".
        deviation: of the balanced accuracy over the folds (F - 1 in the denominator); NaN for one.
        accuracy: of hard labels.
        auc: area under the ROC curve of decision scores.
        auc_deviation: over the folds.
        folds: how many.
    """

    balanced_accuracy: float
    deviation: float
    accuracy: float
    auc: float
    auc_deviation: float
    folds: int


def kfold(labels: np.ndarray, groups: np.ndarray, seed: int, *, folds: int = FOLDS) -> np.ndarray:
    """The fold (N,) in which each example is tested: groups dealt, stratified by whether one of theirs is positive.

    Groups are dealt as `datasets.splits.patient_kfold` deals patients: by the same seed into the same folds.

    Raises:
        MammoError: a class has fewer groups than folds.
    """
    names, members = np.unique(groups, return_inverse=True)
    positive = np.zeros(len(names), int)
    np.maximum.at(positive, members, labels.astype(int))
    fewest = int(np.bincount(positive, minlength=2).min())
    if not 2 <= folds <= fewest:
        raise cases.MammoError(f"folds: {folds} of them, but the rarer class has {fewest} groups; 2 to {fewest} work")
    fold = np.empty(len(names), int)
    dealer = model_selection.StratifiedKFold(folds, shuffle=True, random_state=seed)
    for k, (_, test) in enumerate(dealer.split(names, positive)):
        fold[test] = k
    return fold[members]


def holdout(labels: np.ndarray, groups: np.ndarray, seed: int, *, share: float = TEST_SHARE) -> np.ndarray:
    """0 (N,) for examples of the one test part, -1 for the others: groups dealt at random, not stratified.

    The paper's test part of 136 images holds 35 positives where a stratified one would hold 33.
    """
    del labels
    splitter = model_selection.GroupShuffleSplit(1, test_size=share, random_state=seed)
    _, test = next(splitter.split(groups, groups=groups))
    fold = np.full(len(groups), -1)
    fold[test] = 0
    return fold


def honest(
    recipe: selected.Recipe,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    seed: int,
    *,
    ids: Sequence[str] | None = None,
    deal: Deal = kfold,
) -> OutOfFold:
    """Everything fitted inside the training part of each fold.

    Args:
        recipe: what is done.
        features: (N, F), finite.
        labels: 0/1 (N,).
        groups: the patient of each example (N,).
        seed: of the deal and of SMOTE.
        ids: of the examples (N,), each once. With them the order of the arrays does not matter.
        deal: (labels, groups, seed) -> folds (N,), -1 for examples that are never tested.

    Raises:
        MammoError: shapes that do not agree, ids that repeat, or as `selected.learn` and `deal`.
    """
    features, labels, groups, rows = _ordered(features, labels, groups, ids)
    fold = deal(labels, groups, seed)
    fits = []
    for k in range(fold.max() + 1):
        train, test = fold != k, fold == k
        learned = selected.learn(recipe, features[train], labels[train], seed)
        fits.append((learned(features[test]), len(learned.columns.columns), learned.notes))
    return _joined(fits, labels, fold, rows)


def as_published(
    recipe: selected.Recipe,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    seed: int,
    *,
    ids: Sequence[str] | None = None,
    deal: Deal = kfold,
) -> OutOfFold:
    """Scaling, selection and SMOTE fitted on everything, then examples dealt; synthetic ones are tested as well.

    Arguments and errors as for `honest`; groups are not looked at.
    """
    features, labels, groups, rows = _ordered(features, labels, groups, ids)
    columns = selected.prepared(recipe, features, labels)
    ready = columns(features)
    if recipe.smote:
        ready, labels = selected.balanced(ready, labels, seed)
        rows = np.append(rows, np.full(len(labels) - len(rows), -1))
    fold = deal(labels, np.arange(len(labels)), seed)
    fits = []
    for k in range(fold.max() + 1):
        decide = recipe.classify(ready[fold != k], labels[fold != k], seed)
        learned = selected.Learned(columns, decide, features.shape[1])
        fits.append((decide(ready[fold == k]), len(columns.columns), learned.notes))
    return _joined(fits, labels, fold, rows)


PROTOCOLS = {"as_published": as_published, "honest": honest}


def _ordered(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, ids: Sequence[str] | None
) -> tuple[np.ndarray, ...]:
    """Features, labels, groups by id, and the place of each in what was given."""
    features, labels = margins.checked(features, labels)
    groups = np.asarray(groups)
    rows = np.arange(len(labels)) if ids is None else np.argsort(np.asarray(ids), kind="stable")
    if groups.shape != labels.shape or rows.shape != labels.shape:
        raise cases.MammoError(
            f"folds: {groups.shape} groups, {rows.shape} ids for {labels.shape} labels; one for each"
        )
    if ids is not None and len(set(ids)) < len(rows):
        raise cases.MammoError(f"folds: {len(rows) - len(set(ids))} of {len(rows)} ids repeat")
    return features[rows], labels[rows], groups[rows], rows


def _joined(
    fits: Sequence[tuple[np.ndarray, int, tuple[str, ...]]], labels: np.ndarray, fold: np.ndarray, rows: np.ndarray
) -> OutOfFold:
    """Decisions (of fold 0, then 1, ...) back in the order of the examples."""
    decisions, tested = np.full(len(fold), math.nan), fold >= 0
    for k, (scores, _, _) in enumerate(fits):
        decisions[fold == k] = scores
    notes = tuple(dict.fromkeys(note for _, _, said in fits for note in said))
    kept = np.array([count for _, count, _ in fits])
    return OutOfFold(labels[tested], decisions[tested], fold[tested], rows[tested], kept, notes)


def per_fold(found: OutOfFold) -> dict[str, np.ndarray]:
    """balanced_accuracy, accuracy and auc of each fold, (folds,) each; NaN for a fold that lacks a class."""
    values: dict[str, list[float]] = {"balanced_accuracy": [], "accuracy": [], "auc": []}
    for k in range(len(found.kept)):
        labels, decisions = found.labels[found.folds == k], found.decisions[found.folds == k]
        called, both = (decisions >= 0).astype(int), len(np.unique(labels)) == 2
        values["accuracy"].append(float(np.mean(called == labels)))
        values["balanced_accuracy"].append(metrics.balanced_accuracy_score(labels, called) if both else math.nan)
        values["auc"].append(metrics.roc_auc_score(labels, decisions) if both else math.nan)
    return {name: np.array(column) for name, column in values.items()}


def scores(found: OutOfFold) -> Scores:
    """The means over the folds, and how far the folds are apart."""
    values, count = per_fold(found), len(found.kept)
    spread = {name: float(np.std(v, ddof=1)) if count > 1 else math.nan for name, v in values.items()}
    mean = {name: float(np.mean(v)) for name, v in values.items()}
    return Scores(
        mean["balanced_accuracy"],
        spread["balanced_accuracy"],
        mean["accuracy"],
        mean["auc"],
        spread["auc"],
        count,
    )


def noise(
    seed: int,
    *,
    features: int = 4096,
    patients: Sequence[tuple[int, int]] = PATIENTS,
    positive_breasts: int = POSITIVE_BREASTS,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that tell nothing, with labels and patients as INbreast has them.

    Args:
        seed: of features and labels.
        features: how many, F.
        patients: pairs (how many, images of each), images in pairs of one breast.
        positive_breasts: breasts of label 1.

    Returns:
        standard normal features (N, F), labels (N,) int and patients (N,) int.
    """
    rng = np.random.default_rng(seed)
    images = np.repeat([each for _, each in patients], [many for many, _ in patients])
    groups = np.repeat(np.arange(len(images)), images)
    positive = np.zeros(len(groups) // 2, int)
    positive[rng.choice(len(positive), positive_breasts, replace=False)] = 1
    return rng.standard_normal((len(groups), features)), np.repeat(positive, 2), groups
