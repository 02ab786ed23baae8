"""Features of a mass and a classifier of them as a method: the hand-crafted baselines of Yi et al. (2017), Table 1.

Each view of an example is one training case. At prediction the probabilities of an example's views are averaged, as
the paper averages those of the two projections. The mask of a view is the region of its lesion (of several, the one
nearest the middle), seen through the crop; where there is none the mass is grown from the middle
(`segmentation.grown`), which is all that the paper's crops round a seed pixel allow. Validation is not looked at.

    method = HandCrafted(sahiner.features, sahiner.learn)
    fitted = method.fit(train, val, context)
    fitted(test)                            # (N, 2) float32 probabilities, in the order of the examples
    load(fitted.save(folder).parent)(test)  # the same
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import logging
import math
import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from mammo_tf import cases, describe, regions
from mammo_tf.classical import segmentation

ALGORITHM_VERSION = 1
LOG = logging.getLogger("mammo_tf")
FILE, ARRAYS = "handcrafted.json", "handcrafted.npz"
METHOD = ("features", "learn", "side", "outlined", "in_mm")
PACKAGE = "mammo_tf.classical."  # what a saved file may name: nothing else is imported

Features = Callable[..., Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class HandCrafted:
    """The method.

    Attributes:
        features: (image float64 (H, W) in [0, 1], mask bool (H, W), spacing_mm or None) -> name -> number, the same
            names for every view; a `MammoError` or a number that is not finite stands for "cannot be measured".
        learn: (features (N, F), labels (N,), names, seed) -> a frozen dataclass of numbers, strings, tuples of them
            and arrays, a function of features (N, F) -> (N, 2) float32, with `selected` names.
        side: the longer side of a view in pixels when its features are measured; areas are averaged, not sampled.
        outlined: take the dataset's outline where there is one; False grows every mass from the middle of the view.
        in_mm: lengths and areas in mm, for which every training view must have a spacing; else in pixels of `side`.
    """

    features: Features
    learn: Callable[..., Any]
    side: int = 256
    outlined: bool = True
    in_mm: bool = False

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Fitted:
        """Measures the training views and learns from them; `val` is not used.

        Raises:
            DataError: a file cannot be read.
            MammoError: no training view can be measured, or labels other than 0 and 1.
        """
        del val
        names, rows, problems = self.measured(train)
        if not names:
            raise cases.MammoError(
                f"hand-crafted: none of {len(rows)} training views can be measured: {problems[:1]}"
            )
        labels = np.array([example.label for example in train for _ in example.views])
        if wrong := sorted({str(label) for label in labels.tolist() if label not in (0, 1)}):
            raise cases.MammoError(f"hand-crafted: training labels are 0 or 1, found {', '.join(wrong[:5])}")
        table = np.array([[row.get(name, math.nan) for name in names] for row in rows])
        counted = np.isfinite(table)
        medians = np.array(
            [np.median(column[ok]) if ok.any() else 0.0 for column, ok in zip(table.T, counted.T, strict=True)]
        )
        learned = self.learn(np.where(counted, table, medians), labels.astype(int), names, context.seed)
        LOG.info("hand-crafted: %d of %d features, %d views", len(learned.selected), len(names), len(rows))
        return Fitted(self, names, medians, learned, list(problems))

    def measured(
        self, examples: Sequence[cases.Example]
    ) -> tuple[tuple[str, ...], list[Mapping[str, float]], list[cases.Problem]]:
        """The features of every view, example by example: names, a mapping a view (empty where it failed), problems.

        Raises:
            DataError: a file of pixels cannot be read.
        """
        rows, problems = [], []
        for view in (view for example in examples for view in example.views):
            row, reasons = self._of_view(view)
            rows.append(row)
            problems += [cases.Problem(view.path or view.id, f"{view.id}: {why}", "left out") for why in reasons]
        return next((tuple(row) for row in rows if row), ()), rows, problems

    def _of_view(self, view: cases.View) -> tuple[Mapping[str, float], list[str]]:
        image, mask, reasons = self.prepared(view)
        spacing = None
        if self.in_mm:
            spacing = math.nan if view.spacing_mm is None else view.spacing_mm * max(view.shape) / self.side
        try:
            row = {name: float(value) for name, value in self.features(image, mask, spacing).items()}
        except cases.MammoError as error:
            return {}, [*reasons, f"not measured, training medians stand for its features: {error}"]
        if missing := [name for name, value in row.items() if not math.isfinite(value)]:
            some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            reasons = [*reasons, f"training medians stand for {len(missing)} features that are not finite: {some}"]
        return row, reasons

    def prepared(self, view: cases.View) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Image float64 in [0, 1] and mask bool, (h, w) each with `side` the longer; and what is wrong with the mask.

        Raises:
            DataError: the pixels cannot be read.
        """
        pixels = view.pixels()
        height, width = (max(2, round(n * self.side / max(pixels.shape))) for n in pixels.shape)
        image = _resized(pixels.astype(np.float32) / view.max_value, height, width).astype(np.float64)
        mask, reasons = _outline(view, pixels.shape) if self.outlined else (None, [])
        if mask is None:
            return image, segmentation.grown(image), reasons
        return image, regions.scaled(mask, height, width), reasons


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """What was learned, a function of examples.

    Attributes:
        method: how views are measured.
        names: of the features, (F,).
        medians: of the training part, (F,), for features that cannot be measured.
        learned: features (N, F) -> probabilities (N, 2).
        found: problems of the training views, and of those predicted since.
    """

    method: HandCrafted
    names: tuple[str, ...]
    medians: np.ndarray
    learned: Any
    found: list[cases.Problem] = dataclasses.field(default_factory=list)

    @property
    def selected(self) -> tuple[str, ...]:
        """The names of the features that the classifier uses."""
        return self.learned.selected

    @property
    def problems(self) -> tuple[cases.Problem, ...]:
        """Views whose outline or features had to be made up for, each once; none of them was dropped."""
        return tuple(dict.fromkeys(self.found))

    def __call__(self, examples: Sequence[cases.Example]) -> np.ndarray:
        """Probabilities (N, 2) float32, the mean over the views of each example.

        Raises:
            DataError: a file cannot be read.
        """
        if not len(examples):
            return np.zeros((0, 2), np.float32)
        _, rows, problems = self.method.measured(examples)
        self.found.extend(problems)
        table = np.array([[row.get(name, math.nan) for name in self.names] for row in rows])
        of_views = self.learned(np.where(np.isfinite(table), table, self.medians))
        ends = np.cumsum([len(example.views) for example in examples])[:-1]
        return np.stack([part.mean(axis=0) for part in np.split(of_views, ends)]).astype(np.float32)

    def save(self, folder: pathlib.Path) -> pathlib.Path:
        """Writes `handcrafted.json` (what it is) and `handcrafted.npz` (its arrays), and returns the first's path.

        Raises:
            DataError: a file cannot be written.
        """
        path = pathlib.Path(folder) / FILE
        fields = {field.name: getattr(self.learned, field.name) for field in dataclasses.fields(self.learned)}
        arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
        told = {
            "method": {name: _told(getattr(self.method, name)) for name in METHOD},
            "names": list(self.names),
            "selected": list(self.selected),
            "learned": describe.qualified_name(type(self.learned)),
            "values": {name: value for name, value in fields.items() if name not in arrays},
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path.with_name(ARRAYS), medians=self.medians, **{f"learned.{k}": v for k, v in arrays.items()})
            path.write_text(json.dumps(told, indent=1) + "\n")
        except OSError as error:
            raise cases.DataError(path, f"cannot be written ({error.strerror or error})") from error
        return path


def load(folder: pathlib.Path) -> Fitted:
    """What `Fitted.save` wrote; it gives the same probabilities.

    Raises:
        DataError: a file is missing or damaged, names something outside `mammo_tf.classical`, or was written by
            another version of an algorithm.
    """
    path = pathlib.Path(folder) / FILE
    try:
        told = json.loads(path.read_text())
        with path.with_name(ARRAYS).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        method = HandCrafted(**{name: _built(told["method"][name], path) for name in METHOD})
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in told["values"].items()}
        inner = {name.removeprefix("learned."): v for name, v in arrays.items() if name != "medians"}
        learned = _resolved(told["learned"], path)(**values, **inner)
        return Fitted(method, tuple(told["names"]), arrays["medians"], learned)
    except OSError as error:
        raise cases.DataError(path, f"cannot be read ({error.strerror or error})") from error
    except (KeyError, TypeError, ValueError, AttributeError, ImportError, zipfile.BadZipFile) as error:
        raise cases.DataError(path, f"not a saved hand-crafted method ({error})") from error


def _told(value: Any) -> Any:
    """A value as JSON holds it: a function by its name, a partial one with its arguments."""
    if isinstance(value, functools.partial):
        if value.args:
            raise cases.MammoError(f"hand-crafted: {value.func.__name__} has arguments without names, {value.args}")
        return {"call": describe.qualified_name(value.func), "arguments": value.keywords}
    return {"call": describe.qualified_name(value)} if callable(value) else value


def _built(told: Any, path: pathlib.Path) -> Any:
    if not isinstance(told, dict):
        return told
    call = _resolved(told["call"], path)
    return functools.partial(call, **told["arguments"]) if told.get("arguments") else call


def _resolved(name: str, path: pathlib.Path) -> Any:
    """The function or class of this package that a file names."""
    module, _, attribute = name.partition("@")[0].rpartition(".")
    if not module.startswith(PACKAGE):
        raise cases.DataError(path, f"names {name!r}; only what stands in {PACKAGE}* can be read back")
    found = getattr(importlib.import_module(module), attribute)
    if describe.qualified_name(found) != name:
        raise cases.DataError(path, f"was written by {name}, this is {describe.qualified_name(found)}")
    return found


def _outline(view: cases.View, shape: tuple[int, int]) -> tuple[np.ndarray | None, list[str]]:
    """The mask of the lesion nearest the middle, bool of `shape`, or None where there is none; and what is wrong."""
    marked = [lesion.region for lesion in view.lesions if lesion.region is not None]
    try:
        if len(marked) > 1:
            marked.sort(key=functools.partial(_off_centre, shape=shape))
        mask = marked[0].mask(shape) if marked else None
    except cases.DataError as error:
        return None, [f"the outline cannot be read, the mass is grown from the middle: {error}"]
    if mask is not None and not mask.any():
        return None, ["no pixel of the outline lies in the view, the mass is grown from the middle"]
    return mask, []


def _off_centre(region: regions.Region, shape: tuple[int, int]) -> float:
    top, left, bottom, right = region.bounds()
    return math.hypot(top + bottom - shape[0], left + right - shape[1])


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Areas averaged where it shrinks, linear where it grows (it keeps its proportions, so it does one of them)."""
    rule = cv2.INTER_AREA if height <= image.shape[0] else cv2.INTER_LINEAR
    return image if image.shape == (height, width) else cv2.resize(image, (width, height), interpolation=rule)
