import numpy as np
import pytest
from sklearn import metrics as peer

from mammo_tf.evaluation import bootstrap


def test_draws_are_multinomial_counts_of_the_patients():
    weights = bootstrap.resample(50, 4000, seed=0)
    assert weights.shape == (4000, 50) and (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(50), abs=0.08)
    assert weights.var() == pytest.approx(1 - 1 / 50, abs=0.02)
    np.testing.assert_array_equal(weights, bootstrap.resample(50, 4000, seed=0))
    assert (weights != bootstrap.resample(50, 4000, seed=1)).any()


def test_sums_over_the_examples_of_each_patient():
    values = np.array([[1, 0.5], [2, 0.25], [4, 0], [8, 1]])
    assert bootstrap.sums(values, np.array([2, 0, 2, 2]), 4).tolist() == [[2, 0.25], [0, 0], [13, 1.5], [0, 0]]


@pytest.mark.parametrize("digits", [1, 8])
def test_the_auc_of_every_draw_is_that_of_the_repeated_examples(digits, monkeypatch):
    rng = np.random.default_rng(0)
    labels, index = rng.integers(0, 2, 60), rng.integers(0, 12, 60)
    scores = np.round(rng.normal(size=60) + labels, digits)
    weights = bootstrap.resample(12, 40, seed=0)
    expected = []
    for row in weights:
        repeats = row[index].astype(int)
        expected.append(peer.roc_auc_score(np.repeat(labels, repeats), np.repeat(scores, repeats)))
    np.testing.assert_allclose(bootstrap.auc_draws(labels, scores, index, weights), expected)
    monkeypatch.setattr(bootstrap, "BLOCK", 7 * 60)  # blocks of seven draws, the last one short
    np.testing.assert_allclose(bootstrap.auc_draws(labels, scores, index, weights), expected)


def test_draws_of_one_class_have_no_auc():
    weights = np.array([[1.0, 1.0], [2.0, 0.0]])
    aucs = bootstrap.auc_draws(np.array([0, 1]), np.array([0.3, 0.4]), np.array([0, 1]), weights)
    assert aucs[0] == 1 and np.isnan(aucs[1])


def test_bounds_are_percentiles_of_what_is_defined():
    values = np.append(np.arange(101.0), np.full(99, np.nan))
    assert bootstrap.bounds(values) == pytest.approx((2.5, 97.5, 0.495))
    low, high, undefined = bootstrap.bounds(np.full(5, np.nan))
    assert np.isnan([low, high]).all() and undefined == 1
