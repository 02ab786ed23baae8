"""The files of a run's folder beside its record: predictions, history, model, curves, ROC, confusion, saliency.

Figures are drawn by `figures`; what a method does not offer (a history, a model) is left out.

    predictions = artifacts.read_predictions(folder / "predictions.csv")
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import math
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from mammo_tf import cases, figures, figures_folds, regions
from mammo_tf.evaluation import intervals, metrics, multiclass
from mammo_tf.predictions import Predictions, write_rows
from mammo_tf.predictions import read_predictions as read_predictions
from mammo_tf.predictions import write_predictions as write_predictions

SALIENCY_EXAMPLES = 200


def make_folder(folder: pathlib.Path) -> pathlib.Path:
    """Makes the folder and proves that it can be written.

    Raises:
        cases.DataError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise cases.DataError(folder, f"the output folder cannot be written: {error.strerror}") from None
    return folder


def empty(folder: pathlib.Path) -> None:
    """Removes what an earlier run left in its folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a figure says of its run: the line under its title, the class names, and the draws of bootstraps."""

    note: str
    class_names: Sequence[str]
    draws: int


def write_fitted(folder: pathlib.Path, fitted: Any, shown: Shown, takes: str = "") -> None:
    """Writes history, curves, the model and its preprocessing (what it `takes`), as far as the method has them."""
    if history := list(getattr(fitted, "history", ())):
        write_rows(folder / "history.csv", history)
        curves = figures.curves(history, best_epoch=fitted.best_epoch, note=shown.note)
        figures.save(curves, folder / "curves.png")
    if hasattr(fitted, "model"):
        fitted.save(folder)
        contract = {"normalization": fitted.normalizer.describe(), **fitted.pipeline.describe(), "takes": takes}
        (folder / "preprocessing.json").write_text(json.dumps(contract, indent=1) + "\n")
    elif hasattr(fitted, "save"):
        fitted.save(folder)


def draw_predictions(
    folder: pathlib.Path, predictions: Predictions, measured: Mapping[str, intervals.Estimate], shown: Shown
) -> None:
    """Draws the ROC (of two classes; of several splits their pooled scores, with the mean AUC) and the confusion."""
    if predictions.classes == 2:
        auc = measured["auc"]
        roc = figures.roc(predictions.labels, predictions.scores, estimate=auc, note=shown.note)
        figures.save(roc, folder / "roc.png")
        if len(numbers := np.unique(predictions.folds)) > 1:
            each = [(p.labels, p.scores) for p in map(predictions.of_fold, numbers)]
            figures_folds.draw(folder, each, shown.class_names, estimate=auc, note=shown.note)
        matrix = metrics.confusion_matrix(predictions.labels, predictions.scores >= 0.5)
    else:
        matrix = multiclass.confusion_matrix(predictions.labels, predictions.probabilities)
    figures.save(figures.confusion(matrix, shown.class_names, note=shown.note), folder / "confusion.png")


def saliency(
    folder: pathlib.Path, fitted: Any, predictions: Predictions, shown: Shown
) -> dict[str, intervals.Estimate]:
    """Draws the saliency maps of each class (ao2020, figures 9 and 10) and measures how much lies at the rim."""
    from mammo_tf.explain import gradients

    if not hasattr(fitted, "model"):
        return {}
    chosen = predictions.examples[:SALIENCY_EXAMPLES]
    arrays = fitted.pipeline.load(chosen, strict=True)
    images = fitted.pipeline.seen(arrays).astype(np.float32)[..., None] / 65535
    maps = gradients.saliency(fitted.model, np.asarray(fitted.normalizer(images)))
    masks = np.stack([lesion_mask(example, fitted.pipeline) for example in chosen])
    _montages(folder, _Maps(images[..., 0], maps, masks), predictions, shown)
    known = masks.any(axis=(1, 2))
    if not known.any():
        return {}
    share, uniform = gradients.rim_share(maps[known], masks[known])
    groups = predictions.patients[: len(chosen)][known]
    return {
        "saliency_rim_share": intervals.mean(share, groups),
        "uniform_rim_share": intervals.mean(uniform, groups),
        "saliency_rim_gain": intervals.mean(share - uniform, groups),
    }


def lesion_mask(example: cases.Example, pipeline: Any) -> np.ndarray:
    """The lesion of an example's first view, filled, as the net sees it: bool (H, W); empty when not annotated."""
    view = example.views[0]
    marked = [lesion.region for lesion in view.lesions if lesion.region is not None]
    if not marked:
        return np.zeros(pipeline.shape, bool)
    mask = marked[0].mask(view.shape).astype(np.float32)
    middle = regions.inner(pipeline.margin)
    return cv2.resize(mask, pipeline.full[::-1], interpolation=cv2.INTER_AREA)[middle, middle] >= 0.5


@dataclasses.dataclass(frozen=True)
class _Maps:
    images: np.ndarray
    saliency: np.ndarray
    masks: np.ndarray


def _montages(folder: pathlib.Path, maps: _Maps, predictions: Predictions, shown: Shown) -> None:
    for label, name in enumerate(shown.class_names):
        of_class = np.flatnonzero(predictions.labels[: len(maps.images)] == label)[:6]
        if not len(of_class):
            continue
        titles = [f"P({shown.class_names[1]}) {predictions.scores[i]:.2f}" for i in of_class]
        outlines = maps.masks[of_class] if maps.masks[of_class].any() else None
        picture = figures.montage(
            maps.images[of_class], maps.saliency[of_class], titles, outlines=outlines, note=f"{name}; {shown.note}"
        )
        figures.save(picture, folder / f"saliency_{label}.png")


def drawings(shown: Shown) -> dict[str, Callable[..., np.ndarray]]:
    """The functions that draw for TensorBoard, by the names of `cases.Context.draw`."""
    return {
        "roc": functools.partial(_draw_roc, shown=shown),
        "confusion": functools.partial(_draw_confusion, shown=shown),
    }


def _draw_roc(labels: np.ndarray, scores: np.ndarray, *, shown: Shown) -> np.ndarray:
    return figures.to_array(figures.roc(labels, scores, note=shown.note))


def _draw_confusion(matrix: np.ndarray, *, shown: Shown) -> np.ndarray:
    return figures.to_array(figures.confusion(matrix, shown.class_names, note=shown.note))


def read_history(path: pathlib.Path) -> list[dict[str, float]]:
    """The rows of history.csv as numbers."""
    with pathlib.Path(path).open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def training_facts(history: Sequence[Mapping[str, Any]], best_epoch: int | None) -> dict[str, float]:
    """What the table says of the training: the numbers of the best epoch and of the last, and how soon it came near.

    `epochs_to_95` is the first epoch whose validation accuracy reaches 95 % of the way from 0.5 to its best; NaN
    without a validation part.
    """
    if not history or best_epoch is None:
        return {}
    accuracy = np.array([row["val_accuracy"] for row in history], float)
    target = math.nan if np.isnan(accuracy).all() else 0.5 + 0.95 * (np.nanmax(accuracy) - 0.5)
    near = np.flatnonzero(accuracy >= target)
    return {
        "best_epoch": int(best_epoch),
        "epochs": len(history),
        "train_accuracy": float(history[best_epoch - 1]["accuracy"]),
        "val_accuracy": float(accuracy[best_epoch - 1]),
        "last_val_accuracy": float(accuracy[-1]),
        "epochs_to_95": int(near[0]) + 1 if len(near) else math.nan,
    }


def summary(record: Any) -> str:
    """One line for the log."""
    parts = [f"{name} {record.metrics[name].value:.3f}" for name in ("accuracy", "auc")]
    parts += [f"mean of {record.folds} splits"] if record.folds > 1 else []
    return f"{', '.join(parts)} on {record.reported} ({record.dataset_kind}), {record.seconds:.0f} s"
