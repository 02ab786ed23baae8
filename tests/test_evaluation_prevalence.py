"""Predictive values at a stated prevalence: by hand, by counting a population, with intervals."""

import functools
import math

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.evaluation import clustered, metrics, prevalence
from tests.test_evaluation_clustered import cohort


def test_by_hand():
    # of 100,000 women 600 are ill: 540 found; 9,940 of 99,400 alarmed for nothing
    ppv, npv = prevalence.predictive_values(0.9, 0.9, 0.006)
    assert ppv == pytest.approx(540 / (540 + 9940)) and npv == pytest.approx(89460 / (89460 + 60))
    assert prevalence.predictive_values(0.5, 1.0, 0.01)[0] == 1
    assert math.isnan(prevalence.predictive_values(0.0, 1.0, 0.01)[0])


def test_at_the_parts_own_prevalence_they_are_those_of_the_table():
    labels, scores, _ = cohort()
    weights = np.random.default_rng(0).integers(0, 3, (5, len(labels))).astype(float)
    for w in weights:
        counts = metrics.count(np.repeat(labels, w.astype(int)), np.repeat(scores, w.astype(int)) >= 0.4)
        own = float((counts.tp + counts.fn) / w.sum())
        found = prevalence.ppv(labels, scores, w[None], prevalence=own, threshold=0.4)
        assert found == pytest.approx([metrics.precision(counts)])
        found = prevalence.npv(labels, scores, w[None], prevalence=own, threshold=0.4)
        assert found == pytest.approx([counts.tn / (counts.tn + counts.fn)])


def test_intervals_fall_with_the_prevalence():
    part, found = cohort(), {}
    for at in (0.5, 0.1, 0.006):
        statistic = functools.partial(prevalence.ppv, prevalence=at, threshold=0.5)
        found[at] = clustered.estimate([part], statistic, draws=300, stratified=True)
        assert found[at].low < found[at].value < found[at].high
    assert found[0.006].high < found[0.1].low and found[0.1].high < found[0.5].low
    perfect = functools.partial(prevalence.ppv, prevalence=0.006)
    only = clustered.estimate([(part[0], part[0].astype(float), part[2])], perfect, draws=50, stratified=True)
    assert (only.low, only.high) == (1, 1) and only.method.endswith("degenerate")


def test_probabilities_move_to_another_prevalence():
    rng = np.random.default_rng(0)
    labels = (rng.random(200_000) < 0.5).astype(int)
    x = rng.normal(size=200_000) + 1.5 * labels
    p = 1 / (1 + np.exp(-(1.5 * x - 1.125)))  # the true probability at one half
    keep = (labels == 0) | (rng.random(200_000) < 1 / 9)  # now a tenth is positive
    moved = prevalence.shifted(p, 0.5, 0.1)[keep]
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 1.0)):
        of = (moved >= low) & (moved < high)
        assert labels[keep][of].mean() == pytest.approx(moved[of].mean(), abs=0.01)
    assert prevalence.shifted(prevalence.shifted([0.2], 0.5, 0.1), 0.1, 0.5) == pytest.approx([0.2])


def test_what_is_no_prevalence():
    for wrong in (0, 1, -0.1):
        with pytest.raises(cases.MammoError, match="between 0 and 1"):
            prevalence.predictive_values(0.9, 0.9, wrong)
    with pytest.raises(cases.MammoError, match="between 0 and 1"):
        prevalence.shifted([0.5], 0.5, 0.0)
