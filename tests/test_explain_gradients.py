import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import gradients


def linear(weights):
    """Logits = weights (K, S, S, C) times the image."""
    count, side, _, channels = weights.shape
    x = keras.Input((side, side, channels))
    model = keras.Model(x, keras.layers.Dense(count, use_bias=False)(keras.layers.Flatten()(x)))
    model.set_weights([weights.reshape(count, -1).T])
    return model


def curved(dtype="float32"):
    x = keras.Input((5, 5, 2))
    y = keras.layers.Conv2D(4, 3, activation="tanh", dtype=dtype, kernel_initializer=keras.initializers.HeNormal(1))(
        x
    )
    y = keras.layers.BatchNormalization(dtype=dtype)(y)
    y = keras.layers.Dropout(0.5, seed=1, dtype=dtype)(keras.layers.Flatten(dtype=dtype)(y))
    y = keras.layers.Dense(3, dtype="float32", kernel_initializer=keras.initializers.GlorotNormal(2))(y)
    return keras.Model(x, y)


def images(count=5):
    return np.random.default_rng(0).normal(size=(count, 5, 5, 2)).astype("float32")


def test_a_linear_model_has_its_weights_as_map():
    weights = np.zeros((2, 2, 2, 2), "float32")
    weights[0, 0, 0] = [1, -3]  # max |.| over channels: 3
    weights[1, 1, 0] = [-2, 0.5]
    x = np.ones((1, 2, 2, 2), "float32")  # scores -2 and -1.5: class 1 is predicted
    model = linear(weights)
    assert gradients.saliency(model, x, 0).tolist() == [[[3, 0], [0, 0]]]
    assert gradients.saliency(model, x).tolist() == [[[0, 0], [2, 0]]]
    both = gradients.saliency(model, np.concatenate([x, x]), np.array([1, 0]))
    assert both.tolist() == [[[0, 0], [2, 0]], [[3, 0], [0, 0]]]


def test_agrees_with_finite_differences():
    model, x, step = curved(), images(1), 1e-2
    slopes = np.zeros(x.shape[1:])
    for at in np.ndindex(*x.shape[1:]):
        moved = np.repeat(x, 2, axis=0)
        moved[:, *at] += (step, -step)
        up, down = model.predict(moved, verbose=0)[:, 2].astype(float)
        slopes[at] = (up - down) / (2 * step)
    found = gradients.saliency(model, x, 2)[0]
    np.testing.assert_allclose(found, np.abs(slopes).max(axis=-1), atol=2e-3)
    assert found.max() > 0.1


def test_no_class_means_the_predicted_one():
    model, x = curved(), images()
    predicted = model.predict(x, verbose=0).argmax(axis=1)
    assert len(set(predicted)) > 1
    np.testing.assert_array_equal(gradients.saliency(model, x), gradients.saliency(model, x, predicted))


def test_batches_change_nothing_and_are_traced_once():
    calls = []

    class Counter(keras.layers.Layer):
        def call(self, inputs):
            calls.append(inputs.shape)
            return inputs

    x = keras.Input((5, 5, 2))
    inner = curved()
    model = keras.Model(x, inner(Counter()(x)))
    calls.clear()
    found = gradients.saliency(model, images(), batch=2)
    assert len(calls) == 1
    np.testing.assert_allclose(found, gradients.saliency(inner, images()), atol=1e-6)


def test_mixed_precision_gives_float32():
    full, mixed = curved(), curved("mixed_bfloat16")
    mixed.set_weights(full.get_weights())
    found, expected = gradients.saliency(mixed, images(), 1), gradients.saliency(full, images(), 1)
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert np.abs(found - expected).max() > 0  # it did run in bfloat16


def test_smoothgrad_of_a_linear_model_is_its_saliency():
    model = linear(np.random.default_rng(3).normal(size=(2, 4, 4, 1)).astype("float32"))
    x = np.random.default_rng(4).normal(size=(3, 4, 4, 1)).astype("float32")
    np.testing.assert_allclose(gradients.smoothgrad(model, x, seed=0), gradients.saliency(model, x), atol=1e-6)


def test_smoothgrad_is_the_mean_over_its_noise():
    model, x = curved(), images(2)
    noise = np.random.default_rng((5, 1)).standard_normal((3, 5, 5, 2), np.float32) * 0.2 * np.ptp(x[1])
    noisy = tf.constant(x[1] + noise)
    with tf.GradientTape() as tape:
        tape.watch(noisy)
        score = tf.reduce_sum(model(noisy)[:, 0])
    expected = np.abs(tape.gradient(score, noisy).numpy().mean(axis=0)).max(axis=-1)
    found = gradients.smoothgrad(model, x, 0, noise=0.2, samples=3, seed=5)
    np.testing.assert_allclose(found[1], expected, atol=1e-6)


def test_smoothgrad_repeats_with_its_seed_whatever_follows():
    model, x = curved(), images(3)
    first = gradients.smoothgrad(model, x, samples=4, seed=1)
    assert np.array_equal(first, gradients.smoothgrad(model, x, samples=4, seed=1))
    np.testing.assert_allclose(first[:2], gradients.smoothgrad(model, x[:2], samples=4, seed=1), atol=1e-6)
    assert not np.allclose(first, gradients.smoothgrad(model, x, samples=4, seed=2))
    np.testing.assert_allclose(
        gradients.smoothgrad(model, x, noise=0.0, seed=1), gradients.saliency(model, x), atol=1e-6
    )


def test_what_cannot_be_mapped_is_refused():
    with pytest.raises(cases.MammoError, match=r"\(N, S, S, C\), found \(5, 5, 2\)"):
        gradients.saliency(curved(), images()[0])
    with pytest.raises(cases.MammoError, match="class 3 is not among the 3"):
        gradients.saliency(curved(), images(), 3)


def test_rim_by_hand():
    mask = np.zeros((1, 7, 7), bool)
    mask[0, 2:5, 2:5] = True  # 3x3: r = sqrt(9 / pi) = 1.69; 0.15 r < 1/2, so the band is what touches the outline
    touching = np.zeros((7, 7), bool)
    touching[1:6, 1:6] = True
    touching[[1, 1, 5, 5], [1, 5, 1, 5]] = False  # outer corners: sqrt(2) - 1/2 from the mask
    touching[3, 3] = False  # the centre: 2 - 1/2
    assert touching.sum() == 20
    share, area = gradients.rim_share(touching[None].astype(float), mask)
    assert (share[0], area[0]) == (1.0, pytest.approx(20 / 49))
    values = np.zeros((1, 7, 7))
    values[0, 3, 3], values[0, 2, 2], values[0, 0, 0] = 5, 3, 2  # only the 3 lies on the rim
    assert gradients.rim_share(values, mask)[0][0] == pytest.approx(0.3)
    wider = gradients.rim_share(values, mask, band=0.9)  # 0.9 r = 1.52 >= 1.5: the centre, and two rings outside
    assert wider[0][0] == pytest.approx(0.8)


def test_band_widens_with_the_lesion():
    rows, columns = np.mgrid[-100:101, -100:101]
    mask = (rows**2 + columns**2 <= 60**2)[None]
    share, area = gradients.rim_share(np.ones(mask.shape), mask, band=0.15)
    ring = np.pi * ((60 * 1.15) ** 2 - (60 * 0.85) ** 2) / 201**2  # half-width 9 pixels on both sides
    assert area[0] == pytest.approx(ring, rel=0.05)
    assert share[0] == pytest.approx(area[0])  # a uniform map


def test_maps_without_an_outline_or_without_strength_are_nan():
    masks = np.zeros((3, 4, 4), bool)
    masks[1], masks[2, 1:3, 1:3] = True, True
    share, area = gradients.rim_share(np.zeros((3, 4, 4)), masks)
    assert np.isnan(share).all()
    assert np.isnan(area).tolist() == [True, True, False]
    with pytest.raises(cases.MammoError, match=r"\(1, 4, 4\), masks \(3, 4, 4\)"):
        gradients.rim_share(np.zeros((1, 4, 4)), masks)
