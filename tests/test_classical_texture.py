"""Galloway's 4x4 image by hand; co-occurrence features against scikit-image and scipy."""

import numpy as np
import pytest
import scipy.stats
from skimage import feature

from mammo_tf import cases
from mammo_tf.classical import texture

GALLOWAY = np.array([[0, 1, 2, 3], [0, 2, 3, 3], [2, 1, 1, 1], [3, 0, 3, 0]], np.uint8)
RUNS = {
    0: [[4, 0, 0, 0], [1, 0, 1, 0], [3, 0, 0, 0], [3, 1, 0, 0]],
    90: [[2, 1, 0, 0], [4, 0, 0, 0], [3, 0, 0, 0], [3, 1, 0, 0]],
    # lines of (0) (0 1) (2 2 2) (3 1 3 3) (0 1 3) (3 1) (0)
    45: [[4, 0, 0, 0], [4, 0, 0, 0], [0, 0, 1, 0], [3, 1, 0, 0]],
    # lines of (3) (2 0) (0 1 3) (0 2 1 0) (1 3 1) (2 3) (3)
    135: [[4, 0, 0, 0], [4, 0, 0, 0], [3, 0, 0, 0], [5, 0, 0, 0]],
}


@pytest.mark.parametrize("angle", RUNS)
def test_runs_of_galloways_image(angle):
    assert texture.run_lengths(GALLOWAY, 4, angle).tolist() == RUNS[angle]


def test_run_length_features_by_hand():
    """13 runs along the rows: eleven of one pixel, one of two, one of three."""
    found = texture.run_length_features(GALLOWAY, 4, angles=(0,))
    assert found == pytest.approx(
        {
            "short runs emphasis, 0 degrees": (11 + 1 / 4 + 1 / 9) / 13,
            "long runs emphasis, 0 degrees": (11 + 4 + 9) / 13,
            "gray level non-uniformity, 0 degrees": (4**2 + 2**2 + 3**2 + 4**2) / 13,
            "run length non-uniformity, 0 degrees": (11**2 + 1 + 1) / 13,
            "run percentage, 0 degrees": 13 / 16,
        }
    )


@pytest.mark.parametrize("angle", texture.ANGLES)
def test_runs_hold_every_pixel_once_and_turn_with_the_image(angle):
    gray = np.random.default_rng(angle).integers(0, 3, (7, 11)).astype(np.uint8)
    runs = texture.run_lengths(gray, 3, angle)
    pixels = (runs * np.arange(1, 12)).sum(axis=1)
    assert pixels.tolist() == np.bincount(gray.ravel(), minlength=3).tolist()
    turned = texture.run_lengths(np.rot90(gray), 3, (angle + 90) % 180)
    np.testing.assert_array_equal(runs, turned)


def test_cooccurrence_features_are_those_of_scikit_image_and_scipy():
    gray = np.random.default_rng(0).integers(0, 8, (20, 30)).astype(np.uint8)
    gray[5:15, 5:15] = 3
    found = texture.cooccurrence_features(gray, 8, distances=(1, 3))
    assert len(found) == 8 * 2 * 4
    p = feature.graycomatrix(gray, [1, 3], np.deg2rad(texture.ANGLES), 8, symmetric=True, normed=True)
    theirs = {"energy": "ASM", "inertia": "contrast", "correlation": "correlation"}
    theirs["inverse difference moment"] = "homogeneity"
    for d, distance in enumerate((1, 3)):
        for a, angle in enumerate(texture.ANGLES):
            at = f", distance {distance}, {angle} degrees"
            for name, prop in theirs.items():
                assert found[name + at] == pytest.approx(feature.graycoprops(p, prop)[d, a])
            assert found["entropy" + at] == pytest.approx(scipy.stats.entropy(p[:, :, d, a].ravel(), base=2))
            sums = [np.trace(p[::-1, :, d, a], k) for k in range(-7, 8)]
            assert found["sum entropy" + at] == pytest.approx(scipy.stats.entropy(sums, base=2))
            assert found["sum average" + at] == pytest.approx(2 * (np.arange(8) * p[:, :, d, a].sum(axis=1)).sum())
            gaps = [np.trace(p[:, :, d, a], k) * (2 if k else 1) for k in range(8)]
            assert found["difference entropy" + at] == pytest.approx(scipy.stats.entropy(gaps, base=2))


def test_a_constant_image():
    gray = texture.levels_of(np.full((5, 6), 2.5), 16)
    assert not gray.any()
    found = texture.cooccurrence_features(gray, 16)
    assert found["energy, distance 1, 0 degrees"] == found["correlation, distance 1, 0 degrees"] == 1
    assert found["entropy, distance 1, 0 degrees"] == found["inertia, distance 1, 0 degrees"] == 0
    assert texture.run_lengths(gray, 16)[0].tolist() == [0, 0, 0, 0, 0, 5]


def test_levels_are_of_equal_width():
    image = np.linspace(-3, 5, 1001)[None]
    counts = np.bincount(texture.levels_of(image, 10)[0], minlength=10)
    assert counts.sum() == 1001 and counts.min() >= 99 and counts.max() <= 102


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: texture.levels_of(np.zeros((2, 2)), 1), "levels must be 2 to 256"),
        (lambda: texture.levels_of(np.full((2, 2), np.nan), 4), "not finite"),
        (lambda: texture.run_lengths(GALLOWAY, 3), r"lie in \[0, 3\), found 0 to 3"),
        (lambda: texture.run_lengths(GALLOWAY / 2, 4), "integers"),
        (lambda: texture.run_lengths(GALLOWAY, 4, 30), "0, 45, 90 or 135"),
        (lambda: texture.cooccurrence_features(GALLOWAY, 4, distances=(4,)), "no pairs at distance 4"),
    ],
)
def test_bad_input_is_named(call, reason):
    with pytest.raises(cases.MammoError, match=reason):
        call()
