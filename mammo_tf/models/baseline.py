"""The baseline CNN of Ao and Zhang, "Mammography Classification Using Deep Learning Methods", section 4.1.

Three times [convolution 3x3, batch norm, ReLU, max-pool], then fully connected layers of 512, 128 and 2.
Not stated there and chosen here: `same` padding, max-pool 2x2, biases, the initialisation of `blocks`.
12,931,074 trainable parameters with 224x224x3 input and 2 classes.

    x = keras.Input((224, 224, 3))
    model = keras.Model(x, baseline.baseline_cnn(x))
"""

from __future__ import annotations

import keras

from mammo_tf.models import blocks

ALGORITHM_VERSION = 1

BLOCKS = 3


def baseline_cnn(
    x: keras.KerasTensor, *, classes: int = 2, seed: int = 0, width: int = 32, fc: tuple[int, ...] = (512, 128)
) -> keras.KerasTensor:
    """The net as a function.

    Args:
        x: images (B, H, W, C), sides of at least 8, any normalisation.
        classes: number of outputs.
        seed: fixes the initial weights.
        width: filters of each convolution.
        fc: units of the hidden fully connected layers.

    Returns:
        Logits (B, classes), float32.
    """
    for i in range(1, BLOCKS + 1):
        x = blocks.conv(x, blocks.Conv(f"block{i}_conv1", width, 3), seed=seed)
        x = blocks.batch_norm(x, f"block{i}_bn1")
        x = blocks.relu(x, f"block{i}_relu1")
        x = blocks.max_pool(x, 2, 2, f"block{i}_pool")
    x = keras.layers.Flatten(name="flatten")(x)
    for i, units in enumerate(fc, start=1):
        x = blocks.dense(x, units, f"fc{i}", seed=seed)
        x = blocks.relu(x, f"fc{i}_relu")
    return blocks.logits(x, classes, seed=seed)
