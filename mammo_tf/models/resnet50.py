"""ResNet50: He et al. 2016, "Deep residual learning for image recognition", doi:10.1109/CVPR.2016.90, table 1.

Names and graph are those of `keras.applications.ResNet50`: biases in the convolutions, the stride in the first 1x1
convolution of a stage. 23,587,712 parameters of the features at width 64. `compat="keras2.0"` is the net as Keras
2.0.8 built it, the release behind the published weights of Shen et al. 2019; the layers go by the same names:

    today       conv1 padded by 3 on each side, max-pool padded by 1, batch norm epsilon 1.001e-5
    keras2.0    conv1 padded `same` (2 before, 3 after), max-pool unpadded, batch norm epsilon 1e-3

    x = keras.Input((224, 224, 3))
    model = keras.Model(x, resnet50.resnet50(x, classes=5))
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import keras

from mammo_tf import cases
from mammo_tf.models import blocks

ALGORITHM_VERSION = 1

# Stage: (filters of the bottleneck in multiples of the width, units, stride of the first unit).
STAGES = {"conv2": (1, 3, 1), "conv3": (2, 4, 2), "conv4": (4, 6, 2), "conv5": (8, 3, 2)}
UNITS = tuple(units for _, units, _ in STAGES.values())
ENLARGED = 4  # the last 1x1 convolution of a unit, in multiples of its first
MOMENTUM = 0.99
EPSILON = {None: 1.001e-5, "keras2.0": 1e-3}

Compat = Literal["keras2.0"] | None

# The "top layers" of the second training stage (Shen et al., section 3.1.2): the last 46 of 177.
TOP_PREFIXES = ("conv4_block6", "conv5_", "logits")


def _keras20_names() -> dict[str, str]:
    names = {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}
    for stage, (_, units, _) in STAGES.items():
        for unit in range(1, units + 1):
            at = stage.removeprefix("conv") + "abcdef"[unit - 1]
            branches = {1: "2a", 2: "2b", 3: "2c"} | ({0: "1"} if unit == 1 else {})
            for i, branch in branches.items():
                names[f"{stage}_block{unit}_{i}_conv"] = f"res{at}_branch{branch}"
                names[f"{stage}_block{unit}_{i}_bn"] = f"bn{at}_branch{branch}"
    return names


# The name in Keras 2.0 of each layer that holds weights, by ours.
KERAS20 = _keras20_names()


@dataclasses.dataclass(frozen=True)
class _Build:
    """What each layer is built with."""

    seed: int
    width: int
    compat: Compat

    def conv_bn(self, x: keras.KerasTensor, facts: blocks.Conv) -> keras.KerasTensor:
        x = blocks.conv(x, facts, seed=self.seed, initializer=keras.initializers.GlorotUniform)
        name = facts.name.removesuffix("conv") + "bn"
        return blocks.batch_norm(x, name, momentum=MOMENTUM, epsilon=EPSILON[self.compat])


def top_prefixes(units: tuple[int, ...] = UNITS) -> tuple[str, ...]:
    """`TOP_PREFIXES` of a net with other numbers of units: the last unit of the fourth stage, the fifth, the head."""
    return (f"conv4_block{units[2]}", "conv5_", "logits")


def resnet50_features(
    x: keras.KerasTensor,
    *,
    seed: int = 0,
    width: int = 64,
    units: tuple[int, ...] = UNITS,
    compat: Compat = None,
) -> keras.KerasTensor:
    """The net up to its last feature map.

    Args:
        x: images (B, H, W, C), sides of at least 32.
        seed: fixes the initial weights: Glorot uniform, biases zero, as in Keras.
        width: filters of the first convolution.
        units: bottlenecks of the four stages; the net is a ResNet-50 with (3, 4, 6, 3) alone.
        compat: "keras2.0" for the graph of Keras 2.0.8.

    Returns:
        Features (B, H / 32, W / 32, 32 width) where 32 divides the sides.

    Raises:
        MammoError: another value of `compat`.
    """
    if compat not in EPSILON:
        raise cases.MammoError(f"resnet50: compat is {compat!r}; known are None and 'keras2.0'")
    build = _Build(seed, width, compat)
    x = _stem(x, build)
    for (stage, (times, _, stride)), count in zip(STAGES.items(), units, strict=True):
        for unit in range(1, count + 1):
            x = _bottleneck(x, f"{stage}_block{unit}", times * width, stride if unit == 1 else 1, build)
    return x


def resnet50(x: keras.KerasTensor, *, classes: int = 2, seed: int = 0, **facts: Any) -> keras.KerasTensor:
    """The features, their average over the image, and one fully connected layer.

    Args:
        x, seed: as for `resnet50_features`.
        classes: number of outputs.
        facts: `width`, `units` and `compat` of `resnet50_features`.

    Returns:
        Logits (B, classes), float32.
    """
    x = resnet50_features(x, seed=seed, **facts)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return blocks.logits(x, classes, seed=seed)


def _stem(x: keras.KerasTensor, build: _Build) -> keras.KerasTensor:
    if not build.compat:
        x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(x)
    padding = "same" if build.compat else 0
    x = build.conv_bn(x, blocks.Conv("conv1_conv", build.width, 7, stride=2, padding=padding))
    x = blocks.relu(x, "conv1_relu")
    if not build.compat:
        x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)  # zeros serve as -inf: no ReLU output is below them
    return blocks.max_pool(x, 3, 2, "pool1_pool")


def _bottleneck(x: keras.KerasTensor, name: str, filters: int, stride: int, build: _Build) -> keras.KerasTensor:
    """relu(F(x) + x), F = convolutions 1x1, 3x3, 1x1 (He et al. 2016, figure 5); a stage's first unit projects x."""
    wide = ENLARGED * filters
    shortcut = x
    if name.endswith("block1"):
        shortcut = build.conv_bn(x, blocks.Conv(f"{name}_0_conv", wide, 1, stride=stride))
    x = build.conv_bn(x, blocks.Conv(f"{name}_1_conv", filters, 1, stride=stride))
    x = blocks.relu(x, f"{name}_1_relu")
    x = build.conv_bn(x, blocks.Conv(f"{name}_2_conv", filters, 3))
    x = blocks.relu(x, f"{name}_2_relu")
    x = build.conv_bn(x, blocks.Conv(f"{name}_3_conv", wide, 1))
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return blocks.relu(x, f"{name}_out")
