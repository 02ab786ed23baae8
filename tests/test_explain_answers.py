import functools

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.explain import answers, gradients

WEIGHTS = np.random.default_rng(0).normal(size=(2, 4, 3, 2)).astype("float32")
IMAGES = np.random.default_rng(1).normal(size=(5, 4, 3, 2)).astype("float32")
CLASSES = np.array([0, 1, 1, 0, 1], np.int32)


@pytest.fixture(scope="session")
def model():
    """Logits = weights (K, H, W, C) times the image; dropout that must not act."""
    x = keras.Input(WEIGHTS.shape[1:])
    y = keras.layers.Dropout(0.5, seed=0)(keras.layers.Flatten()(x))
    net = keras.Model(x, keras.layers.Dense(2, use_bias=False)(y), name="linear")
    net.set_weights([WEIGHTS.reshape(2, -1).T])
    return net


def constant_maps(model, images, classes, maps):
    return maps


def test_no_class_means_the_predicted_one_and_one_class_is_that_of_all(model):
    logits = np.einsum("khwc,nhwc->nk", WEIGHTS, IMAGES)
    _, found = answers.checked(model, IMAGES, None, "test")
    assert found.tolist() == logits.argmax(axis=1).tolist() and len(set(found.tolist())) == 2
    assert answers.predicted(model, IMAGES, batch=2).tolist() == found.tolist()
    assert answers.checked(model, IMAGES, 1, "test")[1].tolist() == [1] * 5
    assert answers.checked(model, IMAGES[:0], None, "test")[1].shape == (0,)


def test_replaced_pixels_by_hand(model):
    where = np.zeros((3, 4, 3), bool)
    where[1, 2, 1] = where[2] = True
    mixed = np.where(where[..., None], IMAGES[1], IMAGES[0])
    logits = np.einsum("khwc,nhwc->nk", WEIGHTS, mixed)
    ask = answers.replacing(model, IMAGES.shape[1:], probability=False)
    found = answers.asked(ask, IMAGES[0], IMAGES[1], [where[:2], where[2:]], 1)
    np.testing.assert_allclose(found, logits[:, 1], atol=1e-5)
    ask = answers.replacing(model, IMAGES.shape[1:], probability=True)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answers.asked(ask, IMAGES[0], IMAGES[1], [where], 0), shares[:, 0], atol=1e-6)


def test_channels_of_a_map_are_added_up():
    maps = IMAGES.astype(float)
    explainer = functools.partial(constant_maps, maps=maps)
    np.testing.assert_allclose(answers.explained(explainer, None, IMAGES, CLASSES), maps.sum(axis=-1))
    strength = answers.Strength(explainer)(None, IMAGES, CLASSES)
    np.testing.assert_allclose(strength, np.abs(maps.sum(axis=-1)))
    plain = functools.partial(constant_maps, maps=maps[..., 0])
    np.testing.assert_array_equal(answers.explained(plain, None, IMAGES, CLASSES), maps[..., 0])


def test_the_gradients_of_the_package_are_explainers(model):
    found = answers.explained(gradients.saliency, model, IMAGES, CLASSES)
    np.testing.assert_allclose(found, np.abs(WEIGHTS).max(axis=-1)[CLASSES], atol=1e-6)


def test_a_fill_is_a_value_or_the_mean_of_each_channel():
    assert np.unique(answers.filled(IMAGES, 0.5)).tolist() == [0.5]
    means = answers.filled(IMAGES, None)
    np.testing.assert_allclose(means[3, 0, 0], IMAGES[3].mean(axis=(0, 1)), rtol=1e-5)
    assert means.shape == IMAGES.shape and np.ptp(means, axis=(1, 2)).max() == 0


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(cases.MammoError, match=r"here: expected images \(N, H, W, C\), found \(4, 3, 2\)"):
        answers.checked(model, IMAGES[0], 0, "here")
    with pytest.raises(cases.MammoError, match="class 2 is not among the 2 of linear"):
        answers.checked(model, IMAGES, 2, "here")
    with pytest.raises(cases.MammoError, match=r"expected one class or 5, one an image; found \(4,\)"):
        answers.checked(model, IMAGES, CLASSES[:4], "here")
    short = functools.partial(constant_maps, maps=np.zeros((5, 2, 3)))
    with pytest.raises(cases.MammoError, match=r"partial: maps are \(5, 2, 3\), images \(5, 4, 3, 2\)"):
        answers.explained(short, model, IMAGES, CLASSES)
    holes = functools.partial(constant_maps, maps=np.where(IMAGES > 2, np.nan, 0))
    with pytest.raises(cases.MammoError, match=f"{(IMAGES > 2).sum()} of 120 values of the maps are not finite"):
        answers.explained(holes, model, IMAGES, CLASSES)
    one = keras.Sequential([keras.Input((4, 3, 2)), keras.layers.Flatten(), keras.layers.Dense(1)], name="one")
    with pytest.raises(cases.MammoError, match="one: a softmax needs 2 logits, found 1"):
        answers.replacing(one, (4, 3, 2), probability=True)
