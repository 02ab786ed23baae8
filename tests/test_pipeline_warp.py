"""The composed warp: by hand on small images, against scipy, and against one step after the other."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from mammo_tf.pipeline import warp

SCIPY_MODE = {"constant": "grid-constant", "nearest": "nearest", "reflect": "reflect"}
COUNTING = np.arange(1, 10, dtype=np.float32).reshape(3, 3)  # 1 2 3 / 4 5 6 / 7 8 9


def moved(image, fill="constant", order=1, fill_value=0.0, **parameters):
    image = np.asarray(image, np.float32)
    drawn = {name: tf.constant([value], tf.float32) for name, value in parameters.items()}
    matrix = warp.matrix(drawn, image.shape)
    return warp.warp(image[None], matrix, fill=fill, order=order, fill_value=fill_value).numpy()[0]


def smooth(height=48, width=48):
    noise = np.random.default_rng(0).normal(size=(height, width))
    image = ndimage.gaussian_filter(noise, 5, mode="constant")
    return (image / np.abs(image).max()).astype(np.float32)


@pytest.mark.parametrize("order", [0, 1])
def test_flips_by_hand(order):
    horizontal = moved(COUNTING, order=order, flip_horizontal=1)
    assert horizontal.tolist() == [[3, 2, 1], [6, 5, 4], [9, 8, 7]]
    vertical = moved(COUNTING, order=order, flip_vertical=1)
    assert vertical.tolist() == [[7, 8, 9], [4, 5, 6], [1, 2, 3]]
    assert moved(COUNTING, order=order, flip_vertical=0, flip_horizontal=0).tolist() == COUNTING.tolist()


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("image", [COUNTING, np.arange(16).reshape(4, 4)])
def test_quarter_turns_are_counter_clockwise(image, turns):
    np.testing.assert_allclose(moved(image, rotate_deg=90 * turns), np.rot90(image, turns), atol=1e-4)
    np.testing.assert_array_equal(moved(image, order=0, rotate_deg=90 * turns), np.rot90(image, turns))


def test_rotation_of_a_rectangle_keeps_shapes():
    image = np.zeros((9, 15), np.float32)
    image[2:7, 6:9] = np.arange(1, 16).reshape(5, 3)  # 5 x 3 about the centre
    found = moved(image, order=0, rotate_deg=90)
    expected = np.zeros((9, 15), np.float32)
    expected[3:6, 5:10] = np.rot90(image[2:7, 6:9])
    assert found.tolist() == expected.tolist()
    rows, columns = np.mgrid[:61, :91]
    disc = (np.hypot(rows - 30, columns - 45) < 20).astype(np.float32)
    assert np.abs(moved(disc, rotate_deg=37) - disc).mean() < 0.01  # 1257 pixels of 5551


def test_translation_by_hand():
    third = 1 / 3  # of three pixels: one down, one to the right
    shift = {"translate_y": third, "translate_x": third, "order": 0}
    assert moved(COUNTING, **shift, fill_value=-1).tolist() == [[-1, -1, -1], [-1, 1, 2], [-1, 4, 5]]
    assert moved(COUNTING, **shift, fill="nearest").tolist() == [[1, 1, 2], [1, 1, 2], [4, 4, 5]]
    assert moved(COUNTING, **shift, fill="reflect").tolist() == [[1, 1, 2], [1, 1, 2], [4, 4, 5]]


def test_reflect_repeats_the_border_and_the_period():
    row = np.array([[1, 2, 3, 4]], np.float32)
    found = moved(row, fill="reflect", order=0, translate_y=0, translate_x=1.5)  # six pixels to the right
    assert found.tolist() == [[3, 4, 4, 3]]  # ... 3 4 4 3 2 1 | 1 2 3 4


def test_zoom_and_crop_by_hand():
    image = np.arange(16).reshape(4, 4)
    middle = [[5, 5, 6, 6], [5, 5, 6, 6], [9, 9, 10, 10], [9, 9, 10, 10]]
    assert moved(image, order=0, zoom_y=2, zoom_x=2).tolist() == middle
    assert moved(image, order=0, crop=0.5, crop_y=0, crop_x=0).tolist() == middle
    corner = moved(image, order=0, crop=0.5, crop_y=-0.5, crop_x=0.5)  # top right quarter, doubled
    assert corner.tolist() == [[2, 2, 3, 3], [2, 2, 3, 3], [6, 6, 7, 7], [6, 6, 7, 7]]
    wide = moved(image, order=0, zoom_x=2)
    assert wide.tolist() == [[r + 1, r + 1, r + 2, r + 2] for r in (0, 4, 8, 12)]


def test_shear_is_anchored_at_the_centre():
    found = moved(np.eye(3)[::-1], order=0, shear_deg=45)  # /: rows slide by -1, 0, 1 and it stands upright
    assert found.tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0]]


# No coefficient is round, but for the whole shift: order 0 must not be asked about exact halves.
MATRICES = np.array(
    [
        [[0.8123, -0.5077, 6.3179], [0.6031, 0.7219, -2.1453]],
        [[-1.3011, 0.2057, 29.9713], [0.1039, 2.1091, -9.0437]],
        [[1.0, 0.0, 2.0], [0.0, 1.0, -3.0]],
        [[5.0173, 0.3011, -70.0139], [0.2029, -4.0211, 60.0317]],  # beyond one reflection
    ],
    np.float32,
)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill", list(SCIPY_MODE))
def test_parity_with_scipy(fill, order):
    images = np.random.default_rng(1).random((len(MATRICES), 17, 23), np.float32)
    found = warp.warp(images, MATRICES, fill=fill, fill_value=0.25, order=order).numpy()
    for image, m, ours in zip(images, MATRICES.astype(float), found, strict=True):
        expected = ndimage.affine_transform(
            image, m[:, :2], m[:, 2], order=order, mode=SCIPY_MODE[fill], cval=0.25, output=np.float64
        )
        np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_composed_equals_one_step_after_the_other():
    image = smooth()
    steps = [
        {"flip_vertical": 1, "flip_horizontal": 0},
        {"zoom_y": 1.1, "zoom_x": 0.9},
        {"shear_deg": 10},
        {"rotate_deg": 35},
        {"translate_y": 0.05, "translate_x": -0.1},
        {"crop": 0.9, "crop_y": 0.3, "crop_x": -0.2},
    ]
    one_by_one = image
    for step in steps:
        one_by_one = moved(one_by_one, **step)
    composed = moved(image, **{name: value for step in steps for name, value in step.items()})
    centre = np.s_[14:34, 14:34]  # what no step pushed over the border
    assert np.abs(composed - one_by_one)[centre].max() < 0.03
    swapped = moved(moved(image, rotate_deg=35), flip_vertical=1, flip_horizontal=0)
    assert np.abs(swapped - moved(image, flip_vertical=1, flip_horizontal=0, rotate_deg=35))[centre].max() > 0.3


def test_images_of_a_batch_do_not_mix_and_xla_agrees():
    images = np.random.default_rng(2).random((8, 20, 20), np.float32)
    drawn = {"rotate_deg": tf.linspace(-180.0, 180.0, 8), "crop": tf.fill([8], 0.9), "crop_y": tf.zeros(8)}
    matrix = warp.matrix(drawn | {"crop_x": tf.linspace(-0.5, 0.5, 8)}, (20, 20))
    together = warp.warp(images, matrix).numpy()
    alone = np.concatenate([warp.warp(images[i : i + 1], matrix[i : i + 1]) for i in range(8)])
    np.testing.assert_array_equal(together, alone)
    compiled = tf.function(warp.warp, jit_compile=True, autograph=False)(tf.constant(images), matrix)
    np.testing.assert_allclose(compiled, together, atol=1e-4)
