"""`run.execute` with a method that learns one number: records, hashes, protocols, refusals."""

import dataclasses
import functools
import json
import os
import pathlib
import time

import pytest

from mammo_tf import artifacts, cases, records, report, run
from mammo_tf.datasets import folder, split_everything, splits
from mammo_tf.evaluation import folds
from tests import samples, toy_runs
from tests.toy_runs import BUDGET, a_run, noisy_method, settings

LEAKY = functools.partial(splits.random_examples, leak="images of a patient on both sides")


def test_a_run_leaves_its_record_predictions_and_figures(tmp_path):
    record = run.execute(a_run(), settings(tmp_path))
    (loaded,) = records.load(tmp_path)
    assert loaded.stable() == record.stable()
    written = tmp_path / "toy" / f"mean_intensity-honest-folder-phantom-smoke-s0-{record.hash}"
    assert {p.name for p in written.iterdir()} >= {"record.json", "predictions.csv", "roc.png", "confusion.png"}
    predictions = artifacts.read_predictions(written / "predictions.csv")
    assert len(predictions.ids) == record.sizes["test"]["examples"]
    accuracy = ((predictions.scores >= 0.5) == predictions.labels).mean()
    assert record.metrics["accuracy"].value == pytest.approx(accuracy)
    assert record.dataset_kind == "phantom"
    assert record.test_reads == 1


def test_a_repeated_seed_repeats_the_record_and_another_does_not(tmp_path):
    one = run.execute(a_run(), settings(tmp_path / "a"))
    again = run.execute(a_run(), settings(tmp_path / "b"))
    other = run.execute(a_run(), settings(tmp_path / "c", seed=1))
    assert json.dumps(one.stable()) == json.dumps(again.stable())
    assert one.hash != other.hash and one.metrics != other.metrics


def test_protocols_differ_in_part_leaks_and_reads(tmp_path):
    leaky = a_run(split=LEAKY, protocol=run.Rules("as_published", "val", leaks=("best epoch",)))
    record = run.execute(leaky, settings(tmp_path))
    assert record.reported == "val" and record.test_reads == 2
    assert record.leaks == ["images of a patient on both sides", "best epoch"]
    assert record.audit["val"]["patient_share"] > 0.3
    honest = run.execute(a_run(), settings(tmp_path))
    assert honest.audit["test"]["patient_share"] == 0.0 and not honest.leaks


def test_hash_knows_method_seed_budget_and_data():
    given = run.Settings(budget=BUDGET, dataset=folder)
    base = run.identity(a_run(), given, "data")
    assert base == run.identity(a_run(), given, "data")
    changed = [
        run.identity(a_run(method=noisy_method), given, "data"),
        run.identity(a_run(), dataclasses.replace(given, seed=1), "data"),
        run.identity(a_run(), dataclasses.replace(given, budget=dataclasses.replace(BUDGET, draws=7)), "data"),
        run.identity(a_run(), given, "other data"),
        run.identity(a_run(protocol=run.Rules("other", "test")), given, "data"),
    ]
    assert len({base, *changed}) == 6


def test_resume_returns_the_finished_run(tmp_path):
    first = run.execute(a_run(), settings(tmp_path))
    again = run.execute(a_run(), settings(tmp_path, resume=True))
    assert again.created == first.created and again.stable() == first.stable()


def test_a_need_is_trained_once_and_refused_where_its_patients_are_tested(tmp_path):
    need = a_run(name="need", spec=other_patients)
    record = run.execute(a_run(needs=(need,)), settings(tmp_path))
    assert record.hash != run.execute(a_run(), settings(tmp_path)).hash
    other_split = functools.partial(splits.patient_holdout, fractions=(0.76, 0.12, 0.12))
    same_data = a_run(name="need", split=other_split)
    with pytest.raises(cases.MammoError, match="train it on the same split"):
        run.execute(a_run(name="uses_another_split", needs=(same_data,)), settings(tmp_path))


def other_patients(budget):
    return dataclasses.replace(budget.phantom, seed=99)


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(cases.DataError, match="cannot be written"):
        run.execute(a_run(), settings(tmp_path / "file"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_output_folder_is_named(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(cases.DataError, match="cannot be written"):
        run.execute(a_run(), settings(tmp_path))


def only_one_class(dataset, budget):
    examples, problems = folder.whole_images(dataset)
    return [e for e in examples if e.label == 0.0], problems


def test_a_class_missing_from_a_part_is_named(tmp_path):
    with pytest.raises(cases.MammoError, match="class"):
        run.execute(a_run(data=only_one_class), settings(tmp_path))


FOLDS = functools.partial(splits.patient_kfold, folds=3, val_fraction=0.25)


def count_examples(done):
    """Hook: how many examples the part has that it is called for; reads the labels once more."""
    done.ledger.read(done.reported)
    (done.folder / "seen.txt").write_text(f"{done.parts.fold} {len(done.predictions.ids)} {done.budget.name}")
    return {"examples": samples.estimate(float(len(done.predictions.ids)))}


def test_several_splits_have_folders_of_their_own_and_one_record(tmp_path):
    need = a_run(name="need", split=FOLDS, method=toy_runs.slow_method, after=())
    started = time.perf_counter()
    record = run.execute(a_run(split=FOLDS, needs=(need,), after=(count_examples,)), settings(tmp_path))
    passed = time.perf_counter() - started
    whole = pathlib.Path(record.folder)
    (loaded,) = records.load(whole)
    assert (loaded.folds, loaded.reported) == (3, "test")
    predictions = artifacts.read_predictions(whole / "predictions.csv")
    each = [predictions.of_fold(k) for k in range(3)]
    for k, one in enumerate(each):
        patients = json.loads((whole / f"fold{k}" / "patients.json").read_text())
        assert set(one.patients) == set(patients["test"]) and not set(one.patients) & set(patients["train"])
        assert (whole / f"fold{k}" / "seen.txt").read_text() == f"{k} {len(one.ids)} smoke"
        given = json.loads((whole / f"fold{k}" / "given.json").read_text())["inputs"]
        assert list(given) == ["need"] and pathlib.Path(given["need"]).name == f"fold{k}"
        assert json.loads((whole / f"fold{k}" / "reads.json").read_text())["test"] == 2
    assert sum(len(one.ids) for one in each) == len(predictions.ids) == len(set(predictions.ids))
    expected = folds.evaluate([(p.labels, p.scores, p.patients) for p in each])
    assert loaded.metrics["auc"].value == pytest.approx(expected["auc"].value)
    assert loaded.metrics["auc"].method.startswith("mean over 3 folds")
    assert loaded.claims["examples"].value == len(each[0].ids) and loaded.test_reads == 2
    beside = json.loads((whole / run.NEEDS_FILE).read_text())
    assert records.load((whole / beside["need"]).resolve())[0].hash == loaded.needs["need"]
    assert loaded.seconds < passed - 3 * toy_runs.SLEEP  # the need slept in three folds; that is its own cost


def twice(parts, budget, seed):
    """Two examples of each image; the file that it says it has left out."""
    doubled = {
        name: tuple(dataclasses.replace(e, id=f"{e.id}/{k}") for e in getattr(parts, name) for k in range(2))
        for name in ("train", "val", "test")
    }
    return dataclasses.replace(parts, **doubled), (cases.Problem("a mask", "empty"),)


def test_examples_are_sampled_after_the_split_and_its_hash_stays(tmp_path):
    plain = run.execute(a_run(after=()), settings(tmp_path))
    sampled = run.execute(a_run(after=(), sample=twice, classes=("no", "yes")), settings(tmp_path))
    assert sampled.split == plain.split and sampled.hash != plain.hash
    for part, size in plain.sizes.items():
        assert sampled.sizes[part]["examples"] == 2 * size["examples"]
        assert sampled.sizes[part]["patients"] == size["patients"]
    assert {"path": "a mask", "reason": "empty"} in sampled.problems
    assert len(sampled.problems) == len(plain.problems) + 1
    assert sampled.class_names == ["no", "yes"] and not plain.claims
    assert sampled.metrics["auc"].value == pytest.approx(plain.metrics["auc"].value)


def test_a_hook_that_is_not_named_is_not_called(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(artifacts, "saliency", lambda *arguments: called.append(arguments) or {})
    run.execute(a_run(after=()), settings(tmp_path / "none"))
    assert not called
    run.execute(a_run(), settings(tmp_path / "usual"))
    assert len(called) == 1


def test_folds_without_a_validation_part_take_a_fixed_threshold(tmp_path):
    plain = functools.partial(splits.patient_kfold, folds=3, val_fraction=0)
    record = run.execute(a_run(split=plain), settings(tmp_path))
    (loaded,) = records.load(pathlib.Path(record.folder))
    assert (loaded.folds, loaded.threshold, loaded.threshold_rule) == (3, 0.5, "fixed")
    assert loaded.validation == {} and "val" not in loaded.sizes
    assert loaded.tuned["accuracy"] == loaded.metrics["accuracy"]
    reads = json.loads((pathlib.Path(record.folder) / "fold1" / "reads.json").read_text())
    assert reads == {"test": 1}
    report.measured_table([loaded])  # no number of a validation part is asked for


def test_all_data_tested_on_what_was_learned_is_a_leak_that_the_record_measures(tmp_path):
    everything = functools.partial(split_everything.tested_on_training, leak="learned from")
    record = run.execute(a_run(split=everything, protocol=run.Rules("as_published", "test")), settings(tmp_path))
    assert record.leaks == ["learned from"] and record.audit["test"]["patient_share"] == 1.0
    assert record.sizes["test"] == record.sizes["train"]
