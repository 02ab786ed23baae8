"""A forest plot: the AUC of every run of a paper with its interval, both protocols beside each other.

figures.save(figures_forest.forest(rows, note="phantom, not patients, budget demo"), "forest.png")
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib import lines
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mammo_tf import figures, tables
from mammo_tf.evaluation import intervals

PROTOCOLS = {"as_published": figures.COLOURS[1], "honest": figures.COLOURS[0]}
APART = 0.17  # of a row, between a protocol's line and the row's middle


def forest(
    rows: Sequence[tuple[str, Mapping[str, intervals.Estimate]]], *, title: str = "", note: str = ""
) -> Figure:
    """One line a run: a dot with its 95 % interval for each protocol, numbers on the right, chance dotted at 1/2.

    Args:
        rows: (run, protocol -> AUC), from top to bottom. Bounds of NaN leave out the bar; a hollow dot stands for an
            interval that is marked in the tables.
    """
    figure = figures._figure(9.6, 1.5 + 0.36 * max(len(rows), 1), title or "AUC with 95 % intervals", note)
    if not rows:
        return figures._nothing(figure)
    axes = figure.subplots()
    for y, (_, found) in enumerate(rows):
        for protocol, colour in PROTOCOLS.items():
            if protocol in found:
                middle = y + (APART if protocol == "honest" else -APART) * (len(found) > 1)
                _one(axes, found[protocol], middle, colour)
    axes.set_xlabel("AUC")
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for y in range(1, len(rows), 2):
        axes.axhspan(y - 0.5, y + 0.5, color=figures.GRAY, alpha=0.07, linewidth=0)
    ends = [e for _, found in rows for one in found.values() for e in (one.low, one.high, one.value)]
    axes.set_xlim(min([0.4, *(e for e in ends if math.isfinite(e))]) - 0.03, 1.005)
    axes.axvline(0.5, color=figures.GRAY, linestyle=":", linewidth=1)
    axes.tick_params(axis="y", length=0)
    _legend(axes, rows)
    return figure


def _one(axes: Axes, estimate: intervals.Estimate, y: float, colour: str) -> None:
    if math.isnan(estimate.value):
        return
    marked = any(word in estimate.method for word in tables.MARKS)
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        axes.hlines(y, estimate.low, estimate.high, color=colour, linewidth=1.6)
    axes.plot(estimate.value, y, "o", color=colour, markerfacecolor="white" if marked else colour, markersize=5)
    text = f"{estimate.value:.3f} [{tables.number(estimate.low)}, {tables.number(estimate.high)}]"
    axes.annotate(
        text,
        (1.01, y),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=7,
        color=colour,
        annotation_clip=False,
    )


def _legend(axes: Axes, rows: Sequence[tuple[str, Mapping[str, intervals.Estimate]]]) -> None:
    there = [name for name in PROTOCOLS if any(name in found for _, found in rows)]
    handles = [lines.Line2D([], [], color=PROTOCOLS[n], marker="o", markersize=5, label=n) for n in there]
    if any(word in e.method for _, found in rows for e in found.values() for word in tables.MARKS):
        hollow = {"color": figures.GRAY, "markerfacecolor": "white", "linestyle": "", "markersize": 5}
        handles.append(lines.Line2D([], [], marker="o", label="interval not to be trusted to the letter", **hollow))
    axes.legend(
        handles=handles,
        frameon=False,
        fontsize=9,
        ncols=3,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
    )
