"""ResNet-18: He et al. 2016, "Deep residual learning for image recognition", doi:10.1109/CVPR.2016.90, table 1.

The layout is torchvision's, so that its weights give its logits (`weights.load_resnet18`): shortcuts by 1x1
convolutions where the shape changes, symmetric padding where a convolution strides. 11,177,538 trainable parameters
with 2 classes.

    x = keras.Input((224, 224, 3))
    model = keras.Model(x, resnet.resnet18(x))
"""

from __future__ import annotations

import keras

from mammo_tf.models import blocks

ALGORITHM_VERSION = 1

# Stage: (filters in multiples of the width, stride of the first block); two blocks each.
STAGES = {"stage1": (1, 1), "stage2": (2, 2), "stage3": (4, 2), "stage4": (8, 2)}
BLOCKS = 2


def resnet18(x: keras.KerasTensor, *, classes: int = 2, seed: int = 0, width: int = 64) -> keras.KerasTensor:
    """The net as a function.

    Args:
        x: images (B, H, W, C), of any side; below 32 the last stages see a single pixel.
        classes: number of outputs.
        seed: fixes the initial weights.
        width: filters of the stem and of the first stage.

    Returns:
        Logits (B, classes), float32.
    """
    x = _conv_bn(x, blocks.Conv("stem_conv", width, 7, stride=2, bias=False), seed)
    x = blocks.relu(x, "stem_relu")
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # zeros serve as -inf: no ReLU output is below them
    x = blocks.max_pool(x, 3, 2, "stem_pool")
    for stage, (times, stride) in STAGES.items():
        for i in range(1, BLOCKS + 1):
            x = _basic_block(x, f"{stage}_block{i}", times * width, stride if i == 1 else 1, seed)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return blocks.logits(x, classes, seed=seed)


def _basic_block(x: keras.KerasTensor, name: str, filters: int, stride: int, seed: int) -> keras.KerasTensor:
    """relu(F(x) + x), F = two 3x3 convolutions (He et al. 2016, eq. 1; eq. 2 where the shape changes)."""
    shortcut = x
    x = _conv_bn(x, blocks.Conv(f"{name}_conv1", filters, 3, stride=stride, bias=False), seed)
    x = blocks.relu(x, f"{name}_relu1")
    x = _conv_bn(x, blocks.Conv(f"{name}_conv2", filters, 3, bias=False), seed)
    if stride != 1 or shortcut.shape[-1] != filters:
        facts = blocks.Conv(f"{name}_shortcut_conv", filters, 1, stride=stride, bias=False)
        shortcut = _conv_bn(shortcut, facts, seed)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return blocks.relu(x, f"{name}_relu2")


def _conv_bn(x: keras.KerasTensor, facts: blocks.Conv, seed: int) -> keras.KerasTensor:
    x = blocks.conv(x, facts, seed=seed, initializer=blocks.fan_out_normal)
    return blocks.batch_norm(x, facts.name.replace("conv", "bn"))
