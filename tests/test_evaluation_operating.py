import functools

import numpy as np
import pytest
from sklearn import metrics as peer

from mammo_tf import cases
from mammo_tf.evaluation import intervals, metrics, operating, thresholds

LABELS = [0, 0, 0, 0, 0, 1, 1, 1, 1]
SCORES = [0.1, 0.2, 0.3, 0.6, 0.8, 0.25, 0.7, 0.85, 0.9]


@pytest.mark.parametrize(
    "specificity, threshold",
    [(0.2, 0.15), (0.4, 0.225), (0.6, 0.45), (0.61, 0.65), (0.8, 0.65), (0.81, 0.825), (1.0, 0.825)],
)
def test_at_specificity_is_the_lowest_threshold_that_keeps_it(specificity, threshold):
    assert operating.at_specificity(LABELS, SCORES, specificity=specificity) == pytest.approx(threshold)


def test_at_specificity_against_the_curve_of_a_peer():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    scores = np.round(rng.normal(size=200) + labels, 1)
    fpr, tpr, _ = peer.roc_curve(labels, scores, drop_intermediate=False)
    for wanted in (0.3, 0.8, 0.9, 0.95):
        counts = metrics.count(labels, scores >= operating.at_specificity(labels, scores, specificity=wanted))
        assert metrics.specificity(counts) >= wanted
        assert metrics.recall(counts) == pytest.approx(tpr[1 - fpr >= wanted - 1e-12].max())


def test_a_specificity_that_is_none_is_refused():
    for wrong in (0.0, 1.2):
        with pytest.raises(cases.MammoError, match=rf"specificity {wrong} is not in \(0, 1\]"):
            operating.at_specificity(LABELS, SCORES, specificity=wrong)


def test_closest_is_the_nearest_to_the_corner():
    # squared distances by hand: at 0.45 (2/5)^2 + (1/4)^2 = .2225; at 0.65 (1/5)^2 + (1/4)^2 = .1025; at 0.825 1/4
    assert operating.closest(LABELS, SCORES) == pytest.approx(0.65)
    labels, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    assert operating.closest(labels, scores) == pytest.approx(0.35)  # ties with 0.15: the nearer one to 0.5


def test_the_threshold_comes_from_validation_and_the_rates_from_the_reported_part():
    rng = np.random.default_rng(1)
    labels, patients = rng.integers(0, 2, 120), np.repeat(np.arange(40), 3)
    scores = rng.random(120) * 0.5 + 0.4 * labels
    rule = functools.partial(operating.at_specificity, specificity=0.8)
    found = operating.operate((LABELS, SCORES), (labels, scores, patients), rule)
    assert found.threshold == pytest.approx(0.65) and found.rule == "at_specificity"
    assert found.aimed == (0.75, 0.8)
    expected = intervals.evaluate(labels, scores, patients, threshold=found.threshold)
    assert (found.sensitivity, found.specificity) == (expected["recall"], expected["specificity"])
    assert found.sensitivity.value == pytest.approx(peer.recall_score(labels, scores >= 0.65))
    assert operating.operate((LABELS, SCORES), (labels, scores, patients)).rule == "youden"


def test_the_rules_meet_the_contract_of_choose_threshold():
    assert thresholds.choose_threshold(LABELS, SCORES, operating.closest) == pytest.approx(0.65)
    with pytest.raises(cases.MammoError, match="a threshold needs both"):
        operating.operate(([1, 1], [0.2, 0.3]), (LABELS, SCORES, range(9)))


def test_all_scores_alike_give_a_threshold_all_the_same():
    flat = [0.4] * len(LABELS)
    assert operating.at_specificity(LABELS, flat) > 0.4  # nothing else keeps a specificity of 0.9
    assert np.isfinite(operating.closest(LABELS, flat))
