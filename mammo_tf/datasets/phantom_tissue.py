"""The phantom's tissue: fat, glandular lobes, strands and muscle, as a map of attenuation.

Tissue is power-law noise whose power spectrum falls as 1/f^3 (Burgess, Jacobson and Judy 2001,
doi:10.1118/1.1355308). Part of it is laid along the ducts, which fan out from the nipple, and ridged: fine sheets of
connective tissue, seen from the side, are bright lines that come and go. The result is an attenuation map, the line
integral of the linear attenuation coefficient through the compressed breast.

    tissue = attenuation(breast, breast.outline(cases.Projection.CC), grid, np.random.default_rng(0))
"""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
import scipy.fft
import scipy.special

from mammo_tf.datasets import phantom_anatomy, phantom_threads

# Linear attenuation coefficients near 20 keV in 1/cm, rounded.
MU_ADIPOSE, MU_GLANDULAR = 0.53, 0.80
SPECTRUM_EXPONENT = 3.0
_LOBES = {"1": -2.4, "2": -1.0, "3": 0.1, "4": 1.2}  # BI-RADS density a to d: how much of the disc is glandular
_STRETCH, _CELL_STRETCH = 2.3, 1.5  # strands and the walls of fat lobules are longer along the ducts by this
_FOCUS_MM = 28.0  # the ducts' directions meet so far outside the nipple


@dataclasses.dataclass(frozen=True)
class Tissue:
    """Attenuation, compressed thickness in cm, distance to the skin in mm (0 outside): each (H, W) float32."""

    attenuation: np.ndarray
    thickness_cm: np.ndarray
    skin_mm: np.ndarray


def attenuation(
    breast: phantom_anatomy.Anatomy,
    outline: phantom_anatomy.Outline,
    grid: phantom_anatomy.Grid,
    rng: np.random.Generator,
) -> Tissue:
    """The breast without lesions, chest wall on the left."""
    skin = phantom_anatomy.skin_distance(outline, grid)
    thickness = _thickness_cm(skin, breast)
    gland = _glandular(breast, outline, grid, skin, rng)
    total = thickness * (MU_ADIPOSE + (MU_GLANDULAR - MU_ADIPOSE) * gland)
    total += np.float32(0.4) * np.exp(-((skin / 2.0) ** 2)) * (skin > 0)
    return Tissue(total, thickness, skin)


def _thickness_cm(skin_mm: np.ndarray, breast: phantom_anatomy.Anatomy) -> np.ndarray:
    """Full thickness inside, rounded off towards the skin like the side of a compressed ball."""
    rim = breast.roll_off * breast.thickness_mm
    return np.sqrt(1 - (1 - np.minimum(skin_mm / rim, 1)) ** 2) * np.float32(breast.thickness_mm / 10)


def _glandular(
    breast: phantom_anatomy.Anatomy,
    outline: phantom_anatomy.Outline,
    grid: phantom_anatomy.Grid,
    skin: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """The glandular fraction in [0, 1]: lobes behind the nipple, strands and threads everywhere, muscle in MLO."""
    lumps = power_law(rng, grid.shape, grid.spacing_mm)
    fibres, ridges = _along_ducts(outline, grid, rng)
    coarse = cv2.GaussianBlur(lumps, (0, 0), 2.0 / grid.spacing_mm)
    mix = 0.9 * coarse + 0.5 * fibres
    lobes = scipy.special.expit(1.6 * (1.5 * _disc(outline, grid, rng) + mix + _LOBES[breast.density]))
    lobes *= np.clip(skin / 12 - 0.4, 0, 1)
    threads = phantom_threads.draw(outline, grid, rng)
    fat = 0.05 + 0.015 * lumps + 0.11 * ridges * np.clip(skin / 3, 0.2, 1)
    fraction = fat + lobes * (0.37 + 0.05 * lumps + 0.04 * fibres + 0.12 * ridges) + threads
    if outline.muscle is not None:
        fraction += _muscle(outline.muscle, grid, fibres + 0.5 * lumps) * (1 - 0.5 * fraction)
    return np.clip(fraction, 0, 1, dtype=np.float32)


def _disc(outline: phantom_anatomy.Outline, grid: phantom_anatomy.Grid, rng: np.random.Generator) -> np.ndarray:
    """1 in the middle of the glandular disc, 0 at its border, lower outside; in MLO it leans towards the axilla."""
    x, y = grid.axes()
    lean = rng.uniform(0.0, 0.5) if outline.muscle else rng.uniform(-0.2, 0.2)
    across = (y - outline.level + lean * (outline.depth - x)) / (rng.uniform(0.55, 0.8) * outline.below)
    return 1 - ((x - rng.uniform(0.45, 0.6) * outline.depth) / (0.5 * outline.depth)) ** 2 - across**2


def _muscle(muscle: phantom_anatomy.Muscle, grid: phantom_anatomy.Grid, fibres: np.ndarray) -> np.ndarray:
    """What the pectoral muscle adds; it is thicker towards the upper corner, and streaked."""
    x, y = grid.axes()
    slope = np.float32(np.hypot(1, muscle.upper / muscle.lower))
    inward = (muscle.edge(y) - x) / slope + 0.3 * fibres
    depth = np.clip(inward / muscle.upper, 0, 1)
    return scipy.special.expit(inward / muscle.edge_mm) * (muscle.tone * (0.75 + 0.5 * depth) + 0.025 * fibres)


def _along_ducts(
    outline: phantom_anatomy.Outline, grid: phantom_anatomy.Grid, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Noise laid along the ducts, (H, W) float32 each: plain with variance 1, and ridged in about [0, 1].

    Periodic noise over (distance, direction) from a point outside the nipple is looked up at each pixel. A ridge lies
    where band-passed noise crosses 0; another noise decides how bright it is, so that no line runs round in a ring.
    """
    x, y = grid.axes()
    dx, dy = np.float32(outline.depth + _FOCUS_MM) - x, y - np.float32(outline.level)
    bend = _bend(grid, rng)
    far = (np.hypot(dx, dy) + bend[0]) / np.float32(grid.spacing_mm)
    around = (np.arctan2(dy, dx) * np.float32(1.1 * outline.depth) + bend[1]) / np.float32(grid.spacing_mm)
    plain, cells, strands = _bands(rng, grid.spacing_mm)
    cells = _ridge(cells) * np.clip(0.5 + 0.4 * np.roll(plain, 97, axis=0), 0, None)
    strands = _ridge(strands) * np.clip(0.4 + 0.5 * np.roll(plain, 211, axis=0), 0, None)
    along = far / np.float32(_STRETCH)
    ridged = 0.45 * _look_up(cells, far / np.float32(_CELL_STRETCH), around) + 0.6 * _look_up(strands, along, around)
    return _look_up(plain, along, around), ridged


def _bend(grid: phantom_anatomy.Grid, rng: np.random.Generator) -> np.ndarray:
    """Two smooth displacements, (2, H, W) in mm, that keep the strands from running straight."""
    knots = rng.normal(0, 5.0, (2, 7, 5)).astype(np.float32)
    return np.stack([cv2.resize(one, (grid.width, grid.height), interpolation=cv2.INTER_CUBIC) for one in knots])


def _look_up(field: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    return cv2.remap(field, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _ridge(field: np.ndarray) -> np.ndarray:
    return np.exp(np.float32(-2.0) * np.abs(field))


def _bands(rng: np.random.Generator, spacing_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Periodic noise of variance 1, square: the power law, and two bands of it about 10 and 4 mm wide."""
    side = scipy.fft.next_fast_len(round(200 / spacing_mm), real=True)
    noise = scipy.fft.rfft2(rng.standard_normal((side, side), dtype=np.float32))
    bands = ((0.0, 60.0), (2.2, 11.0), (1.2, 6.0))
    return tuple(_colour(noise, (side, side), spacing_mm, band) for band in bands)


def power_law(
    rng: np.random.Generator, shape: tuple[int, int], spacing_mm: float, band_mm: tuple[float, float] = (0.0, 80.0)
) -> np.ndarray:
    """Gaussian noise with the power spectrum P(f) = (f^2 + f0^2)^(-3/2), f0 = 1 / band_mm[1], mean 0 and variance 1.

    Args:
        rng: its next numbers make the white noise.
        shape: (H, W).
        spacing_mm: side of a pixel.
        band_mm: structures much finer than the first and coarser than the second are damped.

    Returns:
        (H, W) float32.
    """
    size = tuple(scipy.fft.next_fast_len(n, real=True) for n in shape)
    noise = scipy.fft.rfft2(rng.standard_normal(size, dtype=np.float32))
    return _colour(noise, size, spacing_mm, band_mm)[: shape[0], : shape[1]]


def _colour(noise: np.ndarray, size: tuple[int, int], spacing_mm: float, band_mm: tuple[float, float]) -> np.ndarray:
    field = scipy.fft.irfft2(noise * _filter(size, spacing_mm, band_mm), s=size)
    field -= field.mean()
    field /= field.std()
    return field


@functools.lru_cache(maxsize=12)
def _filter(size: tuple[int, int], spacing_mm: float, band_mm: tuple[float, float]) -> np.ndarray:
    fy = scipy.fft.fftfreq(size[0], spacing_mm)[:, None]
    fx = scipy.fft.rfftfreq(size[1], spacing_mm)[None, :]
    f2 = fx**2 + fy**2
    amplitude = (f2 + band_mm[1] ** -2) ** (-SPECTRUM_EXPONENT / 4) * np.exp(-0.5 * f2 * band_mm[0] ** 2)
    amplitude[0, 0] = 0.0
    return amplitude.astype(np.float32)
