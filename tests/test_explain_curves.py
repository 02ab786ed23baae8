import dataclasses

import keras
import numpy as np
import pytest
from scipy import ndimage

from mammo_tf import cases
from mammo_tf.explain import curves, gradients

SETTINGS = curves.Removal(steps=4, fill=0.0, blur=None)
WEIGHTS = np.array([[1.0, -0.5], [3.0, 2.0]], "float32")  # of the logit of class 1, that of class 0 is 0
IMAGES = np.array([[[1.0, 2.0], [0.5, -1.0]], [[0.0, 1.0], [1.0, 1.0]]], "float32")[..., None]


def linear(weights):
    """Logits 0 and weights (H, W) times the mean channel."""
    x = keras.Input((*weights.shape, 1))
    net = keras.Model(x, keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(x)), name="linear")
    net.set_weights([np.stack([0 * weights.ravel(), weights.ravel()], axis=1)])
    return net


@pytest.fixture(scope="session")
def small():
    return linear(WEIGHTS)


@pytest.fixture(scope="session")
def spot():
    """A net that sees a middle patch of 16 x 16, and images of noise with the patch lifted."""
    weights = np.zeros((16, 16), "float32")
    weights[5:9, 6:11] = 0.5
    images = np.random.default_rng(0).normal(size=(4, 16, 16, 1)).astype("float32")
    images[:, 5:9, 6:11] += 1
    return linear(weights), images


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, float)))


def test_by_hand(small):
    maps = np.array([[[4.0, 3.0], [2.0, 1.0]], [[1.0, 2.0], [4.0, 3.0]]])
    found = curves.curves(small, IMAGES, 1, maps, SETTINGS)
    # weight x pixel: 1, -1, 1.5, -2 and 0, -0.5, 3, 2
    deletion = sigmoid([[-0.5, -1.5, -0.5, -2, 0], [4.5, 1.5, -0.5, 0, 0]])
    insertion = sigmoid([[0, 1, 0, 1.5, -0.5], [0, 3, 5, 4.5, 4.5]])
    assert found.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(found.deletion, deletion, atol=1e-6)
    np.testing.assert_allclose(found.insertion, insertion, atol=1e-6)
    area = (deletion[:, 0] / 2 + deletion[:, 1:4].sum(axis=1) + deletion[:, 4] / 2) / 4
    np.testing.assert_allclose(found.deletion_area, area, atol=1e-6)
    np.testing.assert_allclose(found.insertion_area, np.trapezoid(insertion, dx=0.25), atol=1e-6)


def test_the_other_class_the_mean_and_uneven_steps(small):
    maps = np.array([[[4.0, 3.0], [2.0, 1.0]]] * 2)
    settings = dataclasses.replace(SETTINGS, fill=None, steps=3)
    found = curves.curves(small, IMAGES, 0, maps, settings)
    assert found.share.tolist() == [0, 0.25, 0.5, 1]  # 0, 1, 2, 4 pixels
    mean = IMAGES.mean(axis=(1, 2))[:, 0]
    np.testing.assert_allclose(found.deletion[:, -1], 1 - sigmoid(mean * WEIGHTS.sum()), atol=1e-6)
    np.testing.assert_allclose(found.deletion[0, 1], 1 - sigmoid(-0.5 - 1 + mean[0]), atol=1e-6)


def test_insertion_starts_from_the_blurred_image_and_ends_with_the_image(spot):
    model, images = spot
    found = curves.curves(model, images, 1, images[..., 0], curves.Removal(steps=8, blur=2.0))
    weights = model.get_weights()[0][:, 1].reshape(16, 16)
    blurred = np.stack([ndimage.gaussian_filter(image[..., 0], 2.0) for image in images])
    np.testing.assert_allclose(found.insertion[:, 0], sigmoid((blurred * weights).sum(axis=(1, 2))), atol=1e-5)
    np.testing.assert_allclose(found.insertion[:, -1], found.deletion[:, 0], atol=1e-6)


def test_a_right_map_beats_random_order_and_random_order_a_wrong_map(spot):
    model, images = spot
    right = gradients.saliency(model, images, 1) * images[..., 0]
    best, worst = (curves.curves(model, images, 1, maps) for maps in (right, -right))
    random = curves.random_order(model, images, 1)
    assert (best.deletion_area < random.deletion_area).all() and (random.deletion_area < worst.deletion_area).all()
    assert (best.insertion_area > random.insertion_area).all()


def test_equal_values_are_ordered_by_the_seed_alone(spot):
    model, images = spot
    first, again = (curves.random_order(model, images, 1, dataclasses.replace(SETTINGS, seed=3)) for _ in range(2))
    assert np.array_equal(first.deletion, again.deletion)
    alone = curves.random_order(model, images[:2], 1, dataclasses.replace(SETTINGS, seed=3, batch=2))
    np.testing.assert_allclose(alone.deletion, first.deletion[:2], atol=1e-6)
    assert not np.allclose(curves.random_order(model, images, 1, SETTINGS).deletion, first.deletion)
    twice = curves.random_order(model, np.repeat(images[:1], 2, axis=0), 1, SETTINGS).deletion
    assert not np.allclose(twice[0], twice[1])
    drawn = [curves.places(np.zeros((2, 3)), (seed,))[0, 0] for seed in range(600)]
    assert np.bincount(drawn, minlength=6).min() > 60  # every place as likely


def test_places_by_hand():
    assert curves.places(np.array([[0.5, -2.0], [3.0, 1.0]]), (0,)).tolist() == [[2, 3], [0, 1]]
    tied = curves.places(np.array([[1.0, 0.0], [0.0, 2.0]]), (0,))
    assert tied[0, 0] == 1 and tied[1, 1] == 0 and sorted(tied[[0, 1], [1, 0]]) == [2, 3]


def test_what_does_not_fit_is_refused(small):
    with pytest.raises(cases.MammoError, match=r"maps are \(2, 2\), images \(2, 2, 2, 1\)"):
        curves.curves(small, IMAGES, 1, np.zeros((2, 2)))
    with pytest.raises(cases.MammoError, match="curves: class 2 is not among the 2 of linear"):
        curves.random_order(small, IMAGES, 2)
    with pytest.raises(cases.MammoError, match=r"found 0, 32, 5\.0"):
        curves.Removal(steps=0)
    with pytest.raises(cases.MammoError, match="found 32, 32, 0"):
        curves.Removal(blur=0)
