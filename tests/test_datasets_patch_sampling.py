import dataclasses

import cv2
import numpy as np
import pytest

from mammo_tf import cases, describe
from mammo_tf.datasets import patch_sampling

SHAPE = (120, 90)
PATCH = 22


def roi(top, left, bottom, right, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def ellipse(row, column, a, b, shape=SHAPE):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - row) / a) ** 2 + ((columns - column) / b) ** 2 <= 1


def inside(mask, corner, patch=PATCH):
    """Pixels of a mask in a patch, counted one by one."""
    rows, columns = np.nonzero(mask)
    at = (
        (rows >= corner.top)
        & (rows < corner.top + patch)
        & (columns >= corner.left)
        & (columns < corner.left + patch)
    )
    return int(at.sum())


def test_the_presets_are_those_of_the_paper_and_of_its_code():
    paper, code = patch_sampling.PAPER_S10, patch_sampling.CODE_S10
    assert (paper.per_roi, paper.min_overlap, paper.background_once) == (10, 0.9, False)
    assert (code.per_roi, code.min_overlap, code.background_overlap, code.background_once) == (10, 0.75, 0.35, True)
    assert (code.relax, code.misses) == (0.05, 1000)
    for preset in (patch_sampling.PAPER_S1, patch_sampling.CODE_S1):
        assert preset.centred and preset.per_roi == 1 and preset.name == "s1"
    assert paper.min_breast == code.min_breast == 0  # empty air included


def test_a_preset_counts_in_a_hash():
    presets = (patch_sampling.PAPER_S1, patch_sampling.PAPER_S10, patch_sampling.CODE_S1, patch_sampling.CODE_S10)
    assert len({describe.digest(preset) for preset in presets}) == 4
    assert describe.digest(dataclasses.replace(presets[1], ratio=patch_sampling.over_roi)) != describe.digest(
        presets[1]
    )


def test_over_smaller_is_the_rule_of_the_code():
    """overlap / ROI > cut or overlap / patch > cut, for every overlap there can be."""
    patch = 100
    for area in (30, 100, 400):
        overlap = np.arange(min(area, patch) + 1)
        for cut in (0.75, 0.9):
            either = (overlap / area > cut) | (overlap / patch > cut)
            assert np.array_equal(patch_sampling.over_smaller(overlap, area, patch) > cut, either)
    assert patch_sampling.over_roi(50, 400, 100) == 0.125 and patch_sampling.over_smaller(50, 400, 100) == 0.5


def test_overlaps_are_those_of_masks_also_over_the_border():
    rng = np.random.default_rng(0)
    mask = rng.random(SHAPE) < 0.3
    tops, lefts = rng.integers(-40, 130, 200), rng.integers(-40, 100, 200)
    found = patch_sampling.overlaps(cv2.integral(mask.astype(np.uint8)), tops, lefts, PATCH)
    corners = [patch_sampling.Corner(top, left) for top, left in zip(tops, lefts, strict=True)]
    assert found.tolist() == [inside(mask, corner) for corner in corners]


def test_a_centred_patch_lies_on_the_middle_of_the_largest_part():
    mask = roi(40, 30, 60, 50) | roi(0, 0, 5, 5)
    assert patch_sampling.largest_box(mask) == (40, 30, 60, 50)
    (corner,) = patch_sampling.positives(mask, patch_sampling.PAPER_S1, PATCH, np.random.default_rng(0))
    assert (corner.top, corner.left) == (50 - 11, 40 - 11)


def test_diagonal_neighbours_are_one_part():
    mask = roi(10, 10, 12, 12) | roi(12, 12, 14, 14) | roi(50, 50, 52, 53)
    assert patch_sampling.largest_box(mask) == (10, 10, 14, 14)


@pytest.mark.parametrize("mask", [ellipse(60, 40, 7, 5), ellipse(60, 40, 30, 25), ellipse(5, 85, 9, 9)])
@pytest.mark.parametrize("preset", [patch_sampling.PAPER_S10, patch_sampling.CODE_S10])
def test_positives_overlap_enough_and_centre_in_the_box(mask, preset):
    corners = patch_sampling.positives(mask, preset, PATCH, np.random.default_rng(1))
    assert len(corners) == 10 and len(set(corners)) > 1
    top, left, bottom, right = patch_sampling.largest_box(mask)
    for corner in corners:
        ratio = inside(mask, corner) / min(mask.sum(), PATCH**2)
        assert ratio >= preset.min_overlap - preset.relax * corner.eased - 1e-9
        assert top <= corner.top + 11 < bottom and left <= corner.left + 11 < right
    if mask.sum() < 150:
        assert not any(corner.eased for corner in corners)


def test_the_rules_ease_by_a_step_after_so_many_misses():
    """A 44 x 11 ROI in 22 x 22 patches: half of either area at the most, so 0.9 needs eight steps down to 0.5."""
    mask = roi(20, 20, 64, 31)
    rule = dataclasses.replace(patch_sampling.PAPER_S10, misses=50)
    corners = patch_sampling.positives(mask, rule, PATCH, np.random.default_rng(0))
    assert {corner.eased for corner in corners} == {8}
    assert all(inside(mask, corner) / mask.sum() >= 0.5 for corner in corners)
    code = dataclasses.replace(patch_sampling.CODE_S10, misses=50)
    assert {c.eased for c in patch_sampling.positives(mask, code, PATCH, np.random.default_rng(0))} == {5}


def test_over_roi_eases_for_rois_above_a_patch():
    rule = dataclasses.replace(patch_sampling.PAPER_S10, ratio=patch_sampling.over_roi, misses=20)
    mask = roi(20, 20, 64, 64)  # four patches large: a quarter of it at the most
    hard = patch_sampling.positives(mask, rule, PATCH, np.random.default_rng(0))
    assert min(corner.eased for corner in hard) == 13
    easy = patch_sampling.positives(mask, patch_sampling.PAPER_S10, PATCH, np.random.default_rng(0))
    assert {corner.eased for corner in easy} == {0}


def test_background_stays_away_from_every_roi():
    rois = [ellipse(40, 30, 20, 15), ellipse(90, 70, 10, 6)]
    scene = patch_sampling.Scene(SHAPE, rois)
    for preset in (patch_sampling.PAPER_S10, patch_sampling.CODE_S10):
        corners = patch_sampling.background(scene, 60, preset, PATCH, np.random.default_rng(3))
        assert len(corners) == 60 and not any(corner.eased for corner in corners)
        for mask in rois:
            ratios = [inside(mask, corner) / min(mask.sum(), PATCH**2) for corner in corners]
            assert max(ratios) <= preset.background_overlap
        assert (max(ratios) > 0) == (preset is patch_sampling.CODE_S10)


def test_background_centres_anywhere_in_the_image_and_overhangs_by_half_a_patch():
    corners = patch_sampling.background(
        patch_sampling.Scene(SHAPE, []), 3000, patch_sampling.CODE_S10, PATCH, np.random.default_rng(0)
    )
    rows, columns = [c.top + 11 for c in corners], [c.left + 11 for c in corners]
    assert (min(rows), max(rows), min(columns), max(columns)) == (0, 119, 0, 89)


def test_background_ends_where_there_is_no_room():
    rule = dataclasses.replace(patch_sampling.PAPER_S10, misses=10)
    scene = patch_sampling.Scene(SHAPE, [np.ones(SHAPE, bool)])
    corners = patch_sampling.background(scene, 4, rule, PATCH, np.random.default_rng(0))
    assert len(corners) == 4 and min(corner.eased for corner in corners) >= 5  # a corner of the image: a quarter


def test_background_without_air_shows_the_breast():
    breast = roi(0, 0, 120, 45)
    rule = dataclasses.replace(patch_sampling.PAPER_S10, min_breast=0.5)
    scene = patch_sampling.Scene(SHAPE, [], breast)
    corners = patch_sampling.background(scene, 50, rule, PATCH, np.random.default_rng(0))
    assert min(inside(breast, corner) for corner in corners) >= PATCH**2 / 2


def test_the_breast_is_the_largest_bright_part():
    pixels = np.zeros((480, 360), np.uint16)
    pixels[40:440, :180] = 9000
    pixels[40:440, 180:200] = 3500  # skin, darker than what is within
    pixels[10:30, 300:350] = 65535  # a marker
    found = patch_sampling.breast_mask(pixels, 240, 180)
    expected = np.zeros((240, 180), bool)
    expected[20:220, :96] = True
    assert (found != expected).mean() < 0.05 and not found[:18, 140:].any()
    assert not patch_sampling.breast_mask(np.zeros((50, 50), np.uint8), 32, 32).any()


@pytest.mark.parametrize(
    "options",
    [
        {"min_overlap": 1.1},
        {"background_overlap": -0.1},
        {"min_breast": 2},
        {"relax": 0},
        {"per_roi": 0},
        {"misses": 0},
        {"centred": True},
    ],
)
def test_rules_outside_their_ranges_are_refused(options):
    with pytest.raises(cases.MammoError, match="patches: "):
        dataclasses.replace(patch_sampling.PAPER_S10, **options)
