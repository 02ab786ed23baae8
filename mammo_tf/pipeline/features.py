"""Feature maps in the place of images: what a head learns from when the net below it is frozen.

A frozen net gives the same features in every epoch, so they are computed once. Order and weights of the batches are
those of the pipeline of the images, so a head ends where it would have ended below the whole net.

    pipeline = features.of(images_pipeline, (8, 8, 2048))
    model.fit(pipeline.train(arrays, None, seed=0), steps_per_epoch=pipeline.steps(arrays))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from mammo_tf.pipeline import build

# No ALGORITHM_VERSION of its own: that of `pipeline.build` counts for both.


@dataclasses.dataclass(frozen=True)
class FeaturePipeline(build.Pipeline):
    """A `build.Pipeline` whose arrays hold feature maps (N, h, w, c) float32; nothing is altered or normalised."""

    def _prepare(self, augment: Any, copies: Any, normalizer: Any) -> Callable[..., tf.Tensor]:
        return _as_they_are


def _as_they_are(features: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
    return features


def of(pipeline: build.Pipeline, shape: tuple[int, int, int]) -> FeaturePipeline:
    """The pipeline of the feature maps, of `shape` (h, w, c), that the images of another pipeline have."""
    height, width, channels = shape
    return FeaturePipeline(
        (height, width),
        pipeline.normalize.func,
        batch=pipeline.batch,
        channels=channels,
        balance=pipeline.balance,
    )
