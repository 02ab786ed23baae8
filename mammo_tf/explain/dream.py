"""Directed Dream: a real image altered step by step until a net calls it ever more malignant, or ever more benign.

Source: Yi et al. 2017, section 2.3 and algorithm 1. From an image x, each iteration:

    a = A x                                       flip, rotate, zero boxes (`alteration`)
    g = clip(zscore(d score / d a), +-0.05)
    x = clip(x + learning_rate * A' g, +-3)       A' the adjoint: x is never resampled
    or, `literal`: x = A^-1 clip(a + learning_rate * g, +-3), by flips and quarter turns alone, which can be undone

Taken literally at any angle, step 10 would warp x back and forth until its detail is gone; hence the adjoint.

    result = dream.directed_dream(model, image, dream.DirectedDream(direction=1, seed=3), frame_every=5)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from scipy import ndimage

from mammo_tf import cases
from mammo_tf.explain import activation, alteration

ALGORITHM_VERSION = 1
CONSTANT = 1e-5  # a gradient that varies less than this share of its size is rounding, not a direction


@dataclasses.dataclass(frozen=True)
class DirectedDream:
    """Settings of a dream. The paper gives the clips; the number and the size of the steps, and A's ranges, are ours.

    Attributes:
        iterations: at least 1.
        learning_rate: a pixel moves by at most about learning_rate * clip_gradient an iteration.
        direction: 1 climbs the score (more malignant), -1 climbs its opposite (more benign).
        score: what is climbed.
        clip_gradient, clip_image: bounds of the z-scored gradient and of the image.
        altering: what the alteration draws from.
        seed: of the alteration's draws.
        literal: x itself is altered and restored; angles are then the quarter turns among `altering.rotate_deg`.
    """

    iterations: int = 500
    learning_rate: float = 0.1
    direction: int = 1
    score: activation.Score = activation.MALIGNANT
    clip_gradient: float = 0.05
    clip_image: float = 3.0
    altering: alteration.Alteration = dataclasses.field(default_factory=alteration.Alteration)
    seed: int = 0
    literal: bool = False

    def __post_init__(self):
        if self.direction not in (1, -1) or self.iterations < 1 or self.seed < 0:
            raise cases.MammoError(
                f"dream: direction must be 1 or -1, iterations 1 or more, seed 0 or more; "
                f"found {self.direction}, {self.iterations}, {self.seed}"
            )
        if min(self.clip_gradient, self.clip_image) <= 0:
            raise cases.MammoError(f"dream: clips must be above 0, found {self.clip_gradient}, {self.clip_image}")


@dataclasses.dataclass(frozen=True)
class Frames:
    """The dream as it went on: iterations (F,), counted from 1; images and saliency (F, *image)."""

    iterations: np.ndarray
    images: np.ndarray
    saliency: np.ndarray


@dataclasses.dataclass(frozen=True)
class Dream:
    """What a dream gives. `image` stands for (H, W, C), or (B, H, W, C) where so many were dreamt at once.

    Attributes:
        settings: how.
        start, image: *image float32, before the first iteration (clipped) and after the last.
        scores: direction * score that each iteration met, of the altered image: (iterations,) or (iterations, B).
        before, after: direction * score of `start` and `image` themselves: () or (B,).
        saliency: *image, A' g of the last iteration, the map that Figure 4 shows: before the learning rate.
        frames: as asked for, or None.
    """

    settings: DirectedDream
    start: np.ndarray
    image: np.ndarray
    scores: np.ndarray
    before: np.ndarray
    after: np.ndarray
    saliency: np.ndarray
    frames: Frames | None = None

    @property
    def change(self) -> np.ndarray:
        """What all iterations have added up to."""
        return self.image - self.start

    def smoothed(self, window: int = 25) -> np.ndarray:
        """`scores` as running means over `window` iterations, the ends repeated: the draws make the raw ones jump."""
        return ndimage.uniform_filter1d(self.scores, window, axis=0, mode="nearest")

    def one(self, i: int) -> Dream:
        """The dream of image `i` among those dreamt at once."""
        names = ("start", "image", "before", "after", "saliency")
        frames = self.frames
        if frames is not None:
            frames = Frames(frames.iterations, frames.images[:, i], frames.saliency[:, i])
        picked = {name: getattr(self, name)[i] for name in names}
        return dataclasses.replace(self, **picked, scores=self.scores[:, i], frames=frames)


def directed_dream(
    model: keras.Model, start: np.ndarray, settings: DirectedDream | None = None, *, frame_every: int = 0
) -> Dream:
    """Dreams of one image, or of several at once, each by itself.

    Args:
        model: images (B, H, W, C) -> logits (B, K), computing in float32; run in inference mode.
        start: (H, W, C) or (B, H, W, C), normalised as the model expects; clipped to +-clip_image before anything
            else. C is 1, or 2 for a net that takes both views as channels. The two views of a parallel net are a
            batch of two: the gradient of the sum of their scores is the gradient of each. Every view has draws and a
            z-score of its own, so it dreams alike whatever stands beside it (at the same place).
        settings: None for the defaults.
        frame_every: keeps every so-many-th iteration and the last; 0 keeps none.

    Raises:
        MammoError: an image of another form, with a value that is not finite, or, if literal, not square; a model
            that computes in another precision or lacks an output of the score.
    """
    settings = settings or DirectedDream()
    images, single = activation.batched(start)
    if images.shape[-1] > 2:
        raise cases.MammoError(f"dream: {images.shape[-1]} channels; expected 1, or 2 where they are two views")
    if settings.literal and images.shape[1] != images.shape[2]:
        raise cases.MammoError(f"dream: literal turns need a square image, found {images.shape[1:3]}")
    images = np.clip(images, -settings.clip_image, settings.clip_image) + np.float32(0)  # -0 would not survive + 0
    score = activation.scorer(model, settings.score, settings.direction)
    x, scores, saliency, frames = _dreamt(_step(score, settings, images.shape), settings, images, frame_every)
    found = {"start": images, "image": x, "before": score(images), "after": score(x), "saliency": saliency}
    result = Dream(settings, scores=scores, frames=frames, **{name: np.array(part) for name, part in found.items()})
    return result.one(0) if single else result


def _dreamt(
    step: Callable[..., list[tf.Tensor]], settings: DirectedDream, images: np.ndarray, frame_every: int
) -> tuple[tf.Tensor, np.ndarray, tf.Tensor, Frames | None]:
    """Image, score of each iteration, last saliency and frames."""
    count, height, width, channels = images.shape
    x, scores, kept = tf.constant(images), [], []
    for i in range(settings.iterations):
        draw = alteration.draw(
            settings.altering,
            (height, width),
            planes=count * channels,
            seed=settings.seed,
            iteration=i,
            step_deg=90 if settings.literal else 1,
        )
        x, score, saliency = step(x, tf.constant(draw.turn), tf.constant(draw.boxes))
        scores.append(score)
        if frame_every and ((i + 1) % frame_every == 0 or i + 1 == settings.iterations):
            kept.append((i + 1, x.numpy(), saliency.numpy()))
    frames = Frames(*map(np.stack, zip(*kept, strict=True))) if kept else None
    return x, tf.stack(scores).numpy(), saliency, frames


def _step(
    score: Callable[[tf.Tensor], tf.Tensor], settings: DirectedDream, shape: tuple[int, ...]
) -> Callable[..., list[tf.Tensor]]:
    """(x, turn, boxes) -> (x, score (B,), saliency), traced once."""
    count, height, width, channels = shape
    planes, boxes = count * channels, settings.altering.boxes[1]
    signature = [
        tf.TensorSpec(shape, tf.float32),
        tf.TensorSpec((planes, 2, 2), tf.float32),
        tf.TensorSpec((planes, boxes, 4), tf.int32),
    ]

    def split(images):
        return tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (planes, height, width))

    def joined(parts):
        return tf.transpose(tf.reshape(parts, (count, channels, height, width)), (0, 2, 3, 1))

    @tf.function(input_signature=signature, autograph=False)
    def step(x, turn, boxes):
        places, kept = alteration.places(turn, (height, width)), alteration.kept(boxes, (height, width))
        seen = alteration.warp(split(x), places)
        altered = tf.where(kept, seen, 0.0)
        value, gradient = activation.slope(score, joined(altered))
        push = tf.clip_by_value(zscore(split(gradient)), -settings.clip_gradient, settings.clip_gradient)
        back = alteration.transpose(tf.where(kept, push, 0.0), places)
        if settings.literal:
            moved = _clipped(altered + settings.learning_rate * push, settings)
            x = joined(alteration.transpose(tf.where(kept, moved, seen), places))
        else:
            x = _clipped(x + settings.learning_rate * joined(back), settings)
        return x, value, joined(back)

    return step.get_concrete_function()


def one_map(model: keras.Model, images: np.ndarray, score: activation.Score = activation.MALIGNANT) -> np.ndarray:
    """The plain saliency beside a dream's: the gradient of the score at images (B, H, W, C) as they are, z-scored.

    Each channel by itself, as a dream does it; float32 of the same shape.
    """
    _, gradient = activation.slope(activation.scorer(model, score), tf.constant(images, tf.float32))
    planes = tf.reshape(tf.transpose(gradient, (0, 3, 1, 2)), (-1, *images.shape[1:3]))
    maps = tf.reshape(zscore(planes), (len(images), images.shape[3], *images.shape[1:3]))
    return tf.transpose(maps, (0, 2, 3, 1)).numpy()


def _clipped(x: tf.Tensor, settings: DirectedDream) -> tf.Tensor:
    return tf.clip_by_value(x, -settings.clip_image, settings.clip_image)


def zscore(maps: tf.Tensor) -> tf.Tensor:
    """Each of (P, H, W) less its mean, over its standard deviation; 0 where it is constant."""
    size = tf.reduce_max(tf.abs(maps), axis=(1, 2), keepdims=True)
    scaled = tf.math.divide_no_nan(maps, size)  # or the squares of a saturated net's gradient vanish
    off = scaled - tf.reduce_mean(scaled, axis=(1, 2), keepdims=True)
    deviation = tf.sqrt(tf.reduce_mean(off**2, axis=(1, 2), keepdims=True))
    return tf.where(deviation > CONSTANT, tf.math.divide_no_nan(off, deviation), 0.0)
