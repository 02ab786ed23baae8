"""Cross-validation as pictures: each fold's ROC and confusion matrix, and the mean ROC with its spread.

Figures 13 and 14 of Kreiss. The mean is vertical: at each false positive rate the mean of the folds' true positive
rates (Fawcett 2006, doi:10.1016/j.patrec.2005.10.010, section 8.1), so its area is the mean of the folds' areas.

    figures.save(figures_folds.mean_roc(folds, estimate=auc), "mean_roc.png")
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mammo_tf import figures
from mammo_tf.evaluation import metrics

Folds = Sequence[tuple[np.ndarray, np.ndarray]]  # labels (N,) 0 or 1 and scores (N,) of each fold
GRID = np.linspace(0, 1, 201)
MOST = 10  # folds that are drawn one by one


def draw(folder: pathlib.Path, folds: Folds, class_names: Sequence[str], *, estimate: Any, note: str) -> None:
    """Writes `mean_roc.png` and, of no more than MOST folds, `folds.png`."""
    figures.save(mean_roc(folds, estimate=estimate, note=note), folder / "mean_roc.png")
    if len(folds) <= MOST:
        figures.save(each_fold(folds, class_names, note=note), folder / "folds.png")


def heights(labels: np.ndarray, scores: np.ndarray, at: np.ndarray = GRID) -> np.ndarray:
    """True positive rates of a ROC curve at false positive rates `at`: the upper end of a vertical step.

    >>> heights(np.array([0, 1]), np.array([0.1, 0.9]), np.array([0.0, 0.5]))
    array([1., 1.])
    """
    false_positive, true_positive, _ = metrics.roc_curve(labels, scores)
    last = np.searchsorted(false_positive, at, side="right") - 1
    after = np.minimum(last + 1, len(false_positive) - 1)
    run = np.maximum(false_positive[after] - false_positive[last], np.finfo(float).tiny)
    share = np.where(after > last, (at - false_positive[last]) / run, 0.0)
    return true_positive[last] + share * (true_positive[after] - true_positive[last])


def mean_roc(folds: Folds, *, estimate: Any = None, title: str = "", note: str = "") -> Figure:
    """The folds' curves, their mean, and one standard deviation (F - 1) to either side of it (figure 14).

    Args:
        folds: two or more.
        estimate: the mean AUC with its interval, for the legend.
    """
    figure = figures._figure(4.8, 5.1, title or "Mean ROC", note)
    axes = figure.subplots()
    curves = np.array([heights(*fold) for fold in folds])
    areas = np.array([metrics.auc(*fold) for fold in folds])
    mean, spread = curves.mean(axis=0), curves.std(axis=0, ddof=1)
    for curve in curves:
        axes.plot(GRID, curve, color=figures.GRAY, linewidth=0.8, alpha=0.7)
    around = {"color": figures.COLOURS[0], "alpha": 0.2, "linewidth": 0}
    axes.fill_between(GRID, np.maximum(mean - spread, 0), np.minimum(mean + spread, 1), label="± 1 sd", **around)
    text = f"AUC {areas.mean():.3f}" if estimate is None else figures._auc_text(*folds[0], estimate)
    label = f"mean of {len(folds)} folds\n{text}\nbetween folds: sd {areas.std(ddof=1):.3f}"
    axes.plot(GRID, mean, color=figures.COLOURS[0], linewidth=2, label=label)
    figures._roc_frame(axes)
    return figure


def each_fold(folds: Folds, class_names: Sequence[str], *, title: str = "", note: str = "") -> Figure:
    """A column for each fold: its ROC with its AUC, and its confusion matrix at 1/2 (figure 13)."""
    figure = figures._figure(2.9 * len(folds), 6.0, title or "Fold by fold", note)
    axes = figure.subplots(2, len(folds), squeeze=False)
    for k, (labels, scores) in enumerate(folds):
        upper, lower = axes[:, k]
        text = f"AUC {metrics.auc(labels, scores):.3f}"
        figures._roc_line(upper, labels, scores, text, figures.COLOURS[0])
        figures._roc_frame(upper)
        upper.set(xlabel="false positive rate", ylabel="" if k else "true positive rate", title=f"fold {k}")
        _matrix(lower, metrics.confusion_matrix(labels, scores >= 0.5), class_names, names=not k)
    return figure


def _matrix(axes: Any, matrix: np.ndarray, class_names: Sequence[str], *, names: bool) -> None:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        axes.text(j, i, int(count), ha="center", va="center", color="white" if shares[i, j] > 0.55 else "black")
    axes.set_xticks(range(len(class_names)), class_names, fontsize=7)
    axes.set_yticks(
        range(len(class_names)), class_names if names else [""] * len(class_names), fontsize=7, rotation=90
    )
    for tick in axes.get_yticklabels():
        tick.set_va("center")
    axes.set(xlabel="answered", ylabel="true" if names else "")
