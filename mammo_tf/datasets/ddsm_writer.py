"""Writes cases in the published tree of DDSM: case files, `.LJPEG`, overlays, and the original's faults.

What is wrong in the original stands in `ddsm_planted`.

    ddsm_writer.write(phantom.cases(spec), "phantom")
"""

from __future__ import annotations

import concurrent.futures
import functools
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import ddsm_case, ljpeg
from mammo_tf.datasets import ddsm_lesions as lesions
from mammo_tf.datasets import ddsm_overlay as overlays
from mammo_tf.datasets import ddsm_planted as planted

_BITS = (8, 16)  # of a film
_CORE = (5, 5)  # pixels: a core is a lesion eroded by half a box of these
_CALCIFICATIONS = {"TYPE": "PLEOMORPHIC", "DISTRIBUTION": "CLUSTERED"}  # of a mass that has some


def write(found: Sequence[cases.Case], root: str | pathlib.Path, *, workers: int = 2) -> None:
    """Writes cases in the published tree, its faults included; the same cases, the same bytes.

    Masks become chains of their borders: holes are filled, one of several parts becomes the hull of them all, and a
    single pixel becomes two. Each view is rendered once.

    Args:
        found: the cases; every lesion has a region, every view a spacing.
        root: an existing or new folder.
        workers: threads (rendering and encoding leave the interpreter free).

    Raises:
        cases.MammoError: a view or lesion that the format cannot hold.
    """
    root = pathlib.Path(root)
    planned = planted.cases_of(found)
    jobs = [(case, view) for case in planned for view in case.views]
    for case, view in jobs:
        _check(view)
        (root / case.folder).mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        films = iter(list(pool.map(functools.partial(_write_film, root), jobs)))
    for case in planned:
        density = case.views[0].attributes.get("breast density", "")
        listed = tuple(next(films) for _ in case.views)
        told = ddsm_case.CaseFile(case.name, "REGULAR", density, case.digitizer, listed)
        ddsm_case.write_ics(root / case.folder / f"{case.name}.ics", told)


def _check(view: cases.View) -> None:
    if view.spacing_mm is None:
        raise cases.MammoError(f"ddsm needs the spacing of {view.id}")
    for lesion in view.lesions:
        if lesion.region is None or lesion.pathology is cases.Pathology.NORMAL:
            what = f"{lesion.pathology} {lesion.kind}{'' if lesion.region else ' without a region'}"
            raise cases.MammoError(f"ddsm holds outlined abnormalities; {lesion.id} is {what}")


def _write_film(root: pathlib.Path, job: tuple[planted.Case, cases.View]) -> ddsm_case.Film:
    case, view = job
    pixels = np.asarray(view.pixels())
    stem = f"{case.key}.{view.side}_{view.projection}"
    bits = min(max(view.max_value.bit_length(), _BITS[0]), _BITS[1])
    turned, above = (
        case.faults and planted.draw(stem, name) < getattr(planted, name) for name in ("TURNED", "ABOVE")
    )
    coded = pixels.reshape(pixels.shape[::-1]) if turned else pixels  # the lines are cut at other places
    data = ljpeg.encode(coded, bits, predictor=7 if above else 1)
    (root / case.folder / f"{stem}.LJPEG").write_bytes(data)
    announced = bool(view.lesions)
    if view.lesions:
        _write_overlay(root / case.folder / f"{stem}.OVERLAY", view, pixels.shape, case.faults)
        announced = not (case.faults and planted.draw(stem, "UNANNOUNCED") < planted.UNANNOUNCED)
    return ddsm_case.Film(view.side, view.projection, *pixels.shape, bits, view.spacing_mm, announced)


def _write_overlay(path: pathlib.Path, view: cases.View, shape: tuple[int, int], faults: bool) -> None:
    found = [_abnormality(number, lesion, shape, faults) for number, lesion in enumerate(view.lesions, 1)]
    overlays.write_overlay(path, found)
    if not faults:
        return
    text = path.read_text(encoding="latin-1")
    for one, lesion in zip(found, view.lesions, strict=True):
        if planted.draw(lesion.id, "PROMISED") < planted.PROMISED:
            head, mark, rest = text.partition(f"ABNORMALITY {one.number}\n")
            count = len(one.outlines)
            text = head + mark + rest.replace(f"TOTAL_OUTLINES {count}", f"TOTAL_OUTLINES {count + 1}", 1)
    path.write_text(text, encoding="latin-1")


def _abnormality(number: int, lesion: cases.Lesion, shape: tuple[int, int], faults: bool) -> overlays.Abnormality:
    mask = lesion.region.mask(shape)
    if not mask.any():
        raise cases.MammoError(f"ddsm needs an outline of {lesion.id}: its region is empty")
    outlines = [overlays.Outline("BOUNDARY", boundary(mask))]
    core = cv2.erode(mask.astype(np.uint8), np.ones(_CORE, np.uint8))
    if faults and planted.draw(lesion.id, "CORES") < planted.CORES and core.any():
        outlines.append(overlays.Outline("CORE", boundary(core > 0)))
    grades = (lesion.attributes.get(name, "") for name in ("assessment", "subtlety"))
    return overlays.Abnormality(number, _types(lesion, faults), *grades, lesion.pathology, tuple(outlines))


def _types(lesion: cases.Lesion, faults: bool) -> tuple[overlays.LesionType, ...]:
    kinds = lesion.attributes.get("lesion types", lesion.kind).split(" + ")
    types = [overlays.LesionType(kind, _fields(kind, lesion)) for kind in kinds]
    if faults and kinds == ["mass"] and planted.draw(lesion.id, "TWO_TYPES") < planted.TWO_TYPES:
        types.append(overlays.LesionType("calcification", _CALCIFICATIONS))
    return tuple(types)


def _fields(kind: str, lesion: cases.Lesion) -> dict[str, str]:
    words = lesions.WORDS.get(kind, {})
    return {field: lesion.attributes.get(name, "N/A").replace(" ", "_") for field, name in words.items()}


def boundary(mask: np.ndarray) -> np.ndarray:
    """The border of a mask as a closed chain of neighbours, (N, 2) pixels (x, y), at least three points.

    Of several parts it is the border of their hull.
    """
    drawn = mask.astype(np.uint8)
    parts, _ = cv2.findContours(drawn, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if len(parts) > 1:
        cv2.fillConvexPoly(drawn, cv2.convexHull(np.concatenate(parts)), 1)
        parts, _ = cv2.findContours(drawn, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = parts[0][:, 0].astype(np.int64)
    if len(points) == 1:  # a chain has directions: go to a neighbour and back
        beside = points + np.array([-1 if points[0, 0] else 1, 0])
        points = np.concatenate([points, beside])
    return np.concatenate([points, points[:1]])
