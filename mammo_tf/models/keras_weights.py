"""Weights in Keras' files, of today and of old, into our nets by layer name, strict both ways for the backbone.

Three forms are read: `.keras` and `.weights.h5` of Keras 3; the older `.h5` with the attributes `layer_names` and
`weight_names`, at its root (weights alone) or in the group `model_weights` (a whole model). Within a layer weights go
by order, as in Keras itself: kernel, bias; gamma, beta, mean, variance. ImageNet files are `keras.applications`' own.

    keras_weights.load_by_name(model, keras_weights.imagenet_resnet50())
    keras_weights.load_keras20(model, "resnet50_s10_512x1.h5")       # a net built with compat="keras2.0"
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Collection, Mapping

import keras
import numpy as np

from mammo_tf import cases
from mammo_tf.models import resnet50, weights

BASE_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
RESNET50_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
VGG16_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
INCEPTION_V3_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
# MD5 sums as keras.applications gives them.
RESNET50_MD5 = "4d473c1dd8becc155b73f8504c6f6626"
VGG16_MD5 = "6d6bbae143d832006294945121d1f1fc"
INCEPTION_V3_MD5 = "bcbd6486424b2319ff4ef7d526e38f63"

# Prefixes of the layers that belong to no backbone: the classifier, and what stands on top of a whole-image net.
HEADS = ("logits", "top_", "heatmap")


def imagenet_resnet50() -> pathlib.Path:
    """The file of Keras' ImageNet weights of ResNet50: found in `<cache>/weights`, else downloaded there (94 MB).

    Raises:
        MammoError: there is no file and no way to it; says how to get one. Random weights never stand in for them.
    """
    url = f"{BASE_URL}/resnet/{RESNET50_FILE}"
    return weights.found_or_fetched("ResNet50", (RESNET50_FILE,), url, file_hash=RESNET50_MD5)


def imagenet_vgg16() -> pathlib.Path:
    """The file of Keras' ImageNet weights of VGG16 (59 MB), as `imagenet_resnet50`."""
    url = f"{BASE_URL}/vgg16/{VGG16_FILE}"
    return weights.found_or_fetched("VGG16", (VGG16_FILE,), url, file_hash=VGG16_MD5)


def imagenet_inception_v3() -> pathlib.Path:
    """The file of Keras' ImageNet weights of Inception V3 (88 MB), as `imagenet_resnet50`."""
    url = f"{BASE_URL}/inception_v3/{INCEPTION_V3_FILE}"
    return weights.found_or_fetched("InceptionV3", (INCEPTION_V3_FILE,), url, file_hash=INCEPTION_V3_MD5)


def load_by_name(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    skip: tuple[str, ...] = HEADS,
    names: Mapping[str, str] | None = None,
) -> None:
    """Sets the weights of the backbone's layers; the others stay as they are.

    Args:
        model: a patch net or a whole-image net of this package.
        path: .keras, .weights.h5 or an older .h5.
        skip: prefixes of the layers, of the net and of the file, that are left alone.
        names: the file's name of each layer by ours; where given, other layers of the file are left alone too.

    Raises:
        DataError: the file cannot be read, lacks a layer of the backbone, holds another, or a shape differs; nothing
            is loaded then.
    """
    path = pathlib.Path(path)
    try:
        weights.assign(matched(model, read(path), skip=skip, names=names))
    except cases.DataError:
        raise
    except cases.MammoError as error:
        raise cases.DataError(path, str(error)) from error


def load_keras20(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Sets the backbone from a file of Keras 2.0, such as the weights that Shen et al. published; heads stay.

    Args:
        model: VGG16, or ResNet50 built with `compat="keras2.0"`, alone or in a whole-image net.
        path: an .h5 of weights or of a whole model.

    Raises:
        MammoError: the ResNet50 is built as today's, whose graph differs.
        DataError: as for `load_by_name`, but for the file's other layers, which are left alone.
    """
    layers = [layer for layer in model.layers if not layer.name.startswith(HEADS)]
    epsilon = {layer.name: layer.epsilon for layer in layers if layer.name == "conv1_bn"}.get("conv1_bn")
    if epsilon not in (None, resnet50.EPSILON["keras2.0"]):
        raise cases.MammoError(
            f"{path}: Keras 2.0's ResNet50 has batch norm epsilon {resnet50.EPSILON['keras2.0']}, the net {epsilon}: "
            'build it with compat="keras2.0"'
        )
    load_by_name(model, path, names={layer.name: resnet50.KERAS20.get(layer.name, layer.name) for layer in layers})


def matched(
    model: keras.Model,
    state: Mapping[str, np.ndarray],
    *,
    skip: tuple[str, ...] = HEADS,
    names: Mapping[str, str] | None = None,
) -> list[tuple[str, keras.Variable, np.ndarray]]:
    """What `weights.assign` takes: (name, variable, value) of each weight of the backbone.

    Args:
        state: `layer name/index` -> array, as `read` gives it.
        model, skip, names: as for `load_by_name`.

    Raises:
        MammoError: lists the weights that only the net or only the file has.
    """
    names = names or {}
    wanted = {
        f"{names.get(layer.name, layer.name)}/{i}": (layer.name, variable)
        for layer in model.layers
        if not layer.name.startswith(skip)
        for i, variable in enumerate(layer.weights)
    }
    found = {key for key in state if not key.startswith(skip) and (not names or _layer(key) in names.values())}
    if "res2a_branch2a/0" in found.difference(wanted):
        raise cases.MammoError(
            "a file of Keras 2.0, whose ResNet50 was another: "
            'build the net with compat="keras2.0" and use load_keras20'
        )
    weights.refuse_difference(wanted, found, "file of weights")
    return [(f"{key} -> {ours} ({to.name})", to, state[key]) for key, (ours, to) in wanted.items()]


def _layer(key: str) -> str:
    return key.rpartition("/")[0]


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads any of the three forms: `layer name/index` -> array.

    Raises:
        DataError: the file is missing, is something else, or holds no weights.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise cases.DataError(path, "no such file of weights")
    if path.suffix not in (".keras", ".h5", ".hdf5"):
        raise cases.DataError(path, f"Keras' weights end in .keras or .h5, not {path.suffix!r}")
    state = (_read_legacy(path) if path.suffix != ".keras" else None) or weights.read_keras(path)
    if not state:
        raise cases.DataError(path, "holds no layer with weights")
    return state


def _read_legacy(path: pathlib.Path) -> dict[str, np.ndarray] | None:
    """The older form; None where the file is of today's."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            if not {"layer_names", "layer_names0"} & set(root.attrs):
                return None
            return {
                f"{layer}/{i}": root[layer][weight][()]
                for layer in _strings(root.attrs, "layer_names")
                for i, weight in enumerate(_strings(root[layer].attrs, "weight_names"))
            }
    except (OSError, KeyError) as error:
        raise cases.DataError(path, f"not a readable Keras file of weights ({error})") from error


def _strings(attributes: Mapping[str, Collection[bytes | str]], name: str) -> list[str]:
    """A list of names; one too long for an attribute is kept in pieces, `name0`, `name1`, ..."""
    pieces = [attributes[name]] if name in attributes else []
    while f"{name}{len(pieces)}" in attributes:
        pieces.append(attributes[f"{name}{len(pieces)}"])
    return [text.decode() if isinstance(text, bytes) else str(text) for piece in pieces for text in piece]
