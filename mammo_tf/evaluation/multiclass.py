"""A classifier of K classes (the patch nets of shen2019, Table 1): metrics with intervals over patients.

Wilson's bounds for accuracy and recalls (`wilson`), Student's for the log-loss, a percentile bootstrap over
whole patients for balanced accuracy and the macro one-vs-rest AUC. What chance gives: balanced accuracy 1 / K and
every AUC 1/2 for any answer that does not look at the image; accuracy as much as the share of the commonest class,
which is why `majority` is the row to beat.

    found = multiclass.evaluate(labels, probabilities, patients, ("background", "malignant mass", ...))
    found["accuracy"].low, found["recall: malignant mass"].value
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, intervals, marks, metrics, wilson

ALGORITHM_VERSION = 3

TOLERANCE = 1e-3  # by which the probabilities of an example may miss the sum 1
ROUNDING = 1e-5  # by which a probability in float32 may pass 1
RECALL = "recall: "


def evaluate(
    labels: ArrayLike,
    probabilities: ArrayLike,
    groups: Sequence[str] | np.ndarray,
    class_names: Sequence[str],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, intervals.Estimate]:
    """accuracy, balanced_accuracy, auc, log_loss and "recall: <class>" for each class.

    The likeliest class is the answer, the first one on a tie. balanced_accuracy is the mean of the recalls,
    auc the mean over classes of the AUC of that class's probability against the rest. A class without an example has
    no recall and no part in the two means, and stands in `method` as one of 0 patients, beside those of few. A draw
    that has no example of a class that the data have leaves both undefined; the share of such draws stands there too.

    Args:
        labels: int (N,) in 0..K-1.
        probabilities: (N, K) in [0, 1], rows that sum to 1.
        groups: the patient of each example (N,).
        class_names: K different names.

    Raises:
        cases.MammoError: shapes that do not agree, or values out of range.
    """
    labels, p = checked(labels, probabilities, class_names)
    if len(groups) != len(labels):
        raise cases.MammoError(
            f"multiclass: {len(groups)} patients for {len(labels)} examples; expected one for each"
        )
    index, patients = bootstrap.patient_index(np.asarray(groups))
    weights = bootstrap.resample(patients, draws, seed)
    table = bootstrap.sums(_cells(labels, p), index, patients)
    there = np.unique(labels)
    balanced = [_balanced(sums, there) for sums in (table.sum(axis=0), weights @ table)]
    ranking = auc(labels, p), _auc_draws(labels, p, index, weights)
    counts, few = (len(labels), patients), _few(labels, index, class_names)
    counted = {name: _wilson(one, counts) for name, one in _counted(labels, p, index, class_names).items()}
    return {
        "accuracy": counted.pop("accuracy"),
        "balanced_accuracy": _estimate(float(balanced[0]), balanced[1], counts, few),
        "auc": _estimate(ranking[0], ranking[1], counts, few),
        "log_loss": intervals.of_losses([(log_losses(labels, p), index)], patients, None),
        **counted,
    }


def majority(
    train_labels: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[str] | np.ndarray,
    class_names: Sequence[str],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, intervals.Estimate]:
    """`evaluate` of the classifier that gives every example the class shares of training, (K,): the row to beat.

    Recalls (1 for the commonest class, else 0), balanced accuracy 1 / K (K classes with examples) and AUC 1/2 cannot
    vary: their interval has width 0 and is exact.
    """
    shares = class_shares(train_labels, len(class_names))
    found = evaluate(
        labels, np.tile(shares, (len(np.asarray(labels)), 1)), groups, class_names, draws=draws, seed=seed
    )
    exact = [n for n in ("balanced_accuracy", "auc", *(RECALL + k for k in class_names)) if found[n].value >= 0]
    return {
        name: dataclasses.replace(e, low=e.value, high=e.value, method=intervals.CONSTANT) if name in exact else e
        for name, e in found.items()
    }


def class_shares(labels: ArrayLike, classes: int) -> np.ndarray:
    """The share of each class among labels (N,): float64 (K,), sum 1.

    >>> class_shares([0, 0, 2, 1], 3).tolist()
    [0.5, 0.25, 0.25]
    """
    labels = _whole(labels, classes)
    return np.bincount(labels, minlength=classes) / len(labels)


def above_chance(
    estimates: Mapping[str, intervals.Estimate], classes: int, shares: ArrayLike | None = None
) -> dict[str, bool]:
    """By class, whether the lower bound of its recall is above what guessing reaches.

    Whoever answers class k with probability q_k without looking at the image has recall q_k in class k. q are the
    class shares of training, or 1 / K for each without them. (One and the same answer for all reaches 1 in its class
    and 0 in the rest, so no recall alone beats it; balanced accuracy against 1 / K does.) An undefined bound is not
    above.

    Args:
        estimates: of `evaluate`.
        classes: K, as many recalls as `estimates` holds.
        shares: q, (K,), in the order of the classes; sums to 1.

    Raises:
        cases.MammoError: another number of recalls or of shares than `classes`.
    """
    recalls = {name.removeprefix(RECALL): e for name, e in estimates.items() if name.startswith(RECALL)}
    q = np.full(classes, 1 / classes) if shares is None else np.asarray(shares, dtype=np.float64)
    if len(recalls) != classes or q.shape != (classes,):
        raise cases.MammoError(f"multiclass: {len(recalls)} recalls and shares {q.shape} for {classes} classes")
    return {name: bool(e.low > chance) for (name, e), chance in zip(recalls.items(), q, strict=True)}


def confusion_matrix(labels: ArrayLike, probabilities: ArrayLike) -> np.ndarray:
    """int (K, K) of labels (N,) against the likeliest classes of probabilities (N, K); rows are the true class.

    >>> confusion_matrix([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]).tolist()
    [[1, 0], [1, 1]]
    """
    classes = np.shape(probabilities)[-1]
    labels, p = checked(labels, probabilities, range(classes))
    return _cells(labels, p).sum(axis=0).astype(int).reshape(classes, classes)


def log_losses(labels: ArrayLike, probabilities: ArrayLike) -> np.ndarray:
    """-log P(label) of each example, (N,) in nats; probabilities (N, K) are clipped to [EPSILON, 1 - EPSILON]."""
    p = np.asarray(probabilities, dtype=np.float64)
    chosen = p[np.arange(len(p)), np.asarray(labels, dtype=np.int64)]
    return -np.log(np.clip(chosen, metrics.EPSILON, 1 - metrics.EPSILON))


def auc(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean over the classes that have examples of the AUC of their probability against the rest; NaN for one class.

    Args:
        labels: (N,).
        probabilities: (N, K).
    """
    labels, p = np.asarray(labels), np.asarray(probabilities)
    return float(np.mean([metrics.auc(labels == k, p[:, k]) for k in np.unique(labels)]))


def checked(labels: ArrayLike, probabilities: ArrayLike, class_names: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """Labels as int (N,) and probabilities as float64 (N, K), N >= 1, K = the number of names >= 2.

    Raises:
        cases.MammoError: as `evaluate`.
    """
    p, classes = np.asarray(probabilities, dtype=np.float64), len(class_names)
    if len(set(class_names)) < max(classes, 2):
        raise cases.MammoError(f"multiclass: class names {list(class_names)}; expected two or more different ones")
    if p.shape != (len(np.asarray(labels)), classes):
        raise cases.MammoError(
            f"multiclass: {np.shape(labels)} labels and {p.shape} probabilities; expected (N,) and (N, {classes})"
        )
    labels = _whole(labels, classes)
    if wrong := int((~((p >= 0) & (p <= 1 + ROUNDING))).sum()):
        raise cases.MammoError(f"multiclass: {wrong} of {p.size} probabilities are not in [0, 1]")
    if wrong := int((np.abs(p.sum(axis=1) - 1) > TOLERANCE).sum()):
        raise cases.MammoError(f"multiclass: the probabilities of {wrong} of {len(p)} examples do not sum to 1")
    return labels, p


def _whole(labels: ArrayLike, classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels):
        raise cases.MammoError(f"multiclass: {labels.shape} labels; expected (N,), one at least")
    if wrong := int((~np.isin(labels, np.arange(classes))).sum()):
        raise cases.MammoError(f"multiclass: {wrong} of {len(labels)} labels are none of 0..{classes - 1}")
    return labels.astype(np.int64)


def _cells(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Which cell of the confusion matrix an example falls in: float64 (N, K * K), one 1 a row, true class first."""
    classes = p.shape[1]
    return np.eye(classes * classes)[classes * labels + p.argmax(axis=1)]


def _balanced(sums: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The mean recall (...) of cells (..., K * K) over the classes `there`, those that have examples."""
    classes = math.isqrt(sums.shape[-1])
    matrix = sums.reshape(*sums.shape[:-1], classes, classes)
    right, true = np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(axis=-1)
    recalls = np.divide(right, true, out=np.full(true.shape, np.nan), where=true > 0)
    return recalls[..., there].mean(axis=-1)


def _auc_draws(labels: np.ndarray, p: np.ndarray, index: np.ndarray, weights: np.ndarray) -> np.ndarray:
    each = [bootstrap.auc_draws((labels == k).astype(int), p[:, k], index, weights) for k in np.unique(labels)]
    return np.mean(each, axis=0)


def _few(labels: np.ndarray, index: np.ndarray, class_names: Sequence[str]) -> str:
    """The mark of a mean over classes some of which have few patients."""
    counts = {name: len(np.unique(index[labels == k])) for k, name in enumerate(class_names)}
    few = [f"{name} ({count} patients)" for name, count in counts.items() if count < bootstrap.FEW]
    return "; few " + ", ".join(few) if few else ""


def _counted(
    labels: np.ndarray, p: np.ndarray, index: np.ndarray, class_names: Sequence[str]
) -> dict[str, wilson.Ratio]:
    """accuracy and the recalls as ratios."""
    right, patients = (p.argmax(axis=1) == labels).astype(float), int(index.max()) + 1
    of = {"accuracy": np.ones(len(labels))} | {RECALL + n: (labels == k) * 1.0 for k, n in enumerate(class_names)}
    return {name: wilson.ratios([(right * there, there, index)], patients) for name, there in of.items()}


def _wilson(found: wilson.Ratio, counts: tuple[int, int]) -> intervals.Estimate:
    n, patients = counts
    if math.isnan(found.value):
        return intervals.Estimate(math.nan, math.nan, math.nan, n, "undefined: a class without examples", patients)
    method = intervals.COUNT_METHOD + marks.of_ratio(found)
    return intervals.Estimate(found.value, *wilson.bounds(found), n, method, patients)


def _estimate(value: float, drawn: np.ndarray, counts: tuple[int, int], few: str) -> intervals.Estimate:
    n, patients = counts
    if math.isnan(value):
        return intervals.Estimate(value, math.nan, math.nan, n, "undefined: a class without examples", patients)
    low, high, undefined = bootstrap.bounds(drawn)
    method = f"clustered bootstrap, {len(drawn)} draws{few}"
    if undefined:
        method += f"; undefined in {100 * undefined:.2g} % of the draws"
    if low == high:
        method += "; degenerate"
    return intervals.Estimate(value, low, high, n, method, patients)
