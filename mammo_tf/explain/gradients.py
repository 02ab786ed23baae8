"""Saliency by gradients: which pixels move the score of a class, and how much of that lies at the rim of the lesion.

    M(i, j) = max over channels c of |d S_k / d x(i, j, c)|       Simonyan et al. 2014, arXiv:1312.6034, section 3.1
    M_smooth: the same of the mean gradient of noisy copies       Smilkov et al. 2017, arXiv:1706.03825, section 3

S_k is the score of class k before the softmax. The rim measure puts a number on Ao and Zhang's reading of their maps
(section 5.4, "pixels near the periphery of masses contribute most").

    maps = gradients.saliency(model, images)                   # (N, S, S), images as the model takes them
    share, area = gradients.rim_share(maps, masks)             # more than uniform where share > area
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from scipy import ndimage

from mammo_tf import cases
from mammo_tf.explain import kept

ALGORITHM_VERSION = 1


def saliency(
    model: keras.Model, images: np.ndarray, class_index: int | np.ndarray | None = None, *, batch: int = 32
) -> np.ndarray:
    """The saliency map of each image.

    Args:
        model: gives logits (B, classes); run in inference mode.
        images: (N, S, S, C) float, normalised as the model expects.
        class_index: the class whose score is derived, one for all or (N,); None: the predicted class of each.
        batch: images a step; no result depends on it.

    Returns:
        (N, S, S) float32, at least 0, in score per unit of the image's values.

    Raises:
        MammoError: the images are not (N, S, S, C), or the model has no such class.
    """
    return _strength(by_image(model, *_checked(model, images, class_index), batch=batch))


def by_image(model: keras.Model, images: np.ndarray, classes: np.ndarray, *, batch: int = 32) -> np.ndarray:
    """The derivative of each image's score by its values: (N, H, W, C) float32.

    Args:
        model: gives logits (B, classes); run in inference mode.
        images: (N, H, W, C) float32, normalised as the model expects.
        classes: (N,) int, the class whose score is derived; -1: the predicted class.
        batch: images a step; no result depends on it.
    """
    gradient = gradient_function(model, images.shape[1:])
    out = np.empty(images.shape, np.float32)
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        out[part] = gradient(tf.constant(images[part]), tf.constant(classes[part], tf.int32))[0].numpy()
    return out


def smoothgrad(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | np.ndarray | None = None,
    *,
    noise: float = 0.15,
    samples: int = 25,
    seed: int,
) -> np.ndarray:
    """The saliency map of the mean gradient over noisy copies of each image.

    Args:
        model, images, class_index: as for `saliency`; the predicted class is that of the image without noise.
        noise: standard deviation of the Gaussian noise, as a share of the image's max - min.
        samples: noisy copies of an image, run as one batch.
        seed: fixes the noise of each image by (seed, its index), whatever the other images.

    Returns:
        (N, S, S) float32, at least 0.
    """
    images, classes = _checked(model, images, class_index)
    gradient = gradient_function(model, images.shape[1:])
    out = np.empty(images.shape[:-1], np.float32)
    for i, image in enumerate(images):
        draw = np.random.default_rng((seed, i)).standard_normal((samples, *image.shape), np.float32)
        noisy = image + draw * np.float32(noise * np.ptp(image))
        chosen = (
            gradient(tf.constant(image[None]), tf.constant(classes[i : i + 1]))[1].numpy()
            if class_index is None
            else classes[i : i + 1]
        )
        mean = (
            gradient(tf.constant(noisy), tf.constant(np.repeat(chosen, samples)))[0]
            .numpy()
            .mean(axis=0, keepdims=True)
        )
        out[i] = _strength(mean)[0]
    return out


def _checked(
    model: keras.Model, images: np.ndarray, class_index: int | np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    images = np.asarray(images, np.float32)
    if images.ndim != 4:
        raise cases.MammoError(f"saliency: expected images (N, S, S, C), found {images.shape}")
    count = model.output_shape[-1]
    classes = np.broadcast_to(-1 if class_index is None else np.asarray(class_index), len(images)).astype(np.int32)
    if class_index is not None and not np.all((classes >= 0) & (classes < count)):
        raise cases.MammoError(f"saliency: class {class_index} is not among the {count} of the model (from 0)")
    return images, classes


def gradient_function(model: keras.Model, shape: tuple[int, ...]) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """(images, classes; -1 means the predicted one) -> (gradients, classes used), traced once a model (`kept`)."""
    return kept.of(model, ("gradient", tuple(shape)), functools.partial(_traced, model, shape))


def _traced(model: keras.Model, shape: tuple[int, ...]) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    signature = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int32)]

    @tf.function(input_signature=signature, autograph=False)
    def gradient(images, classes):
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = tf.cast(model(images, training=False), tf.float32)
            predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
            used = tf.where(classes < 0, predicted, classes)
            score = tf.reduce_sum(tf.gather(logits, used, batch_dims=1))  # images do not mix in inference mode
        return tape.gradient(score, images), used

    return gradient.get_concrete_function()


def _strength(gradient: np.ndarray) -> np.ndarray:
    return np.abs(gradient).max(axis=-1)


def rim_share(saliency: np.ndarray, masks: np.ndarray, *, band: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    """How much of each map lies in a band round the outline of its lesion.

    With A the pixels of the mask, r = sqrt(A / pi) is the lesion's equivalent radius. The distance of a pixel is that
    from its centre to the nearest pixel centre on the other side of the outline, less the half pixel between that
    centre and the outline. The band holds the pixels, inside and outside, whose distance is at most max(band r, 1/2):
    never less than the pixels that touch the outline. The border of the image is no outline.

    Args:
        saliency: (N, S, S), at least 0.
        masks: (N, S, S) bool, the lesion.
        band: half-width of the band as a fraction of r.

    Returns:
        share: (N,) float64, the sum of the map in the band over the sum of the map.
        area: (N,) float64, the pixels of the band over all pixels: the share that a uniform map would give.
        Both are NaN where a mask is empty or full (no outline), share also where a map is 0 everywhere.

    Raises:
        MammoError: the shapes differ.
    """
    saliency, masks = np.asarray(saliency, np.float64), np.asarray(masks, bool)
    if saliency.shape != masks.shape or saliency.ndim != 3:
        raise cases.MammoError(f"rim_share: maps are {saliency.shape}, masks {masks.shape}; expected (N, S, S) twice")
    share, area = np.full(len(masks), np.nan), np.full(len(masks), np.nan)
    for i, (values, mask) in enumerate(zip(saliency, masks, strict=True)):
        if mask.any() and not mask.all():
            rim = _rim(mask, band)
            area[i] = rim.mean()
            total = values.sum()
            share[i] = values[rim].sum() / total if total > 0 else np.nan
    return share, area


def _rim(mask: np.ndarray, band: float) -> np.ndarray:
    distance = np.where(mask, ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)) - 0.5
    return distance <= max(band * math.sqrt(mask.sum() / math.pi), 0.5)
