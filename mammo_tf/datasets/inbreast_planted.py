"""What a written INbreast says beyond its cases: numbers, pseudonyms, BI-RADS, and the original's faults.

Everything is drawn from hashes of ids, so the same cases give the same files. Cases that were read from INbreast keep
their numbers and categories and get no fault planted; their own are still there.

    films = inbreast_planted.films(phantom.cases(spec))
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from mammo_tf import cases, regions
from mammo_tf.datasets import inbreast_files as files
from mammo_tf.datasets import inbreast_tables as tables
from mammo_tf.datasets import inbreast_xml as outlines

# INbreast has 1: 67, 2: 220, 3: 23, 4a: 13, 4b: 8, 4c: 22, 5: 49, 6: 8 images. Here they are dealt to breasts by what
# is in them; how the 220 are shared between the first two is an assumption.
BIRADS: Mapping[str, Mapping[str, int]] = {
    "nothing": {"1": 67, "2": 20},
    "benign": {"2": 200, "3": 23, "4a": 13},
    "malignant": {"4b": 8, "4c": 22, "5": 49, "6": 8},
}
FAULTS_FROM = 8  # images: a smaller set gets no blank ACR and no FB view, each of which the original has once in 410
OVALS = 0.1  # of the masses, where the shape allows; ours, as the next
SPECKS = 5  # points a cluster
_FIRST, _STEP = 20_000_000, 26  # numbers have eight digits and gaps
_NUMBER, _PSEUDONYM = re.compile(r"\d{5,12}"), re.compile(r"[0-9a-f]{16}")
_DENSITIES = ("1", "2", "3", "4")


@dataclasses.dataclass(frozen=True)
class Film:
    """A view with its row, and its patient's pseudonym."""

    view: cases.View
    row: tables.Row
    patient: str

    @property
    def name(self) -> str:
        return files.dicom_name(self.row.image, self.patient, self.row.side[0], self.row.view)


def films(found: Sequence[cases.Case]) -> list[Film]:
    """One film a view, in their order.

    Raises:
        cases.MammoError: a view without a side, or of which neither the projection nor a BI-RADS can be told.
    """
    views = [view for case in found for view in case.views]
    keep = len({v.id for v in views}) == len(views) and all(_NUMBER.fullmatch(view.id) for view in views)
    made = []
    for i, view in enumerate(views):
        number = view.id if keep else str(_FIRST + _STEP * i)
        made.append(Film(view, _row(number, view), _pseudonym(view.patient_id)))
    fresh = not any("birads" in view.attributes for view in views)
    return _with_faults(made) if fresh and len(made) >= FAULTS_FROM else made


def _row(number: str, view: cases.View) -> tables.Row:
    if view.side is None:
        raise cases.MammoError(f"INbreast needs the side of {view.id}")
    word = view.attributes.get("view", str(view.projection))
    if word == cases.Projection.OTHER:
        raise cases.MammoError(f"INbreast needs the projection of {view.id}")
    density = view.attributes.get("breast density", "")
    return tables.Row(number, view.side, word, density if density in _DENSITIES else "", birads(view))


def _with_faults(made: list[Film]) -> list[Film]:
    """One ACR goes blank, and one CC view becomes `FB`."""
    blank = min(made, key=lambda film: share("ACR", film.view.id))
    craniocaudal = [film for film in made if film.row.view == "CC" and film is not blank]
    below = min(craniocaudal, key=lambda film: share("FB", film.view.id), default=None)
    changes = {id(blank): {"density": ""}, id(below): {"view": "FB"}}
    return [
        dataclasses.replace(film, row=dataclasses.replace(film.row, **changes.get(id(film), {}))) for film in made
    ]


def birads(view: cases.View) -> str:
    """The category of an image: its own, or drawn from `BIRADS` by the worst outcome in it.

    The draw goes by patient and side, so that the views of a breast agree as they do in the original. Where no
    outcome is proven, the highest `assessment` of its lesions counts.

    Raises:
        cases.MammoError: no outcome is proven and no lesion has an assessment.
    """
    if "birads" in view.attributes:
        return view.attributes["birads"]
    outcomes = {lesion.pathology for lesion in view.lesions}
    if cases.Pathology.UNPROVEN in outcomes and cases.Pathology.MALIGNANT not in outcomes:
        known = [lesion.attributes.get("assessment", "").lower() for lesion in view.lesions]
        category = max((text for text in known if text in tables.CATEGORIES), default="")
        if not category:
            raise cases.MammoError(f"INbreast needs a BI-RADS of {view.id}: nothing is proven nor assessed in it")
        return category
    kind = "malignant" if cases.Pathology.MALIGNANT in outcomes else "benign" if outcomes else "nothing"
    weights = BIRADS[kind]
    at = share("birads", kind, view.patient_id, str(view.side)) * sum(weights.values())
    edges = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(edges, at, side="right"))]


def share(*key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.sha256("\0".join(key).encode()).digest()[:6], "big") / 2**48


def _pseudonym(patient: str) -> str:
    return patient if _PSEUDONYM.fullmatch(patient) else hashlib.sha256(patient.encode()).hexdigest()[:16]


def marks(view: cases.View, pixels: np.ndarray) -> list[outlines.Outline]:
    """The ROIs of a view's lesions.

    A polygon is kept as it is, a mask becomes one for each of its parts. Calcifications that do not come from
    INbreast are an outline called `Cluster` and points called `Calcification` at its brightest places.

    Raises:
        cases.MammoError: a lesion without a region, or with an empty one.
    """
    return [outline for lesion in view.lesions for outline in _marks(lesion, pixels)]


def _marks(lesion: cases.Lesion, pixels: np.ndarray) -> list[outlines.Outline]:
    cluster = lesion.kind == "calcification" and "name" not in lesion.attributes
    kind = "cluster" if cluster else lesion.kind
    name = lesion.attributes.get("name", outlines.NAMES.get(kind, kind))
    if isinstance(lesion.region, regions.PolygonRegion):
        usual = outlines.POINT if len(lesion.region.points) == 1 else outlines.POLYGON
        return [outlines.Outline(name, int(lesion.attributes.get("type", usual)), lesion.region.points)]
    mask = lesion.region.mask(pixels.shape) if lesion.region else None
    if mask is None or not mask.any():
        raise cases.MammoError(f"INbreast needs an outline of lesion {lesion.id}: it has no region, or an empty one")
    oval = lesion.kind == "mass" and share("oval", lesion.id) < OVALS
    drawn = outlines.draw(name, mask, oval=oval)
    return drawn + (_specks(mask, pixels) if cluster else [])


def _specks(mask: np.ndarray, pixels: np.ndarray) -> list[outlines.Outline]:
    top, left, bottom, right = regions.box(mask)
    inside = np.where(mask, pixels, 0)[top:bottom, left:right].astype(np.int64)
    found = []
    for _ in range(SPECKS):
        row, column = np.unravel_index(int(inside.argmax()), inside.shape)
        if inside[row, column] <= 0:
            break
        point = float(left + column), float(top + row)
        found.append(outlines.Outline("Calcification", outlines.POINT, (point,)))
        inside[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = 0
    return found
