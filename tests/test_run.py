"""`run.execute` with a method that learns one number: records, hashes, protocols, refusals."""

import dataclasses
import functools
import json
import os

import numpy as np
import pytest

from mammo_tf import artifacts, cases, planning, records, run
from mammo_tf.datasets import cbis_ddsm, folder, phantom, splits
from tests import samples

BUDGET = run.Budget("smoke", phantom.PhantomSpec(patients=24, height=128, width=96, spacing_mm=1.6), draws=100)


@dataclasses.dataclass(frozen=True)
class MeanIntensity:
    """Scores an image by its mean gray value; counts in `reads` what it was shown."""

    noise: float = 0.0

    def fit(self, train, val, context):
        rng = np.random.default_rng(context.seed)
        return functools.partial(predict, shift=self.noise * rng.normal())


def predict(examples, *, shift):
    score = np.array([e.views[0].pixels().mean() / e.views[0].max_value + shift for e in examples])
    score = np.clip(score, 0.01, 0.99)
    return np.stack([1 - score, score], axis=1).astype(np.float32)


def method(budget):
    return MeanIntensity()


def noisy_method(budget):
    return MeanIntensity(noise=0.05)


LEAKY = functools.partial(splits.random_examples, leak="images of a patient on both sides")


def a_run(**changes):
    base = run.Run(
        paper="toy",
        name="mean_intensity",
        method=method,
        data=folder.whole_images,
        split=splits.patient_holdout,
        protocol=run.Rules("honest", "test"),
        policy=folder.policy,
    )
    return dataclasses.replace(base, **changes)


def settings(tmp_path, **changes):
    return dataclasses.replace(run.Settings(budget=BUDGET, dataset=folder, out=tmp_path), **changes)


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


def test_listed_seconds_are_those_of_the_first_datasets_phantom(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "ao2020").mkdir(parents=True)
    for name, seconds, kind in (
        ("cbis_ddsm", 60.0, "phantom"),
        ("cbis_ddsm", 7.0, "real"),
        ("mini_mias", 5.0, "phantom"),
    ):
        record = samples.record(dataset=name, dataset_kind=kind, seconds=seconds)
        records.save(record, tmp_path / "results" / "ao2020" / f"{record.label}.json")
    row = a_run(paper="ao2020", name="baseline_cnn")
    module = samples.module(RUNS=(row,), BUDGETS={"demo": BUDGET}, KEY="ao2020", DATASETS=(cbis_ddsm, folder))
    assert planning.costs(module.RUNS, module)[0]["demo: seconds"] == 60.0


def test_costs_are_listed_for_every_budget(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = samples.module(RUNS=(a_run(),), BUDGETS={"smoke": BUDGET}, KEY="toy", DATASETS=(folder, cbis_ddsm))
    (row,) = planning.costs(module.RUNS, module)
    assert row["run"] == "mean_intensity" and row["smoke: epochs"] == 0
    assert "mean_intensity" in planning.text([row])
