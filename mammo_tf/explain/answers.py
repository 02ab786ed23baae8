"""What a net answers and what an explainer says of it, checked: the ground that `masking`, `curves`, `sanity` share.

An explainer is any callable (model, images, classes) -> maps, (N, H, W) or (N, H, W, C): `gradients.saliency` is one.
Channels are added up. Where an image is one grey picture in every channel, the sum of the derivatives by its channels
is the derivative by the picture; and relevance that a method shares out among channels stays what it was. A positive
value speaks for the class, a negative one against it; where a method's sign says nothing, wrap it in `Strength`.

    images, classes = answers.checked(model, images, None, "occlusion")      # the predicted class of each
    maps = answers.explained(gradients.saliency, model, images, classes)     # (N, H, W)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import kept

ALGORITHM_VERSION = 1

Explainer = Callable[[keras.Model, np.ndarray, np.ndarray], np.ndarray]
Ask = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Strength:
    """The explainer that gives |sum over channels| of another's maps."""

    explainer: Explainer

    def __call__(self, model: keras.Model, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """(N, H, W) float64, at least 0."""
        return np.abs(explained(self.explainer, model, images, classes))


def explained(explainer: Explainer, model: keras.Model, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The maps of an explainer, channels added up: (N, H, W) float64.

    Raises:
        MammoError: the maps are not one of the images' size for each image, or a value is not finite.
    """
    name = getattr(explainer, "__name__", type(explainer).__name__)
    maps = np.asarray(explainer(model, images, classes), np.float64)
    if maps.ndim not in (3, 4) or maps.shape[:3] != images.shape[:3]:
        raise cases.MammoError(
            f"{name}: maps are {maps.shape}, images {images.shape}; expected (N, H, W) or (..., C)"
        )
    if wrong := int((~np.isfinite(maps)).sum()):
        raise cases.MammoError(f"{name}: {wrong} of {maps.size} values of the maps are not finite")
    return maps if maps.ndim == 3 else maps.sum(axis=-1)


def checked(
    model: keras.Model, images: np.ndarray, classes: int | np.ndarray | None, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C) float32 and the class of each, (N,) int32.

    Args:
        model: images (B, H, W, C) -> logits (B, K).
        images: as the model takes them.
        classes: one for all or (N,); None for the predicted class of each.
        what: whose input this is, for the message.

    Raises:
        MammoError: the images have another form, classes another number, or the model has no such class.
    """
    images, count = np.asarray(images, np.float32), model.output_shape[-1]
    if images.ndim != 4:
        raise cases.MammoError(f"{what}: expected images (N, H, W, C), found {images.shape}")
    if classes is None:
        return images, predicted(model, images)
    found = np.asarray(classes)
    if found.shape not in ((), (len(images),)):
        raise cases.MammoError(f"{what}: expected one class or {len(images)}, one an image; found {found.shape}")
    if not np.all((found >= 0) & (found < count)):
        raise cases.MammoError(f"{what}: class {classes} is not among the {count} of {model.name} (from 0)")
    return images, np.broadcast_to(found, len(images)).astype(np.int32)


def predicted(model: keras.Model, images: np.ndarray, batch: int = 32) -> np.ndarray:
    """The class of the greatest logit of each image: (N,) int32."""
    found = logits(model, images, batch)
    return found.argmax(axis=-1).astype(np.int32)


def logits(model: keras.Model, images: np.ndarray, batch: int = 32) -> np.ndarray:
    """What the net answers, in inference mode: (N, K) float32."""
    shape = images.shape[1:]
    call = kept.of(model, ("logits", shape), functools.partial(_logits, model, shape))
    parts = [call(tf.constant(images[at : at + batch])).numpy() for at in range(0, len(images), batch)]
    return np.concatenate([np.zeros((0, model.output_shape[-1]), np.float32), *parts])


def _logits(model: keras.Model, shape: tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    @tf.function(input_signature=[tf.TensorSpec((None, *shape), tf.float32)], autograph=False)
    def call(some):
        return tf.cast(model(some, training=False), tf.float32)

    return call.get_concrete_function()


def replacing(model: keras.Model, shape: tuple[int, int, int], *, probability: bool) -> Ask:
    """(image, other, where, class) -> what the net answers where pixels of the image are those of the other.

    Traced once a model (`kept`) for any number of masks: image and other (H, W, C), where (B, H, W) bool, class a
    scalar; the answers (B,) float32 are logits of the class, or its probability after the softmax.

    Raises:
        MammoError: the probability among less than two classes.
    """
    if probability and model.output_shape[-1] < 2:
        raise cases.MammoError(f"{model.name}: a softmax needs 2 logits, found {model.output_shape[-1]}")
    key = ("replacing", tuple(shape), probability)
    return kept.of(model, key, functools.partial(_replacing, model, shape, probability))


def _replacing(model: keras.Model, shape: tuple[int, int, int], probability: bool) -> Ask:
    image = tf.TensorSpec(shape, tf.float32)
    signature = [image, image, tf.TensorSpec((None, *shape[:2]), tf.bool), tf.TensorSpec((), tf.int32)]

    @tf.function(input_signature=signature, autograph=False)
    def ask(image, other, where, index):
        found = tf.cast(model(tf.where(where[..., None], other, image), training=False), tf.float32)
        return (tf.nn.softmax(found) if probability else found)[:, index]

    return ask.get_concrete_function()


def asked(ask: Ask, image: np.ndarray, other: np.ndarray, masks: Iterable[np.ndarray], index: int) -> np.ndarray:
    """The answers to all masks, given in batches (B, H, W): (sum of the B,) float64."""
    image, other, index = tf.constant(image), tf.constant(other), tf.constant(index, tf.int32)
    parts = [ask(image, other, tf.constant(part), index).numpy() for part in masks]
    return np.concatenate(parts).astype(np.float64)


def filled(images: np.ndarray, fill: float | None) -> np.ndarray:
    """Images (N, H, W, C) float32 of one value; for None of the mean of each image's channel."""
    if fill is None:
        return np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape).astype(np.float32)
    return np.full(images.shape, fill, np.float32)
