"""Grad-CAM by hand on a net of one convolution, and as the class activation map of an averaged one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import gradcam
from tests.relevance_nets import KINDS, NETS, ONE_TWO, built, images, two_layers

ENDS = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])  # 2 cells to 4 pixels: their centres lie at 0.5, 2.5


def by_hand_net():
    """4 x 4 pixels by 2 x 2 means to a map (2, 2), channels A and -2 A + 1, and four weights of each to logits."""
    x = keras.Input((4, 4, 1))
    y = keras.layers.Conv2D(2, 2, 2)(x)
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(y)))
    kernel = np.full((2, 2, 1, 2), 0.25, "float32") * [1, -2]
    weights = np.zeros((8, 2), "float32")
    weights[:, 0] = [1, 0, 2, 0, 3, 4, 2, 0]  # place by place, channel by channel
    weights[:, 1] = -weights[:, 0]
    model.set_weights([kernel, np.float32([0, 1]), weights, np.zeros(2, "float32")])
    return model


def tiled(values):
    return np.kron(np.array(values), np.ones((2, 2)))[None, ..., None].astype("float32")


def test_by_hand():
    """alpha is the mean of the weights: (2, 1) for class 0, (-2, -1) for class 1. L = 2 A + (1 - 2 A) = 1, or 0."""
    model = by_hand_net()
    x = tiled([[1, 2], [-3, 0.5]])
    np.testing.assert_allclose(gradcam.gradcam(model, x, 0), np.ones((1, 4, 4)), atol=1e-6)
    assert not gradcam.gradcam(model, x, 1).any()
    weights = model.get_weights()
    weights[2][1::2] = 0  # channel 1 counts for nothing: L = max(2 A, 0)
    model.set_weights(weights)
    found = gradcam.gradcam(model, x, 0)
    assert found.shape == (1, 4, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found[0], ENDS @ [[2, 4], [0, 1]] @ ENDS.T, rtol=1e-5)
    np.testing.assert_allclose(gradcam.gradcam(model, x, 1)[0], ENDS @ [[0, 0], [6, 0]] @ ENDS.T, rtol=1e-5)


def averaged(dtype=None, trainable=True):
    x = keras.Input((8, 6, 2))
    init = keras.initializers.HeNormal
    y = keras.layers.Conv2D(4, 3, padding="same", kernel_initializer=init(1), dtype=dtype, name="conv1")(x)
    y = keras.layers.MaxPooling2D(2, dtype=dtype, name="pool")(keras.layers.ReLU(name="relu1", dtype=dtype)(y))
    y = keras.layers.Conv2D(5, 3, padding="same", kernel_initializer=init(2), dtype=dtype, name="conv2")(y)
    y = keras.layers.ReLU(name="relu2", dtype=dtype)(y)
    y = keras.layers.GlobalAveragePooling2D(name="average", dtype=dtype)(y)
    model = keras.Model(x, keras.layers.Dense(3, kernel_initializer=init(3), dtype=dtype, name="logits")(y))
    model.trainable = trainable
    return model


X = np.random.default_rng(0).normal(size=(5, 8, 6, 2)).astype("float32")
CLASSES = np.array([0, 1, 2, 2, 0], "int32")


@pytest.mark.parametrize("trainable", [True, False])
def test_of_an_averaged_map_it_is_the_class_activation_map(trainable):
    model = averaged(trainable=trainable)
    units = keras.Model(model.input, model.get_layer("relu2").output)(X).numpy()
    weights, _ = model.get_layer("logits").get_weights()
    cam = np.einsum("nuvk,kn->nuv", units, weights[:, CLASSES]) / (4 * 3)
    assert (cam < 0).any() and (cam > 0).any()
    expected = tf.image.resize(np.maximum(cam, 0)[..., None], (8, 6))[..., 0]
    np.testing.assert_allclose(gradcam.gradcam(model, X, CLASSES), expected, atol=1e-6)


def test_of_an_earlier_layer_it_is_its_definition():
    """alpha by finite differences: every value of a channel of relu1 moved by the same."""
    model = averaged()
    first = model.get_layer("relu1")
    below = keras.Model(model.input, first.output)
    rest_in = keras.Input(first.output.shape[1:])
    y = rest_in
    for layer in model.layers[3:]:
        y = layer(y)
    rest, units, step = keras.Model(rest_in, y), below(X).numpy(), 1e-4
    alpha = np.empty((5, 4))
    for k in range(4):
        moved = np.zeros_like(units)
        moved[..., k] = step
        up, down = (rest(units + sign * moved).numpy().astype(float) for sign in (1, -1))
        alpha[:, k] = (up - down)[np.arange(5), CLASSES] / (2 * step) / (8 * 6)
    expected = np.maximum(np.einsum("nuvk,nk->nuv", units, alpha), 0)  # the map has the size of the image
    found = gradcam.gradcam(model, X, CLASSES, layer="relu1")
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())


def test_precision_batches_and_the_predicted_class():
    full, mixed = averaged(), averaged("mixed_bfloat16")
    mixed.set_weights(full.get_weights())
    before = [w.copy() for w in mixed.get_weights()]
    found = gradcam.gradcam(full, X)
    np.testing.assert_allclose(gradcam.gradcam(mixed, X), found, atol=1e-6)
    predicted = full(X).numpy().argmax(axis=1)
    np.testing.assert_allclose(gradcam.gradcam(full, X, predicted, batch=2), found, atol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(before, mixed.get_weights(), strict=True))
    assert mixed.get_layer("conv1").compute_dtype == "bfloat16"


def test_the_last_map():
    assert gradcam.last_map(averaged()) == "relu2"
    x = keras.Input((4, 4, 1))
    y = keras.layers.MaxPooling2D(2, name="two")(x)
    one = keras.layers.MaxPooling2D(2, name="one")(keras.layers.ZeroPadding2D(1, name="padded")(y))
    one = keras.layers.GlobalAveragePooling2D(keepdims=True, name="mean")(one)
    assert gradcam.last_map(keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(one)))) == "one"
    y = keras.layers.MaxPooling2D(2, name="cell")(keras.layers.ZeroPadding2D(((0, 0), (0, 2)), name="pad")(y))
    y = keras.layers.Conv2D(3, (1, 2), name="last")(y)
    assert gradcam.last_map(keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(y)))) == "two"
    x = keras.Input((2, 2, 1))
    y = keras.layers.Conv2D(2, 2, name="only")(x)
    assert gradcam.last_map(keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(y)))) == "only"
    x = keras.Input((None, None, 1))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 2, name="any size")(x))
    assert gradcam.last_map(keras.Model(x, keras.layers.Dense(2)(y))) == "any size"


def test_what_has_no_map_is_refused():
    with pytest.raises(cases.MammoError, match=r"has no layer with a map \(B, u, v, channels\)"):
        gradcam.gradcam(two_layers(), ONE_TWO)
    with pytest.raises(cases.MammoError, match=r"average gives \(None, 5\), expected a map"):
        gradcam.gradcam(averaged(), X, layer="average")
    with pytest.raises(cases.MammoError, match=r"has no layer conv3; there are .*conv2"):
        gradcam.gradcam(averaged(), X, layer="conv3")
    with pytest.raises(cases.MammoError, match="Grad-CAM: class 3 is not among the 3"):
        gradcam.gradcam(averaged(), X, 3)
    with pytest.raises(cases.MammoError, match=r"Grad-CAM: expected images \(N, H, W, C\), found \(8, 6, 2\)"):
        gradcam.gradcam(averaged(), X[0])


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in KINDS if name != "baseline"]


@pytest.mark.parametrize("name", ["baseline", *SLOW])
def test_every_net_of_the_suite_has_a_map(name):
    """A map of zeros is right where every place speaks against the class."""
    model, x = built(name), images(*NETS[name][1:])
    units = model.get_layer(gradcam.last_map(model)).output
    both, some = keras.Model(model.inputs, [units, *model.outputs]), tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(some)
        units, logits = both(some, training=False)
        score = tf.reduce_sum(logits[:, 1])
    alpha = tape.gradient(score, units).numpy().mean(axis=(1, 2))
    weighted = np.einsum("nuvk,nk->nuv", units, alpha)
    found = gradcam.gradcam(model, x, 1)
    assert found.shape == x.shape[:3] and found.dtype == np.float32 and np.abs(weighted).max() > 0
    expected = tf.image.resize(np.maximum(weighted, 0)[..., None], x.shape[1:3])[..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(weighted).max())
