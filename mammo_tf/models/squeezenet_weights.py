"""Weights of SqueezeNet: torchvision's state dicts, and Keras' file of ImageNet weights; strict both ways.

torchvision's files, `squeezenet1_0-b66bff10.pth` and `squeezenet1_1-b8a52dc0.pth`, expect ImageNet's mean and
deviation (`normalize.imagenet`). Keras' file holds the features of 1.1, taken over from its authors' Caffe net: it
expects blue, green, red of 0 to 255 less their means (`normalize.imagenet_caffe`).

    squeezenet_weights.load_squeezenet(model, weights.read_torch_state(path), head=True)
    squeezenet_weights.load_backbone(model, squeezenet_weights.imagenet_squeezenet())
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping

import keras
import numpy as np

from mammo_tf import cases
from mammo_tf.models import keras_weights, squeezenet, weights

URL = "https://github.com/DeepCognition/keras-squeezenet/releases/download/v0.4"
FILE = "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
MD5 = "80b66c92d79d4310e07fb60a297bf0d1"

# The convolutions of a fire module in PyTorch and in Keras' file, by ours.
_TORCH_FIRE = {"squeeze_conv": "squeeze", "expand1_conv": "expand1x1", "expand3_conv": "expand3x3"}
_KERAS_FIRE = {**_TORCH_FIRE, "squeeze_conv": "squeeze1x1"}
_FIRST_FIRE = 3  # of torchvision's features: before it a convolution, ReLU and max-pool


def torch_layers(variant: squeezenet.Variant) -> dict[str, str]:
    """PyTorch's name of a module, by our layer's; max-pools are counted too, so each form has other names."""
    names, at = {"stem_conv": "features.0", squeezenet.HEAD: "classifier.1"}, _FIRST_FIRE
    for fire in squeezenet.FIRES:
        names |= {f"{fire}_{ours}": f"features.{at}.{theirs}" for ours, theirs in _TORCH_FIRE.items()}
        at += 2 if fire in variant.pooled else 1
    return names


# The name in Keras' file of each layer that holds weights, by ours.
KERAS = {"stem_conv": "conv1", squeezenet.HEAD: "conv10"} | {
    f"{fire}_{ours}": f"{fire}/{theirs}" for fire in squeezenet.FIRES for ours, theirs in _KERAS_FIRE.items()
}


def load_squeezenet(model: keras.Model, state: Mapping[str, np.ndarray], *, head: bool) -> None:
    """Sets the weights of a `squeezenet.squeezenet` from a torchvision state dict.

    Args:
        model: holds the net's layers; the places of its max-pools tell 1.0 from 1.1.
        state: parameter name -> array, as `weights.read_torch_state` gives it.
        head: whether the convolution to the class maps is loaded too; if not, it stays as it is.

    Raises:
        MammoError: the net is no SqueezeNet, a name is missing or unexpected, or a shape differs; nothing is loaded
            then.
    """
    weights.load_torch(model, state, torch_layers(_variant(model, head=head)), head=head)


def _variant(model: keras.Model, *, head: bool) -> squeezenet.Variant:
    own = {layer.name for layer in model.layers}
    if lacking := sorted(KERAS.keys() - own - (set() if head else {squeezenet.HEAD})):
        raise cases.MammoError(f"no SqueezeNet: the net has no layer {lacking[0]}")
    pooled = tuple(fire for fire in squeezenet.FIRES if f"{fire}_pool" in own)
    return squeezenet.Variant(pooled=pooled)


def load_keras(model: keras.Model, path: str | os.PathLike[str], *, head: bool = False) -> None:
    """Sets the weights of a SqueezeNet 1.1 from Keras' file, which belongs to the graph `squeezenet.KERAS`.

    The weights fit V1_1 as well, and both graphs give the same where no max-pool cuts a window off, as at 224 pixels.

    Args:
        model: the net or its features.
        path: the older .h5, with or without the convolution to the class maps.
        head: whether that is loaded too; if not, it is left alone in the file and in the net.

    Raises:
        DataError: the file cannot be read, lacks a layer, holds another, or a shape differs; nothing is loaded then.
    """
    path, ours = pathlib.Path(path), {theirs: name for name, theirs in KERAS.items()}
    renamed = {}
    for key, value in keras_weights.read(path).items():
        layer, _, index = key.rpartition("/")
        renamed[f"{ours.get(layer, layer)}/{index}"] = value
    try:
        weights.assign(keras_weights.matched(model, renamed, skip=() if head else keras_weights.HEADS))
    except cases.MammoError as error:
        raise cases.DataError(path, str(error)) from error


def load_backbone(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Sets all layers but `logits`, which stays as initialised: the start of transfer learning.

    Args:
        model: a SqueezeNet, its features, or another net on top of them whose own layers begin with
            `keras_weights.HEADS`.
        path: Keras' .h5; a .safetensors, .pth or .pt with torchvision's names; .keras or .weights.h5 of the same net.

    Raises:
        DataError: the file cannot be read, or does not fit the net.
    """
    path = pathlib.Path(path)
    if path.name.endswith((".keras", ".weights.h5")):
        keras_weights.load_by_name(model, path)
    elif path.suffix in (".h5", ".hdf5"):
        load_keras(model, path)
    else:
        state = weights.read_torch_state(path)
        try:
            load_squeezenet(model, state, head=False)
        except cases.MammoError as error:
            raise cases.DataError(path, str(error)) from error


def imagenet_squeezenet() -> pathlib.Path:
    """The file of ImageNet weights of SqueezeNet 1.1 for Keras: found in `<cache>/weights`, else downloaded (3 MB).

    Raises:
        MammoError: there is no file and no way to it; says how to get one. Random weights never stand in for them.
    """
    return weights.found_or_fetched("SqueezeNet", (FILE,), f"{URL}/{FILE}", file_hash=MD5)
