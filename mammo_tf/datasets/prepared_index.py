"""The index of a prepared dataset: its views but for their pixels, as JSON and back.

A mask is kept as a PNG of its box with one bit a pixel, a disc or an outline by its own numbers. What could not be
read when the dataset was prepared is kept as the fault that it was: asked for again, it raises the error of the
direct reader. Paths are kept from the dataset's folder on: none of a machine travels with a prepared dataset.

    row = prepared_index.row(view, pixels.shape, root="/data/CBIS-DDSM")
    view = prepared_index.view(row, load)
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from mammo_tf import cache, cases, regions

FORMAT_VERSION = 1  # of the records and of this index
FILE = "prepared.json"
_OUTLINES = {kind.__name__: kind for kind in (regions.CircleRegion, regions.PolygonRegion)}
_ONE_BIT = (cv2.IMWRITE_PNG_BILEVEL, 1)


@dataclasses.dataclass(frozen=True)
class Mask:
    """A loader of a mask, bool (H, W) of `shape`: the PNG of its box (top, left, bottom, right), None if empty."""

    shape: tuple[int, int]
    box: tuple[int, int, int, int] | None
    png: bytes = b""

    @classmethod
    def of(cls, mask: np.ndarray) -> Mask:
        mask = np.asarray(mask, bool)
        if not mask.any():
            return cls(mask.shape, None)
        top, left, bottom, right = box = regions.box(mask)
        bits = mask[top:bottom, left:right].astype(np.uint8) * np.uint8(255)
        return cls(mask.shape, box, cv2.imencode(".png", bits, _ONE_BIT)[1].tobytes())

    def __call__(self) -> np.ndarray:
        mask = np.zeros(self.shape, bool)
        if self.box:
            top, left, bottom, right = self.box
            mask[top:bottom, left:right] = cv2.imdecode(np.frombuffer(self.png, np.uint8), cv2.IMREAD_GRAYSCALE) > 0
        return mask


@dataclasses.dataclass(frozen=True)
class Fault:
    """A loader of what could not be read: it raises the same error again."""

    problem: cases.Problem

    def __call__(self) -> np.ndarray:
        kind = cases.MissingError if self.problem.kind == "missing" else cases.DataError
        raise kind(self.problem.path, self.problem.reason)


def attempt(read: Callable[[], np.ndarray], path: str) -> np.ndarray | cases.Problem:
    """What `read` gives, or what a run would list instead."""
    try:
        return read()
    except cases.DataError as error:
        return cases.Problem.of(error)
    except OSError as error:
        kind = cases.MissingError if isinstance(error, FileNotFoundError) else cases.DataError
        return cases.Problem.of(kind(path, f"cannot be read: {error.strerror or error}"))


def row(view: cases.View, found: np.ndarray | cases.Problem, root: str) -> dict[str, Any]:
    """A view as JSON.

    Args:
        view: any view whose regions do not hang on another view.
        found: its pixels, or why there are none.
        root: the dataset's folder, taken off every path.
    """
    facts = {f.name: getattr(view, f.name) for f in dataclasses.fields(view) if f.name not in ("load", "lesions")}
    facts |= {"attributes": dict(view.attributes), "max_value": int(view.max_value)}
    facts |= {"path": below(view.path, root)}
    facts |= {"lesions": [_lesion_row(lesion, view, found, root) for lesion in view.lesions]}
    if isinstance(found, cases.Problem):
        return facts | {"fault": problem_row(found, root)}
    return facts | {"shape": list(found.shape), "dtype": found.dtype.name}


def _lesion_row(
    lesion: cases.Lesion, view: cases.View, found: np.ndarray | cases.Problem, root: str
) -> dict[str, Any]:
    facts = {f.name: getattr(lesion, f.name) for f in dataclasses.fields(lesion) if f.name != "region"}
    region = lesion.region and _region_row(lesion.region, view, found, root)
    return facts | {"attributes": dict(lesion.attributes), "region": region}


def _region_row(
    region: regions.Region, view: cases.View, found: np.ndarray | cases.Problem, root: str
) -> dict[str, Any]:
    if type(region).__name__ in _OUTLINES:
        return {"type": type(region).__name__, **plain(dataclasses.asdict(region))}
    path = getattr(region, "path", "")
    if isinstance(region, regions.MaskRegion):
        mask = attempt(region.load, path or view.path)
    elif isinstance(found, cases.Problem):
        mask = found  # of another kind: its mask needs the size of the image
    else:
        mask = attempt(functools.partial(region.mask, found.shape), view.path)
    facts = {"type": "mask", "path": below(path, root)}
    if isinstance(mask, cases.Problem):
        return facts | {"fault": problem_row(mask, root)}
    kept = Mask.of(mask)
    return facts | {"shape": kept.shape, "box": kept.box, "png": base64.b64encode(kept.png).decode()}


def plain(value: Any) -> Any:
    """The value with lists, dicts and numbers of Python alone."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def view(row: Mapping[str, Any], load: Callable[[], np.ndarray]) -> cases.View:
    """The view of a row, with `load` as its loader."""
    facts = {f.name: row[f.name] for f in dataclasses.fields(cases.View) if f.name in row}
    facts |= {"side": row["side"] and cases.Side(row["side"]), "projection": cases.Projection(row["projection"])}
    facts |= {"lesions": tuple(map(_lesion, row["lesions"]))}
    return cases.View(**facts, load=load)


def _lesion(row: Mapping[str, Any]) -> cases.Lesion:
    facts = dict(row) | {"pathology": cases.Pathology(row["pathology"])}
    return cases.Lesion(**facts | {"region": row["region"] and region(row["region"])})


def region(row: Mapping[str, Any]) -> regions.Region:
    """The region of a row: a mask that is unpacked when asked for, a disc or an outline."""
    facts = {name: value for name, value in row.items() if name != "type"}
    if row["type"] in _OUTLINES:
        return _OUTLINES[row["type"]](**{name: _tuples(value) for name, value in facts.items()})
    if "fault" in row:
        return regions.MaskRegion(Fault(cases.Problem(**row["fault"])), row["path"])
    box = row["box"] and tuple(row["box"])
    return regions.MaskRegion(Mask(tuple(row["shape"]), box, base64.b64decode(row["png"])), row["path"])


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def problem_row(problem: cases.Problem | cases.Repair, root: str) -> dict[str, str]:
    """A problem or a repair as JSON, without the dataset's folder in any of its texts."""
    facts = {name: shortened(text, root) for name, text in dataclasses.asdict(problem).items()}
    return facts | {"path": below(problem.path, root)}


def header(dataset: cases.Dataset, intensity: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a prepared dataset says of itself; `unreadable` is what the reader listed and could then not be read."""
    return {
        "format": FORMAT_VERSION,
        "name": dataset.name,
        "kind": dataset.kind,
        "fingerprint": dataset.fingerprint,
        "intensity": intensity,
        "source": source(dataset),
        "problems": [problem_row(problem, dataset.root) for problem in dataset.problems],
        "repairs": [problem_row(repair, dataset.root) for repair in dataset.repairs],
        "unreadable": [dataclasses.asdict(fault) for row in rows for fault in faults(row)],
        "records": len(good(rows)),
    }


def source(dataset: cases.Dataset) -> str:
    """A digest by which the same folder is known again; the folder's name itself is not kept."""
    return cache.key(os.path.realpath(dataset.root))


def good(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that have a record: their pixels could be read."""
    return [row for row in rows if "fault" not in row]


def faults(row: Mapping[str, Any]) -> list[cases.Problem]:
    """What of a row could not be read: its pixels, masks of its lesions."""
    parts = [row, *(lesion["region"] for lesion in row["lesions"] if lesion["region"])]
    return [cases.Problem(**part["fault"]) for part in parts if "fault" in part]


def lost(view: cases.View) -> bool:
    """Whether a view of a prepared dataset, or a mask in it, could not be read when it was prepared."""
    loaders = (view.load, *(getattr(lesion.region, "load", None) for lesion in view.lesions))
    return any(isinstance(loader, Fault) for loader in loaders)


def below(path: str, root: str | os.PathLike[str]) -> str:
    """A path from the folder `root` on; one that does not lie in it as it is."""
    return path.removeprefix(_prefix(root))


def shortened(text: str, root: str | os.PathLike[str]) -> str:
    """A message whose paths start at the folder `root`.

    >>> shortened("d/a.png is beside d/b.png, not old/c.png", "d")
    'a.png is beside b.png, not old/c.png'
    """
    prefix = _prefix(root)
    if prefix in (os.sep, f".{os.sep}"):  # these stand in other paths, too
        return text
    return re.sub(rf"(?<![^\s'\"`(\[=:,]){re.escape(prefix)}", "", text)


def _prefix(root: str | os.PathLike[str]) -> str:
    return f"{str(root).rstrip(os.sep)}{os.sep}"


def by_patient(views: Sequence[cases.View]) -> tuple[cases.Case, ...]:
    """Cases in the order in which their patients come up first."""
    patients: dict[str, list[cases.View]] = {}
    for one in views:
        patients.setdefault(one.patient_id, []).append(one)
    return tuple(cases.Case(patient, tuple(some)) for patient, some in patients.items())
