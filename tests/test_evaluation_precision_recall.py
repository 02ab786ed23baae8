"""Average precision against scikit-learn with weights, by hand, and on scores that know nothing."""

import math

import numpy as np
import pytest
from sklearn import metrics as peer

from mammo_tf.evaluation import clustered, precision_recall
from tests.test_evaluation_clustered import cohort


def test_by_hand():
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    assert precision_recall.average_precision(labels, scores, np.ones((1, 4))) == pytest.approx([(1 + 2 / 3) / 2])
    recall, precision, thresholds = precision_recall.curve(labels, scores)
    assert recall.tolist() == [0.5, 0.5, 1, 1] and thresholds.tolist() == [0.9, 0.8, 0.7, 0.1]
    assert precision == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])


def test_scikit_learn_draw_by_draw_and_point_by_point():
    labels, scores, _ = cohort()
    weights = np.random.default_rng(0).integers(0, 3, (6, len(labels))).astype(float)
    found = precision_recall.average_precision(labels, scores, weights)
    expected = [peer.average_precision_score(labels, scores, sample_weight=w) for w in weights]
    assert found == pytest.approx(expected)
    recall, precision, thresholds = precision_recall.curve(labels, scores)
    theirs = peer.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(precision, theirs[0][-2::-1])
    np.testing.assert_allclose(recall, theirs[1][-2::-1])
    np.testing.assert_allclose(thresholds, theirs[2][::-1])


def test_scores_that_know_nothing_reach_the_prevalence():
    rng = np.random.default_rng(0)
    labels = (rng.random(20_000) < 0.2).astype(int)
    ones = np.ones((1, 20_000))
    share = precision_recall.prevalence(labels, ones[0], ones)
    assert share == pytest.approx([labels.mean()])
    assert precision_recall.average_precision(labels, rng.random(20_000), ones) == pytest.approx(share, abs=0.01)
    assert precision_recall.average_precision(labels, np.full(20_000, 0.3), ones) == pytest.approx(share)


def test_its_interval_and_a_part_without_positives():
    found = clustered.estimate([cohort()], precision_recall.average_precision, draws=300)
    assert 0.5 < found.low < found.value < found.high < 1
    none = precision_recall.average_precision(np.zeros(3, int), np.array([0.1, 0.2, 0.3]), np.ones((1, 3)))
    assert math.isnan(none[0]) and np.isnan(precision_recall.curve([0, 0], [0.1, 0.2])[0]).all()
