"""Published weights of the NYU net: a PyTorch state dict into `nyu_resnet22`, strict both ways.

The names are those that the published files are known by; none was at hand, and a file that differs is refused with
the names on either side. `cc` stands for either projection.

    four_view_resnet.cc.first_conv                        stem
    four_view_resnet.cc.layer_list.S.B.{bn1,conv1,...}    block B of stage S, from 0; downsample.0 is its shortcut
    four_view_resnet.cc.final_bn
    fc1_lcc, output_layer_lcc.fc_layer                    image-wise, each view
    fc1_cc, output_layer_cc.fc_layer                      view-wise, each projection

    state = weights.read_torch_state("sample_image_model.pth")
    nyu_weights.load_one_view(model, state, "lcc")
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from mammo_tf import cases
from mammo_tf.models import nyu_resnet22, weights

_BLOCK = {"bn1": "bn1", "conv1": "conv1", "bn2": "bn2", "conv2": "conv2", "shortcut_conv": "downsample.0"}
VARIABLE = "MAMMO_TF_NYU_WEIGHTS"
_OUTPUT = "output_layer_{}.fc_layer"


def load_one_view(model: keras.Model, state: Mapping[str, np.ndarray], view: str) -> None:
    """Sets the weights of `nyu_resnet22.one_view` to those of one view of an image-wise state dict.

    The net takes the first two of the view's four pairs.

    Args:
        model: the net.
        state: parameter name -> array, as `weights.read_torch_state` gives it; what belongs to other views stays.
        view: of `nyu_resnet22.VIEWS`.

    Raises:
        MammoError: no such view; a name of the view is missing or unexpected, or a shape differs; nothing is loaded
            then.
    """
    _refuse(view)
    resnet, fc, output = f"four_view_resnet.{view[1:]}.", f"fc1_{view}", _OUTPUT.format(view)
    mine = {name: value for name, value in state.items() if name.startswith((resnet, f"{fc}.", f"{output}."))}
    pairs = 2 * len(nyu_resnet22.OF_A_BREAST)
    mine = {name: value[:pairs] if name.startswith(f"{output}.") else value for name, value in mine.items()}
    layers = {**_resnet(model, resnet), fc: model.get_layer("fc"), output: model.get_layer("logits")}
    weights.load_layers(layers, mine)


def _refuse(view: str) -> None:
    if view not in nyu_resnet22.VIEWS:
        raise cases.MammoError(f"NYU: no view {view!r}; there are {', '.join(nyu_resnet22.VIEWS)}")


def load_features(model: keras.Model, state: Mapping[str, np.ndarray], view: str) -> None:
    """Sets the weights of `nyu_resnet22.resnet22_features` to those of a view's ResNet; raises as `load_one_view`."""
    _refuse(view)
    prefix = f"four_view_resnet.{view[1:]}."
    weights.load_layers(_resnet(model, prefix), {k: v for k, v in state.items() if k.startswith(prefix)})


def load_file(model: keras.Model, path: str | os.PathLike[str], *, view: str) -> None:
    """Sets the weights of `one_view` (or `compared`) or of `resnet22_features` from a file, strict both ways.

    Args:
        model: the net; one without the layer `fc` gets the ResNet alone.
        path: the released file of an image-wise net (.pth, .pt, .safetensors), or .keras of `nyu_resnet22.breast`.
        view: of `nyu_resnet22.VIEWS`.

    Raises:
        DataError: the file cannot be read, or does not fit the net; nothing is loaded then.
        MammoError: no such view.
    """
    _refuse(view)
    path = pathlib.Path(path)
    whole = any(layer.name == "fc" for layer in model.layers)
    try:
        if path.suffix == ".keras":
            _load_breast(model, weights.read_keras(path), f"{view[1:]}_", whole)
        else:
            (load_one_view if whole else load_features)(model, weights.read_torch_state(path), view)
    except cases.DataError:
        raise
    except cases.MammoError as error:
        raise cases.DataError(path, str(error)) from error


def _load_breast(model: keras.Model, state: Mapping[str, np.ndarray], prefix: str, whole: bool) -> None:
    found = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not whole:
        found = {name: value for name, value in found.items() if name.split("/")[0] not in ("fc", "logits")}
    wanted = {f"{layer.name}/{i}": v for layer in model.layers for i, v in enumerate(_trained(layer))}
    weights.refuse_difference(wanted, found, f"file of weights, layers {prefix}*")
    weights.assign([(name, variable, found[name]) for name, variable in wanted.items()])


def _trained(layer: keras.Layer) -> list[keras.Variable]:
    """What the layer learns and averages: not the state of a generator of noise."""
    return [] if isinstance(layer, keras.layers.GaussianNoise) else layer.weights


def released() -> pathlib.Path:
    """The file of released weights, which the variable MAMMO_TF_NYU_WEIGHTS names.

    Raises:
        MammoError: it names none.
    """
    named = os.environ.get(VARIABLE, "").strip()
    if not named or not pathlib.Path(named).is_file():
        raise cases.MammoError(
            f"the weights of the NYU net are needed: set {VARIABLE} to the released image-wise state dict (.pth, .pt "
            f"or .safetensors; found {named or 'nothing'}), name it with --weights FILE, or take --weights phantom"
        )
    return pathlib.Path(named)


released.source = "nyu"  # what a record calls these weights


def load_view_wise(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of a net of `nyu_resnet22.view_wise` from its whole state dict; raises as `load_one_view`."""
    weights.load_layers(_of_an_exam(model, nyu_resnet22.PROJECTIONS), state)


def load_image_wise(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of a net of `nyu_resnet22.image_wise` from its whole state dict; raises as `load_one_view`."""
    weights.load_layers(_of_an_exam(model, nyu_resnet22.VIEWS), state)


def _of_an_exam(model: keras.Model, names: Sequence[str]) -> dict[str, keras.Layer]:
    found = {}
    for projection in nyu_resnet22.PROJECTIONS:
        found |= _resnet(model.get_layer(f"resnet_{projection}"), f"four_view_resnet.{projection}.")
    for name in names:
        found[f"fc1_{name}"] = model.get_layer(f"fc1_{name}")
        found[_OUTPUT.format(name)] = model.get_layer(f"logits_{name}")
    return found


def _resnet(net: keras.Model, prefix: str) -> dict[str, keras.Layer]:
    """PyTorch's name of each module of a ResNet-22 -> our layer."""
    found = {f"{prefix}first_conv": net.get_layer("stem_conv"), f"{prefix}final_bn": net.get_layer("final_bn")}
    for s, stage in enumerate(nyu_resnet22.STAGES):
        for b in range(nyu_resnet22.BLOCKS):
            for ours, theirs in _BLOCK.items():
                if ours != "shortcut_conv" or b == 0:
                    found[f"{prefix}layer_list.{s}.{b}.{theirs}"] = net.get_layer(f"{stage}_block{b + 1}_{ours}")
    return found
