"""A calcification cluster of the phantom: specks in the annotated ellipse, scattered or along branching ducts.

A speck is a Gaussian, round or drawn out. Where two overlap their attenuations add up.

    drawn = draw(finding, x, y, 0.4, np.random.default_rng(0))
"""

from __future__ import annotations

import numpy as np

from mammo_tf.datasets import phantom_lesions

_CONTRAST = 2.0  # of a speck, over the finding's
# The next three make up for each other: peak, total and sharpness of a cluster are those of a benign one.
_FAINTEST, _STRONGEST, _FAINT_ONES = 0.39, 0.82, 0.8  # strength of specks that are signs: a power of a uniform draw
_THINNER = 0.05  # of a speck that is drawn out by a factor f, the side is thinner by f to this power
_STRETCH = 1.3, 1.7  # length over width of those
_TRIES, _ROOM_MM = 12, 2.0


def draw(
    lesion: phantom_lesions.Finding, x: np.ndarray, y: np.ndarray, spacing_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """The attenuation of the specks, (h, w) float32, at x (1, w) and y (h, 1) in mm from the cluster's centre.

    Those that are signs lie on branches, are drawn out along them and differ in strength. A speck that is drawn out
    has as sharp a side as a round one and so holds more; many faint ones among them make up for it.
    """
    n = lesion.parts
    angle = rng.uniform(0, np.pi)
    sign = rng.permutation(n) < lesion.signs
    centre = _centres(lesion, angle, sign, rng)
    short, stretch = rng.uniform(0.18, 0.40, n), np.where(sign, rng.uniform(*_STRETCH, n), rng.uniform(1.0, 1.2, n))
    even = rng.uniform(0, 1, n)
    strength = np.where(sign, _FAINTEST + (_STRONGEST - _FAINTEST) * even**_FAINT_ONES, 0.5 + 0.5 * even)
    way = np.arctan2(centre[:, 1], centre[:, 0]) + rng.normal(0, 0.4, n)
    out = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for i in range(n):
        dx, dy = x - centre[i, 0], y - centre[i, 1]
        u, v = dx * np.cos(way[i]) + dy * np.sin(way[i]), dy * np.cos(way[i]) - dx * np.sin(way[i])
        axes = np.array((short[i] * stretch[i] ** (1 - _THINNER), short[i] * stretch[i] ** -_THINNER))
        spread = np.hypot(axes, 0.4 * spacing_mm)  # a speck finer than a pixel is spread and so fainter
        speck = np.exp(np.float32(-0.5) * ((u / spread[0]) ** 2 + (v / spread[1]) ** 2))
        out += speck * np.float32(strength[i] * axes.prod() / spread.prod())
    return np.float32(_CONTRAST * lesion.contrast) * out


def _centres(lesion: phantom_lesions.Finding, angle: float, sign: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where the specks lie, (n, 2) in mm: of several directions each takes the one that leaves it the most room."""
    n = lesion.parts
    outward = np.sqrt(rng.uniform(0, 1, n))
    turn = np.where(sign, _branches(rng, outward), rng.uniform(0, 2 * np.pi, (_TRIES, n)))
    along = 0.95 * lesion.radius_mm * outward * np.cos(turn) * np.sqrt(lesion.aspect)
    across = 0.95 * lesion.radius_mm * outward * np.sin(turn) / np.sqrt(lesion.aspect)
    tries = np.stack(
        [along * np.cos(angle) - across * np.sin(angle), along * np.sin(angle) + across * np.cos(angle)], -1
    )
    placed = tries[0].copy()
    for i in range(1, n):
        nearest = np.linalg.norm(tries[:, i, None] - placed[:i], axis=-1).min(axis=1)
        placed[i] = tries[np.argmax(np.minimum(nearest, _ROOM_MM)), i]
    return placed


def _branches(rng: np.random.Generator, outward: np.ndarray) -> np.ndarray:
    """Angles of specks (tries, n), given their distance in [0, 1], along a bent duct whose arms fork on their way."""
    shape = _TRIES, outward.size
    arm, fork = rng.integers(2, size=shape), rng.choice((-1, 1), shape)
    start, opening = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.0, 2)
    bend = rng.uniform(-0.8, 0.8)
    return start + arm * (np.pi + bend) + fork * opening[arm] * outward + rng.normal(0, 0.15, shape)
