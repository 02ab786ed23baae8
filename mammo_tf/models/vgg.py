"""VGG16 without its fully connected layers: Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, column D.

Five blocks of 3x3 convolutions (2, 2, 3, 3, 3 of them), each followed by a 2x2 max-pool. As in Shen et al. 2019,
section 2.2, a global average pooling takes the place of the two hidden fully connected layers. Names and graph are
those of `keras.applications.VGG16`, each ReLU a layer of its own. 14,714,688 parameters of the features at width 64.

    x = keras.Input((224, 224, 3))
    model = keras.Model(x, vgg.vgg16(x, classes=5))
"""

from __future__ import annotations

import keras

from mammo_tf.models import blocks

ALGORITHM_VERSION = 1

# Block: (filters in multiples of the width, number of convolutions).
BLOCKS = {"block1": (1, 2), "block2": (2, 2), "block3": (4, 3), "block4": (8, 3), "block5": (8, 3)}

# The "top layers" of the second training stage (section 3.1.2): the last 11 of 22, from block4_conv1 on.
TOP_PREFIXES = ("block4_", "block5_", "logits")


def vgg16_features(x: keras.KerasTensor, *, seed: int = 0, width: int = 64) -> keras.KerasTensor:
    """The five blocks as a function.

    Args:
        x: images (B, H, W, C), sides of at least 32.
        seed: fixes the initial weights: He normal, biases zero.
        width: filters of the first block.

    Returns:
        Features (B, H // 32, W // 32, 8 width).
    """
    for block, (times, count) in BLOCKS.items():
        for i in range(1, count + 1):
            facts = blocks.Conv(f"{block}_conv{i}", times * width, 3)
            x = blocks.conv(x, facts, seed=seed, initializer=keras.initializers.HeNormal)
            x = blocks.relu(x, f"{block}_relu{i}")
        x = blocks.max_pool(x, 2, 2, f"{block}_pool")
    return x


def vgg16(x: keras.KerasTensor, *, classes: int = 2, seed: int = 0, width: int = 64) -> keras.KerasTensor:
    """The features, their average over the image, and one fully connected layer.

    Args:
        x, seed, width: as for `vgg16_features`.
        classes: number of outputs.

    Returns:
        Logits (B, classes), float32.
    """
    x = vgg16_features(x, seed=seed, width=width)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return blocks.logits(x, classes, seed=seed)
