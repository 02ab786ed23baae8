"""BI-RADS categories: of an example, and what a net answers in each (figure 3 of lowresource2020).

categories.of(example)                                          # 4.0 for BI-RADS 4a
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mammo_tf import cases, figures, figures_categories, labels
from mammo_tf.evaluation import intervals


def of(example: cases.Example) -> float:
    """The BI-RADS category, 1.0 to 6.0, of an example's first view.

    Raises:
        DataError: the dataset gives its view none.
    """
    view = example.views[0]
    found = labels.birads_number(view.attributes.get("birads", ""))
    if not 1 <= found <= 6:
        raise cases.DataError(
            view.path or view.id, f"BI-RADS 1 to 6 is needed, found {view.attributes.get('birads')!r}"
        )
    return found


def histogram(done: Sequence[Any], *, answers: tuple[str, str]) -> dict[str, intervals.Estimate]:
    """Hook (`Run.together`): draws `categories.png`, how many images of each category are called what.

    Args:
        done: a `run.Done` a fold.
        answers: what the figure calls the classes.

    Returns:
        `called_malignant_4_up` and `called_malignant_below_4`: the share of images that are called class 1, its
        interval over patients. Nothing for a dataset without BI-RADS.
    """
    everyone = [example for fold in done for example in fold.predictions.examples]
    if not all("birads" in example.views[0].attributes for example in everyone):
        return {}
    found = np.array([of(example) for example in everyone])
    called = np.concatenate([fold.predictions.scores for fold in done]) >= 0.5
    patients = np.concatenate([fold.predictions.patients for fold in done])
    first = done[0]
    folder = pathlib.Path(first.folder).parent if len(done) > 1 else pathlib.Path(first.folder)
    figure = figures_categories.histogram(found, called, answers, note=first.shown.note)
    figures.save(figure, folder / "categories.png")
    parts = {"called_malignant_4_up": found >= 4, "called_malignant_below_4": found < 4}
    return {
        name: intervals.proportion(called[rows].astype(int), patients[rows])
        for name, rows in parts.items()
        if rows.any()
    }
