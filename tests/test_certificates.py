import dataclasses
import functools
import json
import pathlib

import pytest

from mammo_tf import auditing, cases, certificates, records, run
from mammo_tf.datasets import splits
from tests import toy_runs


def kinds(found):
    return {one.kind: (one.count, one.leak) for one in found}


def of_run(folder):
    (found,) = auditing.of_runs(folder).values()
    return found


def done(tmp_path, **changes):
    return run.execute(toy_runs.a_run(**changes), toy_runs.settings(tmp_path))


def planted(examples, seed, *, move):
    """An honest split that `move` spoils: (train, val, test) -> the same."""
    parts = splits.patient_holdout(examples, seed)
    train, val, test = move(parts.train, parts.val, parts.test)
    return dataclasses.replace(parts, train=train, val=val, test=test, leaks=("planted",))


def other_patient(train, val, test):
    """A film of the test part stands in training under another patient's name."""
    (view,) = test[0].views
    copy = dataclasses.replace(test[0], id="copy", patient_id=train[0].patient_id, views=(view,), roi_id="")
    return (*train, copy), val, test


def other_view_of_a_breast(train, val, test):
    (view,) = test[0].views
    other = dataclasses.replace(view, id="other", path="other.png")
    return (*train, dataclasses.replace(test[0], id="other", views=(other,), roi_id="")), val, test


def same_roi(train, val, test):
    roi = "lesion 1"
    spoiled = dataclasses.replace(train[0], roi_id=roi)
    return (spoiled, *train[1:]), val, (dataclasses.replace(test[0], roi_id=roi), *test[1:])


def copies(train, val, test):
    return train, val, (*test, dataclasses.replace(test[0], id=f"{test[0].id}+3"))


def learned(train, val, test):
    return train, val, (*test, dataclasses.replace(train[0], id=f"{train[0].id}@test"))


def to_validation(train, val, test):
    return train, (*val, dataclasses.replace(test[0], id="again")), test


SHARED = [
    (other_patient, {"images in train and test": (1, True)}),
    (other_view_of_a_breast, {"patients in train and test": (1, True), "breasts in train and test": (1, True)}),
    (same_roi, {"ROIs in train and test": (1, True)}),
    (copies, {"altered copies in the test part": (1, True)}),
    (learned, {"images of the test part that were learned from": (1, True)}),
    (to_validation, {"patients in val and test": (1, True), "images in val and test": (1, True)}),
]


@pytest.mark.parametrize("move, expected", SHARED, ids=[move.__name__ for move, _ in SHARED])
def test_a_planted_leak_is_found_by_its_name(tmp_path, move, expected):
    record = done(tmp_path, split=functools.partial(planted, move=move))
    found = kinds(of_run(pathlib.Path(record.folder)))
    assert expected.items() <= found.items()
    others = set(found) - set(expected) - {"leaks that the protocol names"}
    assert not {kind for kind in others if "in train and val" in kind}
    assert certificates.matches(record)


def test_a_method_that_was_given_the_test_part(tmp_path):
    record = done(tmp_path, protocol=run.Rules("as_published", "test", ("fitted before the split",), fits_test=True))
    found = kinds(of_run(pathlib.Path(record.folder)))
    size = record.sizes["test"]["examples"]
    assert found["images of the test part that the method was given to fit on"] == (size, True)
    assert record.certificate["given"] == ["train", "val", "test"]


def test_an_honest_run_has_a_certificate_without_anything_shared(tmp_path):
    record = done(tmp_path)
    told = record.certificate
    assert not any(n for counts in told["shared"].values() for n in counts.values())
    assert (told["copies"], told["learned"], told["given"]) == (0, 0, ["train", "val"])
    assert told["chosen"] == {"epoch": None, "threshold": "val"}
    assert {name: part["examples"] for name, part in told["parts"].items()} == {
        name: size["examples"] for name, size in record.sizes.items()
    }
    assert len(told["hash"]) == 8 and certificates.matches(record)
    again = done(tmp_path / "again")
    assert again.certificate == told
    assert certificates.matches(records.load(record.folder)[0])


def test_an_edited_record_is_told(tmp_path):
    record = done(tmp_path)
    file = pathlib.Path(record.folder) / "record.json"
    values = json.loads(file.read_text())
    changes = {
        ("certificate", "given"): ["train"],
        ("fingerprint",): "0",
        ("reported",): "val",
        ("metrics", "auc", "value"): 0.999,
        ("leaks",): ["none"],
        ("test_reads",): 0,
        ("sizes", "test", "patients"): 1,
        ("label_policy",): "another",
    }
    for path, value in changes.items():
        edited = json.loads(file.read_text())
        inner = edited
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        assert not certificates.matches(records.from_json(edited))
    values["certificate"]["copies"] = 1
    file.write_text(json.dumps(values))
    found = kinds(of_run(pathlib.Path(record.folder)))
    assert found["certificate that is not of this record"] == (1, True)


def test_what_a_run_may_change_when_repeated_is_not_bound(tmp_path):
    record = done(tmp_path)
    assert certificates.matches(dataclasses.replace(record, seconds=1.0, commit="x", created="y", hardware="z"))


def test_predictions_that_were_cut_are_told(tmp_path):
    record = done(tmp_path)
    file = pathlib.Path(record.folder) / "predictions.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")  # another order is none of its business
    assert of_run(pathlib.Path(record.folder)) == []
    file.write_text("\n".join(lines[:-1]) + "\n")
    found = kinds(of_run(pathlib.Path(record.folder)))
    assert found == {"predictions of other images than the certificate's": (len(lines) - 2, True)}


def test_a_test_part_that_was_scored_after_every_epoch(tmp_path):
    record = done(tmp_path, protocol=run.Rules("as_published", "test", ("shown",), watched=True))
    found = kinds(of_run(pathlib.Path(record.folder)))
    assert found["images of the test part that were scored after every epoch"] == (
        record.sizes["test"]["examples"],
        True,
    )
    assert (record.certificate["given"], record.certificate["watched"]) == (["train", "val"], ["test"])


def test_every_run_of_a_folder_is_audited_and_a_folder_without_any_is_refused(tmp_path):
    done(tmp_path)
    deal = functools.partial(splits.random_examples, leak="shared")
    done(tmp_path, split=deal, protocol=run.Rules("as_published", "val"))
    found = auditing.of_runs(tmp_path)
    assert len(found) == 2 and sorted(map(bool, found.values())) == [False, True]
    (tmp_path / "empty").mkdir()
    with pytest.raises(cases.DataError, match="no record of a run that has ended"):
        auditing.of_runs(tmp_path / "empty")


def test_a_record_without_one_is_told(tmp_path):
    record = done(tmp_path)
    bare = dataclasses.replace(record, certificate={})
    assert kinds(auditing.of_record(bare)) == {"record without a certificate, of an older version": (1, False)}


def test_of_several_splits_the_worst_counts():
    def example(id, patient):
        view = cases.View(id, patient, cases.Side.LEFT, cases.Projection.CC, load=None, max_value=255)
        return cases.Example(id, patient, (view,), 1.0)

    a, b, c = (example(name, name) for name in "abc")
    parts = [
        cases.Splits((a,), (), (b,)),
        cases.Splits((a, dataclasses.replace(b, id="b2")), (), (b, c), leaks=("planted",)),
    ]
    assert certificates.shared(parts, "train", "test") == {"patients": 1, "breasts": 1, "images": 1, "ROIs": 0}
