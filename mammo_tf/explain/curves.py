"""Deletion and insertion: does the net miss the pixels that a map calls important, and do they bring the class back?

Petsiuk et al. 2018 (arXiv:1806.07421). Pixels in the order of the map, highest first; after n of P

    deletion   p(class | the first n pixels filled, the others as they are)            small area: good
    insertion  p(class | the first n pixels as they are, the others blurred)           large area: good
    area       of p over n / P by trapezoids, from 0 to 1

Fill 0 is the mean of normalised images; a blur of sigma 5 is that of the authors' program, for images of 224 pixels
(its kernel ends after 5 pixels, ours after 4 sigma). Equal values are ordered at random, from a seed, so a map of
zeros gives random order: the control, `random_order`.

    found = curves.curves(model, images, classes, maps)
    gain = curves.random_order(model, images, classes).deletion_area - found.deletion_area
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
from scipy import ndimage

from mammo_tf import cases
from mammo_tf.explain import answers

ALGORITHM_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Removal:
    """Settings.

    Attributes:
        steps: points of a curve after the first, at least 1; with more, the area is that of smaller trapezoids.
        fill: of deleted pixels, in units of the image; None for the mean of the image's channel.
        blur: sigma in pixels of the image that insertion starts from; None to start from the fill.
        seed: orders equal values of each image by (seed, its index), whatever the other images.
        batch: images a step; no result depends on it.
    """

    steps: int = 32
    fill: float | None = 0.0
    blur: float | None = 5.0
    seed: int = 0
    batch: int = 32

    def __post_init__(self):
        if self.steps < 1 or self.batch < 1 or (self.blur is not None and self.blur <= 0):
            raise cases.MammoError(
                f"curves: steps and batch must be 1 or more, blur above 0 or None; "
                f"found {self.steps}, {self.batch}, {self.blur}"
            )


@dataclasses.dataclass(frozen=True)
class Curves:
    """The probability of the class along the way.

    Attributes:
        share: (steps + 1,) float64, pixels deleted or inserted over all, from 0 to 1.
        deletion, insertion: (N, steps + 1) float64.
    """

    share: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deletion_area(self) -> np.ndarray:
        """(N,) in [0, 1]."""
        return np.trapezoid(self.deletion, self.share, axis=1)

    @property
    def insertion_area(self) -> np.ndarray:
        """(N,) in [0, 1]."""
        return np.trapezoid(self.insertion, self.share, axis=1)


def curves(
    model: keras.Model,
    images: np.ndarray,
    classes: int | np.ndarray | None,
    maps: np.ndarray,
    settings: Removal | None = None,
) -> Curves:
    """Both curves of each image.

    Args:
        model: images (B, H, W, C) -> logits (B, K), K at least 2; run in inference mode.
        images: (N, H, W, C) float, normalised as the model expects.
        classes: one for all or (N,); None: the predicted class of each.
        maps: (N, H, W).
        settings: None for the defaults.

    Raises:
        MammoError: images and maps differ in size; the model has no such class.
    """
    settings = settings or Removal()
    images, classes = answers.checked(model, images, classes, "curves")
    maps = np.asarray(maps, np.float64)
    if maps.shape != images.shape[:3]:
        raise cases.MammoError(f"curves: maps are {maps.shape}, images {images.shape}; expected (N, H, W)")
    pixels = images.shape[1] * images.shape[2]
    counts = np.arange(settings.steps + 1) * pixels // settings.steps
    ask = answers.replacing(model, images.shape[1:], probability=True)
    fills = answers.filled(images, settings.fill)
    starts = fills if settings.blur is None else ndimage.gaussian_filter(images, (0, settings.blur, settings.blur, 0))
    deletion, insertion = np.empty((2, len(images), len(counts)))
    for i, image in enumerate(images):
        order = places(maps[i], (settings.seed, i))
        deletion[i] = answers.asked(ask, image, fills[i], _first(order, counts, settings.batch), classes[i])
        insertion[i] = answers.asked(ask, starts[i], image, _first(order, counts, settings.batch), classes[i])
    return Curves(counts / pixels, deletion, insertion)


def random_order(
    model: keras.Model, images: np.ndarray, classes: int | np.ndarray | None, settings: Removal | None = None
) -> Curves:
    """The curves of pixels in random order, one order an image, from the seed of the settings."""
    return curves(model, images, classes, np.zeros(np.shape(images)[:3]), settings)


def places(values: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """The place of each pixel in the order, 0 for the highest; equal ones at random: (H, W) int."""
    order = np.lexsort((np.random.default_rng(seed).random(values.size), -values.ravel()))
    out = np.empty(values.size, int)
    out[order] = np.arange(values.size)
    return out.reshape(values.shape)


def _first(order: np.ndarray, counts: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    """The masks of the first n pixels for each n, in batches (B, H, W)."""
    for at in range(0, len(counts), batch):
        yield order < counts[at : at + batch, None, None]
