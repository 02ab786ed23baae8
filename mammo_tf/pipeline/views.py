"""Pipelines for examples of two views, CC and MLO of one breast (Yi et al. 2017, section 2.2 and figure 2).

`ParallelPipeline` makes each view an image of its own: one net learns from both, and the views of an example vote by
the mean of their probabilities. `PairPipeline` lays the two views side by side as channels of one example, for a net
with a branch for each. In both, every view is moved by draws of its own: the views show one breast from two sides, so
no geometry is shared.

    arrays = ParallelPipeline(224, normalize.per_image, channels=1).load(examples)     # 2 N rows, N groups
    arrays = PairPipeline(224, normalize.per_image, channels=1).load(examples)         # images (N, 224, 224, 2)
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.pipeline import arrays as loaded
from mammo_tf.pipeline import augment as augmenting
from mammo_tf.pipeline import build

# No ALGORITHM_VERSION of its own: that of `pipeline.build` counts for both.
PARALLEL, PAIR = "parallel", "pair"  # what `describe` calls them


@dataclasses.dataclass(frozen=True)
class ParallelPipeline(build.Pipeline):
    """A `build.Pipeline` in which an example's views, one or more, are rows of their own with its label."""

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "views": PARALLEL}

    def load(self, examples: Sequence[cases.Example], *, strict: bool = False) -> build.Arrays:
        """Decodes every view of every example, in threads; rows are named `<example>/<number of the view>`.

        An example of which a view cannot be read keeps the others.

        Args:
            examples: of one or more views each, with known labels.
            strict: raise at the first unreadable file instead of leaving its view out.

        Raises:
            DataError: with `strict`, a file is unreadable.
            MammoError: no view is left, a label is unknown, or an example has no view.
        """
        if bare := [example.id for example in examples if not example.views]:
            raise cases.MammoError(f"pipeline: {len(bare)} examples have no view: {', '.join(bare[:3])}")
        rows = [
            dataclasses.replace(example, id=f"{example.id}/{number}", views=(view,))
            for example in examples
            for number, view in enumerate(example.views)
        ]
        found = super().load(rows, strict=strict)
        owner = {row.id: row.id.rpartition("/")[0] for row in rows}
        kept = {owner[id] for id in found.ids}
        units = tuple(example.id for example in examples if example.id in kept)
        place = {id: number for number, id in enumerate(units)}
        groups = np.array([place[owner[id]] for id in found.ids], np.int32)
        return dataclasses.replace(found, groups=groups, units=units)


@dataclasses.dataclass(frozen=True)
class PairPipeline(build.Pipeline):
    """A `build.Pipeline` whose images are (N, H, W, 2): the first and the second view of each example.

    The net takes 2 x `channels` channels, those of the first view first; each view is normalised by itself.
    """

    @property
    def depth(self) -> int:
        return 2 * self.channels

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "views": PAIR}

    def load(self, examples: Sequence[cases.Example], *, strict: bool = False) -> build.Arrays:
        """Decodes both views of each example, in threads; an example is left out where one of them cannot be read.

        Raises:
            DataError: with `strict`, a file is unreadable.
            MammoError: no example is left, a label is unknown, or an example has not two views.
        """
        if odd := [example.id for example in examples if len(example.views) != 2]:
            raise cases.MammoError(f"pipeline: {len(odd)} examples have not two views: {', '.join(odd[:3])}")
        loaded.check_labels(examples)
        with futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            read = functools.partial(_read_pair, pipeline=self, strict=strict)
            found = list(pool.map(read, examples))
        problems = tuple(one for pair in found for one in pair if isinstance(one, cases.Problem))
        kept = [i for i, pair in enumerate(found) if not any(isinstance(one, cases.Problem) for one in pair)]
        if not kept:
            first = f"; the first: {problems[0].path}: {problems[0].reason}" if problems else ""
            raise cases.MammoError(f"pipeline: no pair of views left of {len(examples)} examples{first}")
        images = np.stack([np.stack(found[i], axis=-1) for i in kept])
        return loaded.collect([examples[i] for i in kept], images=images, problems=problems)

    def _prepare(
        self, augment: augmenting.Augment | None, copies: int | None, normalizer: build.Normalizer
    ) -> Callable:
        return _prepare_pairs(build.prepare_batch(augment, copies, normalizer, self.margin))


def _read_pair(
    example: cases.Example, *, pipeline: build.Pipeline, strict: bool
) -> tuple[np.ndarray | cases.Problem, ...]:
    return tuple(build.read_view(view, pipeline=pipeline, strict=strict) for view in example.views)


@functools.lru_cache(maxsize=16)
def _prepare_pairs(prepare: Callable) -> Callable:
    """`build.prepare_batch` for images (B, H, W, 2): the views go through it as a batch of 2 B images."""

    @tf.function(autograph=False)
    def pairs(images: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor, index: tf.Tensor, originals: tf.Tensor):
        height, width = images.shape[1:3]
        rows = tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (-1, height, width))
        each = tf.reshape(2 * index[:, None] + tf.constant([0, 1], index.dtype), [-1])
        x = prepare(rows, seed, epoch, each, 2 * originals)
        height, width, channels = x.shape[1:]
        x = tf.transpose(tf.reshape(x, (-1, 2, height, width, channels)), (0, 2, 3, 1, 4))
        return tf.reshape(x, (-1, height, width, 2 * channels))

    return pairs
