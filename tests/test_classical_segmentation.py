import numpy as np
import pytest
import scipy.ndimage
from skimage import measure

from mammo_tf import cases
from mammo_tf.classical import segmentation

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE]


def disc(row=48, column=48, radius=18):
    return np.hypot(Y - row, X - column) <= radius


def noisy(mask, blur=1.0, noise=0.1, seed=0):
    smooth = scipy.ndimage.gaussian_filter(mask.astype(float), blur)
    return 0.3 + 0.4 * smooth + np.random.default_rng(seed).normal(0, noise, mask.shape)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("radius", [10, 18, 30])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_disc_in_noise_is_found(radius, seed):
    truth = disc(radius=radius)
    assert dice(segmentation.grown(noisy(truth, seed=seed)), truth) > 0.9


def test_an_ellipse_beside_a_brighter_thing_is_found():
    truth = np.hypot((Y - 48) / 1.5, X - 44) <= 14
    image = noisy(truth | disc(10, 88, 8), noise=0.05) + 0.5 * disc(10, 88, 8)
    assert dice(segmentation.grown(image), truth) > 0.9


def test_the_seed_need_not_be_the_middle():
    truth = disc(30, 60, 14)
    assert dice(segmentation.grown(noisy(truth), seed=(33, 56)), truth) > 0.9
    assert dice(segmentation.grown(noisy(truth)), truth) < 0.9


def test_gray_values_may_be_scaled_and_shifted():
    image = noisy(disc())
    np.testing.assert_array_equal(segmentation.grown(image), segmentation.grown(1000 * image + 50))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 30)),
        np.random.default_rng(0).random((40, 30)),
        -np.hypot(Y[:40, :30], X[:40, :30]),  # brightest in a corner
        np.hypot(Y[:40, :30] - 20, X[:40, :30] - 15),  # darkest at the seed
        np.random.default_rng(0).random((5, 4)),
    ],
)
def test_the_mask_holds_the_seed_in_one_piece_without_holes_whatever_the_image(image):
    mask = segmentation.grown(image)
    assert mask.shape == image.shape and mask.dtype == bool
    assert mask[round((image.shape[0] - 1) / 2), round((image.shape[1] - 1) / 2)]
    assert measure.label(mask, connectivity=1).max() == 1
    np.testing.assert_array_equal(mask, scipy.ndimage.binary_fill_holes(mask))


def test_filling_is_that_of_scipy():
    above = np.random.default_rng(0).random((60, 50)) > 0.42
    above[30, 20] = True
    labels, _ = scipy.ndimage.label(above)
    expected = scipy.ndimage.binary_fill_holes(labels == labels[30, 20])
    np.testing.assert_array_equal(segmentation._filled_part(above, (30, 20)), expected)


def test_the_index_of_a_dome_is_one_and_of_its_negative_minus_one():
    dome = -np.hypot(Y - 48.0, X - 48.0)
    for image, expected in ((dome, 1), (-dome, -1)):
        inward, strength = segmentation._gradients(image, (48, 48))
        assert segmentation._rated(disc(), inward, strength)[0] == pytest.approx(expected, abs=0.01)


def test_bad_input_is_named():
    with pytest.raises(cases.MammoError, match=r"the seed \(96, 3\) lies outside the image \(96, 96\)"):
        segmentation.grown(noisy(disc()), seed=(96, 3))
    with pytest.raises(cases.MammoError, match="finite image"):
        segmentation.grown(np.full((9, 9), np.nan))
