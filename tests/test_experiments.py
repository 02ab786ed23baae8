"""Every run of every paper file, whole, at budget smoke; what a user's first commands do."""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from mammo_tf import artifacts, cli, commands, records

ROOT = pathlib.Path(__file__).parent.parent
EXPERIMENTS = commands.load_experiments(ROOT / "experiments")
AO2020 = EXPERIMENTS["ao2020"]
NAMES = list(dict.fromkeys(run.name for run in AO2020.RUNS))


def smoke(name, protocol, folder, *more):
    arguments = ["--budget", "smoke", "--only", name, "--protocol", protocol, "--out", str(folder), "--quiet", *more]
    assert cli.experiment(AO2020, arguments) == 0
    (record,) = [r for r in records.load(folder / "ao2020") if r.run == name and r.protocol == protocol]
    return record


def check_folder(record):
    folder = pathlib.Path(record.folder)
    expected = {"record.json", "predictions.csv", "history.csv", "model.keras", "preprocessing.json", "curves.png"}
    expected |= {"roc.png", "confusion.png", "saliency_0.png", "saliency_1.png", "tensorboard"}
    assert expected <= {path.name for path in folder.iterdir()}
    predictions = artifacts.read_predictions(folder / "predictions.csv")
    assert np.isfinite(predictions.scores).all() and len(set(predictions.scores)) > 1
    assert record.metrics["auc"].n == len(predictions.ids) == record.sizes[record.reported]["examples"]
    assert 0 < record.claims["uniform_rim_share"].value < 1


def test_ao2020_has_five_runs_under_two_protocols():
    assert NAMES == [
        "baseline_cnn",
        "alexnet",
        "resnet18_scratch",
        "resnet18_transfer",
        "resnet18_transfer_unaugmented",
    ]
    assert len(AO2020.RUNS) == 10


def test_ao2020_baseline_under_both_protocols(tmp_path):
    published = smoke("baseline_cnn", "as_published", tmp_path)
    honest = smoke("baseline_cnn", "honest", tmp_path)
    check_folder(published)
    check_folder(honest)
    assert published.reported == "val" and honest.reported == "test"
    assert published.leaks and not honest.leaks
    assert published.audit["val"]["roi_share"] > 0.8 and honest.audit["test"]["patient_share"] == 0
    assert honest.test_reads == 1 < published.test_reads
    crops = sum(size["examples"] for size in published.sizes.values())
    assert crops == 3 * sum(size["examples"] for size in honest.sizes.values())


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["as_published", "honest"])
@pytest.mark.parametrize("name", NAMES)
def test_ao2020_at_budget_smoke(tmp_path, name, protocol):
    record = smoke(name, protocol, tmp_path)
    check_folder(record)
    assert record.weights == ("phantom_standin" if "transfer" in name else "scratch")


@pytest.mark.slow
def test_a_repeated_seed_repeats_the_record_and_another_does_not(tmp_path):
    one = smoke("resnet18_scratch", "honest", tmp_path / "one")
    again = smoke("resnet18_scratch", "honest", tmp_path / "again")
    other = smoke("resnet18_scratch", "honest", tmp_path / "other", "--seed", "1")
    assert one.stable() == again.stable()
    files = [(pathlib.Path(r.folder) / "predictions.csv").read_text() for r in (one, again, other)]
    assert files[0] == files[1] != files[2]
    assert other.metrics != one.metrics


def test_ao2020_on_the_mini_mias_phantom(tmp_path):
    record = smoke("baseline_cnn", "as_published", tmp_path, "--dataset", "mini_mias")
    assert (record.dataset, record.dataset_kind, record.label_policy) == ("mini_mias", "phantom", "mias_severity")


@pytest.mark.skipif("MAMMO_TF_REAL_DATA" not in os.environ, reason="needs the real mini-MIAS")
def test_ao2020_on_real_mammograms(tmp_path):
    root = pathlib.Path(os.environ["MAMMO_TF_REAL_DATA"]) / "mini_mias"
    record = smoke("resnet18_scratch", "as_published", tmp_path, "--root", f"mini_mias={root}")
    assert (record.dataset, record.dataset_kind) == ("mini_mias", "real")
    assert len(record.problems) == 162  # 160 missing images, and two lesions without a place (mdb233, mdb245)
    assert record.sizes["train"]["examples"] + record.sizes["val"]["examples"] == 3 * 57
    check_folder(record)


@pytest.mark.slow
def test_enlargement_before_training(tmp_path):
    record = smoke("baseline_cnn", "honest", tmp_path, "--set", "copies=2")
    assert record.budget == "smoke+copies=2"


@pytest.mark.slow
def test_a_killed_command_goes_on_and_ends_with_the_same_predictions(tmp_path):
    more = ["--set", "batch=4", "--budget", "smoke", "--only", "resnet18_scratch", "--protocol", "honest"]
    command = [sys.executable, "experiments/ao2020.py", *more, "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], cwd=ROOT, check=True, capture_output=True)
    child = subprocess.Popen([*command, str(tmp_path / "killed")], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("killed/ao2020/*/checkpoint.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.wait()
    subprocess.run([*command, str(tmp_path / "killed"), "--resume"], cwd=ROOT, check=True, capture_output=True)
    files = [next(tmp_path.glob(f"{name}/ao2020/*/predictions.csv")) for name in ("whole", "killed")]
    assert files[0].read_text() == files[1].read_text()


@pytest.mark.slow
def test_estimate_times_the_net_at_paper_size(capsys):
    arguments = ["--estimate", "--only", "baseline_cnn", "--protocol", "honest", "--json"]
    assert cli.experiment(AO2020, arguments) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["steps"] == 300 * 34 and row["hours"] > 0 and row["phantom on disk, GB"] > 1  # 1,085 / 32 = 33.9


def test_the_example_runs_under_both_protocols(tmp_path):
    lines = (ROOT / "experiments" / "example.py").read_text().splitlines()
    assert len(lines) <= 40
    assert cli.experiment(EXPERIMENTS["example"], ["--out", str(tmp_path), "--quiet"]) == 0
    found = records.load(tmp_path)
    assert {(r.protocol, r.reported) for r in found} == {("as_published", "val"), ("honest", "test")}
    assert all(r.dataset_kind == "phantom" for r in found)
