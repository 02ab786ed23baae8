import math
import warnings

import numpy as np
import pytest
from sklearn import metrics as peer

from mammo_tf import cases
from mammo_tf.evaluation import metrics

LABELS = np.array([0, 0, 0, 0, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.6, 0.5, 0.4, 0.7, 0.9])  # at 0.5: tn 2, fp 2, fn 1, tp 2


def random_case(seed, ties):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 200)
    scores = np.clip(0.3 * labels + rng.normal(0.35, 0.2, 200), 0.01, 0.99)
    return labels, np.round(scores, 1) if ties else scores


def test_a_case_by_hand():
    c = metrics.count(LABELS, SCORES >= 0.5)
    assert (c.tn, c.fp, c.fn, c.tp) == (2, 2, 1, 2)
    assert metrics.accuracy(c) == pytest.approx(4 / 7)
    assert metrics.recall(c) == pytest.approx(2 / 3)
    assert metrics.specificity(c) == pytest.approx(1 / 2)
    assert metrics.balanced_accuracy(c) == pytest.approx(7 / 12)
    assert metrics.precision(c) == pytest.approx(1 / 2)
    assert metrics.f1(c) == pytest.approx(4 / 7)
    assert metrics.auc(LABELS, SCORES) == pytest.approx(10 / 12)  # 0.4 loses against 0.5 and 0.6
    assert metrics.log_loss([1, 0], [0.5, 0.75]) == pytest.approx((math.log(2) + math.log(4)) / 2)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_parity_with_scikit_learn(seed, ties):
    labels, scores = random_case(seed, ties)
    predicted = scores >= 0.5
    c = metrics.count(labels, predicted)
    assert metrics.accuracy(c) == pytest.approx(peer.accuracy_score(labels, predicted))
    assert metrics.balanced_accuracy(c) == pytest.approx(peer.balanced_accuracy_score(labels, predicted))
    assert metrics.precision(c) == pytest.approx(peer.precision_score(labels, predicted))
    assert metrics.recall(c) == pytest.approx(peer.recall_score(labels, predicted))
    assert metrics.f1(c) == pytest.approx(peer.f1_score(labels, predicted))
    # float32: scikit-learn clips to the epsilon of the scores' type, and rounded scores hold 0.0
    assert metrics.log_loss(labels, scores) == pytest.approx(
        peer.log_loss(labels, scores.astype(np.float32)), rel=1e-5
    )
    assert metrics.auc(labels, scores) == pytest.approx(peer.roc_auc_score(labels, scores))
    np.testing.assert_array_equal(
        metrics.confusion_matrix(labels, predicted), peer.confusion_matrix(labels, predicted)
    )
    for ours, theirs in zip(
        metrics.roc_curve(labels, scores), peer.roc_curve(labels, scores, drop_intermediate=False), strict=True
    ):
        np.testing.assert_allclose(ours, theirs)


def test_auc_flips_with_the_labels():
    labels, scores = random_case(3, ties=True)
    assert metrics.auc(labels, scores) + metrics.auc(1 - labels, scores) == pytest.approx(1)


def test_what_is_not_defined_is_nan_and_never_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        none_called = metrics.count([0, 1], [0, 0])
        assert math.isnan(metrics.precision(none_called)) and metrics.recall(none_called) == 0
        assert metrics.f1(none_called) == 0
        no_positives = metrics.count([0, 0], [0, 0])
        assert math.isnan(metrics.recall(no_positives)) and math.isnan(metrics.f1(no_positives))
        assert math.isnan(metrics.balanced_accuracy(no_positives)) and metrics.specificity(no_positives) == 1
        assert math.isnan(metrics.specificity(metrics.count([1, 1], [1, 0])))
        assert math.isnan(metrics.auc([1, 1], [0.2, 0.3]))
        assert np.isnan(metrics.roc_curve([1, 1], [0.2, 0.3])[0]).all()


def test_a_certain_error_costs_a_finite_log_loss():
    assert metrics.log_loss([1], [0.0]) == pytest.approx(-math.log(2.0**-23))


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([], [], r"\(0,\) labels"),
        ([0, 1], [0.1], r"\(2,\) labels and \(1,\) scores"),
        ([0, 2], [0.1, 0.2], "1 of 2 labels are neither 0 nor 1"),
        ([0, math.nan], [0.1, 0.2], "1 of 2 labels are neither"),
        ([0, 1], [0.1, math.nan], "1 of 2 scores are not finite"),
    ],
)
def test_bad_input_is_refused(labels, scores, message):
    with pytest.raises(cases.MammoError, match=message):
        metrics.auc(labels, scores)
