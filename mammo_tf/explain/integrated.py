"""Integrated gradients: the score's rise from a baseline image to the image, shared out over the values of the image.

    A_i = (x_i - b_i) 1/m sum_k dS/dx_i (b + t_k (x - b)),    t_k = (k + 1/2) / m,  k = 0 .. m - 1

Sundararajan et al. 2017, arXiv:1703.01365, section 3; S is the score of the class before the softmax, the integral
over t from 0 to 1 taken by its midpoints (the authors' sum takes the right ends). With ever more steps the
attributions add up to S(x) - S(b), "completeness"; `completeness_gap` says how far they are from it. Where that rise
is small beside what is added and taken away on the way, 64 steps leave more than 1 % of it; a tolerance adds steps
for the images that need them: three times as many, of which the points so far are part.

    maps = integrated.integrated_gradients(model, images, classes, tolerance=0.01)      # (N, H, W, C)
    gap = integrated.completeness_gap(model, images, classes, maps)                     # (N,)
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import answers, gradients, relevance_graph

ALGORITHM_VERSION = 1
_TRIPLINGS = 3


def integrated_gradients(
    model: keras.Model,
    images: np.ndarray,
    classes: int | np.ndarray | None = None,
    *,
    steps: int = 64,
    baseline: float | np.ndarray = 0.0,
    tolerance: float | None = None,
    batch: int = 32,
) -> np.ndarray:
    """What each value of an image adds to the score of the class.

    Args:
        model: images (B, H, W, C) -> logits (B, K); run in inference mode and in float32, whatever the precision that
            it was trained in.
        images: (N, H, W, C) float, normalised as the model expects.
        classes: one for all or (N,); None: the predicted class of each.
        steps: m, at least 1.
        baseline: b, a number, an image (H, W, C), or one for each (N, H, W, C), in units of the images; 0 is the mean
            of normalised images.
        tolerance: images whose gap is above this share of |S(x) - S(b)| get 3, 9, at last 27 times the steps, and may
            stay above it; None: all get the steps given.
        batch: points on the way at once; no result depends on it.

    Returns:
        (N, H, W, C) float32, of either sign, in units of the score.

    Raises:
        MammoError: images of another form, a baseline of another shape, no such class, or no step.
    """
    if steps < 1:
        raise cases.MammoError(f"integrated gradients: steps must be 1 or more, found {steps}")
    net = relevance_graph.in_float32(model)
    images, classes = answers.checked(net, images, classes, "integrated gradients")
    start = _started(images, baseline)
    way = images - start
    gradient = gradients.gradient_function(net, images.shape[1:])
    total = _sums(gradient, start, way, classes, (np.arange(steps) + 0.5) / steps, batch)
    maps = way * (total / steps)
    if tolerance is None:
        return maps.astype(np.float32)
    rises = rise(net, images, classes, baseline=baseline, batch=batch)
    for _ in range(_TRIPLINGS):
        gaps = np.abs(maps.sum(axis=(1, 2, 3)) - rises)
        rough = np.flatnonzero(gaps > tolerance * np.abs(rises))
        new = (np.arange(steps)[:, None] + (1 / 6, 5 / 6)) / steps  # of each third the middle; the second's is known
        total[rough] += _sums(gradient, start[rough], way[rough], classes[rough], new.ravel(), batch)
        steps *= 3
        maps[rough] = way[rough] * (total[rough] / steps)
    return maps.astype(np.float32)


def _sums(
    gradient: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    start: np.ndarray,
    way: np.ndarray,
    classes: np.ndarray,
    shares: np.ndarray,
    batch: int,
) -> np.ndarray:
    """The sum of each image's gradients at shares of its way: (N, H, W, C) float64."""
    total, count = np.zeros(way.shape), len(way) * len(shares)
    for at in range(0, count, batch):
        image, point = np.divmod(np.arange(at, min(at + batch, count)), len(shares))
        points = start[image] + shares[point].astype(np.float32)[:, None, None, None] * way[image]
        np.add.at(total, image, gradient(tf.constant(points), tf.constant(classes[image]))[0].numpy())
    return total


def completeness_gap(
    model: keras.Model,
    images: np.ndarray,
    classes: int | np.ndarray | None,
    maps: np.ndarray,
    *,
    baseline: float | np.ndarray = 0.0,
    batch: int = 32,
) -> np.ndarray:
    """The sum of the attributions less S(x) - S(b): (N,) float64, in units of the score.

    Args:
        model, images, classes, baseline, batch: as they were for `integrated_gradients`.
        maps: (N, H, W, C), what it gave.

    Raises:
        MammoError: as there; maps of another shape than the images'.
    """
    if np.shape(maps) != np.shape(images):
        raise cases.MammoError(f"completeness: maps are {np.shape(maps)}, images {np.shape(images)}")
    told = np.sum(maps, axis=(1, 2, 3), dtype=np.float64)
    return told - rise(model, images, classes, baseline=baseline, batch=batch)


def rise(
    model: keras.Model,
    images: np.ndarray,
    classes: int | np.ndarray | None = None,
    *,
    baseline: float | np.ndarray = 0.0,
    batch: int = 32,
) -> np.ndarray:
    """S(x) - S(b): (N,) float64; the arguments are those of `integrated_gradients`."""
    net = relevance_graph.in_float32(model)
    images, classes = answers.checked(net, images, classes, "integrated gradients")
    start = _started(images, baseline)
    found = answers.logits(net, np.concatenate([images, start]), batch).astype(np.float64)
    end, begin = np.split(found, 2)
    return np.take_along_axis(end - begin, classes[:, None], axis=1)[:, 0]


def _started(images: np.ndarray, baseline: float | np.ndarray) -> np.ndarray:
    found = np.asarray(baseline, np.float32)
    if found.shape not in ((), images.shape[1:], images.shape):
        raise cases.MammoError(
            f"integrated gradients: expected a baseline that is a number, or {images.shape[1:]} or {images.shape}; "
            f"found {found.shape}"
        )
    return np.broadcast_to(found, images.shape)
