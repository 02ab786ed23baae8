"""The phantom's breast before any lesion: outline, glandular and adipose tissue, muscle, strands, ducts, vessels.

Everything is laid out in mm, x from the chest wall towards the nipple, y downwards; the caller mirrors right breasts.
Tissue is power-law noise whose power spectrum falls as 1/f^3 (Burgess, Jacobson and Judy 2001,
doi:10.1118/1.1355308), squeezed into glandular lobes. The result is an attenuation map, the line integral of the
linear attenuation coefficient through the compressed breast.

    tissue = attenuation(breast, breast.outline(cases.Projection.CC), grid, np.random.default_rng(0))
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import cv2
import numpy as np
import scipy.fft
import scipy.special

from mammo_tf import cases

# Linear attenuation coefficients near 20 keV in 1/cm, rounded.
MU_ADIPOSE, MU_GLANDULAR = 0.53, 0.80
SPECTRUM_EXPONENT = 3.0
FIELD_MM = (240.0, 180.0)  # the field that the sizes below are meant for; a smaller field holds a smaller breast
_LOBES = {"1": -2.3, "2": -1.1, "3": -0.1, "4": 0.9}  # BI-RADS density a to d: how much of the disc is glandular


@dataclasses.dataclass(frozen=True)
class Grid:
    """The pixel frame: (height, width) pixels of spacing_mm."""

    height: int
    width: int
    spacing_mm: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """x (1, W) and y (H, 1) of the pixel centres in mm, float32."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5) * np.float32(self.spacing_mm)
        y = (np.arange(self.height, dtype=np.float32) + 0.5) * np.float32(self.spacing_mm)
        return x[None, :], y[:, None]


@dataclasses.dataclass(frozen=True)
class Outline:
    """The skin line of one projection, as x over y, all in mm.

    Attributes:
        depth: x of the nipple.
        level: y of the nipple.
        above, below: height of the breast over and under the nipple.
        axilla: x of the skin at the upper border (MLO), 0 in CC.
        muscle: where the pectoral muscle meets the upper border (x) and the chest wall (y); None in CC.
        power: exponent of the superellipse, 2 an ellipse.
    """

    depth: float
    level: float
    above: float
    below: float
    axilla: float = 0.0
    muscle: tuple[float, float] | None = None
    power: float = 2.2

    @property
    def nipple(self) -> tuple[float, float]:
        return self.depth, self.level

    def edge(self, y: np.ndarray) -> np.ndarray:
        """x of the skin at height y; 0 where there is no breast."""
        down = np.asarray(y, np.float32) - self.level
        lower = self._arc(down / self.below)
        if self.muscle is None:
            return np.where(down > 0, lower, self._arc(down / self.above))
        rise = np.clip(-down / self.above, 0, 1)
        upper = self.axilla + (self.depth - self.axilla) * np.cos(np.pi / 2 * rise) ** 1.5
        return np.where(down > 0, lower, upper)

    def _arc(self, u: np.ndarray) -> np.ndarray:
        return self.depth * np.sqrt(np.clip(1 - np.abs(u) ** self.power, 0, None))

    def holds(self, x: float, y: float, radius: float) -> bool:
        """Whether the disc of `radius` round (x, y) lies in the breast, clear of the muscle and of the borders."""
        turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        xs, ys = x + radius * np.cos(turn), y + radius * np.sin(turn)
        if xs.min() < 0 or ys.min() < 0 or not (xs < self.edge(ys)).all():
            return False
        return self.muscle is None or bool((xs / self.muscle[0] + ys / self.muscle[1]).min() > 1)

    def place(
        self,
        rng: np.random.Generator,
        distance: float,
        radius: float,
        taken: Sequence[tuple[float, float, float]] = (),
    ) -> tuple[float, float] | None:
        """A centre (x, y) for a disc, at `distance` from the nipple but for 2 mm; None where no room is found.

        It keeps clear of the discs (x, y, radius) in `taken`.
        """
        for spread in np.linspace(1.3, 0.1, 40):
            angle, far = rng.uniform(-spread, spread), distance + rng.uniform(-2, 2)
            x, y = self.depth - far * np.cos(angle), self.level + far * np.sin(angle)
            if self.holds(x, y, radius) and all(np.hypot(x - a, y - b) > radius + r + 2 for a, b, r in taken):
                return float(x), float(y)
        return None


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """What both projections of a breast share: compressed thickness, density "1" to "4", and the two outlines."""

    thickness_mm: float
    density: str
    cc: Outline
    mlo: Outline

    def outline(self, projection: cases.Projection) -> Outline:
        return self.cc if projection is cases.Projection.CC else self.mlo


def anatomy(rng: np.random.Generator, density: str, field_mm: tuple[float, float]) -> Anatomy:
    """A breast for a field of (height, width) mm."""
    scale = min(1.0, field_mm[0] / FIELD_MM[0], field_mm[1] / FIELD_MM[1])
    depth, half = scale * rng.uniform(80, 135), scale * rng.uniform(72, 105)
    middle, power = field_mm[0] / 2 + scale * rng.uniform(-10, 10), rng.uniform(1.9, 2.6)
    cc = Outline(depth, middle, half * rng.uniform(0.92, 1.06), half, power=power)
    level = field_mm[0] * rng.uniform(0.54, 0.62)
    below = min(half * rng.uniform(0.75, 1.0), field_mm[0] * 0.97 - level)
    muscle = scale * rng.uniform(35, 65), level * rng.uniform(0.7, 0.95)
    axilla = muscle[0] + scale * rng.uniform(12, 35)
    mlo = Outline(depth * rng.uniform(1.0, 1.12), level, level, below, axilla, muscle, power)
    return Anatomy(rng.uniform(35, 65), density, cc, mlo)


def power_law(
    rng: np.random.Generator,
    shape: tuple[int, int],
    spacing_mm: float,
    band_mm: tuple[float, float] = (0.0, 80.0),
    stretch: float = 1.0,
) -> np.ndarray:
    """Gaussian noise with the power spectrum P(f) = (f^2 + f0^2)^(-3/2), f0 = 1 / band_mm[1], mean 0 and variance 1.

    Args:
        rng: its next numbers make the white noise.
        shape: (H, W).
        spacing_mm: side of a pixel.
        band_mm: structures much finer than the first and coarser than the second are damped.
        stretch: structures are longer along x than along y by this factor.

    Returns:
        (H, W) float32.
    """
    size = tuple(scipy.fft.next_fast_len(n, real=True) for n in shape)
    noise = scipy.fft.rfft2(rng.standard_normal(size, dtype=np.float32))
    field = scipy.fft.irfft2(noise * _filter(size, spacing_mm, band_mm, stretch), s=size)[: shape[0], : shape[1]]
    return (field - field.mean()) / field.std()


@functools.lru_cache(maxsize=8)
def _filter(size: tuple[int, int], spacing_mm: float, band_mm: tuple[float, float], stretch: float) -> np.ndarray:
    fy = scipy.fft.fftfreq(size[0], spacing_mm)[:, None]
    fx = scipy.fft.rfftfreq(size[1], spacing_mm)[None, :] * stretch
    f2 = fx**2 + fy**2
    amplitude = (f2 + band_mm[1] ** -2) ** (-SPECTRUM_EXPONENT / 4) * np.exp(-0.5 * f2 * band_mm[0] ** 2)
    amplitude[0, 0] = 0.0
    return amplitude.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Tissue:
    """Attenuation, compressed thickness in cm, distance to the skin in mm (0 outside): each (H, W) float32."""

    attenuation: np.ndarray
    thickness_cm: np.ndarray
    skin_mm: np.ndarray


def attenuation(breast: Anatomy, outline: Outline, grid: Grid, rng: np.random.Generator) -> Tissue:
    """The breast without lesions, chest wall on the left."""
    x, y = grid.axes()
    skin = skin_distance(outline, grid)
    thickness = _thickness_cm(skin, breast.thickness_mm)
    gland = _glandular(breast, outline, grid, skin, rng)
    if outline.muscle is not None:
        inward = 1 - x / outline.muscle[0] - y / outline.muscle[1]
        muscle = scipy.special.expit(inward * 40).astype(np.float32)
        gland += muscle * (0.45 + 0.15 * np.maximum(inward, 0) - 0.55 * gland)
    total = thickness * (MU_ADIPOSE + (MU_GLANDULAR - MU_ADIPOSE) * gland)
    total += np.float32(0.25) * np.exp(-((skin / 1.4) ** 2)) * (skin > 0)
    return Tissue(total, thickness, skin)


def skin_distance(outline: Outline, grid: Grid) -> np.ndarray:
    """Distance of each pixel to the skin in mm, 0 outside the breast; the field's borders are no skin."""
    x, y = grid.axes()
    inside = (x < outline.edge(y)).astype(np.uint8)
    nipple = outline.nipple[0] / grid.spacing_mm, outline.nipple[1] / grid.spacing_mm
    cv2.circle(inside, (round(nipple[0]), round(nipple[1])), max(1, round(3 / grid.spacing_mm)), 1, -1)
    pad = round(30 / grid.spacing_mm)
    above = 0 if outline.muscle is None else pad
    inside = cv2.copyMakeBorder(inside, above, 0, pad, 0, cv2.BORDER_REPLICATE)
    return cv2.distanceTransform(inside, cv2.DIST_L2, 5)[above:, pad:] * np.float32(grid.spacing_mm)


def _thickness_cm(skin_mm: np.ndarray, thickness_mm: float) -> np.ndarray:
    """Full thickness inside, rounded off towards the skin like the side of a compressed ball."""
    rim = 0.45 * thickness_mm
    return np.sqrt(1 - (1 - np.minimum(skin_mm / rim, 1)) ** 2) * np.float32(thickness_mm / 10)


def _glandular(
    breast: Anatomy, outline: Outline, grid: Grid, skin: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The glandular fraction in [0, 1]: lobes behind the nipple, strands between them, ducts and vessels."""
    x, y = grid.axes()
    lumps = power_law(rng, grid.shape, grid.spacing_mm)
    web = power_law(rng, grid.shape, grid.spacing_mm, (1.0, 25.0), 2.0)
    disc = 1 - ((x - 0.52 * outline.depth) / (0.55 * outline.depth)) ** 2
    disc = disc - ((y - outline.level) / (0.75 * outline.below)) ** 2
    coarse = cv2.GaussianBlur(lumps, (0, 0), 2.0 / grid.spacing_mm)
    lobes = scipy.special.expit(2.0 * (1.5 * disc + 1.1 * coarse + 0.35 * web + _LOBES[breast.density]))
    lobes *= np.clip(skin / 12 - 0.4, 0, 1)
    smooth = cv2.GaussianBlur(web, (0, 0), 1.6 / grid.spacing_mm)
    strands = np.exp(-((smooth / (0.15 * smooth.std())) ** 2))  # zero crossings of a smooth field: arcs of even width
    strands *= scipy.special.expit(3 * np.roll(coarse, grid.height // 2, axis=0))
    fraction = 0.10 + lobes * (0.45 + 0.10 * lumps + 0.07 * web) + 0.02 * web + 0.13 * strands
    return np.clip(fraction + 0.16 * _lines(outline, grid, rng), 0, 1).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _Line:
    """A duct or vessel: where it starts (x, y), where it heads (0 away from the chest wall), its length and width."""

    start_mm: tuple[float, float]
    angle_rad: float
    reach_mm: float
    width_mm: float


def _lines(outline: Outline, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Ducts that fan out from the nipple and vessels from the chest wall, in [0, 1]."""
    canvas = np.zeros(grid.shape, np.uint8)
    for _ in range(rng.integers(4, 9)):
        reach = outline.depth * rng.uniform(0.25, 0.6)
        _stroke(canvas, _Line(outline.nipple, np.pi + rng.normal(0, 0.5), reach, 0.6), grid.spacing_mm, rng)
    for _ in range(rng.integers(2, 5)):
        start = 0.0, outline.level + rng.uniform(-0.7, 0.7) * outline.below
        reach = outline.depth * rng.uniform(0.5, 0.9)
        _stroke(canvas, _Line(start, rng.normal(0, 0.4), reach, rng.uniform(0.8, 1.8)), grid.spacing_mm, rng)
    return cv2.GaussianBlur(canvas, (0, 0), max(0.4, 0.35 / grid.spacing_mm)).astype(np.float32) / 255


def _stroke(canvas: np.ndarray, line: _Line, spacing_mm: float, rng: np.random.Generator) -> None:
    """Draws a line, winding; where it is thinner than a pixel it is drawn fainter instead."""
    turns = line.angle_rad + np.cumsum(rng.normal(0, 0.12, 24))
    steps_mm = np.stack([np.cos(turns), np.sin(turns)], axis=1) * line.reach_mm / 24
    points_mm = np.vstack([line.start_mm, line.start_mm + np.cumsum(steps_mm, axis=0)])
    points = (points_mm / spacing_mm * 16).astype(np.int32)
    gray = round(255 * min(1.0, line.width_mm / spacing_mm))
    cv2.polylines(canvas, [points], False, gray, max(1, round(line.width_mm / spacing_mm)), cv2.LINE_AA, 4)
