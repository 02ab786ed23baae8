"""Integrated gradients by hand on linear, quadratic and piecewise linear nets, and complete on nets of the suite."""

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.explain import gradients, integrated
from tests.relevance_nets import NETS, ONE_TWO, built, flat, images, two_layers

LINEAR = flat((2, 2, 1), [np.arange(8).reshape(4, 2)], [[1, -1]])
X = np.random.default_rng(0).normal(size=(3, 2, 2, 1)).astype("float32")


def relus(dtype=None):
    """Scores with kinks all along the way."""
    x = keras.Input((5, 5, 2))
    y = keras.layers.Conv2D(6, 3, activation="relu", dtype=dtype, kernel_initializer=keras.initializers.HeNormal(1))(
        x
    )
    y = keras.layers.Flatten(dtype=dtype)(y)
    y = keras.layers.Dense(6, activation="relu", dtype=dtype, kernel_initializer=keras.initializers.HeNormal(2))(y)
    return keras.Model(
        x, keras.layers.Dense(2, dtype=dtype, kernel_initializer=keras.initializers.GlorotNormal(4))(y)
    )


def square():
    """Logits (x^2 + y^2, -x^2 - y^2) of (x, y)."""
    x = keras.Input((1, 1, 2))
    y = keras.layers.Flatten()(keras.layers.Activation(keras.ops.square)(x))
    model = keras.Model(x, keras.layers.Dense(2, use_bias=False)(y))
    model.set_weights([np.float32([[1, -1], [1, -1]])])
    return model


def test_of_a_linear_net_it_is_exact_with_one_step():
    weights = np.arange(8).reshape(2, 2, 1, 2, order="C")
    for index in (0, 1):
        for steps in (1, 7):
            found = integrated.integrated_gradients(LINEAR, X, index, steps=steps)
            np.testing.assert_allclose(found, X * weights[..., index], rtol=1e-5, atol=1e-6)
    found = integrated.integrated_gradients(LINEAR, X, 1, baseline=0.5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (X - 0.5) * weights[..., 1], rtol=1e-5, atol=1e-6)
    assert integrated.completeness_gap(LINEAR, X, 1, found, baseline=0.5) == pytest.approx([0, 0, 0], abs=1e-5)


def test_of_a_square_the_midpoints_are_exact():
    """The integral of 2 t x from 0 to 1 is x, so of x^2 an x gets x^2; from b it is (x - b)(x + b)."""
    found = integrated.integrated_gradients(square(), [[[[3, -2]]]], 0, steps=2)
    assert found.ravel().tolist() == pytest.approx([9, 4])
    base = np.float32([[[1, 2]]])
    found = integrated.integrated_gradients(square(), [[[[3, -2]]]], 1, steps=3, baseline=base)
    assert found.ravel().tolist() == pytest.approx([-8, 0], abs=1e-5)
    assert integrated.rise(square(), [[[[3, -2]]]], 1, baseline=base) == pytest.approx([-8])


def test_a_kink_by_hand():
    """max(4 x - 1, 0) opens at a quarter of the way to 1: four midpoints see it open three times, two see both."""
    model = flat((1, 1, 1), [[[4]], [[1, 0]]], [[-1], [0, 0]])
    one = np.ones((1, 1, 1, 1))
    assert integrated.integrated_gradients(model, one, 0, steps=4).ravel().tolist() == pytest.approx([3])
    two = integrated.integrated_gradients(model, one, 0, steps=1)
    assert two.ravel().tolist() == pytest.approx([4])
    assert integrated.completeness_gap(model, one, 0, two) == pytest.approx([1])
    thrice = integrated.integrated_gradients(model, one, 0, steps=1, tolerance=0.34)  # 4 where the rise is 3
    assert thrice.ravel().tolist() == pytest.approx([4])
    thrice = integrated.integrated_gradients(model, one, 0, steps=1, tolerance=0.3)  # two of three midpoints: 8 / 3
    assert thrice.ravel().tolist() == pytest.approx([8 / 3])


def test_it_is_the_sum_over_the_midpoints():
    model, x = relus(), images(5, 2, count=3)
    base = np.random.default_rng(3).normal(size=x.shape).astype("float32")
    classes, steps = np.array([1, 0, 1], "int32"), 5
    points = [base + (k + 0.5) / steps * (x - base) for k in range(steps)]
    slopes = [gradients.by_image(model, point.astype("float32"), classes) for point in points]
    expected = (x - base) * np.mean(slopes, axis=0)
    for batch in (4, 32):
        found = integrated.integrated_gradients(model, x, classes, steps=steps, baseline=base, batch=batch)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    gap = integrated.completeness_gap(model, x, classes, found, baseline=base, batch=2)
    scores = [model(some).numpy()[np.arange(3), classes] for some in (x, base)]
    np.testing.assert_allclose(gap, found.sum(axis=(1, 2, 3)) - (scores[0] - scores[1]), atol=1e-5)


def test_a_tolerance_gives_what_the_steps_that_it_came_to_give():
    model, x, base = relus(), images(5, 2, count=8), 0.7  # from 0 it would be straight, for want of biases
    given = {"baseline": base, "batch": 64}
    found = integrated.integrated_gradients(model, x, 0, steps=3, tolerance=0.05, **given)
    fixed = {n: integrated.integrated_gradients(model, x, 0, steps=n, **given) for n in (3, 9, 27, 81)}
    allowed = 0.05 * np.abs(integrated.rise(model, x, 0, **given))
    gaps = {n: np.abs(integrated.completeness_gap(model, x, 0, maps, **given)) for n, maps in fixed.items()}
    taken = [next((n for n in gaps if gaps[n][i] <= allowed[i]), 81) for i in range(len(x))]
    assert len(set(taken)) > 1
    np.testing.assert_allclose(found, [fixed[n][i] for i, n in enumerate(taken)], atol=1e-5)


def test_no_class_means_the_predicted_one():
    model, x = relus(), images(5, 2, count=6)
    predicted = model(x).numpy().argmax(axis=1)
    assert len(set(predicted)) > 1
    found = integrated.integrated_gradients(model, x, steps=4)
    np.testing.assert_allclose(found, integrated.integrated_gradients(model, x, predicted, steps=4), atol=1e-6)
    rise = integrated.rise(model, x)
    np.testing.assert_allclose(rise, integrated.rise(model, x, predicted, batch=4), atol=1e-6)


def test_a_net_in_bfloat16_gives_what_the_same_weights_give_in_float32():
    full, mixed, x = relus(), relus("mixed_bfloat16"), images(5, 2)
    mixed.set_weights(full.get_weights())
    expected = integrated.integrated_gradients(full, x, 1, steps=8)
    np.testing.assert_allclose(integrated.integrated_gradients(mixed, x, 1, steps=8), expected, atol=1e-6)
    np.testing.assert_allclose(integrated.rise(mixed, x, 1), integrated.rise(full, x, 1), atol=1e-6)
    assert mixed.layers[1].compute_dtype == "bfloat16"
    for one, other in zip(mixed.get_weights(), full.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


SLOW = ["alexnet", "resnet18", "vgg16 of two views", "googlenet"]


@pytest.mark.parametrize("name", ["baseline", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_on_nets_of_the_suite_it_is_complete_to_one_percent(name):
    model, x = built(name), images(*NETS[name][1:])
    rise = integrated.rise(model, x)
    found = integrated.integrated_gradients(model, x, tolerance=0.01)
    assert found.shape == x.shape
    assert (np.abs(rise) > 0).all()
    assert (np.abs(integrated.completeness_gap(model, x, None, found)) <= 0.0101 * np.abs(rise)).all()
    plain = integrated.integrated_gradients(
        model, x
    )  # with 64 steps, beside what adds to the score and takes from it
    moved = np.abs(plain).sum(axis=(1, 2, 3))
    assert (np.abs(integrated.completeness_gap(model, x, None, plain)) <= 0.01 * moved).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(cases.MammoError, match="steps must be 1 or more, found 0"):
        integrated.integrated_gradients(two_layers(), ONE_TWO, 0, steps=0)
    with pytest.raises(cases.MammoError, match=r"a number, or \(1, 1, 2\) or \(1, 1, 1, 2\); found \(2,\)"):
        integrated.integrated_gradients(two_layers(), ONE_TWO, 0, baseline=np.zeros(2))
    with pytest.raises(cases.MammoError, match=r"integrated gradients: expected images \(N, H, W, C\), found"):
        integrated.integrated_gradients(two_layers(), ONE_TWO[0])
    with pytest.raises(cases.MammoError, match="class 2 is not among the 2"):
        integrated.integrated_gradients(two_layers(), ONE_TWO, 2)
    with pytest.raises(cases.MammoError, match=r"maps are \(1, 1, 1\), images \(1, 1, 1, 2\)"):
        integrated.completeness_gap(two_layers(), ONE_TWO, 0, np.zeros((1, 1, 1)))
