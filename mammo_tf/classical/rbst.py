"""The rubber-band straightening transform: the band round a mass, unrolled.

Source: Sahiner et al. 1998, doi:10.1118/1.598228. A band of tissue of a given width follows the margin of the mass.
Each column of the straightened band is a line that leaves the margin at a right angle, each row keeps its distance to
the margin, so that spicules, which run away from the mass, become vertical and texture can be measured across and
along them. The original enumerates border pixels; here the margin is the outline of the mask in sub-pixels, one
column a pixel of its length, and the normals are smoothed along it, or those of a jagged outline would cross.

    band = rbst.straightened(image, mask, width=40)  # (40, columns) float64
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.ndimage
from skimage import measure

from mammo_tf import cases

ALGORITHM_VERSION = 1
SMOOTHING = 5.0  # sigma of the normals along the margin, in pixels


@dataclasses.dataclass(frozen=True)
class Band:
    """A straightened band and where it lies.

    Attributes:
        values: (width, columns) float64; row r is r + 1/2 pixels outside the margin.
        y, x: (width, columns) float64, the place of each value in the image, pixel centres at integers.
        inside: bool (width, columns), True where that place is in the image; values elsewhere repeat the border.
    """

    values: np.ndarray
    y: np.ndarray
    x: np.ndarray
    inside: np.ndarray


def margin(mask: np.ndarray, columns: int | None = None) -> np.ndarray:
    """The outline of the largest part of a mask, its holes filled: (columns, 2) float64, y and x, evenly spaced.

    Args:
        mask: (H, W), True or above 0.5 in the mass; it may touch the border.
        columns: number of points, None for one a pixel of the outline's length. They run clockwise as seen on a
            screen (x to the right, y down).

    Raises:
        MammoError: the mask is empty.
    """
    parts = measure.label(np.asarray(mask) > 0.5, connectivity=1)
    if not parts.max():
        raise cases.MammoError("rbst: the mask is empty, there is no margin")
    largest = np.argmax(np.bincount(parts.ravel())[1:]) + 1
    filled = np.pad(scipy.ndimage.binary_fill_holes(parts == largest), 1)
    outline = max(measure.find_contours(filled.astype(float), 0.5), key=len) - 1.0
    if _area(outline) < 0:
        outline = outline[::-1]
    steps = np.hypot(*np.diff(outline, axis=0).T)
    at = np.concatenate([[0.0], np.cumsum(steps)])
    count = columns or max(8, round(at[-1]))
    wanted = np.arange(count) * at[-1] / count
    return np.stack([np.interp(wanted, at, outline[:, i]) for i in (0, 1)], axis=1)


def _area(outline: np.ndarray) -> float:
    """Signed area of a closed (N, 2) polygon of y and x: positive where it runs clockwise on a screen."""
    y, x = outline.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def normals(outline: np.ndarray, smoothing: float = SMOOTHING) -> np.ndarray:
    """Outward unit normals (N, 2), y and x, of a closed outline of evenly spaced points as `margin` gives it.

    Args:
        outline: (N, 2), clockwise.
        smoothing: sigma along the outline, in points.
    """
    tangent = np.roll(outline, -1, axis=0) - np.roll(outline, 1, axis=0)
    tangent = scipy.ndimage.gaussian_filter1d(tangent, smoothing, axis=0, mode="wrap") if smoothing else tangent
    outward = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    return outward / np.maximum(np.hypot(*outward.T), 1e-12)[:, None]


def straightened(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    width: int,
    columns: int | None = None,
    smoothing: float = SMOOTHING,
) -> Band:
    """The band of `width` pixels outside the margin of a mass.

    Args:
        image: (H, W).
        mask: (H, W) of the mass.
        width: in pixels, at least 1.
        columns, smoothing: as for `margin` and `normals`.

    Raises:
        MammoError: the mask is empty or of another shape than the image, or the width is not positive.
    """
    if np.shape(image) != np.shape(mask) or np.ndim(image) != 2:
        raise cases.MammoError(f"rbst: image and mask differ, {np.shape(image)} and {np.shape(mask)}")
    if width < 1:
        raise cases.MammoError(f"rbst: the width must be at least 1 pixel, found {width}")
    outline = margin(mask, columns)
    away = normals(outline, smoothing)
    reach = (np.arange(width) + 0.5)[:, None]
    y, x = (outline[None, :, i] + reach * away[None, :, i] for i in (0, 1))
    values = scipy.ndimage.map_coordinates(np.asarray(image, np.float64), (y, x), order=1, mode="nearest")
    height, across = np.shape(image)
    inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= across - 1)
    return Band(values, y, x, inside)
