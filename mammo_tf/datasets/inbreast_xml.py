"""INbreast's outlines: property lists (plist) as OsiriX exports them, read and written (Moreira et al. 2012).

`Images[0].ROIs[]` have a `Name`, a `Type` (15 polygon, 9 oval in 200 points, 19 a single point of area 0) and
`Point_px`, strings "(x, y)": x is the column, nothing is flipped. They are taken to count from the outer corner of
the first pixel, whose centre is (0.5, 0.5) there and (0, 0) here: so the outline of 22580192 and the mask that others
made of it have a Dice of 0.992 (0.989 if counted from the centre). `plistlib` refuses entity declarations, so no file
can grow in memory.

    outlines = inbreast_xml.read(pathlib.Path("AllXML/22580192.xml"))
"""

from __future__ import annotations

import dataclasses
import pathlib
import plistlib
import re
import xml.parsers.expat
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mammo_tf import cases, regions
from mammo_tf.datasets import inbreast_files as files

OVAL, POLYGON, POINT = 9, 15, 19
OVAL_POINTS = 200
KINDS = {  # by the name in lower case; a name that is not here is kept as the kind
    "mass": "mass",
    "calcification": "calcification",
    "calcifications": "calcification",
    "cluster": "cluster",
    "distortion": "distortion",
    "asymmetry": "asymmetry",
    "assymetry": "asymmetry",
    "spiculated region": "spiculated region",
    "espiculated region": "spiculated region",
    "": "unnamed",
}
NAMES = {kind: name.capitalize() for name, kind in reversed(KINDS.items()) if name}  # of a kind that is written
_POINT = re.compile(r"\(\s*(-?\d{1,6}(?:\.\d+)?)\s*,\s*(-?\d{1,6}(?:\.\d+)?)\s*\)")
_CENTRE = 0.5
_ZERO = "(0.000000, 0.000000, 0.000000)"
_ALIKE = 0.97  # Dice from which an oval stands for a mask


@dataclasses.dataclass(frozen=True)
class Outline:
    """One ROI.

    Attributes:
        name: as written in the file.
        type: `OVAL`, `POLYGON` or `POINT`.
        points: (x, y) each, a pixel's centre having whole numbers.
    """

    name: str
    type: int
    points: tuple[tuple[float, float], ...]

    @property
    def kind(self) -> str:
        """As `cases.Lesion.kind` has it."""
        return KINDS.get(self.name.lower(), self.name.lower())


@dataclasses.dataclass(frozen=True)
class Outlines:
    """What a file marks, and what was mended."""

    found: tuple[Outline, ...]
    repairs: tuple[cases.Repair, ...]


def read(path: pathlib.Path) -> Outlines:
    """The outlines of a file. An ROI without points is skipped and a wrong count corrected, each a repair.

    Raises:
        cases.DataError: not a property list, one with entity declarations, of another layout, or with a point that is
            none.
    """
    image = _image(path)
    rois = _field(path, image, "ROIs")
    repairs, found = [], []
    if image.get("NumberOfROIs") != len(rois):
        repairs.append(_count(path, f"NumberOfROIs is {image.get('NumberOfROIs')}", f"{len(rois)} ROIs"))
    for i, roi in enumerate(rois):
        if not isinstance(roi, dict):
            raise cases.DataError(path, f"ROI {i}: expected a dict, found {type(roi).__name__}")
        outline = _outline(path, i, roi)
        if roi.get("NumberOfPoints") != len(outline.points):
            what = f"ROI {i}: NumberOfPoints is {roi.get('NumberOfPoints')}"
            repairs.append(_count(path, what, f"{len(outline.points)} points"))
        if outline.points:
            found.append(outline)
        else:
            what = f"ROI {i} ({outline.name or 'no name'}) has no point: skipped"
            repairs.append(cases.Repair(str(path), "empty outline", what))
    return Outlines(tuple(found), tuple(repairs))


def _outline(path: pathlib.Path, i: int, roi: dict[str, Any]) -> Outline:
    points = tuple(_point(path, i, text) for text in _field(path, roi, "Point_px"))
    kind = roi.get("Type")
    return Outline(str(roi.get("Name") or "").strip(), kind if isinstance(kind, int) else POLYGON, points)


def _image(path: pathlib.Path) -> dict[str, Any]:
    try:
        data = plistlib.loads(files.read_bytes(path), fmt=plistlib.FMT_XML)
    except (plistlib.InvalidFileException, xml.parsers.expat.ExpatError) as error:
        raise cases.DataError(path, f"not a property list: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # what plistlib makes of odd content
        raise cases.DataError(path, f"damaged property list: {type(error).__name__}: {error}") from None
    images = _field(path, data if isinstance(data, dict) else {}, "Images")
    if len(images) != 1 or not isinstance(images[0], dict):
        raise cases.DataError(path, f"expected one image in 'Images', found {len(images)} item(s)")
    return images[0]


def _field(path: pathlib.Path, fields: dict[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise cases.DataError(path, f"expected {name!r} to be an array, found {type(value).__name__}")
    return value


def _count(path: pathlib.Path, says: str, holds: str) -> cases.Repair:
    return cases.Repair(str(path), "wrong count", f"{says}, the file holds {holds}: those are used")


def _point(path: pathlib.Path, roi: int, text: Any) -> tuple[float, float]:
    found = _POINT.fullmatch(text.strip()) if isinstance(text, str) else None
    if not found:
        raise cases.DataError(path, f"ROI {roi}: expected a point '(x, y)', found {str(text)[:60]!r}")
    return float(found[1]) - _CENTRE, float(found[2]) - _CENTRE


def draw(name: str, mask: np.ndarray, *, oval: bool = False) -> list[Outline]:
    """The outlines of a mask, bool (H, W): one for each of its parts, filled; an ellipse where it fits well enough.

    Args:
        name: of the ROI.
        mask: what is outlined.
        oval: whether an ellipse is wanted; a mask in several parts, or of another shape, gets its polygons.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if oval and len(contours) == 1 and len(contours[0]) >= 5:  # cv2's least for an ellipse
        ellipse = _ellipse(name, contours[0])
        drawn = regions.PolygonRegion(ellipse.points).mask(mask.shape)
        if 2 * (drawn & mask).sum() > _ALIKE * (drawn.sum() + mask.sum()):
            return [ellipse]
    parts = sorted(tuple((float(x), float(y)) for x, y in contour[:, 0]) for contour in contours)
    return [Outline(name, POINT if len(points) == 1 else POLYGON, points) for points in parts]


def _ellipse(name: str, contour: np.ndarray) -> Outline:
    (x, y), (width, height), angle_deg = cv2.fitEllipse(contour)
    turn, angle = np.arange(OVAL_POINTS) * 2 * np.pi / OVAL_POINTS, np.deg2rad(angle_deg)
    along, across = width / 2 * np.cos(turn), height / 2 * np.sin(turn)
    xs = x + along * np.cos(angle) - across * np.sin(angle)
    ys = y + along * np.sin(angle) + across * np.cos(angle)
    return Outline(name, OVAL, tuple(zip(xs.tolist(), ys.tolist(), strict=True)))


def write(path: pathlib.Path, outlines: Sequence[Outline], spacing_mm: float | None) -> None:
    """Writes outlines as published, but for the statistics of the pixels: they are 0, as in some of the originals."""
    rois = [_roi(i, outline, spacing_mm or 0.0) for i, outline in enumerate(outlines)]
    image = {"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}
    path.write_bytes(plistlib.dumps({"Images": [image]}))


def _roi(i: int, outline: Outline, spacing_mm: float) -> dict[str, Any]:
    points = [f"({x + _CENTRE:.6f}, {y + _CENTRE:.6f})" for x, y in outline.points]
    pixels = cv2.contourArea(np.asarray(outline.points, np.float32))
    return {
        **dict.fromkeys(("Dev", "Max", "Mean", "Min", "Total"), 0.0),
        "Area": pixels * spacing_mm**2 / 100,  # cm2
        "Center": _ZERO,
        "IndexInImage": i,
        "Name": outline.name,
        "NumberOfPoints": len(points),
        "Point_mm": [_ZERO] * len(points),
        "Point_px": points,
        "Type": outline.type,
    }
