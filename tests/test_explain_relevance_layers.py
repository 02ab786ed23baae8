import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from mammo_tf import cases
from mammo_tf.explain import relevance
from mammo_tf.explain import relevance_layers as layers
from mammo_tf.models import blocks, dog, googlenet
from tests.relevance_nets import HIGH, LOW, below_logits, check, images, same, through

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_the_winner_of_a_max_pool_takes_all_and_an_average_pool_shares_by_value():
    x = np.reshape([1, 5, 3, 1], (1, 2, 2, 1))
    check(below_logits(keras.layers.MaxPooling2D(2), (2, 2, 1), [2]), x, same(relevance.ZPlus()), [0, 10, 0, 0])
    check(
        below_logits(keras.layers.AveragePooling2D(2), (2, 2, 1), [2]),
        x,
        same(relevance.ZPlus()),
        [0.5, 2.5, 1.5, 0.5],
    )


def test_an_addition_shares_as_the_convolutions_round_it_do():
    model, x = below_logits(keras.layers.Add(), (1, 1, 2), [1], inputs=2), [[[[3, -1]]]]
    check(model, x, same(relevance.Epsilon(0.0)), [3, -1])
    check(model, x, same(relevance.ZPlus()), [2, 0])  # 2 * 3 / 3
    mixed = relevance.Rules(relevance.ZPlus(), relevance.Epsilon(0.0), relevance.ZPlus())
    check(model, x, mixed, [3, -1])


def test_a_batch_norm_by_itself_by_hand():
    norm = keras.layers.BatchNormalization(epsilon=0.0)
    model = below_logits(norm, (1, 1, 2), [1, -1])
    norm.set_weights([np.float32([v, v]) for v in (2, 1, 0, 1)])  # 2 x + 1: (1, -2) to (3, -3), score 6
    x = [[[[1, -2]]]]
    # 3 / 3 = 1: 2, bias 1. 3 / -3 = -1: 4, bias -1.
    check(model, x, same(relevance.Epsilon(0.0)), [2, 4])
    # 3 / (2 + 1) = 1: 2, bias 1. 2 * -2 is below 0: 3 / 1 to the bias alone.
    check(model, x, same(relevance.ZPlus()), [2, 0], bias=4)


def test_a_softmax_gives_gradient_times_input_and_tells_the_rest():
    model = below_logits(keras.layers.Softmax(), (1, 1, 2), [4, 0])
    # z = (log 3, 0), y = (3/4, 1/4), score 3. dS/dz = y (c - sum y c) = 3/4 (4 - 3), 1/4 (0 - 3)
    pixels = 0.75 * np.log(3)
    check(model, [[[[np.log(3), 0]]]], same(relevance.Epsilon(0.0)), [pixels, 0], remainder=3 - pixels)


def test_the_filter_bank_lies_between_bounds_of_its_own():
    bank, x = dog.DoGFilterBank((1.0, 6.0), name="dog"), tf.constant(images(8, 2))
    values = bank(x)
    above, below = layers.both_ends(bank, (x - LOW, x - HIGH))
    np.testing.assert_allclose(above[..., :2], x - LOW)
    np.testing.assert_allclose(below[..., :2], x - HIGH)
    np.testing.assert_allclose(above[..., 2:], values[..., 2:] + (HIGH - LOW), atol=1e-5)
    np.testing.assert_allclose(below[..., 2:], values[..., 2:] - (HIGH - LOW), atol=1e-5)


def test_the_filter_bank_and_the_layer_after_it_are_one_under_z_b():
    bank, conv = dog.DoGFilterBank((1.0,)), keras.layers.Conv2D(1, 1, use_bias=False)
    x = keras.Input((4, 1, 1))
    y = keras.layers.Flatten()(keras.layers.ReLU()(conv(bank(x))))
    model = keras.Model(x, keras.layers.Dense(2, use_bias=False)(y))
    a, b = 1.5, -2.0
    conv.set_weights([np.reshape(np.float32([a, b]), (1, 1, 2, 1))])
    model.layers[-1].set_weights([np.ones((4, 2), "float32")])
    strip = np.float32([0.5, 2, -1, 1])
    narrow, wide = (ndimage.gaussian_filter1d(np.eye(4), sigma, axis=0) for sigma in (1.0, 1.6))  # (unit, pixel)
    units = a * strip + b * (narrow - wide) @ strip
    assert (units > 0).sum() > 1
    # weights above 0: a of the pixel, -b of the wide blur; below: b of the narrow one
    shares = (a * np.eye(4) - b * wide) * (strip - LOW) + b * narrow * (strip - HIGH)
    expected = np.maximum(units, 0) @ (shares / shares.sum(axis=1, keepdims=True))
    check(model, strip.reshape(1, 4, 1, 1), relevance.deep_taylor(LOW, HIGH), expected)


def test_response_normalisation_and_dropout_pass_relevance_on():
    for layer in (googlenet.LocalResponseNormalization(), keras.layers.Dropout(0.5)):
        x, weights = np.float32([[[[10, -20, 30]]]]), np.float32([1, 2, 3])
        pixels = layer(x).numpy().ravel() * weights
        check(below_logits(layer, (1, 1, 3), weights), x, same(relevance.Epsilon(0.0)), pixels)


def test_relevance_goes_where_values_came_from():
    x = np.reshape(np.float32([1, 5, 3, 1, -2, 4, 0, 2]), (1, 2, 2, 2))
    eps = same(relevance.Epsilon(0.0))
    cropped = below_logits(keras.layers.Cropping2D(((1, 0), (0, 1))), (2, 2, 2), [2, 3])
    check(cropped, x, eps, [0, 0, 0, 0, -4, 12, 0, 0])
    larger = below_logits(keras.layers.UpSampling2D(2), (1, 1, 1), [1, 2, 3, 4])
    check(larger, [[[[3]]]], eps, [30])
    twice = below_logits(keras.layers.Concatenate(), (1, 1, 2), [3, 4], inputs=2)
    check(twice, [[[[2, -1]]]], eps, [6, -4])
    thirds = below_logits(blocks.AdaptiveAveragePool(1), (3, 1, 1), [3])
    check(thirds, np.reshape([1, 2, 3], (1, 3, 1, 1)), eps, [1, 2, 3])


class Cube(keras.layers.Layer):
    def call(self, x):
        return x**3


@pytest.mark.parametrize(
    "layer, message",
    [
        (Cube(name="cube"), r"there is no rule for layer cube \(Cube\)"),
        (keras.layers.Activation("tanh", name="bent"), r"there is no rule for layer bent \(Activation\)"),
        (keras.layers.Conv2D(2, 1, activation="relu", name="c"), r"layer c \(Conv2D\) has activation relu fused in"),
        (keras.layers.DepthwiseConv2D(1, name="deep"), r"there is no rule for layer deep \(DepthwiseConv2D\)"),
        (keras.layers.BatchNormalization(axis=1, name="n"), r"layer n \(Batch.*channels along another axis"),
        (keras.layers.UpSampling2D(1, interpolation="bicubic", name="up"), r"up \(UpS.* interpolation bicubic"),
        (keras.layers.Rescaling(2.0, name="scaled"), r"there is no rule for layer scaled"),
    ],
    ids=["own", "activation", "fused", "depthwise", "axis", "bicubic", "rescaling"],
)
def test_a_layer_without_a_rule_is_named(layer, message):
    with pytest.raises(cases.MammoError, match=message):
        relevance.propagate(through(layer), images(2, 2), relevance.EPSILON)
