import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from mammo_tf import cases
from mammo_tf.evaluation import auc_bounds, delong, metrics


def views_of_patients(rng, patients=60, views=3, gap=1.2):
    labels = np.repeat(np.arange(patients) % 2, views)
    shared = np.repeat(rng.normal(size=patients), views)
    return labels, gap * labels + shared + rng.normal(size=len(labels)), np.repeat(np.arange(patients), views)


def pairs_by_loops(labels, scores, patients):
    """AUC, Obuchowski's and DeLong's variance, by their definitions over all pairs."""
    x, y = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    psi = (scores[x][:, None] > scores[y]) + 0.5 * (scores[x][:, None] == scores[y])
    v10, v01, auc = psi.mean(axis=1), psi.mean(axis=0), psi.mean()
    sums = {g: [0.0, 0.0] for g in np.unique(patients)}
    for i, v in zip(x, v10, strict=True):
        sums[patients[i]][0] += v - auc
    for j, v in zip(y, v01, strict=True):
        sums[patients[j]][1] += v - auc
    m, n = len(x), len(y)
    i10, i01 = (len(np.unique(patients[labels == k])) for k in (1, 0))
    s10 = i10 / (i10 - 1) * sum(a * a for a, _ in sums.values()) / m**2
    s01 = i01 / (i01 - 1) * sum(b * b for _, b in sums.values()) / n**2
    s11 = len(sums) / (len(sums) - 1) * sum(a * b for a, b in sums.values()) / (m * n)
    return auc, s10 + s01 + 2 * s11, v10.var(ddof=1) / m + v01.var(ddof=1) / n


@pytest.mark.parametrize("seed, digits", [(0, 9), (1, 0)])
def test_variances_are_those_of_all_pairs(seed, digits):
    labels, scores, patients = views_of_patients(np.random.default_rng(seed))
    labels = np.where(np.arange(len(labels)) % 7 == 0, 1 - labels, labels)  # both classes in one patient
    found = delong.influence([(labels, np.round(scores, digits), patients)], 60)
    expected = pairs_by_loops(labels, np.round(scores, digits), patients)
    assert (found.value, found.variance, found.plain) == pytest.approx(expected, abs=1e-10)


def test_the_bounds_are_z_of_their_own_standard_errors_away():
    """With one example a patient D is near 1, and the definition can be written out."""
    labels, scores, patients = views_of_patients(np.random.default_rng(2), patients=80, views=1)
    found = delong.influence([(labels, scores, patients)], 80)
    low, high = auc_bounds.single(found)

    def v0(t):
        return t * (1 - t) / 1600 * (1 + 39 * ((1 - t) / (2 - t) + t / (1 + t)))

    w, d = 40 / 50, max(found.variance / found.plain, 1)
    factor = d * (w * found.plain / v0(found.value) + 1 - w)
    for bound in (low, high):
        assert abs(found.value - bound) == pytest.approx(1.959964 * math.sqrt(factor * v0(bound)), rel=1e-6)
    assert low < found.value < high


def test_many_patients_give_the_normal_interval():
    labels, scores, patients = views_of_patients(np.random.default_rng(3), patients=4000, views=1)
    found = delong.influence([(labels, scores, patients)], 4000)
    half = 1.959964 * math.sqrt(found.variance)
    assert auc_bounds.single(found) == pytest.approx((found.value - half, found.value + half), abs=5e-4)
    assert auc_bounds.single(found) == pytest.approx(auc_bounds.logit(found), abs=3e-4)


def test_views_that_repeat_each_other_change_nothing():
    labels, scores, patients = views_of_patients(np.random.default_rng(4), patients=120, views=1)
    once = delong.influence([(labels, scores, patients)], 120)
    thrice = delong.influence([tuple(np.tile(a, 3) for a in (labels, scores, patients))], 120)
    assert thrice.variance == pytest.approx(once.variance)
    assert auc_bounds.single(thrice) == pytest.approx(auc_bounds.single(once), abs=0.01)


def test_a_perfect_ranking_and_its_reverse_have_bounds_and_a_missing_class_has_none():
    labels, index = np.repeat([0, 1], 20), np.arange(40)
    best = delong.influence([(labels, index.astype(float), index)], 40)
    worst = delong.influence([(labels, -index.astype(float), index)], 40)
    low, high = auc_bounds.single(best)
    assert high == 1 and 0.85 < low < 0.95
    assert auc_bounds.single(worst) == pytest.approx((0, 1 - low))
    root = optimize.brentq(
        lambda t: (1 - t) - 3.841459 * t / 400 * (1 + 19 * ((1 - t) / (2 - t) + t / (1 + t))), 0, 1
    )
    assert low == pytest.approx(root, abs=1e-6)  # by hand: (1 - t)^2 = z^2 V0(t), one 1 - t divided out
    lone = delong.influence([(np.array([0, 0, 0, 1]), np.array([0.1, 0.5, 0.2, 0.3]), np.arange(4))], 4)
    assert math.isnan(lone.variance) and auc_bounds.single(lone)[0] < 2 / 3 < auc_bounds.single(lone)[1]
    alone = delong.influence([(np.ones(4, int), np.arange(4.0), np.arange(4))], 4)
    assert np.isnan(auc_bounds.single(alone)).all()


def two_nets(rng, patients=60, better=0.0):
    labels, scores, index = views_of_patients(rng, patients)
    other = scores + rng.normal(size=len(scores)) - better * labels
    return [delong.influence([(labels, s, index)], patients) for s in (scores, other)]


def test_a_difference_swaps_its_sign_and_its_p_is_where_a_bound_is_zero():
    one, other = two_nets(np.random.default_rng(5), better=0.6)
    low, high = auc_bounds.difference(one, other)
    assert auc_bounds.difference(other, one) == pytest.approx((-high, -low))
    p = auc_bounds.p_of_difference(one, other)
    assert p == pytest.approx(auc_bounds.p_of_difference(other, one))
    z = float(stats.norm.isf(p / 2))
    assert auc_bounds.difference(one, other, z)[0] == pytest.approx(0, abs=1e-6)
    assert (p < 0.05) == (low > 0)
    assert auc_bounds.p_of_difference(one, one) == 1


def test_with_many_patients_the_difference_is_delongs_test():
    one, other = two_nets(np.random.default_rng(6), patients=3000, better=0.1)
    error = math.sqrt(one.variance + other.variance - 2 * delong.covariance(one, other))
    value = one.value - other.value
    expected = (value - 1.959964 * error, value + 1.959964 * error)
    assert auc_bounds.difference(one, other) == pytest.approx(expected, abs=3e-4)
    p = 2 * stats.norm.sf(abs(value) / error)
    assert auc_bounds.p_of_difference(one, other) == pytest.approx(p, rel=0.1)
    assert auc_bounds.p_on_logits(one, other) == pytest.approx(p, rel=0.1)


def test_the_logit_interval_by_hand():
    labels, scores, patients = views_of_patients(np.random.default_rng(7))
    found = delong.influence([(labels, scores, patients)], 60)
    se = math.sqrt(found.variance) / (found.value * (1 - found.value))
    expected = special.expit(special.logit(found.value) + np.array([-1.959964, 1.959964]) * se)
    assert auc_bounds.logit(found) == pytest.approx(tuple(expected), abs=1e-6)


def test_folds_of_disjoint_patients_add_their_variances_and_repeated_ones_do_not():
    rng = np.random.default_rng(8)
    first, second = views_of_patients(rng, 40), views_of_patients(rng, 40)
    apart = (second[0], second[1], second[2] + 40)
    alone = [delong.influence([part], 40) for part in (first, second)]
    both = delong.influence([first, apart], 80)
    assert both.value == pytest.approx((alone[0].value + alone[1].value) / 2)
    assert both.variance == pytest.approx((alone[0].variance + alone[1].variance) / 4)
    again = delong.influence([first, first, first], 40)
    assert again.variance == pytest.approx(alone[0].variance)
    assert auc_bounds.single(again) == pytest.approx(auc_bounds.single(alone[0]), abs=0.01)


def test_hanley_and_mcneil_at_chance_is_the_variance_of_mann_and_whitney():
    for m, n in ((5, 9), (51, 58)):
        assert auc_bounds.hanley_mcneil(0.5, m, n) == pytest.approx((m + n + 1) / (12 * m * n))
    assert auc_bounds.hanley_mcneil(0.8, 1, 1) == pytest.approx(0.8 * 0.2)
    assert auc_bounds.hanley_mcneil(1.0, 5, 5) == 0
    # (0.09555 + 50 * 0.00925 + 57 * 0.04507) / 2958, by hand
    assert math.sqrt(auc_bounds.hanley_mcneil(0.893, 51, 58)) == pytest.approx(0.0325, abs=5e-5)
    with pytest.raises(cases.MammoError, match=r"AUC 1\.2"):
        auc_bounds.hanley_mcneil(1.2, 5, 5)


def test_hanley_and_mcneil_is_exact_for_exponential_scores():
    rng = np.random.default_rng(0)
    ratio = 4.0  # of the means: P(x > y) = 4 / 5
    labels = np.repeat([1, 0], [20, 35])
    aucs = [metrics.auc(labels, rng.exponential(np.where(labels == 1, ratio, 1.0))) for _ in range(6000)]
    assert np.mean(aucs) == pytest.approx(0.8, abs=0.003)
    assert np.var(aucs) == pytest.approx(auc_bounds.hanley_mcneil(0.8, 20, 35), rel=0.06)  # 3 standard errors
