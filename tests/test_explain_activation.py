import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import activation

WEIGHTS = np.linspace(-1, 1, 2 * 36).reshape(2, 6, 6, 1).astype("float32") ** 3


def linear(weights=WEIGHTS):
    """Logits = weights (K, S, S, C) times the image."""
    x = keras.Input(weights.shape[1:])
    out = keras.layers.Dense(len(weights), use_bias=False)(keras.layers.Flatten()(x))
    model = keras.Model(x, out, name="linear")
    model.set_weights([weights.reshape(len(weights), -1).T])
    return model


def conv(side=8, dtype="float32"):
    x = keras.Input((side, side, 1))
    normal = keras.initializers.HeNormal
    y = keras.layers.Conv2D(3, 3, activation="tanh", name="first", kernel_initializer=normal(1), dtype=dtype)(x)
    y = keras.layers.Dropout(0.5, seed=1)(keras.layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, keras.layers.Dense(2, kernel_initializer=normal(2), dtype="float32")(y), name="conv")


def settings(**changes):
    return activation.Maximisation(**{"total_variation": 0.0, "clip_image": None, **changes})


def test_the_best_image_of_a_linear_net_under_the_l2_prior():
    slope = WEIGHTS[1] - WEIGHTS[0]  # max of slope x - l2 |x|^2 / n lies at x = n slope / (2 l2)
    found = activation.maximise(linear(), settings(l2=40.0, iterations=300))
    np.testing.assert_allclose(found.image, 36 * slope / 80, atol=0.01)
    assert not found.start.any() and found.start.shape == found.image.shape == (6, 6, 1)
    clipped = activation.maximise(linear(), settings(l2=40.0, iterations=300, clip_image=0.2))
    np.testing.assert_allclose(clipped.image, np.clip(36 * slope / 80, -0.2, 0.2), atol=0.01)


def test_the_first_step_is_the_learning_rate_up_the_slope():
    found = activation.maximise(linear(), settings(l2=0.0, iterations=1, learning_rate=0.25))
    np.testing.assert_allclose(found.image, 0.25 * np.sign(WEIGHTS[1] - WEIGHTS[0]), atol=1e-4)
    assert found.scores.tolist() == [0]  # of the blank


def test_total_variation_makes_it_smooth():
    def variation(weight):
        found = activation.maximise(linear(), settings(l2=40.0, total_variation=weight, iterations=100)).image
        return np.abs(np.diff(found, axis=0)).sum() + np.abs(np.diff(found, axis=1)).sum()

    assert variation(8.0) < 0.5 * variation(0.0)


def test_a_unit_of_a_layer_is_climbed_and_scored():
    model, start = conv(), np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    found = activation.maximise(model, settings(score=activation.unit("first", 2), l2=0.0, iterations=60), start)
    assert found.scores.shape == (60, 2) and (found.scores[-1] > found.scores[0] + 0.3).all()
    maps = keras.Model(model.input, model.get_layer("first").output)(start).numpy()
    np.testing.assert_allclose(found.scores[0], maps[..., 2].mean(axis=(1, 2)), atol=1e-6)
    alone = activation.maximise(model, found.settings, start[1])
    np.testing.assert_allclose(alone.image, found.image[1], atol=1e-4)
    np.testing.assert_allclose(alone.scores, found.scores[:, 1], atol=1e-5)


def test_the_score_is_a_weighted_sum_of_logits_in_either_direction():
    x = np.random.default_rng(0).normal(size=(3, 6, 6, 1)).astype("float32")
    logits = linear()(x).numpy()
    score = activation.Score(((0, 2.0), (1, -0.5)))
    up, down = (activation.scorer(linear(), score, direction)(tf.constant(x)).numpy() for direction in (1, -1))
    np.testing.assert_allclose(up, 2 * logits[:, 0] - 0.5 * logits[:, 1], atol=1e-5)
    assert np.array_equal(up, -down)
    malignant = activation.scorer(linear(), activation.MALIGNANT)(tf.constant(x)).numpy()
    np.testing.assert_allclose(malignant, logits[:, 1] - logits[:, 0], atol=1e-5)


def test_the_gradient_is_that_of_each_image():
    score = activation.scorer(linear(), activation.MALIGNANT)
    value, gradient = activation.slope(score, tf.ones((2, 6, 6, 1)))
    np.testing.assert_allclose(gradient, np.stack([WEIGHTS[1] - WEIGHTS[0]] * 2), atol=1e-6)
    assert value.shape == (2,)


def test_what_cannot_be_climbed_is_refused():
    with pytest.raises(cases.MammoError, match="output 2 is not among the 2 of linear"):
        activation.maximise(linear(), settings(score=activation.Score(((2, 1.0),))))
    with pytest.raises(cases.MammoError, match=r"conv has no layer second; there are .*first"):
        activation.maximise(conv(), settings(score=activation.unit("second", 0)))
    with pytest.raises(cases.MammoError, match="layer first computes in bfloat16, expected float32"):
        activation.maximise(conv(dtype="mixed_bfloat16"))
    outer = keras.Input((8, 8, 1))
    nested = keras.Model(outer, conv(dtype="mixed_bfloat16")(outer))
    with pytest.raises(cases.MammoError, match="layer first computes in bfloat16"):
        activation.maximise(nested)
    with pytest.raises(cases.MammoError, match=r"takes \(None, None, None, 1\); give a start"):
        activation.maximise(conv(side=None))
    with pytest.raises(cases.MammoError, match=r"found \(6, 6\)"):
        activation.maximise(linear(), start=np.zeros((6, 6)))
    with pytest.raises(cases.MammoError, match="1 of 36 values of the image are not finite"):
        activation.maximise(linear(), start=np.where(np.arange(36) == 5, np.nan, 0).reshape(6, 6, 1))
    with pytest.raises(cases.MammoError, match=r"found 0, 0\.05"):
        activation.Maximisation(iterations=0)
