"""`gaps`: as_published minus honest, from predictions written by hand beside the records."""

import math

import numpy as np
import pytest

from mammo_tf import artifacts, cases, gaps, pairs
from mammo_tf.evaluation import compare, metrics
from tests import samples


def predicted(seed, patients, *, better=0.0, classes=2, fold=0):
    """Two examples of each patient; `better` moves the answers towards the labels."""
    rng = np.random.default_rng(seed)
    names = [(f"e{p}{k}", f"p{p:03d}", float(p % classes)) for p in patients for k in "ab"]
    examples = [cases.Example(id, patient, (), label) for id, patient, label in names]
    p = rng.dirichlet(np.ones(classes), len(examples))
    p += better * np.eye(classes)[[int(label) for *_, label in names]]
    return artifacts.Predictions.of(examples, p / p.sum(axis=1, keepdims=True), fold)


def two(tmp_path, published, honest, **changes):
    return [
        samples.kept(tmp_path, p, protocol=name, **changes)
        for name, p in (("as_published", published), ("honest", honest))
    ]


def test_the_same_patients_are_paired(tmp_path):
    p, q = predicted(0, range(60), better=0.6), predicted(1, range(60))
    found = gaps.gap(*two(tmp_path, p, q))
    expected = compare.compare(p.labels, p.scores, q.scores, p.patients)
    assert (found.auc.value, found.auc.low) == pytest.approx((expected.auc.value, expected.auc.low), rel=1e-6)
    assert found.p == pytest.approx(expected.auc_p, rel=1e-5)
    assert found.accuracy.value == pytest.approx(expected.accuracy.value)
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx(
        (expected.accuracy.low, expected.accuracy.high), abs=0.03
    )
    assert (found.both, found.either) == (60, 60) and found.auc.method.startswith("paired, ")


def test_other_patients_are_not(tmp_path):
    p, q = predicted(0, range(60), better=0.6), predicted(1, range(60, 110))
    found = gaps.gap(*two(tmp_path, p, q))
    alone = [gaps.intervals.auc(r.labels, r.scores, r.patients) for r in (p, q)]
    expected = pairs.difference(*alone)  # MOVER of two independent intervals
    assert (found.auc.low, found.auc.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.pairing == "unpaired, 0 of 110" and found.auc.method.startswith("unpaired, ")


def test_some_patients_pair_in_part(tmp_path):
    """Half of the patients stand in both, with the same answers: surer than two parts, less sure than one."""
    whole = predicted(0, range(80), better=0.3)
    rows = np.arange(len(whole.ids))

    def cut(low, high):
        chosen = rows[(rows // 2 >= low) & (rows // 2 < high)]
        arrays = {n: getattr(whole, n)[chosen] for n in ("patients", "labels", "scores", "folds")}
        return artifacts.Predictions(tuple(whole.ids[i] for i in chosen), **arrays)

    found = gaps.gap(*two(tmp_path, cut(0, 54), cut(26, 80)))
    apart = pairs.difference(*(gaps.intervals.auc(r.labels, r.scores, r.patients) for r in (cut(0, 54), cut(26, 80))))
    assert found.pairing == "in part, 28 of 80" and found.auc.method.startswith("partly paired, ")
    assert (found.auc.high - found.auc.low) / (apart.high - apart.low) == pytest.approx(
        math.sqrt(1 - 28 / 54), rel=0.2
    )
    assert found.accuracy.high - found.accuracy.low < 0.85 * (apart.high - apart.low)


def test_without_predictions_the_two_intervals_are_taken_as_independent(tmp_path):
    one, other = two(tmp_path, predicted(0, range(30)), None)
    found = gaps.gap(one, other)
    assert found.auc == pairs.difference(one.metrics["auc"], other.metrics["auc"])
    assert math.isnan(found.p) and found.pairing == "from two intervals"


def test_more_than_two_classes_have_a_paired_accuracy(tmp_path):
    names = ("a", "b", "c")
    p, q = predicted(0, range(60), better=0.6, classes=3), predicted(1, range(60), classes=3)
    found = gaps.gap(*two(tmp_path, p, q, class_names=names))
    right = [(r.probabilities.argmax(axis=1) == r.labels).mean() for r in (p, q)]
    assert found.accuracy.value == pytest.approx(right[0] - right[1]) and found.accuracy.low > 0
    assert found.auc.method.startswith("MOVER of two") and math.isnan(found.p)


def test_folds_are_means(tmp_path):
    def dealt(seed, better=0.0):
        parts = [predicted(seed + k, range(40 * k, 40 * k + 40), better=better, fold=k) for k in range(2)]
        return artifacts.Predictions.joined(parts)

    p, q = dealt(0, better=0.6), dealt(10)
    found = gaps.gap(*two(tmp_path, p, q, folds=2))
    aucs = [np.mean([metrics.auc(r.of_fold(k).labels, r.of_fold(k).scores) for k in range(2)]) for r in (p, q)]
    assert found.auc.value == pytest.approx(aucs[0] - aucs[1]) and (found.both, found.either) == (80, 80)


def test_the_table_has_a_row_a_run_and_corrects_its_p_values(tmp_path):
    records = [
        *two(tmp_path, predicted(0, range(60), better=0.6), predicted(1, range(60)), run="one"),
        *two(tmp_path, predicted(2, range(60)), predicted(3, range(60)), run="two"),
        samples.kept(tmp_path, None, run="alone", protocol="honest"),
    ]
    table = gaps.table(records)
    assert [row[0] for row in table.rows] == ["one", "two"]
    column = {name: i for i, name in enumerate(table.columns)}
    ps = [gaps.gap(records[i], records[i + 1]).p for i in (0, 2)]
    expected = [min(1, 2 * min(ps)), max(ps)]
    shown = [row[column["p, Holm"]] for row in table.rows]
    assert shown == ["<0.001" if p < 0.001 else f"{p:.3f}" for p in expected]
    assert table.rows[0][column["patients in both"]] == "paired, 60 of 60"
    assert gaps.table(records[-1:]) is None and gaps.made_of(records[-1:]) is None


def test_gaps_of_few_patients_are_marked(tmp_path):
    found = gaps.gap(*two(tmp_path, predicted(0, range(8)), predicted(1, range(8))))
    assert "few positives (4 patients)" in found.auc.method and "few patients (8)" in found.accuracy.method
