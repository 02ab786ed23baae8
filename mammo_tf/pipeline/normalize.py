"""Normalisation: gray images in [0, 1] to what a net takes, in plain TensorFlow operations.

A factory sees the training images and returns a normalizer; the same normalizer then serves training, evaluation and
the exported model. `describe` and `from_description` carry it through a JSON file. One channel is copied to as many
as the net takes; images that have them already are taken as they are.

    normalizer = train_statistics(arrays.images, channels=1)
    x = normalizer(tf.zeros([8, 64, 64, 1]))                        # (8, 64, 64, 1)
    from_description(normalizer.describe()) == normalizer           # True
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mammo_tf import cases

ALGORITHM_VERSION = 1

# torchvision's convention for its ImageNet weights: RGB values in [0, 1], less the mean, over the standard deviation.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Caffe's: blue, green, red of 0 to 255 less these means, as in mode "caffe" of Keras' `preprocess_input`.
CAFFE_MEAN = (103.939, 116.779, 123.68)


@dataclasses.dataclass(frozen=True)
class PerImage:
    """Each image to mean 0 and standard deviation 1.

    Attributes:
        channels: copies of the gray channel that come out.
        epsilon: smallest standard deviation divided by, in units of the range [0, 1]; a constant image becomes 0.
    """

    channels: int = 3
    epsilon: float = 1e-4

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """(B, H, W, 1 or channels) float32 in [0, 1] to (B, H, W, channels) float32."""
        centred = images - tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        deviation = tf.sqrt(tf.reduce_mean(tf.square(centred), axis=(1, 2, 3), keepdims=True))
        return copied(centred / tf.maximum(deviation, self.epsilon), self.channels)

    def describe(self) -> dict[str, Any]:
        """JSON-able; `from_description` reads it."""
        return {"kind": "per_image", "channels": self.channels, "epsilon": self.epsilon}


@dataclasses.dataclass(frozen=True)
class Fixed:
    """The same affine map for every image: (x - mean) / std.

    Attributes:
        mean, std: one number, or one a channel, for values in [0, 1]; std above 0.
        channels: copies of the gray channel that come out.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int = 3

    def __post_init__(self):
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise cases.MammoError(f"normalize: {name} has {len(values)} values, expected 1 or {self.channels}")
        if not min(self.std) > 0:
            raise cases.MammoError(f"normalize: std must be above 0, found {self.std}")

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """(B, H, W, 1 or channels) float32 in [0, 1] to (B, H, W, channels) float32."""
        return (copied(images, self.channels) - tf.constant(self.mean, tf.float32)) / tf.constant(
            self.std, tf.float32
        )

    def describe(self) -> dict[str, Any]:
        """JSON-able; `from_description` reads it."""
        return {"kind": "fixed", "mean": list(self.mean), "std": list(self.std), "channels": self.channels}


def copied(images: tf.Tensor, channels: int) -> tf.Tensor:
    """(B, H, W, 1 or channels) as (B, H, W, channels).

    Raises:
        MammoError: the images have another number of channels.
    """
    if images.shape[-1] == channels:
        return images
    if images.shape[-1] != 1:
        raise cases.MammoError(
            f"normalize: images of 1 or {channels} channels are expected, found {images.shape[-1]}"
        )
    return tf.repeat(images, channels, axis=-1)


def per_image(images: np.ndarray, *, channels: int = 3) -> PerImage:
    """z-score of each image by itself; takes nothing from the training images."""
    return PerImage(channels)


def imagenet(images: np.ndarray, *, channels: int = 3) -> Fixed:
    """The statistics of ImageNet in torchvision's convention, on three channels; takes nothing from the images."""
    if channels != 3:
        raise cases.MammoError(
            f"normalize: the ImageNet statistics are those of 3 channels, the pipeline has {channels}"
        )
    return Fixed(IMAGENET_MEAN, IMAGENET_STD, channels)


def imagenet_caffe(images: np.ndarray, *, channels: int = 3) -> Fixed:
    """Blue, green, red of 0 to 255 less the means of ImageNet; takes nothing from the images.

    What weights expect that come from Caffe, or from Keras with mode "caffe": SqueezeNet, VGG16, ResNet50. A gray
    channel is copied to all three; images that have three must have blue first.
    """
    if channels != 3:
        raise cases.MammoError(
            f"normalize: the means of ImageNet are those of 3 channels, the pipeline has {channels}"
        )
    return Fixed(tuple(mean / 255 for mean in CAFFE_MEAN), (1 / 255,), channels)


def centred(images: np.ndarray, *, channels: int = 3) -> Fixed:
    """[0, 1] to [-1, 1], as `preprocess_input` of Keras' Inception V3 does; takes nothing from the images."""
    return Fixed((0.5,), (0.5,), channels)


def train_statistics(images: np.ndarray, *, channels: int = 3) -> Fixed:
    """Mean and standard deviation over all pixels of the training images.

    Args:
        images: (N, H, W) uint16, 65535 stands for 1.0; the training part only, as stored, not augmented. Where
            patches are cut on the fly, these are the whole images that they are cut from.
        channels: copies of the gray channel that come out.

    Raises:
        MammoError: the images all have one value.
    """
    means = np.array([image.mean(dtype=np.float64) for image in images])
    squares = np.array([np.square(image, dtype=np.float64).mean() for image in images])
    mean = means.mean()
    std = np.sqrt(max(squares.mean() - mean**2, 0.0))
    if std < 1e-3:  # of 65535; a rounding error, not a contrast
        raise cases.MammoError(f"normalize: all {len(images)} training images have the one value {mean / 65535:.4f}")
    return Fixed((float(mean / 65535),), (float(std / 65535),), channels)


def train_mean(images: np.ndarray, *, channels: int = 3) -> Fixed:
    """Gray values of 0 to 255 less the mean of the training images, one number; no division (Shen et al. 2019).

    Args:
        images, channels: as for `train_statistics`.
    """
    mean = np.mean([image.mean(dtype=np.float64) for image in images])
    return Fixed((float(mean / 65535),), (1 / 255,), channels)


def gray_mean_255(normalizer: Fixed) -> float:
    """The mean that is taken off, in gray values of 0 to 255: 52.18 in Shen et al.'s CBIS-DDSM, 44.33 in INbreast."""
    return 255 * float(np.mean(normalizer.mean))


def from_description(description: Mapping[str, Any]) -> PerImage | Fixed:
    """The normalizer that `describe` was called on.

    Raises:
        MammoError: the kind is unknown.
    """
    arguments = {name: tuple(v) if isinstance(v, list) else v for name, v in description.items() if name != "kind"}
    kinds = {"per_image": PerImage, "fixed": Fixed}
    if description.get("kind") not in kinds:
        raise cases.MammoError(
            f"normalize: the kind must be one of {', '.join(kinds)}, found {description.get('kind')!r}"
        )
    return kinds[description["kind"]](**arguments)
