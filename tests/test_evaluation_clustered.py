"""The bootstrap of any statistic: against `intervals` and `folds`, whose draws it shares, and a slow definition."""

import math

import numpy as np
import pytest
from sklearn import metrics as peer

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, clustered, folds, intervals, metrics


def cohort(seed=0, patients=50, views=3, prefix="p"):
    """Labels by patient, probabilities that know something, patients."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.permutation(np.arange(patients) % 2), views)
    noise = np.repeat(rng.normal(size=patients), views) + rng.normal(size=len(labels))
    scores = np.round(1 / (1 + np.exp(-(1.5 * labels - 0.75 + noise))), 2)
    return labels, scores, np.repeat([f"{prefix}{i}" for i in range(patients)], views)


def accuracy(labels, scores, weights):
    return weights @ ((scores >= 0.5) == labels) / weights.sum(axis=1)


def mean_score_of_positives(labels, scores, weights):
    return clustered.ratio(weights @ (scores * labels), weights @ labels)


def log_loss(labels, scores, weights):
    return weights @ metrics.log_losses(labels, scores) / weights.sum(axis=1)


def drawn_losses(parts, draws, seed):
    """The mean over the parts of scikit-learn's log-loss in every draw of patients."""
    union = sorted({name for *_, patients in parts for name in patients})
    found = []
    for row in bootstrap.resample(len(union), draws, seed):
        times = dict(zip(union, row.astype(int), strict=True))
        each = []
        for labels, scores, patients in parts:
            rows = np.repeat(np.arange(len(labels)), [times[name] for name in patients])
            p = np.clip(scores[rows], metrics.EPSILON, 1 - metrics.EPSILON)
            each.append(peer.log_loss(labels[rows], p, labels=[0, 1]))
        found.append(np.mean(each))
    return np.quantile(found, [0.025, 0.975])


def test_the_loss_is_that_of_a_plain_loop_over_drawn_patients():
    part = cohort()
    found = clustered.estimate([part], log_loss, draws=100, seed=4)
    assert (found.low, found.high) == pytest.approx(drawn_losses([part], 100, 4))
    assert found.value == pytest.approx(intervals.evaluate(*part)["log_loss"].value)
    assert (found.n, found.patients, found.method) == (150, 50, "clustered bootstrap, 100 draws")


def test_several_folds_are_a_mean_with_one_bootstrap_for_all():
    parts = [cohort(seed) for seed in range(3)]
    found = clustered.estimate(parts, log_loss, draws=60, seed=4)
    assert (found.low, found.high) == pytest.approx(drawn_losses(parts, 60, 4))
    assert found.value == pytest.approx(folds.evaluate(parts)["log_loss"].value)
    assert "mean over 3 folds" in found.method


def test_blocks_of_draws_change_nothing(monkeypatch):
    part = cohort()
    whole = clustered.estimate([part], accuracy, draws=100)
    monkeypatch.setattr(bootstrap, "BLOCK", 8 * 150 * 7)
    assert clustered.estimate([part], accuracy, draws=100) == whole


def test_stratified_draws_keep_the_number_of_patients_of_either_kind():
    strata = np.array([1, 0, 0, 1, 0, 0, 0])
    weights = clustered.resample_stratified(strata, 500, seed=2)
    assert (weights[:, strata == 1].sum(axis=1) == 2).all() and (weights[:, strata == 0].sum(axis=1) == 5).all()
    assert weights.std(axis=0).min() > 0.5
    apart = clustered.resample_stratified(np.array([0, 0, 0, 1, 1, 1]), 500, seed=2)
    assert abs(np.corrcoef(apart[:, 0], apart[:, 3])[0, 1]) < 0.15  # strata of one size share no draws
    labels, scores, patients = cohort()
    keep = (labels == 0) | (patients == patients[labels == 1][0])  # one patient alone is positive
    part = labels[keep], scores[keep], patients[keep]
    plain = clustered.estimate([part], mean_score_of_positives, draws=300)
    assert "undefined in 3" in plain.method and "few positives (1 patients)" in plain.method  # (25/26)^26 = 36 %
    stratified = clustered.estimate([part], mean_score_of_positives, draws=300, stratified=True)
    assert "undefined" not in stratified.method and stratified.method.startswith("stratified clustered bootstrap")


def test_a_statistic_that_a_part_leaves_undefined_is_nan():
    found = clustered.estimate([([0, 0], [0.1, 0.2], ["a", "b"])], mean_score_of_positives, draws=20)
    assert math.isnan(found.value) and math.isnan(found.low) and found.method == clustered.UNDEFINED


def both(labels, scores, weights):
    return np.stack([accuracy(labels, scores, weights), mean_score_of_positives(labels, scores, weights)], axis=1)


def test_a_band_is_its_estimates_side_by_side():
    parts = [cohort(seed) for seed in range(2)]
    value, low, high = clustered.band(parts, both, draws=200, seed=1)
    for i, statistic in enumerate((accuracy, mean_score_of_positives)):
        found = clustered.estimate(parts, statistic, draws=200, seed=1)
        assert (value[i], low[i], high[i]) == pytest.approx((found.value, found.low, found.high))


def test_cumulative_counts_of_a_draw_are_those_of_the_repeated_examples():
    labels, scores, _ = cohort()
    weights = np.random.default_rng(0).integers(0, 3, (4, len(labels))).astype(float)
    tp, fp = clustered.cumulative(labels, scores, weights)
    cuts = np.unique(scores)[::-1]
    assert tp.shape == (4, len(cuts) + 1) and not tp[:, 0].any() and not fp[:, 0].any()
    for row, w in enumerate(weights.astype(int)):
        repeated, of = np.repeat(labels, w), np.repeat(scores, w)
        for k in (0, 3, len(cuts) - 1):
            counts = metrics.count(repeated, of >= cuts[k])
            assert (tp[row, k + 1], fp[row, k + 1]) == (counts.tp, counts.fp)


def test_faults_name_the_fold():
    with pytest.raises(cases.MammoError, match="fold 1: evaluation: 1 of 2 labels"):
        clustered.estimate([cohort(), ([0, 2], [0.1, 0.2], ["a", "b"])], accuracy)
