"""Crops, windows and their normalisation, on images made by hand and on published ones."""

import dataclasses
import os
import pathlib
import pickle

import cv2
import numpy as np
import pytest
import scipy.ndimage

from mammo_tf import cases, describe
from mammo_tf.pipeline import nyu_crop
from mammo_tf.pipeline.nyu_crop import Box, Preparation

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
SMALL = Preparation(cc=(30, 20), mlo=(40, 16), erosion=3, margin=2, jitter=4)


def view(pixels, side=cases.Side.LEFT, projection=cases.Projection.CC):
    return cases.View("v", "p", side, projection, lambda: pixels, 4095, path="v.png")


def film(height=80, width=60):
    """A breast (brighter downwards) at the left edge, a label, and dust joined to the breast by a thread."""
    pixels = np.zeros((height, width), np.uint16)
    y, x = np.mgrid[:height, :width]
    pixels[(y - 40) ** 2 + x**2 < 25**2] = 1000
    pixels += np.where(pixels > 0, 10 * y, 0).astype(np.uint16)
    pixels[3:12, 40:55] = 4000  # the label
    pixels[40, 25:57] = 50  # the thread
    pixels[37:42, 55:59] = 60  # the dust
    return pixels


def by_scipy(pixels, erosion):
    """The rule step by step."""
    eroded = scipy.ndimage.binary_erosion(pixels > 0, iterations=erosion) if erosion else pixels > 0
    parts, count = scipy.ndimage.label(eroded)
    largest = parts == 1 + np.argmax([(parts == n).sum() for n in range(1, count + 1)])
    return scipy.ndimage.binary_dilation(largest, iterations=erosion) if erosion else largest


@pytest.mark.parametrize("erosion", [0, 1, 3, 8])
def test_the_mask_is_that_of_the_rule_step_by_step(erosion):
    found = nyu_crop.breast_mask(film(), erosion=erosion)
    np.testing.assert_array_equal(found, by_scipy(film(), erosion))
    assert found[40, 10] and not found[5, 45]
    assert found[40, 50] == (erosion == 0)  # the thread falls off


@pytest.mark.parametrize("seed", range(5))
def test_the_mask_is_that_of_the_rule_on_drawn_images(seed):
    drawn = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(70, 50)), 4)
    pixels = np.where(drawn > -0.02, 100, 0).astype(np.uint8)
    np.testing.assert_array_equal(nyu_crop.breast_mask(pixels, erosion=2), by_scipy(pixels, 2))


def test_the_box_holds_the_breast_and_a_margin_within_the_image():
    breast = by_scipy(film(), 3)
    rows, columns = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
    assert (columns[0], rows[0], rows[-1]) == (0, 16, 64)
    found = nyu_crop.breast_box(film(), erosion=3, margin=2)
    assert found == Box(14, 0, 67, columns[-1] + 1 + 2) and found.shape == (53, columns[-1] + 3)
    assert nyu_crop.breast_box(film(), erosion=3, margin=500) == Box(0, 0, 80, 60)


def test_nothing_left_is_told_with_both_sides_of_the_mismatch():
    with pytest.raises(cases.MammoError, match=r"nothing is left of 4800 pixels above 0 of \(80, 60\) eroded by 100"):
        nyu_crop.breast_mask(np.ones((80, 60), np.uint8), erosion=100)
    with pytest.raises(cases.DataError, match=r"v\.png: nothing is left of 0 pixels"):
        SMALL.crop(view(np.zeros((80, 60), np.uint8)))


def test_right_breasts_are_mirrored_and_left_ones_are_not():
    left = SMALL.crop(view(film()))
    np.testing.assert_array_equal(left, film()[14:67, : left.shape[1]])
    right = SMALL.crop(view(film()[:, ::-1], cases.Side.RIGHT))
    np.testing.assert_array_equal(left, right)
    assert left.dtype == np.uint16 and (left[:, 0] > 0).sum() > (left[:, -1] > 0).sum()
    np.testing.assert_array_equal(SMALL(view(film())), SMALL(view(film()[:, ::-1], cases.Side.RIGHT)))


def test_sides_and_projections_that_do_not_tell_are_refused():
    with pytest.raises(cases.DataError, match=r"v\.png: the side of the breast is not known"):
        SMALL(view(film(), side=None))
    for ask in (SMALL, lambda v: SMALL.windows(v, seed=0)):
        with pytest.raises(cases.DataError, match=r"v\.png: a CC or an MLO view is needed, found OTHER"):
            ask(view(film(), projection=cases.Projection.OTHER))


def test_windows_have_the_native_sizes_and_scale_with_the_pixels():
    assert Preparation().size(view(film())) == (2677, 1942)
    assert Preparation().size(view(film(), projection=cases.Projection.MLO)) == (2974, 1748)
    tenth = Preparation().scaled(0.1)
    assert (tenth.cc, tenth.mlo) == ((268, 194), (297, 175))
    assert (tenth.erosion, tenth.margin, tenth.jitter, tenth.count) == (10, 5, 10, 10)


def most_by_hand(crop, size):
    (height, width), (rows, columns) = crop.shape, size
    return max(
        (crop[top : top + rows, left : left + columns] > 0).sum()
        for top in range(max(1, height - rows + 1))
        for left in range(max(1, width - columns + 1))
    )


@pytest.mark.parametrize("size", [(20, 15), (53, 10), (12, 40), (60, 40), (53, 28)])
def test_the_best_window_holds_most_of_the_breast(size):
    crop = SMALL.crop(view(film()))
    box = nyu_crop.best_window(crop, size)
    assert box.shape == size
    assert (nyu_crop.cut(crop, box) > 0).sum() == most_by_hand(crop, size)
    for start, length, whole in ((box.top, size[0], crop.shape[0]), (box.left, size[1], crop.shape[1])):
        assert min(0, whole - length) <= start <= max(0, whole - length)


def test_of_several_best_windows_the_middle_one_is_taken():
    assert nyu_crop.best_window(np.ones((9, 8)), (5, 4)) == Box(2, 2, 7, 6)
    spot = np.zeros((11, 9))
    spot[5, 4] = 1
    assert nyu_crop.best_window(spot, (3, 3)) == Box(4, 3, 7, 6)


def test_a_smaller_crop_stands_in_the_middle_of_the_rows_and_at_the_chest_wall():
    assert nyu_crop.best_window(np.ones((4, 3)), (10, 8)) == Box(-3, 0, 7, 8)


def test_what_overhangs_is_zero():
    crop = np.arange(1.0, 7).reshape(2, 3).astype(np.uint8)
    found = nyu_crop.cut(crop, Box(-1, 1, 3, 5))
    assert found.tolist() == [[0, 0, 0, 0], [2, 3, 0, 0], [5, 6, 0, 0], [0, 0, 0, 0]] and found.dtype == np.float32
    assert nyu_crop.cut(crop, Box(1, -1, 2, 2)).tolist() == [[0, 4, 5]]
    for beside in (Box(5, 0, 7, 2), Box(-4, 0, -2, 2), Box(0, 3, 2, 5), Box(0, -2, 2, 0)):
        assert nyu_crop.cut(crop, beside).tolist() == [[0, 0], [0, 0]]


def test_windows_move_and_change_size_by_up_to_the_jitter():
    box, most, shape = Box(500, 400, 1000, 700), 100, (2000, 2000)
    drawn = [nyu_crop.jittered(box, shape, most, seed=3, number=n) for n in range(400)]
    heights = np.array([b.shape[0] for b in drawn])
    assert heights.min() < 410 and heights.max() > 590 and abs(heights - 500).max() <= most
    assert all(b.shape[1] == round(300 * b.shape[0] / 500) for b in drawn)
    for axis, centre in (("top bottom", 750), ("left right", 550)):
        moved = np.array([sum(getattr(b, edge) for edge in axis.split()) / 2 for b in drawn]) - centre
        assert moved.min() < -90 and moved.max() > 90 and abs(moved).max() <= most + 0.5
        assert abs(moved.mean()) < 12 and abs(np.corrcoef(moved, heights)[0, 1]) < 0.15


def test_jittered_windows_stay_in_a_larger_crop_and_round_a_smaller_one():
    for shape in ((520, 305), (500, 300), (460, 280), (300, 100), (600, 200)):
        for n in range(50):
            b = nyu_crop.jittered(nyu_crop.best_window(np.ones(shape), (500, 300)), shape, 60, seed=0, number=n)
            for start, length, whole in ((b.top, b.shape[0], shape[0]), (b.left, b.shape[1], shape[1])):
                inside = start >= 0 and start + length <= whole
                holds = start <= 0 and start + length >= whole
                assert inside or holds


def test_without_jitter_a_window_is_the_best_one():
    still = dataclasses.replace(SMALL, jitter=0, count=2)
    windows = still.windows(view(film()), seed=1)
    np.testing.assert_array_equal(windows, np.stack([SMALL(view(film()))] * 2))
    with pytest.raises(cases.MammoError, match="windows of 30 rows cannot be jittered by 30 pixels"):
        dataclasses.replace(SMALL, jitter=30).windows(view(film()), seed=1)


def test_ten_windows_of_one_size_are_drawn_from_the_seed():
    windows = SMALL.windows(view(film()), seed=5)
    assert windows.shape == (10, 30, 20, 1) and windows.dtype == np.float32
    np.testing.assert_allclose(windows.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(windows.std(axis=(1, 2, 3)), 1, atol=1e-5)
    assert len({window.tobytes() for window in windows}) > 5  # pushed back into the crop some coincide
    np.testing.assert_array_equal(windows, SMALL.windows(view(film()), seed=5))
    assert not np.array_equal(windows, SMALL.windows(view(film()), seed=6))
    first = dataclasses.replace(SMALL, count=3).windows(view(film()), seed=5)
    np.testing.assert_array_equal(first, windows[:3])
    assert SMALL.windows(view(film(), projection=cases.Projection.MLO), seed=5).shape == (10, 40, 16, 1)


def test_z_scores_are_of_the_whole_window_and_a_constant_one_gives_zeros():
    x = np.array([[0, 0], [0, 4]], np.float32)
    np.testing.assert_allclose(nyu_crop.z_score(x), [[-(3**-0.5)] * 2, [-(3**-0.5), 3**0.5]], rtol=1e-6)
    assert nyu_crop.z_score(np.full((3, 3), 7, np.float32)).tolist() == [[0] * 3] * 3
    faint = np.array([[0, 2e-6]], np.float32)
    np.testing.assert_allclose(nyu_crop.z_score(faint), [[-0.1, 0.1]], rtol=1e-4)  # over 1e-5, not over 1e-6


def test_brightness_and_contrast_fall_out_where_nothing_overhangs():
    crop = film()[14:67, :28].astype(np.float32)
    box = nyu_crop.best_window(crop, (30, 20))
    one, other = (nyu_crop.z_score(nyu_crop.cut(x, box)) for x in (crop, 3 * crop + 5))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_preparation_can_be_described_and_pickled():
    assert pickle.loads(pickle.dumps(SMALL)) == SMALL
    assert describe.digest(SMALL) != describe.digest(dataclasses.replace(SMALL, margin=3))


def real_view(name, side):
    pixels = cv2.imread(str(pathlib.Path(REAL) / "nyu" / name), cv2.IMREAD_UNCHANGED)
    return view(pixels, side)


@needs_real
@pytest.mark.parametrize("name, side", [("1_L_CC.png", cases.Side.LEFT), ("1_R_CC.png", cases.Side.RIGHT)])
def test_published_images_are_cut_and_face_right(name, side):
    seen = real_view(name, side)
    pixels = seen.pixels()
    box = nyu_crop.breast_box(pixels, erosion=100, margin=50)
    crop = Preparation().crop(seen)
    assert crop.shape == box.shape and box.shape < pixels.shape
    assert (box.left if side == cases.Side.LEFT else pixels.shape[1] - box.right) == 0  # the chest wall
    assert (pixels[box.top : box.bottom, box.left : box.right] > 0).sum() > 0.98 * (pixels > 0).sum()  # markers aside
    shares = (crop > 0).mean(axis=0)
    assert shares[: len(shares) // 4].mean() > 0.8 and shares[-50:].max() < 0.1
    small = cv2.resize((pixels > 0).astype(np.uint8), None, fx=1 / 4, fy=1 / 4, interpolation=cv2.INTER_NEAREST)
    rows, columns = (np.flatnonzero(by_scipy(small, 25).any(axis=axis))[[0, -1]] for axis in (1, 0))
    expected = np.array([4 * rows[0] - 50, 4 * rows[1] + 54, 4 * columns[0] - 50, 4 * columns[1] + 54])
    expected = expected.clip(0, np.repeat(pixels.shape, 2))
    assert np.abs(expected - [box.top, box.bottom, box.left, box.right]).max() <= 12
    image = Preparation()(seen)
    assert image.shape == (2677, 1942, 1) and image.dtype == np.float32
    assert abs(image.mean()) < 1e-4 and image.std() == pytest.approx(1, abs=1e-4)


def test_a_windowed_view_is_its_best_window_and_cut_once():
    made = []
    pixels = film()

    def load():
        made.append(1)
        return pixels

    whole = dataclasses.replace(view(pixels), load=load, id="once", spacing_mm=None)
    seen = nyu_crop.windowed(whole, "fingerprint-a", SMALL)
    expected = nyu_crop.cut(SMALL.crop(view(pixels)), nyu_crop.best_window(SMALL.crop(view(pixels)), SMALL.cc))
    for _ in range(3):
        np.testing.assert_array_equal(seen.pixels(), expected)
    assert len(made) == 1 and seen.pixels().dtype == pixels.dtype and seen.shape == SMALL.cc
    assert seen.lesions == () and (seen.id, seen.max_value, seen.path) == (whole.id, 4095, "v.png")
    nyu_crop.windowed(whole, "fingerprint-b", SMALL).pixels()
    assert len(made) == 2  # another dataset's film of the same name


def test_windows_follow_the_size_of_the_pixels():
    """A film of pixels twice as wide as native ones is cut to half as many, and a right breast is mirrored."""
    wide = dataclasses.replace(view(film()), spacing_mm=2 * nyu_crop.NATIVE_MM, id="wide")
    found = nyu_crop.windowed(wide, "f", SMALL)
    assert found.shape == (15, 10)
    turned = dataclasses.replace(
        view(film()[:, ::-1], side=cases.Side.RIGHT), spacing_mm=2 * nyu_crop.NATIVE_MM, id="turned"
    )
    np.testing.assert_array_equal(nyu_crop.windowed(turned, "f", SMALL).pixels(), found.pixels())


def test_a_view_that_cannot_be_windowed_says_why_when_it_is_read():
    found = nyu_crop.windowed(dataclasses.replace(view(film(), side=None), id="nobody"), "f", SMALL)
    with pytest.raises(cases.DataError, match="the side of the breast is not known"):
        found.pixels()


@pytest.mark.parametrize("side", list(cases.Side))
def test_heatmaps_are_cut_and_turned_with_the_image_and_keep_their_values(side):
    pixels = film()[:, ::-1] if side == cases.Side.RIGHT else film()
    seen = view(pixels, side=side)
    heat = pixels.astype(np.float32) / 4095
    windows = dataclasses.replace(SMALL, jitter=0).windows(seen, seed=0, heatmaps=(heat, 2 * heat))
    best = nyu_crop.cut(SMALL.crop(seen), nyu_crop.best_window(SMALL.crop(seen), SMALL.cc))
    assert windows.shape == (10, 30, 20, 3)
    np.testing.assert_allclose(windows[3, ..., 1], best / 4095, rtol=1e-6)
    np.testing.assert_allclose(windows[3, ..., 2], 2 * windows[3, ..., 1], rtol=1e-6)
    np.testing.assert_array_equal(windows[..., :1], dataclasses.replace(SMALL, jitter=0).windows(seen, seed=0))
    box = nyu_crop.breast_box(pixels, erosion=SMALL.erosion, margin=SMALL.margin)
    of_crop = heat[box.top : box.bottom, box.left : box.right]
    jittered = SMALL.windows(seen, seed=1, heatmaps=(of_crop,))
    np.testing.assert_array_equal(jittered[..., 1], SMALL.windows(seen, seed=1, heatmaps=(heat,))[..., 1])
    with pytest.raises(cases.DataError, match=r"its heatmap is \(3, 4\)"):
        SMALL.windows(seen, seed=1, heatmaps=(np.zeros((3, 4), np.float32),))
