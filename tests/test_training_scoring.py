"""Scores of the validation part: by hand, against scikit-learn, and by the rules of `mammo_tf.evaluation`."""

import math

import numpy as np
import pytest
import scipy.special
import sklearn.metrics

from mammo_tf.evaluation import metrics
from mammo_tf.training import scoring


def test_scores_by_hand():
    logits = np.log(np.array([[0.8, 0.2], [0.4, 0.6], [0.9, 0.1]], np.float32))
    found = scoring.score(logits, np.array([0, 1, 1]), np.array([1.0, 1.0, 2.0]))
    assert found["val_loss"] == pytest.approx(-(math.log(0.8) + math.log(0.6) + 2 * math.log(0.1)) / 4)
    assert found["val_accuracy"] == pytest.approx(2 / 3)
    assert found["val_auc"] == 0.5
    assert math.isnan(scoring.auc(np.ones(3), np.arange(3)))


def test_auc_equals_scikit_learn():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 50), rng.integers(0, 9, 50)  # with ties
    assert scoring.auc(labels, scores) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores), abs=1e-12)


def test_softmax_holds_for_large_logits():
    assert scoring.softmax(np.array([[1000.0, 1000.0], [0.0, 800.0]])).tolist() == [[0.5, 0.5], [0.0, 1.0]]


@pytest.mark.parametrize("seed", range(5))
def test_auc_equals_that_of_the_evaluation_bit_for_bit(seed):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 60), rng.integers(0, 9, 60) / 8  # with ties
    assert scoring.auc(labels, scores) == metrics.auc(labels, scores)
    assert math.isnan(metrics.auc(np.ones(3), scores[:3])) and math.isnan(scoring.auc(np.ones(3), scores[:3]))


def test_a_tie_is_called_class_1():
    logits = np.array([[0.3, 0.3], [0.3, 0.2], [0.2, 0.3], [7.0, 7.0]], np.float32)
    assert scoring.calls(logits).tolist() == [1, 0, 1, 1]
    assert scoring.score(logits, np.array([1, 0, 1, 0]), np.ones(4))["val_accuracy"] == 0.75


def test_accuracy_equals_that_of_the_evaluation_at_one_half():
    """Also where logits differ by less than their float32 probabilities can show."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(400, 2)).astype(np.float32)
    logits[:300, 1] = logits[:300, 0] + rng.integers(-3, 4, 300).astype(np.float32) * np.float32(2**-26)
    logits[300:310, 1] = logits[300:310, 0]
    labels = rng.integers(0, 2, 400)
    counts = metrics.count(labels, scoring.softmax(logits)[:, 1] >= 0.5)
    assert scoring.score(logits, labels, np.ones(400))["val_accuracy"] == metrics.accuracy(counts)


@pytest.mark.parametrize("present", [(0, 1, 2, 3, 4), (0, 2, 4)])
def test_several_classes_by_hand_and_by_scikit_learn(present):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(60, 5)).astype(np.float32)
    labels = rng.choice(present, 60)
    logits[np.arange(60), labels] += 0.7
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
    wanted = [sklearn.metrics.roc_auc_score(labels == k, probabilities[:, k]) for k in present]
    found = scoring.score(logits, labels, np.ones(60))
    assert found["val_auc"] == pytest.approx(np.mean(wanted), abs=1e-9)
    assert found["val_accuracy"] == sklearn.metrics.accuracy_score(labels, logits.argmax(axis=1))
    assert found["val_loss"] == pytest.approx(
        sklearn.metrics.log_loss(labels, probabilities, labels=range(5)), rel=1e-6
    )
    if len(present) == 5:
        whole = sklearn.metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
        assert found["val_auc"] == pytest.approx(whole, abs=1e-9)


def test_one_class_alone_has_no_macro_auc():
    assert math.isnan(scoring.macro_auc(np.ones(4), np.eye(4)))


def test_of_several_equals_the_first_is_called():
    assert scoring.calls(np.array([[0.0, 1.0, 1.0], [2.0, 2.0, 2.0]])).tolist() == [1, 0]


def test_odds_rank_where_probabilities_round_to_one():
    logits = np.array([[40.0, 0.0, 0.0], [41.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    assert np.argsort(scoring.log_odds(logits)[:, 0]).tolist() == [2, 0, 1]
    assert scoring.log_odds(logits)[1, 0] == pytest.approx(41 - math.log(2))
