"""Does a map point at the lesion? Five answers for each image, and what chance would give.

    pointing   1 where the strongest pixel lies in the ROI or within `tolerance` pixels of it
               (Zhang et al. 2018, doi:10.1007/s11263-017-1059-x); chance: the area share of that region
    inside     share of the map's energy, its sum of squares, inside the ROI; chance: the ROI's area share
    dice, iou  of the map's k strongest pixels with the ROI, k the pixels of the ROI: d and d / (2 - d), d = hits / k;
               chance: hits are hypergeometric, k drawn of all pixels
    auc        that a pixel of the ROI is stronger than one outside (Mann-Whitney, ties half); chance: 1/2

For `pointing` and `inside` only what speaks for the class counts, max(map, 0): a pixel against it does not point. The
others rank the map as it is. A number is NaN where it is undefined: all five for an empty ROI, `auc` also for a full
one, the first two where nothing is positive.

    found = localisation.scores(maps, masks, tolerance=15)
    above = found["pointing"] - localisation.chance(masks, tolerance=15)["pointing"]
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, stats

from mammo_tf import cases
from mammo_tf.explain import dream_measures

ALGORITHM_VERSION = 1


def scores(maps: np.ndarray, masks: np.ndarray, tolerance: float = 0.0) -> dict[str, np.ndarray]:
    """Name -> (N,) float64.

    Args:
        maps: (N, H, W), positive where a pixel speaks for the class.
        masks: (N, H, W) bool, the ROI.
        tolerance: in pixels, for `pointing`; Zhang et al. take 15.

    Raises:
        MammoError: the shapes differ.
    """
    maps, masks = np.asarray(maps, np.float64), np.asarray(masks, bool)
    for_class = np.maximum(maps, 0)
    share, _ = dream_measures.inside(for_class, masks)
    dice = overlap(maps, masks)
    found = {
        "pointing": dream_measures.pointing(for_class, dilated(masks, tolerance)),
        "inside": share,
        "dice": dice,
        "iou": dice / (2 - dice),
        "auc": auc(maps, masks),
    }
    return _where_there_is_a_roi(found, masks)


def chance(masks: np.ndarray, tolerance: float = 0.0) -> dict[str, np.ndarray]:
    """What a map of noise gives in the mean, under the names of `scores`: (N,) float64."""
    masks = np.asarray(masks, bool)
    area = masks.mean(axis=(1, 2))
    found = {
        "pointing": dilated(masks, tolerance).mean(axis=(1, 2)),
        "inside": area,
        "dice": area,
        "iou": np.array([_iou_of_noise(int(mask.sum()), mask.size) for mask in masks], np.float64),
        "auc": np.where(masks.all(axis=(1, 2)), np.nan, 0.5),
    }
    return _where_there_is_a_roi(found, masks)


def dilated(masks: np.ndarray, tolerance: float) -> np.ndarray:
    """The pixels (N, H, W) whose centre is at most `tolerance` pixels from that of one in the mask.

    Raises:
        MammoError: a tolerance below 0.
    """
    if tolerance < 0:
        raise cases.MammoError(f"localisation: the tolerance must be 0 pixels or more, found {tolerance}")
    out = np.array(masks, bool)
    for mask in out:
        if mask.any():
            mask[...] = ndimage.distance_transform_edt(~mask) <= tolerance
    return out


def overlap(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Dice of the map's k strongest pixels with the ROI of k: (N,), NaN for k = 0.

    Where equal pixels compete for the last places, the mean over who gets them.

    >>> overlap(np.array([[[3.0, 1.0], [1.0, 0.0]]]), np.array([[[True, True], [False, False]]])).tolist()
    [0.75]
    """
    out = np.full(len(masks), np.nan)
    for i, (values, mask) in enumerate(zip(maps, masks, strict=True)):
        if size := int(mask.sum()):
            last = np.partition(values, -size, axis=None)[-size]
            above, level = values > last, values == last
            out[i] = ((above & mask).sum() + (size - above.sum()) * mask[level].mean()) / size
    return out


def _iou_of_noise(size: int, pixels: int) -> float:
    hits = np.arange(size + 1)
    return float((stats.hypergeom.pmf(hits, pixels, size, size) * hits / np.maximum(2 * size - hits, 1)).sum())


def auc(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of the pixels as scores for being in the ROI: (N,), NaN for one class of pixels.

    >>> auc(np.array([[[3.0, 1.0], [2.0, 1.0]]]), np.array([[[True, True], [False, False]]])).tolist()
    [0.625]
    """
    positive = masks.sum(axis=(1, 2)).astype(np.float64)
    pairs = positive * (masks[0].size - positive if len(masks) else 0)
    over = (ranks(maps) * masks).sum(axis=(1, 2)) - positive * (positive + 1) / 2
    return np.divide(over, pairs, out=np.full(len(masks), np.nan), where=pairs > 0)


def ranks(maps: np.ndarray) -> np.ndarray:
    """The rank of each pixel within its map, from 1, ties their mean: (N, H, W) float64."""
    flat = stats.rankdata(maps.reshape(len(maps), -1), axis=1) if maps.size else maps
    return flat.reshape(maps.shape).astype(np.float64)


def _where_there_is_a_roi(found: dict[str, np.ndarray], masks: np.ndarray) -> dict[str, np.ndarray]:
    there = masks.any(axis=(1, 2))
    return {name: np.where(there, values, np.nan) for name, values in found.items()}
