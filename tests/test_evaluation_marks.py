"""`marks`: which word each estimate ends with, and that tables know them all."""

import math

import numpy as np
import pytest

from mammo_tf import tables
from mammo_tf.evaluation import coverage, delong, intervals, marks, wilson


def ratio(right, index, folds=1):
    right, index = np.asarray(right, float), np.asarray(index)
    return wilson.ratios([(right, np.ones(len(right)), index)] * folds, int(index.max()) + 1)


def test_few_patients_of_one_part_and_of_folds():
    twelve = ratio([1, 0] * 6, np.arange(12))
    assert (
        marks.few_patients(twelve) == "" and marks.few_patients(ratio([1, 0] * 4, range(8))) == "; few patients (8)"
    )
    assert marks.few_patients(ratio([1, 0] * 6, np.arange(12), folds=2)) == "; few patients (12)"
    assert marks.few((9, 30)) == "; few positives (9 patients)" and marks.few((12, 30)) == ""
    assert marks.few((12, 30), marks.least(5)) == "; few positives (12 patients)"


def test_bounds_that_are_one_number_or_none():
    assert marks.degenerate(0.1, 0.1 - 1e-17, 0.1 + 1e-17) == "; degenerate" and marks.degenerate(0.1, 0.1, 0.2) == ""
    assert marks.degenerate(0.1, math.nan, math.nan) == "; degenerate: one patient"
    assert marks.degenerate(math.nan, math.nan, math.nan) == ""


@pytest.mark.parametrize(
    ("name", "kind"), [("balanced_accuracy", "balanced"), ("precision", "precision"), ("f1", "f1")]
)
def test_what_both_classes_decide_goes_by_the_patients_of_the_rarer_one(name, kind):
    """As a cell was simulated: n positive patients with four views, whoever was called positive."""
    rng, views = np.random.default_rng(0), 4
    labels, index = np.repeat([1] * 20 + [0] * 50, views), np.repeat(np.arange(70), views)
    said = np.where(rng.random(280) < 0.9, labels, 1 - labels) == 1
    found = intervals.of_counts([(labels, said, index)], 70)[name]
    expected = coverage.mark(kind, found.value, 20, 4, (found.low, found.high))
    assert found.method == "Wilson, clustered" + expected
    few = intervals.of_counts([(labels[60:], said[60:], index[60:] - 15)], 55)[name]
    assert few.method.endswith("; few patients (5)")


def test_a_loss_goes_by_the_cell_of_its_auc_where_there_is_one():
    rng = np.random.default_rng(0)
    labels, index = np.arange(40) % 2, np.arange(40)
    losses, scores = ratio(rng.gamma(2, size=40), index), 3 * labels + rng.normal(size=40)
    ranking = delong.influence([(labels, scores, index)], 40)
    ends = marks.auc_bounds.single(ranking)
    assert marks.of_loss(losses, ranking, (1, 2)) == coverage.mark("log_loss", ranking.value, 20, 1, ends) != ""
    constant = delong.influence([(labels, np.zeros(40), index)], 40)
    assert marks.of_loss(losses, constant, (1, 2)) == ""
    alone = delong.influence([(0 * labels, scores, index)], 40)
    assert marks.of_loss(losses, alone, (1, 2)) == "" and marks.of_loss(losses, alone, (2, 2)) == "; degenerate"
    rare = delong.influence([((index < 3).astype(int), scores, index)], 40)
    assert marks.of_loss(losses, rare, (1, 2)) == "; few positives (3 patients)"


def test_tables_show_a_star_for_each():
    told = [marks.few((1, 1)), marks.degenerate(1, 1, 1), "; simulated coverage 90.0 %"]
    for one in told:
        assert "*" in tables.with_interval(intervals.Estimate(0.5, 0.4, 0.6, 10, f"method{one}"))
