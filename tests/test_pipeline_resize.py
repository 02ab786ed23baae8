"""The two resizes: by hand, and the graph against numpy."""

import numpy as np
import pytest
import tensorflow as tf

from mammo_tf.pipeline import build


def test_shrinking_averages_areas():
    image = np.arange(16, dtype=np.uint16).reshape(4, 4)
    assert build.resize(image, 2, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert build.resize(np.array([[0, 3, 6]]), 1, 2).tolist() == [[1.0, 5.0]]  # (0 + 3 / 2) / 1.5, (3 / 2 + 6) / 1.5


def test_growing_interpolates_between_half_pixel_centres():
    assert build.resize(np.array([[0.0, 4.0]]), 1, 4).tolist() == [[0, 1, 3, 4]]


def test_each_axis_has_its_own_rule():
    image = np.array([[0.0, 4.0], [2.0, 6.0]])
    assert build.resize(image, 1, 4).tolist() == [[1, 2, 4, 5]]
    assert build.resize(image.T, 4, 1).tolist() == [[1], [2], [4], [5]]


def test_the_same_size_changes_nothing():
    image = np.random.default_rng(0).random((5, 7), np.float32)
    np.testing.assert_array_equal(build.resize(image, 5, 7), image)


@pytest.mark.parametrize(
    ("height", "width"),
    [
        (64, 64),
        (128, 192),
        (211, 307),
        (65, 900),
        (40, 33),
        (63, 17),
        (300, 40),
        (31, 97),
        (64, 50),
        (1, 1),
        (700, 64),
    ],
)
def test_the_graph_agrees_with_numpy(height, width):
    images = np.random.default_rng(1).random((2, height, width), np.float32)
    expected = np.stack([build.resize(image, 64, 64) for image in images])
    found = RESIZED(tf.constant(images[..., None])).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[..., 0], expected, atol=2e-4)


@tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32)])
def RESIZED(images):  # traced once: height and width are unknown to it
    return build.resize_in_graph(images, 64)
