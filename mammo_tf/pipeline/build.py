"""From examples on disk to batches: decode, resize, shuffle, augment, normalise.

Images stay uint16 with one channel until the compiled map, which converts, warps and normalises a batch under XLA.
Order and augmentation are pure functions of (seed, epoch, example), so a run resumed at epoch k sees the batches of
the unresumed one, bit for bit, and it does not matter how many threads prepare them.

    pipeline = Pipeline(side=224, normalize=normalize.per_image, augment=Augment(flip_horizontal=True))
    arrays = pipeline.load(examples)
    normalizer = pipeline.normalize(arrays.images)
    model.fit(pipeline.train(arrays, normalizer, seed=0), steps_per_epoch=pipeline.steps(arrays), epochs=10)
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import numpy as np
import tensorflow as tf

from mammo_tf import cases, regions
from mammo_tf.pipeline import arrays as loaded
from mammo_tf.pipeline import augment as augmenting
from mammo_tf.pipeline import resize as resizing
from mammo_tf.pipeline import threefry

ALGORITHM_VERSION = 1

Normalizer = Callable[[tf.Tensor], tf.Tensor]
Arrays = loaded.Arrays

_FULL = 65535
_ENDLESS = 2**31 - 1  # epochs


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """How images get to the net.

    Attributes:
        side: rows and columns of the image that the net takes, one number for both or (height, width).
        normalize: `normalize(images, channels=...)` on the training images (N, H, W) uint16 gives the normalizer: a
            hashable callable on (B, H, W, 1) float32 in [0, 1] (or `channels` channels, where the augmentation makes
            them) whose operations XLA compiles. The pipeline binds its own `channels`, so that
            `pipeline.normalize(arrays.images)` is the call.
        augment: what `train` does to the images, None for nothing.
        batch: examples a batch.
        channels: copies of the gray channel that the net takes.
        copies: enlarges the training set before training, as Ao and Zhang (2020) did: the originals, unchanged, plus
            this many augmented copies of each, drawn once from the seed. None draws anew in each epoch instead.
        resize: `resize.area` or `resize.cubic`; the exported model follows the same rule.
        balance: `train` weights the classes of each batch alike (see `balanced`).
        margin: images are resized to so many pixels more on every side, and after the augmentation only the middle of
            `side` is kept: shifted by up to `margin`, that is a random crop, and its centre where nothing moves.
    """

    side: int | tuple[int, int]
    normalize: Callable[..., Normalizer]
    augment: augmenting.Augment | None = None
    batch: int = 32
    channels: int = 3
    copies: int | None = None
    resize: resizing.Rule = dataclasses.field(default=resizing.area, metadata={"added": True})
    balance: bool = dataclasses.field(default=False, metadata={"added": True})
    margin: int = dataclasses.field(default=0, metadata={"added": True})

    def __post_init__(self):
        if not isinstance(self.side, int):
            object.__setattr__(self, "side", tuple(self.side))
        if len(self.shape) != 2:
            raise cases.MammoError(f"pipeline: side must be one number or (height, width), found {self.side}")
        for name, value in {"side": min(self.shape), "batch": self.batch, "channels": self.channels}.items():
            if value < 1:
                raise cases.MammoError(f"pipeline: {name} must be 1 or more, found {getattr(self, name)}")
        resizing.check(self.resize)
        if self.margin < 0:
            raise cases.MammoError(f"pipeline: margin must be 0 or more, found {self.margin}")
        if self.copies is not None and (self.copies < 1 or self.augment is None):
            raise cases.MammoError(
                f"pipeline: copies must be 1 or more and need an augment, found {self.copies} and {self.augment}"
            )
        # Callers use `normalize` as it stands; bound here, the number of channels cannot be forgotten.
        object.__setattr__(self, "normalize", functools.partial(self.normalize, channels=self.channels))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image that the net takes."""
        return (self.side, self.side) if isinstance(self.side, int) else self.side

    @property
    def depth(self) -> int:
        """Channels of the image that the net takes."""
        return self.channels

    @property
    def full(self) -> tuple[int, int]:
        """(height, width) of the images in memory: `shape` and its margins."""
        return self.shape[0] + 2 * self.margin, self.shape[1] + 2 * self.margin

    def describe(self) -> dict[str, Any]:
        """What an exported model must repeat, JSON-able: `side`, the name of the rule `resize`, a `margin`."""
        side = self.side if isinstance(self.side, int) else list(self.side)
        margin = {"margin": self.margin} if self.margin else {}
        return {"side": side, "resize": self.resize.__name__, **margin}

    def seen(self, arrays: Arrays) -> np.ndarray:
        """What the net sees of each example before normalisation, not augmented: (N, *shape) uint16."""
        middle = regions.inner(self.margin)
        return arrays.cut(self.shape)[:, middle, middle]

    def load(self, examples: Sequence[cases.Example], *, strict: bool = False) -> Arrays:
        """Decodes and resizes the first view of each example, in threads.

        Args:
            examples: of one view each, with known labels.
            strict: raise at the first unreadable file instead of leaving its example out.

        Raises:
            DataError: with `strict`, a file is unreadable.
            MammoError: no example is left, a label is unknown, or an example has two views.
        """
        loaded.check_examples(examples)
        with futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            found = list(pool.map(functools.partial(_read, pipeline=self, strict=strict), examples))
        kept = [i for i, image in enumerate(found) if not isinstance(image, cases.Problem)]
        problems = tuple(image for image in found if isinstance(image, cases.Problem))
        if not kept:
            first = f"; the first: {problems[0].path}: {problems[0].reason}" if problems else ""
            raise cases.MammoError(f"pipeline: no image left of {len(examples)} examples{first}")
        return loaded.collect(
            [examples[i] for i in kept], images=np.stack([found[i] for i in kept]), problems=problems
        )

    def steps(self, arrays: Arrays) -> int:
        """Batches in an epoch of `train`; the last may be smaller."""
        return math.ceil(len(arrays) * (1 + (self.copies or 0)) / self.batch)

    def train(self, arrays: Arrays, normalizer: Normalizer, seed: int, start_epoch: int = 0) -> tf.data.Dataset:
        """Batches without end, `steps(arrays)` of them an epoch, each epoch in an order of its own.

        Args:
            arrays: the training part.
            normalizer: `normalize(arrays.images)`.
            seed: 0 to 2^32 - 1; fixes order and augmentation.
            start_epoch: the epoch to begin with, counted from 0.

        Returns:
            Batches (x, y, w): (B, *shape, channels) float32, (B,) int32, (B,) float32.
        """
        threefry.check_seed(seed)
        count = len(arrays) * (1 + (self.copies or 0))

        @tf.autograph.experimental.do_not_convert
        def epoch_of(epoch: tf.Tensor) -> tf.data.Dataset:
            order = tf.data.Dataset.from_tensor_slices(threefry.permutation(seed, epoch, count)).batch(self.batch)
            return tf.data.Dataset.zip(tf.data.Dataset.from_tensors(epoch).repeat(), order)

        epochs = tf.data.Dataset.range(start_epoch, _ENDLESS).flat_map(epoch_of)
        prepare = self._prepare(self.augment, self.copies, normalizer)
        batches = self._batches(epochs, arrays, prepare, seed, self.balance)
        return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    def evaluate(self, arrays: Arrays, normalizer: Normalizer) -> tf.data.Dataset:
        """Every example once, in order, not augmented; batches as from `train`, the last may be smaller."""
        return self._once(arrays, normalizer, None, 0)

    def enlarged(self, arrays: Arrays, normalizer: Normalizer, seed: int) -> tf.data.Dataset:
        """The training set that every epoch of `train` sees, once and in order: the examples, then their copies.

        Raises:
            MammoError: there is no such set, since each epoch draws anew.
        """
        if self.augment is not None and self.copies is None:
            raise cases.MammoError("pipeline: each epoch is augmented anew; only copies are the same in all of them")
        return self._once(arrays, normalizer, self.augment, seed)

    def _once(
        self, arrays: Arrays, normalizer: Normalizer, augment: augmenting.Augment | None, seed: int
    ) -> tf.data.Dataset:
        copies = self.copies if augment else None
        order = tf.data.Dataset.range(len(arrays) * (1 + (copies or 0))).batch(self.batch)
        zipped = tf.data.Dataset.zip(tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).repeat(), order)
        return self._batches(zipped, arrays, self._prepare(augment, copies, normalizer), seed, False)

    def _prepare(self, augment: augmenting.Augment | None, copies: int | None, normalizer: Normalizer) -> Callable:
        return prepare_batch(augment, copies, normalizer, self.margin)

    def _batches(
        self, order: tf.data.Dataset, arrays: Arrays, prepare: Callable, seed: int, balance: bool
    ) -> tf.data.Dataset:
        """Pairs (epoch, indices) to batches; an index beyond the examples stands for a copy of one."""
        if arrays.where is None and arrays.images.shape[1:3] != self.full:
            margin = f" with a margin of {self.margin}" if self.margin else ""
            raise cases.MammoError(
                f"pipeline: the images are {arrays.images.shape[1:]}, the pipeline's side is {self.side}{margin}"
            )
        tensors, wanted = arrays.on_host, (*self.shape, self.depth)
        seed_word, originals = (tf.constant(number, tf.int64) for number in (seed, len(arrays)))

        @tf.autograph.experimental.do_not_convert
        def batch(epoch: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            rows = index % len(arrays)
            x = prepare(loaded.gather(tensors, rows, self.shape), seed_word, epoch, index, originals)
            if x.shape[1:] != wanted:
                raise cases.MammoError(f"pipeline: the normalizer gives {x.shape[1:]}, the net takes {wanted}")
            y, w = tf.gather(tensors["labels"], rows), tf.gather(tensors["weights"], rows)
            return x, y, balanced(y, w) if balance else w

        return order.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def balanced(labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weights by which the classes of a batch count alike: w_i B / (K n_i).

    B is the size of the batch, K how many classes it holds, n_i how many of its examples share the class of example i
    (Shen et al. 2019, section 3.1.2). A batch of one class keeps its weights.

    Args:
        labels: (B,) int32.
        weights: (B,) float32.

    Returns:
        (B,) float32.
    """
    alike = tf.reduce_sum(tf.cast(labels[:, None] == labels[None, :], tf.float32), axis=1)
    classes = tf.round(tf.reduce_sum(1.0 / alike))
    return weights * tf.cast(tf.size(labels), tf.float32) / (classes * alike)


@functools.lru_cache(maxsize=16)
def prepare_batch(
    augment: augmenting.Augment | None, copies: int | None, normalizer: Normalizer, margin: int = 0
) -> Callable:
    """The compiled map of a batch; kept, so that it is compiled once for all the datasets that use it.

    Returns:
        (images (B, H, W) uint16, seed, epoch, index (B,), number of originals) -> (B, H - 2 margin, ..., channels).
    """
    middle = regions.inner(margin)

    @tf.function(jit_compile=True, autograph=False)
    def prepare(images: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor, index: tf.Tensor, originals: tf.Tensor):
        x = tf.cast(images, tf.float32) * (1.0 / _FULL)  # what XLA would make of a division
        if augment is None:
            return normalizer(x[:, middle, middle, None])
        epoch = tf.zeros_like(epoch) if copies else epoch  # copies are drawn once for all epochs
        moved = augmenting.apply(augment, x, seed, epoch, index)
        if augment.channel_shift_each:
            moved = augmenting.copy_channels(augment, moved, seed, epoch, index)
            x = tf.repeat(x[..., None], moved.shape[-1], axis=-1)
        else:
            x, moved = x[..., None], moved[..., None]
        chosen = tf.where((index < originals)[:, None, None, None], x, moved) if copies else moved
        return normalizer(chosen[:, middle, middle])

    return prepare


def decode(view: cases.View, *, strict: bool) -> np.ndarray | cases.Problem:
    """The view's pixels as stored, or why there are none.

    Raises:
        DataError: with `strict`, the file is unreadable or holds values above its max_value.
    """
    try:
        pixels = view.pixels()
        if pixels.max() > view.max_value:
            raise cases.DataError(view.path or view.id, f"holds {pixels.max()}, above max_value {view.max_value}")
    except (cases.DataError, OSError) as error:
        if strict:
            raise (
                error if isinstance(error, cases.DataError) else cases.DataError(view.path or view.id, str(error))
            ) from error
        return cases.Problem(view.path or view.id, getattr(error, "reason", str(error)))
    return pixels


def _read(example: cases.Example, *, pipeline: Pipeline, strict: bool) -> np.ndarray | cases.Problem:
    return read_view(example.views[0], pipeline=pipeline, strict=strict)


def read_view(view: cases.View, *, pipeline: Pipeline, strict: bool) -> np.ndarray | cases.Problem:
    """The view's image, `pipeline.full` uint16, or why there is none."""
    pixels = decode(view, strict=strict)
    if isinstance(pixels, cases.Problem):
        return pixels
    image = pipeline.resize(pixels.astype(np.float32) / view.max_value, *pipeline.full)
    return np.rint(np.clip(image, 0.0, 1.0) * _FULL).astype(np.uint16)
