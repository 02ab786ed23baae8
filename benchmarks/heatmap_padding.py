"""How far is a heatmap from the patch net run patch by patch, and from its head slid over the feature map?

The patch net sees zeros at the rim of each patch where the image goes on, so the first difference is not zero; the
second is rounding. Random weights, batch norms set by one pass over the patches, an image of noise blurred to several
scales. Differences are given on the logits, as a share of the largest, and of their standard deviation over the
positions.

    python benchmarks/heatmap_padding.py [--image 480 416] [--patch 224] [--width 16]
"""

from __future__ import annotations

import argparse
import functools

import keras
import numpy as np
from scipy import ndimage

from mammo_tf.models import all_conv, resnet50, vgg

STRIDE = 32
NETS = {
    "ResNet50": resnet50.resnet50,
    "ResNet50 keras2.0": functools.partial(resnet50.resnet50, compat="keras2.0"),
    "VGG16": vgg.vgg16,
}


def image(height: int, width: int) -> np.ndarray:
    """(1, height, width, 3) float32 in 0..255: noise of several scales, gray."""
    rng = np.random.default_rng(0)
    layers = [ndimage.gaussian_filter(rng.normal(size=(height, width)), sigma) * sigma for sigma in (1, 4, 16)]
    gray = sum(layers)
    gray = 255 * (gray - gray.min()) / np.ptp(gray) - 52
    return np.repeat(gray[None, ..., None], 3, axis=-1).astype(np.float32)


def set_batch_norms(model: keras.Model, images: np.ndarray) -> None:
    """Makes the moving statistics those of the images, as training would."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(norms, before, strict=True):
        layer.momentum = momentum


def padding_difference(net: functools.partial, shape: tuple[int, int], patch: int, width: int) -> dict[str, float]:
    """Largest and mean difference of the logits over all positions and classes, and their scales."""
    x = keras.Input((patch, patch, 3))
    patch_net = keras.Model(x, net(x, classes=5, width=width))
    whole = image(*shape)
    set_batch_norms(patch_net, _patches(whole, patch))
    slid = all_conv.heatmap_net(patch_net, pool=patch // STRIDE, input_shape=(*shape, 3))
    layers = [slid.get_layer("heatmap_logits").output, slid.get_layer("heatmap_pool").input]
    found, maps = (np.asarray(value)[0] for value in keras.Model(slid.input, layers)(whole))
    patches = _patches(whole, patch)
    by_patch = np.concatenate([np.asarray(patch_net(patches[i : i + 8])) for i in range(0, len(patches), 8)])
    by_patch = by_patch.reshape(found.shape)
    kernel, bias = patch_net.get_layer("logits").get_weights()
    side = patch // STRIDE
    windows = np.lib.stride_tricks.sliding_window_view(maps, (side, side), axis=(0, 1)).mean(axis=(-2, -1))
    difference = np.abs(found - by_patch)
    return {
        "largest": difference.max(),
        "mean": difference.mean(),
        "largest logit": np.abs(by_patch).max(),
        "deviation": by_patch.std(axis=(0, 1)).mean(),
        "by window": np.abs(found - (windows @ kernel + bias)).max(),
    }


def _patches(whole: np.ndarray, patch: int) -> np.ndarray:
    _, height, width, _ = whole.shape
    tops, lefts = range(0, height - patch + 1, STRIDE), range(0, width - patch + 1, STRIDE)
    return np.concatenate([whole[:, i : i + patch, j : j + patch] for i in tops for j in lefts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=int, nargs=2, default=(480, 416), help="height and width, multiples of 32")
    parser.add_argument("--patch", type=int, default=224)
    parser.add_argument("--width", type=int, default=16)
    asked = parser.parse_args()
    for name, net in NETS.items():
        found = padding_difference(net, tuple(asked.image), asked.patch, asked.width)
        print(
            f"{name:18s} patch {asked.patch}: largest {found['largest']:.3g}, mean {found['mean']:.3g} on logits "
            f"up to {found['largest logit']:.3g} that vary by {found['deviation']:.3g} over the image "
            f"(largest difference {100 * found['largest'] / found['largest logit']:.0f} % of the largest logit, "
            f"mean difference {100 * found['mean'] / found['deviation']:.0f} % of the deviation); "
            f"head over windows of the feature map: {found['by window']:.1g}"
        )


if __name__ == "__main__":
    main()
