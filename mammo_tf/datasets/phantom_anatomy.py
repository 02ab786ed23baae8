"""The phantom's breast in outline: its skin line, nipple and pectoral muscle in both projections, in mm.

x runs from the chest wall towards the nipple, y downwards; the caller mirrors right breasts. What lies inside is
`phantom_tissue`'s.

    breast = anatomy(np.random.default_rng(0), "2", field_mm=(240.0, 180.0))
    breast.cc.holds(40.0, 120.0, radius=8.0)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from mammo_tf import cases

FIELD_MM = (240.0, 180.0)  # the field that the sizes below are meant for; a smaller field holds a smaller breast
_PAD_MM = 30.0  # how far the breast goes on behind the chest wall's border, for distances to the skin


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
class Muscle:
    """The pectoral muscle of an MLO view; its edge runs from (upper, 0) to (0, lower).

    Attributes:
        upper, lower: where the edge meets the upper border (x) and the chest wall (y), in mm.
        bow: how far its middle stands out towards the nipple, in mm; below 0 it is hollow.
        wave: the same of its upper half against its lower half.
        tone: how much it is like glandular tissue, in [0, 1].
        edge_mm: softness of the edge.
    """

    upper: float
    lower: float
    bow: float = 0.0
    wave: float = 0.0
    tone: float = 0.5
    edge_mm: float = 1.0

    def edge(self, y: np.ndarray) -> np.ndarray:
        """x of the edge at height y; below 0 where there is no muscle."""
        down = np.asarray(y, np.float32) / np.float32(self.lower)
        arc = np.where(down < 1, self.bow * np.sin(np.pi * down) + self.wave * np.sin(2 * np.pi * down), 0)
        return self.upper * (1 - down) + arc


@dataclasses.dataclass(frozen=True)
class Outline:
    """The skin line of one projection, as x over y, all in mm.

    Attributes:
        depth: x of the nipple.
        level: y of the nipple.
        above, below: height of the breast over and under the nipple.
        axilla: x of the skin at the upper border (MLO), 0 in CC.
        muscle: the pectoral muscle of an MLO view; None in CC.
        power: exponent of the superellipse, 2 an ellipse.
        swell: two waves of the skin line, as shares of the depth; both leave the nipple where it is.
        bump: half height and height of the nipple over the skin.
    """

    depth: float
    level: float
    above: float
    below: float
    axilla: float = 0.0
    muscle: Muscle | None = None
    power: float = 2.2
    swell: tuple[float, float] = (0.0, 0.0)
    bump: tuple[float, float] = (3.0, 3.0)

    @property
    def nipple(self) -> tuple[float, float]:
        return self.depth, self.level

    def edge(self, y: np.ndarray) -> np.ndarray:
        """x of the skin at height y, nipple apart; 0 where there is no breast."""
        down = np.asarray(y, np.float32) - self.level
        lower = self._arc(down / self.below)
        if self.muscle is None:
            upper = self._arc(down / self.above)
        else:
            rise = np.clip(-down / self.above, 0, 1)
            upper = self.axilla + (self.depth - self.axilla) * np.clip(np.cos(np.pi / 2 * rise), 0, 1) ** 1.5
        bare = np.where(down > 0, lower, upper)
        u = np.clip(np.where(down > 0, down / self.below, -down / self.above), 0, 1)
        waves = self.swell[0] * np.sin(np.pi * u) ** 2 * np.sign(down) + self.swell[1] * np.sin(2 * np.pi * u) * u
        return bare + np.where(bare > 0, self.depth * waves, 0)

    def _arc(self, u: np.ndarray) -> np.ndarray:
        return self.depth * np.sqrt(np.clip(1 - np.abs(u) ** self.power, 0, None))

    def holds(self, x: float, y: float, radius: float) -> bool:
        """Whether the disc of `radius` round (x, y) lies in the breast, clear of the muscle and of the borders."""
        turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        xs, ys = x + radius * np.cos(turn), y + radius * np.sin(turn)
        if xs.min() < 0 or ys.min() < 0 or not (xs < self.edge(ys)).all():
            return False
        return self.muscle is None or bool((xs > self.muscle.edge(ys)).all())

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
    """What both projections of a breast share.

    Attributes:
        thickness_mm: compressed.
        density: "1" to "4".
        cc, mlo: the outlines.
        roll_off: distance from the skin at which the thickness is full, over the thickness.
    """

    thickness_mm: float
    density: str
    cc: Outline
    mlo: Outline
    roll_off: float = 0.5

    def outline(self, projection: cases.Projection) -> Outline:
        return self.cc if projection is cases.Projection.CC else self.mlo


def anatomy(rng: np.random.Generator, density: str, field_mm: tuple[float, float]) -> Anatomy:
    """A breast for a field of (height, width) mm."""
    scale = min(1.0, field_mm[0] / FIELD_MM[0], field_mm[1] / FIELD_MM[1])
    depth, half = scale * rng.uniform(72, 140), scale * rng.uniform(72, 108)
    middle, power = field_mm[0] / 2 + scale * rng.uniform(-10, 10), rng.uniform(1.8, 2.6)
    bump = scale * rng.uniform(2.5, 5), scale * rng.uniform(0, 7) * (rng.random() > 0.25)  # some are not in profile
    cc = Outline(depth, middle, half * rng.uniform(0.85, 1.06), half, power=power, swell=_swell(rng), bump=bump)
    level = field_mm[0] * rng.uniform(0.54, 0.66)
    below = min(half * rng.uniform(0.75, 1.0), field_mm[0] * 0.97 - level)
    muscle = _muscle(rng, scale, level)
    axilla = muscle.upper + scale * rng.uniform(12, 35)
    deep = depth * rng.uniform(1.0, 1.12)
    mlo = Outline(deep, level, level, below, axilla, muscle, power, swell=_swell(rng), bump=bump)
    return Anatomy(rng.uniform(35, 65), density, cc, mlo, roll_off=rng.uniform(0.22, 0.55))


def _swell(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(-0.04, 0.04)), float(rng.uniform(-0.04, 0.04))


def _muscle(rng: np.random.Generator, scale: float, level: float) -> Muscle:
    return Muscle(
        upper=scale * rng.uniform(32, 65),
        lower=level * rng.uniform(0.6, 0.95),
        bow=scale * rng.uniform(-6, 9),
        wave=scale * rng.uniform(-3, 3),
        tone=rng.uniform(0.22, 0.42),
        edge_mm=rng.uniform(0.5, 1.6),
    )


def skin_distance(outline: Outline, grid: Grid) -> np.ndarray:
    """Distance of each pixel to the skin in mm, 0 outside the breast; the field's borders are no skin."""
    x, y = grid.axes()
    inside = (x < outline.edge(y)).astype(np.uint8)
    high, out = outline.bump
    if out:
        nipple = [round(16 * value / grid.spacing_mm - 8) for value in outline.nipple]
        axes = round(16 * (out + 2) / grid.spacing_mm), round(16 * high / grid.spacing_mm)
        cv2.ellipse(inside, (nipple[0] - round(32 / grid.spacing_mm), nipple[1]), axes, 0, 0, 360, 1, -1, shift=4)
    pad = round(_PAD_MM / grid.spacing_mm)
    above = 0 if outline.muscle is None else pad
    inside = cv2.copyMakeBorder(inside, above, 0, pad, 0, cv2.BORDER_REPLICATE)
    return cv2.distanceTransform(inside, cv2.DIST_L2, 5)[above:, pad:] * np.float32(grid.spacing_mm)
