"""Drawings that set several nets beside each other: losses, ROC curves by dataset, AUC against training patients.

Source: Shen et al., Figure 2, Figure 3 and Table 4. Every function takes `note`, as in `figures`.

    figures.save(figures_comparisons.rocs({"DDSM": runs, "INbreast": others}, note="phantom"), "rocs.png")
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import lines
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mammo_tf import figures
from mammo_tf.evaluation import intervals

SHIFT = 0.006  # of the width, by which the bars of neighbouring lines are moved apart


def losses(runs: Mapping[str, figures.History], *, title: str = "", note: str = "") -> Figure:
    """Training (dashed) and validation loss (solid) over the epochs, one colour a net (Figure 2).

    Args:
        runs: name -> one row an epoch with epoch, loss, val_loss; test_loss (dotted) where the test part was watched.
    """
    figure = figures._figure(6.4, 4.4, title or "Loss", note)
    if not runs:
        return figures._nothing(figure)
    axes = figure.subplots()
    for i, (name, history) in enumerate(runs.items()):
        epochs = [row["epoch"] for row in history]
        style = {"color": figures._colour(i), "marker": "o" if len(epochs) < 4 else None, "markersize": 4}
        axes.plot(epochs, figures._column(history, "loss"), linestyle="--", label=f"{name}, training", **style)
        axes.plot(epochs, figures._column(history, "val_loss"), label=f"{name}, validation", **style)
        if all("test_loss" in row for row in history):
            axes.plot(epochs, figures._column(history, "test_loss"), linestyle=":", label=f"{name}, test", **style)
    figures._tidy(axes, "epoch", "loss")
    axes.legend(frameon=False, fontsize=9)
    return figure


def rocs(panels: Mapping[str, Mapping[str, Mapping[str, Any]]], *, title: str = "", note: str = "") -> Figure:
    """ROC curves of several nets in one pair of axes, a pair for each dataset (Figure 3).

    A name has the same colour in every panel; the legends below give AUCs with their intervals.

    Args:
        panels: dataset -> net -> dict(labels=(N,), scores=(N,), and optionally estimate=...).
    """
    most = max((len(runs) for runs in panels.values()), default=0)
    height = 0.21 * most + 0.15  # inches of the legends, which get a row of their own
    figure = figures._figure(max(4.6 * len(panels), 4.6), 5.2 + height, title or "ROC", note)
    if not most:
        return figures._nothing(figure)
    names = list(dict.fromkeys(name for runs in panels.values() for name in runs))
    grid = figure.subplots(2, len(panels), squeeze=False, height_ratios=(4.5, height))
    for axes, below, (panel, runs) in zip(*grid, panels.items(), strict=True):
        for name, run in runs.items():
            text = figures._auc_text(run["labels"], run["scores"], run.get("estimate"))
            colour = figures._colour(names.index(name))
            figures._roc_line(axes, run["labels"], run["scores"], f"{name}: {text}", colour)
        figures._roc_frame(axes)
        axes.set_title(panel, fontsize=10)
        axes.get_legend().remove()
        below.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=9, loc="upper center", borderpad=0)
        below.set_axis_off()
    return figure


def table4(
    runs: Mapping[str, Sequence[tuple[int, intervals.Estimate]]], *, title: str = "", note: str = ""
) -> Figure:
    """AUC against the number of training patients, one line a net, with intervals (Table 4).

    Args:
        runs: net -> (patients, AUC) of each training part, in any order; 0 patients: not fine-tuned. A NaN value
            leaves a gap, NaN bounds leave out the bar.
    """
    figure = figures._figure(6.8, 4.4, title or "AUC by number of training patients", note)
    if not any(runs.values()):
        return figures._nothing(figure)
    axes = figure.subplots()
    sizes = sorted({patients for points in runs.values() for patients, _ in points})
    step = SHIFT * (max(sizes) - min(sizes) or 1)
    handles = []
    for i, (name, points) in enumerate(runs.items()):
        _bars(axes, points, step * (i - (len(runs) - 1) / 2), figures._colour(i))
        handles.append(lines.Line2D([], [], color=figures._colour(i), marker="o", markersize=4, label=name))
    figures._tidy(axes, "patients in the training part", "AUC, 95 % interval over patients")
    axes.set_xticks(sizes, ["0\n(no fine-tuning)" if size == 0 else str(size) for size in sizes], fontsize=9)
    low = min((e.low for points in runs.values() for _, e in points if math.isfinite(e.low)), default=0.5)
    axes.set_ylim(min(0.5, low - 0.02), 1.005)
    axes.axhline(0.5, color=figures.GRAY, linestyle=":", linewidth=1)
    axes.legend(handles=handles, frameon=False, fontsize=9, loc="best")
    return figure


def _bars(axes: Axes, points: Sequence[tuple[int, intervals.Estimate]], shift: float, colour: str) -> None:
    """One net's line with its bars, moved sideways."""
    points = sorted(points, key=lambda point: point[0])
    x = np.array([patients for patients, _ in points], dtype=float) + shift
    axes.plot(x, [e.value for _, e in points], color=colour, marker="o", markersize=4, linewidth=1.6)
    for at, (_, e) in zip(x, points, strict=True):
        if math.isfinite(e.low) and math.isfinite(e.high):
            axes.vlines(at, e.low, e.high, color=colour, linewidth=1.2, alpha=0.8)


def ensemble(
    rows: Sequence[tuple[int, Mapping[str, intervals.Estimate]]], *, title: str = "", note: str = ""
) -> Figure:
    """Each metric against the number of members, with its 95 % band: a panel a metric.

    Args:
        rows: (members, metric -> estimate), ascending.
    """
    figure = figures._figure(10.2, 3.9, title or "What the number of members is worth", note)
    if not rows:
        return figures._nothing(figure)
    names = list(rows[0][1])
    x = [count for count, _ in rows]
    for i, (axes, name) in enumerate(zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True)):
        found = [estimates[name] for _, estimates in rows]
        colour = figures._colour(i)
        axes.fill_between(x, [e.low for e in found], [e.high for e in found], color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, [e.value for e in found], color=colour, marker="o", markersize=4)
        figures._tidy(axes, "members", name.replace("_", "-").replace("auc", "AUC"))
        if max(x) > 20:
            axes.set_xscale("log")
    return figure
