"""Numbers for what dreams look like: are two changes opposite, is a map noise, does it point at the lesion.

They test claims of Yi et al. 2017, section 3: the malignant and the benign dream are "opposite sides of the same
coin" (`correlation`); one saliency map is "noisy and uninterpretable", the maps of all iterations together are
"neater" (`roughness`, `concentration`, `inside`, `pointing`); the malignant dream grows spicules (`feature_changes`,
with features of the image). Maps are (N, H, W) of either sign; one number for each comes back, NaN where undefined.

    opposite = dream_measures.correlation(malignant.change[..., 0], benign.change[..., 0])
    calmer = dream_measures.roughness(dreams.change[..., 0]) - dream_measures.roughness(dreams.saliency[..., 0])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mammo_tf import cases

ALGORITHM_VERSION = 1

Feature = Callable[[np.ndarray, np.ndarray], float]


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation over the pixels of each pair of maps (N, H, W): (N,) float64 in [-1, 1].

    NaN where a map is constant.

    >>> up = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    >>> correlation(up, -2 * up).tolist(), correlation(up, 0 * up).tolist()
    ([-1.0], [nan])
    """
    a, b = _maps(first, "the first map"), _maps(second, "the second map")
    if a.shape != b.shape:
        raise cases.MammoError(f"correlation: maps are {a.shape} and {b.shape}; expected the same")
    a, b = (part - part.mean(axis=(1, 2), keepdims=True) for part in (a, b))
    both = (a * b).sum(axis=(1, 2))
    return np.clip(_ratio(both, np.sqrt((a**2).sum(axis=(1, 2)) * (b**2).sum(axis=(1, 2)))), -1, 1)


def roughness(maps: np.ndarray) -> np.ndarray:
    """Geary's C of neighbours in a row and in a column (Geary 1954, doi:10.2307/2986645): (N,) float64.

        C = (n - 1) sum over pairs (x_i - x_j)^2 / (2 p sum over pixels (x_i - mean)^2)

    with n pixels and p pairs, each counted once. 0 is smooth, 1 what noise gives on average whatever its strength,
    2 a chess board. NaN where a map is constant.

    A spot on 2 x 2, three pixels of 0 and one of 4: mean 1, pairs 16 + 16, pixels 9 + 3, C = 3 x 32 / (2 x 4 x 12).

    >>> roughness(np.array([[[4.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])).tolist()
    [1.0, 1.5]
    """
    maps = _maps(maps, "roughness")
    down, across = np.diff(maps, axis=1), np.diff(maps, axis=2)
    height, width = maps.shape[1:]
    pairs = (height - 1) * width + height * (width - 1)
    steps = (down**2).sum(axis=(1, 2)) + (across**2).sum(axis=(1, 2))
    spread = ((maps - maps.mean(axis=(1, 2), keepdims=True)) ** 2).sum(axis=(1, 2))
    return _ratio((height * width - 1) * steps, 2 * pairs * spread)


def concentration(maps: np.ndarray) -> np.ndarray:
    """Gini's index of |map| (Hurley and Rickard 2009, doi:10.1109/TIT.2009.2027527): (N,) float64 in [0, 1).

        G = 1 - 2 sum over k of (c_k / sum c) (n - k + 1/2) / n,     c_1 <= ... <= c_n the sorted |values|

    0 where all are equal, 1 - 1/n where one pixel has everything; NaN for a map of zeros.

    Values 0, 0, 1, 3: 1 - 2 (1/4 x 1.5/4 + 3/4 x 0.5/4).

    >>> concentration(np.array([[[0.0, -3.0], [1.0, 0.0]], [[2.0, 2.0], [2.0, 2.0]]])).tolist()
    [0.625, 0.0]
    """
    maps = _maps(maps, "concentration")
    count = maps.shape[1] * maps.shape[2]
    values = np.sort(np.abs(maps).reshape(len(maps), count), axis=1)
    weights = (count - np.arange(1, count + 1) + 0.5) / count
    return 1 - 2 * _ratio(values @ weights, values.sum(axis=1))


def inside(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of each map's energy lies in its region.

    Args:
        maps: (N, H, W).
        masks: bool (N, H, W).

    Returns:
        share: (N,) float64, the sum of squares in the mask over that of all; NaN for a map of zeros.
        area: (N,) float64, the pixels of the mask over all: the share that a uniform map would give.

    >>> inside(np.array([[[3.0, -1.0], [1.0, 1.0]]]), np.array([[[True, False], [False, False]]]))
    (array([0.75]), array([0.25]))
    """
    maps, masks = _with_masks(maps, masks)
    energy = maps**2
    share = _ratio(np.where(masks, energy, 0).sum(axis=(1, 2)), energy.sum(axis=(1, 2)))
    return share, masks.mean(axis=(1, 2))


def pointing(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Whether the strongest pixel of |map| lies in its mask (Zhang et al. 2018, doi:10.1007/s11263-017-1059-x).

    (N,) float64, 1 or 0; where several pixels are strongest, as in a clipped map, the share of them that does. NaN
    for a map of zeros.

    >>> pointing(np.array([[[2.0, -2.0], [1.0, 0.0]]]), np.array([[[True, False], [True, False]]])).tolist()
    [0.5]
    """
    maps, masks = _with_masks(maps, masks)
    strength = np.abs(maps)
    top = strength.max(axis=(1, 2), keepdims=True)
    strongest = (strength == top) & (top > 0)
    return _ratio((strongest & masks).sum(axis=(1, 2)), strongest.sum(axis=(1, 2)))


def feature_changes(
    starts: np.ndarray, dreams: np.ndarray, masks: np.ndarray, features: Mapping[str, Feature]
) -> dict[str, np.ndarray]:
    """What a dream did to features of the image: name -> (N,) float64, of the dream less of the start.

    Args:
        starts, dreams: (N, H, W) float images.
        masks: bool (N, H, W), the lesion; the same for both.
        features: name -> (image (H, W), mask (H, W)) -> number, such as spiculation or the sharpness of the margin.
    """
    starts, masks = _with_masks(starts, masks)
    dreams, _ = _with_masks(dreams, masks)
    found = {}
    for name, feature in features.items():
        rows = [feature(b, m) - feature(a, m) for a, b, m in zip(starts, dreams, masks, strict=True)]
        found[name] = np.array(rows, np.float64)
    return found


def _maps(maps: np.ndarray, name: str) -> np.ndarray:
    maps = np.asarray(maps, np.float64)
    if maps.ndim != 3:
        raise cases.MammoError(f"{name}: expected (N, H, W), found {maps.shape}")
    return maps


def _with_masks(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    maps, masks = _maps(maps, "maps"), np.asarray(masks, bool)
    if maps.shape != masks.shape:
        raise cases.MammoError(f"maps are {maps.shape}, masks {masks.shape}; expected the same")
    return maps, masks


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Their quotient, NaN over 0."""
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
