"""AlexNet in its one-tower form: Krizhevsky 2014, "One weird trick ...", arXiv:1404.5997, as torchvision lays it out.

Five convolutions, three max-pools 3x3 of stride 2, an average pool to 6x6, three fully connected layers with dropout
before the first two; no response normalisation (Krizhevsky et al. 2012, doi:10.1145/3065386, had two towers and it).
57,012,034 parameters with 224x224x3 input and 2 classes.

    x = keras.Input((224, 224, 3))
    model = keras.Model(x, alexnet.alexnet(x))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras

from mammo_tf.models import blocks

ALGORITHM_VERSION = 1

CONVS = (  # filters are given for width 64
    blocks.Conv("block1_conv1", filters=64, kernel=11, stride=4, padding=2),
    blocks.Conv("block2_conv1", filters=192, kernel=5),
    blocks.Conv("block3_conv1", filters=384, kernel=3),
    blocks.Conv("block3_conv2", filters=256, kernel=3),
    blocks.Conv("block3_conv3", filters=256, kernel=3),
)
POOLED = {"block1_conv1": "block1_pool", "block2_conv1": "block2_pool", "block3_conv3": "block3_pool"}
GRID = 6


@dataclasses.dataclass(frozen=True)
class Form:
    """Departures from torchvision's net.

    Attributes:
        stride: of the first convolution.
        grid: side that the last feature map is averaged to. Images of 224 have a map of 6; where it is smaller, the
            average repeats its pixels, and the first fully connected layer sees each of them several times.
        initializer: seed -> how kernels start; PyTorch's default.
    """

    stride: int = 4
    grid: int = GRID
    initializer: Callable[[int], keras.Initializer] = blocks.fan_in_uniform


def alexnet_features(
    x: keras.KerasTensor,
    *,
    seed: int = 0,
    width: int = 64,
    fc: int = 4096,
    dropout: float = 0.5,
    form: Form = Form(),
) -> keras.KerasTensor:
    """The net up to its second hidden fully connected layer.

    Args:
        x: images (B, H, W, C), sides of at least 63.
        seed: fixes the initial weights and the dropout.
        width: filters of the first convolution, the others in proportion.
        fc: units of the two hidden fully connected layers.
        dropout: share of the units dropped before each of them.
        form: what torchvision's form does not have.

    Returns:
        Features (B, fc).
    """
    for facts in CONVS:
        stride = form.stride if facts.stride > 1 else 1
        facts = dataclasses.replace(facts, filters=facts.filters * width // 64, stride=stride)
        x = blocks.conv(x, facts, seed=seed, initializer=form.initializer)
        x = blocks.relu(x, facts.name.replace("conv", "relu"))
        if facts.name in POOLED:
            x = blocks.max_pool(x, 3, 2, POOLED[facts.name])
    x = blocks.AdaptiveAveragePool(form.grid, name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for i in (1, 2):
        x = blocks.dropout(x, dropout, f"fc{i}_dropout", seed=seed)
        x = blocks.dense(x, fc, f"fc{i}", seed=seed, initializer=form.initializer)
        x = blocks.relu(x, f"fc{i}_relu")
    return x


def alexnet(
    x: keras.KerasTensor,
    *,
    classes: int = 2,
    seed: int = 0,
    width: int = 64,
    fc: int = 4096,
    dropout: float = 0.5,
) -> keras.KerasTensor:
    """The features and one more fully connected layer.

    Args:
        x, seed, width, fc, dropout: as for `alexnet_features`.
        classes: number of outputs.

    Returns:
        Logits (B, classes), float32.
    """
    x = alexnet_features(x, seed=seed, width=width, fc=fc, dropout=dropout)
    return blocks.logits(x, classes, seed=seed)
