"""Features of the regions of a binarised heatmap: the first half of the two-step approach.

Source: Shen et al., section 3.1.4, "The two-step approach" (after Wang et al. 2016, arXiv:1606.05718): the heatmap of
the softmax probabilities of the patch classes is binarised at 0.3, 0.5, 0.7 and 0.9, regional features "such as area,
major axis length and mean intensity" are taken and combined over the cutoffs. Which map was binarised and which
features were taken beyond those three, the paper does not say. Here: each abnormal class by itself and the sum of the
malignant ones; a cell belongs to a region where p >= cutoff; regions join over edges and corners; each map and cutoff
gives

    regions            number of regions
    total_area         cells in all regions
    area               cells of the largest region (of equals, the one of greater mean intensity)
    major_axis_length  4 sqrt(l1), l1 >= l2 the eigenvalues of the covariance of its cells' coordinates
    eccentricity       sqrt(1 - l2 / l1), 0 for a single cell
    mean_intensity     mean of p over it
    max_intensity      greatest p in it

Lengths and areas are in cells of the heatmap; without a region all seven are 0.

    features, names = heatmap_regions.features(heatmaps)         # (N, u, v, 5) -> (N, 140)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from skimage import measure

from mammo_tf import cases

ALGORITHM_VERSION = 1

CUTOFFS = (0.3, 0.5, 0.7, 0.9)
ROUNDING = 1e-5  # by which a probability in float32 may pass 1
MAPS = {  # channels of the patch classes: background, malignant mass, benign mass, malignant and benign calcification
    "malignant_mass": (1,),
    "benign_mass": (2,),
    "malignant_calcification": (3,),
    "benign_calcification": (4,),
    "malignant": (1, 3),
}
FEATURES = (
    "regions",
    "total_area",
    "area",
    "major_axis_length",
    "eccentricity",
    "mean_intensity",
    "max_intensity",
)


def features(
    heatmaps: ArrayLike, maps: Mapping[str, Sequence[int]] = MAPS, cutoffs: Sequence[float] = CUTOFFS
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The features of every heatmap, map by map, cutoff by cutoff.

    Args:
        heatmaps: softmax probabilities (N, u, v, K) in [0, 1].
        maps: name -> the channels whose sum is binarised.
        cutoffs: in (0, 1].

    Returns:
        float64 (N, F) with F = 7 * maps * cutoffs, and the F names, "malignant >= 0.5: area".

    Raises:
        cases.MammoError: another shape, a value outside [0, 1], a channel that is not there, a cutoff outside (0, 1].
    """
    heatmaps = _checked(heatmaps, maps, cutoffs)
    found = [
        [
            number
            for channels in maps.values()
            for cutoff in cutoffs
            for number in regional(_map(one, channels), cutoff)
        ]
        for one in heatmaps
    ]
    columns = names(maps, cutoffs)
    return np.array(found, dtype=np.float64).reshape(len(heatmaps), len(columns)), columns


def names(maps: Mapping[str, Sequence[int]] = MAPS, cutoffs: Sequence[float] = CUTOFFS) -> tuple[str, ...]:
    """The names of the columns of `features`."""
    return tuple(f"{name} >= {cutoff:g}: {feature}" for name in maps for cutoff in cutoffs for feature in FEATURES)


def regional(heat: np.ndarray, cutoff: float) -> tuple[float, ...]:
    """The seven features of one map, float (u, v), in the order of `FEATURES`.

    >>> heat = np.array([[0.5, 0.9, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.6]])
    >>> [round(float(number), 2) for number in regional(heat, 0.5)]
    [2.0, 3.0, 2.0, 2.0, 1.0, 0.7, 0.9]
    """
    labels = measure.label(heat >= cutoff, connectivity=2)
    if not labels.any():
        return (0.0,) * len(FEATURES)
    regions = measure.regionprops(labels, intensity_image=heat)
    areas = np.array([region.num_pixels for region in regions])
    largest = max(
        (region for region in regions if region.num_pixels == areas.max()), key=lambda region: region.intensity_mean
    )
    return (
        float(len(regions)),
        float(areas.sum()),
        float(areas.max()),
        float(largest.axis_major_length),
        float(largest.eccentricity) if math.isfinite(largest.eccentricity) else 0.0,
        float(largest.intensity_mean),
        float(largest.intensity_max),
    )


def _map(heatmap: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    return heatmap[..., list(channels)].sum(axis=-1)


def _checked(heatmaps: ArrayLike, maps: Mapping[str, Sequence[int]], cutoffs: Sequence[float]) -> np.ndarray:
    heatmaps = np.asarray(heatmaps, dtype=np.float64)
    if heatmaps.ndim != 4:
        raise cases.MammoError(f"heatmaps: {heatmaps.shape}; expected (images, rows, columns, classes)")
    if wrong := int((~((heatmaps >= 0) & (heatmaps <= 1 + ROUNDING))).sum()):
        raise cases.MammoError(f"heatmaps: {wrong} of {heatmaps.size} probabilities are not in [0, 1]")
    for name, channels in maps.items():
        if not channels or not set(channels) <= set(range(heatmaps.shape[-1])):
            raise cases.MammoError(f"heatmaps: map {name} wants channels {tuple(channels)} of {heatmaps.shape[-1]}")
    if outside := [cutoff for cutoff in cutoffs if not 0 < cutoff <= 1]:
        raise cases.MammoError(f"heatmaps: cutoffs {outside} are not in (0, 1]")
    return heatmaps
