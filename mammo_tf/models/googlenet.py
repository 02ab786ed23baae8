"""GoogLeNet: Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842, table 1 and section 5.

Nine inception modules, each four branches side by side: 1x1; 1x1 then 3x3; 1x1 then 5x5; max-pool then 1x1. Max-pools
of stride 2 count a cut-off last window (`ceil mode`), so that a side of 224 goes 112, 56, 28, 14, 7. Two forms:

    PAPER         biases, no batch norm; no response normalisation: figure 3 draws two, table 1 none (`lrn=True`)
    TORCHVISION   batch norm and no biases, 3x3 in place of 5x5, the last max-pool 2x2: for its weights

The paper gives no initialisation: kernels start He normal in both forms, since PyTorch's default lets the signal die
out over 21 convolutions without batch norm. 6,998,552 trainable parameters with 1000 classes (PAPER), 6,624,904
(TORCHVISION), without the auxiliary classifiers, which serve in training alone.

    x = keras.Input((224, 224, 3))
    model = keras.Model(x, googlenet.googlenet(x))
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from mammo_tf import cases
from mammo_tf.models import blocks

ALGORITHM_VERSION = 1

# Module: filters at width 64 of 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool projection. The columns of table 1.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
AUXILIARY = {"aux1": "4a", "aux2": "4d"}  # the module whose output each classifier sees
AUX_FILTERS, AUX_UNITS, AUX_DROPOUT, AUX_GRID = 128, 1024, 0.7, 4
EPSILON = 1e-3


@dataclasses.dataclass(frozen=True)
class Variant:
    """A form of the net.

    Attributes:
        batch_norm: after each convolution, which then has no bias.
        third: side of the kernel of the third branch.
        last_pool: side of the max-pool before the last two modules.
        adaptive: the auxiliary classifiers average to 4x4 whatever the size, not over 5x5 with a stride of 3.
        lrn: response normalisation after the first max-pool and before the second.
    """

    batch_norm: bool = False
    third: int = 5
    last_pool: int = 3
    adaptive: bool = False
    lrn: bool = False


PAPER = Variant()
TORCHVISION = Variant(batch_norm=True, third=3, last_pool=2, adaptive=True)


@dataclasses.dataclass(frozen=True)
class _Build:
    """What each layer is built with."""

    seed: int
    width: int
    variant: Variant

    def scaled(self, number: int) -> int:
        return max(1, number * self.width // 64)

    def conv(self, x: keras.KerasTensor, name: str, filters: int, kernel: int, stride: int = 1) -> keras.KerasTensor:
        """Convolution, batch norm where the form has it, ReLU."""
        norm = self.variant.batch_norm
        facts = blocks.Conv(name, self.scaled(filters), kernel, stride=stride, bias=not norm)
        x = blocks.conv(x, facts, seed=self.seed, initializer=keras.initializers.HeNormal)
        if norm:
            x = blocks.batch_norm(x, name.replace("conv", "bn"), epsilon=EPSILON)
        return blocks.relu(x, name.replace("conv", "relu"))

    def normalized(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return LocalResponseNormalization(name=name)(x) if self.variant.lrn else x


def googlenet_features(
    x: keras.KerasTensor, *, seed: int = 0, width: int = 64, variant: Variant = PAPER
) -> keras.KerasTensor:
    """The net up to its last feature map.

    Args:
        x: images (B, H, W, C), sides of at least 31.
        seed: fixes the initial weights.
        width: filters of the first convolution, the others in proportion; exact in multiples of 8.
        variant: PAPER, TORCHVISION or another.

    Returns:
        Features (B, H / 32, W / 32, 16 width) where 32 divides the sides.
    """
    return _modules(x, _Build(seed, width, variant))["5b"]


def googlenet(
    x: keras.KerasTensor,
    *,
    classes: int = 2,
    seed: int = 0,
    width: int = 64,
    dropout: float = 0.4,
    variant: Variant = PAPER,
) -> keras.KerasTensor:
    """The features, their average over the image, dropout, and one fully connected layer.

    Args:
        x, seed, width, variant: as for `googlenet_features`.
        classes: number of outputs.
        dropout: share of the averages dropped; torchvision drops 0.2.

    Returns:
        Logits (B, classes), float32.
    """
    return _top(googlenet_features(x, seed=seed, width=width, variant=variant), classes, dropout, seed)


def googlenet_with_auxiliaries(
    x: keras.KerasTensor,
    *,
    classes: int = 2,
    seed: int = 0,
    width: int = 64,
    dropout: float = 0.4,
    variant: Variant = PAPER,
) -> list[keras.KerasTensor]:
    """The net with the two auxiliary classifiers of section 5, for training; the paper weights their losses by 0.3.

    The main classifier is that of `googlenet` in every weight: leave the others out to test.

    Args:
        x: as for `googlenet`; sides of at least 79 without `variant.adaptive`.
        classes, seed, width, dropout, variant: as for `googlenet`.

    Returns:
        [logits, those on module 4a, those on module 4d], each (B, classes), float32.

    Raises:
        MammoError: the images are too small for the 5x5 average.
    """
    build = _Build(seed, width, variant)
    maps = _modules(x, build)
    auxiliary = [_auxiliary(maps[module], name, classes, build) for name, module in AUXILIARY.items()]
    return [_top(maps["5b"], classes, dropout, seed), *auxiliary]


def _modules(x: keras.KerasTensor, build: _Build) -> dict[str, keras.KerasTensor]:
    """The output of each inception module."""
    x = _stem(x, build)
    maps = {}
    for name in MODULES:
        if name == "4a":
            x = blocks.halved(x, 3, "stage3_pool")
        if name == "5a":
            x = blocks.halved(x, build.variant.last_pool, "stage4_pool")
        x = maps[name] = _inception(x, name, build)
    return maps


def _stem(x: keras.KerasTensor, build: _Build) -> keras.KerasTensor:
    x = build.conv(x, "stem_conv1", 64, 7, stride=2)
    x = build.normalized(blocks.halved(x, 3, "stem_pool1"), "stem_lrn1")
    x = build.conv(x, "stem_conv2", 64, 1)
    x = build.normalized(build.conv(x, "stem_conv3", 192, 3), "stem_lrn2")
    return blocks.halved(x, 3, "stem_pool2")


def _inception(x: keras.KerasTensor, module: str, build: _Build) -> keras.KerasTensor:
    one, reduce3, three, reduce5, five, projection = MODULES[module]
    name = f"inception{module}_branch"
    first = build.conv(x, f"{name}1_conv1", one, 1)
    second = build.conv(build.conv(x, f"{name}2_conv1", reduce3, 1), f"{name}2_conv2", three, 3)
    third = build.conv(build.conv(x, f"{name}3_conv1", reduce5, 1), f"{name}3_conv2", five, build.variant.third)
    pooled = keras.layers.MaxPooling2D(3, 1, padding="same", name=f"{name}4_pool")(x)
    fourth = build.conv(pooled, f"{name}4_conv1", projection, 1)
    return keras.layers.Concatenate(name=f"inception{module}")([first, second, third, fourth])


def _top(x: keras.KerasTensor, classes: int, dropout: float, seed: int) -> keras.KerasTensor:
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return blocks.logits(blocks.dropout(x, dropout, "dropout", seed=seed), classes, seed=seed)


def _auxiliary(x: keras.KerasTensor, name: str, classes: int, build: _Build) -> keras.KerasTensor:
    if build.variant.adaptive:
        x = blocks.AdaptiveAveragePool(AUX_GRID, name=f"{name}_pool")(x)
    else:
        if any(side is not None and side < 5 for side in x.shape[1:3]):
            raise cases.MammoError(
                f"googlenet: {name} averages over 5x5, its feature map is {x.shape[1]}x{x.shape[2]}"
            )
        x = keras.layers.AveragePooling2D(5, 3, name=f"{name}_pool")(x)
    x = build.conv(x, f"{name}_conv1", AUX_FILTERS, 1)
    x = keras.layers.Flatten(name=f"{name}_flatten")(x)
    x = blocks.dense(x, build.scaled(AUX_UNITS), f"{name}_fc1", seed=build.seed)
    x = blocks.relu(x, f"{name}_fc1_relu")
    x = blocks.dropout(x, AUX_DROPOUT, f"{name}_dropout", seed=build.seed)
    return blocks.dense(x, classes, f"{name}_logits", seed=build.seed, dtype="float32")


@keras.saving.register_keras_serializable(package="mammo_tf")
class LocalResponseNormalization(keras.layers.Layer):
    """x_i / (2 + 1e-4 sum of x_j^2)^0.75, j from i - 2 to i + 2: Krizhevsky et al. 2012, section 3.3, its constants.

    Szegedy et al. give none. (B, H, W, C) -> (B, H, W, C); the sum is taken in float32.
    """

    REACH, K, ALPHA, BETA = 2, 2.0, 1e-4, 0.75

    def call(self, inputs: Any) -> Any:
        channels = inputs.shape[-1]
        squares = ops.pad(ops.square(ops.cast(inputs, "float32")), [[0, 0]] * 3 + [[self.REACH] * 2])
        total = sum(squares[..., i : i + channels] for i in range(2 * self.REACH + 1))
        return inputs * ops.cast((self.K + self.ALPHA * total) ** -self.BETA, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
