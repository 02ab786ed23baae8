"""Logits of ResNet-18 and AlexNet from PyTorch on weights and images drawn from a seed: goldens of the weight ports.

The two nets are written here as plain functions of a state dict with torchvision's names. Drawing needs numpy only.

    pip install torch==2.13.0 && python tests/goldens/make_torch_logits.py
"""

from __future__ import annotations

import json
import math
import pathlib

import numpy as np

FILE = pathlib.Path(__file__).with_name("torch_logits.json")
# Sides: powers of two, an odd one, and for AlexNet feature maps of 1, 6 and 7 that are pooled to 6.
SIDES = {"resnet18": (64, 97), "alexnet": (64, 224, 256)}
SEED, CLASSES, ALEX_WIDTH, ALEX_FC = 18, 2, 16, 48


def resnet18_shapes(classes: int = CLASSES, width: int = 64) -> dict[str, tuple[int, ...]]:
    """Parameter name -> shape, in PyTorch's order of axes."""
    shapes = {"conv1.weight": (width, 3, 7, 7)} | _bn_shapes("bn1", width)
    before = width
    for s, filters in enumerate((width, 2 * width, 4 * width, 8 * width), start=1):
        for b in (0, 1):
            name = f"layer{s}.{b}"
            for i, inputs in ((1, before), (2, filters)):
                shapes[f"{name}.conv{i}.weight"] = (filters, inputs, 3, 3)
                shapes |= _bn_shapes(f"{name}.bn{i}", filters)
            if before != filters:
                shapes[f"{name}.downsample.0.weight"] = (filters, before, 1, 1)
                shapes |= _bn_shapes(f"{name}.downsample.1", filters)
            before = filters
    return shapes | {"fc.weight": (classes, before), "fc.bias": (classes,)}


def _bn_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    shapes = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return shapes | {f"{name}.num_batches_tracked": ()}


def alexnet_shapes(classes: int = CLASSES, width: int = ALEX_WIDTH, fc: int = ALEX_FC) -> dict[str, tuple[int, ...]]:
    """Parameter name -> shape, in PyTorch's order of axes."""
    filters = [n * width // 64 for n in (64, 192, 384, 256, 256)]
    shapes = {}
    for i, inputs, outputs, side in zip((0, 3, 6, 8, 10), [3, *filters], filters, (11, 5, 3, 3, 3), strict=False):
        shapes |= {f"features.{i}.weight": (outputs, inputs, side, side), f"features.{i}.bias": (outputs,)}
    for i, inputs, outputs in ((1, filters[-1] * 36, fc), (4, fc, fc), (6, fc, classes)):
        shapes |= {f"classifier.{i}.weight": (outputs, inputs), f"classifier.{i}.bias": (outputs,)}
    return shapes


def draw_state(shapes: dict[str, tuple[int, ...]], seed: int = SEED) -> dict[str, np.ndarray]:
    """Weights that keep activations near 1; every value differs, so that no two parameters can be swapped unseen."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return {name: _draw(name, shape, generator) for name, shape in shapes.items()}


def _draw(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    uniform = 2 * generator.random(shape) - 1
    if len(shape) > 1:
        return (uniform * math.sqrt(6 / math.prod(shape[1:]))).astype(np.float32)
    centres = {"running_var": 1.0, "weight": 0.8}  # of a batch norm; the scale below 1, since blocks add up
    centre = centres.get(name.rpartition(".")[2], 0.0)
    return (centre + 0.3 * uniform).astype(np.float32)


def draw_images(side: int, seed: int = SEED) -> np.ndarray:
    """Two images (2, side, side, 3) float32 in [-1, 1]."""
    generator = np.random.Generator(np.random.PCG64([seed, side]))
    return (2 * generator.random((2, side, side, 3)) - 1).astype(np.float32)


def resnet18(state: dict, x):
    """Logits (B, classes) of images (B, 3, H, W); all arguments are torch tensors."""
    from torch.nn import functional as F

    def conv_bn(x, conv, bn, stride, padding):
        x = F.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=padding)
        mean, variance = state[f"{bn}.running_mean"], state[f"{bn}.running_var"]
        return F.batch_norm(x, mean, variance, state[f"{bn}.weight"], state[f"{bn}.bias"], eps=1e-5)

    x = F.max_pool2d(F.relu(conv_bn(x, "conv1", "bn1", 2, 3)), 3, 2, 1)
    for s in (1, 2, 3, 4):
        for b in (0, 1):
            name, stride = f"layer{s}.{b}", 2 if s > 1 and b == 0 else 1
            y = F.relu(conv_bn(x, f"{name}.conv1", f"{name}.bn1", stride, 1))
            y = conv_bn(y, f"{name}.conv2", f"{name}.bn2", 1, 1)
            if stride == 2:
                x = conv_bn(x, f"{name}.downsample.0", f"{name}.downsample.1", 2, 0)
            x = F.relu(x + y)
    return F.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"])


def alexnet(state: dict, x):
    """Logits (B, classes) of images (B, 3, H, W), dropout off; all arguments are torch tensors."""
    from torch.nn import functional as F

    for i, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
        x = F.relu(F.conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], stride, padding))
        if i in (0, 3, 10):
            x = F.max_pool2d(x, 3, 2)
    x = F.adaptive_avg_pool2d(x, 6).flatten(1)
    for i in (1, 4):
        x = F.relu(F.linear(x, state[f"classifier.{i}.weight"], state[f"classifier.{i}.bias"]))
    return F.linear(x, state["classifier.6.weight"], state["classifier.6.bias"])


NETS = {"resnet18": (resnet18_shapes, resnet18), "alexnet": (alexnet_shapes, alexnet)}


def torch_logits(net: str, side: int) -> np.ndarray:
    """Logits (2, classes) of the drawn net for the drawn images, computed by PyTorch."""
    import torch

    shapes, forward = NETS[net]
    state = {name: torch.from_numpy(value) for name, value in draw_state(shapes()).items()}
    with torch.no_grad():
        return forward(state, torch.from_numpy(draw_images(side)).permute(0, 3, 1, 2)).numpy()


def main() -> None:
    """Writes the logits of all nets and sides."""
    import torch

    found = {net: {str(side): torch_logits(net, side).tolist() for side in sides} for net, sides in SIDES.items()}
    FILE.write_text(json.dumps({"torch": torch.__version__.split("+")[0], "logits": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
