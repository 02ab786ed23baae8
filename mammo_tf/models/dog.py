"""A bank of fixed difference-of-Gaussians filters as the first layer of a net (Yi et al. 2017, section 2.2).

The paper's equation 1 is missing from its text. Here a filter is the difference of two Gaussians of unit sum,

    DoG(x, y; s) = G(x, y; s) - G(x, y; 1.6 s),     G(x, y; s) ~ exp(-(x^2 + y^2) / (2 s^2)),

with the ratio of Marr and Hildreth (1980, doi:10.1098/rspb.1980.0020), cut off at 4 sigma. Beyond its borders the
image is mirrored with the border pixel repeated (scipy's `reflect`), so that a constant image gives zero everywhere,
also where a filter is wider than the image.

An image beside its mirror images is even and periodic, so a filter is a product with its discrete cosine transform
(type II), and the transform of a small image is a matrix product to either side: the numbers of convolutions in a
fraction of their time (`benchmarks/dog.py`).

    x = dog.DoGFilterBank(name="dog")(x)  # (B, 224, 224, 1) -> (B, 224, 224, 9)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mammo_tf import cases

ALGORITHM_VERSION = 1
SIGMAS = tuple(2.0 ** (k / 2) for k in range(1, 9))  # sqrt 2, 2, 2 sqrt 2, ..., 16 pixels (section 2.2)
PAPER_SIDE = 224  # of the images that the scales are meant for
RATIO = 1.6
TRUNCATE = 4.0


def sigmas_at(side: int) -> tuple[float, ...]:
    """The paper's scales for images of another side, in pixels: they cover the same parts of the breast.

    >>> [round(sigma, 2) for sigma in sigmas_at(112)[1::2]]
    [1.0, 2.0, 4.0, 8.0]
    """
    return tuple(sigma * side / PAPER_SIDE for sigma in SIGMAS)


def gain(size: int, sigma: float, truncate: float = TRUNCATE) -> np.ndarray:
    """Fourier transform of a Gaussian on a circle of 2 `size` pixels: (2 size,) float64, real since it is symmetric.

    Args:
        size: length of the signal that is mirrored.
        sigma: in pixels, above 0.
        truncate: the kernel reaches int(truncate sigma + 0.5) pixels to either side and is scaled to sum 1.

    >>> gain(2, 1.0).round(3).tolist()
    [1.0, 0.291, 0.014, 0.291]
    """
    reach = int(truncate * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    wrapped = np.bincount(offsets % (2 * size), weights=kernel / kernel.sum(), minlength=2 * size)
    return np.fft.fft(wrapped).real


def cosines(size: int) -> np.ndarray:
    """The orthonormal discrete cosine transform of type II as a matrix, (size, size) float64.

    >>> cosines(2).round(3).tolist()
    [[0.707, 0.707], [0.707, -0.707]]
    """
    order, place = np.arange(size)[:, None], np.arange(size)[None, :]
    waves = np.sqrt(2 / size) * np.cos(np.pi * (place + 0.5) * order / size)
    waves[0] /= np.sqrt(2)
    return waves


@keras.saving.register_keras_serializable(package="mammo_tf")
class DoGFilterBank(keras.layers.Layer):
    """(B, H, W, C) -> (B, H, W, C (1 + S)): the image, then its S filter responses from fine to coarse.

    With several channels those of the image come first, then all C responses of the first filter, and so on. Nothing
    is trained. Image and filters stay float32 whatever the precision of the net; the result is rounded to it.

    Args:
        sigmas: widths of the narrower Gaussians in pixels, each above 0.
        ratio: width of the wider Gaussian over that of the narrower one, above 1.
        truncate: where the Gaussians are cut off, in their sigmas, above 0.

    Raises:
        MammoError: no filter, or a number outside its range; height or width are not known when the layer is built.
    """

    def __init__(
        self, sigmas: Sequence[float] = SIGMAS, ratio: float = RATIO, truncate: float = TRUNCATE, **facts: Any
    ):
        if not sigmas or not all(0 < sigma < math.inf for sigma in sigmas):
            raise cases.MammoError(f"dog: sigmas must be numbers above 0, found {sigmas!r}")
        if not ratio > 1 or not truncate > 0:
            raise cases.MammoError(f"dog: ratio must exceed 1 and truncate 0, found {ratio} and {truncate}")
        super().__init__(**{**facts, "autocast": False})
        self.sigmas, self.ratio, self.truncate = tuple(float(sigma) for sigma in sigmas), ratio, truncate
        self.trainable = False

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise cases.MammoError(f"dog: the images must be (B, H, W, C) of a known size, found {input_shape}")
        height, width = input_shape[1:3]
        gains = np.stack([self._gain(height, width, sigma) for sigma in self.sigmas])
        self._gains = gains[:, None].astype(np.float32)  # (S, 1, H, W)
        self._rows, self._columns = (cosines(size).astype(np.float32) for size in (height, width))

    def _gain(self, height: int, width: int, sigma: float) -> np.ndarray:
        narrow, wide = (
            np.multiply.outer(gain(height, s, self.truncate)[:height], gain(width, s, self.truncate)[:width])
            for s in (sigma, self.ratio * sigma)
        )
        return narrow - wide

    def call(self, x: Any) -> Any:
        height, width, channels = x.shape[1:]
        image = ops.cast(x, "float32")
        plane = ops.transpose(image, (0, 3, 1, 2))[:, None]  # (B, 1, C, H, W)
        transformed = ops.matmul(ops.matmul(self._rows, plane), self._columns.T)
        responses = ops.matmul(ops.matmul(self._rows.T, transformed * self._gains), self._columns)  # (B, S, C, H, W)
        flat = ops.reshape(
            ops.transpose(responses, (0, 3, 4, 1, 2)), (-1, height, width, len(self.sigmas) * channels)
        )
        return ops.cast(ops.concatenate([image, flat], axis=-1), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], input_shape[-1] * (1 + len(self.sigmas)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sigmas": list(self.sigmas),
            "ratio": self.ratio,
            "truncate": self.truncate,
        }
