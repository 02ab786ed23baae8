"""Wilson, McNemar, design effects and Hanley and McNeil: by hand, by scipy, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from mammo_tf import cases
from mammo_tf.evaluation import metrics, proportions


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (1, 7), (45, 50), (50, 50), (3, 1000)])
def test_wilson_is_that_of_scipy(successes, n):
    for level in (0.9, 0.95):
        expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
        assert proportions.wilson(successes, n, level=level) == pytest.approx((expected.low, expected.high))


def test_wilson_at_its_ends():
    low, high = proportions.wilson(0, 10)
    assert low == 0 and high == pytest.approx(1.959964**2 / (10 + 1.959964**2))  # z^2 / (n + z^2) by hand
    assert all(map(math.isnan, proportions.wilson(0, 0)))
    with pytest.raises(cases.MammoError, match="3 successes of 2"):
        proportions.wilson(3, 2)


def test_views_that_agree_count_once():
    values = np.array([1, 0, 1, 1, 0, 1, 1, 0, 1, 1])
    groups = np.arange(10)
    once = proportions.clustered_wilson(values, groups)
    four = proportions.clustered_wilson(np.repeat(values, 4), np.repeat(groups, 4))
    # 10 patients of 4 views: sum (4 (y - p))^2 10/9 / 40^2 = 0.02333, independent 0.21 / 40 = 0.00525
    assert proportions.design_effect(np.repeat(values, 4), np.repeat(groups, 4)) == pytest.approx(40 / 9)
    assert (four.value, four.n, four.patients) == (0.7, 40, 10)
    assert (four.low, four.high) == pytest.approx(proportions.wilson(0.7 * 9, 9))
    assert (once.low, once.high) == pytest.approx((four.low, four.high)) and "design effect 1.11" in once.method
    assert four.low < proportions.wilson(28, 40)[0] - 0.1


def test_the_clustered_wilson_covers_where_the_plain_one_does_not():
    rng, covered, plain = np.random.default_rng(0), 0, 0
    groups = np.repeat(np.arange(40), 4)
    for _ in range(500):
        values = rng.random(160) < np.repeat(rng.beta(1.6, 0.4, 40), 4)  # mean 0.8, correlation within 1 / 3
        found = proportions.clustered_wilson(values, groups)
        covered += found.low <= 0.8 <= found.high
        low, high = proportions.wilson(values.sum(), 160)
        plain += low <= 0.8 <= high
    assert covered / 500 > 0.92 and plain / 500 < 0.88


def test_all_alike_and_one_patient():
    assert proportions.design_effect([1, 1, 1, 1], ["a", "a", "b", "b"]) == 2
    found = proportions.clustered_wilson([1, 1, 1, 1], ["a", "a", "b", "b"])
    assert (found.low, found.high) == proportions.wilson(2, 2)
    alone = proportions.clustered_wilson([1, 0], ["a", "a"])
    assert alone.value == 0.5 and math.isnan(alone.low) and "degenerate" in alone.method
    with pytest.raises(cases.MammoError, match="1 of 2 values are neither 0 nor 1"):
        proportions.clustered_wilson([0.5, 1], ["a", "b"])


def test_mcnemar_by_hand():
    # 1 against 5: P(X <= 1) = 7/64, twice that; mid-p less P(X = 1) = 6/64
    assert proportions.mcnemar(1, 5) == pytest.approx(14 / 64)
    assert proportions.mcnemar(5, 1, mid=True) == pytest.approx(8 / 64)
    assert proportions.mcnemar(2, 2) == 1 and proportions.mcnemar(2, 2, mid=True) == pytest.approx(1 - 6 / 32)
    assert proportions.mcnemar(0, 0) == proportions.mcnemar(0, 0, mid=True) == 1
    with pytest.raises(cases.MammoError, match="-1 and 2"):
        proportions.mcnemar(-1, 2)


def test_mid_p_is_the_sum_over_everything_rarer_and_half_of_what_is_as_rare():
    for n in (5, 8):
        chances = stats.binom.pmf(np.arange(n + 1), n, 0.5)
        for b in range(n + 1):
            rarer = chances[chances < chances[b] * (1 - 1e-9)].sum()
            assert proportions.mcnemar(b, n - b) == pytest.approx(chances[chances <= chances[b] * (1 + 1e-9)].sum())
            as_rare = chances[np.isclose(chances, chances[b])].sum()
            assert proportions.mcnemar(b, n - b, mid=True) == pytest.approx(rarer + as_rare / 2)


def test_with_one_example_a_patient_the_clustered_test_is_mcnemars():
    right_a, right_b = (
        np.array([1] * 30 + [1] * 12 + [0] * 4 + [0] * 14),
        np.array([1] * 30 + [0] * 12 + [1] * 4 + [0] * 14),
    )
    found, p = proportions.clustered_mcnemar(right_a, right_b, np.arange(60))
    assert found.value == pytest.approx(8 / 60) and p == pytest.approx(stats.chi2.sf(59 / 60 * 8**2 / 16, 1))
    assert p == pytest.approx(proportions.mcnemar(12, 4, mid=True), abs=0.02)
    same, one = proportions.clustered_mcnemar(right_a, right_a, np.arange(60))
    assert one == 1 and (same.low, same.high) == (0, 0) and same.method.endswith("degenerate")


def test_clusters_by_hand():
    # d = 2, 1, 0, -1 over patients of 2, 2, 1, 1: chi^2 = 3/4 * 4 / 6; Var(d - 2/6 n) by 4/3
    a, b = [1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 1, 1]
    found, p = proportions.clustered_mcnemar(a, b, list("ssttuv"))
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
        ours += proportions.clustered_mcnemar(a, b, groups)[1] < 0.05
        plain += proportions.mcnemar(int((a > b).sum()), int((b > a).sum()), mid=True) < 0.05
    assert 0.02 < ours / 600 < 0.08 and plain / 600 > 0.15


def test_hanley_and_mcneil_at_chance_is_the_variance_of_mann_and_whitney():
    for m, n in ((5, 9), (51, 58)):
        assert proportions.hanley_mcneil(0.5, m, n) == pytest.approx((m + n + 1) / (12 * m * n))
    assert proportions.hanley_mcneil(0.8, 1, 1) == pytest.approx(0.8 * 0.2)
    assert proportions.hanley_mcneil(1.0, 5, 5) == 0
    # their ratings of 58 and 51 CTs: AUC 0.893; (0.09555 + 50 * 0.00925 + 57 * 0.04507) / 2958, by hand
    assert math.sqrt(proportions.hanley_mcneil(0.893, 51, 58)) == pytest.approx(0.0325, abs=5e-5)
    with pytest.raises(cases.MammoError, match=r"AUC 1\.2"):
        proportions.hanley_mcneil(1.2, 5, 5)


def test_hanley_and_mcneil_is_exact_for_exponential_scores():
    rng = np.random.default_rng(0)
    ratio = 4.0  # of the means: P(x > y) = 4 / 5
    labels = np.repeat([1, 0], [20, 35])
    aucs = [metrics.auc(labels, rng.exponential(np.where(labels == 1, ratio, 1.0))) for _ in range(6000)]
    assert np.mean(aucs) == pytest.approx(0.8, abs=0.003)
    assert np.var(aucs) == pytest.approx(proportions.hanley_mcneil(0.8, 20, 35), rel=0.06)  # 3 standard errors
