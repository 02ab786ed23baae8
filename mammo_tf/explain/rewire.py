"""What in the image answers for a score, by backward passes whose ReLUs are rewired: deconvnet, guided backprop.

At a ReLU y = max(x, 0), with R the signal that comes back to y, what goes on to x is

    gradient                  R where x > 0               that of `gradients`
    deconvnet                 max(R, 0)                   Zeiler and Fergus 2014, arXiv:1311.2901, section 2.1
    guided backpropagation    max(R, 0) where x > 0       Springenberg et al. 2014, arXiv:1412.6806, section 3.4

(the table is that of Springenberg's figure 1). Convolutions and dense layers are transposed, without their biases;
max-pools put the signal where the maximum was (the switches), and add it up where windows overlap. Every other layer
hands back its derivative, response normalisation and a softmax inside the net too, for which no paper has a rule.

The sign of a value says which way to move a pixel, not whether it speaks for the class; `answers.Strength` drops it.

    maps = rewire.guided_backpropagation(model, images, classes)                        # (N, H, W, C)
    seen = rewire.deconvnet(model, images, layer="block3_relu1", channel=7)             # what that unit sees
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import activation, answers, gradients, kept, relevance_graph
from mammo_tf.explain import relevance_layers as layers

ALGORITHM_VERSION = 1

Backward = Callable[[tf.Tensor], tf.Tensor]
Relu = Callable[[tf.Tensor], tuple[tf.Tensor, Backward]]

_ALSO_KNOWN = {
    keras.layers.Activation,
    keras.layers.DepthwiseConv2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Rescaling,
    keras.layers.Reshape,
}
_KNOWN = {*layers.HANDLERS, *layers.AFFINE, *_ALSO_KNOWN}


def deconvnet(
    model: keras.Model,
    images: np.ndarray,
    classes: int | np.ndarray | None = None,
    *,
    layer: str | None = None,
    channel: int | None = None,
    batch: int = 32,
) -> np.ndarray:
    """What a deconvnet projects down to the image, from a class or from one unit.

    From a class the signal starts as 1 at its logit, as a gradient does. From a unit it starts, as in the paper, as
    the greatest activation of one channel in each image, where that is, with all else zero; activations below 0 are
    rectified first, so that a convolution and the ReLU after it give the same.

    Args:
        model: flat, images (B, H, W, C) to logits (B, K); run in inference mode and in float32, whatever the
            precision that it was trained in.
        images: (N, H, W, C) float, normalised as the model expects.
        classes: one for all or (N,); None: the predicted class of each. With a layer they change nothing.
        layer: whose output is (B, u, v, channels) or (B, channels); None for the class.
        channel: of that layer; None for the one with the greatest activation in each image.
        batch: images a step; no result depends on it.

    Returns:
        (N, H, W, C) float32, of either sign, in score per unit of the image; from a unit times its activation.

    Raises:
        MammoError: images of another form; no such class, layer or channel; a model that is not flat, has another
            form, ends in a softmax, or holds a nonlinearity that there is no rule for.
    """
    if layer is None:
        if channel is not None:
            raise cases.MammoError(f"deconvnet: channel {channel} is that of no layer; give the layer too")
        return _from_class(model, images, classes, _deconvnet_relu, batch, "deconvnet")
    relevance_graph.refuse_form(model, "deconvnet")
    images, _ = answers.checked(model, images, 0 if classes is None else classes, "deconvnet")
    cut = kept.of(model, ("up_to", layer), lambda: activation.up_to(model, layer))
    count = cut.output_shape[-1]
    if channel is not None and not 0 <= channel < count:
        raise cases.MammoError(f"deconvnet: channel {channel} is not among the {count} of {layer} (from 0)")
    net, shape = _rewired(cut, _deconvnet_relu, "deconvnet"), images.shape[1:]
    project = kept.of(net, ("projection", channel, shape), lambda: _projection(net, channel, shape))
    parts = [project(tf.constant(images[at : at + batch])).numpy() for at in range(0, len(images), batch)]
    return np.concatenate([np.zeros((0, *images.shape[1:]), np.float32), *parts])


def guided_backpropagation(
    model: keras.Model, images: np.ndarray, classes: int | np.ndarray | None = None, *, batch: int = 32
) -> np.ndarray:
    """The gradient of the class's score, but for what a ReLU gets that is below 0.

    Args:
        model, images, classes, batch: as for `deconvnet` from a class.

    Returns:
        (N, H, W, C) float32, of either sign, in score per unit of the image.

    Raises:
        MammoError: as for `deconvnet`.
    """
    return _from_class(model, images, classes, _guided_relu, batch, "guided backpropagation")


@tf.custom_gradient
def _deconvnet_relu(x: tf.Tensor) -> tuple[tf.Tensor, Backward]:
    return tf.nn.relu(x), tf.nn.relu


@tf.custom_gradient
def _guided_relu(x: tf.Tensor) -> tuple[tf.Tensor, Backward]:
    def backward(signal):
        return tf.where(x > 0, tf.nn.relu(signal), tf.zeros_like(signal))

    return tf.nn.relu(x), backward


def _from_class(
    model: keras.Model, images: np.ndarray, classes: int | np.ndarray | None, relu: Relu, batch: int, what: str
) -> np.ndarray:
    relevance_graph.refuse_form(model, what)
    last = model.outputs[0]._keras_history.operation
    if isinstance(last, keras.layers.Softmax):
        raise cases.MammoError(f"{what}: {model.name} ends in softmax {last.name}; give the model up to its logits")
    net = _rewired(model, relu, what)
    return gradients.by_image(net, *answers.checked(net, images, classes, what), batch=batch)


def _projection(net: keras.Model, channel: int | None, shape: tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Images -> what comes back of the strongest activation of each, traced once for any batch."""

    @tf.function(input_signature=[tf.TensorSpec((None, *shape), tf.float32)], autograph=False)
    def project(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            found = net(images, training=False)
        return tape.gradient(found, images, _strongest(found, channel))

    return project.get_concrete_function()


def _strongest(found: tf.Tensor, channel: int | None) -> tf.Tensor:
    """Zeros but for the greatest value of each image (B, ..., channels), of one channel or of all, if above 0."""
    rectified = tf.nn.relu(found)
    if channel is not None:
        rectified *= tf.one_hot(channel, found.shape[-1])
    flat = tf.reshape(rectified, (tf.shape(found)[0], -1))
    only = flat * tf.one_hot(tf.argmax(flat, axis=-1), tf.shape(flat)[-1])
    return tf.reshape(only, tf.shape(found))


def _rewired(model: keras.Model, relu: Relu, what: str) -> keras.Model:
    """A copy with the same weights in float32, whose ReLUs have another backward pass."""
    return kept.twin(model, ("rewired", relu), functools.partial(_copied, model, relu, what))


def _copied(model: keras.Model, relu: Relu, what: str) -> keras.Model:
    for operation in model.operations:
        _refuse_unknown(operation, what)

    def copied(layer):
        config = {**layer.get_config(), "dtype": "float32"}
        if isinstance(layer, keras.layers.ReLU):
            return keras.layers.Activation(relu, name=layer.name, dtype="float32")
        return type(layer).from_config({**config, "activation": relu} if _is_relu(layer) else config)

    return keras.models.clone_model(model, clone_function=copied)


def _is_relu(layer: keras.Layer) -> bool:
    return getattr(layer, "activation", None) is keras.activations.relu


def _refuse_unknown(operation: Any, what: str) -> None:
    if isinstance(operation, keras.layers.InputLayer):
        return
    name = f"layer {operation.name} ({type(operation).__name__})"
    if isinstance(operation, keras.Model):
        raise cases.MammoError(f"{what}: {name} is a model; the net must be flat")
    kinds = {type(operation), keras.saving.get_registered_name(type(operation))}
    if not isinstance(operation, keras.Layer) or not kinds & _KNOWN:
        raise cases.MammoError(f"{what}: there is no rule for {name}")
    fused = getattr(operation, "activation", keras.activations.linear)
    if fused not in (keras.activations.linear, keras.activations.relu):
        raise cases.MammoError(f"{what}: there is no rule for {keras.activations.serialize(fused)} of {name}")
    if isinstance(operation, keras.layers.ReLU):
        given = {key: getattr(operation, key) for key in ("negative_slope", "max_value", "threshold")}
        if any(given.values()) or given["max_value"] is not None:
            raise cases.MammoError(f"{what}: there is no rule for {name} with {given}; expected max(x, 0)")
