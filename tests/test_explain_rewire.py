"""Deconvnet and guided backpropagation against their definitions, written out in numpy for nets of two layers."""

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.explain import answers, gradients, rewire
from tests.relevance_nets import KINDS, NETS, ONE_TWO, built, flat, images, policy, through

BOTH = [rewire.deconvnet, rewire.guided_backpropagation]


def two_convolutions(*, fused=False, dtype=None):
    """7 x 7 x 2 by 3 x 3 to 5 x 5 x 3, a maximum over 3 x 3 every 2, by 2 x 2 to 1 x 1 x 4, and three logits."""
    act = {"activation": "relu"} if fused else {}
    x = keras.Input((7, 7, 2))
    y = keras.layers.Conv2D(3, 3, name="conv1", dtype=dtype, **act)(x)
    y = y if fused else keras.layers.ReLU(name="relu1", dtype=dtype)(y)
    y = keras.layers.MaxPooling2D(3, 2, name="pool", dtype=dtype)(y)
    y = keras.layers.Conv2D(4, 2, name="conv2", dtype=dtype, **act)(y)
    y = y if fused else keras.layers.Activation("relu", name="relu2", dtype=dtype)(y)
    model = keras.Model(x, keras.layers.Dense(3, dtype=dtype)(keras.layers.Flatten(dtype=dtype)(y)))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.5, w.shape).astype("float32") for w in model.get_weights()])
    return model


NOISE = np.random.default_rng(2).normal(size=(4, 7, 7, 2)).astype("float32")


def convolved(x, kernel, bias):
    """(H, W, C) by (h, w, C, F) without padding, window by window."""
    rows, columns = (n - m + 1 for n, m in zip(x.shape[:2], kernel.shape[:2], strict=True))
    out = np.empty((rows, columns, kernel.shape[-1]))
    for i, j in np.ndindex(rows, columns):
        out[i, j] = np.einsum("hwc,hwcf->f", x[i : i + kernel.shape[0], j : j + kernel.shape[1]], kernel) + bias
    return out


def transposed(signal, kernel):
    """What `convolved` sends back: every place sends its kernel times its signal."""
    rows, columns = (n + m - 1 for n, m in zip(signal.shape[:2], kernel.shape[:2], strict=True))
    out = np.zeros((rows, columns, kernel.shape[2]))
    for i, j in np.ndindex(signal.shape[:2]):
        out[i : i + kernel.shape[0], j : j + kernel.shape[1]] += np.einsum("f,hwcf->hwc", signal[i, j], kernel)
    return out


def pooled(x):
    """Maxima over 3 x 3 every 2, and the switches: where each was."""
    side = (x.shape[0] - 3) // 2 + 1
    out, switches = np.empty((side, side, x.shape[-1])), {}
    for i, j, c in np.ndindex(out.shape):
        window = x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3, c]
        row, column = np.unravel_index(window.argmax(), (3, 3))
        out[i, j, c], switches[i, j, c] = window.max(), (2 * i + row, 2 * j + column, c)
    return out, switches


def unpooled(signal, switches, shape):
    out = np.zeros(shape)
    for at, to in switches.items():
        out[to] += signal[at]
    return out


def deconvnet_relu(signal, before):
    return np.maximum(signal, 0)


def guided_relu(signal, before):
    return np.maximum(signal, 0) * (before > 0)


def by_hand(model, x, index, relu, start=None):
    """The backward pass of one image from a logit, or from a signal at the map of the second ReLU."""
    kernel1, bias1, kernel2, bias2, weights, _ = model.get_weights()
    before1 = convolved(x, kernel1, bias1)
    pool, switches = pooled(np.maximum(before1, 0))
    before2 = convolved(pool, kernel2, bias2)
    signal = weights[:, index].reshape(before2.shape) if start is None else start(np.maximum(before2, 0))
    back = unpooled(transposed(relu(signal, before2), kernel2), switches, before1.shape)
    return transposed(relu(back, before1), kernel1)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("method, relu", list(zip(BOTH, [deconvnet_relu, guided_relu], strict=True)))
def test_it_is_its_definition(method, relu, fused):
    model, classes = two_convolutions(fused=fused), np.array([0, 1, 2, 1])
    found = method(model, NOISE, classes)
    expected = [by_hand(model, x, index, relu) for x, index in zip(NOISE, classes, strict=True)]
    assert found.dtype == np.float32 and found.shape == NOISE.shape
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_two_hidden_units_by_hand():
    """Of x = (1, -2): h before its ReLU is (-1, 1), the logits are -h1 + 3 h2 and 2 h1 - h2."""
    model = flat((1, 1, 2), [[[1, 2], [1, 0.5]], [[-1, 2], [3, -1]]], [[0, 0], [0, 0]])
    x, both = np.full((2, 1, 1, 2), [1, -2], "float32"), np.array([0, 1])
    assert gradients.by_image(model, x, both).reshape(2, 2).tolist() == [[6, 1.5], [-2, -0.5]]
    # -1 comes back from neither logit; 2 does, through h1, which was closed
    assert rewire.deconvnet(model, x, both).reshape(2, 2).tolist() == [[6, 1.5], [2, 2]]
    assert rewire.guided_backpropagation(model, x, both).reshape(2, 2).tolist() == [[6, 1.5], [0, 0]]


def only(channel):
    """The start of a deconvnet at one channel, or at the channel that answers most."""

    def start(found):
        chosen = found if channel is None else found * (np.arange(found.shape[-1]) == channel)
        return chosen * (chosen == chosen.max())

    return start


@pytest.mark.parametrize("channel", [2, None])
def test_from_a_unit_its_strongest_activation_comes_back(channel):
    model = two_convolutions()
    expected = [by_hand(model, x, 0, deconvnet_relu, only(channel)) for x in NOISE]
    for layer in ("relu2", "conv2"):
        found = rewire.deconvnet(model, NOISE, layer=layer, channel=channel, batch=3)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    fused = rewire.deconvnet(two_convolutions(fused=True), NOISE, layer="conv2", channel=channel)
    np.testing.assert_allclose(fused, expected, atol=1e-4)


def test_from_a_map_one_place_comes_back():
    model, x = two_convolutions(), NOISE[:1]
    kernel, bias = model.get_layer("conv1").get_weights()
    found = np.maximum(convolved(x[0], kernel, bias), 0)[..., 1]
    row, column = np.unravel_index(found.argmax(), found.shape)
    expected = np.zeros((7, 7, 2))
    expected[row : row + 3, column : column + 3] = found.max() * kernel[..., 1]
    np.testing.assert_allclose(rewire.deconvnet(model, x, layer="relu1", channel=1)[0], expected, atol=1e-5)
    model.get_layer("conv1").set_weights([kernel, bias - 100])  # nothing is above 0
    assert not rewire.deconvnet(model, x, layer="conv1").any()


def test_without_relus_both_are_the_gradient():
    x = keras.Input((6, 6, 1))
    y = keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 3)(x))
    y = keras.layers.MaxPooling2D(2)(keras.layers.Activation("linear")(y))
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling2D()(y)))
    some = np.random.default_rng(0).normal(size=(3, 6, 6, 1)).astype("float32")
    for method in BOTH:
        np.testing.assert_allclose(
            method(model, some, 1), gradients.by_image(model, some, np.ones(3, "int32")), atol=1e-6
        )


def test_where_nothing_is_below_zero_both_are_the_gradient():
    model, x = two_convolutions(), np.abs(NOISE)
    model.set_weights([np.abs(w) for w in model.get_weights()])
    plain = gradients.by_image(model, x, np.full(4, 2, "int32"))
    for method in BOTH:
        np.testing.assert_allclose(method(model, x, 2), plain, rtol=1e-4)


@pytest.mark.parametrize("method", BOTH)
def test_precision_batches_and_weights(method):
    """A net in bfloat16 gives what the same weights give in float32; batches change nothing, nor does a call."""
    model, mixed = two_convolutions(), two_convolutions(dtype="mixed_bfloat16")
    before = [w.copy() for w in mixed.get_weights()]
    found = method(model, NOISE)
    predicted = model(NOISE).numpy().argmax(axis=1)
    np.testing.assert_allclose(method(mixed, NOISE, predicted, batch=3), found, atol=1e-6)
    for old, new in zip(before, mixed.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert mixed.get_layer("conv1").compute_dtype == "bfloat16"
    assert type(mixed.get_layer("relu1")) is keras.layers.ReLU
    assert mixed.get_layer("relu2").activation is keras.activations.relu


def test_a_layer_called_twice_stays_one():
    x, dense = keras.Input((1, 1, 2)), keras.layers.Dense(2, activation="relu", use_bias=False)
    model = keras.Model(x, dense(dense(keras.layers.Flatten()(x))))
    model.set_weights([np.float32([[1, 2], [3, 1]])])  # of (1, 2): (7, 4), then (19, 18)
    assert rewire.deconvnet(model, ONE_TWO, 0).ravel().tolist() == [7, 6]
    assert len(model.get_weights()) == 1


@pytest.mark.parametrize(
    "layer, what",
    [
        (keras.layers.Activation("tanh", name="bad"), r"no rule for tanh of layer bad \(Activation\)"),
        (keras.layers.Dense(2, activation="sigmoid", name="bad"), r"no rule for sigmoid of layer bad \(Dense\)"),
        (keras.layers.ELU(name="bad"), r"no rule for layer bad \(ELU\)"),
        (keras.layers.LeakyReLU(name="bad"), r"no rule for layer bad \(LeakyReLU\)"),
        (keras.layers.PReLU(name="bad"), r"no rule for layer bad \(PReLU\)"),
        (keras.layers.ReLU(6, name="bad"), r"layer bad \(ReLU\) with .*'max_value': 6"),
        (keras.layers.ReLU(negative_slope=0.5, name="bad"), r"layer bad \(ReLU\) with .*'negative_slope': 0.5"),
        (keras.layers.ReLU(threshold=0.5, name="bad"), r"layer bad \(ReLU\) with .*'threshold': 0.5"),
    ],
)
def test_other_nonlinearities_are_refused_by_name(layer, what):
    model = through(layer)
    for method in BOTH:
        with pytest.raises(cases.MammoError, match=what):
            method(model, images(2, 2), 0)


def test_from_a_unit_only_what_lies_below_matters():
    x = keras.Input((2, 2, 2))
    below = keras.layers.Flatten(name="below")(x)
    model = keras.Model(x, keras.layers.Softmax()(keras.layers.Dense(2, activation="tanh")(below)))
    some = images(2, 2)
    expected = some * (some == some.max(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_array_equal(rewire.deconvnet(model, some, layer="below"), expected)


def test_models_and_questions_that_do_not_fit_are_refused():
    model, x = two_convolutions(), keras.Input((7, 7, 2))
    nested = keras.Model(x, model(x))
    nested.layers[-1].name = "inner"
    with pytest.raises(cases.MammoError, match=r"guided backpropagation: layer inner \(Functional\) is a model"):
        rewire.guided_backpropagation(nested, NOISE)
    with pytest.raises(cases.MammoError, match=r"deconvnet: there is no rule for layer .*\(Add\)"):
        rewire.deconvnet(keras.Model(model.input, model.output + 1.0), NOISE)  # an operation, no layer
    ended = keras.Model(model.input, keras.layers.Softmax(name="end")(model.output), name="ended")
    with pytest.raises(cases.MammoError, match="ended ends in softmax end; give the model up to its logits"):
        rewire.deconvnet(ended, NOISE)
    with pytest.raises(cases.MammoError, match="is no functional model"):
        rewire.deconvnet(keras.Sequential([x, keras.layers.Flatten()]), NOISE)
    with pytest.raises(cases.MammoError, match=r"goes from and to .*, expected one \(B, H, W, C\)"):
        rewire.deconvnet(keras.Model(x, keras.layers.ReLU()(x)), NOISE)
    with pytest.raises(cases.MammoError, match=r"deconvnet: expected images \(N, H, W, C\), found \(7, 7, 2\)"):
        rewire.deconvnet(model, NOISE[0])
    with pytest.raises(cases.MammoError, match="guided backpropagation: class 3 is not among the 3"):
        rewire.guided_backpropagation(model, NOISE, 3)
    with pytest.raises(cases.MammoError, match="has no layer conv3; there are"):
        rewire.deconvnet(model, NOISE, layer="conv3")
    with pytest.raises(cases.MammoError, match="channel 4 is not among the 4 of conv2"):
        rewire.deconvnet(model, NOISE, layer="conv2", channel=4)
    with pytest.raises(cases.MammoError, match="channel 1 is that of no layer"):
        rewire.deconvnet(model, NOISE, channel=1)


LIGHT = ("baseline",)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in LIGHT else [pytest.mark.slow]) for n in KINDS])
def test_every_net_of_the_suite_is_rewired(name):
    model, x = built(name), images(*NETS[name][1:])
    classes = answers.predicted(model, x)
    plain = gradients.by_image(model, x, classes)
    for method in BOTH:
        found = method(model, x, classes)
        assert found.shape == x.shape and np.isfinite(found).all()
        assert np.abs(found).max(axis=(1, 2, 3)).min() > 0
        assert np.abs(found - plain).max() > 1e-3 * np.abs(plain).max()
    np.testing.assert_array_equal(gradients.by_image(model, x, classes), plain)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16 of two views", "whole image, softmax, fc"])
def test_a_net_trained_in_bfloat16_gives_what_the_same_weights_give_in_float32(name):
    full = built(name)
    with policy("mixed_bfloat16"):
        mixed = built(name)
    mixed.set_weights(full.get_weights())
    for method in BOTH:
        x = images(*NETS[name][1:])
        np.testing.assert_array_equal(method(mixed, x, 1), method(full, x, 1))
