import math

import numpy as np
import pytest
from scipy import stats

from mammo_tf import cases
from mammo_tf.evaluation import intervals, wilson


def ratio(right, index):
    right = np.asarray(right, float)
    return wilson.ratios([(right, np.ones(len(right)), np.asarray(index))], int(max(index)) + 1)


@pytest.mark.parametrize("hits", [0, 3, 20, 37, 40])
def test_one_example_a_patient_gives_wilsons_interval(hits):
    found = ratio([1] * hits + [0] * (40 - hits), np.arange(40))
    expected = stats.binomtest(hits, 40).proportion_ci(method="wilson")
    assert wilson.bounds(found) == pytest.approx((expected.low, expected.high), abs=0.004)
    if hits in (0, 40):  # nothing varies: no n / (n - 1) either
        assert wilson.bounds(found) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_copies_count_once():
    right = np.random.default_rng(0).random(50) < 0.8
    once = ratio(right, np.arange(50))
    four = ratio(np.repeat(right, 4), np.repeat(np.arange(50), 4))
    assert four.effective == pytest.approx(once.effective, rel=0.03)
    assert wilson.bounds(four) == pytest.approx(wilson.bounds(once), abs=0.004)
    assert ratio(np.ones(200), np.repeat(np.arange(50), 4)).effective == pytest.approx(50)


def test_independent_views_count_nearly_each():
    right = np.random.default_rng(1).random(4000) < 0.8
    found = ratio(right, np.repeat(np.arange(1000), 4))
    assert 3300 < found.effective <= 4001


def test_the_variance_of_a_ratio_is_that_of_a_bootstrap():
    """Precision: what is divided by varies too."""
    rng = np.random.default_rng(2)
    index = np.repeat(np.arange(300), 3)
    label = np.repeat(rng.random(300) < 0.4, 3)
    said = (label & (rng.random(900) < 0.8)) | (rng.random(900) < 0.2)
    x, y = (label & said).astype(float), said.astype(float)
    found = wilson.ratios([(x, y, index)], 300)
    sums = np.stack([np.bincount(index, weights=a, minlength=300) for a in (x, y)])
    drawn = rng.multinomial(300, np.full(300, 1 / 300), size=4000) @ sums.T
    assert float(found.errors @ found.errors) == pytest.approx(np.var(drawn[:, 0] / drawn[:, 1]), rel=0.08)
    assert found.value == pytest.approx(x.sum() / y.sum())


def test_folds_of_other_patients_add_up_and_repeated_ones_do_not():
    right = (np.random.default_rng(3).random(80) < 0.7).astype(float)
    ones, index = np.ones(80), np.arange(80)
    once = wilson.ratios([(right, ones, index)], 80)
    again = wilson.ratios([(right, ones, index)] * 3, 80)
    assert wilson.bounds(again) == pytest.approx(wilson.bounds(once), abs=0.004)
    halves = [(right[k::2], ones[k::2], index[k::2]) for k in (0, 1)]
    assert wilson.bounds(wilson.ratios(halves, 80)) == pytest.approx(wilson.bounds(once), abs=0.01)


def test_nothing_to_divide_by_is_nan():
    found = wilson.ratios([(np.zeros(3), np.zeros(3), np.arange(3))], 3)
    assert np.isnan([found.value, *wilson.bounds(found)]).all()
    assert np.isnan(wilson.bounds_of_mean(found, found)).all()


def test_the_bounds_of_a_mean():
    """Of two independent proportions alike the half-widths add as squares; of one with itself they stay."""
    index = np.arange(100)
    right = np.repeat([1.0, 0.0], [80, 20])
    half = (index < 50).astype(float)
    one = wilson.ratios([(np.tile(np.repeat([1.0, 0.0], [40, 10]), 2) * half, half, index)], 100)
    other = wilson.ratios([(np.tile(np.repeat([1.0, 0.0], [40, 10]), 2) * (1 - half), 1 - half, index)], 100)
    low, high = wilson.bounds(one)
    expected = (0.8 - (0.8 - low) / np.sqrt(2), 0.8 + (high - 0.8) / np.sqrt(2))
    assert wilson.bounds_of_mean(one, other) == pytest.approx(expected)
    whole = wilson.ratios([(right, np.ones(100), index)], 100)
    assert wilson.bounds_of_mean(whole, whole) == pytest.approx(wilson.bounds(whole))


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (1, 7), (45, 50), (50, 50), (3, 1000)])
def test_wilson_is_that_of_scipy(successes, n):
    for level in (0.9, 0.95):
        expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
        found = wilson.interval(successes, n, stats.norm.ppf((1 + level) / 2))
        assert found == pytest.approx((expected.low, expected.high))


def test_wilson_at_its_ends():
    low, high = wilson.interval(0, 10)
    assert low == 0 and high == pytest.approx(1.959964**2 / (10 + 1.959964**2))  # z^2 / (n + z^2) by hand
    assert all(map(math.isnan, wilson.interval(0, 0)))
    with pytest.raises(cases.MammoError, match="3 successes of 2"):
        wilson.interval(3, 2)


def test_the_clustered_wilson_covers_where_the_plain_one_does_not():
    rng, covered, plain = np.random.default_rng(0), 0, 0
    groups = np.repeat(np.arange(40), 4)
    for _ in range(500):
        values = rng.random(160) < np.repeat(rng.beta(1.6, 0.4, 40), 4)  # mean 0.8, correlation within 1 / 3
        found = intervals.proportion(values, groups)
        covered += found.low <= 0.8 <= found.high
        low, high = wilson.interval(values.sum(), 160)
        plain += low <= 0.8 <= high
    assert covered / 500 > 0.92 and plain / 500 < 0.88


def test_one_patient_alone_and_what_is_no_proportion():
    alone = intervals.proportion([1, 0], ["a", "a"])
    assert alone.value == 0.5 and alone.low < 0.1 and alone.method.endswith("few patients (1)")
    with pytest.raises(cases.MammoError, match="1 of 2 values are neither 0 nor 1"):
        intervals.proportion([0.5, 1], ["a", "b"])
