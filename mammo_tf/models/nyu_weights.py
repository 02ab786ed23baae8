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

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from mammo_tf import cases
from mammo_tf.models import nyu_resnet22, weights

_BLOCK = {"bn1": "bn1", "conv1": "conv1", "bn2": "bn2", "conv2": "conv2", "shortcut_conv": "downsample.0"}
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
    if view not in nyu_resnet22.VIEWS:
        raise cases.MammoError(f"NYU: no view {view!r}; there are {', '.join(nyu_resnet22.VIEWS)}")
    resnet, fc, output = f"four_view_resnet.{view[1:]}.", f"fc1_{view}", _OUTPUT.format(view)
    mine = {name: value for name, value in state.items() if name.startswith((resnet, f"{fc}.", f"{output}."))}
    pairs = 2 * len(nyu_resnet22.OF_A_BREAST)
    mine = {name: value[:pairs] if name.startswith(f"{output}.") else value for name, value in mine.items()}
    layers = {**_resnet(model, resnet), fc: model.get_layer("fc"), output: model.get_layer("logits")}
    weights.load_layers(layers, mine)


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
