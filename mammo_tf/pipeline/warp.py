"""One affine warp with one interpolation, from parameters drawn by `pipeline.augment`, in plain gather operations.

An output pixel q shows the place p of the input, about the centre c of the image:

    p - c = F Z^-1 S^-1 R^-1 (C (q - c) - t)

with flip F, zoom Z, shear S, rotation R, translation t and crop C (a scale and a shift): the image is flipped first
and cropped last. One channel is warped; normalisation copies it to three.

    moved = warp(images, matrix({"rotate_deg": tf.constant([90.0])}, (64, 64)), fill="nearest")
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import tensorflow as tf

ALGORITHM_VERSION = 1
FILLS = ("constant", "nearest", "reflect")

Parameters = Mapping[str, tf.Tensor]
Number = tf.Tensor | float


def matrix(parameters: Parameters, shape: tuple[int, int]) -> tf.Tensor:
    """The map of an output pixel (y, x, 1) to the place (y, x) of the input that it shows, (B, 2, 3) float32.

    `matrix[i]` is what `scipy.ndimage.affine_transform` takes: coordinates are pixel centres, counted from 0.

    Args:
        parameters: name -> (B,), as `augment.draw` returns them; at least one. Names that move nothing are ignored.
        shape: (H, W) of the images.
    """
    height, width = shape
    p = dict(parameters)
    place = _Affine()
    if "crop" in p:
        room = 1.0 - p["crop"]
        place = place.then(p["crop"], 0.0, 0.0, p["crop"])
        place = place.shifted(p["crop_y"] * room * height, p["crop_x"] * room * width)
    if "translate_y" in p:
        place = place.shifted(-p["translate_y"] * height, -p["translate_x"] * width)
    if "rotate_deg" in p:
        sine, cosine = tf.sin(_radians(p["rotate_deg"])), tf.cos(_radians(p["rotate_deg"]))
        place = place.then(cosine, sine, -sine, cosine)
    if "shear_deg" in p:
        place = place.then(1.0, 0.0, -tf.tan(_radians(p["shear_deg"])), 1.0)
    place = place.then(1.0 / p.get("zoom_y", 1.0), 0.0, 0.0, 1.0 / p.get("zoom_x", 1.0))
    place = place.then(_sign(p.get("flip_vertical", 0.0)), 0.0, 0.0, _sign(p.get("flip_horizontal", 0.0)))
    return place.rows((height - 1) / 2, (width - 1) / 2, like=next(iter(p.values())))


@dataclasses.dataclass(frozen=True)
class _Affine:
    """p = [[yy, yx], [xy, xx]] q + (y, x), all about the centre; each field a number or (B,).

    Written out by element: a matmul of 2 x 2 matrices costs XLA far more than the eight multiplications.
    """

    yy: Number = 1.0
    yx: Number = 0.0
    xy: Number = 0.0
    xx: Number = 1.0
    y: Number = 0.0
    x: Number = 0.0

    def then(self, yy: Number, yx: Number, xy: Number, xx: Number) -> _Affine:
        return _Affine(
            yy * self.yy + yx * self.xy,
            yy * self.yx + yx * self.xx,
            xy * self.yy + xx * self.xy,
            xy * self.yx + xx * self.xx,
            yy * self.y + yx * self.x,
            xy * self.y + xx * self.x,
        )

    def shifted(self, y: Number, x: Number) -> _Affine:
        return dataclasses.replace(self, y=self.y + y, x=self.x + x)

    def rows(self, centre_y: float, centre_x: float, like: tf.Tensor) -> tf.Tensor:
        y = self.y + centre_y - (self.yy * centre_y + self.yx * centre_x)
        x = self.x + centre_x - (self.xy * centre_y + self.xx * centre_x)
        fields = [tf.broadcast_to(tf.cast(f, tf.float32), tf.shape(like)) for f in (self.yy, self.yx, y)]
        fields += [tf.broadcast_to(tf.cast(f, tf.float32), tf.shape(like)) for f in (self.xy, self.xx, x)]
        return tf.reshape(tf.stack(fields, axis=-1), [-1, 2, 3])


def _radians(degrees: tf.Tensor) -> tf.Tensor:
    return degrees * (math.pi / 180.0)


def _sign(flipped: Number) -> Number:
    return 1.0 - 2.0 * flipped


def warp(
    images: tf.Tensor, matrix: tf.Tensor, *, fill: str = "constant", fill_value: float = 0.0, order: int = 1
) -> tf.Tensor:
    """Each image as seen through its matrix.

    Args:
        images: (B, H, W) float32; H and W known when the graph is built.
        matrix: (B, 2, 3), output pixel to place in the input, see `matrix`.
        fill: what lies outside, with the mode of `scipy.ndimage.affine_transform` that it equals: "constant"
            ("grid-constant": the outside is made of pixels of `fill_value`, which the border blends into), "nearest"
            ("nearest"), "reflect" ("reflect", d c b a | a b c d | d c b a).
        fill_value: for "constant".
        order: 0 nearest neighbour, 1 bilinear.

    Returns:
        (B, H, W) float32.
    """
    _, height, width = images.shape
    y, x = tf.range(height, dtype=tf.float32)[:, None], tf.range(width, dtype=tf.float32)[None, :]
    rows, columns = (
        matrix[:, axis, 0, None, None] * y + matrix[:, axis, 1, None, None] * x + matrix[:, axis, 2, None, None]
        for axis in (0, 1)
    )
    if order == 0:
        return _pixels(images, tf.floor(rows + 0.5), tf.floor(columns + 0.5), fill, fill_value)
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = rows - top, columns - left

    def blend(row: tf.Tensor) -> tf.Tensor:
        here = _pixels(images, row, left, fill, fill_value)
        return here * (1.0 - right) + _pixels(images, row, left + 1.0, fill, fill_value) * right

    return blend(top) * (1.0 - down) + blend(top + 1.0) * down


def _pixels(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, fill: str, fill_value: float) -> tf.Tensor:
    """images[b, rows[b], columns[b]] for whole-numbered float places that may lie outside."""
    batch, (height, width) = tf.shape(images)[0], images.shape[1:]
    if fill == "reflect":
        rows, columns = _fold(rows, height), _fold(columns, width)
    row = tf.cast(tf.clip_by_value(rows, 0.0, height - 1.0), tf.int32)
    column = tf.cast(tf.clip_by_value(columns, 0.0, width - 1.0), tf.int32)
    first = (tf.range(batch) * (height * width))[:, None, None]
    found = tf.gather(tf.reshape(images, [-1]), first + row * width + column)
    if fill != "constant":
        return found
    inside = (rows >= 0.0) & (rows <= height - 1.0) & (columns >= 0.0) & (columns <= width - 1.0)
    return tf.where(inside, found, fill_value)


def _fold(place: tf.Tensor, size: int) -> tf.Tensor:
    """Mirrored at both borders, with period 2 * size."""
    place = place - 2.0 * size * tf.floor(place / (2.0 * size))
    return tf.minimum(place, 2.0 * size - 1.0 - place)
