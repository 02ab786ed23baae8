"""Normalisers: by hand, from the training images only, there and back through JSON."""

import json

import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.pipeline import normalize

TRAIN = np.array([[[0, 0], [0, 65535]], [[65535, 65535], [65535, 0]]], np.uint16)  # mean 0.5, deviation 0.5
FACTORIES = [normalize.per_image, normalize.imagenet, normalize.train_statistics, normalize.train_mean]
SQUARE = tf.reshape(tf.constant([0.0, 0.0, 1.0, 1.0]), (1, 2, 2, 1))


def test_per_image_is_a_z_score():
    found = normalize.per_image(TRAIN, channels=2)(SQUARE).numpy()
    assert found.shape == (1, 2, 2, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found[0, :, :, 0], [[-1, -1], [1, 1]], atol=1e-6)
    np.testing.assert_array_equal(found[..., 0], found[..., 1])


def test_a_constant_image_becomes_zero():
    found = normalize.PerImage(1)(tf.fill([2, 9, 9, 1], 0.3)).numpy()
    np.testing.assert_allclose(found, 0, atol=1e-2)
    assert np.isfinite(found).all()


def test_imagenet_is_torchvisions_convention():
    found = normalize.imagenet(TRAIN)(tf.ones([1, 2, 2, 1])).numpy()
    np.testing.assert_allclose(found[0, 0, 0], [2.2489083, 2.4285715, 2.64], rtol=1e-5)  # (1 - mean) / std
    with pytest.raises(cases.MammoError, match="3 channels"):
        normalize.imagenet(TRAIN, channels=1)


def test_train_statistics_by_hand():
    normalizer = normalize.train_statistics(TRAIN, channels=1)
    assert normalizer == normalize.Fixed((0.5,), (0.5,), 1)
    np.testing.assert_allclose(normalizer(SQUARE)[0, :, :, 0], [[-1, -1], [1, 1]])


def test_train_statistics_agree_with_numpy():
    images = np.random.default_rng(0).integers(0, 65536, (7, 13, 13), np.uint16)
    normalizer = normalize.train_statistics(images)
    np.testing.assert_allclose(normalizer.mean[0], images.mean() / 65535)
    np.testing.assert_allclose(normalizer.std[0], images.std() / 65535)


def test_train_mean_takes_one_number_off_gray_values_of_0_to_255():
    images = np.array([[[0, 65535, 257]], [[257, 257, 65535]]], np.uint16)  # 0 255 1, 1 1 255: mean 85.5
    normalizer = normalize.train_mean(images, channels=1)
    assert normalize.gray_mean_255(normalizer) == pytest.approx(85.5)
    found = normalizer(tf.constant(images[..., None] / np.float32(65535)))
    np.testing.assert_allclose(found[..., 0], [[[-85.5, 169.5, -84.5]], [[-84.5, -84.5, 169.5]]], atol=1e-4)
    flat = normalize.train_mean(np.full((2, 3, 3), 257, np.uint16))  # no contrast is needed
    assert normalize.gray_mean_255(flat) == pytest.approx(1)


@pytest.mark.parametrize(
    "normalizer", [normalize.PerImage(3), normalize.Fixed(normalize.IMAGENET_MEAN, normalize.IMAGENET_STD)]
)
def test_three_equal_channels_are_as_one(normalizer):
    images = tf.constant(np.random.default_rng(0).random((2, 5, 4, 1), np.float32))
    np.testing.assert_allclose(normalizer(tf.repeat(images, 3, axis=-1)), normalizer(images), atol=1e-5)
    with pytest.raises(cases.MammoError, match="1 or 3 channels are expected, found 2"):
        normalizer(tf.zeros([1, 4, 4, 2]))


def test_images_without_contrast_are_refused():
    with pytest.raises(cases.MammoError, match="one value"):
        normalize.train_statistics(np.full((3, 4, 4), 40000, np.uint16))


@pytest.mark.parametrize("factory", FACTORIES)
def test_there_and_back_through_json(factory):
    normalizer = factory(TRAIN, channels=3)
    assert normalize.from_description(json.loads(json.dumps(normalizer.describe()))) == normalizer


def test_bad_descriptions_are_refused():
    with pytest.raises(cases.MammoError, match="guess"):
        normalize.from_description({"kind": "guess"})
    with pytest.raises(cases.MammoError, match="mean"):
        normalize.Fixed((0.1, 0.2), (1.0,), 3)
    with pytest.raises(cases.MammoError, match="std"):
        normalize.Fixed((0.1,), (0.0,), 3)
