"""What was predicted for a part, row by row an example, and its file `predictions.csv`.

predictions = predictions.read_predictions(folder / "predictions.csv")
predictions.scores[predictions.labels == 1]
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import cases

COLUMNS = ("id", "patient", "fold", "label", "score")
BREAST = "breast"  # a column of tables that know it; older ones do not


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What was predicted for a part, row by row an example.

    Attributes:
        ids, patients, labels: (N,) each; labels are class numbers.
        scores: (N,), P(not class 0), which is P(positive) for two classes.
        probabilities: (N, K) for more than two classes, else None.
        folds: (N,), the split that an example was predicted in.
        examples: (N,), empty for predictions read from a file.
        breasts: (N,), "<patient> <side>", "" where the side is unknown; None where all are, and in older files.
    """

    ids: tuple[str, ...]
    patients: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    probabilities: np.ndarray | None = None
    folds: np.ndarray | None = None
    examples: tuple[cases.Example, ...] = ()
    breasts: np.ndarray | None = None

    @property
    def classes(self) -> int:
        return 2 if self.probabilities is None else self.probabilities.shape[1]

    @classmethod
    def of(cls, examples: Sequence[cases.Example], probabilities: np.ndarray, fold: int = 0) -> Predictions:
        probabilities = np.asarray(probabilities)
        if probabilities.ndim != 2 or len(probabilities) != len(examples) or probabilities.shape[1] < 2:
            raise cases.MammoError(
                f"predict gave {probabilities.shape} for {len(examples)} examples; expected ({len(examples)}, C)"
            )
        two, breasts = probabilities.shape[1] == 2, [breast(example) for example in examples]
        return cls(
            tuple(example.id for example in examples),
            np.array([example.patient_id for example in examples]),
            np.array([example.label for example in examples]).astype(int),
            (probabilities[:, 1] if two else 1 - probabilities[:, 0]).astype(float),
            None if two else probabilities.astype(float),
            np.full(len(examples), fold),
            tuple(examples),
            np.array(breasts) if any(breasts) else None,
        )

    @classmethod
    def joined(cls, some: Sequence[Predictions]) -> Predictions:
        """Those of several splits, one after the other."""
        if len(some) == 1:
            return some[0]
        arrays = {name: np.concatenate([getattr(p, name) for p in some]) for name in ("patients", "labels", "scores")}
        folds = np.concatenate([p.folds for p in some])
        ids, examples = (tuple(one for p in some for one in getattr(p, name)) for name in ("ids", "examples"))
        known = any(p.breasts is not None for p in some)
        breasts = [np.full(len(p.ids), "") if p.breasts is None else p.breasts for p in some]
        of_classes = [p.probabilities for p in some]
        several = None if any(p is None for p in of_classes) else np.concatenate(of_classes)
        chosen = {"probabilities": several, "folds": folds, "examples": examples}
        return cls(ids=ids, **arrays, **chosen, breasts=np.concatenate(breasts) if known else None)

    def of_fold(self, fold: int) -> Predictions:
        """Those of one split."""
        rows = np.flatnonzero(self.folds == fold)
        chosen = {name: getattr(self, name)[rows] for name in ("patients", "labels", "scores", "folds")}
        breasts = None if self.breasts is None else self.breasts[rows]
        several = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(ids=tuple(self.ids[i] for i in rows), **chosen, breasts=breasts, probabilities=several)


def breast(example: cases.Example) -> str:
    """ "<patient> <side>" of an example; "" where its views name no side, or both."""
    sides = {view.side for view in example.views}
    return f"{example.patient_id} {sides.pop()}" if len(sides) == 1 and None not in sides else ""


def write_predictions(path: pathlib.Path, predictions: Predictions) -> None:
    """One row an example; scores with 9 digits, which float32 survives.

    `breast` where any is known; `p0` ... where there are over two classes.
    """
    rows = []
    for i, id in enumerate(predictions.ids):
        fold = 0 if predictions.folds is None else predictions.folds[i]
        numbers = (id, predictions.patients[i], fold, predictions.labels[i], f"{predictions.scores[i]:.9g}")
        rows.append(dict(zip(COLUMNS, numbers, strict=True)))
        if predictions.breasts is not None:
            rows[-1][BREAST] = predictions.breasts[i]
        if predictions.probabilities is not None:
            rows[-1] |= {f"p{k}": f"{p:.9g}" for k, p in enumerate(predictions.probabilities[i])}
    write_rows(path, rows)


def read_predictions(path: pathlib.Path) -> Predictions:
    """The inverse of `write_predictions`.

    Raises:
        cases.DataError: the file is missing, lacks a column, or holds text where numbers belong.
    """
    try:
        with pathlib.Path(path).open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise cases.DataError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not rows or set(COLUMNS) - set(rows[0]):
        raise cases.DataError(path, f"not a table of predictions with the columns {', '.join(COLUMNS)}")
    if odd := [i for i, row in enumerate(rows, start=2) if None in row or None in row.values()]:
        raise cases.DataError(path, f"line {odd[0]} has more or fewer cells than the first")
    column = {name: [row[name] for row in rows] for name in rows[0]}
    several = [name for name in column if name not in (*COLUMNS, BREAST)]
    if odd := [name for name in several if not re.fullmatch(r"p\d+", name)]:
        raise cases.DataError(
            path, f"unknown column {', '.join(odd)}; known are {', '.join(COLUMNS)}, {BREAST}, p0 ..."
        )
    try:
        return Predictions(
            tuple(column["id"]),
            np.array(column["patient"]),
            np.array(column["label"]).astype(int),
            np.array(column["score"]).astype(float),
            np.array([column[name] for name in several]).astype(float).T if several else None,
            np.array(column["fold"]).astype(int),
            breasts=np.array(column[BREAST]) if BREAST in column else None,
        )
    except (TypeError, ValueError) as error:
        raise cases.DataError(path, f"not a table of predictions: {error}") from None


def write_rows(path: pathlib.Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV of rows with one set of columns, those of the first."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
