"""The phantom's threads: ducts from the nipple, vessels from the chest wall, Cooper's ligaments between them.

Each is a curve that tapers to nothing. Its attenuation is strewn along it as points and blurred, so that it may be
finer than a pixel, get thinner on its way and cross others without hiding them.

    glandular += draw(breast.cc, grid, np.random.default_rng(0))
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from mammo_tf.datasets import phantom_anatomy

_STEPS = 160  # points a curve
_FINE_MM, _WIDE_MM = 0.28, 0.75  # standard deviation of the two widths that a thread is mixed of


@dataclasses.dataclass(frozen=True)
class _Curves:
    """n curves: start (n, 2) in mm, heading (n,) in radians (0 away from the chest wall), length (n,) in mm.

    Attributes:
        turn: how much a curve turns in all, and how much it winds, (n, 2) in radians.
        width: 0 is fine, 1 is wide, at the start of each curve (n,); it falls to its end.
        height: glandular fraction added on the curve's axis (n,).
        both_ends: whether the curve fades in as it fades out.
    """

    start: np.ndarray
    heading: np.ndarray
    length: np.ndarray
    turn: np.ndarray
    width: np.ndarray
    height: np.ndarray
    both_ends: bool

    def points(self) -> np.ndarray:
        """(n, steps, 2): x and y in mm."""
        s = np.linspace(0, 1, _STEPS)
        winding = self.turn[:, :1] * s + self.turn[:, 1:] * np.sin(2 * np.pi * (s + self.heading[:, None]))
        angle = self.heading[:, None] + winding
        steps = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * (self.length / _STEPS)[:, None, None]
        return self.start[:, None] + np.cumsum(steps, axis=1)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """What each point gives to the fine and to the wide threads, (n, steps) each, in fraction x mm^2."""
        s = np.linspace(0, 1, _STEPS)
        fade = np.sin(np.pi * s) if self.both_ends else np.sqrt(1 - s) * np.minimum(1, 12 * s)
        wide = self.width[:, None] * (1 - s)
        height = (self.height * self.length / _STEPS)[:, None] * fade * np.sqrt(2 * np.pi)
        return height * (1 - wide) * _FINE_MM, height * wide * _WIDE_MM


def draw(outline: phantom_anatomy.Outline, grid: phantom_anatomy.Grid, rng: np.random.Generator) -> np.ndarray:
    """The glandular fraction that the threads add, (H, W) float32, at most about 0.3 where none cross."""
    curves = _ducts(outline, rng), _vessels(outline, rng), _ligaments(outline, rng)
    points = np.concatenate([some.points().reshape(-1, 2) for some in curves])
    fine, wide = (np.concatenate([some.weights()[i].ravel() for some in curves]) for i in range(2))
    out = np.zeros(grid.shape, np.float32)
    for weights, sigma_mm in ((fine, _FINE_MM), (wide, _WIDE_MM)):
        out += cv2.GaussianBlur(_strew(points, weights, grid), (0, 0), max(0.5, sigma_mm / grid.spacing_mm))
    return out


def _strew(points_mm: np.ndarray, weights: np.ndarray, grid: phantom_anatomy.Grid) -> np.ndarray:
    """Adds each weight to the four pixels next to its point, per area of a pixel."""
    place = points_mm / grid.spacing_mm - 0.5
    inside = ((place >= 0) & (place < (grid.width - 1, grid.height - 1))).all(axis=1)
    place, weights = place[inside], weights[inside] / grid.spacing_mm**2
    corner = place.astype(np.intp)
    right, down = (place - corner).T
    flat, out = corner[:, 1] * grid.width + corner[:, 0], np.zeros(grid.height * grid.width)
    for step, share in (
        (0, (1 - right) * (1 - down)),
        (1, right * (1 - down)),
        (grid.width, (1 - right) * down),
        (grid.width + 1, right * down),
    ):
        out += np.bincount(flat + step, share * weights, out.size)
    return out.reshape(grid.shape).astype(np.float32)


def _ducts(outline: phantom_anatomy.Outline, rng: np.random.Generator) -> _Curves:
    n = rng.integers(5, 10)
    return _Curves(
        start=np.array(outline.nipple) + rng.normal(0, 1.0, (n, 2)),
        heading=np.pi + rng.uniform(-0.9, 0.9, n),
        length=outline.depth * rng.uniform(0.25, 0.7, n),
        turn=rng.normal(0, (0.4, 0.15), (n, 2)),
        width=rng.uniform(0.1, 0.7, n),
        height=rng.uniform(0.05, 0.14, n),
        both_ends=False,
    )


def _vessels(outline: phantom_anatomy.Outline, rng: np.random.Generator) -> _Curves:
    n = rng.integers(2, 6)
    start = np.stack([np.full(n, -2.0), outline.level + rng.uniform(-0.8, 0.8, n) * outline.below], axis=1)
    towards = np.arctan2(outline.level - start[:, 1], outline.depth)
    return _Curves(
        start=start,
        heading=towards + rng.normal(0, 0.3, n),
        length=outline.depth * rng.uniform(0.5, 1.0, n),
        turn=rng.normal(0, (0.4, 0.25), (n, 2)),
        width=rng.uniform(0.3, 1.0, n),
        height=rng.uniform(0.06, 0.16, n),
        both_ends=False,
    )


def _ligaments(outline: phantom_anatomy.Outline, rng: np.random.Generator) -> _Curves:
    n = rng.integers(30, 70)
    x, y = rng.uniform(0.0, 1.0, n) * outline.depth, outline.level + rng.uniform(-1, 0.9, n) * outline.below
    return _Curves(
        start=np.stack([x, y], axis=1),
        heading=np.arctan2(outline.level - y, outline.depth + 20 - x)
        + np.pi * rng.integers(0, 2, n)
        + rng.normal(0, 0.45, n),
        length=rng.uniform(12, 60, n),
        turn=rng.normal(0, (0.5, 0.15), (n, 2)),
        width=rng.uniform(0.0, 0.35, n),
        height=rng.uniform(0.03, 0.15, n),
        both_ends=True,
    )
