import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import relevance
from mammo_tf.pipeline import normalize
from tests.relevance_nets import ONE_TWO, RULES, check, flat, one_convolution, same, two_layers

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STRIP = np.reshape(np.float32([1, 2, -1]), (1, 1, 3, 1))  # kernel (2, -1) and bias 1: 2 - 2 + 1 = 1, 4 + 1 + 1 = 6


def test_epsilon_by_hand():
    # Top: 3 / (3 + 1) = 3/4: h gets 4 * 3/4 = 3 and -2 * 3/4 = -3/2, bias and eps 3/4 each.
    # First unit: 3 / (2 + 1) = 1: 3, -2, bias 1, eps 1. Second: -3/2 / 3 = -1/2: 1/2, -2, bias 1/2, eps -1/2.
    check(two_layers(), ONE_TWO, same(relevance.Epsilon(1.0)), [3.5, -4], bias=2.25, stabiliser=1.25)
    # eps = 0: 3 / 3 = 1: h gets 4 and -2, bias 1. 4 / 2 = 2: 6, -4, bias 2. -2 / 2 = -1: 1, -4, bias 1.
    check(two_layers(), ONE_TWO, same(relevance.Epsilon(0.0)), [7, -8], bias=4)


def test_epsilon_takes_the_sign_of_what_it_stabilises():
    model = flat((1, 1, 2), [[[1], [-2]]], [[0.5]])  # 1 - 4 + 1/2 = -5/2; / (-5/2 - 5/2) = 1/2
    check(model, ONE_TWO, same(relevance.Epsilon(2.5)), [0.5, -2], bias=0.25, stabiliser=-1.25)


def test_z_plus_by_hand():
    # Top: 3 / (4 + 1) = 3/5: h gets 12/5 and 0, bias 3/5. First unit: 12/5 / (3 + 1) = 3/5: 9/5, 0, bias 3/5.
    check(two_layers(), ONE_TWO, same(relevance.ZPlus()), [1.8, 0], bias=1.2)
    check(two_layers(), ONE_TWO, same(relevance.ZPlus(bias=False)), [3, 0])  # 3 / 4: 3, 0; 3 / 3: 3, 0


def test_z_plus_of_inputs_below_0_counts_products_of_two_negatives():
    model = flat((1, 1, 2), [[[3], [-1]]], [[0]])  # x = (1, -2): 3 and 2, both above 0
    check(model, [[[[1, -2]]]], same(relevance.ZPlus()), [3, 2])


def test_z_b_by_hand():
    # h gets 3 and 0. First unit, low -1, high 3: (1 + 1) * 3 = 6 and (2 - 3) * -1 = 1.
    check(two_layers(), ONE_TWO, relevance.deep_taylor(-1.0, 3.0), [18 / 7, 3 / 7])
    # A bound a channel, low -1 and 0, high 3 and 4: 6 and (2 - 4) * -1 = 2.
    check(two_layers(), ONE_TWO, relevance.deep_taylor((-1.0, 0.0), (3.0, 4.0)), [18 / 8, 6 / 8])
    # Composite: h gets 3 and -3/2 (eps = 1). Second unit: (1 - 3) * -1 = 2 and (2 + 1) * 2 = 6.
    pixels = [18 / 7 - 3 / 8, 3 / 7 - 9 / 8]
    check(two_layers(), ONE_TWO, relevance.composite(-1.0, 3.0, eps=1.0), pixels, bias=0.75, stabiliser=0.75)


def test_the_bounds_of_z_b_are_those_after_normalisation():
    normalizer = normalize.Fixed((0.5,), (0.25,), 2)
    low, high, x = (normalizer(tf.constant(gray, shape=(1, 1, 1, 2))).numpy() for gray in (0.0, 1.0, [0.75, 0.5]))
    assert (low.max(), high.min(), x.tolist()) == (-2, 2, [[[[1, 0]]]])
    # h = (3 + 1, -1 - 1 -> 0), score 2 * 4 + 1 = 9, all of it to the first unit: (1 + 2) * 3 = 9, (0 - 2) * -1 = 2.
    check(two_layers(), x, relevance.deep_taylor(float(low.max()), float(high.max())), [81 / 11, 18 / 11])
    with pytest.raises(
        cases.MammoError, match=r"go from \[1.0, 0.0\] to \[1.0, 0.0\], outside ZB\(low=0.5, high=1.0\)"
    ):
        relevance.propagate(two_layers(), x, relevance.deep_taylor(0.5, 1.0))


def test_a_convolution_by_hand():
    model = one_convolution((2, -1), 1, 3, 2)  # mean 7/2, score 7: units get 1 and 6
    check(model, STRIP, same(relevance.Epsilon(0.0)), [2, -2 + 4, 1], bias=1 + 1)
    # 1 / (2 + 1): 2/3, bias 1/3. 6 / (4 + 1 + 1): 4, 1, bias 1.
    check(model, STRIP, same(relevance.ZPlus()), [2 / 3, 4, 1], bias=4 / 3)
    # low -1, high 2: (1 + 1) * 2 = 4, (2 - 2) * -1 = 0: 1, 0. (2 + 1) * 2 = 6, (-1 - 2) * -1 = 3: 4, 2.
    check(model, STRIP, relevance.deep_taylor(-1.0, 2.0), [1, 4, 2])


@pytest.mark.parametrize("rule", RULES)
def test_a_batch_norm_is_one_layer_with_the_convolution_before_it(rule):
    # gamma 3, beta 2, mean 1, variance 4: 3/2 z + 1/2; of 2 a - b + 1 that is 3 a - 3/2 b + 2
    apart = one_convolution((2, -1), 1, 3, 2, norm=(3, 2, 1, 4))
    plain = one_convolution((3, -1.5), 2, 3, 2)
    one, other = (relevance.propagate(model, STRIP, RULES[rule], 0) for model in (apart, plain))
    np.testing.assert_allclose(one.relevance, other.relevance, atol=1e-5)
    np.testing.assert_allclose(one.bias, other.bias, atol=1e-5)


def test_zeros_of_padding_have_no_bounds():
    # kernel (1, -1), bias 3, x = (0, 1, 2): 0 - 1 + 3 = 2, 1 - 2 + 3 = 2; the units get 1 each.
    # The zero gets none: (1 - 2) * -1 = 1 alone. Then (1 + 1) * 1 = 2 and (2 - 2) * -1 = 0.
    model = one_convolution((1, -1), 3, 2, 1, pad=1)
    check(model, np.reshape([1, 2], (1, 1, 2, 1)), relevance.deep_taylor(-1.0, 2.0), [1 + 1, 0])


def test_units_whose_denominator_is_0_are_told():
    # The unit is 0 - 2 + 3 = 1 by its bias alone: without the share of biases it can share nothing out.
    model = flat((1, 1, 2), [[[-1, 0], [-1, 0]], [[1, 0], [0, 0]]], [[3, 0], [0, 0]])
    check(model, [[[[0, 2]]]], same(relevance.ZPlus(bias=False)), [0, 0], stabiliser=1)
