"""A convolutional head on the feature map of a pre-trained net: conv, max-pool, ReLU, flatten, fully connected.

Kreiss ("Building the network"): "Above this layer, we added a convolution layer, added Maxpool, Relu and flatten
our vector so we can use a FN (Fully connected network) at the final step." Filters, kernel and stride are not stated;
they are what the paper's next steps would tune ("kernel size, padding options, strides"), so they are arguments here.

    x = keras.Input((299, 299, 3))
    model = keras.Model(x, conv_head.conv_head(x, features=inception_v3.inception_v3_features))
    frozen.Frozen(conv_head.CUT, features.of)               # everything below the head stays as it is
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras

from mammo_tf import cases
from mammo_tf.models import blocks

ALGORITHM_VERSION = 1

PREFIXES = ("top_", "logits")  # layers of the head
CUT = "features"  # the layer that gives the feature map
PADDINGS = ("same", "valid")


@dataclasses.dataclass(frozen=True)
class Head:
    """The layers above the feature map.

    Attributes:
        filters: of the added convolution.
        kernel: its side.
        padding: "same" or "valid".
        stride: of the convolution.
        pool: side and stride of the max-pool; windows that reach over the edge of the map take what is there, so
            that no part of the image is left out. A map smaller than that is pooled to one pixel.
        fc: units of hidden fully connected layers between the flattened vector and the logits.
        dropout: share of the flattened vector dropped.
    """

    filters: int = 64
    kernel: int = 3
    padding: str = "same"
    stride: int = 1
    pool: int = 2
    fc: tuple[int, ...] = ()
    dropout: float = 0.0

    def __post_init__(self):
        sizes = (self.filters, self.kernel, self.stride, self.pool, *self.fc)
        if min(sizes) < 1 or self.padding not in PADDINGS or not 0 <= self.dropout < 1:
            raise cases.MammoError(
                f"head: sizes must be 1 or more, padding {' or '.join(PADDINGS)}, dropout in [0, 1); found {self}"
            )

    def __call__(self, x: keras.KerasTensor, *, classes: int, seed: int) -> keras.KerasTensor:
        """A feature map (B, h, w, C) to logits (B, classes), float32.

        Raises:
            MammoError: the kernel is larger than the map, and the padding is "valid".
        """
        if self.padding == "valid" and self.kernel > min(x.shape[1:3]):
            raise cases.MammoError(
                f"head: a map of {x.shape[1]}x{x.shape[2]} has no place for a kernel of {self.kernel} without padding"
            )
        facts = blocks.Conv(
            "top_conv",
            self.filters,
            self.kernel,
            stride=self.stride,
            padding="same" if self.padding == "same" else 0,
        )
        x = blocks.conv(x, facts, seed=seed, initializer=keras.initializers.HeNormal)
        x = keras.layers.MaxPooling2D(min(self.pool, *x.shape[1:3]), padding="same", name="top_pool")(x)
        x = keras.layers.Flatten(name="top_flatten")(blocks.relu(x, "top_relu"))
        if self.dropout:
            x = blocks.dropout(x, self.dropout, "top_dropout", seed=seed)
        for i, units in enumerate(self.fc, start=1):
            x = blocks.relu(blocks.dense(x, units, f"top_fc{i}", seed=seed), f"top_fc{i}_relu")
        return blocks.logits(x, classes, seed=seed)


def conv_head(
    x: keras.KerasTensor,
    *,
    features: Callable[..., keras.KerasTensor],
    head: Head = Head(),
    classes: int = 2,
    seed: int = 0,
) -> keras.KerasTensor:
    """The net as a function.

    Args:
        x: images (B, H, W, C).
        features: images -> feature map, called with `seed`; `inception_v3.inception_v3_features` in the paper.
        head: what stands above.
        classes: number of outputs.
        seed: fixes the initial weights.

    Returns:
        Logits (B, classes), float32.
    """
    x = keras.layers.Identity(name=CUT)(features(x, seed=seed))
    return head(x, classes=classes, seed=seed)
