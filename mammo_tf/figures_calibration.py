"""Precision over recall, reliability and net benefit as pictures.

figures.save(figures_calibration.reliability([curve], note="phantom"), "reliability.png")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mammo_tf import figures
from mammo_tf.evaluation import precision_recall as pr


def precision_recall(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], *, estimate: Any = None, title: str = "", note: str = ""
) -> Figure:
    """Precision over recall, one line a fold, as steps (the area under them is the average precision).

    Args:
        parts: labels (N,) and scores (N,) of each fold; those without positives are left out.
        estimate: average precision with its interval, for the legend.
    """
    figure = figures._figure(4.8, 4.9, title or "Precision and recall", note)
    axes = figure.subplots()
    parts = [part for part in parts if np.any(part[0])]
    if not parts:
        return figures._nothing(figure)
    text = "" if estimate is None else f"AP {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
    text = text if len(parts) == 1 else f"{len(parts)} folds\nmean {text}".rstrip()
    for i, (labels, scores) in enumerate(parts):
        recall, precision, _ = pr.curve(labels, scores)
        ends = np.append(0, recall), np.append(precision[0], precision)
        style = _line(len(parts))
        axes.step(*ends, where="pre", clip_on=False, label=(text or "run") if i == 0 else None, **style)
    share = float(np.mean([np.mean(labels) for labels, _ in parts]))
    axes.axhline(share, color=figures.GRAY, linestyle=":", linewidth=1, label=f"chance: {share:.3f} are positive")
    figures._tidy(axes, "recall (sensitivity)", "precision (PPV)")
    _unit(axes)
    axes.legend(frameon=False, fontsize=9, loc="lower left" if share > 0.25 else "upper right")
    return figure


def reliability(curves: Sequence[Any], *, notes: Sequence[str] = (), title: str = "", note: str = "") -> Figure:
    """Share of positives over mean score, bin by bin, above how many examples each bin holds.

    Args:
        curves: `evaluation.calibration.Reliability` of each fold, all with the same bins. Of one alone the intervals
            are drawn; of several larger dots stand for more examples.
        notes: lines for the legend, such as the calibration error.
    """
    figure = figures._figure(4.8, 5.9, title or "Reliability", note)
    upper, lower = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    upper.plot([0, 1], [0, 1], color=figures.GRAY, linestyle=":", linewidth=1, label="calibrated")
    label = "\n".join([*([f"{len(curves)} folds"] if len(curves) > 1 else []), *notes]) or "run"
    for i, curve in enumerate(curves):
        shares = np.array([[one.value, one.low, one.high] for one in curve.shares])
        style = {"label": label if i == 0 else None, "color": figures.COLOURS[0]}
        if len(curves) == 1:
            bars = np.nan_to_num(np.abs(shares[:, 1:].T - shares[:, 0]))
            how = {"marker": "o", "markersize": 4, "linewidth": 1.8, "elinewidth": 1, "capsize": 2}
            upper.errorbar(curve.scores, shares[:, 0], yerr=bars, **how, **style)
        else:
            upper.plot(curve.scores, shares[:, 0], linewidth=0.8, alpha=0.4, **style)
            sizes = 120 * curve.counts / max(other.counts.max() for other in curves)
            upper.scatter(curve.scores, shares[:, 0], sizes, color=figures.COLOURS[0], alpha=0.55, linewidths=0)
    _bars(lower, curves)
    figures._tidy(upper, "", "share of positives in the bin")
    _unit(upper)
    upper.set(aspect="auto", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    upper.legend(framealpha=0.8, edgecolor="none", fontsize=9, loc="upper left")
    figures._tidy(lower, "score", "examples")
    lower.xaxis.set_major_locator(figures.ticker.MultipleLocator(0.2))
    lower.yaxis.set_major_locator(figures.ticker.MaxNLocator(3, integer=True))
    return figure


def decision_curve(curve: Any, *, folds: int = 1, title: str = "", note: str = "") -> Figure:
    """Net benefit over the threshold, with a pointwise band, and of acting on all and on none.

    Args:
        curve: `evaluation.decision_curve.Curve`.
        folds: that it is the mean of.
    """
    figure = figures._figure(5.6, 4.3, title or "Net benefit", note)
    axes = figure.subplots()
    x, colour = curve.thresholds, figures.COLOURS[0]
    axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0, label="95 %, point by point")
    axes.plot(
        x, curve.net_benefit, color=colour, linewidth=1.8, label="run" if folds == 1 else f"mean of {folds} folds"
    )
    axes.plot(x, curve.treat_all, color=figures.COLOURS[1], linewidth=1.2, linestyle="--", label="act on all")
    axes.axhline(0, color=figures.GRAY, linestyle=":", linewidth=1.2, label="act on none")
    figures._tidy(axes, "threshold: probability at which one acts", "net benefit")
    axes.xaxis.set_major_locator(figures.ticker.AutoLocator())
    least = min(-0.15 * curve.prevalence, max(np.nanmin(curve.net_benefit), -0.5 * curve.prevalence) * 1.1)
    axes.set(xlim=(0, x.max()), ylim=(least, 1.25 * max(curve.prevalence, np.nanmax(curve.high))))
    axes.legend(frameon=False, fontsize=9, loc="upper right", title=f"prevalence {curve.prevalence:.3g}")
    return figure


def _line(count: int) -> dict[str, Any]:
    one = {"color": figures.COLOURS[0], "linewidth": 1.8}
    return one if count == 1 else {"color": figures.COLOURS[0], "linewidth": 1, "alpha": 0.55}


def _bars(axes: Axes, curves: Sequence[Any]) -> None:
    edges = curves[0].edges
    counts = np.zeros(len(edges) - 1)
    for curve in curves:
        index = np.searchsorted(edges, curve.scores, side="right") - 1
        np.add.at(counts, np.clip(index, 0, len(counts) - 1), curve.counts)
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=figures.COLOURS[0], alpha=0.6)


def _unit(axes: Axes) -> None:
    axes.xaxis.set_major_locator(figures.ticker.MultipleLocator(0.2))
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
