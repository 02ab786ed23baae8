"""The rows of one run: each is what its own module gives; several folds are never pooled."""

import functools

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.evaluation import calibration, clustered, folds, intervals, partial, prevalence, summary
from tests.test_evaluation_clustered import cohort

ASKED = summary.Asked(specificity=0.8, sensitivity=0.7, threshold=0.4, prevalence=0.01, bins=5, draws=100, seed=3)


def by_key(parts, asked=ASKED):
    return {row.key: row.estimate for row in summary.rows(parts, asked)}


def test_every_row_is_what_its_module_gives():
    part = cohort()
    found = by_key([part])
    at = {
        "partial_auc_specificity": functools.partial(partial.auc, max_fpr=1 - 0.8),
        "partial_auc_sensitivity": functools.partial(partial.auc_above, least=0.7),
        "sensitivity_at": functools.partial(partial.sensitivity, specificity=0.8),
        "specificity_at": functools.partial(partial.specificity, sensitivity=0.7),
        "ece": functools.partial(calibration.ece, bins=5),
        "calibration_slope": calibration.slope,
    }
    for key, statistic in at.items():
        assert found[key] == clustered.estimate([part], statistic, draws=100, seed=3), key
    assert found["auc"] == intervals.auc(*part)
    measured = intervals.evaluate(*part, threshold=0.4)
    for key, name in (("sensitivity", "recall"), ("specificity", "specificity"), ("ppv", "precision")):
        assert found[key].value == pytest.approx(measured[name].value)
        assert (found[key].low, found[key].high) == pytest.approx((measured[name].low, measured[name].high))
    rates = measured["recall"].value, measured["specificity"].value
    expected = prevalence.predictive_values(*rates, 0.01)
    assert (found["ppv_at_prevalence"].value, found["npv_at_prevalence"].value) == pytest.approx(expected)
    assert found["ece_if_calibrated"].low < found["ece_if_calibrated"].value < found["ece_if_calibrated"].high


def test_several_folds_are_means_and_shifted_scores_of_one_fold_do_not_matter():
    labels, scores, patients = cohort(1)
    parts = [cohort(0), (labels, scores, patients)]
    moved = [parts[0], (labels, scores / 4, patients)]  # another scale, the same ranking
    both, other = by_key(parts), by_key(moved)
    each = [by_key([part]) for part in parts]
    for key in ("auc", "average_precision", "partial_auc_specificity", "sensitivity_at"):
        assert both[key].value == pytest.approx(np.mean([one[key].value for one in each]))
        assert other[key].value == pytest.approx(both[key].value)
    assert both["auc"] == folds.evaluate(parts)["auc"]
    assert np.isnan(both["ece_if_calibrated"].low)


def test_scores_that_are_no_probabilities_have_no_calibration():
    labels, scores, patients = cohort()
    found = by_key([(labels, 3 * scores, patients)])
    assert "brier" not in found and "ece" not in found and "auc" in found
    assert not summary.are_probabilities([(labels, 3 * scores, patients)])


def test_what_is_not_asked_is_not_told_and_faults_pass_on():
    keys = set(by_key([cohort()], summary.Asked(draws=20, specificity=1.0, sensitivity=1.0)))
    assert not keys & {"ppv_at_prevalence", "partial_auc_specificity", "partial_auc_sensitivity"}
    with pytest.raises(cases.MammoError, match="labels are neither 0 nor 1"):
        by_key([([0, 2], [0.1, 0.2], ["a", "b"])])
