"""A set of images enlarged before it is learned from: altered copies as examples of their own.

Kreiss enlarges INbreast to 3,104 negative and 1,992 positive images by flips, contrast, Gaussian noise and brightness
("Pre-Processing"). A copy is drawn from (seed, image, number of the copy), so it is the same whoever asks for it, in
whatever order and part. Copies keep the patient and the region of their image: an audit finds them on both sides of a
split that was made after them.

    enlarge = Enlargement((128, 128), AUGMENT, factors=(10.0, 20.0))
    more = enlarge(examples, seed=0)                # 310 negative images give 3,100 examples, 100 positive ones 2,000
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mammo_tf import cache, cases
from mammo_tf.pipeline import augment as augmenting
from mammo_tf.pipeline import resize as resizing

ALGORITHM_VERSION = 1
_FULL = 65535


@dataclasses.dataclass(frozen=True)
class Altered:
    """The pixels of a copy, (H, W) uint16 with 65535 for white; values that leave [0, 1] are clipped.

    Attributes:
        view: the image as it is.
        shape: (height, width) that it is resized to first, so that a copy costs no more than what the net sees.
        augment: what is drawn from.
        resize: `resize.area` or `resize.cubic`.
        seed, number: of the draw; `number` counts the copies of an image from 1.
        source: tells the image from those of other datasets.
    """

    view: cases.View
    shape: tuple[int, int]
    augment: augmenting.Augment
    resize: resizing.Rule
    seed: int
    number: int
    source: str = ""

    def __call__(self) -> np.ndarray:
        key = ("enlarge", self.source, self.view.id, *self.shape, self.resize.__name__)
        image = tf.constant(cache.remembered(key, self._resized)[None])
        seed, number, place = (
            tf.constant(value, tf.int64) for value in (self.seed, self.number, [zlib.crc32(self.view.id.encode())])
        )
        found = _compiled(self.augment)(image, seed, number, place)[0].numpy()
        return np.rint(np.clip(found, 0.0, 1.0) * _FULL).astype(np.uint16)

    def _resized(self) -> np.ndarray:
        pixels = self.view.pixels()
        if pixels.max() > self.view.max_value:
            path = self.view.path or self.view.id
            raise cases.DataError(path, f"holds {pixels.max()}, above max_value {self.view.max_value}")
        return np.clip(self.resize(pixels.astype(np.float32) / self.view.max_value, *self.shape), 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Enlargement:
    """How many examples are made of the images of each class, and how they are altered.

    Attributes:
        shape: (height, width) of the copies, that of the net's input.
        augment: what they are drawn from.
        factors: examples for each image of class 0 and of class 1, the image itself included, 1 or more. Parts of one
            are dealt to images at random: 1.5 copies every second image.
        totals: numbers of examples of each class instead, whatever the number of images; at least as many.
        resize: rule for the size.
        source: see `Altered`; the fingerprint of the dataset, where several are read in one process.

    Raises:
        MammoError: not exactly one of factors and totals, or a number is out of range.
    """

    shape: tuple[int, int]
    augment: augmenting.Augment
    factors: tuple[float, float] | None = None
    totals: tuple[int, int] | None = None
    resize: resizing.Rule = resizing.area
    source: str = ""

    def __post_init__(self):
        if (self.factors is None) == (self.totals is None):
            raise cases.MammoError("enlarge: give either factors or totals")
        if min(self.factors or self.totals) < 1:
            raise cases.MammoError(f"enlarge: expected 1 or more, found {self.factors or self.totals}")

    def __call__(self, examples: Sequence[cases.Example], seed: int) -> tuple[cases.Example, ...]:
        """The examples in their order, then the copies; class 0 first.

        Args:
            examples: of one view each, with labels 0 or 1.
            seed: 0 to 2^32 - 1.

        Raises:
            MammoError: an example has another label or several views, or there are more than `totals`.
        """
        if odd := [e.id for e in examples if e.label not in (0.0, 1.0) or len(e.views) != 1]:
            raise cases.MammoError(f"enlarge: {len(odd)} examples have no label 0 or 1, or not one view: {odd[0]}")
        made = []
        for label in (0, 1):
            mine = [e for e in examples if e.label == label]
            for place, copies in enumerate(self.copies(len(mine), label, seed)):
                made += [self.altered(mine[place], seed, number) for number in range(1, copies + 1)]
        return (*examples, *made)

    def copies(self, count: int, label: int, seed: int) -> np.ndarray:
        """How many copies each of `count` images of a class gets: (count,) int, differing by one at most."""
        total = round(count * self.factors[label]) if self.factors else self.totals[label]
        if count and total < count:
            raise cases.MammoError(f"enlarge: {count} images of class {label} cannot be enlarged to {total}")
        if not count:
            return np.zeros(0, int)
        each, more = divmod(total - count, count)
        found = np.full(count, each)
        found[np.random.default_rng([seed, label]).permutation(count)[:more]] += 1
        return found

    def altered(self, example: cases.Example, seed: int, number: int) -> cases.Example:
        """Copy `number` of an example: `<id>+<number>`. Its view has no lesions, since they may have moved."""
        view = example.views[0]
        load = Altered(view, self.shape, self.augment, self.resize, seed, number, self.source)
        copy = dataclasses.replace(
            view, id=f"{view.id}+{number}", load=load, max_value=_FULL, lesions=(), spacing_mm=None
        )
        return dataclasses.replace(
            example, id=f"{example.id}+{number}", views=(copy,), roi_id=example.roi_id or example.id
        )


@functools.lru_cache(maxsize=16)
def _compiled(augment: augmenting.Augment) -> Callable[..., tf.Tensor]:
    """The augmentation of one image (1, H, W), compiled once for all copies."""

    @tf.function(jit_compile=True, autograph=False)
    def apply(image: tf.Tensor, seed: tf.Tensor, number: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        return augmenting.apply(augment, image, seed, number, place)

    return apply
