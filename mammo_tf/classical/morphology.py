"""Shape of a mass from its outline: size, compactness, radial lengths, Fourier descriptors.

Yi et al. (2017) add "morphological features" to the texture of Sahiner et al. (1998, doi:10.1118/1.598228), whose
abstract has texture alone; the set is that of the same group's later paper (Sahiner et al. 2001, Med. Phys. 28(7),
1455-1465), as far as it is known here: radial lengths after Kilday et al. (1993, doi:10.1109/42.251116), a Fourier
measure after Shen et al. (1994, IEEE Trans. Med. Imaging 13(2), 263-274). Kilday's roughness is added; the contrast,
which is no shape, stands in `huo`.

The outline has `POINTS` evenly spaced points; A is its area, P its length, r(i) the distance of point i from its
centroid, d(i) = r(i) / max r the normalised radial length, m its mean, hull the convex hull:

    area                 A
    perimeter            P
    circularity          4 pi A / P^2                                  1 for a disc, pi/4 for a square
    rectangularity       A / area of the smallest rectangle, turned as it fits   pi/4 for a disc, 1 for a square
    perimeter to area    P / A
    convexity            length of the hull / P                        1 where convex
    solidity             A / area of the hull                          1 where convex
    radial mean          m                                             1 for a disc
    radial deviation     sqrt(mean of (d - m)^2)                       0 for a disc
    radial entropy       -sum p log2 p over the shares p of `BINS` bins of d in [0, 1]        0 for a disc
    radial area ratio    sum over d > m of (d - m), over m N           0 for a disc
    radial crossings     how often d crosses m                         8 for a square
    roughness            sum of |d(i) - d(i + 1)| over one of `SEGMENTS` stretches, on average     0 for a disc
    fourier              1 - (sum over k of |Z(k)| / |k|) / (sum of |Z(k)|), k != 0     0 for a disc

Z is the discrete Fourier transform of x + i y. All but area, perimeter and their quotient do not change with scale.
The bins, the stretches and the number of points, which the papers leave open or tie to pixels, are choices made here;
a crossing counts from `DEAD_BAND` below m to as much above it or back, or the pixels of a disc would cross.

    morphology.features(mask, spacing_mm=0.2)["circularity"]
"""

from __future__ import annotations

import cv2
import numpy as np
import scipy.ndimage

from mammo_tf import cases
from mammo_tf.classical import rbst

ALGORITHM_VERSION = 1
POINTS = 256
BINS = 32
SEGMENTS = 16
DEAD_BAND = 0.01  # of the largest radius
SMOOTHING = 1.5  # sigma in pixels along the outline: takes off the steps of the pixels, which would lengthen it


def features(mask: np.ndarray, spacing_mm: float | None = None) -> dict[str, float]:
    """The shape of the largest part of a mask (H, W), its holes filled.

    Args:
        mask: True or above 0.5 in the mass.
        spacing_mm: side of a pixel; area and perimeter are in mm^2 and mm with it, in pixels without it (None).

    Raises:
        MammoError: the mask is empty.
    """
    return of_outline(outline(mask), 1.0 if spacing_mm is None else spacing_mm)


def outline(mask: np.ndarray) -> np.ndarray:
    """`POINTS` points along the smoothed outline of a mask, (POINTS, 2) float64, y and x.

    Raises:
        MammoError: the mask is empty.
    """
    points = rbst.margin(mask)
    points = scipy.ndimage.gaussian_filter1d(points, SMOOTHING, axis=0, mode="wrap")
    return _evenly(points, POINTS)


def of_outline(points: np.ndarray, scale: float = 1.0) -> dict[str, float]:
    """The features of a closed outline.

    Args:
        points: (N, 2), y and x, evenly spaced, in order, N at least 8; the last is joined to the first.
        scale: length of a unit of theirs.

    Raises:
        MammoError: too few points, or an outline without area.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 8:
        raise cases.MammoError(f"morphology: an outline is (N, 2) with N at least 8, found {points.shape}")
    area, centre = _area_and_centroid(points)
    if not area > 0:
        raise cases.MammoError("morphology: the outline encloses no area")
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    length, around = _length(points), _length(hull)
    box = np.prod(cv2.minAreaRect(points.astype(np.float32))[1])
    return {
        "area": area * scale**2,
        "perimeter": length * scale,
        "circularity": 4 * np.pi * area / length**2,
        "rectangularity": float(area / box),
        "perimeter to area": length / area / scale,
        "convexity": around / length,
        "solidity": area / _area_and_centroid(hull)[0],
        **radial(np.hypot(*(points - centre).T)),
        "fourier": fourier(points),
    }


def radial(lengths: np.ndarray) -> dict[str, float]:
    """Kilday's measures of the radial lengths (N,) of evenly spaced points.

    >>> found = radial(np.array([1.0, 2.0, 1.0, 2.0]))
    >>> [found[name] for name in ("radial mean", "radial deviation", "radial entropy", "radial crossings")]
    [0.75, 0.25, 1.0, 4.0]
    """
    d = np.asarray(lengths, np.float64) / np.max(lengths)
    mean = d.mean()
    shares = np.histogram(d, bins=BINS, range=(0, 1 + 1e-9))[0] / len(d)
    shares = shares[shares > 0]
    above = np.sign(d - mean)[np.abs(d - mean) >= DEAD_BAND]
    return {
        "radial mean": float(mean),
        "radial deviation": float(d.std()),
        "radial entropy": float(max(0.0, -(shares * np.log2(shares)).sum())),
        "radial area ratio": float(np.maximum(d - mean, 0).sum() / (mean * len(d))),
        "radial crossings": float((above != np.roll(above, 1)).sum()),
        "roughness": float(np.abs(d - np.roll(d, -1)).sum() / SEGMENTS),
    }


def fourier(points: np.ndarray) -> float:
    """Shen's measure of an outline (N, 2): the share of its Fourier descriptors weighted against low frequencies.

    0 for a circle, whose only descriptor is k = 1; it grows towards 1 with the detail of the outline.
    """
    z = np.abs(np.fft.fft(points[:, 1] + 1j * points[:, 0]))
    k = np.abs(np.fft.fftfreq(len(z), 1 / len(z)))
    return float(1 - (z[1:] / k[1:]).sum() / z[1:].sum())


def _evenly(points: np.ndarray, count: int) -> np.ndarray:
    closed = np.vstack([points, points[:1]])
    at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    wanted = np.arange(count) * at[-1] / count
    return np.stack([np.interp(wanted, at, closed[:, i]) for i in (0, 1)], axis=1)


def _length(points: np.ndarray) -> float:
    return float(np.hypot(*(points - np.roll(points, -1, axis=0)).T).sum())


def _area_and_centroid(points: np.ndarray) -> tuple[float, np.ndarray]:
    """Of a polygon: its area, whichever way it runs, and its centre of gravity (2,)."""
    origin = points.mean(axis=0)
    here = points - origin
    after = np.roll(here, -1, axis=0)
    cross = here[:, 1] * after[:, 0] - after[:, 1] * here[:, 0]
    area = cross.sum() / 2
    if area == 0:
        return 0.0, origin
    return abs(float(area)), origin + ((here + after) * cross[:, None]).sum(axis=0) / (6 * area)
