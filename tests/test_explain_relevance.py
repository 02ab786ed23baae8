import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import relevance
from tests.relevance_nets import NETS, ONE_TWO, RULES, built, fresh, images, policy, same, through, two_layers

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]

LIGHT = {
    "composite": ("baseline", "vgg16 of two views", "whole image, relu, vgg"),
    "deep taylor": ("baseline", "vgg16 of one view"),
    "z-plus": ("baseline",),
    "epsilon": ("baseline", "whole image, softmax, fc"),
}


WHOLE = [name for name in NETS if name.startswith("whole image")]
CHOSEN = {  # nets beyond which a rule shows nothing new
    "composite": list(NETS),
    "epsilon": list(NETS),
    "deep taylor": [name for name in NETS if name not in WHOLE or name == "whole image, features, resnet"],
    "z-plus": ["baseline", "whole image, relu, vgg", "resnet50", "googlenet"],
}


def each(*rules):
    """Nets under each of the rules; what takes long is left to `make test-slow`."""
    pairs = [(name, rule) for rule in rules for name in CHOSEN[rule]]
    slow = pytest.mark.slow
    marked = [pytest.param(n, r, marks=[] if n in LIGHT[r] else [slow], id=f"{n}, {r}") for n, r in pairs]
    return pytest.mark.parametrize("name, rule", marked)


@pytest.fixture(scope="session")
def nets():
    """The nets by name, each built when it is first asked for."""
    return functools.cache(built)


@pytest.fixture(scope="session")
def found(nets):
    """(name, rule) -> the relevance of two images."""

    @functools.cache
    def one(name, rule):
        return relevance.propagate(nets(name), images(*NETS[name][1:]), RULES[rule])

    return one


@each(*CHOSEN)
def test_what_pixels_get_and_what_is_absorbed_add_up_to_the_score(found, nets, name, rule):
    shares, x = found(name, rule), images(*NETS[name][1:])
    logits = nets(name)(x).numpy()
    assert shares.classes.tolist() == logits.argmax(axis=1).tolist()
    np.testing.assert_allclose(shares.score, logits.max(axis=1), rtol=1e-4)
    assert shares.relevance.shape == x.shape and shares.relevance.dtype == np.float32
    terms = shares.relevance.sum(axis=(1, 2, 3), dtype=float) + shares.bias + shares.stabiliser + shares.remainder
    assert (np.abs(shares.score - terms) <= 1e-4 * np.abs(shares.score)).all()
    np.testing.assert_allclose(shares.gap, shares.score - terms, atol=1e-9)
    assert np.abs(shares.relevance).max(axis=(1, 2, 3)).min() > 0
    assert (shares.remainder != 0).all() == ("softmax" in name)
    assert (shares.bias == 0).all() == (rule == "deep taylor")


@each("deep taylor", "z-plus")
def test_no_pixel_speaks_against_the_score(found, name, rule):
    shares = found(name, rule)
    toward = shares.relevance * np.sign(shares.score)[:, None, None, None]
    assert toward.min() >= -1e-6 * toward.max() > -1e-6


def slope(model, x, classes):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = tf.reduce_sum(tf.gather(model(x), classes, batch_dims=1))
    return tape.gradient(score, x).numpy()


@pytest.mark.parametrize(
    "name", ["vgg16 of one view", pytest.param("whole image, features, resnet", marks=pytest.mark.slow)]
)
def test_without_eps_and_biases_it_is_gradient_times_input(nets, name):
    model, x = nets(name), images(*NETS[name][1:])
    shares = relevance.propagate(model, x, same(relevance.Epsilon(0.0)))
    expected = x * slope(model, x, shares.classes)
    np.testing.assert_allclose(shares.relevance, expected, atol=1e-4 * np.abs(expected).max())
    assert np.abs(shares.bias).min() > 0
    bare = without_biases(name)
    shares = relevance.propagate(bare, x, same(relevance.Epsilon(1e-12)))
    expected = x * slope(bare, x, shares.classes)
    np.testing.assert_allclose(shares.relevance, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(shares.relevance.sum(axis=(1, 2, 3)), shares.score, rtol=1e-4)
    assert not shares.bias.any()


def without_biases(name):
    model = fresh(name)
    for layer in model.layers:
        if getattr(layer, "use_bias", False):
            layer.bias.assign(np.zeros(layer.bias.shape))
    return model


@pytest.mark.parametrize("name", ["baseline", "vgg16 of one view", "whole image, softmax, fc"])
def test_a_net_trained_in_bfloat16_gives_what_the_same_weights_give_in_float32(nets, found, name):
    with policy("mixed_bfloat16"):
        mixed = built(name)
    mixed.set_weights(nets(name).get_weights())
    assert mixed.layers[1].compute_dtype == "bfloat16"
    one, other = relevance.propagate(mixed, images(*NETS[name][1:]), RULES["composite"]), found(name, "composite")
    np.testing.assert_allclose(one.relevance, other.relevance, atol=1e-6 * np.abs(other.relevance).max())
    np.testing.assert_allclose(one.score, other.score, rtol=1e-6)
    assert mixed.layers[1].compute_dtype == "bfloat16"


def test_batches_change_nothing_and_the_class_may_be_given(nets):
    model, x = nets("baseline"), images(16, 3, count=5)
    rules = RULES["composite"]
    classes = np.array([0, 1, 1, 0, 1])
    one = relevance.propagate(model, x, rules, classes, batch=2)
    assert one.classes.tolist() == classes.tolist()
    np.testing.assert_allclose(one.score, model(x).numpy()[np.arange(5), classes], rtol=1e-5)
    first = relevance.propagate(model, x[:2], rules, 0)
    np.testing.assert_allclose(one.relevance[0], first.relevance[0], atol=1e-7)
    assert np.abs(one.relevance[1] - first.relevance[1]).max() > 1e-3 * np.abs(first.relevance[1]).max()
    assert [getattr(one, name).shape for name in ("score", *relevance.ABSORBED, "gap")] == [(5,)] * 5


def test_the_settings_of_tensorflow_are_as_before():
    flag = tf.config.experimental
    before = flag.tensor_float_32_execution_enabled()
    try:
        for setting in (True, False):
            flag.enable_tensor_float_32_execution(setting)
            relevance.propagate(two_layers(), ONE_TWO, relevance.Z_PLUS)
            assert flag.tensor_float_32_execution_enabled() == setting
    finally:
        flag.enable_tensor_float_32_execution(before)


def test_rules_and_images_that_do_not_fit_are_refused():
    model, x = through(keras.layers.ReLU()), images(2, 2)
    with pytest.raises(cases.MammoError, match="no convolution or dense layer sees the image itself"):
        relevance.propagate(model, x, RULES["deep taylor"])
    with pytest.raises(cases.MammoError, match=r"expected images \(N, \*\(2, 2, 2\)\).*found \(2, 3, 3, 2\)"):
        relevance.propagate(model, images(3, 2), relevance.EPSILON)
    with pytest.raises(cases.MammoError, match="not finite"):
        relevance.propagate(model, np.full((1, 2, 2, 2), np.nan), relevance.EPSILON)
    with pytest.raises(cases.MammoError, match="class 2 is not among the 2"):
        relevance.propagate(model, x, relevance.EPSILON, 2)
    with pytest.raises(cases.MammoError, match="must be one number or 2, found ZB"):
        relevance.propagate(model, x, relevance.composite((0.0, 0.0, 0.0), 1.0))
    with pytest.raises(cases.MammoError, match=r"low must be below high, found 1\.0 and 0\.0"):
        relevance.ZB(1.0, 0.0)
    with pytest.raises(cases.MammoError, match="low must be below high"):
        relevance.ZB((0.0, 0.0), (1.0, 1.0, 1.0))
    with pytest.raises(cases.MammoError, match="ZB is a rule for the first layer alone"):
        relevance.Rules(relevance.ZB(0.0, 1.0), relevance.ZB(0.0, 1.0), relevance.Epsilon())
    with pytest.raises(cases.MammoError, match="eps must be at least 0, found -1"):
        relevance.Epsilon(-1)
