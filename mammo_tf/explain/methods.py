"""Every method of explanation by its name: what makes its explainer for a net and its images, and how to draw it.

An explainer is what `answers` calls one, (model, images, classes) -> maps. Where the sign of a map says nothing, as
with the two that rewire the backward pass, it gives strengths (`answers.Strength`). Two methods give no such map and
have no scores: "unit_masking" shows what one unit sees, "activation_maximisation" a picture for each class.

    seen, images = given.images, given.inputs                      # (N, H, W) in [0, 1], and normalised (N, H, W, C)
    explainer = METHODS["lrp_composite"].make(model, images, bounds(seen, images))
    maps = answers.explained(explainer, model, images, classes)    # (N, H, W)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import (
    activation,
    answers,
    gradcam,
    gradients,
    integrated,
    masking,
    relevance,
    rewire,
    sanity,
    scores,
)

ALGORITHM_VERSION = 1

Bounds = tuple[tuple[float, ...], tuple[float, ...]]
Make = Callable[[keras.Model, np.ndarray, Bounds], answers.Explainer]

SQUARES = 8  # of the occlusion along the shorter side of an image, side by side; they move by half of one
STAGES = 2  # of the sanity check, where its callers set none: a map is made twice for each
SETTINGS = scores.Settings(randomisation=sanity.Randomisation(stages=STAGES))
UNIT_MASKING, ACTIVATION_MAXIMISATION = "unit_masking", "activation_maximisation"


@dataclasses.dataclass(frozen=True)
class Method:
    """A method whose maps can be scored.

    Attributes:
        make: (model, normalised images (N, H, W, C), `bounds` of them) -> explainer. What it takes from the images
            are their size and the bounds, so it is as well for flipped ones and for a net with random weights.
        signed: whether maps speak for the class above 0 and against it below; else they are at least 0.
    """

    make: Make
    signed: bool


@dataclasses.dataclass(frozen=True)
class Propagation:
    """The explainer that is relevance by some rules: (N, H, W, C) float32."""

    rules: relevance.Rules

    def __call__(self, model: keras.Model, images: np.ndarray, classes: np.ndarray | int | None = None) -> np.ndarray:
        return relevance.propagate(model, images, self.rules, classes).relevance


def gradient_x_input(
    model: keras.Model, images: np.ndarray, classes: int | np.ndarray | None = None, *, batch: int = 32
) -> np.ndarray:
    """Each value times the derivative of the class's score by it (Shrikumar et al. 2016, arXiv:1605.01713).

    Args:
        model: images (B, H, W, C) -> logits (B, K); run in inference mode.
        images: (N, H, W, C) float, normalised as the model expects; 0 is where a value counts for nothing.
        classes: one for all or (N,); None: the predicted class of each.
        batch: images a step; no result depends on it.

    Returns:
        (N, H, W, C) float32, of either sign.
    """
    images, classes = answers.checked(model, images, classes, "gradient x input")
    return images * gradients.by_image(model, images, classes, batch=batch)


def _plain(explainer: answers.Explainer, model: keras.Model, images: np.ndarray, bounds: Bounds) -> answers.Explainer:
    return explainer


def _of(explainer: answers.Explainer, *, signed: bool) -> Method:
    return Method(functools.partial(_plain, explainer), signed)


def _occlusion(model: keras.Model, images: np.ndarray, bounds: Bounds) -> answers.Explainer:
    side = max(1, min(images.shape[1:3]) // SQUARES)
    return functools.partial(masking.occlusion, settings=masking.Occlusion(side, max(1, side // 2)))


def _composite(model: keras.Model, images: np.ndarray, bounds: Bounds) -> answers.Explainer:
    return Propagation(relevance.composite(*bounds))


METHODS: dict[str, Method] = {
    "saliency": _of(gradients.saliency, signed=False),
    "smoothgrad": _of(functools.partial(gradients.smoothgrad, seed=0), signed=False),
    "gradient_x_input": _of(gradient_x_input, signed=True),
    "integrated_gradients": _of(integrated.integrated_gradients, signed=True),
    "occlusion": Method(_occlusion, True),
    "lrp_epsilon": _of(Propagation(relevance.EPSILON), signed=True),
    "lrp_z_plus": _of(Propagation(relevance.Z_PLUS), signed=True),
    "lrp_composite": Method(_composite, True),
    "deconvnet": _of(answers.Strength(rewire.deconvnet), signed=False),
    "guided_backpropagation": _of(answers.Strength(rewire.guided_backpropagation), signed=False),
    "gradcam": _of(gradcam.gradcam, signed=False),
}


def explainers(
    names: tuple[str, ...], model: keras.Model, seen: np.ndarray, images: np.ndarray
) -> dict[str, answers.Explainer]:
    """The explainers of some methods for a net and its images, by name.

    Args:
        names: of `METHODS`.
        model: images (B, H, W, C) -> logits (B, K).
        seen: (N, H, W) in [0, 1], before normalisation.
        images: (N, H, W, C), after it.

    Raises:
        MammoError: no such method.
    """
    if wrong := [name for name in names if name not in METHODS]:
        raise cases.MammoError(f"no method {', '.join(wrong)} with maps; there are {', '.join(METHODS)}")
    between = bounds(seen, images)
    return {name: METHODS[name].make(model, images, between) for name in names}


def bounds(seen: np.ndarray, images: np.ndarray) -> Bounds:
    """What a black and a white pixel become by the normalisation, each channel: the bounds of rule ZB.

    Every normalisation of the suite is affine, image by image, so that the least and the greatest value of an image
    tell it: one map for all images, or for each its own, of which the lowest black and the highest white are taken.
    Images of one value tell nothing.

    Args:
        seen: (N, H, W) in [0, 1], before normalisation.
        images: (N, H, W, C), after it.

    >>> bounds(np.array([[[0.0, 0.5]], [[0.2, 0.2]]]), np.array([[[[-1.0], [0.0]]], [[[-0.6], [-0.6]]]]))
    ((-1.0,), (1.0,))
    """
    least, most = seen.min(axis=(1, 2)), seen.max(axis=(1, 2))
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))  # (N, C)
    varies = most > least
    if not varies.any():
        return tuple((low.min(axis=0) - 0.5).tolist()), tuple((high.max(axis=0) + 0.5).tolist())
    least, most, low, high = (np.asarray(part[varies], np.float64) for part in (least, most, low, high))
    slope = (high - low) / (most - least)[:, None]
    black = np.minimum(low - slope * least[:, None], low)  # an image is never outside, whatever the rounding
    white = np.maximum(high + slope * (1 - most)[:, None], high)
    return tuple(black.min(axis=0).tolist()), tuple(white.max(axis=0).tolist())


def centred(model: keras.Model) -> keras.Model:
    """The net with the mean of all logits taken off each, in a copy: W_k - mean W, b_k - mean b of the last layer.

    No probability changes, but the score of a class is now what speaks for it less what speaks for the others, and
    of two classes it is above 0 where the class is predicted. Logits as they are may all be below 0, and methods that
    share a score out then give a map that is negative everywhere, whatever the net says. A net that does not end in
    a dense layer without activation is given back as it is.
    """
    last = model.outputs[0]._keras_history.operation
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.linear:
        return model
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    weights = [w - w.mean(axis=-1, keepdims=True) for w in last.get_weights()]
    copy.get_layer(last.name).set_weights(weights)
    return copy


@dataclasses.dataclass(frozen=True)
class Units:
    """The unit of a layer that gives most to the score of an image's class, and what it sees.

    Attributes:
        layer: its name.
        channels: (N,) int.
        activations: (N, H, W) float32, at the size of the images.
        masks: (N, H, W) bool, what `masking.mask_by_unit` keeps.
    """

    layer: str
    channels: np.ndarray
    activations: np.ndarray
    masks: np.ndarray


def units(
    model: keras.Model, images: np.ndarray, classes: int | np.ndarray | None = None, layer: str | None = None
) -> Units:
    """Image masking by the unit that answers most to the class, image by image.

    What a unit gives is the sum over its map A of A dS_k / dA, the first-order term of what silencing it would take.

    Args:
        model: flat, images (B, H, W, C) -> logits (B, K).
        images, classes: as for `gradient_x_input`.
        layer: whose units; None for `gradcam.last_map`.

    Raises:
        MammoError: there is no such layer, or none with a map.
    """
    images, classes = answers.checked(model, images, classes, "unit masking")
    layer = layer or gradcam.last_map(model)
    channels = _given(model, images, classes, layer).argmax(axis=1)
    activations, masks = np.empty(images.shape[:3], np.float32), np.empty(images.shape[:3], bool)
    for channel in np.unique(channels):
        rows = channels == channel
        found = masking.mask_by_unit(model, images[rows], masking.UnitMasking(layer, int(channel)))
        activations[rows], masks[rows] = found.activations, found.masks
    return Units(layer, channels, activations, masks)


def _given(model: keras.Model, images: np.ndarray, classes: np.ndarray, layer: str) -> np.ndarray:
    both = keras.Model(model.input, [activation.up_to(model, layer).output, model.output])
    found = []
    for image, index in zip(images, classes, strict=True):
        with tf.GradientTape() as tape:
            x = tf.constant(image[None])
            tape.watch(x)
            maps, logits = both(x, training=False)
            score = logits[0, int(index)]
        found.append(tf.reduce_sum(maps * tape.gradient(score, maps), axis=(0, 1, 2)).numpy())
    return np.array(found, np.float32)


def maximised(
    model: keras.Model,
    index: int,
    settings: activation.Maximisation | None = None,
    start: np.ndarray | None = None,
) -> activation.Maximised:
    """The picture of one class: of its logit less the mean of the others.

    Args:
        model, start: as for `activation.maximise`.
        index: the class.
        settings: None for the defaults; their score gives way.

    Raises:
        MammoError: the net has no such class, or computes in another precision than float32.
    """
    count = model.output_shape[-1]
    if not 0 <= index < count:
        raise cases.MammoError(f"maximise: class {index} is not among the {count} of {model.name} (from 0)")
    terms = tuple((k, 1.0 if k == index else -1.0 / (count - 1)) for k in range(count))
    settings = dataclasses.replace(settings or activation.Maximisation(), score=activation.Score(terms))
    return activation.maximise(model, settings, start)
