import dataclasses

import numpy as np
import pytest

from mammo_tf.datasets import phantom_anatomy

FIELD_MM = (240.0, 180.0)
MUSCLE = phantom_anatomy.Muscle(upper=60.0, lower=120.0)


def breasts(number: int = 60) -> list[phantom_anatomy.Anatomy]:
    return [phantom_anatomy.anatomy(np.random.default_rng(seed), "2", FIELD_MM) for seed in range(number)]


def test_the_edge_of_a_straight_muscle_is_a_chord_and_a_bow_stands_out_in_its_middle():
    assert MUSCLE.edge(np.array([0.0, 60.0, 120.0])) == pytest.approx([60.0, 30.0, 0.0])
    bowed = dataclasses.replace(MUSCLE, bow=8.0)
    assert bowed.edge(np.array([0.0, 60.0, 120.0])) == pytest.approx([60.0, 38.0, 0.0], abs=1e-4)
    assert (bowed.edge(np.array([130.0, 200.0])) < 0).all()
    waved = dataclasses.replace(MUSCLE, wave=3.0)
    assert waved.edge(np.array([30.0, 90.0])) == pytest.approx([48.0, 12.0])


def test_muscles_bend_both_ways():
    bows = [one.mlo.muscle.bow for one in breasts()]
    assert min(bows) < -2 < 2 < max(bows)


def test_a_disc_in_the_muscle_is_not_held():
    outline = phantom_anatomy.Outline(100.0, 140.0, 140.0, 90.0, axilla=80.0, muscle=MUSCLE)
    assert outline.holds(60.0, 140.0, 8.0) and not outline.holds(20.0, 60.0, 8.0)
    assert not outline.holds(5.0, 180.0, 8.0)  # the chest wall's border
    bowed = dataclasses.replace(outline, muscle=dataclasses.replace(MUSCLE, bow=8.0))
    assert outline.holds(42.0, 60.0, 4.0) and not bowed.holds(42.0, 60.0, 4.0)


def test_the_skin_line_runs_through_the_nipple_without_a_step():
    for one in breasts():
        for outline in (one.cc, one.mlo):
            x = outline.edge(np.arange(0, 240, 0.25))
            assert outline.edge(np.array([outline.level])) == pytest.approx([outline.depth], rel=1e-4)
            assert (x >= 0).all() and x.max() < 180
            inner = (x[1:] > 30) & (x[:-1] > 30)
            assert np.abs(np.diff(x))[inner].max() < 4


def test_some_nipples_stand_out_and_some_do_not():
    grid = phantom_anatomy.Grid(600, 450, 0.4)
    heights = []
    for one in breasts(30):
        inside = phantom_anatomy.skin_distance(one.cc, grid) > 0
        heights.append(np.flatnonzero(inside.any(axis=0)).max() * 0.4 - one.cc.depth)
    assert min(heights) < 2.0 and max(heights) > 4.0


def test_distances_to_the_skin_are_those_of_geometry():
    """Behind the middle of a wide breast the nearest skin is straight ahead; the chest wall is no skin."""
    outline = phantom_anatomy.Outline(90.0, 120.0, 100.0, 100.0, power=2.0, bump=(3.0, 0.0))
    skin = phantom_anatomy.skin_distance(outline, phantom_anatomy.Grid(600, 450, 0.4))
    assert skin[300, round(80 / 0.4)] == pytest.approx(10.0, abs=0.5)
    assert skin[300, 0] == pytest.approx(90.0, abs=2.0) and skin[300, round(95 / 0.4)] == 0


def test_a_small_field_holds_a_small_breast():
    one = phantom_anatomy.anatomy(np.random.default_rng(0), "2", (120.0, 90.0))
    assert one.cc.depth < 75 and one.mlo.depth < 90 and one.cc.below < 60
