"""Resizing, in numpy for the data on disk and in TensorFlow for exported models, by one rule.

Each axis follows its own rule: where it shrinks, area averaging (anything without antialiasing loses a third of the
2-pixel calcifications); where it grows, linear interpolation between half-pixel centres.

    resize(np.ones((600, 450), np.float32), 224, 224)               # (224, 224)
"""

from __future__ import annotations

import cv2
import numpy as np
import tensorflow as tf

ALGORITHM_VERSION = 1


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image (H, W), any real dtype, as (height, width) float32."""
    image = np.ascontiguousarray(image, dtype=np.float32)
    # One axis group at a time: given an axis that shrinks and one that grows, INTER_AREA interpolates both.
    shrunk = min(height, image.shape[0]), min(width, image.shape[1])
    for rows, columns, rule in ((*shrunk, cv2.INTER_AREA), (height, width, cv2.INTER_LINEAR)):
        if image.shape != (rows, columns):
            image = cv2.resize(image, (columns, rows), interpolation=rule)
    return image


def resize_in_graph(images: tf.Tensor, side: int) -> tf.Tensor:
    """`resize` to (side, side) in TensorFlow; equal to it within 2e-4 for values in [0, 1].

    Args:
        images: (B, H, W, 1) float; H and W may be unknown when the graph is built.
        side: rows and columns that come out.

    Returns:
        (B, side, side, 1) float32.
    """
    images = tf.cast(images, tf.float32)
    shrunk = tf.minimum(tf.shape(images)[1:3], side)
    images = tf.image.resize(images, shrunk, method="area")
    images = tf.image.resize(images, (side, side), method="bilinear", antialias=False)
    return tf.ensure_shape(images, (None, side, side, 1))
