"""From attenuation to stored pixels: exposure, quantum noise, blur, then digitised film or a digital detector.

With A the attenuation, E = exp(A_ref - A) is the exposure behind the breast, 1 where the automatic exposure control
looks. A pixel counts N E photons (Poisson, here in its Gaussian limit), blurred by the focal spot. Film then follows
its characteristic curve, OD = OD_max / (1 + E^-gamma), and is digitised with dark background; a digital detector
takes -log E, evens out the thickness towards the skin and windows the rest, air being exactly 0.

    pixels = acquire(tissue, exposure, grid, np.random.default_rng(0), bits=16)
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import scipy.special

from mammo_tf.datasets import phantom_anatomy, phantom_marks, phantom_tissue

PHOTONS_PER_MM2 = 4e4  # behind the reference thickness at dose 1
BLUR_MM = 0.15
FILM_GAMMA = 1.7  # slope of the curve in ln E; about 3.5 in log10 E and optical density
GRAIN = 0.005
_FILM_CENTRE = 0.42  # the exposure control aims below the middle of the curve: breasts are lighter than mid gray


@dataclasses.dataclass(frozen=True)
class Exposure:
    """How a view was taken.

    Attributes:
        look: "film" or "ffdm".
        reference: attenuation A_ref at which the exposure is 1.
        dose: relative number of photons; on film a lower dose is brighter.
        mark: what is burnt in at the border.
        contrast: of the processing of a digital view, in [0, 1]: from bright and flat to dark and steep.
    """

    look: str
    reference: float
    dose: float
    mark: phantom_marks.Mark
    contrast: float


def reference(breast: phantom_anatomy.Anatomy) -> float:
    """A_ref of the automatic exposure control: the breast's thickness with a usual share of glandular tissue."""
    share = 0.1 + 0.08 * int(breast.density)
    contrast = phantom_tissue.MU_GLANDULAR - phantom_tissue.MU_ADIPOSE
    return breast.thickness_mm / 10 * (phantom_tissue.MU_ADIPOSE + contrast * share)


def acquire(
    tissue: phantom_tissue.Tissue,
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
    if exposure.look == "film":
        value = _film(log_exposure, exposure, grid, rng)
    else:
        value = _digital(log_exposure, tissue, exposure)
    return np.rint(np.clip(value, 0, 1) * (2**bits - 1)).astype(np.uint16)


def _film(
    log_exposure: np.ndarray, exposure: Exposure, grid: phantom_anatomy.Grid, rng: np.random.Generator
) -> np.ndarray:
    lighter = np.float32(_FILM_CENTRE - 0.5 * np.log(exposure.dose))
    value = scipy.special.expit(FILM_GAMMA * (lighter - log_exposure))
    grain = cv2.GaussianBlur(rng.standard_normal(grid.shape, dtype=np.float32), (0, 0), 0.6)
    value = 0.97 * value + 0.003 + np.float32(2 * GRAIN) * grain
    for _ in range(rng.poisson(3)):
        row, column = rng.integers(grid.height), rng.integers(grid.width)
        size = rng.integers(1, 3)
        value[row : row + size, column : column + size] += rng.choice([-0.2, 0.25])
    return value


def _digital(log_exposure: np.ndarray, tissue: phantom_tissue.Tissue, exposure: Exposure) -> np.ndarray:
    """Presentation values: what is left of -log E once the thickness roll-off is taken out; air is 0.

    The skin stays bright: the thickness is taken out as if it were fat.
    """
    fat = np.float32(phantom_tissue.MU_ADIPOSE) * tissue.thickness_cm
    over_fat = np.float32(exposure.reference) - log_exposure - fat
    over_fat += np.float32(0.3) * np.exp(-((tissue.skin_mm / np.float32(3.5)) ** 2))
    steep = np.float32(exposure.contrast)
    value = (0.56 - 0.44 * steep) + (0.3 + 0.65 * steep) * over_fat
    sharp = value + (0.2 + 0.6 * steep) * (value - cv2.GaussianBlur(value, (0, 0), 2.0))
    knee = np.float32(0.7)  # above it the brightest values are squeezed, not cut off
    sharp = np.where(sharp > knee, knee + (1 - knee) * np.tanh((sharp - knee) / (1 - knee)), np.maximum(sharp, 0.02))
    return np.where(tissue.skin_mm > 0, sharp, 0)
