"""The NYU breast cancer screening net: Wu et al. 2019, "Deep Neural Networks Improve Radiologists' Performance in
Breast Cancer Screening", doi:10.1109/TMI.2019.2945514: a ResNet-22 a view, and what is done with four views.

    ResNet-22     conv 7x7/2 and max-pool 3/2, neither padded; five stages of two pre-activation blocks (He et al.
                  2016, arXiv:1603.05027); the first of each has a 1x1 shortcut of the pre-activated input. 2,799,536
                  parameters for one channel
    one view      average over the image, 256 units with ReLU, two pairs: benign, malignant        2,866,356
    view-wise     of the exam: the vectors of left and right joined, 512 units with ReLU, four
                  pairs, for CC and for MLO                                                        6,132,592
    image-wise    256 units and four pairs for each view                                           5,870,464

    compared      one view again, as two classes: benign or malignant, whichever is the more present
    breast        ours: the image-wise net of one breast, CC and MLO, as two classes

One ResNet sees CC views, another MLO views, left and right alike; every breast faces right. A pair holds the logits
of "absent" and "present". Images are z-scored; 1 channel, or 3 with the two heatmaps. Training adds noise of
deviation 0.01 to them.

    x = keras.Input((2677, 1942, 1))
    model = keras.Model(x, nyu_resnet22.one_view(x))                     # (B, 2, 2): benign and malignant, pairs
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import scipy.special

from mammo_tf import cases
from mammo_tf.models import blocks, two_view

ALGORITHM_VERSION = 1

# Stage: (filters in multiples of the width, stride of the first block); two blocks each.
STAGES = {"stage1": (1, 1), "stage2": (2, 2), "stage3": (4, 2), "stage4": (8, 2), "stage5": (16, 2)}
BLOCKS = 2
VIEWS = ("lcc", "rcc", "lmlo", "rmlo")
PROJECTIONS = ("cc", "mlo")
ANSWERS = ("left benign", "right benign", "left malignant", "right malignant")  # the pairs of an exam
OF_A_BREAST = ("benign", "malignant")  # the pairs of an image
SHAPES = {"cc": (2677, 1942), "mlo": (2974, 1748)}
NOISE = 0.01


def resnet22_features(x: keras.KerasTensor, *, seed: int = 0, width: int = 16) -> keras.KerasTensor:
    """ResNet-22 up to its last ReLU.

    Args:
        x: images (B, H, W, C), sides of at least 11.
        seed: fixes the initial weights.
        width: filters of the stem and of the first stage.

    Returns:
        Features (B, H', W', 16 width): 42 x 31 at 2677 x 1942 pixels, 4 x 4 at 203 to 266.
    """
    x = blocks.conv(x, blocks.Conv("stem_conv", width, 7, stride=2, padding=0, bias=False), seed=seed)
    x = blocks.max_pool(x, 3, 2, "stem_pool")
    for stage, (times, stride) in STAGES.items():
        for i in range(1, BLOCKS + 1):
            x = _block(x, f"{stage}_block{i}", times * width, stride if i == 1 else 1, i == 1, seed)
    return blocks.relu(blocks.batch_norm(x, "final_bn"), "final_relu")


def _block(
    x: keras.KerasTensor, name: str, filters: int, stride: int, projected: bool, seed: int
) -> keras.KerasTensor:
    """F(a) + x, or F(a) + P(a), with a = relu(bn(x)) and F two 3x3 convolutions with batch norm and ReLU between."""
    shortcut, x = x, blocks.relu(blocks.batch_norm(x, f"{name}_bn1"), f"{name}_relu1")
    if projected:
        facts = blocks.Conv(f"{name}_shortcut_conv", filters, 1, stride=stride, bias=False)
        shortcut = blocks.conv(x, facts, seed=seed)
    x = blocks.conv(x, blocks.Conv(f"{name}_conv1", filters, 3, stride=stride, bias=False), seed=seed)
    x = blocks.relu(blocks.batch_norm(x, f"{name}_bn2"), f"{name}_relu2")
    x = blocks.conv(x, blocks.Conv(f"{name}_conv2", filters, 3, bias=False), seed=seed)
    return keras.layers.Add(name=f"{name}_add")([x, shortcut])


def one_view(x: keras.KerasTensor, *, seed: int = 0, width: int = 16, noise: float = NOISE) -> keras.KerasTensor:
    """The net of a single image.

    Args:
        x, seed, width: as for `resnet22_features`.
        noise: standard deviation of what training adds to the images.

    Returns:
        Logits (B, 2, 2), float32: pairs of `OF_A_BREAST`, index 1 is "present".
    """
    x = resnet22_features(_noisy(x, noise, "noise", seed), seed=seed, width=width)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = blocks.relu(blocks.dense(x, 16 * width, "fc", seed=seed), "fc_relu")
    return _pairs(x, len(OF_A_BREAST), "logits", seed)


@keras.saving.register_keras_serializable(package="mammo_tf")
class Compared(keras.layers.Layer):
    """Pairs of logits (B, A, 2) to the log odds of "present", (B, A), as logits of A classes."""

    def __init__(self, **facts: Any):
        super().__init__(**{**facts, "dtype": "float32"})

    def call(self, inputs: Any) -> Any:
        return inputs[..., 1] - inputs[..., 0]


def compared(
    x: keras.KerasTensor, *, classes: int = 2, seed: int = 0, width: int = 16, noise: float = NOISE
) -> keras.KerasTensor:
    """`one_view` as a classifier: the larger of "benign is present" and "malignant is present" is the answer.

    So "Low Resource Breast Cancer Detection with Mammograms", section 5, reads the released net ("we compare the two
    label values ... instead of choosing a threshold").

    Args:
        x, seed, width, noise: as for `one_view`.
        classes: 2, benign and malignant.

    Returns:
        Logits (B, 2), float32: log odds of benign and of malignant.

    Raises:
        MammoError: another number of classes.
    """
    if classes != len(OF_A_BREAST):
        raise cases.MammoError(f"NYU: the net tells {len(OF_A_BREAST)} classes, not {classes}")
    return Compared(name="compared")(one_view(x, seed=seed, width=width, noise=noise))


def breast(x: keras.KerasTensor, *, seed: int = 0, width: int = 16, noise: float = NOISE) -> keras.KerasTensor:
    """A `compared` for each view of a breast, its layers named `cc_...` and `mlo_...`; their log odds are averaged.

    The layers above a ResNet are those of a projection, not of a side: left and right share them.

    Args:
        x: a `keras.Input` of images (B, H, W, 2): the CC view, then the MLO view.
        seed, width, noise: as for `one_view`.

    Returns:
        Logits (B, 2), float32.
    """
    net = functools.partial(compared, width=width, noise=noise)
    views = [two_view.branch(x, index, net, None, seed) for index in range(len(two_view.VIEWS))]
    return keras.layers.Average(dtype="float32", name="views")(views)


def view_wise(
    views: Mapping[str, keras.KerasTensor], *, seed: int = 0, width: int = 16, noise: float = NOISE
) -> dict[str, keras.KerasTensor]:
    """The net of an exam whose views of one projection are joined.

    Args:
        views: images (B, H, W, C) by name of `VIEWS`; the two of a projection have one size.
        seed, width, noise: as for `one_view`.

    Returns:
        Logits (B, 4, 2), float32, by projection: pairs of `ANSWERS`.

    Raises:
        MammoError: a view is missing or unknown, or the two of a projection differ in size.
    """
    vectors, found = _vectors(views, seed, width, noise), {}
    for projection in PROJECTIONS:
        both = [vectors[f"{side}{projection}"] for side in "lr"]
        x = keras.layers.Concatenate(name=f"joined_{projection}")(both)
        x = blocks.relu(blocks.dense(x, 32 * width, f"fc1_{projection}", seed=seed), f"fc1_{projection}_relu")
        found[projection] = _pairs(x, len(ANSWERS), f"logits_{projection}", seed)
    return found


def image_wise(
    views: Mapping[str, keras.KerasTensor], *, seed: int = 0, width: int = 16, noise: float = NOISE
) -> dict[str, keras.KerasTensor]:
    """The net of an exam with layers of its own for each view.

    Args:
        views, seed, width, noise: as for `view_wise`.

    Returns:
        Logits (B, 4, 2), float32, by view: the first two pairs are `OF_A_BREAST`, that of the view; the others are
        not used.

    Raises:
        MammoError: as `view_wise`.
    """
    found = {}
    for view, x in _vectors(views, seed, width, noise).items():
        x = blocks.relu(blocks.dense(x, 16 * width, f"fc1_{view}", seed=seed), f"fc1_{view}_relu")
        found[view] = _pairs(x, len(ANSWERS), f"logits_{view}", seed)
    return found


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Pairs of logits (..., 2) to the probability of "present", (...)."""
    return scipy.special.softmax(np.asarray(logits, np.float64), axis=-1)[..., 1]


def exam(found: Mapping[str, np.ndarray]) -> np.ndarray:
    """The probabilities of an exam, (B, 4) as `ANSWERS`, from the logits of `view_wise` or `image_wise`.

    View-wise both projections are averaged, after the softmax; image-wise both views of a breast.

    Raises:
        MammoError: the logits are those of other views.
    """
    each = {name: probabilities(logits) for name, logits in found.items()}
    if set(each) == set(PROJECTIONS):
        return np.mean([each[name] for name in PROJECTIONS], axis=0)
    _refuse(each)
    breasts = [np.mean([each[f"{side}cc"], each[f"{side}mlo"]], axis=0)[:, :2] for side in "lr"]
    return np.stack(breasts, axis=-1).reshape(-1, len(ANSWERS))


def _refuse(views: Mapping[str, object]) -> None:
    if set(views) != set(VIEWS):
        raise cases.MammoError(f"NYU: expected the views {', '.join(VIEWS)}, found {', '.join(views) or 'none'}")


def _vectors(
    views: Mapping[str, keras.KerasTensor], seed: int, width: int, noise: float
) -> dict[str, keras.KerasTensor]:
    """256 numbers a view; a model `resnet_cc` or `resnet_mlo` inside the net sees those of left and right."""
    _refuse(views)
    found = {}
    for projection in PROJECTIONS:
        left, right = (views[f"{side}{projection}"] for side in "lr")
        if left.shape != right.shape:
            raise cases.MammoError(
                f"NYU: views of {projection} are {left.shape} and {right.shape}, expected one size"
            )
        image = keras.Input(left.shape[1:], name=f"image_{projection}")
        x = keras.layers.GlobalAveragePooling2D(name="pool")(resnet22_features(image, seed=seed, width=width))
        net = keras.Model(image, x, name=f"resnet_{projection}")
        for view, x in ((f"l{projection}", left), (f"r{projection}", right)):
            found[view] = net(_noisy(x, noise, f"noise_{view}", seed))
    return {view: found[view] for view in VIEWS}


def _noisy(x: keras.KerasTensor, noise: float, name: str, seed: int) -> keras.KerasTensor:
    return keras.layers.GaussianNoise(noise, seed=blocks.layer_seed(seed, name), name=name)(x) if noise else x


def _pairs(x: keras.KerasTensor, count: int, name: str, seed: int) -> keras.KerasTensor:
    x = blocks.dense(x, 2 * count, name, seed=seed, dtype="float32")
    return keras.layers.Reshape((count, 2), dtype="float32", name=f"{name}_pairs")(x)
