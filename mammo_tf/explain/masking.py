"""Explanations by taking parts of the image away: masks by one unit's activation, and an occluding square.

Unit masking (Zhou et al. 2014, arXiv:1412.6856, as Kreiss describes it under "Image masking"): with A the activation
map of one channel of one layer, brought to the size of the image,

    keep pixel p where A(p) >= c max over q of A(q),    c < 1;  elsewhere the image is filled

Occlusion (Zeiler and Fergus 2014, doi:10.1007/978-3-319-10590-1_53, section 4.2): with x_s the image whose square s
is filled, f the logit or the probability of the class and S(p) the squares that cover pixel p,

    M(p) = 1/|S(p)| sum over s in S(p) of (f(x) - f(x_s))

so M is positive where the class needs the pixel. Of a net cut at a layer, with a global maximum on top, and a channel
for the class, it is Zhou's discrepancy map of that unit, but for their random patches: ours are of one value.

    seen = masking.mask_by_unit(model, images, masking.UnitMasking("block3_conv1", channel=7))
    maps = masking.occlusion(model, images, classes, masking.Occlusion(side=24, stride=8))
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import activation, answers

ALGORITHM_VERSION = 1


@dataclasses.dataclass(frozen=True)
class UnitMasking:
    """Settings.

    Attributes:
        layer, channel: the unit, of a layer whose output is (B, u, v, channels).
        share: c, above 0 and below 1; "may be different for each model" (Kreiss). 0.5 is ours.
        fill: what stands in place of masked pixels, in units of the image; None for the mean of its channel.
    """

    layer: str
    channel: int
    share: float = 0.5
    fill: float | None = 0.0

    def __post_init__(self):
        if not 0 < self.share < 1:
            raise cases.MammoError(f"unit masking: share must lie between 0 and 1, found {self.share}")


@dataclasses.dataclass(frozen=True)
class Masked:
    """What a unit sees of N images.

    Attributes:
        settings: how.
        images: (N, H, W, C) float32, masked pixels filled.
        masks: (N, H, W) bool, True where the image is kept; nowhere where the unit is never above 0.
        activations: (N, H, W) float32, of the unit, at the size of the images.
    """

    settings: UnitMasking
    images: np.ndarray
    masks: np.ndarray
    activations: np.ndarray


def mask_by_unit(model: keras.Model, images: np.ndarray, settings: UnitMasking, *, batch: int = 32) -> Masked:
    """The images, but for what leaves a unit cold.

    The map is upsampled bilinearly, its cells tiling the image evenly, as they do in nets padded to "same"; without
    padding cells lie up to half a receptive field further in. The threshold is relative to the greatest value of the
    upsampled map of that image, so a mask has a pixel wherever the unit has a positive one.

    Raises:
        MammoError: the images are not (N, H, W, C); the layer or the channel is not there, or has no map.
    """
    images = _images(images)
    cut = _map_of(model, settings.layer)
    if not 0 <= settings.channel < cut.output_shape[-1]:
        raise cases.MammoError(
            f"{settings.layer}: channel {settings.channel} is not among its {cut.output_shape[-1]} (from 0)"
        )
    activations = _mapped(_upsampled(cut, settings.channel, images.shape[1:]), images, images.shape[:3], batch)
    top = activations.max(axis=(1, 2), keepdims=True)
    masks = (activations >= settings.share * top) & (top > 0)
    kept = np.where(masks[..., None], images, answers.filled(images, settings.fill))
    return Masked(settings, kept, masks, activations)


def peaks(model: keras.Model, images: np.ndarray, layer: str, *, batch: int = 32) -> np.ndarray:
    """The greatest activation of every unit of a layer in each image: (N, channels) float32.

    It tells which units answer to a class, and which images to show of a unit: those with the highest peaks.
    """
    images = _images(images)
    cut = _map_of(model, layer)
    top = _traced(cut, images.shape[1:], _peak)
    return _mapped(top, images, (len(images), cut.output_shape[-1]), batch)


def _images(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images, np.float32)
    if images.ndim != 4:
        raise cases.MammoError(f"unit masking: expected images (N, H, W, C), found {images.shape}")
    return images


def _map_of(model: keras.Model, name: str) -> keras.Model:
    cut = activation.up_to(model, name)
    if len(cut.output_shape) != 4:
        raise cases.MammoError(f"{name}: expected a map (B, u, v, channels), found {cut.output_shape}")
    return cut


def _upsampled(cut: keras.Model, channel: int, shape: tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    def map_of(found):
        return tf.image.resize(found[..., channel : channel + 1], shape[:2])[..., 0]

    return _traced(cut, shape, map_of)


def _peak(found: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(found, axis=(1, 2))


def _traced(
    cut: keras.Model, shape: tuple[int, ...], after: Callable[[tf.Tensor], tf.Tensor]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Images (B, *shape) -> after(the layer's output in float32), traced once for any batch."""

    @tf.function(input_signature=[tf.TensorSpec((None, *shape), tf.float32)], autograph=False)
    def call(images):
        return after(tf.cast(cut(images, training=False), tf.float32))

    return call.get_concrete_function()


def _mapped(
    call: Callable[[tf.Tensor], tf.Tensor], images: np.ndarray, shape: tuple[int, ...], batch: int
) -> np.ndarray:
    out = np.empty(shape, np.float32)
    for start in range(0, len(images), batch):
        out[start : start + batch] = call(tf.constant(images[start : start + batch])).numpy()
    return out


@dataclasses.dataclass(frozen=True)
class Occlusion:
    """Settings.

    Attributes:
        side: of the square in pixels, at least 1.
        stride: pixels from square to square, 1 to `side`; a last one ends with the image, so every pixel is covered.
        fill: the value of the square, in units of the image; None for the mean of the image's channel.
        probability: whether the drop is that of the class's probability, not of its logit.
        batch: squares a step; no result depends on it.
    """

    side: int = 16
    stride: int = 8
    fill: float | None = 0.0
    probability: bool = False
    batch: int = 64

    def __post_init__(self):
        if not 1 <= self.stride <= self.side or self.batch < 1:
            raise cases.MammoError(
                f"occlusion: expected 1 <= stride <= side and batch 1 or more, found stride {self.stride}, "
                f"side {self.side}, batch {self.batch}"
            )


def occlusion(
    model: keras.Model,
    images: np.ndarray,
    classes: int | np.ndarray | None = None,
    settings: Occlusion | None = None,
) -> np.ndarray:
    """How much the class drops where a square hides the pixel.

    Args:
        model: images (B, H, W, C) -> logits (B, K); run in inference mode.
        images: (N, H, W, C) float, normalised as the model expects.
        classes: one for all or (N,); None: the predicted class of each.
        settings: None for the defaults.

    Returns:
        (N, H, W) float32, of either sign, in units of the logit or of probability.

    Raises:
        MammoError: the images have another form or are smaller than the square; the model has no such class.
    """
    settings = settings or Occlusion()
    images, classes = answers.checked(model, images, classes, "occlusion")
    height, width = images.shape[1:3]
    if settings.side > min(height, width):
        raise cases.MammoError(f"occlusion: a square of {settings.side} does not fit images of {height} x {width}")
    down, across = _spans(height, settings), _spans(width, settings)
    ask = answers.replacing(model, images.shape[1:], probability=settings.probability)
    out = np.empty(images.shape[:3], np.float32)
    for i, (image, other) in enumerate(zip(images, answers.filled(images, settings.fill), strict=True)):
        found = answers.asked(ask, image, other, _squares(down, across, settings.batch), classes[i])
        drops = (found[0] - found[1:]).reshape(len(down), len(across))
        out[i] = down.T @ drops @ across / np.outer(down.sum(axis=0), across.sum(axis=0))
    return out


def _spans(length: int, settings: Occlusion) -> np.ndarray:
    """Where along one axis the squares lie: (positions, length) bool."""
    last = length - settings.side
    first = np.unique([*range(0, last + 1, settings.stride), last])[:, None]
    pixel = np.arange(length)
    return (pixel >= first) & (pixel < first + settings.side)


def _squares(down: np.ndarray, across: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    """No square, then all of them in batches (B, H, W), row by row."""
    count = len(down) * len(across)
    parts = (
        np.unravel_index(range(at, min(at + batch, count)), (len(down), len(across))) for at in range(0, count, batch)
    )
    none = np.zeros((1, down.shape[1], across.shape[1]), bool)
    return itertools.chain([none], (down[row][:, :, None] & across[column][:, None, :] for row, column in parts))
