"""Resizing, in numpy for the data on disk and in TensorFlow for exported models, by the same rule.

`area`: each axis follows its own rule: where it shrinks, area averaging (anything without antialiasing loses a third
of the 2-pixel calcifications); where it grows, linear interpolation between half-pixel centres.

`cubic`: cubic convolution over four neighbours with a = -0.75, without antialiasing, the border repeated; what Shen
et al. (2019) did to go from 4,000 to 1,152 rows. Near steep edges it leaves the range of its input.

    area(np.ones((600, 450), np.float32), 224, 224)                 # (224, 224)
    in_graph(cubic)(images, (1152, 896))                            # (B, 1152, 896, 1)

Source: Keys (1981), Cubic convolution interpolation for digital image processing, IEEE Trans. Acoust. Speech Signal
Process. 29(6), 1153-1160, doi:10.1109/TASSP.1981.1163711 (there a = -0.5; OpenCV takes -0.75).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import tensorflow as tf

from mammo_tf import cases

ALGORITHM_VERSION = 1

Rule = Callable[[np.ndarray, int, int], np.ndarray]
InGraph = Callable[[tf.Tensor, tuple[int, int]], tf.Tensor]

_A = -0.75


def area(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image (H, W), any real dtype, as (height, width) float32."""
    image = np.ascontiguousarray(image, dtype=np.float32)
    # One axis group at a time: given an axis that shrinks and one that grows, INTER_AREA interpolates both.
    shrunk = min(height, image.shape[0]), min(width, image.shape[1])
    for rows, columns, rule in ((*shrunk, cv2.INTER_AREA), (height, width, cv2.INTER_LINEAR)):
        if image.shape != (rows, columns):
            image = cv2.resize(image, (columns, rows), interpolation=rule)
    return image


def cubic(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image (H, W), any real dtype, as (height, width) float32; may leave the range of the image's values."""
    image = np.ascontiguousarray(image, dtype=np.float32)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def area_in_graph(images: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    """`area` to `shape` in TensorFlow; equal to it within 2e-4 for values in [0, 1].

    Args:
        images: (B, H, W, 1) float; H and W may be unknown when the graph is built.
        shape: rows and columns that come out.

    Returns:
        (B, *shape, 1) float32.
    """
    images = tf.cast(images, tf.float32)
    shrunk = tf.minimum(tf.shape(images)[1:3], shape)
    images = tf.image.resize(images, shrunk, method="area")
    images = tf.image.resize(images, shape, method="bilinear", antialias=False)
    return tf.ensure_shape(images, (None, *shape, 1))


def cubic_in_graph(images: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    """`cubic` to `shape` in TensorFlow, within 1e-4 for values in [0, 1]; arguments and result as `area_in_graph`."""
    images = tf.cast(images, tf.float32)
    for axis, size in zip((1, 2), shape, strict=True):
        places, weights = _taps(tf.shape(images)[axis], size)
        along = [size if i == axis else 1 for i in range(4)]
        images = tf.add_n([tf.gather(images, places[k], axis=axis) * tf.reshape(weights[k], along) for k in range(4)])
    return tf.ensure_shape(images, (None, *shape, 1))


def _taps(length: tf.Tensor, size: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Which four pixels of an axis of `length` make each of `size` pixels, and with what weights; four of (size,)."""
    scale = tf.cast(length, tf.float64) / size
    centre = (tf.range(size, dtype=tf.float64) + 0.5) * scale - 0.5
    first = tf.floor(centre)
    t = tf.cast(centre - first, tf.float32)
    weights = [_A * (((t - 4) * (t + 1) + 8) * (t + 1) - 4), _near(t), _near(1 - t)]
    weights.append(1 - tf.add_n(weights))
    places = [tf.clip_by_value(tf.cast(first, tf.int32) + k, 0, length - 1) for k in (-1, 0, 1, 2)]
    return places, weights


def _near(d: tf.Tensor) -> tf.Tensor:
    """The kernel at a distance of at most 1."""
    return ((_A + 2) * d - (_A + 3)) * d * d + 1


_IN_GRAPH = {area: area_in_graph, cubic: cubic_in_graph}


def in_graph(rule: Rule) -> InGraph:
    """The TensorFlow twin of `area` or `cubic`."""
    return _IN_GRAPH[rule]


def check(rule: Rule) -> None:
    """Raises MammoError where an exported model could not repeat the rule."""
    if rule not in _IN_GRAPH:
        raise cases.MammoError(f"resize: must be resize.area or resize.cubic, found {rule!r}")


def named(name: str) -> Rule:
    """The rule of that name, as preprocessing.json holds it.

    Raises:
        MammoError: there is none.
    """
    rules = {rule.__name__: rule for rule in _IN_GRAPH}
    if name not in rules:
        raise cases.MammoError(f"resize: the rule must be one of {', '.join(rules)}, found {name!r}")
    return rules[name]
