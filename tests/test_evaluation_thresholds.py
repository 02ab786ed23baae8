import functools

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.evaluation import metrics, thresholds

LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 0, 1, 1])
SCORES = np.array([0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.55, 0.7, 0.9])


def test_rules_by_hand():
    # at 0.35: one false positive, J = 6/7; at 0.625: one miss, J = 2/3, as many right and nearer to 0.5
    assert thresholds.youden(LABELS, SCORES) == pytest.approx(0.35)
    assert thresholds.max_accuracy(LABELS, SCORES) == pytest.approx(0.625)
    assert thresholds.fixed(LABELS, SCORES) == 0.5
    assert thresholds.choose_threshold(LABELS, SCORES, functools.partial(thresholds.fixed, value=0.3)) == 0.3


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_is_better(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 50)
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 2)
    every = [metrics.count(labels, scores >= t) for t in np.linspace(-0.001, 1.001, 1003)]
    chosen = metrics.count(labels, scores >= thresholds.max_accuracy(labels, scores))
    assert metrics.accuracy(chosen) == max(metrics.accuracy(c) for c in every)
    chosen = metrics.count(labels, scores >= thresholds.youden(labels, scores))
    assert metrics.balanced_accuracy(chosen) == pytest.approx(max(metrics.balanced_accuracy(c) for c in every))


def test_scores_that_say_nothing_put_all_in_the_larger_class():
    assert (np.full(5, 0.7) < thresholds.max_accuracy([0, 0, 0, 0, 1], np.full(5, 0.7))).all()
    assert (np.full(5, 0.7) >= thresholds.max_accuracy([1, 1, 1, 1, 0], np.full(5, 0.7))).all()
    assert (np.full(5, 1.0) < thresholds.max_accuracy([0, 0, 0, 0, 1], np.full(5, 1.0))).all()


def test_validation_without_a_class_is_refused():
    with pytest.raises(cases.MammoError, match="3 examples of class 0 and 0 of class 1"):
        thresholds.choose_threshold([0, 0, 0], [0.1, 0.2, 0.3], thresholds.youden)
