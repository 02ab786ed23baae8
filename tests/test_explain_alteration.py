"""The alteration and its way back: by hand on quarter turns, against scipy, and the dot-product test."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from mammo_tf import cases
from mammo_tf.explain import alteration

SHAPE = (13, 10)


def drawn(shape=SHAPE, planes=1, seed=0, iteration=0, step_deg=1, **settings):
    return alteration.draw(
        alteration.Alteration(**settings), shape, planes=planes, seed=seed, iteration=iteration, step_deg=step_deg
    )


def turned(angle, shape=SHAPE):
    """The warp by one angle, without flips."""
    draw = drawn(shape, rotate_deg=(angle, angle), flip_horizontal=False, flip_vertical=False)
    return draw, alteration.places(tf.constant(draw.turn), shape)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def scipy_warp(image, turn):
    centre = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(image, turn, centre - turn @ centre, order=1, mode="grid-constant")


@pytest.mark.parametrize("shape", [SHAPE, (24, 24)])
@pytest.mark.parametrize("angles", [(0, 0), (1, 1), (45, 45), (90, 90), (137, 137), (-30, -30), (0, 359)])
def test_the_way_back_is_the_transpose_of_the_alteration(angles, shape):
    for iteration in range(4):
        draw = drawn(shape, planes=3, iteration=iteration, rotate_deg=angles, boxes=(0, 3))
        places, kept = alteration.places(tf.constant(draw.turn), shape), alteration.kept(draw.boxes, shape).numpy()
        x, y = noise(3, *shape), noise(3, *shape, seed=1)
        there = np.where(kept, alteration.warp(tf.constant(x), places), 0).astype(float)
        back = alteration.transpose(tf.constant(np.where(kept, y, 0)), places).numpy().astype(float)
        for i in range(3):  # each image by itself: none leaks into its neighbour
            size = np.linalg.norm(there[i]) * np.linalg.norm(y[i])
            assert abs((there[i] * y[i]).sum() - (x[i] * back[i]).sum()) <= 1e-5 * size


@pytest.mark.parametrize("angle", [7, 45, 90, 201])
def test_the_warp_is_that_of_scipy(angle):
    draw, places = turned(angle)
    image = noise(*SHAPE)
    found = alteration.warp(tf.constant(image[None]), places).numpy()[0]
    np.testing.assert_allclose(found, scipy_warp(image, draw.turn[0].astype(float)), atol=1e-5)


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_quarter_turns_are_permutations_that_can_be_undone(quarter, side):
    image = noise(1, side, side)
    _, places = turned(90 * quarter, (side, side))
    there = alteration.warp(tf.constant(image), places)
    assert there.numpy()[0].tobytes() == np.rot90(image[0], quarter).tobytes()
    assert alteration.transpose(there, places).numpy().tobytes() == image.tobytes()


def test_the_image_is_flipped_before_it_turns():
    image = noise(1, 6, 6)
    seen = set()
    for iteration in range(40):
        draw = drawn((6, 6), iteration=iteration, rotate_deg=(90, 90))
        found = alteration.warp(tf.constant(image), alteration.places(tf.constant(draw.turn), (6, 6))).numpy()[0]
        forms = {(v, h): np.rot90(image[0][:: 1 - 2 * v, :: 1 - 2 * h]) for v in (0, 1) for h in (0, 1)}
        seen |= {key for key, form in forms.items() if np.array_equal(found, form)}
    assert len(seen) == 4  # every combination of the two coins
    plain = {"flip_vertical": False, "rotate_deg": (0, 0)}
    turns = [drawn(iteration=i, **plain).turn[0].tolist() for i in range(40)]
    assert {str(turn) for turn in turns} == {"[[1.0, 0.0], [0.0, 1.0]]", "[[1.0, 0.0], [0.0, -1.0]]"}


def test_boxes_by_hand():
    boxes = tf.constant([[[1, 0, 3, 2], [0, 0, 0, 0]], [[0, 3, 1, 4], [2, 3, 3, 4]]])
    kept = alteration.kept(boxes, (3, 4)).numpy().astype(int)
    assert kept[0].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert kept[1].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0]]
    assert alteration.kept(tf.zeros((2, 0, 4), tf.int32), (3, 4)).numpy().all()


def test_draws_keep_to_their_ranges_and_reach_the_ends():
    draws = [drawn((20, 40), iteration=i, rotate_deg=(-2, 2), boxes=(0, 2), box_side=(0.1, 0.5)) for i in range(300)]
    boxes = np.concatenate([draw.boxes for draw in draws])
    sides = (boxes[..., 2:] - boxes[..., :2])[boxes[..., 2] > 0]
    assert sides.min(axis=0).tolist() == [2, 4] and sides.max(axis=0).tolist() == [10, 20]
    assert boxes.min() == 0 and boxes[..., 2].max() == 20 and boxes[..., 3].max() == 40
    counts = np.bincount((boxes[..., 2] > 0).sum(axis=1), minlength=3)
    assert counts.min() > 70 and counts.sum() == 300
    angles = [
        np.degrees(np.arcsin(draw.turn[0, 0, 1] * draw.turn[0, 0, 0] / abs(draw.turn[0, 0, 0]))) for draw in draws
    ]
    assert sorted({round(float(angle), 3) for angle in angles}) == [-2, -1, 0, 1, 2]


def test_a_draw_hangs_on_seed_iteration_and_place_alone():
    draw, more = drawn(planes=2, iteration=3), drawn(planes=3, iteration=3)
    assert np.array_equal(draw.turn, more.turn[:2]) and np.array_equal(draw.boxes, more.boxes[:2])
    assert not np.array_equal(draw.turn[0], draw.turn[1])
    assert not np.array_equal(draw.boxes, drawn(planes=2, iteration=4).boxes)
    assert not np.array_equal(draw.boxes, drawn(planes=2, iteration=3, seed=1).boxes)
    fixed = drawn(planes=2, iteration=3, flip_horizontal=False, rotate_deg=(0, 0))
    assert np.array_equal(draw.boxes, fixed.boxes)  # what is switched off leaves the other draws alone


def test_without_anything_to_draw_nothing_happens():
    draw = alteration.draw(alteration.NONE, SHAPE, planes=2, seed=0, iteration=9)
    assert draw.turn.tolist() == [np.eye(2).tolist()] * 2 and draw.boxes.shape == (2, 0, 4)
    image = noise(2, *SHAPE)
    places = alteration.places(tf.constant(draw.turn), SHAPE)
    assert np.array_equal(alteration.warp(tf.constant(image), places), image)


def test_steps_of_ninety_degrees_are_quarter_turns_within_the_range():
    turns = [drawn(iteration=i, step_deg=90, rotate_deg=(-100, 100)).turn[0] for i in range(40)]
    assert {abs(turn[0, 0]) for turn in turns} == {0, 1}
    with pytest.raises(cases.MammoError, match="no multiple of 90 degrees in rotate_deg 10 to 80"):
        drawn(step_deg=90, rotate_deg=(10, 80))


@pytest.mark.parametrize("wrong", [{"rotate_deg": (5, 1)}, {"boxes": (-1, 2)}, {"box_side": (0.5, 1.5)}])
def test_impossible_ranges_are_refused(wrong):
    with pytest.raises(cases.MammoError, match=f"{next(iter(wrong))} must ascend within"):
        alteration.Alteration(**wrong)
