"""Texture of an image: gray-level co-occurrence and gray-level run lengths.

Co-occurrence matrices are scikit-image's; the features are those of Haralick et al. (1973,
doi:10.1109/TSMC.1973.4309314), run-length matrices and their features those of Galloway (1975,
doi:10.1016/S0146-664X(75)80008-6). Both are what Sahiner et al. (1998, doi:10.1118/1.598228) take from the band round
a mass, the hand-crafted baseline of Yi et al. (2017).

    gray = texture.levels_of(band, 32)
    texture.cooccurrence_features(gray, 32, distances=(1, 2, 4))["energy, distance 1, 0 degrees"]
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from skimage import feature

from mammo_tf import cases

ALGORITHM_VERSION = 2  # 2: diagonal pairs lie `distance` rows and columns apart, each distance its own
ANGLES = (0, 45, 90, 135)  # degrees, counter-clockwise from the direction of the rows


def levels_of(image: np.ndarray, levels: int) -> np.ndarray:
    """Gray values in `levels` steps of equal width between the smallest and the largest, (H, W) uint8.

    A constant image is level 0.

    Args:
        image: (H, W), finite.
        levels: 2 to 256.

    >>> levels_of(np.array([[0.0, 1.0], [2.0, 4.0]]), 4).tolist()
    [[0, 1], [2, 3]]
    """
    if not 2 <= levels <= 256:
        raise cases.MammoError(f"texture: levels must be 2 to 256, found {levels}")
    low, high = float(np.min(image)), float(np.max(image))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise cases.MammoError("texture: the image has values that are not finite")
    if high == low:
        return np.zeros(np.shape(image), np.uint8)
    scaled = (np.asarray(image, np.float64) - low) / (high - low)
    return np.minimum((scaled * levels).astype(int), levels - 1).astype(np.uint8)


def cooccurrence_features(
    gray: np.ndarray, levels: int, *, distances: Sequence[int] = (1,), angles: Sequence[float] = ANGLES
) -> dict[str, float]:
    """Eight features of the symmetric, normalised co-occurrence matrix P(i, j) of each distance and direction.

    energy: sum P^2; entropy: -sum P log2 P; inertia: sum (i - j)^2 P; correlation: of i and j (1 where i is
    constant); inverse difference moment: sum P / (1 + (i - j)^2); sum average, sum entropy: mean and entropy of
    i + j; difference entropy: of |i - j|. Levels count from 0.

    Args:
        gray: (H, W) integers in [0, levels), as `levels_of` gives them.
        levels: their number.
        distances: in pixels; diagonal pairs lie so many rows and so many columns apart (Haralick et al. 1973).
        angles: among `ANGLES`.

    Raises:
        MammoError: the image is smaller than a distance, or holds a level outside the range; another angle.
    """
    gray = _checked(gray, levels)
    if not set(angles) <= set(ANGLES):
        raise cases.MammoError(f"texture: angles are 0, 45, 90 or 135 degrees, found {tuple(angles)}")
    if max(distances) >= min(gray.shape):
        raise cases.MammoError(f"texture: an image of {gray.shape} has no pairs at distance {max(distances)}")
    return {
        f"{name}, distance {distance}, {angle:g} degrees": value
        for distance in distances
        for angle in angles
        for name, value in _of_matrix(_pairs(gray, levels, distance, angle)).items()
    }


def _pairs(gray: np.ndarray, levels: int, distance: int, angle: float) -> np.ndarray:
    """P (levels, levels) of pairs (rows up, columns to the right); scikit-image rounds its own diagonals to a circle.

    >>> _pairs(np.array([[0, 1, 2], [1, 2, 0], [2, 0, 0]]), 3, 1, 45).tolist()
    [[0.25, 0.0, 0.0], [0.0, 0.25, 0.0], [0.0, 0.0, 0.5]]
    """
    diagonal = math.sqrt(2) if angle % 90 else 1.0
    turned = -np.deg2rad(angle)  # its rows count downwards
    found = feature.graycomatrix(gray, [distance * diagonal], [turned], levels=levels, symmetric=True, normed=True)
    return found[:, :, 0, 0]


def _of_matrix(p: np.ndarray) -> dict[str, float]:
    i, j = np.indices(p.shape)
    sums = np.bincount((i + j).ravel(), weights=p.ravel())
    differences = np.bincount(np.abs(i - j).ravel(), weights=p.ravel())
    mean = (i * p).sum()
    variance = ((i - mean) ** 2 * p).sum()
    together = ((i - mean) * (j - mean) * p).sum()
    return {
        "energy": float((p**2).sum()),
        "entropy": _entropy(p),
        "inertia": float(((i - j) ** 2 * p).sum()),
        "correlation": float(together / variance) if variance > 0 else 1.0,
        "inverse difference moment": float((p / (1 + (i - j) ** 2)).sum()),
        "sum average": float((np.arange(len(sums)) * sums).sum()),
        "sum entropy": _entropy(sums),
        "difference entropy": _entropy(differences),
    }


def _entropy(p: np.ndarray) -> float:
    """In bits."""
    some = p[p > 0]
    return float(-(some * np.log2(some)).sum())


def run_lengths(gray: np.ndarray, levels: int, angle: int = 0) -> np.ndarray:
    """R (levels, longest): how many runs of each level (row) and length (column, from 1) lie along a direction.

    A run is a longest stretch of equal levels; `longest` is the larger side of the image.

    Args:
        gray: (H, W) integers in [0, levels).
        levels: their number.
        angle: 0 along the rows, 90 along the columns, 45 and 135 along the diagonals, up and down to the right.
    """
    gray, out = _checked(gray, levels), np.zeros((levels, max(np.shape(gray))), np.int64)
    for line in _lines(gray, angle):
        starts = np.flatnonzero(np.diff(line, prepend=-1))
        np.add.at(out, (line[starts], np.diff(starts, append=len(line)) - 1), 1)
    return out


def _lines(gray: np.ndarray, angle: int) -> list[np.ndarray]:
    gray, (height, width) = gray.astype(np.int64), gray.shape
    if angle == 0:
        return list(gray)
    if angle == 90:
        return list(gray.T)
    if angle in (45, 135):
        plane = gray[::-1] if angle == 45 else gray
        return [plane.diagonal(offset) for offset in range(1 - height, width)]
    raise cases.MammoError(f"texture: runs lie at 0, 45, 90 or 135 degrees, found {angle}")


def run_length_features(gray: np.ndarray, levels: int, *, angles: Sequence[int] = ANGLES) -> dict[str, float]:
    """Galloway's five features of each direction; n is the number of runs, R(i, j) of those of level i and length j.

    short runs emphasis: sum R / j^2 / n; long runs emphasis: sum R j^2 / n; gray level non-uniformity: sum over i of
    (sum over j of R)^2 / n; run length non-uniformity: the same with i and j exchanged; run percentage: n / pixels.
    """
    found = {}
    for angle in angles:
        runs = run_lengths(gray, levels, angle)
        n, length = runs.sum(), np.arange(1, runs.shape[1] + 1)
        of_length = runs.sum(axis=0)
        features = {
            "short runs emphasis": (of_length / length**2).sum() / n,
            "long runs emphasis": (of_length * length**2).sum() / n,
            "gray level non-uniformity": (runs.sum(axis=1) ** 2).sum() / n,
            "run length non-uniformity": (of_length**2).sum() / n,
            "run percentage": n / np.size(gray),
        }
        found |= {f"{name}, {angle:g} degrees": float(value) for name, value in features.items()}
    return found


def _checked(gray: np.ndarray, levels: int) -> np.ndarray:
    gray = np.asarray(gray)
    if gray.ndim != 2 or not gray.size or not np.issubdtype(gray.dtype, np.integer):
        raise cases.MammoError(f"texture: levels are integers (H, W), found {gray.dtype} {gray.shape}")
    if gray.min() < 0 or gray.max() >= levels:
        raise cases.MammoError(f"texture: levels lie in [0, {levels}), found {gray.min()} to {gray.max()}")
    return gray
