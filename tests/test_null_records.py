"""Null tests as values and files: numbers by hand, the round trip, what is found and what is refused."""

import dataclasses
import json

import numpy as np
import pytest

from mammo_tf import cases, null_records, records
from tests import samples


def a_null(**changes):
    fields = {"paper": "ao2020", "run": "baseline_cnn", "protocol": "honest", "dataset": "cbis_ddsm"}
    fields |= {"dataset_kind": "phantom", "budget": "demo", "aucs": (0.4, 0.5, 0.6), "seeds": (0, 1, 2)}
    return null_records.Null(**(fields | changes))


def test_numbers_by_hand():
    found = a_null()
    assert found.mean == pytest.approx(0.5) and found.error == pytest.approx(0.1 / np.sqrt(3)) and found.holds
    assert found.interval == pytest.approx((0.5 - 0.1 * np.sqrt(3), 0.5 + 0.1 * np.sqrt(3))) and found.count == 3
    assert not a_null(aucs=(0.7, 0.71, 0.72)).holds
    assert np.isnan(a_null(aucs=(0.7,)).error)
    assert found.label == samples.record().label and a_null(kind="noise").label == f"{found.label}-noise"


def test_a_file_gives_the_same_value_and_tells_the_verdict(tmp_path):
    found = a_null(leaks=("one",), sizes={"test": {"examples": 4}}, weights="scratch", hardware="a processor")
    null_records.save(found, tmp_path / "null.json")
    assert null_records.load(tmp_path) == [found]
    told = json.loads((tmp_path / "null.json").read_text())
    assert (told["count"], told["holds"], told["mean"]) == (3, True, pytest.approx(0.5))


def test_they_are_found_beside_runs_and_kept_records_and_no_record_is_taken_for_one(tmp_path):
    run, kept = tmp_path / "runs" / "toy" / "a_run", tmp_path / "results" / "ao2020" / "null"
    run.mkdir(parents=True)
    kept.mkdir(parents=True)
    records.save(samples.record(), run / "record.json")
    records.save(samples.record(run="alexnet"), kept.parent / "alexnet.json")
    null_records.save(a_null(), run / "null.json")
    null_records.save(a_null(kind="noise"), run / "null-noise.json")
    null_records.save(a_null(run="alexnet"), kept / "alexnet.json")
    assert [(one.run, one.kind) for one in null_records.load(tmp_path)] == [
        ("alexnet", "labels"),
        ("baseline_cnn", "labels"),
        ("baseline_cnn", "noise"),
    ]
    assert [one.run for one in null_records.load(kept)] == ["alexnet"]
    assert [record.run for record in records.load(run, kept.parent)] == ["alexnet", "baseline_cnn"]
    assert records.load(kept) == [] and null_records.load(kept.parent / "alexnet.json") == []
    null_records.save(a_null(), kept / "copy.json")
    assert len(null_records.load(tmp_path)) == 3  # the same test twice
    null_records.save(a_null(aucs=(0.1, 0.2)), kept / "copy.json")
    with pytest.raises(cases.DataError, match=r"another null test of baseline_cnn-honest-.*keep one of them"):
        null_records.load(tmp_path)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "expected an object, found list"),
        ({"paper": "x"}, "no field run, protocol"),
        ({**dataclasses.asdict(a_null()), "more": 1}, "unknown field more"),
        (dataclasses.asdict(a_null(kind="labels?")), r"kind labels\?"),
        (dataclasses.asdict(a_null(seeds=())), r"seeds \(\)"),
        (dataclasses.asdict(a_null(aucs=(0.5, None))), "None"),
        (dataclasses.asdict(a_null(aucs=())), "no deals"),
    ],
)
def test_what_is_none_is_named(tmp_path, values, reason):
    (tmp_path / "null.json").write_text(json.dumps(values))
    with pytest.raises(cases.DataError, match=reason) as caught:
        null_records.load(tmp_path)
    assert "null.json" in str(caught.value)


def test_a_file_that_is_no_json_is_named(tmp_path):
    (tmp_path / "null.json").write_text("{")
    with pytest.raises(cases.DataError, match=r"null.json: not JSON"):
        null_records.load(tmp_path)
