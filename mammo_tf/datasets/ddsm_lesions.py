"""The lesions of a film of DDSM out of its overlay: kinds, words, and the boundary as a region.

found, repairs = ddsm_lesions.of(path, "B_3013_1.RIGHT_MLO", film)
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from mammo_tf import cases, datasets, regions
from mammo_tf.datasets import ddsm_case
from mammo_tf.datasets import ddsm_overlay as overlays

UNANNOUNCED, BEYOND = "overlay not announced", "outline beyond its film"
WORDS: Mapping[str, Mapping[str, str]] = {  # attributes by the fields of LESION_TYPE, in the words of CBIS-DDSM
    "mass": {"SHAPE": "mass shape", "MARGINS": "mass margins"},
    "calcification": {"TYPE": "calc type", "DISTRIBUTION": "calc distribution"},
}


def of(path: pathlib.Path, film_id: str, film: ddsm_case.Film) -> tuple[tuple[cases.Lesion, ...], list[cases.Repair]]:
    """The lesions of an overlay, and what was mended.

    Raises:
        cases.DataError: as `ddsm_overlay.read_overlay`, or a boundary lies beyond the film.
    """
    read = overlays.read_overlay(path)
    lesions, repairs = [], list(read.repairs)
    if not film.overlay:
        what = "its case file says NON_OVERLAY: its lesions are there all the same"
        repairs.append(cases.Repair(str(path), UNANNOUNCED, what))
    for one in read.abnormalities:
        if repair := _beyond(path, one, (film.rows, film.columns)):
            repairs.append(repair)
        load = functools.partial(within, one.boundary.points, (film.rows, film.columns), path)
        own = f"{film_id}_{one.number}", one.pathology, kind_of(one)
        lesions.append(cases.Lesion(*own, regions.MaskRegion(load, str(path)), _attributes(one)))
    return tuple(lesions), repairs


def kind_of(one: overlays.Abnormality) -> str:
    """ "mass" where one of its types says so, else the first type."""
    kinds = [type.kind for type in one.types]
    return "mass" if "mass" in kinds else kinds[0]


def _attributes(one: overlays.Abnormality) -> dict[str, str]:
    found = {
        "assessment": one.assessment,
        "subtlety": one.subtlety,
        "lesion types": " + ".join(type.kind for type in one.types),
        "outlines": str(len(one.outlines)),
    }
    for type in one.types:
        names = WORDS.get(type.kind, {})
        found |= {names.get(key, f"{type.kind} {key.lower()}".strip()): value for key, value in type.fields.items()}
    return found


def _beyond(path: pathlib.Path, one: overlays.Abnormality, shape: tuple[int, int]) -> cases.Repair | None:
    """What is said of a boundary that leaves its film.

    Raises:
        cases.DataError: none of it lies inside, or it goes absurdly far.
    """
    xs, ys = one.boundary.points.T
    out = (xs < 0) | (ys < 0) | (xs >= shape[1]) | (ys >= shape[0])
    if not out.any():
        return None
    what = f"abnormality {one.number}: {out.sum()} of {len(xs)} points lie beyond the film {shape} (rows, columns)"
    spans = np.maximum([ys.max() + 1, xs.max() + 1], shape) - np.minimum([ys.min(), xs.min()], 0)
    if out.all() or np.prod(spans) > datasets.MAX_PIXELS:
        raise cases.DataError(path, f"{what}, too many to go on")
    return cases.Repair(str(path), BEYOND, f"{what}: the region ends at the border")


def within(points: np.ndarray, shape: tuple[int, int], path: Any = "outline") -> np.ndarray:
    """The outline filled as by `ddsm_overlay.fill`, bool (H, W); what lies beyond the film is cut off.

    >>> within(np.array([[-1, 0], [1, 0], [1, 1], [-1, 1]]), (2, 3)).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0]]
    """
    low = np.minimum(points.min(axis=0), 0)
    high = np.maximum(points.max(axis=0) + 1, shape[::-1])
    width, height = (high - low).tolist()
    mask = overlays.fill(points - low, (height, width), path)
    return mask if mask.shape == tuple(shape) else regions.cut(mask, -int(low[1]), -int(low[0]), *shape)
