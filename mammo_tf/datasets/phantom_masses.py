"""A mass of the phantom: a domed core with a soft rim, and strands at the rim.

The rim is r(t) = R (1 + e f(t)), with f a sum of waves k = 2..14 of random phases whose amplitudes fall as 1 / k^1.2,
scaled to variance 1: a few broad bulges and ever finer detail. The core falls off with the distance to the rim, so
that the rim of an irregular mass is as sharp as that of a smooth one.

    drawn = draw(finding, x, y, 0.4, np.random.default_rng(0))
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import scipy.special

from mammo_tf.datasets import phantom_lesions

LOOSE = 1.14  # annotated radius over the radius of the core, on average
_MEAN_INSIDE = 0.63  # what a mass adds to the annotated ellipse on average, over its contrast
_WAVES = np.arange(2, 15)
_CORNERS = 240
_FINER = 2  # the rim is drawn on a grid so many times finer than the pixels


def elliptic(x: np.ndarray, y: np.ndarray, angle: float, aspect: float) -> np.ndarray:
    """Distance from the centre, measured so that an ellipse of that aspect becomes a circle of the same area."""
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.hypot(along / np.sqrt(aspect), across * np.sqrt(aspect))


def draw(
    lesion: phantom_lesions.Finding, x: np.ndarray, y: np.ndarray, spacing_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """The attenuation of the mass, (h, w) float32, at x (1, w) and y (h, 1) in mm from its centre."""
    angle = rng.uniform(0, np.pi)
    radius = elliptic(x, y, angle, lesion.aspect)
    rim = _rim(lesion, angle, rng)
    inward = _depth_mm(rim, x, y, spacing_mm)
    straight = 1 - 0.9 * lesion.irregularity  # pixels smear a bent rim more than a straight one: made up for
    edge_mm = 0.6 * straight * np.hypot(lesion.edge_mm, 0.4 * spacing_mm)
    softness = np.float32(edge_mm) * (1 + 3 * _hidden(lesion, x, y, rng))
    dome = 0.7 + 0.3 * np.clip(1 - (radius / lesion.radius_mm) ** 2, 0, None)
    strands = _strands(lesion, rim, x, y, spacing_mm, rng)

    def grown(by_mm: float) -> np.ndarray:
        return np.maximum(dome * scipy.special.expit((inward + np.float32(by_mm)) / softness), strands)

    return np.float32(lesion.contrast) * _with_mean(grown, radius <= LOOSE * lesion.radius_mm)


def _with_mean(grown: Callable[[float], np.ndarray], inside: np.ndarray) -> np.ndarray:
    """The mass whose mean in the annotated ellipse is the same for all, grown or shrunk by a little.

    Bulges and strands leave the ellipse by different amounts; to grow changes neither the sharpness nor the peak.
    """
    by, drawn = 0.0, grown(0.0)
    for _ in range(2):
        mean = drawn[inside].mean()
        rise = (grown(by + 0.2)[inside].mean() - mean) / 0.2
        by = float(np.clip(by + (_MEAN_INSIDE - mean) / rise, -1.5, 1.5))
        drawn = grown(by)
    return drawn


def _rim(lesion: phantom_lesions.Finding, angle: float, rng: np.random.Generator) -> np.ndarray:
    """Corners of the rim, (n, 2) in mm; it encloses pi R^2 however irregular it is, so that size tells nothing."""
    turn = np.arange(_CORNERS) * 2 * np.pi / _CORNERS
    heights = rng.normal(0, 1, _WAVES.size) / _WAVES**1.2
    waves = heights @ np.cos(_WAVES[:, None] * turn + rng.uniform(0, 2 * np.pi, _WAVES.size)[:, None])
    rim = np.maximum(1 + lesion.irregularity * waves / waves.std(), 0.3)
    rim *= lesion.radius_mm / np.sqrt((rim**2).mean())
    along, across = rim * np.cos(turn) * np.sqrt(lesion.aspect), rim * np.sin(turn) / np.sqrt(lesion.aspect)
    turned = along * np.cos(angle) - across * np.sin(angle), along * np.sin(angle) + across * np.cos(angle)
    return np.stack(turned, axis=1)


def _depth_mm(rim: np.ndarray, x: np.ndarray, y: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Distance to the rim, positive inside, (h, w) float32 in mm."""
    step, corner = spacing_mm / _FINER, np.array([x[0, 0], y[0, 0]]) - spacing_mm / 2
    mask = np.zeros((_FINER * y.size, _FINER * x.size), np.uint8)
    points = np.round(((rim - corner) / step - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], 1, cv2.LINE_8, 4)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 5) for side in (mask, 1 - mask))
    signed = np.where(mask, inside - 0.5, 0.5 - outside) * np.float32(step)
    return cv2.resize(signed, (x.size, y.size), interpolation=cv2.INTER_AREA)


def _hidden(lesion: phantom_lesions.Finding, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """1 where tissue hides the rim, falling to 0 at the ends of the hidden arc."""
    away = (np.arctan2(y, x) - np.float32(rng.uniform(0, 2 * np.pi)) + 3 * np.pi) % (2 * np.pi) - np.pi
    return np.clip(1 - np.abs(away) / (np.pi * lesion.obscured), 0, 1) if lesion.obscured else np.zeros_like(away)


def _strands(
    lesion: phantom_lesions.Finding,
    rim: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    spacing_mm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Fine bent lines whose middles lie round the core: `signs` radial ones, the others nearly parallel.

    Each gets finer and fainter from its foot to its tip. Radial ones stand on the core with their feet.
    """
    n = lesion.parts
    turn = (np.arange(n) + rng.uniform(-0.45, 0.45, n)) * 2 * np.pi / n + rng.uniform(0, 2 * np.pi)
    length, width = lesion.radius_mm * rng.uniform(0.6, 1.4, n), rng.uniform(0.7, 1.3, n) / 2
    passing = rng.uniform(0, np.pi) + rng.normal(0, 0.35, n) + np.pi * rng.integers(0, 2, n) - turn
    tilt = np.where(rng.permutation(n) < lesion.signs, rng.normal(0, 0.15, n), passing)
    bend, strength = rng.normal(0, 0.02, n), rng.uniform(0.65, 1.0, n)
    away = np.hypot(rim[:, 0], rim[:, 1])
    middle = 0.85 * np.interp(turn, np.arctan2(rim[:, 1], rim[:, 0]), away, period=2 * np.pi) + length / 2
    out = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for i in range(n):
        dx, dy = x - middle[i] * np.cos(turn[i]), y - middle[i] * np.sin(turn[i])
        along = dx * np.cos(turn[i] + tilt[i]) + dy * np.sin(turn[i] + tilt[i])
        across = dy * np.cos(turn[i] + tilt[i]) - dx * np.sin(turn[i] + tilt[i]) - bend[i] * along**2
        way = np.clip(along / length[i] + 0.5, 0, 1)
        thick = width[i] * (1 - 0.5 * way)
        sigma = np.hypot(thick, 0.4 * spacing_mm)  # a line finer than a pixel is spread and so fainter
        line = np.exp(-0.5 * (across / sigma) ** 2) * (
            strength[i] * thick / sigma * (1 - way) ** 0.6 * np.minimum(1, 8 * way)
        )
        ends = scipy.special.expit((length[i] / 2 - np.abs(along)) * 2)
        np.maximum(out, line * ends, out=out)
    return out
