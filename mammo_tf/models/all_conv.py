"""A patch classifier becomes a classifier of whole images, in one flat graph: Shen et al. 2019, section 2.1.

    h(M) = g(f(M))        f: the patch net without its pooling, or its heatmap; g: a top of `all_conv_heads`

The patch net's convolutions take an image of any size and give a larger feature map. Sliding the patch net's own head
(average pooling, then a fully connected layer) over it is an average pooling of stride 1 and a 1x1 convolution: the
heatmap. It equals the head on each pool x pool window of the feature map exactly. It equals the patch net on each
patch of the image only where the backbone pads nothing: the patch net sees zeros where the image goes on
(benchmarks/heatmap_padding.py measures the difference).

    x = keras.Input((1152, 896, 3))
    logits = all_conv.whole_image(x, backbone=resnet50.resnet50_features, top=all_conv_heads.VggTop())
    model = keras.Model(x, logits)
    all_conv.patch_weights(model, "patch_net.keras")
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Literal

import keras

from mammo_tf import cases
from mammo_tf.models import blocks, keras_weights, weights

ALGORITHM_VERSION = 1

Function = Callable[..., keras.KerasTensor]


@dataclasses.dataclass(frozen=True)
class Heatmap:
    """The patch net's head slid over the feature map.

    Attributes:
        classes: of the patch net.
        pool: side of the patch net's last feature map: 7 for patches of 224 pixels and a stride of 32.
        activation: "relu" (equation 2), or "softmax" (equation 1) for probabilities.
    """

    classes: int = 5
    pool: int = 7
    activation: Literal["relu", "softmax"] = "relu"

    def __call__(self, x: keras.KerasTensor, *, seed: int = 0) -> keras.KerasTensor:
        """Features (B, H, W, C) to (B, H - pool + 1, W - pool + 1, classes), float32.

        Raises:
            MammoError: the pool is larger than the feature map, or the activation is another.
        """
        if self.activation not in ("relu", "softmax"):
            raise cases.MammoError(f"heatmap: the activation is relu or softmax, not {self.activation!r}")
        if any(side is not None and side < self.pool for side in x.shape[1:3]):
            window, found = f"{self.pool}x{self.pool}", f"{x.shape[1]}x{x.shape[2]}"
            raise cases.MammoError(f"heatmap: a window of {window} does not fit on a feature map of {found}")
        x = keras.layers.AveragePooling2D(self.pool, strides=1, name="heatmap_pool")(x)
        x = keras.layers.Conv2D(
            self.classes,
            1,
            kernel_initializer=blocks.fan_in_uniform(blocks.layer_seed(seed, "heatmap_logits")),
            dtype="float32",
            name="heatmap_logits",
        )(x)
        activation = keras.layers.ReLU if self.activation == "relu" else keras.layers.Softmax
        return activation(dtype="float32", name="heatmap")(x)


def whole_image(
    x: keras.KerasTensor,
    *,
    backbone: Function,
    top: Function,
    heatmap: Heatmap | None = None,
    classes: int = 2,
    seed: int = 0,
) -> keras.KerasTensor:
    """The net as a function.

    Args:
        x: images (B, H, W, C), of any size that the backbone takes.
        backbone: images -> features, such as `resnet50.resnet50_features`; called with `seed`.
        top: features or heatmap -> logits, such as `all_conv_heads.VggTop()`; called with `classes` and `seed`.
        heatmap: stands between the two; None: the top sees the features themselves.
        classes: number of outputs.
        seed: fixes the initial weights.

    Returns:
        Logits (B, classes), float32.
    """
    x = backbone(x, seed=seed)
    if heatmap:
        x = heatmap(x, seed=seed)
    return top(x, classes=classes, seed=seed)


def convert(
    patch_model: keras.Model,
    *,
    cut: str,
    input_shape: tuple[int | None, int | None, int],
    top: Function,
    heatmap: Heatmap | None = None,
    seed: int = 0,
) -> keras.Model:
    """A patch net of one's own, with its weights, as the bottom of a whole-image net; the patch net stays as it is.

    Args:
        patch_model: flat (no model as a layer); its layers' names are kept.
        cut: the name of the layer that pools the feature map; what comes before it is the backbone.
        input_shape: of an image, (H, W, C).
        top: features or heatmap -> logits; called with `seed`. `functools.partial(top, classes=3)` for more than 2.
        heatmap: None, or the patch net's head between the two: it must then be a global average pooling, `cut`, and
            one fully connected layer (dropout between them is left out).
        seed: fixes the initial weights of the top.

    Returns:
        The net, flat: images (B, H, W, C) to logits.

    Raises:
        MammoError: there is no such layer, a layer is a model, or the head is no such head.
    """
    images, features = _backbone(patch_model, cut, input_shape)
    x = heatmap(features, seed=seed) if heatmap else features
    model = keras.Model(images, top(x, seed=seed))
    return _with_weights(model, patch_model, cut)


def heatmap_net(
    patch_model: keras.Model,
    *,
    pool: int,
    input_shape: tuple[int | None, int | None, int],
    activation: Literal["relu", "softmax"] = "softmax",
    cut: str = "pool",
) -> keras.Model:
    """The patch net slid over an image: (B, H, W, C) to (B, u, v, classes).

    Args:
        patch_model, input_shape, cut: as for `convert` with a heatmap.
        pool: side of the patch net's last feature map.
        activation: softmax gives probabilities.
    """
    images, features = _backbone(patch_model, cut, input_shape)
    classes = _head(patch_model, cut).units
    return _with_weights(keras.Model(images, Heatmap(classes, pool, activation)(features)), patch_model, cut)


def patch_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Puts a saved patch net's weights into a whole-image net by name, `logits` into `heatmap_logits` if it has one.

    Args:
        model: a `whole_image` net; its top stays as it is.
        path: .keras, .weights.h5 or an older .h5 of the patch net.

    Raises:
        DataError: the file cannot be read, lacks a layer of the backbone, holds another, or a shape differs; nothing
            is loaded then.
    """
    path = pathlib.Path(path)
    try:
        state = keras_weights.read(path)
        pairs = keras_weights.matched(model, state)
        if any(layer.name == "heatmap_logits" for layer in model.layers):
            weights.refuse_difference(("logits/0", "logits/1"), filter(_of_logits, state), "patch net's head")
            kernel, bias = model.get_layer("heatmap_logits").weights
            pairs.append(("logits/0 -> heatmap_logits", kernel, state["logits/0"][None, None]))
            pairs.append(("logits/1 -> heatmap_logits", bias, state["logits/1"]))
        weights.assign(pairs)
    except cases.DataError:
        raise
    except cases.MammoError as error:
        raise cases.DataError(path, str(error)) from error


def _of_logits(key: str) -> bool:
    return key.startswith("logits/")


def _backbone(
    patch_model: keras.Model, cut: str, input_shape: tuple[int | None, ...]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """A copy of the layers before `cut` on another input size: (images, features)."""
    nested = [layer.name for layer in patch_model.layers if isinstance(layer, keras.Model)]
    if nested:
        raise cases.MammoError(
            f"convert: the patch net must be flat, and these layers are models: {', '.join(nested)}"
        )
    bottom = keras.Model(patch_model.inputs, _layer(patch_model, cut).input)
    copy = keras.models.clone_model(bottom, input_tensors=[keras.Input(input_shape)])
    return copy.inputs[0], copy.outputs[0]


def _layer(model: keras.Model, name: str) -> keras.Layer:
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise cases.MammoError(f"convert: the patch net has no layer {name!r}; its last are {', '.join(names[-5:])}")
    return model.get_layer(name)


def _with_weights(model: keras.Model, patch_model: keras.Model, cut: str) -> keras.Model:
    names = {layer.name for layer in patch_model.layers}
    for layer in model.layers:
        if layer.name == "heatmap_logits":
            kernel, bias = _head(patch_model, cut).get_weights()
            if kernel.shape != layer.kernel.shape[2:]:
                raise cases.MammoError(
                    f"heatmap: {layer.kernel.shape[-1]} classes, but the patch net's head has {kernel.shape[-1]}"
                )
            layer.set_weights([kernel[None, None], bias])
        elif layer.name in names and not layer.name.startswith(keras_weights.HEADS):
            layer.set_weights(patch_model.get_layer(layer.name).get_weights())
    return model


def _head(patch_model: keras.Model, cut: str) -> keras.layers.Dense:
    """The fully connected layer of a patch net that ends in average pooling (`cut`), dropout or none, and this."""
    dense = [layer for layer in patch_model.layers if isinstance(layer, keras.layers.Dense)]
    if len(dense) == 1 and isinstance(_layer(patch_model, cut), keras.layers.GlobalAveragePooling2D):
        below = _below(dense[0])
        while isinstance(below, keras.layers.Dropout):
            below = _below(below)
        if below.name == cut and dense[0].use_bias:
            return dense[0]
    raise cases.MammoError(
        f"heatmap: the patch net must end in a GlobalAveragePooling2D {cut!r} and one Dense layer with a bias; "
        f"its last layers are {', '.join(f'{a.name} ({type(a).__name__})' for a in patch_model.layers[-4:])}"
    )


def _below(layer: keras.Layer) -> keras.Layer:
    return layer.input._keras_history.operation
