"""A trained net with all that is needed to apply it, as training leaves it or read back from a run's folder.

fitted = load_fitted(folder, pipeline, normalizer)
fitted(examples)                        # (N, classes) float32 probabilities, in the order of the examples
fitted.four_flips(examples).mean(0)     # averaged over the image and its mirrors, as Shen et al. 2019 augment
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mammo_tf import cases
from mammo_tf.training import precision, scoring

MODEL_FILE = "model.keras"
FLIPS = ((False, False), (True, False), (False, True), (True, True))  # (left-right, up-down)


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A trained net with all that is needed to apply it.

    Attributes:
        model: uncompiled, normalised images (B, H, W, C) -> logits (B, classes); the weights of `best_epoch`.
        normalizer: fitted on the training images.
        pipeline: loads and normalises examples.
        history: one row an epoch (columns: `fit.fit`).
        best_epoch: 1-based.
        val_reads: how often the labels of the validation part were scored.
        precision: the Keras dtype policy it computes under, such as "mixed_bfloat16".
        device: what it was trained on, as `precision.describe_device` names it.
        problems: files of the training and validation parts that were left out.
    """

    model: keras.Model
    normalizer: Any
    pipeline: Any
    history: list[dict[str, float]]
    best_epoch: int
    val_reads: int
    precision: str
    device: str
    problems: tuple[cases.Problem, ...] = ()

    def __call__(self, examples: Sequence[cases.Example]) -> np.ndarray:
        """Probabilities (N, classes) float32, one row an example, in their order.

        Raises:
            DataError: a file cannot be read; the result is never shorter than the input.
        """
        if not len(examples):
            return np.zeros((0, self.classes), np.float32)
        arrays = self.load_arrays(examples)
        return arrays.pooled(scoring.softmax(self.logits(arrays)))

    def four_flips(self, examples: Sequence[cases.Example]) -> np.ndarray:
        """Probabilities (4, N, classes) float32: of the image, its left-right mirror, its up-down mirror, and both.

        The images are loaded once.

        Raises:
            DataError: a file cannot be read.
        """
        if not len(examples):
            return np.zeros((len(FLIPS), 0, self.classes), np.float32)
        arrays = self.load_arrays(examples)
        found = [scoring.softmax(self.logits(arrays.flipped(*flips))) for flips in FLIPS]
        return np.stack([arrays.pooled(probabilities) for probabilities in found])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.model.output_shape[-1]

    def load_arrays(self, examples: Sequence[cases.Example]) -> Any:
        """The examples as the pipeline's arrays, each of them, in their order.

        Raises:
            DataError: a file cannot be read.
            MammoError: the pipeline gives other examples than asked for.
        """
        arrays = self.pipeline.load(examples, strict=True)
        for problem in arrays.problems:
            raise cases.DataError(problem.path, problem.reason)
        wanted = tuple(example.id for example in examples)
        if tuple(arrays.units) != wanted:
            raise cases.MammoError(f"prediction: {len(wanted)} examples asked for, {len(arrays.units)} loaded")
        return arrays

    def logits(self, arrays: Any) -> np.ndarray:
        """Logits (N, classes) float32 of the pipeline's arrays, in their order."""
        return scoring.predict(self._scorer, self.pipeline.evaluate(arrays, self.normalizer))

    @functools.cached_property
    def _scorer(self) -> Callable[[Any], Any]:
        return scoring.make_scorer(self.model)

    def save(self, folder: Path) -> Path:
        """Writes the model as `model.keras` into the folder and returns its path.

        Raises:
            DataError: the file cannot be written.
        """
        path = Path(folder) / MODEL_FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():  # Keras 3.15's variables have the __array__ of numpy 1
                warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
                self.model.save(path)
        except OSError as error:
            raise cases.DataError(path, f"the model cannot be written ({error.strerror or error})") from error
        return path


def untrained(model: keras.Model) -> keras.Model:
    """The net as it was before its training: its initializers are seeded, so they draw the same weights again."""
    return keras.models.clone_model(model)


def load_fitted(folder: Path, pipeline: Any, normalizer: Any, chosen: precision.Precision | None = None) -> Fitted:
    """The net of a finished run, ready to predict.

    Args:
        folder: of the run: `model.keras`; `history.csv` and the best epoch in `record.json` where they are there.
        pipeline: loads and normalises examples; the run's own, or one for images of its size.
        normalizer: the run's own.
        chosen: the policy to compute under; None for that of the training. Layers in float32 stay in it, so a net
            trained in float32 does.

    Returns:
        A `Fitted` with `val_reads` 0 (it has read no labels here) and `best_epoch` 0 where no record tells it.

    Raises:
        DataError: the model is missing or unreadable, or takes other images than the pipeline gives.
    """
    path = Path(folder) / MODEL_FILE
    model = _read_model(path)
    given = (*pipeline.shape, pipeline.depth)
    if any(size not in (None, found) for size, found in zip(model.input_shape[1:], given, strict=True)):
        raise cases.DataError(path, f"takes images {model.input_shape[1:]}, the pipeline gives {given}")
    if chosen is not None:
        model = precision.recast(model, chosen.policy)
    return Fitted(
        model=model,
        normalizer=normalizer,
        pipeline=pipeline,
        history=_read_history(path.with_name("history.csv")),
        best_epoch=_read_best_epoch(path.with_name("record.json")),
        val_reads=0,
        precision=precision.policy_of(model),
        device=precision.describe_device(),
    )


def _read_model(path: Path) -> keras.Model:
    if not path.is_file():
        raise cases.DataError(path, "no such model; the run that trains it has not finished")
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise cases.DataError(path, f"not a readable Keras model ({reason})") from error


def _read_history(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return [{**row, **{key: int(row[key]) for key in ("epoch", "stage") if key in row}} for row in rows]


def _read_best_epoch(path: Path) -> int:
    if not path.is_file():
        return 0
    return int(json.loads(path.read_text()).get("training", {}).get("best_epoch", 0))
