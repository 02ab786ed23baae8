"""Nets for the tests of `explain.relevance`: the suite's own, as small as they can be, and some to do by hand."""

import contextlib
import functools

import keras
import numpy as np
import pytest

from mammo_tf.explain import relevance
from mammo_tf.models import (
    alexnet,
    all_conv,
    all_conv_heads,
    baseline,
    conv_head,
    dog,
    googlenet,
    inception_v3,
    resnet,
    resnet50,
    squeezenet,
    two_view,
    vgg,
)

VGG = functools.partial(vgg.vgg16_features, width=4)
GOOGLENET = functools.partial(googlenet.googlenet_features, width=8)
LRN = googlenet.Variant(lrn=True)
BANK = {"dog": dog.sigmas_at(32)}
PAIR = {**BANK, "top": two_view.Top((8,))}
NETS = {  # net as a function of the images, their side, their channels
    "baseline": (functools.partial(baseline.baseline_cnn, width=4, fc=(8, 4)), 16, 3),
    "alexnet": (functools.partial(alexnet.alexnet, width=4, fc=8), 63, 3),
    "resnet18": (functools.partial(resnet.resnet18, width=4), 32, 3),
    "resnet50": (functools.partial(resnet50.resnet50, width=4), 32, 3),
    "resnet50 of keras 2.0": (
        functools.partial(resnet50.resnet50, width=4, units=(1, 1, 1, 1), compat="keras2.0"),
        32,
        3,
    ),
    "vgg16 of one view": (functools.partial(two_view.one_view, features=VGG, **BANK), 32, 1),
    "vgg16 of two views": (functools.partial(two_view.multi_modal, features=VGG, **PAIR), 32, 2),
    "googlenet of two views": (functools.partial(two_view.multi_modal, features=GOOGLENET, **PAIR), 32, 2),
    "googlenet": (functools.partial(googlenet.googlenet, width=8, variant=LRN), 32, 3),
    "googlenet of torchvision": (
        functools.partial(googlenet.googlenet, width=8, variant=googlenet.TORCHVISION),
        32,
        3,
    ),
    "conv head": (
        functools.partial(
            conv_head.conv_head,
            features=functools.partial(inception_v3.inception_v3_features, width=2),
            head=conv_head.Head(4, fc=(4,)),
        ),
        96,
        3,
    ),
    "squeezenet": (functools.partial(squeezenet.squeezenet, width=8), 32, 3),
    "squeezenet 1.0": (functools.partial(squeezenet.squeezenet, width=8, variant=squeezenet.V1_0), 32, 3),
    "inception_v3": (functools.partial(inception_v3.inception_v3, width=4), 75, 3),
}
HEATMAPS = {"features": None, "relu": all_conv.Heatmap(3, 2), "softmax": all_conv.Heatmap(3, 2, "softmax")}
TOPS = {
    "vgg": all_conv_heads.VggTop(((8, 1),)),
    "resnet": all_conv_heads.ResnetTop((((8, 8, 16), 2),)),
    "fc": all_conv_heads.FcTop(2, (8, 4)),
}
for heatmap in HEATMAPS:
    for top in TOPS:
        whole = functools.partial(all_conv.whole_image, backbone=VGG, top=TOPS[top], heatmap=HEATMAPS[heatmap])
        NETS[f"whole image, {heatmap}, {top}"] = (whole, 96, 3)

# One of each kind: the nine whole-image nets are one backbone below three heatmaps and three tops.
KINDS = [name for name in NETS if "whole image" not in name or name == "whole image, features, resnet"]

LOW, HIGH = -2.0, 2.5
ONE_TWO = np.array([[[[1, 2]]]], "float32")
RULES = {
    "composite": relevance.composite(LOW, HIGH),
    "deep taylor": relevance.deep_taylor(LOW, HIGH),
    "z-plus": relevance.Z_PLUS,
    "epsilon": relevance.EPSILON,
}


def images(side, channels, count=2):
    return np.random.default_rng(0).uniform(LOW, HIGH, (count, side, side, channels)).astype("float32")


@contextlib.contextmanager
def policy(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def fresh(name):
    function, side, channels = NETS[name]
    x = keras.Input((side, side, channels))
    return keras.Model(x, function(x))


def built(name):
    """A net whose biases and batch norms are not what they start as."""
    model = fresh(name)
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.3, layer.beta.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, layer.beta.shape))
            layer.beta.assign(rng.normal(0, 0.3, layer.beta.shape))
            if layer.scale:
                layer.gamma.assign(rng.uniform(0.5, 1.5, layer.beta.shape))
        elif getattr(layer, "use_bias", False):
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    return model


def flat(shape, kernels, biases):
    """Images of `shape`, flattened, through dense layers with a ReLU between each two."""
    x = keras.Input(shape)
    y = keras.layers.Flatten()(x)
    for i, bias in enumerate(biases):
        y = keras.layers.Dense(len(bias))(keras.layers.ReLU()(y) if i else y)
    model = keras.Model(x, y)
    model.set_weights([np.array(w, "float32") for pair in zip(kernels, biases, strict=True) for w in pair])
    return model


def two_layers():
    """Of x = (1, 2): h = (3 - 2 + 1, -1 + 4 - 1) = (2, 2); logits (2 * 2 - 2 + 1, 0) = (3, 0)."""
    return flat((1, 1, 2), [[[3, -1], [-1, 2]], [[2, 0], [-1, 0]]], [[1, -1], [1, 0]])


def one_convolution(kernel, bias, width, top, pad=0, norm=None):
    """Images 1 x width through a convolution 1 x 2, ReLU, the mean, and one weight to class 0."""
    x = keras.Input((1, width, 1))
    y = keras.layers.ZeroPadding2D(((0, 0), (pad, 0)))(x) if pad else x
    y = keras.layers.Conv2D(1, (1, 2), name="conv")(y)
    if norm:
        y = keras.layers.BatchNormalization(epsilon=0.0, name="norm")(y)
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(y))
    model = keras.Model(x, keras.layers.Dense(2, use_bias=False, name="logits")(y))
    model.get_layer("conv").set_weights([np.reshape(np.float32(kernel), (1, 2, 1, 1)), np.float32([bias])])
    model.get_layer("logits").set_weights([np.float32([[top, 0]])])
    if norm:
        model.get_layer("norm").set_weights([np.float32([value]) for value in norm])
    return model


def below_logits(layer, shape, weights, inputs=1):
    """Images through one layer, or `inputs` channels joined by it, and weights to class 0."""
    x = keras.Input(shape)
    parts = [two_view.View(i)(x) for i in range(inputs)] if inputs > 1 else x
    y = keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(layer(parts)))
    model = keras.Model(x, y)
    model.layers[-1].set_weights([np.stack([np.float32(weights), np.zeros(len(weights), "float32")], axis=1)])
    return model


def through(layer):
    return below_logits(layer, (2, 2, 2), [1] * 8)


def same(rule):
    return relevance.Rules(rule, rule, rule)


def check(model, x, rules, pixels, **absorbed):
    """Checks what was found against what was worked out."""
    got = relevance.propagate(model, np.asarray(x, np.float32), rules, 0)
    np.testing.assert_allclose(got.relevance.ravel(), pixels, atol=1e-5)
    for name in relevance.ABSORBED:
        assert getattr(got, name).tolist() == pytest.approx([absorbed.get(name, 0.0)], abs=1e-5), name
    assert got.gap.tolist() == pytest.approx([0.0], abs=1e-5)
