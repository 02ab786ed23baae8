"""Pre-trained weights: PyTorch state dicts and Keras files into our nets, strict both ways.

Parameter names are torchvision's, and timm's `resnet18.tv_in1k` holds torchvision's IMAGENET1K_V1 weights under them.
One rule turns a tensor over: input and output channels go last, in this order (OIHW -> HWIO, OI -> IO).

    weights.load_resnet18(model, weights.read_torch_state(path), head=False)
    weights.load_backbone(model, weights.imagenet_resnet18())
"""

from __future__ import annotations

import io
import pathlib
import re
import zipfile
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from mammo_tf import cases
from mammo_tf.models import alexnet, resnet

IMAGENET_URL = "https://huggingface.co/timm/resnet18.tv_in1k/resolve/main/model.safetensors"
IMAGENET_FILES = ("resnet18.tv_in1k.safetensors", "resnet18-f37072fd.pth", "resnet18-5c106cde.pth")

_PARAMETERS = {  # PyTorch's name of a parameter, by ours
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_HEAD = "logits"


def _resnet18_layers() -> dict[str, str]:
    names = {"stem_conv": "conv1", "stem_bn": "bn1", _HEAD: "fc"}
    for s in range(1, len(resnet.STAGES) + 1):
        for b in range(1, resnet.BLOCKS + 1):
            ours, theirs = f"stage{s}_block{b}", f"layer{s}.{b - 1}"
            for i in (1, 2):
                names |= {f"{ours}_conv{i}": f"{theirs}.conv{i}", f"{ours}_bn{i}": f"{theirs}.bn{i}"}
            if s > 1 and b == 1:
                names |= {f"{ours}_shortcut_conv": f"{theirs}.downsample.0"}
                names |= {f"{ours}_shortcut_bn": f"{theirs}.downsample.1"}
    return names


# PyTorch's name of a module, by our layer's.
RESNET18 = _resnet18_layers()
ALEXNET = {facts.name: f"features.{i}" for facts, i in zip(alexnet.CONVS, (0, 3, 6, 8, 10), strict=True)} | {
    "fc1": "classifier.1",
    "fc2": "classifier.4",
    _HEAD: "classifier.6",
}


def read_torch_state(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads a state dict, parameter name -> array, from .safetensors, or from .pth, .pt, .p (no code runs).

    A pickle holds tensors alone: the dict itself, or one that holds it as "model" or "state_dict".

    Raises:
        DataError: the file is missing, has another ending, or holds something else; or a .pth file without PyTorch.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise cases.DataError(path, "no such file of weights")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pth", ".pt", ".p"):
        return _read_pickle(path)
    raise cases.DataError(path, f"a state dict ends in .safetensors, .pth, .pt or .p, not {path.suffix!r}")


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    import safetensors
    from safetensors import numpy as safe

    try:
        return safe.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise cases.DataError(path, f"not a readable safetensors file ({error})") from error


def _read_pickle(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        reason = f"reading {path.suffix} needs PyTorch: convert the file to .safetensors, or install the extra "
        raise cases.DataError(path, reason + "(pip install 'mammo-tf[torch]')") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen unrelated classes here
        reason = str(error).strip().splitlines()[0]
        raise cases.DataError(path, f"not a readable file of tensors ({reason})") from error
    for name in ("model", "state_dict"):
        state = state[name] if isinstance(state, Mapping) and isinstance(state.get(name), Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise cases.DataError(path, "expected a state dict (name -> tensor), found something else")
    return {name: value.float().numpy() for name, value in state.items()}


def load_resnet18(model: keras.Model, state: Mapping[str, np.ndarray], *, head: bool) -> None:
    """Sets the weights of a `resnet.resnet18` from a torchvision or timm state dict.

    Args:
        model: holds the net's layers.
        state: parameter name -> array, as `read_torch_state` gives it.
        head: whether the fully connected layer is loaded too; if not, it stays as it is.

    Raises:
        MammoError: a name is missing or unexpected, or a shape differs; nothing is loaded then.
    """
    load_torch(model, state, RESNET18, head=head)


def load_alexnet(model: keras.Model, state: Mapping[str, np.ndarray], *, head: bool) -> None:
    """Sets the weights of an `alexnet.alexnet` from a torchvision state dict, as `load_resnet18` does."""
    load_torch(model, state, ALEXNET, head=head)


def load_torch(model: keras.Model, state: Mapping[str, np.ndarray], layers: Mapping[str, str], *, head: bool) -> None:
    """`load_layers` by names: ours -> PyTorch's name of the module; without the head, neither side's is looked at."""
    skipped = () if head else (f"{layers[_HEAD]}.",)
    found = {name: value for name, value in state.items() if not name.startswith(skipped)}
    load_layers({layers[name]: model.get_layer(name) for name in layers if head or name != _HEAD}, found)


def load_layers(layers: Mapping[str, keras.Layer], state: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of layers from a whole state dict; counters of batches in it are passed over.

    Args:
        layers: PyTorch's name of a module -> our layer.
        state: parameter name -> array, as `read_torch_state` gives it.

    Raises:
        MammoError: a name is missing or unexpected, or a shape differs; nothing is loaded then.
    """
    found = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    wanted = {
        f"{theirs}.{_PARAMETERS[variable.name]}": (layer.name, variable)
        for theirs, layer in layers.items()
        for variable in layer.weights
    }
    refuse_difference(wanted, found, "state dict")
    assign([(f"{name} -> {ours}", to, _turned(found[name], ours)) for name, (ours, to) in wanted.items()])


def _turned(value: np.ndarray, layer: str) -> np.ndarray:
    """Channels last: OIHW -> HWIO, OI -> IO. After a flatten, O(CHW) -> (HWC)O by the same rule."""
    if value.ndim < 2:
        return value
    grid = alexnet.GRID
    if layer == "fc1" and value.shape[1] % grid**2 == 0:
        return _channels_last(value.reshape(len(value), -1, grid, grid)).reshape(-1, len(value))
    return _channels_last(value)


def _channels_last(value: np.ndarray) -> np.ndarray:
    return value.transpose(*range(2, value.ndim), 1, 0)


def refuse_difference(wanted: Iterable[str], found: Iterable[str], what: str) -> None:
    """Raises a MammoError that lists the names on one side only, if there are any."""
    missing, unexpected = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or unexpected:
        raise cases.MammoError(
            f"the {what} does not fit the net: missing {_some(missing)}; unexpected {_some(unexpected)}"
        )


def _some(names: list[str], most: int = 8) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def assign(pairs: list[tuple[str, keras.Variable, np.ndarray]]) -> None:
    """Sets all variables, or none: the shapes are looked at first.

    Args:
        pairs: (what a message calls it, variable, value).

    Raises:
        MammoError: a shape differs; says both.
    """
    for name, variable, value in pairs:
        if tuple(variable.shape) != value.shape:
            raise cases.MammoError(f"{name}: the file has shape {value.shape}, the net {tuple(variable.shape)}")
    for _, variable, value in pairs:
        variable.assign(np.asarray(value, np.float32))


def load_backbone(model: keras.Model, path: pathlib.Path) -> None:
    """Sets all layers but `logits`, which stays as initialised: the start of transfer learning.

    Args:
        model: a net of this package, `logits` its head.
        path: .safetensors, .pth with torchvision's names (ResNet-18, AlexNet); .keras, .weights.h5 of the same net.

    Raises:
        DataError: the file cannot be read, or does not fit the net.
    """
    path = pathlib.Path(path)
    try:
        if path.name.endswith((".keras", ".weights.h5")):
            _load_keras(model, read_keras(path))
        else:
            load_torch(model, read_torch_state(path), _torch_layers(model), head=False)
    except cases.DataError:
        raise
    except cases.MammoError as error:
        raise cases.DataError(path, str(error)) from error


def _torch_layers(model: keras.Model) -> Mapping[str, str]:
    names = {layer.name for layer in model.layers}
    for layers in (RESNET18, ALEXNET):
        if names >= layers.keys() - {_HEAD}:
            return layers
    raise cases.MammoError("PyTorch's names are known for ResNet-18 and AlexNet, and the net is neither")


def _load_keras(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    found = {name: value for name, value in state.items() if not name.startswith(f"{_HEAD}/")}
    layers = [layer for layer in model.layers if layer.name != _HEAD]
    wanted = {f"{layer.name}/{i}": variable for layer in layers for i, variable in enumerate(layer.weights)}
    refuse_difference(wanted, found, "file of weights")
    assign([(f"{name} ({variable.name})", variable, found[name]) for name, variable in wanted.items()])


def read_keras(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads .keras or .weights.h5: `layer name/index` -> array.

    Keras files layers by class and order, with the name as an attribute.

    Raises:
        DataError: the file is missing or is something else.
    """
    import h5py

    def visit(at: str, item: h5py.HLObject) -> None:
        if re.fullmatch("layers/[^/]+/vars", at):
            state.update({f"{item.attrs['name']}/{i}": value[()] for i, value in item.items()})

    state = {}
    try:
        source = _weights_inside(path) if path.suffix == ".keras" else path
        with h5py.File(source, "r") as file:
            file.visititems(visit)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise cases.DataError(path, f"not a readable Keras file of weights ({error})") from error
    return state


def _weights_inside(path: pathlib.Path) -> io.BytesIO:
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read("model.weights.h5"))


def imagenet_resnet18() -> pathlib.Path:
    """The file of torchvision's IMAGENET1K_V1 weights: found in `<cache>/weights`, else downloaded there (47 MB).

    Raises:
        MammoError: there is no file and no way to it; says how to get one. Random weights never stand in for them.
    """
    return found_or_fetched("ResNet-18", IMAGENET_FILES, IMAGENET_URL)


def found_or_fetched(net: str, files: tuple[str, ...], url: str, **more: str) -> pathlib.Path:
    """The first of `files` in `<cache>/weights`, else what `url` gives, kept there as the first name.

    Args:
        net: what the message calls the net.
        files: names that a file of these weights may have.
        url: of the file called `files[0]`.
        more: for `keras.utils.get_file`, such as `file_hash`.

    Raises:
        MammoError: there is no file and no way to it; says how to get one.
    """
    from mammo_tf import cache

    folder = pathlib.Path(cache.folder()) / "weights"
    for name in files:
        if (folder / name).is_file():
            return folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)  # get_file goes to /tmp where its folder is missing
        found = keras.utils.get_file(files[0], url, cache_dir=folder.parent, cache_subdir="weights", **more)
    except Exception as error:  # get_file raises a bare Exception for every failure of the network
        raise cases.MammoError(
            f"no ImageNet weights of {net} in {folder} ({', '.join(files)}), and no download ({error}). "
            f"Fetch {url}, put it there as {files[0]}, or name it: --weights FILE"
        ) from error
    return pathlib.Path(found)
