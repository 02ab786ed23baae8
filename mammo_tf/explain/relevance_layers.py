"""What relevance propagation does with each type of layer; layers with weights, and sums, go to `relevance_rules`.

    ReLU, dropout, an identity, response
    normalisation                              relevance passes: y = d x, with d held fixed
    max-pool                                   the winner of each window takes all
    padding, cropping, flattening, a view,
    concatenation                              relevance goes where the value came from
    average pools, upsampling, filter bank     by contribution: x times the slope at R / y, without eps
    softmax                                    x times the slope at R / y too: its first-order term; the rest is told

The filter bank before the first layer is part of that layer under rule ZB. The image and each Gaussian blur of it lie
between the bounds, so the response n - w of a narrow and a wide Gaussian stands above a lower bound of its own by
(n - low) + (high - w), and below an upper one by (high - n) + (w - low), each a sum over pixels with weights above 0.

Layers are told by their class, the suite's own by the name that Keras saves them under.

    shared = relevance_layers.handler(layer)(layer, (x,), relevance)
    affine = relevance_layers.affine(layer, signed=True)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import relevance_rules as rules

ALGORITHM_VERSION = 1
BANK = "mammo_tf>DoGFilterBank"

Inputs = tuple[tf.Tensor, ...]
Handler = Callable[[keras.Layer, Inputs, tf.Tensor], rules.Shared]


def applied(layer: keras.Layer, inputs: Inputs) -> tf.Tensor:
    """The layer's output; layers infer unless told to train."""
    return layer(inputs[0] if len(inputs) == 1 else list(inputs))


def passed(layer: keras.Layer, inputs: Inputs, relevance: tf.Tensor) -> rules.Shared:
    """The relevance of the output is that of the input."""
    return rules.Shared((relevance,))


def routed(layer: keras.Layer, inputs: Inputs, relevance: tf.Tensor) -> rules.Shared:
    """Each output is one of the inputs, which gets its relevance."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = applied(layer, inputs)
    return rules.Shared(tuple(tape.gradient(output, inputs, relevance)))


def linear(layer: keras.Layer, inputs: Inputs, relevance: tf.Tensor) -> rules.Shared:
    """By contribution, for a layer of one input without a bias."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = applied(layer, inputs)
    quotient, lost = rules.divided(relevance, output)
    (slope,) = tape.gradient(output, inputs, quotient)
    return rules.Shared((inputs[0] * slope,), stabiliser=rules.total(lost))


def first_order(layer: keras.Layer, inputs: Inputs, relevance: tf.Tensor) -> rules.Shared:
    """Gradient x input of a nonlinear layer, and what that leaves of the relevance."""
    shared = linear(layer, inputs, relevance)
    left = rules.total(relevance) - rules.total(shared.inputs[0]) - shared.stabiliser
    return rules.Shared(shared.inputs, stabiliser=shared.stabiliser, remainder=left)


HANDLERS: dict[Any, Handler] = {
    keras.layers.ReLU: passed,
    keras.layers.Dropout: passed,
    keras.layers.Identity: passed,
    "mammo_tf>LocalResponseNormalization": passed,
    keras.layers.MaxPooling2D: routed,
    keras.layers.ZeroPadding2D: routed,
    keras.layers.Cropping2D: routed,
    keras.layers.Flatten: routed,
    keras.layers.Concatenate: routed,
    "mammo_tf>View": routed,
    keras.layers.AveragePooling2D: linear,
    keras.layers.GlobalAveragePooling2D: linear,
    keras.layers.UpSampling2D: linear,
    "mammo_tf>AdaptiveAveragePool": linear,
    BANK: linear,
    keras.layers.Softmax: first_order,
}


def handler(layer: keras.Layer) -> Handler | None:
    """What a layer without weights does with relevance; None for a layer that `affine` takes."""
    return _found(HANDLERS, layer)


def _found(table: dict[Any, Any], layer: keras.Layer) -> Any:
    return table.get(type(layer)) or table.get(keras.saving.get_registered_name(type(layer)))


def is_bank(layer: keras.Layer) -> bool:
    """Whether it is the bank of difference-of-Gaussians filters."""
    return keras.saving.get_registered_name(type(layer)) == BANK


def averages(layer: keras.Layer) -> bool:
    """Whether each output is a sum over inputs with weights of at least 0, or one of the inputs."""
    if type(layer) is keras.layers.MaxPooling2D:
        return tuple(layer.pool_size) == (1, 1)  # a stride, no choice
    if type(layer) in (keras.layers.Dropout, keras.layers.Identity):
        return True
    takes_one = type(layer) is not keras.layers.Concatenate and not is_bank(layer)
    return takes_one and handler(layer) in (routed, linear)


def keeps_sign(layer: keras.Layer) -> bool:
    """Whether inputs of at least 0 give outputs of at least 0."""
    return type(layer) is keras.layers.Add or (handler(layer) is not None and not is_bank(layer))


def makes_sign(layer: keras.Layer) -> bool:
    """Whether outputs are at least 0 whatever the inputs."""
    return type(layer) is keras.layers.Softmax or (type(layer) is keras.layers.ReLU and not layer.negative_slope)


def affine(layer: keras.Layer, *, signed: bool) -> rules.Affine:
    """A layer with weights, or a sum, as `relevance_rules` takes it; `signed` as there."""
    return _found(AFFINE, layer)(layer, signed)


def _convolution(layer: keras.layers.Conv2D, signed: bool) -> rules.Affine:
    return rules.Affine(layer.convolution_op, tf.convert_to_tensor(layer.kernel), _bias(layer), signed)


def _dense(layer: keras.layers.Dense, signed: bool) -> rules.Affine:
    return rules.Affine(_weighted, tf.convert_to_tensor(layer.kernel), _bias(layer), signed)


def _normalisation(layer: keras.layers.BatchNormalization, signed: bool) -> rules.Affine:
    scale, shift = _scale_shift(layer)
    return rules.Affine(tf.multiply, scale, shift, signed)


def _sum(layer: keras.layers.Add, signed: bool) -> rules.Affine:
    """Of inputs stacked along a new first axis."""
    return rules.Affine(_summed, tf.ones(()), tf.zeros(()), signed)


def _bias(layer: keras.Layer) -> tf.Tensor:
    return tf.convert_to_tensor(layer.bias) if layer.use_bias else tf.zeros(())


def _weighted(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.tensordot(x, kernel, 1)


def _summed(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(x * kernel, axis=0)


AFFINE: dict[Any, Callable[..., rules.Affine]] = {
    keras.layers.Conv2D: _convolution,
    keras.layers.Dense: _dense,
    keras.layers.BatchNormalization: _normalisation,
    "mammo_tf>BatchNormalization": _normalisation,
    keras.layers.Add: _sum,
}


def is_weighted(layer: keras.Layer) -> bool:
    """Whether it is a convolution or a dense layer."""
    return _found(AFFINE, layer) in (_convolution, _dense)


def is_normalisation(layer: keras.Layer) -> bool:
    """Whether it is a batch norm."""
    return _found(AFFINE, layer) is _normalisation


def folded(before: rules.Affine, norm: keras.layers.BatchNormalization) -> rules.Affine:
    """A convolution or dense layer and the batch norm after it as one layer: the shift counts as its bias."""
    scale, shift = _scale_shift(norm)
    return rules.Affine(before.function, before.kernel * scale, before.bias * scale + shift, before.signed)


def _scale_shift(norm: keras.layers.BatchNormalization) -> tuple[tf.Tensor, tf.Tensor]:
    scale = tf.math.rsqrt(tf.convert_to_tensor(norm.moving_variance) + norm.epsilon)
    scale = scale * norm.gamma if norm.scale else scale
    shift = -norm.moving_mean * scale
    return scale, shift + norm.beta if norm.center else shift


def both_ends(layer: keras.Layer, pair: rules.Pair) -> rules.Pair:
    """How far values are above their low bound and below their high one: of a layer's input, and of its output.

    The layer is one that `averages`, or the filter bank.
    """
    if is_bank(layer):
        return _bank_ends(layer, *pair)
    return applied(layer, pair[:1]), applied(layer, pair[1:])


def _bank_ends(bank: keras.Layer, above: tf.Tensor, below: tf.Tensor) -> rules.Pair:
    narrow = bank.sigmas
    wide = [bank.ratio * sigma for sigma in narrow]
    (a, b), (c, d) = ([_blurred(x, s, bank.truncate) for s in (narrow, wide)] for x in (above, below))
    return tf.concat([above, a - d], axis=-1), tf.concat([below, c - b], axis=-1)


def _blurred(x: tf.Tensor, sigmas: list[float], truncate: float) -> tf.Tensor:
    """(B, H, W, C) by each Gaussian, (B, H, W, S C)."""
    height, width, channels = x.shape[1:]
    rows, columns = (
        tf.constant(np.stack([_gaussian(size, sigma, truncate) for sigma in sigmas]), tf.float32)
        for size in (height, width)
    )
    by_rows = tf.einsum("shi,bijc->sbhjc", rows, x)
    blurred = tf.einsum("swj,sbhjc->bhwsc", columns, by_rows)
    return tf.reshape(blurred, (-1, height, width, len(sigmas) * channels))


def _gaussian(size: int, sigma: float, truncate: float) -> np.ndarray:
    """The blur of a row of pixels beside its mirror images as a matrix (size, size); its rows sum to 1."""
    reach = int(truncate * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    places = (np.arange(size)[:, None] + offsets) % (2 * size)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], np.minimum(places, 2 * size - 1 - places)), kernel / kernel.sum())
    return matrix


def refuse_unknown(layer: Any, rank: int) -> None:
    """Raises MammoError where relevance propagation has no rule for the layer, whose output has that rank."""
    what = f"layer {layer.name} ({type(layer).__name__})"
    if isinstance(layer, keras.Model):
        raise cases.MammoError(f"relevance: {what} is a model; the net must be flat")
    if not isinstance(layer, keras.Layer) or not (_found(HANDLERS, layer) or _found(AFFINE, layer)):
        raise cases.MammoError(f"relevance: there is no rule for {what}")
    if getattr(layer, "activation", keras.activations.linear) is not keras.activations.linear:
        name = keras.activations.serialize(layer.activation)
        raise cases.MammoError(f"relevance: {what} has activation {name} fused in; make it a layer of its own")
    channels_last = getattr(layer, "data_format", "channels_last") == "channels_last"
    if not channels_last or (is_normalisation(layer) and layer.axis not in (-1, rank - 1)):
        raise cases.MammoError(f"relevance: {what} takes its channels along another axis than the last")
    if type(layer) is keras.layers.UpSampling2D and layer.interpolation not in ("nearest", "bilinear"):
        raise cases.MammoError(f"relevance: there is no rule for {what} with interpolation {layer.interpolation}")
