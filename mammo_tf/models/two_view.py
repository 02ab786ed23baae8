"""One or two views to one answer, with a filter bank before the net: Yi et al. 2017, section 2.2 and figure 2.

    one_view      figure 2b, "parallel": one set of weights that sees CC and MLO views as images of their own. What it
                  says of the two views of a case is averaged after the softmax, outside the net.
    multi_modal   figure 2a: a branch for each view, with weights of its own; their vectors are joined and go through
                  fully connected layers. About twice the parameters.

`features` is any function of this package, images -> feature map or vector: `alexnet.alexnet_features`,
`vgg.vgg16_features`, `googlenet.googlenet_features` (whose auxiliary classifiers are not used here),
`inception_v3.inception_v3_features`, `resnet50.resnet50_features`. The paper flattens its vectors; here a feature map
is averaged over the image, as most of these nets do themselves, so that a net's size does not depend on the image's.

    x = keras.Input((224, 224, 2))
    model = keras.Model(x, two_view.multi_modal(x, features=googlenet.googlenet_features, dog=dog.SIGMAS))
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras

from mammo_tf import cases
from mammo_tf.models import blocks
from mammo_tf.models import dog as dog_bank

ALGORITHM_VERSION = 1

VIEWS = ("cc", "mlo")  # in the order of the channels

Features = Callable[..., keras.KerasTensor]


@keras.saving.register_keras_serializable(package="mammo_tf")
class View(keras.layers.Layer):
    """One channel of the images, in the precision that they have: (B, H, W, C) -> (B, H, W, 1)."""

    def __init__(self, index: int, **facts: Any):
        super().__init__(**{**facts, "autocast": False})
        self.index = index

    def call(self, inputs: Any) -> Any:
        return inputs[..., self.index : self.index + 1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "index": self.index}


@dataclasses.dataclass(frozen=True)
class Top:
    """The fully connected layers that see the vectors of both views; the paper gives no sizes.

    Attributes:
        fc: units of each hidden layer.
        dropout: share of the units dropped after each of them, or before the logits where there is none.
    """

    fc: tuple[int, ...] = (256,)
    dropout: float = 0.1

    def __call__(self, x: keras.KerasTensor, *, classes: int, seed: int) -> keras.KerasTensor:
        """A vector (B, F) to logits (B, classes), float32."""
        for i, units in enumerate(self.fc, start=1):
            x = blocks.dense(x, units, f"fc{i}", seed=seed)
            x = blocks.relu(x, f"fc{i}_relu")
            x = blocks.dropout(x, self.dropout, f"fc{i}_dropout", seed=seed)
        if not self.fc:
            x = blocks.dropout(x, self.dropout, "dropout", seed=seed)
        return blocks.logits(x, classes, seed=seed)


def one_view(
    x: keras.KerasTensor,
    *,
    features: Features,
    dog: tuple[float, ...] | None = None,
    classes: int = 2,
    seed: int = 0,
    dropout: float = 0.1,
) -> keras.KerasTensor:
    """The net as a function.

    Args:
        x: images (B, H, W, C), C = 1 in the paper.
        features: the backbone; called with `seed`.
        dog: scales of the filter bank in pixels, such as `dog.sigmas_at(side)`; None: no bank.
        classes: number of outputs.
        seed: fixes the initial weights and the dropout.
        dropout: share of the features dropped before the logits.

    Returns:
        Logits (B, classes), float32.
    """
    return Top((), dropout)(_vector(x, features, dog, seed), classes=classes, seed=seed)


def multi_modal(
    x: keras.KerasTensor,
    *,
    features: Features,
    dog: tuple[float, ...] | None = None,
    classes: int = 2,
    seed: int = 0,
    top: Top = Top(),
) -> keras.KerasTensor:
    """The net as a function, one flat graph: a branch has the layers of `one_view`, named `cc_...` or `mlo_...`.

    Args:
        x: a `keras.Input` of images (B, H, W, 2): the CC view, then the MLO view.
        features, dog, classes: as for `one_view`.
        seed: fixes the initial weights and the dropout; each branch draws its own.
        top: what sees the joined vectors.

    Returns:
        Logits (B, classes), float32.

    Raises:
        MammoError: x is no `keras.Input`, or has not two channels.
    """
    if not isinstance(x._keras_history.operation, keras.layers.InputLayer) or x.shape[-1] != len(VIEWS):
        raise cases.MammoError(f"multi_modal: x must be a keras.Input of {len(VIEWS)} channels, found {x.shape}")
    vectors = [branch(x, index, features, dog, seed) for index in range(len(VIEWS))]
    return top(keras.layers.Concatenate(name="views")(vectors), classes=classes, seed=seed)


def _vector(x: keras.KerasTensor, features: Features, dog: tuple[float, ...] | None, seed: int) -> keras.KerasTensor:
    if dog is not None:
        x = dog_bank.DoGFilterBank(dog, name="dog")(x)
    x = features(x, seed=seed)
    return keras.layers.GlobalAveragePooling2D(name="pool")(x) if len(x.shape) == 4 else x


def branch(
    x: keras.KerasTensor, index: int, features: Features, dog: tuple[float, ...] | None, seed: int
) -> keras.KerasTensor:
    """The vector of one view, (B, F), of images x (B, H, W, 2); its layers are named after the view.

    It is built by itself, then copied onto x under other names, as layers cannot be renamed.
    """
    view = VIEWS[index]
    image = keras.Input(x.shape[1:], dtype=x.dtype)
    vector = _vector(View(index, name="view")(image), features, dog, blocks.layer_seed(seed, view))
    rename = functools.partial(_renamed, f"{view}_")
    branch = keras.Model([image], vector)
    return keras.models.clone_model(branch, input_tensors=[x], clone_function=rename).outputs[0]


def _renamed(prefix: str, layer: keras.Layer) -> keras.Layer:
    return type(layer).from_config({**layer.get_config(), "name": prefix + layer.name})
