import json
import math

import numpy as np
import pytest
from scipy import stats

from mammo_tf import cases
from mammo_tf.evaluation import coverage, intervals, metrics

KEYS = {"accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "log_loss", "auc"}


def cohort(rng, patients=60, views=4, gap=1.2):
    """Binormal scores squeezed to (0, 1); the views of a patient share her label and half of the noise's variance."""
    labels = np.repeat(np.arange(patients) % 2, views)
    noise = np.repeat(rng.normal(size=patients), views) + rng.normal(size=patients * views)
    groups = np.repeat([f"p{i}" for i in range(patients)], views)
    return labels, 1 / (1 + np.exp(gap / 2 - gap * labels - noise)), groups


def test_values_are_the_point_metrics_and_lie_in_their_intervals():
    labels, scores, groups = cohort(np.random.default_rng(0))
    found = intervals.evaluate(labels, scores, groups)
    assert set(found) == KEYS
    counts = metrics.count(labels, scores >= 0.5)
    for name, metric in metrics.OF_COUNTS.items():
        assert found[name].value == pytest.approx(metric(counts))
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(labels, scores))
    assert found["auc"].value == pytest.approx(metrics.auc(labels, scores))
    for estimate in found.values():
        assert estimate.low < estimate.value < estimate.high and (estimate.n, estimate.patients) == (240, 60)
    assert found["auc"].method == "score interval, clustered DeLong"
    assert found["accuracy"].method == found["f1"].method == "Wilson, clustered"
    assert found["log_loss"].method.startswith("Student over patients, of the logarithm")


def test_the_order_of_examples_does_not_matter():
    labels, scores, groups = cohort(np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(len(labels))
    one = intervals.evaluate(labels, scores, groups)
    two = intervals.evaluate(labels[order], scores[order], groups[order])
    for name in KEYS:
        assert (one[name].low, one[name].high) == pytest.approx((two[name].low, two[name].high))


def test_the_log_loss_has_the_bounds_of_students_test_on_the_scale_of_logarithms():
    """One example a patient: the standard error is scipy's; by the delta method log M varies by that over M."""
    labels, scores, _ = cohort(np.random.default_rng(3), views=1)
    losses = metrics.log_losses(labels, scores)
    low, high = stats.ttest_1samp(losses, 0).confidence_interval()
    mean, half = losses.mean(), (high - low) / 2
    found = intervals.evaluate(labels, scores, np.arange(len(labels)))["log_loss"]
    assert (found.low, found.high) == pytest.approx((mean * np.exp(-half / mean), mean * np.exp(half / mean)))
    plain = intervals.mean(losses, np.arange(len(labels)))
    assert (plain.low, plain.high) == pytest.approx((low, high)) and plain.method == "Student over patients"


def test_bounds_that_are_none_are_told():
    one, other = (
        intervals.evaluate([0, 1], [0.3, 0.9], ["a", "a"])["log_loss"],
        intervals.mean([0.5, 0.7], ["a", "a"]),
    )
    for found in (one, other):
        assert math.isnan(found.low) and found.method.endswith("; degenerate: one patient")
    assert intervals.mean([0.1] * 3, list("abc")).method.endswith("; degenerate")  # but for rounding
    same = intervals.evaluate([0, 1] * 30, [0.5] * 60, np.arange(60))["log_loss"]
    assert same.low == pytest.approx(same.high) and same.method.endswith("logarithm; degenerate")
    alone = intervals.evaluate([0] * 100, np.linspace(0.1, 0.4, 100), np.arange(100))["log_loss"]
    assert alone.method == "Student over patients, of the logarithm"  # of one class too
    assert intervals.evaluate([0] * 5, np.linspace(0.1, 0.4, 5), np.arange(5))["log_loss"].method.endswith("(5)")


def test_the_log_loss_is_marked_by_the_cell_of_its_auc():
    labels, scores, groups = cohort(np.random.default_rng(0), patients=20, gap=6)
    found = intervals.evaluate(labels, scores, groups)
    expected = coverage.mark("log_loss", found["auc"].value, 10, 4, (found["auc"].low, found["auc"].high))
    assert expected and found["log_loss"].method.endswith(expected)
    few = intervals.evaluate(*cohort(np.random.default_rng(0), patients=19))["log_loss"]
    assert few.method.endswith("; few positives (9 patients)")


def test_with_one_example_a_patient_accuracy_is_near_the_binomial_interval():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    scores = np.where(rng.random(400) < 0.8, labels, 1 - labels).astype(float)
    found = intervals.evaluate(labels, scores, np.arange(400))["accuracy"]
    low, high = stats.binomtest(round(400 * found.value), 400).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)  # but for n / (n - 1) in the variance


def test_bootstrap_and_delong_agree_on_a_large_sample():
    labels, scores, groups = cohort(np.random.default_rng(5), patients=300)
    one, two = intervals.auc(labels, scores, groups), intervals.auc_bootstrap(labels, scores, groups)
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=0.006)
    assert one.value == pytest.approx(two.value) and one.high - one.low > 0.03


def test_the_clustered_interval_covers_where_the_plain_one_does_not():
    rng = np.random.default_rng(0)
    truth = stats.norm.cdf(1.2 / 2)  # score difference of two patients: mean 1.2, variance 2 * (1 + 1)
    clustered = plain = 0
    for _ in range(400):
        labels, scores, groups = cohort(rng)
        one = intervals.auc(labels, scores, groups)
        other = intervals.auc(labels, scores, np.arange(len(labels)))
        clustered += one.low <= truth <= one.high
        plain += other.low <= truth <= other.high
    assert clustered / 400 > 0.92  # 0.95 less 2.8 standard errors
    assert plain / 400 < 0.82


def test_few_patients_and_perfect_ranks_are_marked():
    labels, scores, groups = cohort(np.random.default_rng(0), patients=19)
    assert intervals.auc(labels, scores, groups).method.endswith("; few positives (9 patients)")
    perfect = intervals.auc([0] * 25 + [1] * 25, np.linspace(0, 1, 50), np.arange(50))
    assert perfect.value == perfect.high == 1 and 0.85 < perfect.low < 0.95
    assert "few" not in perfect.method
    assert "few negatives (2 patients)" in intervals.auc([0, 0, 1, 1], [0.1, 0.5, 0.4, 0.9], np.arange(4)).method
    assert intervals.evaluate([0, 1], [0.1, 0.9], ["a", "b"])["recall"].method.endswith("; few patients (1)")


def test_undefined_metrics_are_nan_with_a_word_why():
    found = intervals.evaluate([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], list("abcd"))
    assert math.isnan(found["precision"].value) and found["precision"].method == "undefined for these answers"
    one_class = intervals.evaluate([0, 0], [0.1, 0.6], list("ab"))
    assert math.isnan(one_class["auc"].value) and one_class["auc"].method == "undefined: one class alone"
    rare = intervals.evaluate([0, 1, 1, 0], [0.1, 0.6, 0.2, 0.3], list("abcd"))["precision"]
    assert rare.value == rare.high == 1 and rare.low == pytest.approx(1 / (1 + 1.959964**2), abs=1e-6)  # n = 1


def test_estimates_go_to_json_and_back():
    found = intervals.evaluate([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], list("abcd"))
    text = json.dumps({name: e.as_dict() for name, e in found.items()}, allow_nan=False)
    again = {name: intervals.Estimate.from_dict(fields) for name, fields in json.loads(text).items()}
    assert again["accuracy"] == found["accuracy"] and again["precision"].n == 4
    assert json.loads(text)["precision"]["low"] is None and math.isnan(again["precision"].low)


def test_the_majority_row_answers_the_training_share():
    train, labels = [0] * 70 + [1] * 30, np.array([0] * 60 + [1] * 40)
    found = intervals.majority_row(train, labels, np.arange(100))
    assert found["accuracy"].value == pytest.approx(0.6) and found["accuracy"].low < 0.6 < found["accuracy"].high
    assert (found["recall"].value, found["recall"].low, found["recall"].high) == (0, 0, 0)
    assert found["recall"].method == found["auc"].method == "constant answer: exact"
    assert found["auc"].value == 0.5 and math.isnan(found["precision"].value)
    expected = -(0.6 * math.log(0.7) + 0.4 * math.log(0.3))
    assert found["log_loss"].value == pytest.approx(expected)
    assert intervals.majority_row([0, 1, 1], labels, np.arange(100))["accuracy"].value == pytest.approx(0.4)


def test_mean_is_clustered_and_counts_what_is_defined():
    groups = np.repeat(np.arange(30), 5)
    values = np.repeat(np.random.default_rng(0).normal(size=30), 5)
    found = intervals.mean(np.append(values, np.nan), np.append(groups, 99))
    assert found.value == pytest.approx(values.mean()) and (found.n, found.patients) == (150, 30)
    naive = intervals.mean(values, np.arange(150))
    assert (found.high - found.low) > 1.9 * (naive.high - naive.low)  # sqrt(5) = 2.2
    assert intervals.mean([], []).n == 0 and math.isnan(intervals.mean([np.nan], ["a"]).value)


def test_between_seeds():
    assert intervals.between_seeds([1.0, 2.0, 3.0]) == (2.0, 1.0, 3)
    mean, deviation, count = intervals.between_seeds([0.7])
    assert (mean, count) == (0.7, 1) and math.isnan(deviation)
    with pytest.raises(cases.MammoError, match="no values"):
        intervals.between_seeds([])


def test_patients_of_another_length_are_refused():
    with pytest.raises(cases.MammoError, match="3 patients for 2 examples"):
        intervals.evaluate([0, 1], [0.1, 0.9], list("abc"))
