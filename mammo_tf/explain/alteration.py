"""The stochastic alteration of Directed Dream: flip, rotate, zero boxes; and how a step on the altered copy returns.

Source: Yi et al. 2017, section 2.3 and algorithm 1, steps 4 and 10. An altered image is A x = M W x: W shows the
image flipped and then rotated about its centre (bilinear, 0 outside), M sets boxes to 0. A step g on A x moves x by

    A' g = W' M g

W' is the transpose of W, not its inverse: each pixel gets back what it gave, by the same four weights. So x itself is
never resampled. By quarter turns of a square W is a permutation, exactly, and W' undoes it.

    draw = alteration.draw(alteration.Alteration(), (224, 224), planes=2, seed=0, iteration=17)
    places = alteration.places(draw.turn, (224, 224))
    altered = tf.where(alteration.kept(draw.boxes, (224, 224)), alteration.warp(images, places), 0.0)
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from mammo_tf import cases

ALGORITHM_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Alteration:
    """What is drawn for each image of each iteration. The paper gives no ranges; the defaults are ours.

    Attributes:
        flip_horizontal, flip_vertical: mirror with probability 1/2, each by a coin of its own.
        rotate_deg: least and greatest angle in whole degrees, counter-clockwise, each as likely.
        boxes: least and greatest number of boxes, each as likely.
        box_side: least and greatest side of a box as a share of the image's, drawn for height and width apart; the
            box lies anywhere inside the altered image.

    Raises:
        MammoError: a range that does not ascend or is out of bounds.
    """

    flip_horizontal: bool = True
    flip_vertical: bool = True
    rotate_deg: tuple[int, int] = (0, 359)
    boxes: tuple[int, int] = (1, 3)
    box_side: tuple[float, float] = (0.1, 0.3)

    def __post_init__(self):
        for name, (least, most) in (("rotate_deg", (-360, 360)), ("boxes", (0, 1000)), ("box_side", (0, 1))):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise cases.MammoError(
                    f"alteration: {name} must ascend within {least} to {most}, found {low}, {high}"
                )


NONE = Alteration(flip_horizontal=False, flip_vertical=False, rotate_deg=(0, 0), boxes=(0, 0))


@dataclasses.dataclass(frozen=True)
class Draw:
    """What happens to each of P images in one iteration.

    Attributes:
        turn: (P, 2, 2) float32, from a pixel (y, x) of the altered image to its place in the image, about the centre.
        boxes: (P, N, 4) int32, top, left, bottom, right in pixels of the altered image, the last two excluded; what
            is not used is 0, 0, 0, 0.
    """

    turn: np.ndarray
    boxes: np.ndarray


def draw(
    settings: Alteration, shape: tuple[int, int], *, planes: int, seed: int, iteration: int, step_deg: int = 1
) -> Draw:
    """A pure function of (seed, iteration, place of the image), on any device, inside XLA and outside.

    Args:
        shape: (H, W) of the images.
        planes: P, how many images.
        seed, iteration: at least 0.
        step_deg: angles are multiples of it; 90 for quarter turns.

    Raises:
        MammoError: no multiple of `step_deg` lies in the range of angles.
    """
    most = settings.boxes[1]
    turns, boxes = np.zeros((planes, 2, 2), np.float32), np.zeros((planes, most, 4), np.int32)
    for plane in range(planes):
        # Uniform numbers by place: what is switched off or added at the end leaves the other draws as they were.
        unit = np.random.default_rng((seed, iteration, plane)).random(4 + 4 * most)
        turns[plane] = _turn(settings, unit, step_deg)
        for box in range(_whole(unit[3], *settings.boxes)):
            boxes[plane, box] = _box(settings, unit[4 + 4 * box : 8 + 4 * box], shape)
    return Draw(turns, boxes)


def _whole(unit: float, low: int, high: int) -> int:
    return low + int(unit * (high - low + 1))


def _turn(settings: Alteration, unit: np.ndarray, step_deg: int) -> np.ndarray:
    low, high = settings.rotate_deg
    first, last = math.ceil(low / step_deg), math.floor(high / step_deg)
    if first > last:
        raise cases.MammoError(f"alteration: no multiple of {step_deg} degrees in rotate_deg {low} to {high}")
    angle = math.radians(step_deg * _whole(unit[2], first, last))
    cosine, sine = round(math.cos(angle), 12), round(math.sin(angle), 12)  # quarter turns exactly 0, 1 and -1
    down = -1.0 if settings.flip_vertical and unit[1] < 0.5 else 1.0
    across = -1.0 if settings.flip_horizontal and unit[0] < 0.5 else 1.0
    return np.array([[down * cosine, down * sine], [-across * sine, across * cosine]]) + 0.0  # no -0


def _box(settings: Alteration, unit: np.ndarray, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    low, high = settings.box_side
    height, width = (max(1, round((low + (high - low) * u) * n)) for u, n in zip(unit[:2], shape, strict=True))
    top, left = _whole(unit[2], 0, shape[0] - height), _whole(unit[3], 0, shape[1] - width)
    return top, left, top + height, left + width


@dataclasses.dataclass(frozen=True)
class Places:
    """A warp as its matrix: pixel q of altered image p is the sum over k of weight[p, k, q] * pixel index[p, k, q].

    Attributes:
        index: (P, 4, H W) int32, among the pixels of all P images in a row.
        weight: (P, 4, H W) float32, 0 where the neighbour lies outside.
    """

    index: tf.Tensor
    weight: tf.Tensor


def places(turn: tf.Tensor, shape: tuple[int, int]) -> Places:
    """The bilinear warp by `turn` (P, 2, 2) of images (H, W)."""
    height, width = shape
    y = tf.repeat(tf.range(height, dtype=tf.float32), width) - (height - 1) / 2
    x = tf.tile(tf.range(width, dtype=tf.float32), [height]) - (width - 1) / 2
    rows = turn[:, 0, 0, None] * y + turn[:, 0, 1, None] * x + (height - 1) / 2
    columns = turn[:, 1, 0, None] * y + turn[:, 1, 1, None] * x + (width - 1) / 2
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = rows - top, columns - left
    corners = [
        (top, left, (1.0 - down) * (1.0 - right)),
        (top, left + 1.0, (1.0 - down) * right),
        (top + 1.0, left, down * (1.0 - right)),
        (top + 1.0, left + 1.0, down * right),
    ]
    row, column, weight = (tf.stack(part, axis=1) for part in zip(*corners, strict=True))
    inside = (row >= 0.0) & (row <= height - 1.0) & (column >= 0.0) & (column <= width - 1.0)
    row = tf.cast(tf.clip_by_value(row, 0.0, height - 1.0), tf.int32)
    column = tf.cast(tf.clip_by_value(column, 0.0, width - 1.0), tf.int32)
    first = (tf.range(tf.shape(turn)[0]) * (height * width))[:, None, None]
    return Places(first + row * width + column, tf.where(inside, weight, 0.0))


def warp(images: tf.Tensor, where: Places) -> tf.Tensor:
    """W x: (P, H, W) float32 as seen through the warp."""
    found = where.weight * tf.gather(tf.reshape(images, [-1]), where.index)
    return tf.reshape(tf.reduce_sum(found, axis=1), tf.shape(images))


def transpose(altered: tf.Tensor, where: Places) -> tf.Tensor:
    """W' g: (P, H, W) float32 brought back, <W x, g> = <x, W' g>."""
    given = where.weight * tf.reshape(altered, [tf.shape(altered)[0], 1, -1])
    flat = tf.math.unsorted_segment_sum(tf.reshape(given, [-1]), tf.reshape(where.index, [-1]), tf.size(altered))
    return tf.reshape(flat, tf.shape(altered))


def kept(boxes: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    """M: (P, H, W) bool, False inside any of the boxes (P, N, 4)."""
    row, column = tf.range(shape[0])[:, None], tf.range(shape[1])[None, :]
    top, left, bottom, right = (boxes[:, :, i, None, None] for i in range(4))
    return ~tf.reduce_any((row >= top) & (row < bottom) & (column >= left) & (column < right), axis=1)
