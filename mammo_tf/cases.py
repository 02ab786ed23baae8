"""What every part of the suite speaks of: cases, views, lesions, examples, splits, label policies.

The module holds values only: it reads no file and knows no format. A reader (`mammo_tf.datasets`) makes a
`Dataset` of `Case`s; `datasets.patches` turns lesions into `Example`s; `datasets.splits` deals examples to `Splits`;
a `Method` (`mammo_tf.run`) learns from them.

    view = case.views[0]
    pixels = view.pixels()                     # (H, W) uint8 or uint16, dark background
    crop = view.window(top=10, left=-5, height=64, width=64)   # its lesions move with it
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np


class MammoError(Exception):
    """A fault of the input or of the call: shown to the user as one message, without a traceback."""


class DataError(MammoError):
    """A file or table that cannot be used.

    Args:
        path: the file or folder at fault.
        reason: the rule that it breaks, with both sides of the mismatch.
    """

    def __init__(self, path: Any, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class Side(enum.StrEnum):
    """Laterality of the breast."""

    LEFT = "LEFT"
    RIGHT = "RIGHT"


class Projection(enum.StrEnum):
    """View position of the exposure."""

    CC = "CC"
    MLO = "MLO"
    OTHER = "OTHER"


class Pathology(enum.StrEnum):
    """Proven outcome of a lesion, in the words of DDSM."""

    NORMAL = "NORMAL"
    BENIGN = "BENIGN"
    BENIGN_WITHOUT_CALLBACK = "BENIGN_WITHOUT_CALLBACK"
    MALIGNANT = "MALIGNANT"
    UNPROVEN = "UNPROVEN"


class Region(Protocol):
    """Where a lesion lies, in the pixel frame of its view: x is the column, y the row, (0, 0) the top left."""

    def bounds(self) -> tuple[int, int, int, int]:
        """The smallest box (top, left, bottom, right) round the region, bottom and right exclusive."""
        ...

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        """The region filled, as bool (H, W) of `shape`."""
        ...


@dataclasses.dataclass(frozen=True)
class MaskRegion:
    """A region stored as an image; `load` returns bool (H, W) and is called anew each time."""

    load: Callable[[], np.ndarray]
    path: str = ""

    def bounds(self) -> tuple[int, int, int, int]:
        mask = self.load()
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            raise DataError(self.path or "mask", "the mask is empty: no pixel is set")
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        mask = self.load()
        if mask.shape != tuple(shape):
            raise DataError(
                self.path or "mask", f"the mask is {mask.shape}, its image {tuple(shape)} (rows, columns)"
            )
        return mask


@dataclasses.dataclass(frozen=True)
class CircleRegion:
    """A disc: centre (x, y) and radius in pixels, as mini-MIAS marks its lesions (y counted from the top here)."""

    x: float
    y: float
    radius: float

    def bounds(self) -> tuple[int, int, int, int]:
        return (
            math.floor(self.y - self.radius),
            math.floor(self.x - self.radius),
            math.ceil(self.y + self.radius) + 1,
            math.ceil(self.x + self.radius) + 1,
        )

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        return (rows - self.y) ** 2 + (columns - self.x) ** 2 <= self.radius**2


@dataclasses.dataclass(frozen=True)
class Lesion:
    """One annotated abnormality of one view.

    Attributes:
        id: unique within the dataset; one lesion seen in two views has two ids.
        pathology: the proven outcome.
        kind: "mass", "calcification", "distortion", "asymmetry", ... in lower case.
        region: where it lies in its view, or None where the dataset does not say.
        attributes: the dataset's own fields, as written there (`mass shape`, `assessment`, `subtlety`, ...).
        part: the official part, "train" or "test", where the dataset has one.
    """

    id: str
    pathology: Pathology
    kind: str
    region: Region | None = None
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    part: str | None = None


@dataclasses.dataclass(frozen=True)
class View:
    """One mammogram.

    Attributes:
        id: unique within the dataset.
        patient_id: the group that every split and interval goes by.
        load: returns the stored pixels (H, W), uint8 or uint16 (a memory map will do).
        max_value: the largest value that the storage allows (4095 for 12 bits), not the largest found.
        spacing_mm: side of a pixel in mm, None when unknown.
        attributes: the dataset's own fields of the image (`breast density`, ...).
        path: the file, for messages.
        lossy: True where the pixels went through a lossy compression.
    """

    id: str
    patient_id: str
    side: Side | None
    projection: Projection
    load: Callable[[], np.ndarray]
    max_value: int
    spacing_mm: float | None = None
    lesions: tuple[Lesion, ...] = ()
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    path: str = ""
    lossy: bool = False

    def pixels(self) -> np.ndarray:
        """The stored pixels, (H, W) uint8 or uint16, dark background.

        Raises:
            DataError: the file is missing or unreadable, or holds something else than one gray image.
        """
        pixels = self.load()
        if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
            raise DataError(
                self.path or self.id, f"expected uint8 or uint16 (H, W), found {pixels.dtype} {pixels.shape}"
            )
        return pixels

    def window(self, top: int, left: int, height: int, width: int, *, id: str | None = None) -> View:
        """The view seen through a box, which may overhang the image (filled with 0 there); lesions move with it."""
        lesions = tuple(
            dataclasses.replace(lesion, region=lesion.region and WindowRegion(lesion.region, self, top, left))
            for lesion in self.lesions
        )
        load = _WindowLoader(self, top, left, height, width)
        return dataclasses.replace(self, id=id or self.id, load=load, lesions=lesions)


@dataclasses.dataclass(frozen=True)
class WindowRegion:
    """A region seen through a window of its view (`View.window`)."""

    region: Region
    view: View
    top: int
    left: int

    def bounds(self) -> tuple[int, int, int, int]:
        top, left, bottom, right = self.region.bounds()
        return top - self.top, left - self.left, bottom - self.top, right - self.left

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        whole = self.region.mask(self.view.pixels().shape)
        return cut(whole, self.top, self.left, shape[0], shape[1])


@dataclasses.dataclass(frozen=True)
class _WindowLoader:
    view: View
    top: int
    left: int
    height: int
    width: int

    def __call__(self) -> np.ndarray:
        return cut(self.view.pixels(), self.top, self.left, self.height, self.width)


def cut(image: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """The box of an image, (height, width), with 0 where it overhangs; only the pixels needed are read.

    >>> cut(np.array([[1, 2], [3, 4]], np.uint8), top=1, left=-1, height=2, width=3).tolist()
    [[0, 3, 4], [0, 0, 0]]
    """
    out = np.zeros((height, width), image.dtype)
    row0, row1 = max(top, 0), min(top + height, image.shape[0])
    column0, column1 = max(left, 0), min(left + width, image.shape[1])
    if row0 < row1 and column0 < column1:
        out[row0 - top : row1 - top, column0 - left : column1 - left] = image[row0:row1, column0:column1]
    return out


@dataclasses.dataclass(frozen=True)
class Case:
    """One patient as a dataset knows her: every view, of every date."""

    patient_id: str
    views: tuple[View, ...]


@dataclasses.dataclass(frozen=True)
class Problem:
    """A file or row that was left out, and why; readers list them, nothing is dropped in silence."""

    path: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a reader found below a folder.

    Attributes:
        name: "cbis_ddsm", "mini_mias", ...
        kind: "real" or "phantom"; every table that shows a number shows its kind.
        root: the folder read.
        cases: one a patient, sorted by patient id.
        problems: what was left out.
        fingerprint: hexadecimal digest of the tables read and of the names and sizes of the image files.
    """

    name: str
    kind: str
    root: str
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...] = ()
    fingerprint: str = ""

    @property
    def views(self) -> tuple[View, ...]:
        return tuple(view for case in self.cases for view in case.views)


@dataclasses.dataclass(frozen=True)
class Example:
    """One unit of learning.

    Attributes:
        id: unique within a run.
        patient_id: the group that splits and intervals go by.
        views: one or more views (of one crop, or of the two projections of a breast).
        label: 1.0 or 0.0, NaN when unknown (never 0).
        weight: sample weight.
        roi_id: the annotated ROI that the example shows, so that several crops of one ROI can be told.
        part: the official part of its lesion, "train" or "test", or None.
    """

    id: str
    patient_id: str
    views: tuple[View, ...]
    label: float
    weight: float = 1.0
    roi_id: str = ""
    part: str | None = None


@dataclasses.dataclass(frozen=True)
class Splits:
    """Examples dealt to three parts. Patients must not be shared, unless the leak is named.

    Attributes:
        train, val, test: the parts; test may be empty where a protocol has none.
        fold: index of the fold, 0 for a hold-out.
        leaks: the reasons why patients may be shared between the parts; empty for an honest split.

    Raises:
        MammoError: an example or (without `leaks`) a patient stands in two parts.
    """

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    test: tuple[Example, ...] = ()
    fold: int = 0
    leaks: tuple[str, ...] = ()

    def __post_init__(self):
        parts = {"train": self.train, "val": self.val, "test": self.test}
        names = list(parts)
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                self._refuse("example", {e.id for e in parts[one]} & {e.id for e in parts[other]}, one, other)
                if not self.leaks:
                    shared = {e.patient_id for e in parts[one]} & {e.patient_id for e in parts[other]}
                    self._refuse("patient", shared, one, other)

    @staticmethod
    def _refuse(what: str, shared: set[str], one: str, other: str) -> None:
        if shared:
            some = ", ".join(sorted(shared)[:3])
            raise MammoError(f"split: {len(shared)} {what}(s) stand in both {one} and {other}: {some}")


@dataclasses.dataclass(frozen=True)
class Context:
    """Where and how a method is fitted; the method itself says what.

    Attributes:
        seed: fixes data order, augmentation, initialisation and sampling.
        budget: name of the budget ("smoke", "demo", "paper").
        folder: where checkpoints and logs of this fit go (a `pathlib.Path`).
        precision: "auto", "float32", "bfloat16" or "float16".
        weights: file with pre-trained weights (a path), or None; `run.execute` has found or made it.
        resume: go on from the checkpoint in `folder` if there is one.
        inputs: what the run's `needs` yielded, by run name.
        dataset_kind: "phantom" or "real".
        strict: stop at the first unreadable file.
        draw: functions that draw for TensorBoard, by name; they return uint8 RGB arrays (H, W, 3).
    """

    seed: int
    budget: str
    folder: Any
    precision: str = "auto"
    weights: str | None = None
    resume: bool = False
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    dataset_kind: str = "real"
    strict: bool = False
    draw: Mapping[str, Callable[..., np.ndarray]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class LabelPolicy:
    """How a lesion or a view becomes a label. `lesion` and `view` return 1.0, 0.0, or NaN for "leave out"."""

    name: str
    class_names: tuple[str, str]
    lesion: Callable[[Lesion], float]
    view: Callable[[View], float]


def _pathology_of_lesion(lesion: Lesion) -> float:
    if lesion.pathology is Pathology.MALIGNANT:
        return 1.0
    return math.nan if lesion.pathology is Pathology.UNPROVEN else 0.0


def _worst(policy_of_lesion: Callable[[Lesion], float], view: View) -> float:
    labels = [policy_of_lesion(lesion) for lesion in view.lesions]
    if 1.0 in labels:
        return 1.0
    return math.nan if any(math.isnan(label) for label in labels) else 0.0


def _pathology_of_view(view: View) -> float:
    return _worst(_pathology_of_lesion, view)


def birads_number(text: str) -> float:
    """The category of a BI-RADS text: "4a" -> 4.0, "5" -> 5.0, anything else -> NaN.

    >>> birads_number("4c"), birads_number("2")
    (4.0, 2.0)
    """
    text = str(text).strip().lower()
    return float(text[0]) if text[:1].isdigit() and text[1:] in ("", "a", "b", "c") else math.nan


def _birads_label(text: str, *, drop: tuple[int, ...]) -> float:
    number = birads_number(text)
    if math.isnan(number) or number == 0 or number in drop:  # 0: assessment incomplete
        return math.nan
    return float(number >= 4)


def _birads_of_lesion(lesion: Lesion, *, drop: tuple[int, ...] = ()) -> float:
    return _birads_label(lesion.attributes.get("assessment", ""), drop=drop)


def _birads_of_view(view: View, *, drop: tuple[int, ...] = ()) -> float:
    if "birads" in view.attributes:
        return _birads_label(view.attributes["birads"], drop=drop)
    return _worst(lambda lesion: _birads_of_lesion(lesion, drop=drop), view)


def _drop_3_of_lesion(lesion: Lesion) -> float:
    return _birads_of_lesion(lesion, drop=(3,))


def _drop_3_of_view(view: View) -> float:
    return _birads_of_view(view, drop=(3,))


_OUTCOME = ("benign", "malignant")
_SUSPICION = ("BI-RADS below 4", "BI-RADS 4 and up")

pathology = LabelPolicy("pathology", _OUTCOME, _pathology_of_lesion, _pathology_of_view)
birads_4_up = LabelPolicy("birads_4_up", _SUSPICION, _birads_of_lesion, _birads_of_view)
birads_4_up_drop_3 = LabelPolicy("birads_4_up_drop_3", _SUSPICION, _drop_3_of_lesion, _drop_3_of_view)
mias_severity = LabelPolicy("mias_severity", _OUTCOME, _pathology_of_lesion, _pathology_of_view)
