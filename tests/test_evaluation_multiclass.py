import math

import numpy as np
import pytest
from sklearn import metrics as peer

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, intervals, metrics, multiclass

NAMES = ("background", "malignant mass", "benign mass", "malignant calcification", "benign calcification")


def cohort(seed=0, patients=60, each=5, classes=5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, patients * each)
    p = rng.dirichlet(np.ones(classes), size=len(labels)) + 0.5 * np.eye(classes)[labels]
    return labels, p / p.sum(axis=1, keepdims=True), np.repeat(np.arange(patients), each)


def test_every_value_is_that_of_scikit_learn():
    labels, p, patients = cohort()
    found = multiclass.evaluate(labels, p, patients, NAMES, draws=200)
    said = p.argmax(axis=1)
    assert found["accuracy"].value == pytest.approx(peer.accuracy_score(labels, said))
    assert found["balanced_accuracy"].value == pytest.approx(peer.balanced_accuracy_score(labels, said))
    assert found["auc"].value == pytest.approx(peer.roc_auc_score(labels, p, multi_class="ovr", average="macro"))
    assert found["log_loss"].value == pytest.approx(peer.log_loss(labels, p))
    recalls = peer.recall_score(labels, said, average=None)
    assert [found[f"recall: {name}"].value for name in NAMES] == pytest.approx(recalls)
    np.testing.assert_array_equal(multiclass.confusion_matrix(labels, p), peer.confusion_matrix(labels, said))
    assert set(found) == {"accuracy", "balanced_accuracy", "auc", "log_loss", *(f"recall: {n}" for n in NAMES)}
    for name, estimate in found.items():
        assert estimate.low < estimate.value < estimate.high and (estimate.n, estimate.patients) == (300, 60)
        counted = name == "accuracy" or name.startswith("recall")
        other = "Student over patients" if name == "log_loss" else "clustered bootstrap, 200 draws"
        assert estimate.method.startswith("Wilson, clustered" if counted else other)


def test_the_intervals_are_those_of_a_plain_loop_over_drawn_patients():
    labels, p, patients = cohort(patients=25)
    found = multiclass.evaluate(labels, p, patients, NAMES, draws=60, seed=7)
    drawn = {"balanced_accuracy": [], "auc": []}
    for row in bootstrap.resample(25, 60, seed=7):
        rows = np.repeat(np.arange(len(labels)), row[patients].astype(int))
        y, q = labels[rows], p[rows]
        drawn["balanced_accuracy"].append(peer.balanced_accuracy_score(y, q.argmax(axis=1)))
        drawn["auc"].append(peer.roc_auc_score(y, q, multi_class="ovr"))
    for name, values in drawn.items():
        assert (found[name].low, found[name].high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_patients_that_answer_alike_widen_the_interval():
    labels, p, _ = cohort(patients=80, each=1)
    four = [np.repeat(a, 4, axis=0) for a in (labels, p)]
    clustered = multiclass.evaluate(*four, np.repeat(np.arange(80), 4), NAMES)["accuracy"]
    plain = multiclass.evaluate(*four, np.arange(320), NAMES)["accuracy"]
    assert (clustered.high - clustered.low) / (plain.high - plain.low) == pytest.approx(2, rel=0.12)  # sqrt(4)


def test_two_classes_give_what_the_binary_metrics_give():
    labels, p, patients = cohort(classes=2)
    found = multiclass.evaluate(labels, p, patients, ("benign", "malignant"), draws=300, seed=1)
    binary = intervals.evaluate(labels, np.nextafter(p[:, 1], 0), patients)
    for name, other in {"accuracy": "accuracy", "log_loss": "log_loss", "recall: malignant": "recall"}.items():
        one, two = found[name], binary[other]
        assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high), abs=1e-9)
    assert found["auc"].value == pytest.approx(metrics.auc(labels, p[:, 1]))


def test_a_class_without_examples_has_no_part_in_the_means_and_few_patients_are_marked():
    labels, p, patients = cohort(patients=30)
    kept = labels != 3
    found = multiclass.evaluate(labels[kept], p[kept], patients[kept], NAMES, draws=50)
    lacking = found["recall: malignant calcification"]
    assert math.isnan(lacking.value) and lacking.method == "undefined: a class without examples"
    others = [k for k in range(5) if k != 3]
    recalls = [found[f"recall: {NAMES[k]}"].value for k in others]
    aucs = [metrics.auc((labels[kept] == k).astype(int), p[kept, k]) for k in others]
    assert found["balanced_accuracy"].value == pytest.approx(np.mean(recalls))
    assert found["auc"].value == pytest.approx(np.mean(aucs)) and found["auc"].low < found["auc"].high
    for name in ("balanced_accuracy", "auc"):
        assert "malignant calcification (0 patients)" in found[name].method
    assert 0 < found["accuracy"].low < found["accuracy"].high < 1
    rare = np.where(labels == 3, 0, labels)
    rare[0] = 3
    found = multiclass.evaluate(rare, p, patients, NAMES, draws=2000)
    share = 100 * (29 / 30) ** 30  # of the draws that miss the patient
    assert found["recall: malignant calcification"].method == "Wilson, clustered; few patients (1)"
    for name in ("balanced_accuracy", "auc"):
        assert "malignant calcification (1 patients)" in found[name].method
        told = float(found[name].method.split("undefined in ")[1].split(" %")[0])
        assert told == pytest.approx(share, abs=4)
    assert "few" not in found["accuracy"].method


def test_the_majority_row_answers_the_shares_of_training():
    labels, _, patients = cohort()
    train = [0] * 50 + [1] * 20 + [2] * 15 + [3] * 10 + [4] * 5
    found = multiclass.majority(train, labels, patients, NAMES, draws=200)
    assert found["accuracy"].value == pytest.approx((labels == 0).mean())
    assert found["accuracy"].low < found["accuracy"].value < found["accuracy"].high
    assert found["accuracy"].method.startswith("Wilson, clustered")
    assert found["balanced_accuracy"].value == pytest.approx(0.2) and found["auc"].value == 0.5
    assert [found[f"recall: {name}"].value for name in NAMES] == [1, 0, 0, 0, 0]
    assert found["auc"].method == found["recall: benign mass"].method == "constant answer: exact"
    shares = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
    assert found["log_loss"].value == pytest.approx(-np.log(shares)[labels].mean())


def test_above_chance_asks_the_lower_bound():
    def recall(low):
        return intervals.Estimate(0.6, low, 0.9, 10, "", 10)

    found = {
        "accuracy": recall(0.9),
        "recall: a": recall(0.4),
        "recall: b": recall(0.6),
        "recall: c": recall(math.nan),
    }
    assert multiclass.above_chance(found, 3) == {"a": True, "b": True, "c": False}
    assert multiclass.above_chance(found, 3, [0.5, 0.3, 0.2]) == {"a": False, "b": True, "c": False}
    with pytest.raises(cases.MammoError, match="3 recalls and shares"):
        multiclass.above_chance(found, 5)


@pytest.mark.parametrize(
    "change, match",
    [
        ({"labels": [0, 1, 3]}, r"1 of 3 labels are none of 0..2"),
        ({"labels": [0, 1, math.nan]}, r"1 of 3 labels are none of 0..2"),
        ({"labels": [0, 1]}, r"\(2,\) labels and \(3, 3\) probabilities"),
        (
            {"probabilities": np.eye(3)[:, :2]},
            r"\(3,\) labels and \(3, 2\) probabilities; expected \(N,\) and \(N, 3\)",
        ),
        ({"probabilities": np.eye(3) * 1.5}, r"3 of 9 probabilities are not in \[0, 1\]"),
        ({"probabilities": np.eye(3) * 0.5}, "3 of 3 examples do not sum to 1"),
        ({"groups": ["a", "b"]}, "2 patients for 3 examples"),
        ({"class_names": ("a", "b", "b")}, "two or more different ones"),
        ({"labels": [], "probabilities": np.zeros((0, 3)), "groups": []}, "one at least"),
    ],
)
def test_what_does_not_fit_is_refused(change, match):
    good = {"labels": [0, 1, 2], "probabilities": np.eye(3), "groups": list("abc"), "class_names": ("a", "b", "c")}
    with pytest.raises(cases.MammoError, match=match):
        multiclass.evaluate(**{**good, **change}, draws=5)
