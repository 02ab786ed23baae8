"""`pairs`: paired differences of rows, from predictions written by hand beside the records."""

import dataclasses
import math
import types

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from mammo_tf import artifacts, cases, pairs, run
from mammo_tf.evaluation import compare, folds
from tests import samples

HONEST, PUBLISHED = run.Rules("honest", "test"), run.Rules("as_published", "test")


def predicted(seed, *, classes=2, count=60, fold=0, better=0.0):
    """Two examples a patient; `better` moves the answers towards the labels."""
    rng = np.random.default_rng(seed)
    examples = [cases.Example(f"f{fold}e{i}", f"f{fold}p{i // 2}", (), float(i // 2 % classes)) for i in range(count)]
    p = rng.dirichlet(np.ones(classes), count)
    p += better * np.eye(classes)[[int(e.label) for e in examples]]
    return artifacts.Predictions.of(examples, p / p.sum(axis=1, keepdims=True), fold)


def experiment(comparisons, **published):
    rows = [types.SimpleNamespace(name=name, published=facts) for name, facts in published.items()]
    return types.SimpleNamespace(KEY="toy", RUNS=rows, COMPARISONS=comparisons)


def test_two_rows_on_the_same_examples_are_paired_by_auc(tmp_path):
    p, q = predicted(0, better=0.6), predicted(1)
    found = pairs.paired(samples.kept(tmp_path, p, run="one"), samples.kept(tmp_path, q, run="two"))
    expected = compare.compare(p.labels, p.scores, q.scores, p.patients)
    assert found.metric == "AUC" and found.p == pytest.approx(expected.auc_p, rel=1e-6)
    assert found.difference.value == pytest.approx(expected.auc.value) and found.difference.value > 0.1


def test_rows_of_more_classes_are_paired_by_accuracy_whatever_their_order(tmp_path):
    p, q = predicted(0, classes=3, better=0.6), predicted(1, classes=3)
    order = np.random.default_rng(0).permutation(60)
    arrays = {n: getattr(q, n)[order] for n in ("patients", "labels", "scores", "probabilities", "folds")}
    shuffled = dataclasses.replace(q, ids=tuple(q.ids[i] for i in order), **arrays)
    found = pairs.paired(samples.kept(tmp_path, p, run="one"), samples.kept(tmp_path, shuffled, run="two"))
    right = [(r.probabilities.argmax(axis=1) == r.labels).mean() for r in (p, q)]
    assert found.metric == "accuracy" and found.difference.value == pytest.approx(right[0] - right[1])
    assert found.difference.low > 0 and found.p < 0.05 and found.difference.patients == 30


def test_rows_over_several_splits_are_paired_by_the_mean_auc(tmp_path):
    def both(seed, better=0.0):
        return artifacts.Predictions.joined([predicted(seed + k, fold=k, better=better) for k in range(2)])

    p, q = both(0, better=0.4), both(10)
    found = pairs.paired(samples.kept(tmp_path, p, run="one", folds=2), samples.kept(tmp_path, q, run="two", folds=2))
    aucs = [np.mean([folds.metrics.auc(r.of_fold(k).labels, r.of_fold(k).scores) for k in range(2)]) for r in (p, q)]
    assert found.metric == "AUC" and found.difference.value == pytest.approx(aucs[0] - aucs[1])
    assert found.difference.method.startswith("paired, score intervals")


@pytest.mark.parametrize(("classes", "message"), [(2, "different examples"), (3, "different patches")])
def test_rows_on_different_examples_are_refused(tmp_path, classes, message):
    p = samples.kept(tmp_path, predicted(0, classes=classes), run="one")
    q = samples.kept(tmp_path, predicted(0, classes=classes, fold=1), run="two")
    with pytest.raises(cases.MammoError, match=message):
        pairs.paired(p, q)


@pytest.mark.parametrize("name", ["patients", "labels"])
def test_patches_with_other_patients_or_labels_are_refused(tmp_path, name):
    p, q = predicted(0, classes=3), predicted(1, classes=3)
    changed = np.roll(getattr(q, name), 2)
    q = dataclasses.replace(q, **{name: changed})
    with pytest.raises(cases.MammoError, match=r"patients or labels of \d+ of 60 patches differ"):
        pairs.paired(samples.kept(tmp_path, p, run="one"), samples.kept(tmp_path, q, run="two"))


def test_folds_of_different_patients_are_refused(tmp_path):
    p = samples.kept(tmp_path, predicted(0), run="one", folds=2)
    q = samples.kept(tmp_path, predicted(0, fold=1), run="two", folds=2)
    with pytest.raises(cases.MammoError, match="60 patients are scored in one run alone"):
        pairs.paired(p, q)


def test_a_row_without_its_predictions_is_passed_over(tmp_path):
    p, q = samples.kept(tmp_path, predicted(0), run="one"), samples.kept(tmp_path, None, run="two")
    assert pairs.paired(p, q) is None and pairs.paired(p, dataclasses.replace(p, folder="")) is None
    assert pairs.comparisons_table(experiment([("claim", "one", "two")]), [p, q]) is None


def test_predictions_lie_beside_a_kept_record_under_its_label(tmp_path):
    record = dataclasses.replace(samples.record(), folder=str(tmp_path))
    assert pairs.predictions_file(record) is None
    (tmp_path / f"{record.label}.csv").write_text("")
    assert pairs.predictions_file(record) == tmp_path / f"{record.label}.csv"


def test_comparisons_are_those_of_one_protocol_and_seed(tmp_path):
    paper = experiment(
        [("one is better", "one", "two"), ("three is missing", "one", "three"), ("no numbers", "two", "one")],
        one={"auc": 0.85, "auc_four_flips": 0.9},
        two={"auc": 0.8},
    )
    group = [
        samples.kept(tmp_path, predicted(0, better=0.6), run="one"),
        samples.kept(tmp_path, predicted(1), run="two"),
        samples.kept(tmp_path, predicted(2), run="one", protocol="as_published"),  # its partner was not run
        samples.kept(tmp_path, predicted(3), run="two", seed=1),
    ]
    table = pairs.comparisons_table(paper, group)
    assert [row[:5] for row in table.rows] == [
        ["one is better", "one - two", "honest", "0", "AUC"],
        ["no numbers", "two - one", "honest", "0", "AUC"],
    ]
    assert "paper" not in table.columns  # the paper's numbers stand beside real data at budget paper alone
    real = [dataclasses.replace(record, dataset_kind="real", budget="paper") for record in group]
    beside = pairs.comparisons_table(paper, real)
    assert beside.columns[5] == "paper" and [row[5] for row in beside.rows] == ["0.050", "-0.050"]
    assert [row[-1] for row in table.rows] == ["higher", "lower"]
    assert len(table.columns) == len(table.rows[0])
    assert pairs.comparisons_table(types.SimpleNamespace(RUNS=[]), group) is None


def test_the_papers_difference_is_of_like_with_like():
    one, two = {"auc": 0.85, "auc_four_flips": 0.9}, {"auc": None, "auc_four_flips": 0.8}
    assert pairs._published(one, two, "AUC") == pytest.approx(0.1)  # four flips: the second has nothing else
    assert pairs._published({"accuracy": 0.99}, {"accuracy": 0.97}, "accuracy") == pytest.approx(0.02)
    assert pairs._published(one, {"accuracy": 0.9}, "AUC") is None


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.01, 0.2, "higher"),
        (-0.2, -0.01, "lower"),
        (-0.1, 0.1, "not told apart"),
        (math.nan, math.nan, "no interval"),
    ],
)
def test_verdicts(low, high, says):
    assert pairs.verdict(dataclasses.replace(samples.estimate(0.0), low=low, high=high)) == says


def test_patch_nets_have_a_table_class_by_class():
    names = ["background", "mass"]
    recalls = {f"recall: {name}": samples.estimate(0.5 + 0.1 * i) for i, name in enumerate([*names, "calc"])}
    nets = samples.record(class_names=[*names, "calc"], metrics={**samples.record().metrics, **recalls})
    (row,) = pairs.classes_table([samples.record(), nets]).rows
    assert row[3:] == ["recall", *(f"0.{k}00 [0.{k - 1}50, 0.{k}50]" for k in (5, 6, 7))]
    assert pairs.classes_table([samples.record()]) is None


def test_the_auc_of_each_class_is_that_of_scikit_learn(tmp_path):
    rng = np.random.default_rng(0)
    labels, p = rng.integers(0, 3, 60), rng.dirichlet(np.ones(3), 60)
    patients = np.array([f"p{i // 2}" for i in range(60)])
    predictions = artifacts.Predictions(
        tuple(map(str, range(60))), patients, labels, 1 - p[:, 0], p, np.zeros(60, int)
    )
    artifacts.write_predictions(tmp_path / "predictions.csv", predictions)
    table = pairs.classes_table([samples.record(class_names=["a", "b", "c"], folder=str(tmp_path))])
    found = [float(cell.partition(" ")[0].rstrip("*")) for cell in table.rows[1][4:]]
    assert found == pytest.approx([sklearn_metrics.roc_auc_score(labels == k, p[:, k]) for k in range(3)], abs=6e-4)


def test_validation_stands_beside_the_reported_part_and_the_flips_where_there_are_any():
    claims = {"auc_four_flips": samples.estimate(0.8), "auc_flip_gain": samples.estimate(0.1)}
    validation = {"auc": samples.estimate(0.7)}
    group = [
        samples.record(),  # from before the validation part was kept
        samples.record(claims=claims, validation=validation),
        samples.record(run="alexnet", reported="val", claims={}, validation=validation),
    ]
    table = pairs.parts_table(group)
    assert [[row[0], row[2], *(cell[:5] for cell in row[4:])] for row in table.rows] == [
        ["baseline_cnn", "test", "0.700", "0.670", "0.800", "0.100"],
        ["alexnet", "val", "0.700", "0.670", "n/a", "n/a"],
    ]
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert pairs.parts_table(group[:1]) is None


def test_runs_of_two_classes_with_a_part_of_their_own_for_the_threshold_have_an_operating_point():
    leaky = samples.record(protocol="as_published", reported="val", leaks=["the reported part chooses"])
    several = samples.record(run="patches", tuned={})
    table = pairs.operating_table([leaky, samples.record(run="honest"), several])
    assert [row[:5] for row in table.rows] == [["honest", "honest", "0", "youden", "0.400"]]
    assert len(table.rows[0]) == len(table.columns)
    assert pairs.operating_table([leaky, several]) is None


def test_claims_that_a_paper_words_are_shown_with_what_would_count():
    record = samples.record(claims={"dream_opposition": samples.estimate(-0.75)})
    paper = types.SimpleNamespace(CLAIMS={"dream_opposition": ("opposite", "near -1"), "none": ("no such", "")})
    table = pairs.named_claims_table(paper, [record])
    (row,) = table.rows
    assert row == ["opposite", "near -1", "baseline_cnn", "honest", "0", "-0.750 [-0.800, -0.700]", "40"]
    assert pairs.named_claims_table(types.SimpleNamespace(), [record]) is None


def test_a_choice_of_a_net_by_test_stands_beside_that_by_validation():
    def of(run, val, test, **changes):
        losses = [{"log_loss": samples.estimate(x), "auc": samples.estimate(0.9 - x)} for x in (val, test)]
        return samples.record(run=run, validation=losses[0], metrics=losses[1], **changes)

    group = [of("a", 0.3, 0.5), of("b", 0.4, 0.2), of("a", 0.3, 0.5, protocol="as_published")]  # one row: no choice
    paper = types.SimpleNamespace(PICKED={"net": ("a", "b", "c")})
    table = pairs.picked_table(paper, group)
    assert [[*row[:5], *(cell[:5] for cell in row[5:])] for row in table.rows] == [
        ["net, of 2 rows", "honest", "0", "validation", "a", "0.300", "0.500", "0.400"],
        ["net, of 2 rows", "honest", "0", "test", "b", "0.200", "0.200", "0.700"],
    ]
    assert {len(row) for row in table.rows} == {len(table.columns)}
    other_split = dataclasses.replace(group[1], split="another")
    assert pairs.picked_table(paper, [group[0], other_split]) is None
    assert pairs.picked_table(types.SimpleNamespace(), group) is None


def test_rows_on_two_test_parts_are_compared_without_pairing(tmp_path):
    one = samples.kept(tmp_path, predicted(0), run="net", metrics={"auc": samples.estimate(0.9, 0.03)})
    other = samples.kept(tmp_path, predicted(1, fold=1), run="baseline", metrics={"auc": samples.estimate(0.7, 0.04)})
    paper = experiment([("nets are better", "net", "baseline")], net={}, baseline={})
    with pytest.raises(cases.MammoError, match="different examples"):
        pairs.comparisons_table(paper, [one, other])
    paper.OTHER_TEST_PART = (("honest", "baseline"),)
    table = pairs.comparisons_table(paper, [one, other])
    assert table.rows == [
        [
            "nets are better",
            "net - baseline",
            "honest",
            "0",
            "AUC, two test parts",
            "0.200 [0.150, 0.250]",
            "n/a",
            "n/a",
            "higher",
        ]
    ]
    assert "MOVER" in table.notes[1]


def test_holm_counts_the_comparisons_of_one_protocol(tmp_path):
    """Of six comparisons the two clear ones stay; one that is clear alone is taken back."""
    base = {p: samples.kept(tmp_path, predicted(1), run="base", protocol=p) for p in ("honest", "as_published")}
    seeds = ((2, 0.9), (3, 0.9), (4, 0), (9, 0), (9, 0), (9, 0))
    nets = [samples.kept(tmp_path, predicted(s, better=b), run=f"net{k}") for k, (s, b) in enumerate(seeds)]
    lone = samples.kept(tmp_path, predicted(4), run="net2", protocol="as_published")
    paper = experiment(
        [(f"net{k}", f"net{k}", "base") for k in range(6)], base={}, **{f"net{k}": {} for k in range(6)}
    )
    table = pairs.comparisons_table(paper, [*base.values(), *nets, lone])
    column = {name: i for i, name in enumerate(table.columns)}
    honest = [row for row in table.rows if row[column["protocol"]] == "honest"]
    raw = [pairs.paired(net, base["honest"]).p for net in nets]
    assert raw[2] < 0.05 < 4 * raw[2]  # clear alone
    says = [row[column["says"]] for row in honest]
    assert says[:3] == ["higher", "higher", "higher, not by Holm"] and set(says[3:]) == {"not told apart"}
    assert float(honest[2][column["p, Holm"]]) == pytest.approx(4 * raw[2], abs=6e-4)
    (only,) = [row for row in table.rows if row[column["protocol"]] == "as_published"]
    assert only[column["p"]] == only[column["p, Holm"]] and only[column["says"]] == "higher"
