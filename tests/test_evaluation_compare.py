import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, compare, intervals, metrics


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
    found = [compare.compare(*compare.aligned(*pair(rng))) for _ in range(200)]
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


def test_the_p_of_an_accuracy_is_small_where_its_interval_leaves_out_0():
    rng, seen = np.random.default_rng(0), set()
    for better in np.repeat([0.0, 0.5, 1.0], 10):
        found = compare.compare(*compare.aligned(*pair(rng, better=better)))
        outside = not found.accuracy.low <= 0 <= found.accuracy.high
        assert (found.accuracy_p < 0.05) == outside
        seen.add(outside)
    assert seen == {True, False}


def test_the_accuracy_knows_which_answers_share_a_patient():
    a, b = pair(np.random.default_rng(1), patients=40, views=1, better=1.5)
    labels, ours, theirs = (np.repeat(one, 6) for one in (a.labels, a.scores, b.scores))
    together = compare.compare(labels, ours, theirs, np.repeat(np.arange(40), 6))
    apart = compare.compare(labels, ours, theirs, np.arange(240))
    once = compare.compare(a.labels, a.scores, b.scores, np.arange(40))
    assert apart.accuracy_p < together.accuracy_p / 5
    assert (together.accuracy.low, together.accuracy.high) == pytest.approx(
        (once.accuracy.low, once.accuracy.high), abs=2e-3
    )


def test_the_accuracy_agrees_with_a_bootstrap_over_patients_on_a_large_sample():
    a, b = pair(np.random.default_rng(8), patients=800, better=0.4)
    gain = ((a.scores >= 0.5) == a.labels).astype(float) - ((b.scores >= 0.5) == b.labels)
    index, count = bootstrap.patient_index(a.patients)
    drawn = bootstrap.resample(count, 4000, 0) @ bootstrap.sums(gain[:, None], index, count)[:, 0] / len(gain)
    found = compare.compare(*compare.aligned(a, b))
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx(bootstrap.bounds(drawn)[:2], abs=0.003)
    assert found.accuracy_p == pytest.approx(2 * stats.norm.sf(abs(gain.mean()) / drawn.std()), rel=0.3)
