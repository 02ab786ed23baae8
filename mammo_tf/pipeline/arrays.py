"""A part of the data in memory: images with their labels and weights, or pages that patches are cut from on the fly.

A patch net sees many windows of few images. So the images ("pages") are kept, and `where` says which window of which
page an example is: N patches of 224 x 224 take 12 bytes each instead of 100 KB.

    Arrays(pages, labels, weights, ids, patients, where=np.array([[0, 40, -3], [0, 7, 90]], np.int32))
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mammo_tf import cases, regions

# No ALGORITHM_VERSION of its own: that of `pipeline.build`, which this module was part of, counts for both.


@dataclasses.dataclass(frozen=True, eq=False)
class Arrays:
    """A part of the data in memory, in the order of its examples.

    Attributes:
        images: (N, H, W) uint16; 65535 stands for the view's max_value. With `where` the M pages, (M, H, W).
        labels: (N,) float32, a class number from 0 on.
        weights: (N,) float32, sample weights.
        ids, patients: of the examples, N each.
        problems: the files that could not be read; their examples are left out of everything above.
        where: None, or (N, 3) int32: page, top and left of each example's window, which is as large as the net's
            input and may overhang its page (0 there).
        groups: None, or (N,) int32 where the rows are views that are scored together: the example of each row, as a
            place in `units`.
        units: with `groups` the ids of the M examples; without, `ids`.

    Raises:
        MammoError: `where` names a page that is not there, or not one window an example; `groups` does not fit
            `units`.
    """

    images: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    ids: tuple[str, ...]
    patients: tuple[str, ...]
    problems: tuple[cases.Problem, ...] = ()
    where: np.ndarray | None = None
    groups: np.ndarray | None = None
    units: tuple[str, ...] = ()

    def __post_init__(self):
        if self.groups is None:
            object.__setattr__(self, "units", self.ids)
        elif self.groups.shape != (len(self.labels),) or set(self.groups.tolist()) != set(range(len(self.units))):
            raise cases.MammoError(
                f"arrays: groups {self.groups.shape} must give each of {len(self.labels)} rows one of "
                f"{len(self.units)} examples, and each example a row"
            )
        if self.where is None:
            return
        if self.where.shape != (len(self.labels), 3) or self.where.dtype != np.int32:
            raise cases.MammoError(
                f"arrays: where must be int32 ({len(self.labels)}, 3), found {self.where.dtype} {self.where.shape}"
            )
        if len(self.where) and not 0 <= self.where[:, 0].min() <= self.where[:, 0].max() < len(self.images):
            found = f"{self.where[:, 0].min()} to {self.where[:, 0].max()}"
            raise cases.MammoError(f"arrays: where names the pages {found}, there are {len(self.images)}")

    def __len__(self) -> int:
        return len(self.labels)

    def pooled(self, rows: np.ndarray) -> np.ndarray:
        """Means over the rows (N, ...) of each example, (M, ...) of the same dtype; without groups, `rows`."""
        if self.groups is None:
            return rows
        sums = np.zeros((len(self.units), *rows.shape[1:]), np.float64)
        np.add.at(sums, self.groups, rows)
        counts = np.bincount(self.groups, minlength=len(self.units))
        return (sums / counts.reshape(-1, *[1] * (rows.ndim - 1))).astype(rows.dtype)

    def cut(self, shape: tuple[int, int]) -> np.ndarray:
        """What the net sees of each example before normalisation: (N, *shape) uint16, patches cut out."""
        if self.where is None:
            return self.images
        windows = [regions.cut(self.images[page], top, left, *shape) for page, top, left in self.where.tolist()]
        return np.stack(windows) if windows else np.zeros((0, *shape), self.images.dtype)

    def flipped(self, horizontal: bool, vertical: bool) -> Arrays:
        """The same examples with their images mirrored left to right, top to bottom, or both.

        Raises:
            MammoError: the examples are patches; only whole images are predicted with flips.
        """
        if self.where is not None:
            raise cases.MammoError("arrays: patches that are cut on the fly cannot be flipped")
        rows, columns = (slice(None, None, -1 if flip else 1) for flip in (vertical, horizontal))
        return dataclasses.replace(self, images=self.images[:, rows, columns])

    @functools.cached_property
    def on_host(self) -> dict[str, tf.Tensor]:
        """Images, labels, weights and where as tensors, made once: each epoch's dataset must not copy them again."""
        found = {"images": self.images, "labels": self.labels.astype(np.int32), "weights": self.weights}
        if self.where is not None:
            found["where"] = self.where
        with tf.device("CPU:0"):  # where tf.data works; left alone, they would settle on a GPU
            return {name: tf.constant(array) for name, array in found.items()}


def check_labels(examples: Sequence[cases.Example]) -> None:
    """Raises MammoError where a label is unknown (NaN)."""
    if unknown := [example.id for example in examples if math.isnan(example.label)]:
        some = ", ".join(unknown[:3])
        raise cases.MammoError(f"pipeline: {len(unknown)} of {len(examples)} examples have no label: {some}")


def check_examples(examples: Sequence[cases.Example]) -> None:
    """Raises MammoError where a label is unknown, or an example has not one view."""
    check_labels(examples)
    several = [example.id for example in examples if len(example.views) != 1]
    if several:
        raise cases.MammoError(f"pipeline: {len(several)} examples have not one view: {', '.join(several[:3])}")


def collect(examples: Sequence[cases.Example], **fields: Any) -> Arrays:
    """`Arrays` of these examples; `fields` are those of it that the examples do not know."""
    return Arrays(
        labels=np.array([example.label for example in examples], np.float32),
        weights=np.array([example.weight for example in examples], np.float32),
        ids=tuple(example.id for example in examples),
        patients=tuple(example.patient_id for example in examples),
        **fields,
    )


def gather(tensors: dict[str, tf.Tensor], rows: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    """The images of some examples.

    Args:
        tensors: `Arrays.on_host`.
        rows: (B,) integer, the examples.
        shape: (height, width) of a window, where there are windows.

    Returns:
        (B, H, W) uint16.
    """
    if "where" not in tensors:
        return tf.gather(tensors["images"], rows)
    return _windows(tensors["images"], tf.gather(tensors["where"], rows), shape)


@functools.partial(tf.function, jit_compile=True, autograph=False, reduce_retracing=True)
def _windows(pages: tf.Tensor, where: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    """The windows (B, *shape) of pages (M, H, W) at where (B, 3), 0 where they overhang."""
    height, width = tf.shape(pages)[1], tf.shape(pages)[2]  # not known in the graph once several sizes were seen
    page, top, left = (where[:, i, None, None] for i in range(3))
    row, column = top + tf.range(shape[0])[:, None], left + tf.range(shape[1])[None, :]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    row, column = tf.clip_by_value(row, 0, height - 1), tf.clip_by_value(column, 0, width - 1)
    first = tf.cast(page, tf.int64) * tf.cast(
        height * width, tf.int64
    )  # 2,400 pages of 1152 x 896 are more than 2^31 pixels
    found = tf.gather(tf.reshape(pages, [-1]), first + tf.cast(row * width + column, tf.int64))
    return tf.where(inside, found, tf.zeros_like(found))
