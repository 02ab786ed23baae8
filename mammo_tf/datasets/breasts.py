"""Two-view examples: one a breast, with a crop of its lesion from the CC and one from the MLO view.

Yi et al. 2017, section 2.1: 750 x 750 pixels round the seed that the radiologist marked, here the centroid of the
outline. DDSM's pixels measure about 0.045 mm, so that is 33.75 mm; images of another known pixel size are cut to the
same millimetres. The crop may overhang the image (0 there).

    examples, problems = breasts.breasts(dataset, labels.pathology, views=breasts.drop)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures

import numpy as np

from mammo_tf import cache, cases, labels, regions

ALGORITHM_VERSION = 1
CROP_PIXELS = 750  # section 2.1
PIXEL_MM = 0.045  # of DDSM: 0.042 to 0.050, by the digitizer
READERS = 4

Views = tuple[cases.View, ...]


@dataclasses.dataclass(frozen=True)
class KeptWindow(regions.WindowLoader):
    """A window that is cut once a process: a film is decoded whole for it, and the rows of a paper share their crops.

    `source` tells the film from all others: the dataset's fingerprint and the view's id.
    """

    source: tuple[str, str] = ("", "")

    def __call__(self) -> np.ndarray:
        key = (*self.source, self.top, self.left, self.height, self.width)
        return cache.remembered(key, super().__call__)


def drop(found: Views) -> Views:
    """A breast seen in one view only is left out."""
    return found if len(found) == 2 else ()


def repeat(found: Views) -> Views:
    """A breast seen in one view only shows it twice."""
    return found if len(found) == 2 else found * 2


def single(found: Views) -> Views:
    """A breast seen in one view only is an example of one view."""
    return found


@dataclasses.dataclass(frozen=True)
class _Seen:
    """A lesion in its view: its label, the centroid (y, x) and the area of its outline in pixels."""

    view: cases.View
    lesion: cases.Lesion
    label: float
    seed: tuple[float, float]
    area: float


def breasts(
    dataset: cases.Dataset,
    policy: labels.LabelPolicy,
    *,
    kinds: Sequence[str] = ("mass", "calcification"),
    views: Callable[[Views], Views] = drop,
    side: int = CROP_PIXELS,
    pixel_mm: float = PIXEL_MM,
) -> tuple[tuple[cases.Example, ...], tuple[cases.Problem, ...]]:
    """One example a breast with a lesion, in the dataset's order.

    The label is the worst of its lesions'; each view shows the largest lesion of that label, alone. Of several
    exposures of one projection the first is taken. A view without a known side is a breast of its own.

    Args:
        dataset: its views hold the lesions.
        policy: gives the label of a lesion.
        kinds: `Lesion.kind`s to take.
        views: what becomes of a breast with one view: `drop`, `repeat` or `single`.
        side: of the crop, in pixels of `pixel_mm`.
        pixel_mm: pixel size that `side` is meant for; views of unknown size are cut to `side` pixels.

    Returns:
        Examples `<patient>/<side>` with the views CC, MLO in this order; and what was left out: lesions without a
        label or a place, views that nothing of the kind is marked in are not listed, breasts that miss a view are.
    """
    chosen = [(view, lesion) for view in dataset.views for lesion in view.lesions if lesion.kind in kinds]
    with futures.ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda pair: _seen(*pair, policy), chosen))
    problems = [one for one in found if isinstance(one, cases.Problem)]
    groups: dict[tuple[str, str], list[_Seen]] = {}
    for one in found:
        if isinstance(one, _Seen):
            groups.setdefault(_breast(one.view), []).append(one)
    examples = []
    for (patient, name), seen in groups.items():
        shown = tuple(_crop(one, side, pixel_mm, dataset.fingerprint) for one in _of_views(seen))
        kept = views(shown)
        if not kept:
            reason = f"breast {name} of {patient}: its lesion is marked in {shown[0].projection} only"
            problems.append(cases.Problem(shown[0].path or shown[0].id, reason, "left out"))
            continue
        examples.append(_example(patient, name, seen, kept))
    return tuple(examples), tuple(problems)


def _breast(view: cases.View) -> tuple[str, str]:
    return view.patient_id, str(view.side) if view.side else view.id


def _seen(view: cases.View, lesion: cases.Lesion, policy: labels.LabelPolicy) -> _Seen | cases.Problem:
    path, label = view.path or view.id, policy.lesion(lesion)
    if math.isnan(label):
        reason = f"label policy {policy.name} leaves it out (pathology {lesion.pathology})"
        return cases.Problem(path, f"lesion {lesion.id}: {reason}", "left out")
    if lesion.region is None:
        return cases.Problem(path, f"lesion {lesion.id}: the dataset does not say where it lies", "left out")
    try:
        seed, area = centroid(lesion.region, view)
    except cases.DataError as error:
        return cases.Problem(error.path, f"lesion {lesion.id}: {error.reason}")
    except OSError as error:
        return cases.Problem(str(error.filename or path), f"lesion {lesion.id}: {error.strerror or error}")
    return _Seen(view, lesion, label, seed, area)


def centroid(region: regions.Region, view: cases.View) -> tuple[tuple[float, float], float]:
    """The centroid (y, x) of a region and its area, in pixels.

    Raises:
        DataError: the mask cannot be read, or is empty.
    """
    if isinstance(region, regions.CircleRegion):
        return (region.y, region.x), math.pi * region.radius**2
    mask, (top, left) = _box(region, view)
    rows, columns = np.nonzero(mask)
    if not len(rows):
        raise cases.DataError(view.path or view.id, "the outline lies beside the image")
    return (float(rows.mean()) + top, float(columns.mean()) + left), float(len(rows))


def _box(region: regions.Region, view: cases.View) -> tuple[np.ndarray, tuple[int, int]]:
    """A region's mask, its first row and column; the view is decoded only where nothing else tells its size."""
    if isinstance(region, regions.MaskRegion):
        return region.load(), (0, 0)
    top, left, bottom, right = region.bounds()
    if isinstance(region, regions.PolygonRegion):
        moved = regions.PolygonRegion(tuple((x - left, y - top) for x, y in region.points))
        return moved.mask((bottom - top, right - left)), (top, left)
    return region.mask(view.shape), (0, 0)


def _of_views(seen: Iterable[_Seen]) -> list[_Seen]:
    """For each projection of a breast the largest lesion of the worst label; CC before MLO."""
    seen = list(seen)
    worst = max(one.label for one in seen)
    order = {cases.Projection.CC: 0, cases.Projection.MLO: 1}
    found: dict[cases.Projection, _Seen] = {}
    for one in seen:
        if one.label < worst or one.view.projection not in order:
            continue
        best = found.get(one.view.projection)
        if best is None or (one.view.id == best.view.id and one.area > best.area):
            found[one.view.projection] = one
    if not found:  # a view of no named projection stands for itself
        found = {seen[0].view.projection: max((s for s in seen if s.label == worst), key=lambda s: s.area)}
    return sorted(found.values(), key=lambda one: order.get(one.view.projection, 0))


def _crop(one: _Seen, side: int, pixel_mm: float, fingerprint: str) -> cases.View:
    """The square round the seed, with this lesion alone."""
    pixels = round(side * pixel_mm / one.view.spacing_mm) if one.view.spacing_mm else side
    top, left = (math.ceil(centre - pixels / 2) for centre in one.seed)  # halves go up and left, all alike
    alone = dataclasses.replace(one.view, lesions=(one.lesion,))
    crop = alone.window(top, left, pixels, pixels, id=f"{one.view.id}/{one.lesion.id}")
    fields = {field.name: getattr(crop.load, field.name) for field in dataclasses.fields(crop.load)}
    return dataclasses.replace(crop, load=KeptWindow(**fields, source=(fingerprint, one.view.id)))


def _example(patient: str, name: str, seen: Sequence[_Seen], kept: Views) -> cases.Example:
    label = max(one.label for one in seen)
    parts = {one.lesion.part for one in seen}
    return cases.Example(
        id=f"{patient}/{name}",
        patient_id=patient,
        views=kept,
        label=label,
        roi_id=" ".join(sorted(lesion.id for view in kept for lesion in view.lesions)),
        part=parts.pop() if len(parts) == 1 else None,
    )
