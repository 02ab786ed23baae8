import dataclasses
import math

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.evaluation import compare, intervals, metrics


@dataclasses.dataclass(frozen=True)
class Predictions:
    ids: tuple
    patients: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def pair(rng, patients=60, views=3, better=0.0):
    """Two classifiers that share half of what they see; `better` is the advantage of the first."""
    labels = np.repeat(np.arange(patients) % 2, views)
    groups = np.repeat([f"p{i:03d}" for i in range(patients)], views)
    common = np.repeat(rng.normal(size=patients), views) + 1.5 * (labels - 0.5)
    a, b = (common + rng.normal(size=len(labels)) + gap * (labels - 0.5) for gap in (better, 0.0))
    ids = tuple(f"e{i:04d}" for i in range(len(labels)))
    a, b = (1 / (1 + np.exp(-s)) for s in (a, b))
    return Predictions(ids, groups, labels, a), Predictions(ids, groups, labels, b)


def test_differences_are_those_of_the_metrics():
    a, b = pair(np.random.default_rng(0), better=1.0)
    found = compare.compare(*compare.aligned(a, b))
    assert found.auc.value == pytest.approx(metrics.auc(a.labels, a.scores) - metrics.auc(b.labels, b.scores))
    right = [((p.scores >= 0.5) == p.labels).mean() for p in (a, b)]
    assert found.accuracy.value == pytest.approx(right[0] - right[1])
    assert found.auc.low < found.auc.value < found.auc.high and (found.auc.n, found.auc.patients) == (180, 60)


def test_a_clear_difference_is_found_and_none_is_not():
    clear = compare.compare(*compare.aligned(*pair(np.random.default_rng(1), better=3.0)))
    assert clear.auc_p < 1e-3 and clear.auc.low > 0 and clear.accuracy_p < 0.01 and clear.accuracy.low > 0
    same = pair(np.random.default_rng(2))[0]
    found = compare.compare(*compare.aligned(same, same))
    assert (found.auc.value, found.auc.low, found.auc.high, found.auc_p) == (0, 0, 0, 1)
    assert found.auc.method.endswith("degenerate: one ranking")
    assert found.accuracy.value == 0 and found.accuracy_p == 1


def test_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(3)
    found = [compare.compare(*compare.aligned(*pair(rng)), draws=200) for _ in range(200)]
    assert np.mean([c.auc_p < 0.1 for c in found]) == pytest.approx(0.1, abs=0.065)
    assert np.mean([c.accuracy_p < 0.1 for c in found]) == pytest.approx(0.1, abs=0.065)


def test_swapping_the_two_flips_the_sign():
    a, b = pair(np.random.default_rng(4), better=0.5)
    one, two = compare.compare(*compare.aligned(a, b)), compare.compare(*compare.aligned(b, a))
    assert one.auc.value == pytest.approx(-two.auc.value) and one.auc_p == pytest.approx(two.auc_p)
    assert one.auc.low == pytest.approx(-two.auc.high)


def test_pairing_is_sharper_than_two_intervals():
    a, b = pair(np.random.default_rng(5), better=0.5)
    found = compare.compare(*compare.aligned(a, b)).auc
    apart = [intervals.auc(p.labels, p.scores, p.patients) for p in (a, b)]
    assert found.high - found.low < 0.8 * math.hypot(*(e.high - e.low for e in apart))


def test_rows_are_matched_by_id():
    a, b = pair(np.random.default_rng(6), better=0.5)
    order = np.random.default_rng(0).permutation(len(b.ids))
    shuffled = Predictions(tuple(b.ids[i] for i in order), b.patients[order], b.labels[order], b.scores[order])
    np.testing.assert_array_equal(compare.aligned(a, shuffled)[2], b.scores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": tuple(f"x{i}" for i in range(180))}, "different examples: 180 of 180"),
        ({"ids": ("e0001",) * 180}, "179 example ids repeat"),
        ({"patients": np.array(["q"] * 180)}, "patients of 180 of 180 examples differ"),
        ({"labels": np.zeros(180, int)}, "labels of 90 of 180 examples differ"),
    ],
)
def test_other_examples_patients_or_labels_are_refused(change, message):
    a, b = pair(np.random.default_rng(7))
    with pytest.raises(cases.MammoError, match=message):
        compare.aligned(a, dataclasses.replace(b, **change))


def test_the_p_of_a_mean_is_small_where_its_interval_leaves_out_0():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 2)
    far = 0.5 + rng.normal(size=100)
    assert compare.p_of_mean(far, groups, draws=400) < 0.05 and intervals.mean(far, groups, draws=400).low > 0
    assert compare.p_of_mean(-far, groups, draws=400) == compare.p_of_mean(far, groups, draws=400)
    assert compare.p_of_mean(np.zeros(100), groups, draws=400) == 1
    assert compare.p_of_mean(np.ones(100), groups, draws=400) == pytest.approx(2 / 401)


def test_the_p_of_a_mean_knows_which_values_share_a_patient():
    values = np.repeat(np.random.default_rng(1).normal(0.35, 1, size=25), 8)
    apart = compare.p_of_mean(values, np.arange(200), draws=2000)
    together = compare.p_of_mean(values, np.repeat(np.arange(25), 8), draws=2000)
    assert apart < together / 5


def test_the_p_of_a_gain_in_accuracy_is_that_of_compare():
    a, b = pair(np.random.default_rng(8), better=0.4)
    gain = ((a.scores >= 0.5) == a.labels).astype(float) - ((b.scores >= 0.5) == b.labels)
    found = compare.compare(*compare.aligned(a, b), draws=300, seed=5)
    assert compare.p_of_mean(gain, a.patients, draws=300, seed=5) == found.accuracy_p
