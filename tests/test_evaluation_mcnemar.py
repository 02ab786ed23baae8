"""McNemar's tests: by hand, by scipy, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from mammo_tf import cases
from mammo_tf.evaluation import mcnemar


def test_mcnemar_by_hand():
    # 1 against 5: P(X <= 1) = 7/64, twice that; mid-p less P(X = 1) = 6/64
    assert mcnemar.plain(1, 5) == pytest.approx(14 / 64)
    assert mcnemar.plain(5, 1, mid=True) == pytest.approx(8 / 64)
    assert mcnemar.plain(2, 2) == 1 and mcnemar.plain(2, 2, mid=True) == pytest.approx(1 - 6 / 32)
    assert mcnemar.plain(0, 0) == mcnemar.plain(0, 0, mid=True) == 1
    with pytest.raises(cases.MammoError, match="-1 and 2"):
        mcnemar.plain(-1, 2)


def test_mid_p_is_the_sum_over_everything_rarer_and_half_of_what_is_as_rare():
    for n in (5, 8):
        chances = stats.binom.pmf(np.arange(n + 1), n, 0.5)
        for b in range(n + 1):
            rarer = chances[chances < chances[b] * (1 - 1e-9)].sum()
            assert mcnemar.plain(b, n - b) == pytest.approx(chances[chances <= chances[b] * (1 + 1e-9)].sum())
            as_rare = chances[np.isclose(chances, chances[b])].sum()
            assert mcnemar.plain(b, n - b, mid=True) == pytest.approx(rarer + as_rare / 2)


def test_with_one_example_a_patient_the_clustered_test_is_mcnemars():
    right_a, right_b = (
        np.array([1] * 30 + [1] * 12 + [0] * 4 + [0] * 14),
        np.array([1] * 30 + [0] * 12 + [1] * 4 + [0] * 14),
    )
    found, p = mcnemar.clustered(right_a, right_b, np.arange(60))
    assert found.value == pytest.approx(8 / 60) and p == pytest.approx(stats.chi2.sf(59 / 60 * 8**2 / 16, 1))
    assert p == pytest.approx(mcnemar.plain(12, 4, mid=True), abs=0.02)
    same, one = mcnemar.clustered(right_a, right_a, np.arange(60))
    assert one == 1 and (same.low, same.high) == (0, 0) and same.method.endswith("degenerate")


def test_clusters_by_hand():
    # d = 2, 1, 0, -1 over patients of 2, 2, 1, 1: chi^2 = 3/4 * 4 / 6; Var(d - 2/6 n) by 4/3
    a, b = [1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 1, 1]
    found, p = mcnemar.clustered(a, b, list("ssttuv"))
    assert found.value == pytest.approx(1 / 3) and p == pytest.approx(stats.chi2.sf(0.5, 1))
    off = np.array([2 - 2 / 3, 1 - 2 / 3, -1 / 3, -1 - 1 / 3])
    error = math.sqrt(4 / 3 * (off**2).sum()) / 6
    assert found.low == pytest.approx(1 / 3 - 1.959964 * error)


def test_the_clustered_test_keeps_its_level_where_mcnemars_does_not():
    rng, ours, plain = np.random.default_rng(1), 0, 0
    groups = np.repeat(np.arange(50), 4)
    for _ in range(600):
        easy = np.repeat(rng.random((2, 50)) < 0.7, 4, axis=1)
        a, b = np.where(rng.random((2, 200)) < 0.2, rng.random((2, 200)) < 0.7, easy).astype(int)
        ours += mcnemar.clustered(a, b, groups)[1] < 0.05
        plain += mcnemar.plain(int((a > b).sum()), int((b > a).sum()), mid=True) < 0.05
    assert 0.02 < ours / 600 < 0.08 and plain / 600 > 0.15
