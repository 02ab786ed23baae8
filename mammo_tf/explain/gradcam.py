"""Grad-CAM: where on a net's last map lies what speaks for the class.

    alpha_k = 1/Z sum_ij dS / dA_k(i, j)            Selvaraju et al. 2017, arXiv:1610.02391, section 3, equation 1
    L = max(sum_k alpha_k A_k, 0)                   equation 2

A_k is channel k of the map of one layer, of Z = u v places, and S the score of the class before the softmax. Of a net
whose map is averaged and weighted to logits, L is the class activation map of Zhou et al. 2016 (arXiv:1512.04150)
over Z, without what is below 0.

    maps = gradcam.gradcam(model, images, classes)                         # (N, H, W)
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import answers, kept, relevance_graph

ALGORITHM_VERSION = 1


def gradcam(
    model: keras.Model,
    images: np.ndarray,
    classes: int | np.ndarray | None = None,
    *,
    layer: str | None = None,
    batch: int = 32,
) -> np.ndarray:
    """The map of each image, brought to its size bilinearly; cells tile the image evenly.

    Args:
        model: functional, images (B, H, W, C) -> logits (B, K); run in inference mode and in float32, whatever the
            precision that it was trained in.
        images: (N, H, W, C) float, normalised as the model expects.
        classes: one for all or (N,); None: the predicted class of each.
        layer: whose output is the map (B, u, v, channels); None for `last_map`. Of a net of two branches that is one
            of the second branch, which shows nothing of the first.
        batch: images a step; no result depends on it.

    Returns:
        (N, H, W) float32, at least 0, in score per cell of the map; 0 everywhere where all speaks against the class.

    Raises:
        MammoError: images of another form; no such class or layer; the layer, or no layer at all, gives a map.
    """
    net = relevance_graph.in_float32(model)
    images, classes = answers.checked(net, images, classes, "Grad-CAM")
    name = last_map(net) if layer is None else layer
    names = [each.name for each in net.layers]
    if name not in names:
        raise cases.MammoError(f"Grad-CAM: {net.name} has no layer {name}; there are {', '.join(names)}")
    found = net.get_layer(name).output
    if len(found.shape) != 4:
        raise cases.MammoError(f"Grad-CAM: {name} gives {tuple(found.shape)}, expected a map (B, u, v, channels)")
    shape = images.shape[1:]
    call = kept.of(net, ("gradcam", name, shape), lambda: _shown(net, found, shape))
    out = np.empty(images.shape[:3], np.float32)
    for at in range(0, len(images), batch):
        part = slice(at, at + batch)
        out[part] = call(tf.constant(images[part]), tf.constant(classes[part])).numpy()
    return out


def _shown(
    net: keras.Model, found: keras.KerasTensor, shape: tuple[int, ...]
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    both = keras.Model(net.inputs, [found, net.outputs[0]])
    signature = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int32)]

    @tf.function(input_signature=signature, autograph=False)
    def shown(some, chosen):
        with tf.GradientTape() as tape:
            tape.watch(some)  # of a frozen net nothing else is on the tape
            units, logits = both(some, training=False)
            score = tf.reduce_sum(tf.gather(logits, chosen, batch_dims=1))  # images do not mix in inference mode
        alpha = tf.reduce_mean(tape.gradient(score, units), axis=(1, 2), keepdims=True)
        weighted = tf.nn.relu(tf.reduce_sum(alpha * units, axis=-1, keepdims=True))
        return tf.image.resize(weighted, shape[:2])[..., 0]

    return shown.get_concrete_function()


def last_map(model: keras.Model) -> str:
    """The name of the last layer that gives a map (B, u, v, channels) of more than one row and column.

    Where there is none, the last that gives one of any size. Neither the input nor a padding, whose rim is no place
    in the image, is one of them.

    Raises:
        MammoError: no layer gives a map.
    """
    no_map = (keras.layers.InputLayer, keras.layers.ZeroPadding2D)
    layers = [layer for layer in model.layers if not isinstance(layer, no_map)]
    shapes = {layer.name: tuple(getattr(layer.output, "shape", ())) for layer in layers}
    maps = [name for name, shape in shapes.items() if len(shape) == 4]
    wide = [name for name in maps if 1 not in shapes[name][1:3]]
    if not maps:
        raise cases.MammoError(f"Grad-CAM: {model.name} has no layer with a map (B, u, v, channels)")
    return (wide or maps)[-1]
