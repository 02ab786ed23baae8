"""`records`: descriptions, hashes, and JSON that survives the round trip."""

import dataclasses
import functools
import json
import math

import pytest

from mammo_tf import cases, describe, records
from tests import samples


def test_describe_gives_one_text_to_both_ways_to_write_a_call():
    by_position = functools.partial(samples.scale, 2.0)
    by_name = functools.partial(samples.scale, factor=2.0)
    assert describe.describe(by_position) == describe.describe(by_name)
    assert describe.describe(by_name) == {"call": "tests.samples.scale", "arguments": {"factor": "2.0"}}


def test_describe_refuses_what_its_name_does_not_tell():
    def closure():
        return samples

    for value in (lambda x: x, closure, functools.partial(closure), object()):
        with pytest.raises(TypeError):
            describe.describe(value)


def test_hash_follows_arguments_and_algorithm_version(monkeypatch):
    call = functools.partial(samples.scale, 2.0)
    before = records.hash8(call)
    assert len(before) == 8 and before == records.hash8(functools.partial(samples.scale, 2.0))
    assert before != records.hash8(functools.partial(samples.scale, 3.0))
    monkeypatch.setattr(samples, "ALGORITHM_VERSION", 2, raising=False)
    assert before != records.hash8(call)


def test_hash_does_not_see_the_order_of_a_mapping():
    assert records.hash8({"a": 1, "b": 2}) == records.hash8({"b": 2, "a": 1})


def test_a_record_survives_the_round_trip(tmp_path):
    record = samples.record()
    records.save(record, tmp_path / "record.json")
    (again,) = records.load(tmp_path)
    assert dataclasses.replace(again, folder="") == record


def test_nan_becomes_null_and_comes_back(tmp_path):
    nan = dataclasses.replace(samples.estimate(0.5), value=math.nan)
    record = dataclasses.replace(samples.record(), metrics={**samples.record().metrics, "precision": nan})
    records.save(record, tmp_path / "record.json")
    assert json.loads((tmp_path / "record.json").read_text())["metrics"]["precision"]["value"] is None
    assert math.isnan(records.load(tmp_path)[0].metrics["precision"].value)


def test_a_record_from_before_the_later_fields_loads(tmp_path):
    record = samples.record(validation={"auc": samples.estimate(0.7)}, needs={"net": "00000000"}, split="s", folds=5)
    values = records.as_json(record)
    for name in ("validation", "needs", "split", "folds", "folder"):
        del values[name]
    (tmp_path / "record.json").write_text(json.dumps(values))
    (old,) = records.load(tmp_path)
    assert (old.validation, old.needs, old.split, old.folds) == ({}, {}, "", 1)
    assert old.metrics == record.metrics and old.folder == str(tmp_path)
    del values["metrics"]
    (tmp_path / "record.json").write_text(json.dumps(values))
    with pytest.raises(cases.DataError, match="no field metrics"):
        records.load(tmp_path)


def test_the_validation_part_and_needs_survive_the_round_trip(tmp_path):
    record = samples.record(validation={"auc": samples.estimate(0.7)}, needs={"net": "00000000"}, split="s", folds=5)
    records.save(record, tmp_path / "record.json")
    (again,) = records.load(tmp_path)
    assert dataclasses.replace(again, folder="") == record
    assert record.stable() == again.stable()  # wherever the folder is


def test_a_field_of_another_version_is_named(tmp_path):
    (tmp_path / "record.json").write_text(json.dumps({**records.as_json(samples.record()), "future": 1}))
    with pytest.raises(cases.DataError, match="unknown field future"):
        records.load(tmp_path)


def test_stable_part_leaves_out_time_and_machine_only():
    record = samples.record()
    later = dataclasses.replace(record, seconds=99.0, memory_mb=1.0, commit="x", hardware="y", created="z")
    other = dataclasses.replace(record, seed=record.seed + 1)
    assert record.stable() == later.stable()
    assert record.stable() != other.stable()


@pytest.mark.parametrize(
    ("text", "reason"), [("{}", "no field"), ("{", "not JSON"), ('{"paper": 1, "extra": 2}', "no field")]
)
def test_a_broken_record_is_named(tmp_path, text, reason):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(cases.DataError, match=reason) as caught:
        records.load(tmp_path)
    assert "record.json" in str(caught.value)


def test_a_run_that_was_not_finished_has_no_record_and_is_no_broken_one(tmp_path):
    fold = tmp_path / "toy" / "a_run" / "fold0"
    fold.mkdir(parents=True)
    (fold.parent / records.NEEDS_FILE).write_text("{}")
    (fold / "patients.json").write_text('{"train": []}')
    assert records.load(tmp_path) == []
    records.save(samples.record(), tmp_path / "kept.json")
    assert [record.run for record in records.load(tmp_path)] == [samples.record().run]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(cases.DataError, match="no such folder"):
        records.load(tmp_path / "nowhere")


def test_every_algorithm_version_that_a_run_uses_reaches_its_hash(monkeypatch):
    from mammo_tf import commands, run
    from mammo_tf.datasets import cbis_ddsm, patches
    from mammo_tf.evaluation import intervals
    from mammo_tf.models import resnet
    from mammo_tf.pipeline import threefry, warp

    paper = commands.load_experiments(samples.ROOT / "experiments")["ao2020"]
    (row,) = [r for r in paper.RUNS if (r.name, r.protocol.name) == ("resnet18_scratch", "honest")]
    settings = run.Settings(budget=paper.BUDGETS["smoke"], dataset=cbis_ddsm)
    before = run.identity(row, settings, "data")
    assert before == run.identity(row, settings, "data")
    for module in (patches, warp, threefry, intervals, resnet, cbis_ddsm):
        with monkeypatch.context() as patch:
            patch.setattr(module, "ALGORITHM_VERSION", 99)
            assert run.identity(row, settings, "data") != before, module.__name__


def test_versions_follow_imports():
    found = describe.versions(["mammo_tf.datasets.cbis_ddsm"])
    assert {"mammo_tf.datasets.cbis_ddsm", "mammo_tf.datasets.phantom"} <= set(found)
    assert not any(module.startswith("mammo_tf.models") for module in found)


def test_enums_bytes_and_paths_can_be_described(tmp_path):
    assert describe.describe(cases.Side.LEFT) == "LEFT"
    assert describe.describe(b"a") == describe.describe(b"a") != describe.describe(b"b")
    assert describe.describe(tmp_path) == str(tmp_path)
