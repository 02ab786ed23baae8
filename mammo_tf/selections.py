"""Hooks for rows of "Low Resource Breast Cancer Detection with Mammograms", Table 2: its numbers, and those of noise.

Run(..., method=Selected(...) or SelectedFirst(...), together=(table2, functools.partial(on_noise, count=20)))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mammo_tf import cases
from mammo_tf.classical import selected, selected_first, selected_folds
from mammo_tf.evaluation import intervals


def table2(done: Sequence[Any]) -> dict[str, intervals.Estimate]:
    """What the columns of Table 2 say, of the folds and of one split.

    Args:
        done: a `run.Done` a fold, fitted by `selected.Selected` or `selected_first.SelectedFirst`.

    Returns:
        `cv_balanced_accuracy`, `cv_auc` (of decision scores): the mean over folds with the least and the largest;
        `cv_deviation` of the former; `holdout_accuracy`, `holdout_balanced_accuracy` (the paper's "AUC", of hard
        labels) and `holdout_auc` of one split with a third in the test part; `features_kept`. Under a fit before the
        split synthetic images count among those tested; no interval is theirs, since they have no patient.
    """
    folds = _out_of_folds(done)
    each, of_folds = selected_folds.per_fold(folds), selected_folds.scores(folds)
    n, made = len(folds.labels), int((folds.rows < 0).sum())
    said = f"mean, least and largest of {of_folds.folds} folds"
    said += f"; {made} of {n} images are synthetic" if made else ""
    one = _holdout(done)
    alone = f"one split, {len(one.labels)} images, {int((one.rows < 0).sum())} of them synthetic"
    split = selected_folds.scores(one)
    kept = folds.kept
    return {
        "cv_balanced_accuracy": _spanned(each["balanced_accuracy"], n, said),
        "cv_auc": _spanned(each["auc"], n, said),
        "cv_deviation": _plain(of_folds.deviation, n, f"standard deviation over {of_folds.folds} folds"),
        "holdout_accuracy": _plain(split.accuracy, len(one.labels), alone),
        "holdout_balanced_accuracy": _plain(split.balanced_accuracy, len(one.labels), alone),
        "holdout_auc": _plain(split.auc, len(one.labels), alone),
        "features_kept": _spanned(kept.astype(float), len(kept), f"mean, least and largest of {len(kept)} folds"),
    }


def _out_of_folds(done: Sequence[Any]) -> selected_folds.OutOfFold:
    labels, decisions, numbers, rows = [], [], [], []
    for k, fold in enumerate(done):
        fitted, p = fold.fitted, fold.predictions
        if isinstance(fitted, selected_first.Fitted):
            labels.append(fitted.labels_there)
            decisions.append(fitted.decisions_there)
        else:
            labels.append(p.labels)
            decisions.append(fitted.decisions(p.examples))
        numbers.append(np.full(len(labels[-1]), k))
        rows.append(np.where(np.arange(len(labels[-1])) < len(p.labels), 0, -1))
    kept = np.array([fold.fitted.kept for fold in done])
    return selected_folds.OutOfFold(*map(np.concatenate, (labels, decisions, numbers, rows)), kept)


def _holdout(done: Sequence[Any]) -> selected_folds.OutOfFold:
    """One split with a third of the images (or, honestly, of the patients) in the test part."""
    fitted, examples = done[0].fitted, _everyone(done)
    how = {"ids": [example.id for example in examples], "deal": selected_folds.holdout}
    labels, patients = _facts(examples)
    way, recipe, seed = _way(fitted), fitted.recipe, fitted.seed
    return way(recipe, fitted.measure(examples), labels, patients, seed, **how)


def on_noise(done: Sequence[Any], *, count: int) -> dict[str, intervals.Estimate]:
    """The row on features that tell nothing, of the same shape, labels and patients: the mean over `count` noises.

    Returns:
        `noise_balanced_accuracy` and `noise_auc`, means over folds, with three standard errors of the mean over the
        noises to either side; nothing where `count` is below 2.
    """
    if count < 2:
        return {}
    fitted, examples = done[0].fitted, _everyone(done)
    labels, patients = _facts(examples)
    deal = _kfold(len(done))
    found = []
    for seed in range(count):
        features = np.random.default_rng(seed).standard_normal((len(labels), fitted.learned.width))
        folds = _way(fitted)(fitted.recipe, features, labels, patients, seed, deal=deal)
        scores = selected_folds.scores(folds)
        found.append((scores.balanced_accuracy, scores.auc))
    said = f"mean over {count} noises and {len(done)} folds, three standard errors"
    names = ("noise_balanced_accuracy", "noise_auc")
    return {
        name: _errors(np.array(values), said) for name, values in zip(names, zip(*found, strict=True), strict=True)
    }


def _everyone(done: Sequence[Any]) -> list[cases.Example]:
    parts = done[0].parts
    return sorted((*parts.train, *parts.val, *parts.test), key=lambda example: example.id)


def _facts(examples: Sequence[cases.Example]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and patients."""
    return np.array([e.label for e in examples]).astype(int), np.array([e.patient_id for e in examples])


def _way(fitted: selected.Fitted) -> Callable[..., selected_folds.OutOfFold]:
    first = isinstance(fitted, selected_first.Fitted)
    return selected_folds.as_published if first else selected_folds.honest


def _kfold(folds: int) -> Callable[..., np.ndarray]:
    return lambda labels, groups, seed: selected_folds.kfold(labels, groups, seed, folds=folds)


def _spanned(values: np.ndarray, n: int, method: str) -> intervals.Estimate:
    return intervals.Estimate(float(values.mean()), float(values.min()), float(values.max()), n, method)


def _plain(value: float, n: int, method: str) -> intervals.Estimate:
    return intervals.Estimate(value, math.nan, math.nan, n, method)


def _errors(values: np.ndarray, method: str) -> intervals.Estimate:
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
    return intervals.Estimate(mean, mean - 3 * error, mean + 3 * error, len(values), method)
