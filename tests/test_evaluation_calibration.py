"""Brier scores, their split, calibration errors, slopes: by hand, by scikit-learn and scipy, by simulation."""

import functools
import math

import numpy as np
import pytest
from scipy import optimize, special
from sklearn import calibration as peer_calibration
from sklearn import linear_model
from sklearn import metrics as peer

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, calibration, clustered, intervals
from tests.test_evaluation_clustered import cohort


def drawn(count=6, n=150):
    return np.random.default_rng(0).integers(0, 3, (count, n)).astype(float)


def test_brier_is_that_of_scikit_learn_and_its_interval_that_of_a_mean():
    labels, scores, patients = cohort()
    weights = drawn()
    expected = [peer.brier_score_loss(labels, scores, sample_weight=w) for w in weights]
    assert calibration.brier(labels, scores, weights) == pytest.approx(expected)
    found = clustered.estimate([(labels, scores, patients)], calibration.brier, draws=200, seed=3)
    index, count = bootstrap.patient_index(patients)
    table = bootstrap.sums(np.column_stack([(scores - labels) ** 2, np.ones(len(labels))]), index, count)
    sums = bootstrap.resample(count, 200, 3) @ table
    assert (found.low, found.high) == pytest.approx(np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975]))
    assert found.value == pytest.approx(((scores - labels) ** 2).mean())


def test_the_split_by_hand_and_its_sum():
    # 0.2: one of two; 0.8: two of two. reliability (.09 + .04) / 2, resolution .0625, uncertainty .1875
    found = calibration.split([0, 1, 1, 1], [0.2, 0.2, 0.8, 0.8])
    assert (found.reliability, found.resolution) == pytest.approx((0.065, 0.0625))
    assert found.uncertainty == pytest.approx(0.1875) and found.within == pytest.approx(0)
    labels, scores, _ = cohort()
    brier = ((scores - labels) ** 2).mean()
    for edges in (None, calibration.equal_width(4), calibration.equal_mass(scores, 5)):
        some = calibration.split(labels, scores, edges)
        assert some.reliability - some.resolution + some.uncertainty + some.within == pytest.approx(brier)
        assert (some.within == pytest.approx(0)) == (edges is None)


@pytest.mark.parametrize("mass", [False, True])
def test_bins_are_those_of_scikit_learn(mass):
    labels, scores, patients = cohort(patients=200)
    scores = np.random.default_rng(1).permutation(np.linspace(0.001, 0.999, len(scores))) ** 2  # no score on an edge
    edges = calibration.equal_mass(scores, 8) if mass else calibration.equal_width(8)
    found = calibration.reliability(labels, scores, patients, edges)
    how = {"n_bins": 8, "strategy": "quantile" if mass else "uniform"}
    shares, means = peer_calibration.calibration_curve(labels, scores, **how)
    assert [share.value for share in found.shares] == pytest.approx(shares) and found.scores == pytest.approx(means)
    assert found.counts.sum() == len(labels) and (np.ptp(found.counts) <= 1) == mass
    first = scores < edges[1]
    assert found.shares[0] == intervals.proportion(labels[first], patients[first])


def test_edges_and_empty_bins():
    found = calibration.reliability([0, 1, 1], [0.0, 0.5, 1.0], ["a", "b", "c"], calibration.equal_width(4))
    assert found.counts.tolist() == [1, 1, 1] and found.scores.tolist() == [0, 0.5, 1]  # [0, 1/4), [1/2, 3/4), last
    lower = calibration.reliability([0, 1, 1], [0.25, 0.3, 0.5], ["a", "b", "c"], calibration.equal_width(4))
    assert lower.counts.tolist() == [2, 1]  # a bin holds its lower edge
    assert calibration.equal_mass([0.3] * 9, 4).tolist() == [0, 0.3, 1]
    with pytest.raises(cases.MammoError, match="0 bins"):
        calibration.equal_width(0)


def test_ece_by_hand_and_of_repeated_examples():
    # bins of 1/2: |1/2 - .25| of two, |1 - .7| of one
    labels, scores = np.array([0, 1, 1]), np.array([0.2, 0.3, 0.7])
    assert calibration.ece(labels, scores, np.ones((1, 3)), bins=2) == pytest.approx([(2 * 0.25 + 0.3) / 3])
    labels, scores, patients = cohort()
    for mass in (False, True):
        edges = calibration.equal_mass(scores, 5) if mass else calibration.equal_width(5)
        for w in drawn(3).astype(int):
            many = [np.repeat(values, w) for values in (labels, scores, patients)]
            curve = calibration.reliability(*many, edges)
            gaps = np.abs(np.array([share.value for share in curve.shares]) - curve.scores)
            slow = (gaps * curve.counts).sum() / w.sum()
            assert calibration.ece(labels, scores, w[None].astype(float), bins=5, mass=mass) == pytest.approx([slow])


def test_ece_is_biased_and_the_simulation_tells_by_how_much():
    rng, found, outside = np.random.default_rng(0), [], 0
    patients = np.arange(150)
    for _ in range(100):
        scores = rng.beta(1.5, 1.5, 150)
        labels = (rng.random(150) < scores).astype(int)  # calibrated perfectly
        one = clustered.estimate([(labels, scores, patients)], calibration.ece, draws=100)
        found.append(one.value)
        outside += one.low > one.value
    assert np.mean(found) > 0.06  # the truth is 0
    simulated = calibration.ece_if_calibrated(rng.beta(1.5, 1.5, 150), patients)
    assert np.mean(found) == pytest.approx(simulated.value, abs=0.006)
    assert np.mean((found >= np.array(simulated.low)) & (found <= np.array(simulated.high))) > 0.88
    assert outside >= 4  # intervals that lie above their own value, as the module says


def test_dependent_views_and_more_bins_make_noise_larger():
    scores = np.repeat(np.random.default_rng(0).beta(2, 2, 60), 4)
    alone = calibration.ece_if_calibrated(scores, np.arange(240), draws=400)
    together = calibration.ece_if_calibrated(scores, np.repeat(np.arange(60), 4), draws=400)
    more = calibration.ece_if_calibrated(scores, np.arange(240), bins=40, draws=400)
    assert together.value > 1.6 * alone.value and more.value > 1.4 * alone.value  # sqrt(4) and about sqrt(4)
    assert calibration.ece_if_calibrated([0.0, 1.0], ["a", "b"], draws=20).high == 0  # what is certain has no noise
    assert together == calibration.ece_if_calibrated(scores, np.repeat(np.arange(60), 4), draws=400)


def test_slope_and_intercept_are_those_of_scikit_learn_and_scipy_draw_by_draw():
    labels, scores, _ = cohort()
    x, weights = special.logit(scores), drawn()
    found = calibration.logistic(labels, scores, weights)
    large = calibration.intercept(labels, scores, weights)
    for (a, b), at, w in zip(found, large, weights, strict=True):
        model = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        model.fit(x[:, None], labels, sample_weight=w)
        assert (a, b) == pytest.approx((model.intercept_[0], model.coef_[0, 0]), abs=1e-5)
        root = optimize.brentq(lambda t, w=w: (w * (special.expit(x + t) - labels)).sum(), -9, 9)
        assert at == pytest.approx(root, abs=1e-8)
    assert calibration.slope(labels, scores, weights) == pytest.approx(found[:, 1])


def test_a_known_distortion_is_found():
    rng = np.random.default_rng(0)
    z = rng.normal(size=100_000)
    labels = (rng.random(100_000) < special.expit(z)).astype(int)
    ones = np.ones((1, 100_000))
    overconfident = special.expit(2 * z + 1)
    assert calibration.logistic(labels, overconfident, ones)[0] == pytest.approx([-0.5, 0.5], abs=0.03)
    assert calibration.intercept(labels, special.expit(z - 0.7), ones) == pytest.approx([0.7], abs=0.03)


def test_what_has_no_finite_fit_is_nan():
    ones = np.ones((1, 4))
    for scores in ([0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1], [0.1, 0.5, 0.5, 0.9], [0.5] * 4):
        assert math.isnan(calibration.slope(np.array([0, 0, 1, 1]), np.array(scores), ones)[0])
    assert np.isfinite(calibration.slope(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.8, 0.9]), ones)[0])
    alone = np.array([1, 1, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]), ones
    assert math.isnan(calibration.slope(*alone)[0]) and math.isnan(calibration.intercept(*alone)[0])
    far = np.array([0, 0, 1, 1]), np.array([1e-9, 1e-9, 1e-9, 1.0]), ones  # logits at both ends of float32
    assert calibration.intercept(*far)[0] == pytest.approx(15.25, abs=0.01)


def test_slopes_of_draws_without_an_answer_are_told():
    labels, scores = np.array([0, 0, 0, 1, 1, 1]), np.array([0.1, 0.2, 0.6, 0.5, 0.8, 0.9])
    found = clustered.estimate([(labels, scores, np.arange(6))], calibration.slope, draws=300)
    assert "undefined in" in found.method and found.low < found.high


def test_scores_that_are_no_probabilities():
    part = [([0, 1], [0.5, 1.5], ["a", "b"])]
    for statistic in (calibration.brier, functools.partial(calibration.ece, bins=4), calibration.slope):
        with pytest.raises(cases.MammoError, match="1 of 2 scores are not in"):
            clustered.estimate(part, statistic)


def test_the_intercept_of_saturated_scores_is_found():
    """All scores 0 or 1 and right: logits of -+ L, so 70 expit(a - L) = 30 expit(L - a) has a = ln(30 / 70) / 2."""
    labels = np.repeat([1, 0], [30, 70])
    found = calibration.intercept(labels, labels.astype(float), np.ones((2, 100)))
    assert found == pytest.approx(np.log(30 / 70) / 2, abs=1e-6)
