import math

import numpy as np
import pytest
from scipy import stats

from mammo_tf.evaluation import auc_bounds, delong, mover


def normal(values, errors):
    """z -> normal bounds of both."""

    def bounds(z):
        return [(v - z * e, v + z * e) for v, e in zip(values, errors, strict=True)]

    return bounds


def test_by_hand():
    low, high = mover.difference((0.9, 0.7), [(0.87, 0.93), (0.66, 0.74)], 0.0)
    assert (low, high) == pytest.approx((0.15, 0.25))  # 3-4-5
    low, high = mover.difference((0.9, 0.7), [(0.85, 0.92), (0.66, 0.82)], 0.0)
    assert (low, high) == pytest.approx((0.2 - 0.13, 0.2 + math.hypot(0.02, 0.04)))  # 5-12-13


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.7, 1.0])
def test_normal_bounds_give_the_normal_difference_and_its_test(correlation):
    values, errors = (0.8, 0.7), (0.03, 0.05)
    se = math.sqrt(0.03**2 + 0.05**2 - 2 * correlation * 0.03 * 0.05)
    found = mover.difference(values, normal(values, errors)(1.96), correlation)
    assert found == pytest.approx((0.1 - 1.96 * se, 0.1 + 1.96 * se))
    p = mover.p_value(values, normal(values, errors), correlation)
    assert p == pytest.approx(2 * stats.norm.sf(0.1 / se), rel=1e-4)
    swapped = mover.p_value(values[::-1], normal(values[::-1], errors[::-1]), correlation)
    assert swapped == pytest.approx(p, rel=1e-4)


def test_ends():
    assert mover.p_value((0.5, 0.5), normal((0.5, 0.5), (0.1, 0.1)), 0.0) == 1
    assert math.isnan(mover.p_value((math.nan, 0.5), normal((0, 0), (1, 1)), 0.0))
    assert mover.p_value((0.9, 0.1), normal((0.9, 0.1), (1e-9, 1e-9)), 0.0) < 1e-300
    assert mover.p_value((0.5, 0.5 + 1e-9), normal((0.5, 0.5), (0.1, 0.1)), 0.0) == 1


def test_a_perfect_ranking_against_another_has_a_p():
    labels, index = np.repeat([0, 1], 20), np.arange(40)
    best = delong.influence([(labels, index.astype(float), index)], 40)
    other = delong.influence([(labels, (index * 7 % 40).astype(float), index)], 40)
    p = auc_bounds.p_of_difference(best, other)
    assert 0 < p < 1e-3 and p == pytest.approx(auc_bounds.p_of_difference(other, best))
