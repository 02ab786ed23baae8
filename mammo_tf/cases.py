"""What every part of the suite speaks of: cases, views, lesions, examples, splits.

Values only: nothing here reads a file or knows a format. A reader (`mammo_tf.datasets`) makes a `Dataset` of `Case`s,
`datasets.patches` and `datasets.breasts` make `Example`s of it, `datasets.splits` deals them, a `Method` learns.

    view = case.views[0]
    pixels = view.pixels()                     # (H, W) uint8 or uint16, dark background
    crop = view.window(top=10, left=-5, height=64, width=64)   # its lesions move with it
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mammo_tf import regions
from mammo_tf.errors import DataError, MammoError, MissingError
from mammo_tf.regions import ResizedLoader, SizedLoader, WindowLoader


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
    region: regions.Region | None = None
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

    @functools.cached_property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the pixels; they are decoded for it, once, unless the loader knows."""
        sized = isinstance(self.load, WindowLoader | ResizedLoader | SizedLoader)
        return (self.load.height, self.load.width) if sized else self.pixels().shape

    def window(self, top: int, left: int, height: int, width: int, *, id: str | None = None) -> View:
        """The view seen through a box, which may overhang the image (filled with 0 there); lesions move with it."""
        load = WindowLoader(self, top, left, height, width)
        lesions = self._lesions(regions.WindowRegion, top, left)
        return dataclasses.replace(self, id=id or self.id, load=load, lesions=lesions)

    def resized(self, height: int, width: int, resize: Callable[[np.ndarray, int, int], np.ndarray]) -> View:
        """The view stretched to (height, width), uint16 with 65535 for white; lesions are stretched with it.

        `resize(image, height, width)`, float32 in [0, 1] to float32, is such as `pipeline.resize.area`.
        `spacing_mm` is None where the aspect changes by over 1 %; to tell, a view with a spacing is decoded here.
        """
        load = ResizedLoader(self, height, width, resize)
        fields = {"spacing_mm": load.spacing_mm(), "lesions": self._lesions(regions.ScaledRegion, height, width)}
        return dataclasses.replace(self, load=load, max_value=regions.FULL, **fields)

    def _lesions(self, region: Callable[..., regions.Region], *box: int) -> tuple[Lesion, ...]:
        seen = (lesion.region and region(lesion.region, self, *box) for lesion in self.lesions)
        return tuple(dataclasses.replace(a, region=b) for a, b in zip(self.lesions, seen, strict=True))


@dataclasses.dataclass(frozen=True)
class Case:
    """One patient as a dataset knows her: every view, of every date."""

    patient_id: str
    views: tuple[View, ...]


@dataclasses.dataclass(frozen=True)
class Problem:
    """A file or row that was left out, and why; readers list them, nothing is dropped in silence.

    Attributes:
        path: the file, or the table of the row.
        reason: the rule that it breaks.
        kind: "missing" (a table names it, it is not there), "unreadable" (there, but damaged or of an unknown form),
            or "left out" (nothing wrong with it but what it belongs to).
    """

    path: str
    reason: str
    kind: str = "unreadable"

    @classmethod
    def of(cls, error: DataError, prefix: str = "") -> Problem:
        """What a reader lists for an error; `prefix` says whose file it is."""
        kind = "missing" if isinstance(error, MissingError) else "unreadable"
        return cls(error.path, f"{prefix}: {error.reason}" if prefix else error.reason, kind)


@dataclasses.dataclass(frozen=True)
class Repair:
    """A fault that a reader mended, by a rule that its documentation states.

    Attributes:
        path: the file, or the table of the row.
        rule: the rule's short name, by which repairs are counted.
        what: what was found and what was made of it.
    """

    path: str
    rule: str
    what: str


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a reader found below a folder.

    Attributes:
        name: "cbis_ddsm", "mini_mias", ...
        kind: "real" or "phantom"; every table that shows a number shows its kind.
        root: the folder read.
        cases: one a patient, sorted by patient id.
        problems: what was left out.
        repairs: what was mended, and how.
        fingerprint: hexadecimal digest of the tables read and of the names and sizes of the image files.
    """

    name: str
    kind: str
    root: str
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...] = ()
    fingerprint: str = ""
    repairs: tuple[Repair, ...] = ()

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
        dropped: the patients left out so that none is shared.

    Raises:
        MammoError: an example or (without `leaks`) a patient stands in two parts.
    """

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    test: tuple[Example, ...] = ()
    fold: int = 0
    leaks: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

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
        weights: file with pre-trained weights (a path), or None.
        resume: go on from the checkpoint in `folder` if there is one.
        inputs: what the run's `needs` yielded, by run name.
        dataset_kind: "phantom" or "real".
        strict: stop at the first unreadable file.
        draw: functions that draw for TensorBoard, by name, uint8 RGB (H, W, 3).
        watch: examples scored after every epoch, for the history alone.
        leaked: the test part, where the protocol lets a method fit something on it (a leak by design).
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
    watch: tuple[Example, ...] = ()
    leaked: tuple[Example, ...] = ()
