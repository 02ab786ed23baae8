"""How a run was called, out of its folder again: row, budget, roots, hash; what cannot be found is named."""

import dataclasses
import json
import pathlib
import types

import pytest

from mammo_tf import cases, cli, datasets, records, run, run_settings
from mammo_tf.datasets import folder
from tests import samples, toy_runs


def paper(*rows):
    budgets = {"smoke": toy_runs.BUDGET}
    return types.SimpleNamespace(KEY="toy", DATASETS=(folder,), BUDGETS=budgets, RUNS=rows or (toy_runs.a_run(),))


def written(tmp_path, one=None, **changes):
    """Settings that went through the file, with the row."""
    one = one or toy_runs.a_run()
    before = toy_runs.settings(tmp_path, **changes)
    run_settings.write(one, before, tmp_path)
    return before, *run_settings.restored(run_settings.read(tmp_path), paper(one))


def test_a_run_keeps_how_it_was_called_and_no_record_is_taken_from_it(tmp_path):
    budget = cli.changed(toy_runs.BUDGET, ["draws=50"])
    record = run.execute(toy_runs.a_run(after=()), toy_runs.settings(tmp_path, budget=budget, seed=3))
    facts = run_settings.read(record.folder)
    assert (facts["paper"], facts["run"], facts["protocol"]) == ("toy", "mean_intensity", "honest")
    assert (facts["budget"], facts["numbers"], facts["seed"]) == ("smoke+draws=50", {"draws": 50}, 3)
    assert (facts["dataset"], facts["root"], facts["roots"], facts["weights"]) == ("folder", None, {}, None)
    one, settings = run_settings.restored(facts, paper())
    assert settings.budget == budget and run.identity(one, settings, record.fingerprint) == record.hash
    (loaded,) = records.load(tmp_path)
    assert loaded.hash == record.hash
    (pathlib.Path(record.folder) / "record.json").unlink()
    assert records.load(tmp_path) == []  # begun, not finished


def test_folders_are_absolute_and_everything_comes_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.keras").touch()
    root, roots = pathlib.Path("data"), {"folder": pathlib.Path("data"), "other": None}
    more = {"weights": "w.keras", "precision": "float32", "intensity": "voi", "strict": True, "seed": 7}
    before, one, after = written(tmp_path, root=root, roots=roots, **more)
    assert (after.root, after.roots) == (tmp_path / "data", {"folder": tmp_path / "data", "other": None})
    assert after.weights == str(tmp_path / "w.keras") and one == toy_runs.a_run()
    same = {"root": root, "roots": roots, "weights": "w.keras", "out": before.out}
    assert dataclasses.replace(after, **same) == before
    assert written(tmp_path, weights="phantom")[2].weights == "phantom"


def test_a_real_folder_is_read_again_from_elsewhere(tmp_path, monkeypatch):
    shown = datasets.open_dataset(folder, None, spec=toy_runs.BUDGET.phantom)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "data").symlink_to(shown.root)
    monkeypatch.chdir(tmp_path / "here")
    before = toy_runs.settings(tmp_path / "out", root=pathlib.Path("data"))
    record = run.execute(toy_runs.a_run(after=()), before)
    monkeypatch.chdir(tmp_path)
    one, settings = run_settings.restored(run_settings.read(record.folder), paper())
    assert run.open_data(one, settings).fingerprint == record.fingerprint


def test_an_older_run_names_the_command_of_its_paper_file(tmp_path):
    with pytest.raises(cases.DataError, match=r"no settings.json.*PAPER.py --null --only ROW"):
        run_settings.read(tmp_path / "nowhere")
    records.save(samples.record(), tmp_path / "record.json")
    wanted = "python experiments/ao2020.py --null --only baseline_cnn --protocol honest"
    with pytest.raises(cases.DataError, match=wanted):
        run_settings.read(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"paper": "toy"}'])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(cases.DataError, match=r"settings.json: (cannot be read|expected an object)"):
        run_settings.read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"run": "other"}, "toy has no row other honest"),
        ({"protocol": "as_published"}, "toy has no row mean_intensity as_published"),
        ({"budget": "huge+draws=3"}, "toy has no budget huge"),
        ({"numbers": {"side": 3}}, "no number side"),
        ({"dataset": "ddsm"}, "toy has no dataset ddsm"),
    ],
)
def test_what_the_paper_file_no_longer_has_is_named(tmp_path, changes, reason):
    run_settings.write(toy_runs.a_run(), toy_runs.settings(tmp_path), tmp_path)
    facts = json.loads((tmp_path / run_settings.FILE).read_text()) | changes
    with pytest.raises(cases.MammoError, match=reason):
        run_settings.restored(facts, paper())
