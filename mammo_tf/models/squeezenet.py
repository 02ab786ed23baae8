"""SqueezeNet: Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer ...", arXiv:1602.07360.

Eight fire modules: a 1x1 convolution squeezes the channels, then 1x1 and 3x3 convolutions of it stand side by side.
There is no fully connected layer: a 1x1 convolution gives a map of each class, whose ReLU is averaged over the image.

    V1_0     the paper's (table 1)                                          1,248,424 parameters with 1000 classes
    V1_1     its authors' later form, 2.4 times less computation            1,235,496; 722,496 of the features
    KERAS    V1_1, its max-pools without a cut-off last window              as V1_1

The first two are torchvision's graphs, whose max-pools count a cut-off last window (`ceil mode`), as those of Caffe
do, in which the paper's net was trained; Keras' file of ImageNet weights comes with a graph that does not. At 224
pixels V1_1 and KERAS are the same net, with maps of 55, 27, 13; at 227 V1_1 has 56, 28, 14 and KERAS 56, 27, 13.
Kernels start He uniform, those of the class maps N(0, 0.01), biases at zero, as in torchvision; the paper names none.
A class whose map is below 0 in every image no longer learns: the ReLU above it is the paper's.

    x = keras.Input((224, 224, 3))
    model = keras.Model(x, squeezenet.squeezenet(x))
"""

from __future__ import annotations

import dataclasses

import keras

from mammo_tf.models import blocks

ALGORITHM_VERSION = 1

# Fire module: filters at width 64 of its 1x1 squeeze and of each of its two expansions. Table 1.
FIRES = {
    "fire2": (16, 64),
    "fire3": (16, 64),
    "fire4": (32, 128),
    "fire5": (32, 128),
    "fire6": (48, 192),
    "fire7": (48, 192),
    "fire8": (64, 256),
    "fire9": (64, 256),
}
HEAD = "logits"  # the 1x1 convolution to the class maps, `conv10` of the paper


@dataclasses.dataclass(frozen=True)
class Variant:
    """A form of the net.

    Attributes:
        filters, kernel: of the first convolution, unpadded with a stride of 2; filters at width 64.
        pooled: fire modules with a max-pool after them.
        ceil: whether max-pools count a cut-off last window.
    """

    filters: int = 64
    kernel: int = 3
    pooled: tuple[str, ...] = ("fire3", "fire5")
    ceil: bool = True


V1_0 = Variant(filters=96, kernel=7, pooled=("fire4", "fire8"))
V1_1 = Variant()
KERAS = Variant(ceil=False)


@dataclasses.dataclass(frozen=True)
class _Build:
    """What each layer is built with."""

    seed: int
    width: int
    variant: Variant

    def conv(self, x: keras.KerasTensor, facts: blocks.Conv) -> keras.KerasTensor:
        """Convolution, its filters given at width 64, and ReLU."""
        facts = dataclasses.replace(facts, filters=max(1, facts.filters * self.width // 64))
        x = blocks.conv(x, facts, seed=self.seed, initializer=keras.initializers.HeUniform)
        return blocks.relu(x, facts.name.replace("conv", "relu"))

    def halved(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Max-pool 3x3 of stride 2."""
        return blocks.halved(x, 3, name) if self.variant.ceil else blocks.max_pool(x, 3, 2, name)


def squeezenet_features(
    x: keras.KerasTensor, *, seed: int = 0, width: int = 64, variant: Variant = V1_1
) -> keras.KerasTensor:
    """The net up to its last fire module.

    Args:
        x: images (B, H, W, C), sides of at least 17 (V1_1), 21 (V1_0) or 31 (KERAS).
        seed: fixes the initial weights.
        width: filters of an expansion of the first fire module, all others in proportion; exact in multiples of 4.
        variant: V1_0, V1_1, KERAS or another.

    Returns:
        Features (B, H', W', 8 width), H' = 13 at 224 pixels.
    """
    build = _Build(seed, width, variant)
    x = build.conv(x, blocks.Conv("stem_conv", variant.filters, variant.kernel, stride=2, padding=0))
    x = build.halved(x, "stem_pool")
    for name, (squeezed, expanded) in FIRES.items():
        x = _fire(x, name, squeezed, expanded, build)
        if name in variant.pooled:
            x = build.halved(x, f"{name}_pool")
    return x


def squeezenet(
    x: keras.KerasTensor,
    *,
    classes: int = 2,
    seed: int = 0,
    width: int = 64,
    dropout: float = 0.5,
    variant: Variant = V1_1,
) -> keras.KerasTensor:
    """The features, dropout, a map of each class, its ReLU, and the average over the image.

    Args:
        x, seed, width, variant: as for `squeezenet_features`.
        classes: number of outputs.
        dropout: share of the feature map dropped.

    Returns:
        Logits (B, classes), float32, at least 0.
    """
    x = squeezenet_features(x, seed=seed, width=width, variant=variant)
    x = blocks.dropout(x, dropout, "dropout", seed=seed)
    normal = keras.initializers.RandomNormal(0.0, 0.01, seed=blocks.layer_seed(seed, HEAD))
    x = keras.layers.Conv2D(classes, 1, kernel_initializer=normal, dtype="float32", name=HEAD)(x)
    x = keras.layers.ReLU(dtype="float32", name=f"{HEAD}_relu")(x)
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name=f"{HEAD}_pool")(x)


def _fire(x: keras.KerasTensor, name: str, squeezed: int, expanded: int, build: _Build) -> keras.KerasTensor:
    x = build.conv(x, blocks.Conv(f"{name}_squeeze_conv", squeezed, 1))
    one = build.conv(x, blocks.Conv(f"{name}_expand1_conv", expanded, 1))
    three = build.conv(x, blocks.Conv(f"{name}_expand3_conv", expanded, 3))
    return keras.layers.Concatenate(name=name)([one, three])
