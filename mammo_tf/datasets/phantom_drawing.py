"""Draws the phantom's lesions into an attenuation map, and the outlines that a reader would draw round them.

Both take the same stream of random numbers, so that image and outline fit without drawing one for the other.

    add(tissue.attenuation, finding, (80.0, 120.0), 0.4, np.random.default_rng(0))
    mask = outline(tissue.attenuation.shape, finding, (80.0, 120.0), 0.4, np.random.default_rng(0))
"""

from __future__ import annotations

import numpy as np

from mammo_tf.datasets import phantom_clusters, phantom_lesions, phantom_masses

_REACH = 2.5  # half side of the drawn window, in radii


def add(
    attenuation: np.ndarray,
    lesion: phantom_lesions.Finding,
    centre_mm: tuple[float, float],
    spacing_mm: float,
    rng: np.random.Generator,
) -> None:
    """Draws the lesion into `attenuation` (H, W), in place; `centre_mm` is (x, y)."""
    window, x, y = _window(attenuation.shape, centre_mm, lesion.radius_mm * _REACH + 2, spacing_mm)
    draw = phantom_masses.draw if lesion.kind == "mass" else phantom_clusters.draw
    attenuation[window] += draw(lesion, x, y, spacing_mm, rng)


def outline(
    shape: tuple[int, int],
    lesion: phantom_lesions.Finding,
    centre_mm: tuple[float, float],
    spacing_mm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The annotation, bool (H, W): a loose ellipse round the core, drawn with the same hand in both classes.

    `rng` must start as the one given to `add` did, so that the outline turns with the lesion.
    """
    mask = np.zeros(shape, bool)
    window, x, y = _window(shape, centre_mm, lesion.annotated_mm + 1, spacing_mm)
    angle = rng.uniform(0, np.pi)
    hand = rng.spawn(1)[0]
    loose = phantom_masses.LOOSE + hand.uniform(-0.06, 0.06)
    turn = np.arctan2(y, x)
    wobble = 1 + 0.03 * np.cos(2 * turn + hand.uniform(0, 6.3)) + 0.03 * np.cos(3 * turn + hand.uniform(0, 6.3))
    mask[window] = phantom_masses.elliptic(x, y, angle, lesion.aspect) <= lesion.radius_mm * loose * wobble
    return mask


def _window(
    shape: tuple[int, int], centre_mm: tuple[float, float], half_mm: float, spacing_mm: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The part of the image within half_mm of the centre, and its x (1, w) and y (h, 1) in mm from there."""
    slices, axes = [], []
    for n, centre in zip(shape, reversed(centre_mm), strict=True):
        start = max(0, int((centre - half_mm) / spacing_mm))
        stop = min(n, int((centre + half_mm) / spacing_mm) + 2)
        slices.append(slice(start, max(start, stop)))
        axes.append(((np.arange(start, max(start, stop)) + 0.5) * spacing_mm - centre).astype(np.float32))
    return tuple(slices), axes[1][None, :], axes[0][:, None]
