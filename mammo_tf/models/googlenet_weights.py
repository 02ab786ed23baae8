"""torchvision's GoogLeNet state dict into `googlenet.TORCHVISION`, strict both ways.

torchvision's own file, `googlenet-1378be20.pth`, expects RGB images in [-1, 1], not ImageNet's mean and deviation.

    x = keras.Input((224, 224, 3))
    model = keras.Model(x, googlenet.googlenet(x, classes=1000, variant=googlenet.TORCHVISION))
    googlenet_weights.load_googlenet(model, weights.read_torch_state(path), head=True)
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from mammo_tf import cases
from mammo_tf.models import googlenet, weights

_HEADS = ("logits", *(f"{name}_logits" for name in googlenet.AUXILIARY))


def _convolutions() -> dict[str, str]:
    """PyTorch's name of each convolution with its batch norm, by ours."""
    names = {f"stem_conv{i}": f"conv{i}" for i in (1, 2, 3)} | {
        f"{name}_conv1": f"{name}.conv" for name in ("aux1", "aux2")
    }
    for module in googlenet.MODULES:
        ours, theirs = f"inception{module}_branch", f"inception{module}.branch"
        names |= {f"{ours}1_conv1": f"{theirs}1", f"{ours}4_conv1": f"{theirs}4.1"}
        names |= {f"{ours}{b}_conv{i}": f"{theirs}{b}.{i - 1}" for b in (2, 3) for i in (1, 2)}
    return names


def _layers() -> dict[str, str]:
    names = {"logits": "fc"}
    for ours, theirs in _convolutions().items():
        names |= {ours: f"{theirs}.conv", ours.replace("conv", "bn"): f"{theirs}.bn"}
    for name in googlenet.AUXILIARY:
        names |= {f"{name}_fc1": f"{name}.fc1", f"{name}_logits": f"{name}.fc2"}
    return names


# PyTorch's name of a module, by our layer's.
GOOGLENET = _layers()


def load_googlenet(model: keras.Model, state: Mapping[str, np.ndarray], *, head: bool) -> None:
    """Sets the weights of a GoogLeNet of the form TORCHVISION.

    Args:
        model: holds the net's layers, the auxiliary classifiers or not; without them the file's are left alone.
        state: parameter name -> array, as `weights.read_torch_state` gives it.
        head: whether the last layers of the classifiers are loaded too; if not, they stay as they are.

    Raises:
        MammoError: the net is of another form, a name is missing or unexpected, or a shape differs; nothing is loaded
            then.
    """
    own = {layer.name for layer in model.layers}
    absent = tuple(f"{name}." for name in googlenet.AUXILIARY if f"{name}_logits" not in own)
    heads = () if head else tuple(f"{GOOGLENET[name]}." for name in _HEADS)
    layers = {ours: theirs for ours, theirs in GOOGLENET.items() if not f"{theirs}.".startswith(absent)}
    if lacking := sorted(layers.keys() - own):
        raise cases.MammoError(f"no GoogLeNet of the form TORCHVISION: the net has no layer {lacking[0]}")
    if not head:
        layers = {ours: theirs for ours, theirs in layers.items() if ours not in _HEADS[1:]}
    kept = {name: _flattened(name, value) for name, value in state.items() if not name.startswith((*absent, *heads))}
    weights.load_torch(model, kept, layers, head=head)


def _flattened(name: str, value: np.ndarray) -> np.ndarray:
    """The columns of an auxiliary classifier's first layer in our order: PyTorch flattens CHW, Keras HWC."""
    grid = googlenet.AUX_GRID
    if not name.endswith(".fc1.weight") or value.ndim != 2 or value.shape[1] % grid**2:
        return value
    return value.reshape(len(value), -1, grid, grid).transpose(0, 2, 3, 1).reshape(value.shape)
