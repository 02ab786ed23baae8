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


STEPS = {0: (0, 1), 45: (-1, 1), 90: (-1, 0), 135: (-1, -1)}  # rows, columns; counter-clockwise


def pairs(gray, levels, distance, angle):
    """The symmetric, normalised matrix, pair by pair."""
    p = np.zeros((levels, levels))
    down, right = (distance * step for step in STEPS[angle])
    for row in range(gray.shape[0]):
        for column in range(gray.shape[1]):
            other = row + down, column + right
            if 0 <= other[0] < gray.shape[0] and 0 <= other[1] < gray.shape[1]:
                i, j = gray[row, column], gray[other]
                p[i, j] += 1
                p[j, i] += 1
    return p / p.sum()


def test_cooccurrence_features_are_those_of_scikit_image_and_scipy():
    gray = np.random.default_rng(0).integers(0, 8, (20, 30)).astype(np.uint8)
    gray[5:15, 5:15] = 3
    found = texture.cooccurrence_features(gray, 8, distances=(1, 2, 3))
    assert len(found) == 8 * 3 * 4 and len(set(found.values())) > 80  # each distance has values of its own
    theirs = {"energy": "ASM", "inertia": "contrast", "correlation": "correlation"}
    theirs["inverse difference moment"] = "homogeneity"
    for distance in (1, 2, 3):
        for angle in texture.ANGLES:
            p = pairs(gray, 8, distance, angle)
            at = f", distance {distance}, {angle} degrees"
            for name, prop in theirs.items():
                assert found[name + at] == pytest.approx(feature.graycoprops(p[:, :, None, None], prop)[0, 0])
            assert found["entropy" + at] == pytest.approx(scipy.stats.entropy(p.ravel(), base=2))
            sums = [np.trace(p[::-1], k) for k in range(-7, 8)]
            assert found["sum entropy" + at] == pytest.approx(scipy.stats.entropy(sums, base=2))
            assert found["sum average" + at] == pytest.approx(2 * (np.arange(8) * p.sum(axis=1)).sum())
            gaps = [np.trace(p, k) * (2 if k else 1) for k in range(8)]
            assert found["difference entropy" + at] == pytest.approx(scipy.stats.entropy(gaps, base=2))


def test_45_degrees_go_up_to_the_right_for_pairs_as_for_runs():
    gray = (np.add.outer(np.arange(9), np.arange(9)) % 4).astype(np.uint8)  # constant along that diagonal
    found = texture.cooccurrence_features(gray, 4, distances=(1, 2))
    assert [found[f"inertia, distance {d}, 45 degrees"] for d in (1, 2)] == [0, 0]
    assert found["inertia, distance 1, 135 degrees"] == pytest.approx(4)  # a step of 2 modulo 4
    assert texture.run_lengths(gray, 4, 45)[:, 1:].sum() > texture.run_lengths(gray, 4, 135)[:, 1:].sum() == 0


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
        (lambda: texture.cooccurrence_features(GALLOWAY, 4, angles=(0, 30)), r"90 or 135 degrees, found \(0, 30\)"),
    ],
)
def test_bad_input_is_named(call, reason):
    with pytest.raises(cases.MammoError, match=reason):
        call()
