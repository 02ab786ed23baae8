"""Images that show the same film twice: a hash of each finds candidates, correlation of their detail decides.

A film that stands in a dataset under two names puts one image on both sides of a split whatever the patient ids say.
Copies differ by size, contrast, compression or a mirror, so pixels are not compared as they are, and silhouettes of
breasts are alike, so edges are not either: what is compared is detail, the image less its blur. The hash is of its
signs on 32 x 32 places (1024 bits); pairs with few different bits are candidates, and their detail on 128 x 128
places must go together.

    pairs = twins(dataset.views)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from mammo_tf import cases

BITS = 32  # rows and columns of the hash
CANDIDATE = 0.25  # share of different bits at most: 0.08 of copies; of two films about a half
SIDE, BLUR = 128, 4.0
SAME = 0.75  # correlation of detail: 0.87 and more of copies, 0.62 at most of different films (docs/evidence.md)
INSIDE = 0.02  # of full scale: darker pixels are air


@dataclasses.dataclass(frozen=True)
class Twins:
    """Two views of one film.

    Attributes:
        one, other: the views, by id in rising order.
        correlation: of their detail where either shows breast.
        mirrored: True where one is the other's mirror.
    """

    one: cases.View
    other: cases.View
    correlation: float
    mirrored: bool


@dataclasses.dataclass(frozen=True)
class _Seen:
    view: cases.View
    small: np.ndarray


def twins(views: Sequence[cases.View]) -> tuple[list[Twins], list[cases.Problem]]:
    """Every pair that shows one film, as it is or mirrored; and what could not be read.

    Args:
        views: of which no two have one id.

    Returns:
        pairs by id, and a problem for each view whose pixels cannot be read.
    """
    seen, problems = [], []
    for view in sorted(views, key=lambda one: one.id):
        try:
            seen.append(_Seen(view, _small(view)))
        except (cases.DataError, OSError) as error:
            problems.append(cases.Problem(view.path or view.id, str(getattr(error, "reason", error))))
    found = {}
    for i, j, mirrored in _candidates([one.small for one in seen]):
        value = likeness(seen[i].small, seen[j].small[:, ::-1] if mirrored else seen[j].small)
        key = seen[i].view.id, seen[j].view.id
        if value >= SAME and (key not in found or found[key].correlation < value):
            found[key] = Twins(seen[i].view, seen[j].view, value, mirrored)
    return [found[key] for key in sorted(found)], problems


def _small(view: cases.View) -> np.ndarray:
    """The image as (SIDE, SIDE) float32 in [0, 1]."""
    pixels = view.pixels().astype(np.float32) / view.max_value
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of the detail of two small images (SIDE, SIDE), where either shows breast; 0 where none varies."""
    inside = (one > INSIDE) | (other > INSIDE)
    a, b = (_detail(image)[inside] for image in (one, other))
    if not inside.any() or not a.std() or not b.std():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _detail(image: np.ndarray) -> np.ndarray:
    """The image less its blur, each place by the local spread, so that no bright edge decides alone."""
    rest = image - cv2.GaussianBlur(image, (0, 0), BLUR)
    spread = np.sqrt(cv2.GaussianBlur(rest * rest, (0, 0), 2 * BLUR))
    return rest / np.maximum(spread, 1e-3)


def _bits(image: np.ndarray) -> np.ndarray:
    """Signs of the detail on BITS x BITS places, -1 or 1, and 0 in air."""
    grid = cv2.resize(_detail(image), (BITS, BITS), interpolation=cv2.INTER_AREA)
    inside = cv2.resize(image, (BITS, BITS), interpolation=cv2.INTER_AREA) > INSIDE
    return (np.sign(grid) * inside).ravel().astype(np.float32)


def _candidates(images: Sequence[np.ndarray]) -> Iterator[tuple[int, int, bool]]:
    if len(images) < 2:
        return
    plain = np.stack([_bits(image) for image in images])
    for mirrored, other in ((False, plain), (True, np.stack([_bits(image[:, ::-1]) for image in images]))):
        for start in range(0, len(images), 512):  # 512 rows of products at a time
            rows = plain[start : start + 512]
            both = np.abs(rows) @ np.abs(other).T  # places that show breast in both
            different = (both - rows @ other.T) / 2
            for i, j in np.argwhere((both > 0) & (different <= CANDIDATE * both)):
                if start + i < j:
                    yield int(start + i), int(j), mirrored
