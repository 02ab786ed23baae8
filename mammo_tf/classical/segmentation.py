"""The outline of a mass where a dataset gives none: grown round a seed, chosen by the radial gradient index.

Source: Kupinski and Giger (1998, doi:10.1109/42.730396). The image f is weighted by a Gaussian about the seed,
h = (f - min f) G, so that brightness far away does not count. The parts of {h >= t} that hold the seed, holes filled,
are the candidates, from high t to low. Of them the one with the largest radial gradient index is taken,

    RGI = (sum over its rim of |grad f| cos phi) / (sum over its rim of |grad f|),  in [-1, 1],

phi being the angle between the gradient and the direction to the seed: 1 where every gradient of the rim points
inwards. The paper smooths nothing; here f is smoothed first, or noise would fray every candidate, and of candidates
within `NEAR` of the best RGI the one whose rim has the greatest mean inward gradient is taken: a dome has an RGI
near 1 at any level, and its edge is where it falls fastest.

    mask = segmentation.grown(crop, seed=(128, 128))          # bool (H, W), holds the seed
"""

from __future__ import annotations

import cv2
import numpy as np
import scipy.ndimage
from numpy.typing import ArrayLike

from mammo_tf import cases

ALGORITHM_VERSION = 1
LEVELS = 64  # thresholds tried
SMOOTHING = 1 / 100  # sigma of the image's smoothing, of the shorter side; at least a pixel
REACH = 0.35  # sigma of the Gaussian, of the shorter side
SMALLEST = 0.03  # radius of the smallest candidate and of the disc that stands in for none, of the shorter side
LARGEST = 0.8  # of the image; more is the background
NEAR = 0.1


def grown(image: ArrayLike, seed: tuple[float, float] | None = None, *, reach: float = REACH) -> np.ndarray:
    """The mass that holds the seed, bool (H, W): in one piece, without holes, never empty.

    Args:
        image: (H, W), finite; the mass is brighter than what lies round it.
        seed: row and column; None for the centre.
        reach: sigma of the Gaussian about the seed, as a share of the shorter side.

    Returns:
        the mask; where no threshold gives a candidate (a flat image), a disc of `SMALLEST` times 2 about the seed.

    Raises:
        MammoError: not a finite image (H, W), or a seed outside it.
    """
    image, seed = _checked(image, seed)
    short = min(image.shape)
    away = np.hypot(*np.ogrid[-seed[0] : image.shape[0] - seed[0], -seed[1] : image.shape[1] - seed[1]])
    smooth = scipy.ndimage.gaussian_filter(image, max(1.0, SMOOTHING * short))
    height = (smooth - smooth.min()) * np.exp(-0.5 * (away / (reach * short)) ** 2)
    inward, strength = _gradients(smooth, seed)
    middle = away <= max(1.0, SMALLEST * short)
    found = [_rated(mask, inward, strength) for mask in _candidates(height, seed, middle)]
    if not found:
        return away <= max(1.0, 2 * SMALLEST * short)
    best = max(index for index, _, _ in found)
    return max((one for one in found if one[0] >= best - NEAR), key=lambda one: one[1])[2]


def _candidates(height: np.ndarray, seed: tuple[int, int], middle: np.ndarray) -> list[np.ndarray]:
    """The parts that hold the seed, from small to large; the disc round the seed belongs to each."""
    top, least, out = float(height[middle].max()), middle.sum(), []
    for level in np.linspace(top, 0.0, LEVELS + 1)[1:-1]:
        mask = _filled_part((height >= level) | middle, seed)
        size = mask.sum()
        if size > LARGEST * mask.size:
            break
        if size > least and (not out or size > out[-1].sum()):
            out.append(mask)
    return out


def _filled_part(above: np.ndarray, seed: tuple[int, int]) -> np.ndarray:
    """The part that holds the seed, joined over edges, holes filled; OpenCV takes a tenth of scipy's time."""
    padded = np.pad(above, 1).astype(np.uint8)
    cv2.floodFill(padded, None, (seed[1] + 1, seed[0] + 1), 2)
    outside = (padded != 2).astype(np.uint8)
    cv2.floodFill(outside, None, (0, 0), 2)
    return outside[1:-1, 1:-1] != 2


def _gradients(smooth: np.ndarray, seed: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The part of the gradient that points to the seed, and the gradient's length, (H, W) each."""
    dy, dx = np.gradient(smooth)
    y, x = np.indices(smooth.shape)
    to_y, to_x = seed[0] - y, seed[1] - x
    distance = np.maximum(np.hypot(to_y, to_x), 1e-12)
    return (dy * to_y + dx * to_x) / distance, np.hypot(dy, dx)


def _rated(mask: np.ndarray, inward: np.ndarray, strength: np.ndarray) -> tuple[float, float, np.ndarray]:
    """RGI of a candidate, the mean inward gradient of its rim, and the candidate."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    eroded = cv2.erode(mask.view(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    rim = mask & (eroded == 0)
    total = strength[rim].sum()
    return float(inward[rim].sum() / total) if total > 0 else -1.0, float(inward[rim].mean()), mask


def _checked(image: ArrayLike, seed: tuple[float, float] | None) -> tuple[np.ndarray, tuple[int, int]]:
    image = np.asarray(image, np.float64)
    if image.ndim != 2 or min(image.shape) < 2 or not np.isfinite(image).all():
        raise cases.MammoError(f"segmentation: expected a finite image (H, W), found {image.dtype} {image.shape}")
    seed = ((image.shape[0] - 1) / 2, (image.shape[1] - 1) / 2) if seed is None else seed
    row, column = round(seed[0]), round(seed[1])
    if not (0 <= row < image.shape[0] and 0 <= column < image.shape[1]):
        raise cases.MammoError(f"segmentation: the seed {tuple(seed)} lies outside the image {image.shape}")
    return image, (row, column)
