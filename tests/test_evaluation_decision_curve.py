"""Net benefit by hand, by counting, and what it must be for scores that are perfect, useless or harmful."""

import functools

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.evaluation import clustered, decision_curve, metrics, prevalence
from tests.test_evaluation_clustered import cohort


def test_by_hand():
    labels, scores, ones = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.3, 0.6, 0.2, 0.1]), np.ones((1, 5))
    # at 1/4: two found, one false alarm at a price of 1/3; at 1/2: one and one at 1
    found = decision_curve.net_benefit(labels, scores, ones, thresholds=[0.25, 0.5])
    assert found == pytest.approx(np.array([[2 / 5 - 1 / 15, 1 / 5 - 1 / 5]]))
    assert decision_curve.treat_all([0.25, 0.4], 0.4) == pytest.approx([0.4 - 0.6 / 3, 0])


def test_every_draw_is_that_of_the_repeated_examples():
    labels, scores, _ = cohort()
    weights = np.random.default_rng(0).integers(0, 3, (4, len(labels))).astype(float)
    at = np.array([0.05, 0.3, 0.77])
    found = decision_curve.net_benefit(labels, scores, weights, thresholds=at)
    for row, w in zip(found, weights.astype(int), strict=True):
        for t, value in zip(at, row, strict=True):
            counts = metrics.count(np.repeat(labels, w), np.repeat(scores, w) >= t)
            assert value == pytest.approx((counts.tp - counts.fp * t / (1 - t)) / w.sum())


def test_perfect_constant_and_reversed_scores():
    part = cohort()
    labels, _, patients = part
    perfect = decision_curve.curve([(labels, labels.astype(float), patients)], draws=50)
    assert perfect.net_benefit == pytest.approx(np.full(99, labels.mean())) and perfect.prevalence == labels.mean()
    constant = decision_curve.curve([(labels, np.full(len(labels), 0.5), patients)], [0.2, 0.5, 0.7], draws=50)
    assert constant.net_benefit == pytest.approx([*constant.treat_all[:2], 0])  # acts on all up to 1/2, then on none
    wrong = decision_curve.curve([(labels, 1.0 - labels, patients)], draws=50)
    assert (wrong.net_benefit < 0).all()
    real = decision_curve.curve([part], draws=200)
    assert (real.low <= real.net_benefit).all() and (real.net_benefit <= real.high).all()
    assert (real.net_benefit <= real.prevalence + 1e-12).all() and (real.high - real.low).max() > 0.05


def test_another_prevalence_is_a_part_with_copies_of_one_class():
    labels, scores, patients = cohort()
    at = np.array([0.1, 0.4])
    rows = np.concatenate([np.arange(len(labels)), *[np.flatnonzero(labels == 0)] * 8])
    share = labels[rows].mean()
    ours = decision_curve.curve([(labels, scores, patients)], at, prevalence=share, draws=20)
    copied = decision_curve.curve([(labels[rows], scores[rows], patients[rows])], at, draws=20)
    assert ours.net_benefit == pytest.approx(copied.net_benefit)
    assert ours.treat_all == pytest.approx(copied.treat_all) and copied.prevalence == pytest.approx(ours.prevalence)
    statistic = functools.partial(decision_curve.net_benefit, thresholds=at, prevalence=share)
    _, low, high = clustered.band([(labels, scores, patients)], statistic, draws=20, stratified=True)
    assert ours.low == pytest.approx(low) and ours.high == pytest.approx(high)
    moved = prevalence.shifted(scores, labels.mean(), share)
    better = decision_curve.curve([(labels, moved, patients)], at, prevalence=share, draws=20)
    assert (better.net_benefit > ours.net_benefit).all()  # unmoved scores act on far too many


def test_folds_are_averaged():
    parts = [cohort(seed) for seed in range(3)]
    each = [decision_curve.curve([part], [0.3, 0.6], draws=20).net_benefit for part in parts]
    assert decision_curve.curve(parts, [0.3, 0.6], draws=20).net_benefit == pytest.approx(np.mean(each, axis=0))


def test_what_is_no_threshold():
    for thresholds, share in (([0.0, 0.5], None), ([1.0], None), ([0.5], 1.0)):
        with pytest.raises(cases.MammoError, match="between 0 and 1"):
            decision_curve.curve([cohort()], thresholds, prevalence=share)
