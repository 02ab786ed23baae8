"""Partial AUCs and rates read off the curve: by hand, by scikit-learn with weights, by numerical integration."""

import functools
import math

import numpy as np
import pytest
from sklearn import metrics as peer

from mammo_tf import cases
from mammo_tf.evaluation import clustered, metrics, operating, partial
from tests.test_evaluation_clustered import cohort

LABELS, SCORES = np.array([1, 0, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.2])
ONES = np.ones((1, 6))  # the curve: (0, 0) (0, 1/3) (1/3, 1/3) (1/3, 1) (1, 1)


def test_areas_by_hand():
    assert partial.auc(LABELS, SCORES, ONES, max_fpr=1 / 3, standardized=False) == pytest.approx([1 / 9])
    assert partial.auc(LABELS, SCORES, ONES, max_fpr=2 / 3, standardized=False) == pytest.approx([1 / 9 + 1 / 3])
    # above a sensitivity of 1/3 the specificity is 2/3 all the way: 2/3 * 2/3
    above = partial.auc_above(LABELS, SCORES, ONES, least=1 / 3, standardized=False)
    assert above == pytest.approx([4 / 9])
    assert partial.auc_above(LABELS, SCORES, ONES, least=0, standardized=False) == pytest.approx([7 / 9])


@pytest.mark.parametrize("max_fpr", [0.037, 0.1, 0.5, 0.999])
def test_the_standardised_area_is_that_of_scikit_learn_draw_by_draw(max_fpr):
    labels, scores, _ = cohort()
    weights = np.random.default_rng(0).integers(0, 3, (6, len(labels))).astype(float)
    found = partial.auc(labels, scores, weights, max_fpr=max_fpr)
    above = partial.auc_above(labels, scores, weights, least=1 - max_fpr)
    for i, w in enumerate(weights):
        how = {"max_fpr": max_fpr, "sample_weight": w}
        assert found[i] == pytest.approx(peer.roc_auc_score(labels, scores, **how))
        assert above[i] == pytest.approx(peer.roc_auc_score(1 - labels, -scores, **how))


def test_the_bare_areas_are_integrals_of_the_curve():
    labels, scores, _ = cohort(1)
    fpr, tpr, _ = metrics.roc_curve(labels, scores)
    x = np.linspace(0, 0.3, 200_001)
    ones = np.ones((1, len(labels)))
    steep = np.maximum.accumulate(fpr + 1e-12 * np.arange(len(fpr)))  # so that interp sees a function
    expected = np.trapezoid(np.interp(x, steep, tpr), x)
    assert partial.auc(labels, scores, ones, max_fpr=0.3, standardized=False) == pytest.approx([expected], abs=1e-5)
    y = np.linspace(0.8, 1, 200_001)
    steep = np.maximum.accumulate(tpr + 1e-12 * np.arange(len(tpr)))
    expected = np.trapezoid(1 - np.interp(y, steep, fpr), y)
    found = partial.auc_above(labels, scores, ones, least=0.8, standardized=False)
    assert found == pytest.approx([expected], abs=1e-5)


def test_chance_is_one_half_and_perfection_one():
    flat, ones = np.full(6, 0.5), ONES
    assert partial.auc(LABELS, flat, ones, max_fpr=0.2) == pytest.approx([0.5])
    assert partial.auc_above(LABELS, flat, ones, least=0.7) == pytest.approx([0.5])
    assert partial.auc(LABELS, LABELS.astype(float), ones, max_fpr=0.01) == pytest.approx([1])
    assert partial.auc(LABELS, SCORES, ones, max_fpr=1) == pytest.approx([metrics.auc(LABELS, SCORES)])


def test_rates_read_off_by_hand():
    for least, expected in ((1, 1 / 3), (0.67, 1 / 3), (2 / 3, 1), (0, 1)):
        assert partial.sensitivity(LABELS, SCORES, ONES, specificity=least) == pytest.approx([expected])
    for least, expected in ((1, 2 / 3), (0.34, 2 / 3), (1 / 3, 1), (0, 1)):
        assert partial.specificity(LABELS, SCORES, ONES, sensitivity=least) == pytest.approx([expected])


def test_the_rate_read_off_is_that_of_the_threshold_that_the_part_itself_would_choose():
    labels, scores, patients = cohort(2)
    ones = np.ones((1, len(labels)))
    for wanted in (0.3, 0.8, 0.95):
        counts = metrics.count(labels, scores >= operating.at_specificity(labels, scores, specificity=wanted))
        found = partial.sensitivity(labels, scores, ones, specificity=wanted)
        assert found == pytest.approx([metrics.recall(counts)])
    flipped = partial.sensitivity(1 - labels, -scores, ones, specificity=0.8)
    assert partial.specificity(labels, scores, ones, sensitivity=0.8) == pytest.approx(flipped)
    statistic = functools.partial(partial.sensitivity, specificity=0.8)
    found = clustered.estimate([(labels, scores, patients)], statistic, draws=300)
    assert found.low < found.value < found.high


def test_the_interval_of_a_partial_area_covers():
    rng = np.random.default_rng(0)
    big = np.repeat([0, 1], 200_000)
    truth = partial.auc(big, rng.normal(size=400_000) + 1.2 * big, np.ones((1, 400_000)), max_fpr=0.2)[0]
    covered = 0
    for _ in range(150):
        labels = np.repeat(np.arange(100) % 2, 2)
        part = labels, rng.normal(size=200) + 1.2 * labels, np.repeat(np.arange(100), 2)
        found = clustered.estimate([part], functools.partial(partial.auc, max_fpr=0.2), draws=200)
        covered += found.low <= truth <= found.high
    assert covered / 150 > 0.88


def test_a_missing_class_and_what_is_no_rate():
    one_class = np.zeros(6, int)
    for statistic in (partial.auc, partial.auc_above, partial.sensitivity, partial.specificity):
        assert math.isnan(statistic(one_class, SCORES, ONES)[0])
    for statistic, wrong in (
        (partial.auc, {"max_fpr": 0}),
        (partial.auc_above, {"least": 1}),
        (partial.sensitivity, {"specificity": 1.2}),
        (partial.specificity, {"sensitivity": -0.1}),
    ):
        with pytest.raises(cases.MammoError, match=r"in [\[(]0, 1"):
            statistic(LABELS, SCORES, ONES, **wrong)
