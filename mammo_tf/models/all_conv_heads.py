"""What stands on top of a patch net in a whole-image net: Shen et al. 2019, section 2.2, tables 2 and 3.

    VggTop      N x K: K times (convolution 3x3, batch norm, ReLU), then max-pool 2x2
    ResnetTop   [L-M-N] x K: K bottleneck units of He et al. 2016, the first with stride 2
    FcTop       max-pool p x p, two fully connected layers, and a shortcut from the heatmap

Blocks end in a global average pooling and `logits`. A top is a value and a function `top(x, classes=2, seed=0)` from
features or a heatmap (B, H, W, C) to logits (B, classes); any function of that form will do. Its layers are named
`top_...`, so that a training stage can name them, but for the last, `logits`.

    logits = all_conv_heads.VggTop(((256, 1), (128, 1)))(features, classes=2, seed=0)
"""

from __future__ import annotations

import dataclasses

import keras

from mammo_tf import cases
from mammo_tf.models import blocks

ALGORITHM_VERSION = 1

# The paper names no more than "BN"; these are Keras' own, with which it was built.
MOMENTUM = 0.99
EPSILON = 1e-3
NARROWEST = 8

Unit = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class VggTop:
    """Blocks (N, K) of K convolutions 3x3 of N filters, each block halving the sides.

    The convolutions have no bias: the batch norm after them subtracts it with the mean, and its beta does its work.
    """

    blocks: tuple[tuple[int, int], ...] = ((256, 1), (128, 1))

    def __call__(self, x: keras.KerasTensor, *, classes: int = 2, seed: int = 0) -> keras.KerasTensor:
        """Features (B, H, W, C) to logits (B, classes).

        Raises:
            MammoError: too few pixels are left for a block to halve.
        """
        for b, (filters, count) in enumerate(self.blocks, start=1):
            _refuse_larger(f"top_block{b}_pool", 2, x)
            for i in range(1, count + 1):
                x = _conv_bn(x, blocks.Conv(f"top_block{b}_conv{i}", filters, 3, bias=False), seed)
                x = blocks.relu(x, f"top_block{b}_relu{i}")
            x = blocks.max_pool(x, 2, 2, f"top_block{b}_pool")
        return _pooled_logits(x, classes, seed)


@dataclasses.dataclass(frozen=True)
class ResnetTop:
    """Blocks ((L, M, N), K) of K units of convolutions 1x1, 3x3, 1x1, each block halving the sides, rounded up.

    The unit is the original one (ReLU after the addition). The first of a block strides in its first 1x1 convolution;
    x is projected by a 1x1 convolution and batch norm where the shape changes. No biases, as in `VggTop`.
    """

    blocks: tuple[tuple[Unit, int], ...] = (((512, 512, 1024), 2), ((512, 512, 1024), 2))

    def __call__(self, x: keras.KerasTensor, *, classes: int = 2, seed: int = 0) -> keras.KerasTensor:
        """Features or a heatmap (B, H, W, C) to logits (B, classes)."""
        for b, (filters, count) in enumerate(self.blocks, start=1):
            for u in range(1, count + 1):
                x = _bottleneck(x, f"top_block{b}_unit{u}", filters, stride=2 if u == 1 else 1, seed=seed)
        return _pooled_logits(x, classes, seed)


@dataclasses.dataclass(frozen=True)
class FcTop:
    """Max-pool over pool x pool without overlap, fully connected layers with ReLU, and a shortcut.

        logits = W2 fc(max-pool(heatmap)) + b + W1 flatten(heatmap)

    The paper leaves the shortcut open: "a shortcut can be made between the heatmap and the output". Here the heatmap
    before its pooling is flattened, mapped to the classes by a layer without a bias (the other branch has one), and
    added. What is left over at the right and the bottom of the heatmap is not pooled.
    """

    pool: int = 5
    fc: tuple[int, ...] = (64, 32)

    def __call__(self, x: keras.KerasTensor, *, classes: int = 2, seed: int = 0) -> keras.KerasTensor:
        """A heatmap (B, u, v, C) of known size to logits (B, classes).

        Raises:
            MammoError: the pool is larger than the heatmap, or the heatmap's size is left open.
        """
        if None in x.shape[1:]:
            raise cases.MammoError(f"top_max_pool: fully connected layers need a known image size, found {x.shape}")
        _refuse_larger("top_max_pool", self.pool, x)
        flat = keras.layers.Flatten(name="top_shortcut_flatten")(x)
        x = blocks.max_pool(x, self.pool, self.pool, "top_max_pool")
        x = keras.layers.Flatten(name="top_flatten")(x)
        for i, units in enumerate(self.fc, start=1):
            x = blocks.dense(x, units, f"top_fc{i}", seed=seed)
            x = blocks.relu(x, f"top_fc{i}_relu")
        x = blocks.dense(x, classes, "top_logits", seed=seed, dtype="float32")
        shortcut = keras.layers.Dense(
            classes,
            use_bias=False,
            kernel_initializer=blocks.fan_in_uniform(blocks.layer_seed(seed, "top_shortcut")),
            dtype="float32",
            name="top_shortcut",
        )(flat)
        return keras.layers.Add(dtype="float32", name="logits")([x, shortcut])


def scaled(top: VggTop | ResnetTop | FcTop, fraction: float) -> VggTop | ResnetTop | FcTop:
    """The same top with `fraction` of the filters or units of each layer, at least 8.

    >>> scaled(VggTop(((256, 1), (128, 3))), 1 / 8)
    VggTop(blocks=((32, 1), (16, 3)))
    """

    def narrow(units: int) -> int:
        return max(NARROWEST, round(units * fraction))

    match top:
        case VggTop():
            return VggTop(tuple((narrow(filters), count) for filters, count in top.blocks))
        case ResnetTop():
            return ResnetTop(tuple((tuple(map(narrow, filters)), count) for filters, count in top.blocks))
        case FcTop():
            return dataclasses.replace(top, fc=tuple(map(narrow, top.fc)))
    raise cases.MammoError(f"scaled: expected a VggTop, ResnetTop or FcTop, found {type(top).__name__}")


def _bottleneck(x: keras.KerasTensor, name: str, filters: Unit, *, stride: int, seed: int) -> keras.KerasTensor:
    first, middle, last = filters
    shortcut = x
    if stride != 1 or x.shape[-1] != last:
        facts = blocks.Conv(f"{name}_shortcut_conv", last, 1, stride=stride, bias=False)
        shortcut = _conv_bn(x, facts, seed)
    x = _conv_bn(x, blocks.Conv(f"{name}_conv1", first, 1, stride=stride, bias=False), seed)
    x = blocks.relu(x, f"{name}_relu1")
    x = _conv_bn(x, blocks.Conv(f"{name}_conv2", middle, 3, bias=False), seed)
    x = blocks.relu(x, f"{name}_relu2")
    x = _conv_bn(x, blocks.Conv(f"{name}_conv3", last, 1, bias=False), seed)
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return blocks.relu(x, f"{name}_relu3")


def _conv_bn(x: keras.KerasTensor, facts: blocks.Conv, seed: int) -> keras.KerasTensor:
    x = blocks.conv(x, facts, seed=seed, initializer=keras.initializers.HeNormal)
    return blocks.batch_norm(x, facts.name.replace("conv", "bn"), momentum=MOMENTUM, epsilon=EPSILON)


def _pooled_logits(x: keras.KerasTensor, classes: int, seed: int) -> keras.KerasTensor:
    x = keras.layers.GlobalAveragePooling2D(name="top_pool")(x)
    return blocks.logits(x, classes, seed=seed)


def _refuse_larger(name: str, size: int, x: keras.KerasTensor) -> None:
    if any(side is not None and side < size for side in x.shape[1:3]):
        raise cases.MammoError(
            f"{name}: a window of {size}x{size} does not fit on a map of {x.shape[1]}x{x.shape[2]}"
        )
