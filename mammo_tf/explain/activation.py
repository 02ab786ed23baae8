"""Activation maximisation: the image that a class, or any unit of a net, answers to most; and the scores it climbs.

    x* = argmax S(x) - (l2 |x|^2 + tv TV(x)) / n

S is a weighted sum of logits, or one unit of a layer; n counts the values of an image, so that the weights mean the
same at any size. The L2 prior is that of Simonyan et al. 2014 (arXiv:1312.6034, section 2, equation 1), total
variation that of Mahendran and Vedaldi 2015 (doi:10.1109/CVPR.2015.7299155) with exponent 1: TV(x) is the sum of
|differences| between neighbours in a row and in a column.

    blank = activation.maximise(model, activation.Maximisation(score=activation.unit("block3_conv1", 7)))
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases

ALGORITHM_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Score:
    """A weighted sum of a net's outputs.

    Attributes:
        terms: (index of the output, weight), each index once.
        layer: the layer whose outputs count, of a map their means over the pixels; None for the net's logits.
    """

    terms: tuple[tuple[int, float], ...]
    layer: str | None = None


MALIGNANT = Score(((1, 1.0), (0, -1.0)))  # dy/dS = [-1, +1]: the logit of class 1 up, that of class 0 down


def unit(layer: str, channel: int) -> Score:
    """The score that is one unit of one layer."""
    return Score(((channel, 1.0),), layer)


@dataclasses.dataclass(frozen=True)
class Maximisation:
    """Settings. Adam takes the steps, so the learning rate is in units of the image's values, whatever the net.

    Attributes:
        score: what is climbed.
        iterations, learning_rate: of Adam; at least 1, and above 0.
        l2: weight of the mean square of an image's values, in units of the score.
        total_variation: weight of its total variation a value, in units of the score.
        clip_image: bound of the image, None for none.
    """

    score: Score = MALIGNANT
    iterations: int = 400
    learning_rate: float = 0.05
    l2: float = 0.05
    total_variation: float = 0.05
    clip_image: float | None = 3.0

    def __post_init__(self):
        if self.iterations < 1 or self.learning_rate <= 0:
            raise cases.MammoError(
                f"maximise: iterations must be 1 or more, learning_rate above 0; "
                f"found {self.iterations}, {self.learning_rate}"
            )


@dataclasses.dataclass(frozen=True)
class Maximised:
    """What was found.

    Attributes:
        settings: how.
        start, image: (H, W, C) or (B, H, W, C) float32, as `maximise` was called.
        scores: S without the priors, of each iteration's image before its step: (iterations,) or (iterations, B).
    """

    settings: Maximisation
    start: np.ndarray
    image: np.ndarray
    scores: np.ndarray


def maximise(model: keras.Model, settings: Maximisation | None = None, start: np.ndarray | None = None) -> Maximised:
    """Climbs a score from a blank image, or from a given one.

    Args:
        model: images (B, H, W, C) -> logits (B, K), computing in float32; run in inference mode.
        settings: None for the defaults.
        start: (H, W, C), or (B, H, W, C), each image by itself; None for one of zeros, the mean of normalised images.

    Raises:
        MammoError: an image of another form or with a value that is not finite; a model that computes in another
            precision, lacks an output of the score, or, without a start, takes any size.
    """
    settings = settings or Maximisation()
    if start is None and None in model.input_shape[1:]:
        raise cases.MammoError(f"maximise: the model takes {model.input_shape}; give a start of the size wanted")
    images, single = batched(np.zeros(model.input_shape[1:]) if start is None else start)
    x = keras.Variable(images)
    step = _step(scorer(model, settings.score), settings, x)
    scores = tf.stack([step() for _ in range(settings.iterations)]).numpy()
    final = np.array(x.value)
    if single:
        return Maximised(settings, images[0], final[0], scores[:, 0])
    return Maximised(settings, images, final, scores)


def _step(
    score: Callable[[tf.Tensor], tf.Tensor], settings: Maximisation, x: keras.Variable
) -> Callable[[], tf.Tensor]:
    """() -> score (B,) of `x`, which is then moved; traced once."""
    adam = keras.optimizers.Adam(settings.learning_rate)
    adam.build([x])

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            images = tf.convert_to_tensor(x.value)
            tape.watch(images)
            value = score(images)
            priors = settings.l2 * tf.reduce_sum(images**2, axis=(1, 2, 3))
            priors += settings.total_variation * tf.image.total_variation(images)
            cost = tf.reduce_sum(priors / math.prod(images.shape[1:]) - value)
        adam.apply([tape.gradient(cost, images)], [x])
        if settings.clip_image is not None:
            x.assign(tf.clip_by_value(x.value, -settings.clip_image, settings.clip_image))
        return value

    return step.get_concrete_function()


def scorer(model: keras.Model, score: Score, direction: int = 1) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function images (B, H, W, C) -> direction * score (B,) float32.

    Raises:
        MammoError: a layer computes in another precision than float32; the layer or an output is not there.
    """
    for layer in _layers(model):
        if layer.compute_dtype != "float32":
            raise cases.MammoError(
                f"{model.name}: layer {layer.name} computes in {layer.compute_dtype}, expected float32; "
                "recast the net first"
            )
    net = model if score.layer is None else up_to(model, score.layer)
    outputs = net.output_shape[-1]
    weights = np.zeros(outputs, np.float32)
    for index, weight in score.terms:
        if not 0 <= index < outputs:
            raise cases.MammoError(f"score: output {index} is not among the {outputs} of {score.layer or model.name}")
        weights[index] = direction * weight

    def scores(images):
        found = net(images, training=False)
        if len(found.shape) == 4:
            found = tf.reduce_mean(found, axis=(1, 2))
        return tf.linalg.matvec(found, weights)

    return scores


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else (layer,)


def up_to(model: keras.Model, name: str) -> keras.Model:
    """The net from its input to the output of a layer.

    Raises:
        MammoError: there is no such layer.
    """
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise cases.MammoError(f"{model.name} has no layer {name}; there are {', '.join(names)}")
    return keras.Model(model.input, model.get_layer(name).output)


def slope(score: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The score (B,) of each image (B, H, W, C) and its gradient; images do not mix in inference mode."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = score(images)
        total = tf.reduce_sum(value)
    return value, tape.gradient(total, images)


def batched(start: np.ndarray) -> tuple[np.ndarray, bool]:
    """The image or images as (B, H, W, C) float32, and whether there was one alone.

    Raises:
        MammoError: another shape, nothing, or a value that is not finite.
    """
    images = np.asarray(start, np.float32)
    if images.ndim not in (3, 4) or not images.size:
        raise cases.MammoError(f"dream: expected (H, W, C) or (B, H, W, C), found {images.shape}")
    if wrong := int((~np.isfinite(images)).sum()):
        raise cases.MammoError(f"dream: {wrong} of {images.size} values of the image are not finite")
    return (images, False) if images.ndim == 4 else (images[None], True)
