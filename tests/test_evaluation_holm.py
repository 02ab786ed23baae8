"""Holm's adjusted p-values by hand, by the slow definition, and what they keep."""

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.evaluation import holm


def test_by_hand():
    # sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, never falling
    assert holm.adjusted([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm.adjusted([0.5, 0.4]) == pytest.approx([0.8, 0.8]) and holm.adjusted([0.9, 0.7]).tolist() == [1, 1]
    assert holm.adjusted([]).shape == (0,)


def test_nan_passes_and_is_not_counted():
    found = holm.adjusted([np.nan, 0.01, 0.04, np.nan])
    assert np.isnan(found[[0, 3]]).all() and found[1:3] == pytest.approx([0.02, 0.04])
    assert np.isnan(holm.adjusted([np.nan])).all()


def rejected(p, level):
    """The step-down definition: from the smallest on, until one of m - i + 1 is too large."""
    found = np.zeros(len(p), bool)
    for i, at in enumerate(np.argsort(p, kind="stable")):
        if p[at] > level / (len(p) - i):
            break
        found[at] = True
    return found


def test_the_slow_definition_at_every_level():
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = np.round(rng.random(7) ** 3, 2)
        found = holm.adjusted(p)
        for level in (0.0137, 0.05, 0.1117, 0.31):
            np.testing.assert_array_equal(found <= level, rejected(p, level))
        assert (found >= p).all() and (found <= np.minimum(1, 7 * p)).all()


def test_a_peer():
    peer = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(1).random(30) ** 2
    assert holm.adjusted(p) == pytest.approx(peer.multipletests(p, method="holm")[1])


def test_the_chance_of_any_false_alarm_is_kept():
    rng = np.random.default_rng(2)
    alarms = [(holm.adjusted(rng.random(10)) <= 0.05).any() for _ in range(4000)]
    assert 0.035 < np.mean(alarms) < 0.062  # 1 - 0.995^10 = 0.049; without adjustment 0.40


@pytest.mark.parametrize("wrong", [[[0.1]], [0.2, 1.5], [-0.1]])
def test_what_are_no_p_values(wrong):
    with pytest.raises(cases.MammoError, match="holm"):
        holm.adjusted(wrong)


def test_within_families():
    found = holm.within([0.03, 0.01, 0.04, np.nan, 0.02], ["a", "a", "b", "b", "c"])
    assert found == pytest.approx([0.03, 0.02, 0.04, np.nan, 0.02], nan_ok=True)
    assert holm.within([], []).shape == (0,)
