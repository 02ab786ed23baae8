"""`measure`: one split, several, more than two classes; by hand and against the modules of `evaluation`."""

import dataclasses
import math

import numpy as np
import pytest
from sklearn import metrics as peer

from mammo_tf import artifacts, audit, cases, measure, run
from mammo_tf.evaluation import intervals

RULES = run.Rules("honest", "test")
SHOWN = artifacts.Shown("a toy", ("benign", "malignant"), 50)


def examples(prefix, labels):
    return tuple(cases.Example(f"{prefix}{i}", f"p{prefix}{i}", (), float(k)) for i, k in enumerate(labels))


@dataclasses.dataclass
class Fake:
    """Answers by example id; what it was asked for stands in `asked`."""

    answers: dict
    history: tuple = ()
    best_epoch: int | None = None
    val_reads: int = 0

    def __post_init__(self):
        self.asked = []

    def __call__(self, part):
        self.asked.append([e.id for e in part])
        return np.array([self.answers[e.id] for e in part], np.float32)


def split(fold=0, *, classes=2, seed=0):
    """Parts of 12, 6 and 6 examples, and a fitted method whose answers are right more often than not."""
    rng = np.random.default_rng([seed, fold])
    parts = [examples(f"f{fold}{name}", np.arange(n) % classes) for name, n in (("t", 12), ("v", 6), ("x", 6))]
    answers = {}
    for e in (*parts[1], *parts[2]):
        p = rng.dirichlet(np.ones(classes)) + np.eye(classes)[int(e.label)] * 0.15
        answers[e.id] = p / p.sum()
    history = [{"epoch": k + 1, "accuracy": 0.6 + 0.1 * fold, "val_accuracy": 0.5 + 0.1 * k} for k in range(2)]
    return cases.Splits(*parts, fold=fold), Fake(answers, tuple(history), 1 + fold % 2, val_reads=2)


def scored(tmp_path, rules=RULES, **facts):
    parts, fitted = split(**facts)
    return measure.predict(rules, parts, fitted, audit.Ledger(tmp_path / f"reads{parts.fold}.json")), fitted


def test_the_reported_part_is_predicted_once_and_the_threshold_is_of_validation(tmp_path):
    one, fitted = scored(tmp_path)
    assert fitted.asked == [list(one.validation.ids), list(one.reported.ids)]
    rates = peer.roc_curve(one.validation.labels, one.validation.scores)
    best = (rates[1] - rates[0]).max()
    called = one.validation.scores >= one.threshold
    found = called[one.validation.labels == 1].mean() - called[one.validation.labels == 0].mean()
    assert found == pytest.approx(best)
    assert one.test_reads == 1 and audit.Ledger(tmp_path / "reads0.json").count("val") == 3  # two epochs, threshold


def test_where_validation_is_reported_it_is_not_predicted_again(tmp_path):
    one, fitted = scored(tmp_path, rules=run.Rules("as_published", "val"))
    assert len(fitted.asked) == 1 and one.reported is one.validation
    assert one.test_reads == 4  # two epochs, threshold, the report


def test_one_split_is_measured_by_intervals(tmp_path):
    one, _ = scored(tmp_path)
    predictions, fields = measure.measure(RULES, [one], SHOWN, seed=3)
    p = one.reported
    assert predictions is p
    assert fields["metrics"] == intervals.evaluate(p.labels, p.scores, p.patients)
    tuned = intervals.evaluate(p.labels, p.scores, p.patients, threshold=one.threshold)
    assert fields["tuned"]["recall"] == tuned["recall"]
    assert fields["threshold"] == pytest.approx(one.threshold) and fields["threshold_rule"] == "youden"
    assert fields["majority"]["accuracy"].value == 0.5
    assert fields["training"]["best_epoch"] == 1 and fields["training"]["epochs"] == 2


def test_several_splits_are_averaged_and_never_pooled(tmp_path):
    some = [scored(tmp_path, fold=k)[0] for k in range(3)]
    predictions, fields = measure.measure(RULES, some, SHOWN, seed=0)
    assert predictions.folds.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    aucs = [peer.roc_auc_score(s.reported.labels, s.reported.scores) for s in some]
    assert fields["metrics"]["auc"].value == pytest.approx(np.mean(aucs))
    assert len(set(aucs)) > 1 and fields["metrics"]["auc"].n == 18
    validation = [peer.roc_auc_score(s.validation.labels, s.validation.scores) for s in some]
    assert fields["validation"]["auc"].value == pytest.approx(np.mean(validation))
    right = [((s.reported.scores >= s.threshold) == s.reported.labels).mean() for s in some]
    assert fields["tuned"]["accuracy"].value == pytest.approx(np.mean(right))
    assert fields["majority"]["auc"].value == 0.5
    assert fields["threshold"] == pytest.approx(np.mean([s.threshold for s in some]))
    assert fields["training"]["train_accuracy"] == pytest.approx(0.7)  # 0.6, 0.7, 0.8
    assert fields["training"]["best_epoch"] == 1 and isinstance(fields["training"]["best_epoch"], int)  # 1, 2, 1


def test_more_than_two_classes_have_recalls_and_no_threshold(tmp_path):
    one, _ = scored(tmp_path, classes=3)
    shown = dataclasses.replace(SHOWN, class_names=("background", "mass", "calcification"))
    predictions, fields = measure.measure(RULES, [one], shown, seed=0)
    assert math.isnan(fields["threshold"]) and fields["tuned"] == {}
    answers = predictions.probabilities.argmax(axis=1)
    recalls = peer.recall_score(predictions.labels, answers, average=None)
    for name, recall in zip(shown.class_names, recalls, strict=True):
        assert fields["metrics"][f"recall: {name}"].value == pytest.approx(recall)
    auc = peer.roc_auc_score(predictions.labels, predictions.probabilities, multi_class="ovr")
    assert fields["metrics"]["auc"].value == pytest.approx(auc, abs=1e-6)
    assert fields["majority"]["balanced_accuracy"].value == pytest.approx(1 / 3)


def test_the_record_knows_the_splits_as_dealt_and_the_sizes_as_sampled():
    splits = [split(fold=k)[0] for k in range(2)]
    dealt = [dataclasses.replace(s, dropped=("p1", "p2")) for s in splits]
    sampled = [dataclasses.replace(s, train=s.train[:4]) for s in dealt]
    fields = measure.of_splits(run.Rules("honest", "test", leaks=("a flaw",)), dealt, sampled)
    assert fields["folds"] == 2 and fields["sizes"]["train"]["examples"] == 4 and fields["leaks"] == ["a flaw"]
    assert fields["audit"]["dropped_patients"] == 2 and fields["audit"]["test"]["patient_share"] == 0
    again = measure.of_splits(RULES, dealt, dealt)
    assert fields["split"] == again["split"]  # of the patients as dealt, not of what was sampled of them
    assert fields["split"] != measure.of_splits(RULES, dealt[:1], dealt[:1])["split"]


def test_facts_of_a_split_without_epochs_are_not_averaged():
    parts = [{"best_epoch": 2, "epochs": 3}, {}]
    assert measure._mean_facts(parts) == parts[0]
    assert measure._mean_facts([{}, {}]) == {}


def test_several_splits_of_more_classes_are_refused_and_a_missing_validation_part_is_none(tmp_path):
    both = [scored(tmp_path, fold=k, classes=3)[0] for k in range(2)]
    with pytest.raises(cases.MammoError, match="2 splits of more than two classes"):
        measure.measure(RULES, both, dataclasses.replace(SHOWN, class_names=("a", "b", "c")), seed=0)
    lone = dataclasses.replace(both[0], validation=None)
    _, fields = measure.measure(RULES, [lone], dataclasses.replace(SHOWN, class_names=("a", "b", "c")), seed=0)
    assert fields["validation"] == {} and fields["metrics"]["accuracy"].n == 6
