"""Inception V3: Szegedy et al. 2015, "Rethinking the inception architecture", arXiv:1512.00567, table 1.

The graph is that of `keras.applications.InceptionV3`, whose ImageNet weights it takes (`load_keras`): no biases,
batch norm without scale after each of the 94 convolutions, epsilon 1e-3, no auxiliary classifier. 21,802,784
parameters of the features at width 32 with 3 channels.

    x = keras.Input((299, 299, 3))
    model = keras.Model(x, inception_v3.inception_v3(x))
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Mapping

import keras
import numpy as np
from keras import ops

from mammo_tf import cases
from mammo_tf.models import batch_norm as bn
from mammo_tf.models import blocks, keras_weights, weights

ALGORITHM_VERSION = 1
EPSILON, MOMENTUM = 1e-3, 0.99
LEAST = 75  # below it no pixel is left for the last module


@dataclasses.dataclass(frozen=True)
class Step:
    """A convolution with `filters` at width 32 and a kernel of rows x columns."""

    filters: int
    rows: int = 1
    columns: int = 1


@dataclasses.dataclass(frozen=True)
class Fork:
    """A 1x3 and a 3x1 convolution of the same input side by side."""

    filters: int

    def steps(self) -> tuple[Step, Step]:
        return Step(self.filters, 1, 3), Step(self.filters, 3, 1)


@dataclasses.dataclass(frozen=True)
class Module:
    """Branches side by side, and one more that pools.

    Attributes:
        branches: of convolutions in a row; a fork may end one.
        pool: filters of the 1x1 convolution after an average pool; None: a module that halves the sides, the last
            convolution of each branch unpadded with a stride of 2, beside a max-pool.
    """

    branches: tuple[tuple[Step | Fork, ...], ...]
    pool: int | None


def _narrow(pool: int) -> Module:
    """Figure 5, with one 5x5 convolution."""
    double = (Step(64), Step(96, 3, 3), Step(96, 3, 3))
    return Module(((Step(64),), (Step(48), Step(64, 5, 5)), double), pool)


def _factorized(n: int) -> Module:
    """Figure 6: 7x7 as 1x7 and 7x1, `n` filters inside."""
    single = (Step(n), Step(n, 1, 7), Step(192, 7, 1))
    double = (Step(n), Step(n, 7, 1), Step(n, 1, 7), Step(n, 7, 1), Step(192, 1, 7))
    return Module(((Step(192),), single, double), 192)


def _expanded() -> Module:
    """Figure 7: forks at the end."""
    return Module(((Step(320),), (Step(384), Fork(384)), (Step(448), Step(384, 3, 3), Fork(384))), 192)


STEM = (Step(32, 3, 3), Step(32, 3, 3), Step(64, 3, 3), Step(80), Step(192, 3, 3))
MODULES = (
    _narrow(32),
    _narrow(64),
    _narrow(64),
    Module(((Step(384, 3, 3),), (Step(64), Step(96, 3, 3), Step(96, 3, 3))), None),
    _factorized(128),
    _factorized(160),
    _factorized(160),
    _factorized(192),
    Module(((Step(192), Step(320, 3, 3)), (Step(192), Step(192, 1, 7), Step(192, 7, 1), Step(192, 3, 3))), None),
    _expanded(),
    _expanded(),
)


@dataclasses.dataclass(frozen=True)
class _Build:
    """What each layer is built with."""

    seed: int
    width: int

    def conv(
        self, x: keras.KerasTensor, name: str, step: Step, *, stride: int = 1, padding: str = "same"
    ) -> keras.KerasTensor:
        """Convolution, batch norm, ReLU."""
        x = keras.layers.Conv2D(
            max(1, step.filters * self.width // 32),
            (step.rows, step.columns),
            strides=stride,
            padding=padding,
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(blocks.layer_seed(self.seed, name)),
            name=name,
        )(x)
        norm = name.replace("conv", "bn")
        x = bn.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, scale=False, name=norm)(x)
        return blocks.relu(x, name.replace("conv", "relu"))


def inception_v3_features(x: keras.KerasTensor, *, seed: int = 0, width: int = 32) -> keras.KerasTensor:
    """The net up to its last feature map.

    Args:
        x: images (B, H, W, C), sides of at least 75.
        seed: fixes the initial weights: Glorot uniform, as in Keras.
        width: filters of the first convolution, the others in proportion; exact in multiples of 2.

    Returns:
        Features (B, H', W', 64 width), H' = 1 at 96 pixels, 5 at 224, 8 at 299.

    Raises:
        MammoError: a side is below 75.
    """
    if any(side is not None and side < LEAST for side in x.shape[1:3]):
        raise cases.MammoError(f"inception_v3: the images are {x.shape[1]}x{x.shape[2]}, each side must be {LEAST}")
    build = _Build(seed, width)
    x = _stem(x, build)
    for i, module in enumerate(MODULES):
        x = _mixed(x, f"mixed{i}", module, build)
    return x


def inception_v3(
    x: keras.KerasTensor, *, classes: int = 2, seed: int = 0, width: int = 32, dropout: float = 0.2
) -> keras.KerasTensor:
    """The features, their average over the image, dropout, and one fully connected layer.

    Args:
        x, seed, width: as for `inception_v3_features`.
        classes: number of outputs.
        dropout: share of the averages dropped.

    Returns:
        Logits (B, classes), float32.
    """
    x = inception_v3_features(x, seed=seed, width=width)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return blocks.logits(blocks.dropout(x, dropout, "dropout", seed=seed), classes, seed=seed)


def _stem(x: keras.KerasTensor, build: _Build) -> keras.KerasTensor:
    for i, step in enumerate(STEM, start=1):
        x = build.conv(x, f"stem_conv{i}", step, stride=2 if i == 1 else 1, padding="same" if i == 3 else "valid")
        if i in (3, 5):
            x = blocks.max_pool(x, 3, 2, f"stem_pool{1 if i == 3 else 2}")
    return x


def _mixed(x: keras.KerasTensor, name: str, module: Module, build: _Build) -> keras.KerasTensor:
    halves = module.pool is None
    ends = [_branch(x, f"{name}_branch{b}", steps, halves, build) for b, steps in enumerate(module.branches, start=1)]
    last = f"{name}_branch{len(ends) + 1}"
    if halves:
        ends.append(blocks.max_pool(x, 3, 2, f"{last}_pool"))
    else:
        pooled = keras.layers.AveragePooling2D(3, 1, padding="same", name=f"{last}_pool")(x)
        ends.append(build.conv(pooled, f"{last}_conv1", Step(module.pool)))
    return keras.layers.Concatenate(name=name)(ends)


def _branch(
    x: keras.KerasTensor, name: str, steps: tuple[Step | Fork, ...], halves: bool, build: _Build
) -> keras.KerasTensor:
    for i, step in enumerate(steps, start=1):
        if isinstance(step, Fork):
            pair = [build.conv(x, f"{name}_conv{i + k}", half) for k, half in enumerate(step.steps())]
            x = keras.layers.Concatenate(name=f"{name}_fork")(pair)
        elif halves and i == len(steps):
            x = build.conv(x, f"{name}_conv{i}", step, stride=2, padding="valid")
        else:
            x = build.conv(x, f"{name}_conv{i}", step)
    return x


def _conv_names() -> Iterator[str]:
    """The convolutions in the order in which Keras makes, and so numbers, its own."""
    yield from (f"stem_conv{i}" for i in range(1, len(STEM) + 1))
    for m, module in enumerate(MODULES):
        pooling = ((Step(module.pool),),) if module.pool else ()
        for b, steps in enumerate(module.branches + pooling, start=1):
            count = sum(2 if isinstance(step, Fork) else 1 for step in steps)
            yield from (f"mixed{m}_branch{b}_conv{i}" for i in range(1, count + 1))


CONVS = tuple(_conv_names())


def load_keras(model: keras.Model, source: str | os.PathLike[str] | keras.Model) -> None:
    """Sets the weights of the features from `keras.applications.InceptionV3`; `logits` stays as it is.

    Its layers have automatic names, such as `conv2d_17`, whose numbers begin anywhere: their order counts.

    Args:
        model: the net or its features.
        source: their model, or a file of its weights: .keras, .weights.h5 or an older .h5. Its head is left alone.

    Raises:
        MammoError: weights are missing or unexpected, or a shape differs; nothing is loaded then. From a file it is a
            DataError, also where that cannot be read.
    """
    if isinstance(source, keras.Model):
        _assign(
            model, {f"{a.name}/{i}": ops.convert_to_numpy(w) for a in source.layers for i, w in enumerate(a.weights)}
        )
        return
    state = keras_weights.read(source)
    try:
        _assign(model, state)
    except cases.MammoError as error:
        raise cases.DataError(pathlib.Path(source), str(error)) from error


def _assign(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    layers = {key.rpartition("/")[0] for key in state}
    names = _numbered(layers, "conv2d", CONVS)
    names |= _numbered(layers, "batch_normalization", [name.replace("conv", "bn") for name in CONVS])
    renamed = {}
    for key, value in state.items():
        layer, _, index = key.rpartition("/")
        renamed[f"{names.get(layer, layer)}/{index}"] = value
    weights.assign(keras_weights.matched(model, renamed, skip=(*keras_weights.HEADS, "predictions")))


def _numbered(layers: set[str], kind: str, ours: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Our name of each layer called `kind` or `kind_<number>`, in the order of the numbers."""
    numbers = {name: found[1] for name in layers if (found := re.fullmatch(rf"{kind}(?:_(\d+))?", name))}
    theirs = sorted(numbers, key=lambda name: int(numbers[name] or 0))
    return dict(zip(theirs, ours, strict=False))  # what is left over is refused by its own name
