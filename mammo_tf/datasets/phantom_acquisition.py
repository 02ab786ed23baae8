"""From attenuation to stored pixels: exposure, quantum noise, blur, then digitised film or a digital detector.

With A the attenuation, E = exp(A_ref - A) is the exposure behind the breast, 1 where the automatic exposure control
looks. A pixel counts N E photons (Poisson, here in its Gaussian limit), blurred by the focal spot. Film then follows
its characteristic curve, OD = OD_max / (1 + E^-gamma), and is digitised with dark background; a digital detector
takes -log E, evens out the thickness towards the skin and windows the rest.

    pixels = acquire(tissue, exposure, grid, np.random.default_rng(0), bits=16)
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import scipy.special

from mammo_tf.datasets import phantom_anatomy

PHOTONS_PER_MM2 = 4e4  # behind the reference thickness at dose 1
BLUR_MM = 0.15
FILM_GAMMA = 1.7  # slope of the curve in ln E; about 3.5 in log10 E and optical density
GRAIN = 0.006


@dataclasses.dataclass(frozen=True)
class Exposure:
    """How a view was taken.

    Attributes:
        look: "film" or "ffdm".
        reference: attenuation A_ref at which the exposure is 1.
        dose: relative number of photons; on film a lower dose is brighter.
        marker: text burnt in at the border, "" for none.
    """

    look: str
    reference: float
    dose: float
    marker: str = ""


def reference(breast: phantom_anatomy.Anatomy) -> float:
    """A_ref of the automatic exposure control: the breast's thickness with a usual share of glandular tissue."""
    share = 0.1 + 0.08 * int(breast.density)
    contrast = phantom_anatomy.MU_GLANDULAR - phantom_anatomy.MU_ADIPOSE
    return breast.thickness_mm / 10 * (phantom_anatomy.MU_ADIPOSE + contrast * share)


def acquire(
    tissue: phantom_anatomy.Tissue,
    exposure: Exposure,
    grid: phantom_anatomy.Grid,
    rng: np.random.Generator,
    bits: int,
) -> np.ndarray:
    """The view as stored, (H, W) uint16 in [0, 2^bits - 1], chest wall on the left, no marker yet."""
    counts = np.exp(np.float32(exposure.reference) - tissue.attenuation)
    photons = PHOTONS_PER_MM2 * exposure.dose * grid.spacing_mm**2
    counts += np.sqrt(counts / np.float32(photons)) * rng.standard_normal(grid.shape, dtype=np.float32)
    counts = cv2.GaussianBlur(counts, (0, 0), max(0.25, BLUR_MM / grid.spacing_mm))
    log_exposure = np.log(np.maximum(counts, 1e-4))
    value = _film(log_exposure, exposure, grid, rng) if exposure.look == "film" else _digital(log_exposure, tissue)
    return np.rint(np.clip(value, 0, 1) * (2**bits - 1)).astype(np.uint16)


def _film(
    log_exposure: np.ndarray, exposure: Exposure, grid: phantom_anatomy.Grid, rng: np.random.Generator
) -> np.ndarray:
    value = scipy.special.expit(-FILM_GAMMA * (log_exposure + np.float32(0.5 * np.log(exposure.dose))))
    grain = cv2.GaussianBlur(rng.standard_normal(grid.shape, dtype=np.float32), (0, 0), 0.6)
    value = 0.96 * value + 0.01 + np.float32(2 * GRAIN) * grain
    for _ in range(rng.poisson(3)):
        row, column = rng.integers(grid.height), rng.integers(grid.width)
        size = rng.integers(1, 3)
        value[row : row + size, column : column + size] += rng.choice([-0.2, 0.25])
    return value


def _digital(log_exposure: np.ndarray, tissue: phantom_anatomy.Tissue) -> np.ndarray:
    """Presentation values: what is left of -log E once most of the thickness roll-off is taken out; air is 0."""
    full = tissue.thickness_cm.max()
    even = -log_exposure + 0.85 * np.float32(phantom_anatomy.MU_ADIPOSE) * (full - tissue.thickness_cm)
    value = 0.42 + 0.4 * even
    sharp = value + 0.5 * (value - cv2.GaussianBlur(value, (0, 0), 2.0))
    return np.where(tissue.skin_mm > 0, np.maximum(sharp, 0.02), 0)


def burn_in(pixels: np.ndarray, marker: str, spacing_mm: float, *, gray: int, left: bool) -> None:
    """Writes the marker into the upper left or right corner, in `gray`, in place; letters are about 7 mm high."""
    if not marker:
        return
    height = max(8.0, 7 / spacing_mm)
    font, scale, stroke = cv2.FONT_HERSHEY_SIMPLEX, height / 22, max(1, round(0.6 / spacing_mm))
    (width, _), _ = cv2.getTextSize(marker, font, scale, stroke)
    ink = np.zeros(pixels.shape, np.uint8)
    column = round(height / 2) if left else pixels.shape[1] - width - round(height / 2)
    cv2.putText(ink, marker, (column, round(1.6 * height)), font, scale, 255, stroke, cv2.LINE_AA)
    pixels[ink > 127] = gray
