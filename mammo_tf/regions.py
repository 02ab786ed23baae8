"""Where a lesion lies in its view: a mask, a disc, a polygon, or one of them seen through a window or resized.

x is the column, y the row, (0, 0) the top left pixel. Such views (`cases.View.window`, `resized`) find their
loaders here too.

    regions.CircleRegion(x=10, y=20, radius=5).bounds()       # (15, 5, 26, 16)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol

import cv2
import numpy as np

from mammo_tf.errors import DataError

ALGORITHM_VERSION = 1
FULL = 65535  # white in a resized view
_ROUNDING = 1e-4  # of float32 sums over a film
_FRACTION_BITS = 8  # cv2 draws with fixed-point coordinates
_FARTHEST = 2**20  # so that they stay well within 32 bits


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
        return self.box_of(self.load())

    def box_of(self, mask: np.ndarray) -> tuple[int, int, int, int]:
        """`bounds` of the mask that `load` has returned."""
        if not mask.any():
            raise DataError(self.path or "mask", "the mask is empty: no pixel is set")
        return box(mask)

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
class PolygonRegion:
    """An outline, closed from its last point to its first, as INbreast marks its lesions.

    Every pixel that the outline touches belongs to the region, so that a small one is never empty: one point is one
    pixel (all that a dataset says where it marks a place and no extent), two points are a line. Filled outlines of
    whole pixels (`cv2.findContours`) give the mask back, but for its holes.

    Attributes:
        points: (x, y) each, in pixels; a pixel's centre has whole numbers.

    Raises:
        ValueError: no point, or one that is not a number or lies absurdly far away.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self):
        values = [value for point in self.points for value in point]
        if not values or not all(abs(value) < _FARTHEST for value in values):  # false for NaN
            raise ValueError(f"expected points within {_FARTHEST} pixels, got {self.points[:3]}")

    def bounds(self) -> tuple[int, int, int, int]:
        """A box that holds the mask, at most a pixel larger than the smallest one on each side."""
        xs, ys = zip(*self.points, strict=True)
        return math.floor(min(ys)), math.floor(min(xs)), math.ceil(max(ys)) + 1, math.ceil(max(xs)) + 1

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        filled = np.zeros(shape, np.uint8)
        fixed = np.rint(np.asarray(self.points) * 2**_FRACTION_BITS).astype(np.int32)
        cv2.fillPoly(filled, [fixed], 1, shift=_FRACTION_BITS)
        return filled.view(bool)


@dataclasses.dataclass(frozen=True)
class WindowRegion:
    """A region seen through a window of its view, a `cases.View` (`View.window`)."""

    region: Region
    view: Any
    top: int
    left: int

    def bounds(self) -> tuple[int, int, int, int]:
        top, left, bottom, right = self.region.bounds()
        return top - self.top, left - self.left, bottom - self.top, right - self.left

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        whole = self.region.mask(self.view.shape)
        return cut(whole, self.top, self.left, shape[0], shape[1])


@dataclasses.dataclass(frozen=True)
class ScaledRegion:
    """A region stretched with its view, a `cases.View`, to (height, width) pixels (`View.resized`).

    A mask knows the size of its image; for the other regions the view is decoded, once (`View.shape`).
    """

    region: Region
    view: Any
    height: int
    width: int

    def bounds(self) -> tuple[int, int, int, int]:
        """The scaled box, grown to whole pixels; it holds the mask."""
        if isinstance(self.region, MaskRegion):
            mask = self.region.load()
            shape, (top, left, bottom, right) = mask.shape, self.region.box_of(mask)
        else:
            shape, (top, left, bottom, right) = self.view.shape, self.region.bounds()
        rows, columns = self.height / shape[0], self.width / shape[1]
        first, last = (top * rows, left * columns), (bottom * rows, right * columns)
        return *map(math.floor, first), *map(math.ceil, last)

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        """The pixels of which the region covers at least half; those it covers most where there is none."""
        if tuple(shape) != (self.height, self.width):
            raise DataError(
                self.view.path or self.view.id,
                f"a region resized to {(self.height, self.width)} has no mask of {tuple(shape)} (rows, columns)",
            )
        return scaled(self._whole(), self.height, self.width)

    def _whole(self) -> np.ndarray:
        return self.region.load() if isinstance(self.region, MaskRegion) else self.region.mask(self.view.shape)


@dataclasses.dataclass(frozen=True)
class WindowLoader:
    """Loads a box of a view, a `cases.View`; views cut from one image share `view`."""

    view: Any
    top: int
    left: int
    height: int
    width: int

    def __call__(self) -> np.ndarray:
        return cut(self.view.pixels(), self.top, self.left, self.height, self.width)


@dataclasses.dataclass(frozen=True)
class SizedLoader:
    """Loads an image whose size is known before it is decoded; `load` gives (height, width)."""

    load: Callable[[], np.ndarray]
    height: int
    width: int

    def __call__(self) -> np.ndarray:
        return self.load()


@dataclasses.dataclass(frozen=True)
class ResizedLoader:
    """Loads a view, a `cases.View`, resized to (height, width) uint16; `FULL` stands for its max_value."""

    view: Any
    height: int
    width: int
    resize: Callable[[np.ndarray, int, int], np.ndarray]

    def __call__(self) -> np.ndarray:
        pixels, largest = self.view.pixels(), self.view.max_value
        if pixels.max() > largest:
            raise DataError(self.view.path or self.view.id, f"holds {pixels.max()}, above max_value {largest}")
        image = self.resize(pixels.astype(np.float32) / largest, self.height, self.width)
        return np.rint(np.clip(image, 0.0, 1.0) * FULL).astype(np.uint16)

    def spacing_mm(self) -> float | None:
        """The side of a pixel, or None where it is unknown or no longer square (by more than 1 %)."""
        if self.view.spacing_mm is None:
            return None
        rows, columns = self.view.shape[0] / self.height, self.view.shape[1] / self.width
        return self.view.spacing_mm * math.sqrt(rows * columns) if math.isclose(rows, columns, rel_tol=0.01) else None


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest box (top, left, bottom, right) round a mask (H, W), bottom and right exclusive.

    >>> box(np.array([[0, 0, 0], [0, 1, 1]], bool))
    (1, 1, 2, 3)

    Raises:
        ValueError: no pixel is set.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("no pixel of the mask is set")
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def inner(margin: int) -> slice:
    """What is left of an axis between two margins.

    >>> list(range(5))[inner(1)], list(range(5))[inner(0)]
    ([1, 2, 3], [0, 1, 2, 3, 4])
    """
    return slice(margin, -margin or None)


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


def scaled(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask (H, W) stretched to bool (height, width): what it covers by half, or, where that is nothing, by most.

    >>> scaled(np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool), 1, 2).tolist()
    [[True, False]]
    """
    out = np.zeros((height, width), bool)
    if not mask.any():
        return out
    top, left, bottom, right = box(mask)  # a large film's lesion is a small part of it
    rows, first = _covered(mask[top:bottom, left:right].astype(np.float32), top, mask.shape[0], height)
    columns, start = _covered(np.ascontiguousarray(rows.T), left, mask.shape[1], width)
    cover = columns.T
    out[first : first + len(rows), start : start + len(columns)] = cover >= min(0.5, float(cover.max())) - _ROUNDING
    return out


def _covered(values: np.ndarray, offset: int, length: int, size: int) -> tuple[np.ndarray, int]:
    """Means over `size` equal cells along an axis of `length` rows, of which `values` (n, W) start at `offset`.

    Returns:
        Means (m, W) of the cells that the rows reach into, and the first of these cells.
    """
    step = length / size
    first, last = math.floor(offset / step), min(size, math.ceil((offset + len(values)) / step))
    edges = np.clip(np.arange(first, last + 1) * step - offset, 0, len(values))
    sums = np.vstack([np.zeros_like(values[:1]), np.cumsum(values, axis=0), np.zeros_like(values[:1])])
    sums[-1] = sums[-2]
    whole = edges.astype(int)
    share = (edges - whole).astype(np.float32)[:, None]
    return np.diff(sums[whole] + share * (sums[whole + 1] - sums[whole]), axis=0) / np.float32(step), first
