"""Which file of a lesion of CBIS-DDSM is its mask, and where a mask of another size than its film belongs.

The tables' file numbers tell crop and mask apart wrongly in hundreds of rows: the mask is the file of 8 bits, two
values and the size of its film. Bits and size stand in the header; the values are looked at where the size differs.
So it is in a few rows. By the sizes that users report (fjeg/ddsm_tools on GitHub, issue 5) the mask is the film
divided by 1.149 in Mass-Test P_00145, P_00379 and P_00381, which is the ratio of 50 um to 43.5 um, pixels of two of
DDSM's digitizers; in Calc-Test P_00353 it has some rows and columns more or less; P_00699 of Mass-Test is one more.
Two rules, and the numbers in them, are ours:

- "mask resized to its film": to the nearest pixel, where its sides are those of the film divided by one number;
- "mask shifted to its film": by whole pixels, what overhangs cut and what lacks filled with 0.

The lesion's crop decides between them. It is looked for in the film round the mask's box, as it is and resized like
the mask, and counts as found where the correlation of the pixels is at least 0.95 (crops of another film reach 0.92,
measured at 60 pixels in noise with the spectrum of a breast's tissue). The mask's box must fit into the crop and its
centre come to lie on that of the crop; where both rules bring it there, the one counts that fits the crop's size
better. A mask that is smaller or larger by more than 5 %, both sides alike, is no other frame: it is resized, even
without a crop, or not used. Any other mask without a crop, and one that no rule fits, cannot be used.

    chosen = cbis_ddsm_masks.choose(headers, film)
    mask = cbis_ddsm_masks.load(chosen.path, chosen.place)     # (H, W) bool, of the size of the film
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import cv2
import numpy as np

from mammo_tf import cases, regions
from mammo_tf.datasets import cbis_ddsm_files as files

ALGORITHM_VERSION = 1

RESIZED, SHIFTED = "mask resized to its film", "mask shifted to its film"
_ROUNDED = 2  # pixels, how far the sides may be from the film's divided by one number
_NO_FRAME = 0.05  # of the sides: a mask so much smaller or larger, both alike, has pixels of another size
_FOUND = 0.95  # correlation
# Shares of the film's longer side: how far round the mask's box, beyond the difference of the sizes, is looked; how
# far a resized mask may lie from its crop, or a frame reach beyond the difference of the sizes.
_REACH, _OFF = 0.02, 0.005
_SMALLER = 2  # pixels, how much smaller than the mask's box its crop may be


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a mask of another size lies in its film.

    Attributes:
        shape: of the film, (rows, columns).
        offset: row and column of the film at which the mask begins; None where the mask is resized.
    """

    shape: tuple[int, int]
    offset: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The mask among the files of a lesion.

    Attributes:
        path: its file.
        place: None where it has the size of its film.
        repairs: what was mended in order to use it.
    """

    path: str
    place: Place | None = None
    repairs: tuple[cases.Repair, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Hit:
    """Where a crop was found in the film: correlation, centre (row, column), shape of what was looked for."""

    correlation: float
    centre: np.ndarray
    shape: np.ndarray
    resized: bool


def load(path: str, place: Place | None = None) -> np.ndarray:
    """A mask in the frame of its film, bool (H, W).

    Raises:
        cases.DataError: as `cbis_ddsm_files.read_mask`.
    """
    mask = files.read_mask(path)
    if place is None:
        return mask
    rows, columns = place.shape
    if place.offset is None:
        return cv2.resize(mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT) != 0
    top, left = place.offset
    return regions.cut(mask, -top, -left, rows, columns)


def choose(candidates: Iterable[files.Header], film: files.Header) -> Chosen | None:
    """The mask among the files of one lesion, None where there is none.

    Args:
        candidates: the headers of its files; no more are asked for once one is seen to be the mask.
        film: pixels are read only to place a mask of another size in it.

    Raises:
        cases.DataError: the mask has another size than its film and no rule fits it.
    """
    seen = []
    for one in candidates:
        if one.bits == 8 and one.shape == film.shape:
            return Chosen(one.path)
        seen.append(one)
    mask = next((one for one in seen if one.bits == 8 and files.has_two_values(one.path)), None)
    if mask is None:
        return None
    crop = next((one for one in seen if one is not mask and one.bits == film.bits), None)
    place, evidence = _place(mask, film, crop)
    what = f"{_sizes(mask, film)}; {evidence}"
    return Chosen(mask.path, place, (cases.Repair(mask.path, SHIFTED if place.offset else RESIZED, what),))


def _sizes(mask: files.Header, film: files.Header) -> str:
    return f"the mask is {mask.shape}, its film {film.shape} (rows, columns)"


def _place(mask: files.Header, film: files.Header, crop: files.Header | None) -> tuple[Place, str]:
    """Where the mask lies, and how that is known."""
    pixels = files.read_mask(mask.path)
    if not pixels.any():
        raise cases.DataError(mask.path, f"{_sizes(mask, film)}, and no pixel of it is set")
    box = np.array(regions.box(pixels)).reshape(2, 2)
    scale = np.divide(film.shape, mask.shape)
    alike = is_resized(mask.shape, film.shape)
    sought = _template(crop)
    if sought is None:
        if _is_other_scale(mask.shape, film.shape):
            return Place(film.shape), "their sides have one ratio; no crop to tell more"
        raise cases.DataError(mask.path, f"{_sizes(mask, film)}, and no crop tells its place")
    hit = _search(sought, film, (box, scale, np.abs(np.subtract(film.shape, mask.shape))), resized=alike)
    if hit.correlation < _FOUND:
        best = f"the best correlation is {hit.correlation:.2f}, {_FOUND} is expected"
        raise cases.DataError(mask.path, f"{_sizes(mask, film)}, and its crop is not found in the film: {best}")
    place = _fit(hit, box, scale if alike else None, (mask.shape, film.shape))
    if place is None:
        raise cases.DataError(mask.path, f"{_sizes(mask, film)}, and neither resized nor shifted it lies on its crop")
    by = f", {place.offset[0]} rows down and {place.offset[1]} columns to the right" if place.offset else ""
    return place, f"its crop is found there (correlation {hit.correlation:.2f}){by}"


def is_resized(mask: tuple[int, int], film: tuple[int, int]) -> bool:
    """Whether a mask's sides are those of its film divided by one number, but for their rounding.

    >>> is_resized((4386, 1789), (5041, 2056)), is_resized((4688, 3088), (4624, 3056))
    (True, False)
    """
    return max(abs(film[i] * mask[1 - i] / film[1 - i] - mask[i]) for i in (0, 1)) <= _ROUNDED


def _is_other_scale(mask: tuple[int, int], film: tuple[int, int]) -> bool:
    return is_resized(mask, film) and abs(film[0] / mask[0] - 1) > _NO_FRAME


def _template(crop: files.Header | None) -> np.ndarray | None:
    """The crop as float32 in [0, 1], None where there is none or where it shows nothing."""
    if crop is None:
        return None
    pixels = files.read_pixels(crop.path).astype(np.float32) / crop.max_value
    return pixels if pixels.std() > 0 else None


def _search(
    sought: np.ndarray, film: files.Header, where: tuple[np.ndarray, np.ndarray, np.ndarray], *, resized: bool
) -> _Hit:
    """The best place for a crop, as it is or (`resized`) in the scale of the film.

    `where` is the mask's box, film over mask by axis, and the difference of their sizes: they bound the window.
    """
    box, scale, difference = where
    templates = [(sought, False)]
    if resized and np.abs(scale - 1).max() > _REACH:
        rows, columns = np.maximum(np.round(sought.shape * scale), 1).astype(int)
        templates.append((cv2.resize(sought, (int(columns), int(rows))), True))
    margin = np.ceil(difference + _REACH * max(film.shape) + np.maximum(0, sought.shape - (box[1] - box[0])))
    top, left = np.clip(np.minimum(box[0], box[0] * scale) - margin, 0, film.shape).astype(int)
    bottom, right = np.clip(np.maximum(box[1], box[1] * scale) + margin, 0, film.shape).astype(int)
    window = files.read_pixels(film.path)[top:bottom, left:right].astype(np.float32) / film.max_value
    hits = [_find(template, window, changed) for template, changed in templates]
    best = max(hits, key=lambda hit: hit.correlation)
    return dataclasses.replace(best, centre=best.centre + np.array((top, left)))


def _find(template: np.ndarray, window: np.ndarray, resized: bool) -> _Hit:
    shape = np.array(template.shape)
    if (shape > window.shape).any():
        return _Hit(0.0, shape / 2, shape, resized)
    found = np.nan_to_num(cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED))
    corner = np.array(np.unravel_index(found.argmax(), found.shape))
    return _Hit(float(found.max()), corner + shape / 2, shape, resized)


def _fit(
    hit: _Hit, box: np.ndarray, scale: np.ndarray | None, shapes: tuple[tuple[int, int], tuple[int, int]]
) -> Place | None:
    """The rule that brings the mask's box onto its crop; `scale` is None where the mask may not be resized.

    `shapes` are the mask's and the film's.
    """
    size, misfit, film = box[1] - box[0], {}, shapes[1]
    if scale is not None and (hit.shape >= size * scale - _SMALLER).all():
        away = np.abs(box.mean(axis=0) * scale - hit.centre).max()
        if away <= max(2.0, _OFF * max(film)):
            misfit[Place(film)] = away + np.abs(size * scale - hit.shape).sum()
    offset = np.floor(hit.centre - box.mean(axis=0) + 0.5).astype(int)
    inside = (box[0] + offset >= 0).all() and (box[1] + offset <= film).all()
    near = (np.abs(offset) <= np.abs(np.subtract(*shapes)) + _OFF * max(film)).all()
    framed = not hit.resized and not _is_other_scale(*shapes)
    if inside and near and framed and (hit.shape >= size - _SMALLER).all():
        misfit[Place(film, (int(offset[0]), int(offset[1])))] = np.abs(size - hit.shape).sum()
    return min(misfit, key=misfit.get) if misfit else None
