"""`differences`: the marks of pairs, gaps and proportions; the numbers are tested where they are used."""

import math

import numpy as np
import pytest

from mammo_tf.evaluation import coverage, delong, differences, marks, wilson


def ratio(rng, rate, patients=40, views=2, first=0, union=80):
    index = np.arange(patients).repeat(views) + first
    right = (rng.random(len(index)) < rate).astype(float)
    return wilson.ratios([(right, np.ones(len(right)), index)], union)


def influence(rng, better, patients=40, first=0, union=80):
    labels = np.arange(patients) % 2
    return delong.influence(
        [(labels, better * labels + rng.normal(size=patients), np.arange(patients) + first)], union
    )


def test_proportions_of_the_same_patients_are_marked_by_their_own_cells():
    rng = np.random.default_rng(0)
    one, other = ratio(rng, 0.9), ratio(rng, 0.7)
    found = differences.proportions(one, other, 80, 40)
    value = one.value - other.value
    assert (found.value, found.low, found.high) == pytest.approx((value, *wilson.bounds_of_difference(one, other)))
    expected = coverage.mark("accuracy_difference", (one.value, other.value), 40, max(one.most, other.most))
    assert found.method == f"paired, {differences.PROPORTION_METHOD}{expected}"


def test_proportions_of_other_patients_are_marked_by_each():
    rng = np.random.default_rng(1)
    one, other = ratio(rng, 0.97), ratio(rng, 0.9, patients=8, first=40)
    found = differences.proportions(one, other, 96, 48, "unpaired")
    each = [marks.of_ratio(some) for some in (one, other)]
    assert each[1] == "; few patients (8)" and found.method.endswith("".join(dict.fromkeys(each)))
    (low, _), (_, high) = wilson.bounds(one), wilson.bounds(other)
    below = math.hypot(one.value - low, high - other.value)  # MOVER without correlation
    assert found.low == pytest.approx(one.value - other.value - below)


def test_equal_answers_and_none():
    same = ratio(np.random.default_rng(2), 0.8)
    found = differences.proportions(same, same, 80, 40)
    assert (found.value, found.low, found.high) == (0, 0, 0) and found.method.endswith("all patients differ alike")
    assert wilson.p_of_difference(same, same) == 1
    empty = wilson.ratios([(np.zeros(0), np.zeros(0), np.zeros(0, int))], 80)
    undefined = differences.proportions(same, empty, 80, 40)
    assert math.isnan(undefined.value) and undefined.method == "undefined for these answers"
    assert math.isnan(wilson.p_of_difference(same, empty))


@pytest.mark.parametrize(("pairing", "first", "kind"), [("paired", 0, "difference"), ("unpaired", 40, "gap")])
def test_aucs_are_marked_by_the_cells_of_pairs_or_of_gaps(pairing, first, kind):
    rng = np.random.default_rng(3)
    one, other = influence(rng, 3), influence(rng, 1.5, first=first)
    found = differences.aucs(one, other, 80, 80, pairing)
    expected = coverage.mark(kind, (one.value, other.value), 20, 1.0)
    assert found.method == f"{pairing}, {differences.AUC_METHOD}{expected}"
