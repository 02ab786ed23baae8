"""The two rules: by hand, against OpenCV, and the graph against numpy."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.pipeline import resize


def test_shrinking_averages_areas():
    image = np.arange(16, dtype=np.uint16).reshape(4, 4)
    assert resize.area(image, 2, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert resize.area(np.array([[0, 3, 6]]), 1, 2).tolist() == [[1.0, 5.0]]  # (0 + 3 / 2) / 1.5, (3 / 2 + 6) / 1.5


def test_growing_interpolates_between_half_pixel_centres():
    assert resize.area(np.array([[0.0, 4.0]]), 1, 4).tolist() == [[0, 1, 3, 4]]


def test_each_axis_has_its_own_rule():
    image = np.array([[0.0, 4.0], [2.0, 6.0]])
    assert resize.area(image, 1, 4).tolist() == [[1, 2, 4, 5]]
    assert resize.area(image.T, 4, 1).tolist() == [[1], [2], [4], [5]]


def test_the_same_size_changes_nothing():
    image = np.random.default_rng(0).random((5, 7), np.float32)
    np.testing.assert_array_equal(resize.area(image, 5, 7), image)


def test_cubic_by_hand():
    # Half-way between two pixels: -0.09375, 0.59375, 0.59375, -0.09375 for a = -0.75; the border is repeated.
    row = np.array([[0.0, 0.0, 32.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(resize.cubic(row, 1, 3), [[-3.0, 19.0, 0.0]], atol=1e-5)
    assert resize.cubic(np.full((3, 5), 7, np.uint16), 4, 2).tolist() == [[7, 7]] * 4


def test_cubic_does_not_average():
    image = np.zeros((40, 40), np.float32)
    image[21, 21] = 1  # falls between the samples of every fifth pixel
    assert resize.cubic(image, 8, 8).max() == 0 < resize.area(image, 8, 8).max()


SIZES = [(64, 48), (128, 192), (211, 307), (65, 900), (40, 33), (63, 17), (300, 40), (31, 97), (1, 1), (700, 64)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("rule", "tolerance"), [(resize.area, 2e-4), (resize.cubic, 2e-6)])
def test_the_graph_agrees_with_numpy(rule, tolerance, size):
    images = np.random.default_rng(1).random((2, *size), np.float32)
    expected = np.stack([rule(image, *TARGET) for image in images])
    found = RESIZED[rule](tf.constant(images[..., None])).numpy()
    assert found.dtype == np.float32 and found.shape == (2, *TARGET, 1)
    np.testing.assert_allclose(found[..., 0], expected, atol=tolerance)


def test_cubic_is_opencvs():
    image = np.random.default_rng(2).random((50, 41), np.float32)
    expected = cv2.resize(image, (30, 77), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(
        resize.cubic_in_graph(image[None, ..., None], (77, 30))[0, ..., 0], expected, atol=2e-6
    )


def test_rules_by_name():
    assert [resize.named(rule.__name__) for rule in (resize.area, resize.cubic)] == [resize.area, resize.cubic]
    with pytest.raises(cases.MammoError, match="area, cubic, found 'lanczos'"):
        resize.named("lanczos")
    with pytest.raises(cases.MammoError, match=r"resize\.cubic"):
        resize.check(np.resize)


TARGET = (64, 50)


def traced(rule):
    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32)])
    def resized(images):  # traced once: height and width are unknown to it
        return resize.in_graph(rule)(images, TARGET)

    return resized


RESIZED = {rule: traced(rule) for rule in (resize.area, resize.cubic)}
