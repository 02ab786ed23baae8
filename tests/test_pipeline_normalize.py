"""Normalisers: by hand, from the training images only, there and back through JSON."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import methods
from mammo_tf.pipeline import normalize

TRAIN = np.array([[[0, 0], [0, 65535]], [[65535, 65535], [65535, 0]]], np.uint16)  # mean 0.5, deviation 0.5
FACTORIES = [
    normalize.per_image,
    normalize.imagenet,
    normalize.imagenet_caffe,
    normalize.train_statistics,
    normalize.train_mean,
]
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


def test_imagenet_caffe_is_the_mode_caffe_of_keras():
    normalizer = normalize.imagenet_caffe(TRAIN)
    gray = np.random.default_rng(0).random((2, 5, 4, 1), np.float32)
    expected = keras.applications.imagenet_utils.preprocess_input(255 * np.repeat(gray, 3, axis=-1), mode="caffe")
    np.testing.assert_allclose(normalizer(tf.constant(gray)), expected, atol=1e-4)
    colour = np.random.default_rng(1).random((2, 5, 4, 3), np.float32)  # red first, as Keras takes it
    expected = keras.applications.imagenet_utils.preprocess_input(255 * colour, mode="caffe")
    np.testing.assert_allclose(normalizer(tf.constant(colour[..., ::-1])), expected, atol=1e-4)
    with pytest.raises(cases.MammoError, match="3 channels"):
        normalize.imagenet_caffe(TRAIN, channels=2)


@pytest.mark.parametrize("factory", FACTORIES)
def test_it_is_affine_and_rises_so_that_a_pixels_bounds_are_read_off_the_images(factory):
    normalizer = factory(TRAIN, channels=3)
    seen = np.random.default_rng(0).uniform(0.2, 0.7, (2, 6, 5)).astype("float32")
    low, high = methods.bounds(seen, normalizer(tf.constant(seen[..., None])).numpy())
    if isinstance(normalizer, normalize.Fixed):  # of a z-score each image has bounds of its own
        ends = normalizer(tf.constant([[[[0.0], [1.0]]]]))[0, 0].numpy()
        np.testing.assert_allclose([low, high], ends, rtol=1e-4, atol=1e-4)
    assert (np.array(low) < np.array(high)).all()


def test_black_and_white_of_imagenet_caffe():
    ends = normalize.imagenet_caffe(TRAIN)(tf.constant([[[[0.0], [1.0]]]]))[0, 0]
    np.testing.assert_allclose(ends, [[-103.939, -116.779, -123.68], [151.061, 138.221, 131.32]], atol=1e-4)


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
