"""Labels dealt anew: what the deal keeps, an honest run at one half, a leaking one above it; the command."""

import dataclasses
import functools
import json
import types

import numpy as np
import pytest

from mammo_tf import cases, cli, datasets, nulls, records, run
from mammo_tf.datasets import folder, split_everything, splits
from mammo_tf.evaluation import metrics
from tests import toy_runs
from tests import training_fakes as fakes


def examples():
    found = fakes.examples(40, 0)
    return tuple(
        dataclasses.replace(e, patient_id=f"p{i // 2}", label=float(i % 10 < 2)) for i, e in enumerate(found)
    )


def test_a_deal_keeps_images_patients_and_their_number_and_moves_labels():
    before, after = examples(), nulls.permuted(examples(), 1)
    assert [e.id for e in after] == [e.id for e in before]
    by_patient = {e.patient_id: {o.label for o in after if o.patient_id == e.patient_id} for e in after}
    assert all(len(some) == 1 for some in by_patient.values())
    positive = sum(some == {1.0} for some in by_patient.values())
    assert positive == len({e.patient_id for e in before if e.label == 1}) == 4
    labels = {seed: [e.label for e in nulls.permuted(before, seed)] for seed in (1, 2)}
    assert labels[1] == [e.label for e in after] != labels[2]
    same = [a.label == max(o.label for o in before if o.patient_id == a.patient_id) for a in after]
    assert 0.3 < np.mean(same) < 1
    with pytest.raises(cases.MammoError, match="1 examples have labels other than 0 and 1: e0"):
        nulls.permuted([dataclasses.replace(before[0], label=float("nan")), *before[1:]], 0)


@dataclasses.dataclass(frozen=True)
class ByHeart:
    """Answers with the labels of images that it has seen, and at random for others."""

    def fit(self, train, val, context):
        known = {e.views[0].id: e.label for e in train}
        return functools.partial(recall, known=known, rng=np.random.default_rng(context.seed))


def recall(tested, *, known, rng):
    score = np.array([known.get(e.views[0].id, rng.random()) for e in tested])
    score = np.clip(0.98 * score + 0.01, 0.01, 0.99)
    return np.stack([1 - score, score], axis=1).astype(np.float32)


def by_heart(budget):
    return ByHeart()


def test_an_honest_run_is_at_one_half_and_a_leak_is_not(tmp_path):
    fair = nulls.run_null(toy_runs.a_run(method=by_heart), toy_runs.settings(tmp_path), 12)
    assert fair.holds and len(set(fair.aucs)) > 6 and fair.leaks == ()
    everything = functools.partial(split_everything.tested_on_training, leak="tested on training images")
    leaky = toy_runs.a_run(method=by_heart, split=everything, protocol=run.Rules("as_published", "test"))
    found = nulls.run_null(leaky, toy_runs.settings(tmp_path), 3)
    assert found.mean == pytest.approx(1) and not found.holds and found.leaks == ("tested on training images",)
    kept = sorted(path.name for path in (tmp_path / "null").iterdir() if path.suffix == ".json")
    assert len(kept) == 2 and not records.load(tmp_path / "null" / "toy")  # the runs themselves are gone
    told = json.loads((tmp_path / "null" / kept[0]).read_text())
    assert told["protocol"] == "as_published" and told["holds"] is False and len(told["aucs"]) == 3


def test_a_fixed_scorer_is_worth_one_half_over_deals_and_seeds():
    """One seed for all deals would put the same places of the sorted patients into the test part."""
    shown = datasets.open_dataset(folder, None, spec=toy_runs.BUDGET.phantom)
    found, _ = folder.whole_images(shown, toy_runs.BUDGET)
    scores = {e.id: toy_runs.predict([e], shift=0)[0, 1] for e in found}
    aucs = {False: [], True: []}
    for k in range(300):
        for own in aucs:
            test = splits.patient_holdout(nulls.permuted(found, k), k if own else 0).test
            aucs[own].append(metrics.auc([e.label for e in test], [scores[e.id] for e in test]))
    assert abs(np.mean(aucs[True]) - 0.5) < 3 * np.std(aucs[True]) / np.sqrt(300) < 0.05
    assert abs(np.mean(aucs[False]) - 0.5) > 3 * np.std(aucs[False]) / np.sqrt(300)


def test_numbers_by_hand():
    found = nulls.Null("p", "r", "honest", "d", "phantom", "smoke", (0.4, 0.5, 0.6))
    assert found.mean == pytest.approx(0.5) and found.error == pytest.approx(0.1 / np.sqrt(3)) and found.holds
    assert not dataclasses.replace(found, aucs=(0.7, 0.71, 0.72)).holds
    assert np.isnan(dataclasses.replace(found, aucs=(0.7,)).error)


def test_what_cannot_be_dealt_is_refused(tmp_path):
    for wrong in (toy_runs.a_run(classes=("a", "b", "c")),):
        with pytest.raises(cases.MammoError, match="of a run of two classes"):
            nulls.run_null(wrong, toy_runs.settings(tmp_path), 5)
    with pytest.raises(cases.MammoError, match="1 deals"):
        nulls.run_null(toy_runs.a_run(), toy_runs.settings(tmp_path), 1)


def test_the_number_of_deals_follows_the_method(tmp_path, monkeypatch):
    monkeypatch.setattr(nulls, "CLASSICAL", 4)
    assert len(nulls.run_null(toy_runs.a_run(), toy_runs.settings(tmp_path)).aucs) == 4


def test_the_command(tmp_path, capsys):
    row = toy_runs.a_run(method=by_heart, split=functools.partial(splits.patient_holdout, fractions=(0.6, 0.2, 0.2)))
    paper = types.SimpleNamespace(
        __doc__="toy", KEY="toy", DATASETS=(folder,), RUNS=(row,), BUDGETS={"demo": toy_runs.BUDGET}
    )
    assert cli.experiment(paper, ["--null", "4", "--out", str(tmp_path), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "Labels dealt anew to patients" in said and "mean_intensity  honest    4" in said
    assert cli.experiment(paper, ["--null", "3", "--out", str(tmp_path), "--quiet", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert len(found["aucs"]) == 3 and found["run"] == "mean_intensity"
