"""What `mammo-tf prepare` says before and after, and what it refuses."""

import dataclasses
import json

import pytest

from mammo_tf import cases, datasets, preparing
from mammo_tf.datasets import mini_mias, phantom, prepared
from tests import prepared_samples as samples


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    spec = phantom.PhantomSpec(patients=3, height=300, width=225, spacing_mm=0.8)
    datasets.write_phantom(mini_mias, spec, tmp_path / "films")
    return tmp_path / "films"


def test_a_dataset_is_prepared_once_and_its_need_said_first(root, tmp_path, caplog):
    caplog.set_level("INFO", "mammo_tf")
    request = preparing.Request(mini_mias, root)
    found = preparing.prepare(request)
    direct = mini_mias.read(root)
    count = len(direct.views)
    lines = caplog.text.splitlines()
    assert f"mini_mias (phantom): {count} views of 3 patients" in lines[0]
    folder = tmp_path / "cache" / "prepared" / f"mini_mias-{direct.fingerprint}" / "mini_mias" / "1.0.0"
    assert str(folder) in lines[1] and "needs   about" in lines[2] and "takes   about" in lines[3]
    assert f"{count} of {count} views" in lines[-1]
    said = preparing.text(found)
    assert said.startswith("mini_mias (phantom): prepared in ") and f"{count} of {count} views" in said
    assert f"--root mini_mias={folder}\n" in said
    assert f'tensorflow_datasets.load("mini_mias:1.0.0", data_dir="{folder.parents[1]}")' in said
    caplog.clear()
    again = preparing.prepare(request)
    assert caplog.text == "" and again.made.already
    assert preparing.text(again).startswith(f"mini_mias (phantom): prepared already; {count} of {count} views")
    facts = json.loads(json.dumps(preparing.as_json(again)))
    assert facts["folder"] == str(folder) and facts["fingerprint"] == direct.fingerprint
    assert (facts["views"], facts["records"], facts["already"], facts["unreadable"]) == (count, count, True, [])
    assert facts["need"]["bytes"] > 0 and facts["problems"] == []
    opened = datasets.open_dataset(mini_mias, found.made.folder)
    samples.assert_same_pixels(opened.views, direct.views)


def test_without_a_root_a_phantom_is_prepared(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(prepared, "made", lambda plan: None)
    monkeypatch.setattr(prepared, "make", lambda plan, progress: seen.append(plan))
    preparing.prepare(preparing.Request(mini_mias, patients=2, out=tmp_path / "out"))
    assert seen[0].dataset.kind == "phantom" and len(seen[0].dataset.cases) == 2
    assert seen[0].folder == tmp_path / "out" / "mini_mias" / "1.0.0"


def test_changed_files_are_said_and_prepared_anew(root, caplog):
    caplog.set_level("INFO", "mammo_tf")
    old = preparing.prepare(preparing.Request(mini_mias, root))
    path = next(root.rglob("mdb*.pgm"))
    path.unlink()
    new = preparing.prepare(preparing.Request(mini_mias, root))
    assert f"changed since {old.made.folder} was prepared" in caplog.text
    assert "without 1 files or rows that the reader leaves out" in caplog.text
    assert new.made.folder != old.made.folder and new.made.views == old.made.views - 1
    with pytest.raises(cases.DataError, match="no such"):
        preparing.prepare(preparing.Request(mini_mias, root, strict=True))


def test_what_is_refused(root, tmp_path):
    out = tmp_path / "out"
    preparing.prepare(preparing.Request(mini_mias, root, out))
    with pytest.raises(cases.DataError, match="is a prepared dataset already"):
        preparing.prepare(preparing.Request(mini_mias, out))
    with pytest.raises(cases.DataError, match="another folder than that of the original files"):
        preparing.prepare(preparing.Request(mini_mias, root, root / "." / ".." / root.name))
    (tmp_path / "mini_mias").symlink_to(root)  # the records would lie in root / "1.0.0"
    with pytest.raises(cases.DataError, match="another folder than that of the original files"):
        preparing.prepare(preparing.Request(mini_mias, root, tmp_path))
    with pytest.raises(cases.MammoError, match="no intensity but raw, asked for was voi"):
        preparing.prepare(preparing.Request(mini_mias, root, intensity="voi"))
    with pytest.raises(cases.MissingError, match="no such folder"):
        preparing.prepare(preparing.Request(mini_mias, tmp_path / "nowhere"))


def test_the_plan_says_what_was_left_by_a_stopped_start(tmp_path):
    plan = samples.plan(tmp_path)
    need = prepared.prepared_plan.Need(bytes=61_234_567_890, staged=3_000_000, free=99_000_000_000, seconds=7500)
    text = preparing.plan_text(dataclasses.replace(plan, need=need))
    assert text.splitlines()[:4] == [
        "samples (real): 10 views of 5 patients",
        f"  to      {tmp_path}/samples/1.0.0",
        "  needs   about 61.2 GB of disk, 99.0 GB are free",
        "  takes   about 2.1 hours with 2 worker(s)",
    ]
    assert "resumes where an earlier start was stopped: 3.0 MB are there" in text
    assert "without 1 files or rows" in text


def test_unreadable_files_are_named_but_not_all_of_them(tmp_path):
    faults = tuple(cases.Problem(f"{i}.dcm", "broken") for i in range(7))
    made = prepared.Made(tmp_path, 10, 3, 1000, faults, already=False, resumed=2)
    text = preparing.text(preparing.Result(samples.plan(tmp_path), made, 4.0))
    assert "prepared in 4 seconds, 2 views of them before; 3 of 10 views, 1.0 kB" in text
    assert "4.dcm: broken" in text and "5.dcm" not in text and "unreadable    7 in all" in text


def test_progress_is_said_ten_times(caplog):
    caplog.set_level("INFO", "mammo_tf")
    progress = preparing._Progress()
    for done in range(1, 101):
        progress(done, 100)
    assert [record.getMessage() for record in caplog.records] == [
        f"{done} of 100 views" for done in range(10, 101, 10)
    ]
