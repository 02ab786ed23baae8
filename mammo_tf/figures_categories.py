"""A histogram by BI-RADS category: how many images are called benign, how many malignant (lowresource2020, figure 3).

figures.save(histogram(categories, called, ("benign", "malignant")), "categories.png")
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mammo_tf import figures

WIDTH = 0.4


def histogram(categories: np.ndarray, called: np.ndarray, class_names: Sequence[str], *, note: str = "") -> Figure:
    """Two bars a category, with their numbers.

    Args:
        categories: (N,), whole numbers.
        called: (N,) bool, class 1 is the answer.
        class_names: what the two answers are called.
        note: the line under the title.
    """
    figure = figures._figure(6.4, 4.2, "Answers by BI-RADS category", note)
    axes = figure.subplots()
    there = np.unique(categories)
    for offset, answer, color in ((-WIDTH / 2, False, figures.COLOURS[2]), (WIDTH / 2, True, figures.COLOURS[1])):
        counts = [int(np.sum((categories == k) & (called == answer))) for k in there]
        bars = axes.bar(
            np.arange(len(there)) + offset, counts, WIDTH, color=color, label=f"called: {class_names[answer]}"
        )
        axes.bar_label(bars, fontsize=8)
    axes.set_xticks(np.arange(len(there)), [f"{k:g}" for k in there])
    axes.set_xlabel("BI-RADS")
    axes.set_ylabel("images")
    axes.margins(y=0.12)
    axes.legend(frameon=False)
    return figure
