"""The drawings of runs; `figures_*` has the others, and no other module knows matplotlib. Arrays in, a `Figure` out.

Each function takes `note`, a line below the title that says what the numbers come from ("phantom, ..."). Colours are
those of Okabe and Ito, which colour-blind readers can tell apart.

    figures.save(figures.curves(history, best_epoch=74, note="phantom"), "curves.png")
"""

from __future__ import annotations

import io
import math
import os
import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mammo_tf import errors
from mammo_tf.evaluation import metrics

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GRAY = "#777777"
DPI = 110
TRAIN, VALIDATION = COLOURS[1], COLOURS[0]

History = Sequence[Mapping[str, Any]]


def curves(history: History, *, best_epoch: int | None = None, title: str = "", note: str = "") -> Figure:
    """Accuracy and loss over the epochs, training and validation (ao2020, Figures 4 to 7).

    Args:
        history: one row an epoch with epoch, loss, accuracy, val_loss, val_accuracy.
        best_epoch: the epoch chosen, marked by a line; None for none.
    """
    figure = _figure(9.0, 3.8, title or "Training", note)
    for axes, key in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        epochs = [row["epoch"] for row in history]
        marker = "o" if len(history) < 4 else None
        axes.plot(epochs, _column(history, key), color=TRAIN, marker=marker, label="training")
        if not np.isnan(validated := np.array(_column(history, f"val_{key}"), float)).all():
            axes.plot(epochs, validated, color=VALIDATION, marker=marker, label="validation")
        if best_epoch is not None:
            axes.axvline(best_epoch, color=GRAY, linestyle=":", label=f"epoch {best_epoch}, chosen")
        _tidy(axes, "epoch", key)
        if key == "accuracy":
            _accuracy_axis(axes)
        axes.legend(frameon=False, fontsize=9)
    return figure


def roc(labels: np.ndarray, scores: np.ndarray, *, estimate: Any = None, title: str = "", note: str = "") -> Figure:
    """The ROC curve of scores (N,) against labels 0/1 (N,).

    Args:
        estimate: the AUC with its interval (`evaluation.intervals.Estimate`), for the legend; else the AUC alone.
    """
    figure = _figure(4.8, 4.9, title or "ROC", note)
    axes = figure.subplots()
    _roc_line(axes, labels, scores, _auc_text(labels, scores, estimate), COLOURS[0])
    _roc_frame(axes)
    return figure


def overlay(runs: Mapping[str, Mapping[str, Any]], *, title: str = "", note: str = "") -> Figure:
    """Accuracy and training loss over the epochs and ROC of several runs, one colour a run (ao2020, Figure 8).

    Args:
        runs: name -> dict(history=..., labels=(N,), scores=(N,), and optionally estimate=...).
    """
    figure = _figure(15.0, 5.2, title or "Runs compared", note)
    left, middle, right = figure.subplots(1, 3)
    for i, (name, run) in enumerate(runs.items()):
        epochs = [row["epoch"] for row in run["history"]]
        style = {"color": _colour(i), "marker": "o" if len(epochs) < 4 else None}
        left.plot(epochs, _column(run["history"], "val_accuracy"), label=name, **style)
        left.plot(epochs, _column(run["history"], "accuracy"), linestyle="--", alpha=0.75, **style)
        middle.plot(epochs, _column(run["history"], "loss"), linestyle="--", label=name, **style)
    _tidy(left, "epoch", "accuracy (solid: validation, dashed: training)")
    _tidy(middle, "epoch", "training loss")
    _accuracy_axis(left)
    left.legend(frameon=False, fontsize=9)
    _roc_lines(right, runs)
    return figure


def confusion(matrix: np.ndarray, class_names: Sequence[str], *, title: str = "", note: str = "") -> Figure:
    """A confusion matrix, counts (K, K) with rows the true class, and the share of each row."""
    matrix = np.asarray(matrix)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    figure = _figure(4.8, 4.4, title or "Confusion matrix", note)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(matrix):
        share = f"{shares[row, column]:.0%}" if totals[row, 0] else "none"
        colour = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, f"{number}\n{share}", ha="center", va="center", color=colour, fontsize=13)
    axes.set_xticks(range(len(class_names)), class_names, fontsize=10)
    axes.set_yticks(range(len(class_names)), class_names, fontsize=10, rotation=90, va="center")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.spines[:].set_visible(False)
    return figure


def montage(
    images: np.ndarray,
    maps: np.ndarray,
    titles: Sequence[str],
    *,
    outlines: np.ndarray | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """A row of crops above a row of their saliency maps (ao2020, Figures 9 and 10).

    Args:
        images: (N, H, W), each drawn from its darkest to its brightest value.
        maps: (N, h, w), at least 0, each drawn up to its 99.5th percentile.
        titles: (N,), one above each crop.
        outlines: bool (N, H, W), the lesions filled; their rims are drawn on crops and maps.
    """
    count = len(images)
    figure = _figure(max(1.75 * count, 4.5), 4.5, title or "Saliency", note)
    if not count:
        return _nothing(figure)
    grid = figure.subplots(2, count, squeeze=False)
    for i in range(count):
        _picture(grid[0, i], images[i], "gray", titles[i])
        _picture(grid[1, i], maps[i], "inferno", "", top=_ceiling(maps[i]))
        if outlines is not None:
            _outline(grid[0, i], outlines[i], np.shape(images[i]), "-")
            _outline(grid[1, i], outlines[i], np.shape(maps[i]), (0, (1, 2)))  # dotted: the rim below stays visible
    return figure


def contact_sheet(
    images: Sequence[np.ndarray], titles: Sequence[str], columns: int, *, title: str = "", note: str = ""
) -> Figure:
    """N images, gray (H, W) or RGB (H, W, 3), of any sizes, in rows of `columns`, with a title each (N,)."""
    count = len(images)
    rows = max(1, math.ceil(count / columns))
    figure = _figure(max(1.7 * columns, 4.5), 1.95 * rows + 0.6, title, note)
    if not count:
        return _nothing(figure)
    for axes, i in zip(figure.subplots(rows, columns, squeeze=False).flat, range(rows * columns), strict=True):
        if i < count:
            _picture(axes, images[i], "gray", titles[i])
        else:
            axes.set_axis_off()
    return figure


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a PNG; the same figure gives the same bytes (no date, no version inside).

    Raises:
        errors.DataError: the file cannot be written.
    """
    try:
        pathlib.Path(path).write_bytes(to_png(figure))
    except OSError as error:
        raise errors.DataError(path, f"cannot be written: {error.strerror}") from None


def to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def to_array(figure: Figure) -> np.ndarray:
    """The figure as uint8 RGB, (H, W, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _figure(width: float, height: float, title: str, note: str) -> Figure:
    """An empty figure, inches wide and high, with the title and the note, wrapped to the width, above its axes."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    lines = [textwrap.fill(title, int(8 * width)), textwrap.fill(note, int(11 * width))]
    if note:
        figure.suptitle("\n".join(filter(None, lines)), fontsize=10)
    elif title:
        figure.suptitle(lines[0], fontsize=12)
    return figure


def _tidy(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _accuracy_axis(axes: Axes) -> None:
    """From 0.4, or lower if need be, to 1: a short run must not blow up its noise."""
    axes.set_ylim(min(0.4, axes.get_ylim()[0]), 1.0)


def _column(history: History, key: str) -> np.ndarray:
    """One number an epoch, NaN (a gap in the line) where a row lacks it."""
    return np.array([row.get(key, math.nan) for row in history], dtype=float)


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _auc_text(labels: np.ndarray, scores: np.ndarray, estimate: Any) -> str:
    if estimate is None:
        return f"AUC {metrics.auc(labels, scores):.3f}"
    return f"AUC {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _roc_line(axes: Axes, labels: np.ndarray, scores: np.ndarray, label: str, colour: str) -> None:
    false_positive, true_positive, _ = metrics.roc_curve(labels, scores)
    axes.plot(false_positive, true_positive, color=colour, label=label, linewidth=1.8, clip_on=False)


def _roc_lines(axes: Axes, runs: Mapping[str, Mapping[str, Any]]) -> None:
    for i, (name, run) in enumerate(runs.items()):
        text = _auc_text(run["labels"], run["scores"], run.get("estimate"))
        _roc_line(axes, run["labels"], run["scores"], f"{name}\n{text}", _colour(i))
    _roc_frame(axes)


def _roc_frame(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=GRAY, linestyle=":", linewidth=1)
    _tidy(axes, "false positive rate (1 - specificity)", "true positive rate (recall)")
    axes.xaxis.set_major_locator(ticker.MultipleLocator(0.2))
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False, fontsize=9, loc="lower right")


def _picture(axes: Axes, image: np.ndarray, colours: str, title: str, top: float | None = None) -> None:
    axes.imshow(image, cmap=colours, vmin=None if top is None else 0, vmax=top)
    axes.set_title(textwrap.fill(title, 22), fontsize=8)
    axes.set_axis_off()


def _ceiling(saliency: np.ndarray) -> float:
    """So that one hot pixel does not black out the rest; 1 for a map of zeros."""
    return float(np.percentile(saliency, 99.5)) or float(np.max(saliency)) or 1.0


def _outline(axes: Axes, mask: np.ndarray, shape: tuple[int, ...], style: Any) -> None:
    """The rim of a mask over a picture of `shape`, which may have another number of pixels."""
    mask = np.pad(np.asarray(mask, float), 1)  # so that a lesion cut by the border is closed there
    if not mask.any():
        return
    rows, columns = (_centres(n - 2, pixels) for n, pixels in zip(mask.shape, shape[:2], strict=True))
    axes.contour(columns, rows, mask, levels=[0.5], colors=COLOURS[5], linewidths=1.1, linestyles=[style])
    axes.set(xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))


def _centres(count: int, pixels: int) -> np.ndarray:
    """Where the centres of `count` pixels, and of one more at either end, lie on an axis of `pixels` pixels."""
    return (np.arange(-1, count + 1) + 0.5) * pixels / count - 0.5


def _nothing(figure: Figure) -> Figure:
    figure.text(0.5, 0.45, "no examples", ha="center", va="center", color=GRAY)
    return figure
