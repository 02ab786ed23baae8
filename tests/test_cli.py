"""The command line on bad and good input: one clear message, exit status 2, no traceback."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mammo_tf import cli, commands, commands_data, predictions
from mammo_tf.datasets import cbis_ddsm, dicom_intensity
from mammo_tf.evaluation import metrics
from tests import samples

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def experiment():
    return commands.load_experiments(ROOT / "experiments")["ao2020"]


@pytest.fixture(scope="module")
def phantom_folder(tmp_path_factory):
    """A small phantom in the layout of CBIS-DDSM."""
    folder = tmp_path_factory.mktemp("phantom") / "cbis"
    size = ["--patients", "30", "--height", "160", "--width", "128", "--spacing-mm", "1.4"]
    preview = ["--preview", str(folder.parent / "sheet.png"), "--json"]
    assert cli.main(["phantom", "cbis_ddsm", str(folder), *size, *preview]) == 0
    assert (folder.parent / "sheet.png").stat().st_size > 10_000
    return folder


def call(experiment, *arguments):
    return cli.experiment(
        experiment, ["--budget", "smoke", "--only", "baseline_cnn", "--protocol", "honest", *arguments]
    )


def refused(capsys, status):
    """The one message of a refused call."""
    error = capsys.readouterr().err
    assert status == 2 and error.startswith("error: ") and "Traceback" not in error
    return error


def test_an_empty_folder(experiment, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    error = refused(capsys, call(experiment, "--root", f"cbis_ddsm={tmp_path / 'empty'}", "--out", str(tmp_path)))
    assert "empty" in error and "mass_case_description_train_set.csv" in error


def test_a_missing_folder(experiment, capsys, tmp_path):
    error = refused(capsys, call(experiment, "--root", f"cbis_ddsm={tmp_path / 'nowhere'}", "--out", str(tmp_path)))
    assert "nowhere" in error


def test_a_csv_without_a_column(experiment, capsys, tmp_path, phantom_folder):
    broken = tmp_path / "cbis"
    shutil.copytree(phantom_folder, broken)
    path = next(broken.rglob("mass_case_description_train_set.csv"))
    path.write_bytes(path.read_bytes().replace(b"pathology", b"patology", 1))
    error = refused(capsys, call(experiment, "--root", f"cbis_ddsm={broken}", "--out", str(tmp_path)))
    assert "mass_case_description_train_set.csv" in error and "pathology" in error


def test_rows_whose_files_are_missing_and_a_truncated_dicom_are_left_out_and_listed(
    experiment, tmp_path, phantom_folder
):
    broken = tmp_path / "cbis"
    shutil.copytree(phantom_folder, broken)
    dataset = cbis_ddsm.read(broken)
    masses = [view for view in dataset.views if any(lesion.kind == "mass" for lesion in view.lesions)]
    pathlib.Path(masses[0].path).unlink()
    truncated = pathlib.Path(masses[1].path)
    truncated.write_bytes(truncated.read_bytes()[:-500])
    assert call(experiment, "--root", f"cbis_ddsm={broken}", "--out", str(tmp_path / "runs"), "--quiet") == 0
    (path,) = (tmp_path / "runs").rglob("record.json")
    problems = {p["path"]: p["reason"] for p in json.loads(path.read_text())["problems"]}
    missing, short = (pathlib.Path(view.path).relative_to(broken).as_posix() for view in masses[:2])
    assert "no such file" in problems[missing] and "bytes" in problems[short]


def test_strict_stops_at_the_first_unreadable_file(experiment, capsys, tmp_path, phantom_folder):
    broken = tmp_path / "cbis"
    shutil.copytree(phantom_folder, broken)
    view = cbis_ddsm.read(broken).views[0]
    pathlib.Path(view.path).unlink()
    status = call(experiment, "--root", f"cbis_ddsm={broken}", "--out", str(tmp_path / "runs"), "--strict")
    assert pathlib.Path(view.path).parent.name in refused(capsys, status)


def test_an_unknown_run_name(experiment, capsys):
    error = refused(capsys, cli.experiment(experiment, ["--only", "resnet19"]))
    assert "resnet19" in error and "resnet18_scratch" in error


def test_an_output_folder_in_the_way(experiment, capsys, tmp_path):
    (tmp_path / "out").write_text("a file")
    error = refused(capsys, call(experiment, "--out", str(tmp_path / "out")))
    assert "cannot be written" in error


@pytest.mark.skipif(not pathlib.Path("/proc/self").is_dir(), reason="needs a folder that nobody can write")
def test_a_folder_mounted_read_only(experiment, capsys):
    error = refused(capsys, call(experiment, "--out", "/proc/self/runs"))
    assert "/proc/self/runs" in error


def test_malformed_root(experiment, capsys):
    assert "NAME=DIR" in refused(capsys, cli.experiment(experiment, ["--root", "somewhere"]))


def test_weights_that_are_nowhere(experiment, capsys, tmp_path, monkeypatch):
    def unreachable(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr("keras.utils.get_file", unreachable)
    arguments = ["--budget", "smoke", "--only", "resnet18_transfer", "--protocol", "honest", "--out", str(tmp_path)]
    missing = [*arguments, "--weights", str(tmp_path / "missing.safetensors")]
    assert "missing.safetensors" in refused(capsys, cli.experiment(experiment, missing))
    imagenet = refused(capsys, cli.experiment(experiment, [*arguments, "--weights", "imagenet"]))
    assert "--weights" in imagenet and "resnet18.tv_in1k" in imagenet


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--seed", "-1"], ["--seed", "4294967296"]])
def test_seeds_out_of_range(experiment, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        cli.experiment(experiment, arguments)
    assert caught.value.code == 2 and "Traceback" not in capsys.readouterr().err


def test_list_prints_every_run_and_json(experiment, capsys):
    assert cli.experiment(experiment, ["--list"]) == 0
    assert "resnet18_transfer_unaugmented" in capsys.readouterr().out
    assert cli.experiment(experiment, ["--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 10 and {row["protocol"] for row in rows} == {"as_published", "honest"}


def test_data_folder_from_the_environment(experiment, capsys, monkeypatch, tmp_path):
    (tmp_path / "mini_mias").mkdir()
    monkeypatch.setenv("MAMMO_TF_DATA", str(tmp_path))
    assert cli.root_of("mini_mias", []) == tmp_path / "mini_mias"
    assert cli.root_of("mini_mias", ["mini_mias=/elsewhere"]) == pathlib.Path("/elsewhere")
    assert "holds no folder cbis_ddsm" in refused(capsys, call(experiment, "--dataset", "cbis_ddsm"))


def test_the_phantom_never_takes_a_named_folders_place(experiment, capsys, tmp_path):
    error = refused(capsys, call(experiment, "--dataset", "cbis_ddsm", "--root", f"mini_mias={tmp_path}"))
    assert "names mini_mias only" in error
    both = ["--root", f"mini_mias={tmp_path}", "--root", f"cbis_ddsm={tmp_path}"]
    assert "say which one" in refused(capsys, call(experiment, *both))
    error = refused(capsys, call(experiment, "--root", f"mini_mias={tmp_path}", "--out", str(tmp_path)))
    assert "Info.txt" in error  # --root alone chooses the dataset


def test_numbers_of_a_budget_can_be_changed_and_its_name_says_so(experiment, capsys):
    budget = cli.changed(experiment.BUDGETS["smoke"], ["copies=2", "width=0.5"])
    assert (budget.copies, budget.width, budget.name) == (2, 0.5, "smoke+copies=2+width=0.5")
    assert "batch" in refused(capsys, call(experiment, "--set", "bach=2"))
    assert "not a number" in refused(capsys, call(experiment, "--set", "batch=many"))


def test_compare_pairs_two_runs_and_refuses_other_patients(capsys, tmp_path):
    rows = [f"e{i},p{i // 2},0,{i % 2},{{}}" for i in range(40)]
    for name, step in (("one", 0.02), ("two", 0.005), ("few", 0.01)):
        (tmp_path / name).mkdir()
        table = [row.format(0.3 + step * ((i * 7) % 11) + 0.2 * (i % 2)) for i, row in enumerate(rows)]
        table = table[:20] if name == "few" else table
        (tmp_path / name / "predictions.csv").write_text("\n".join(["id,patient,fold,label,score", *table]) + "\n")
    assert cli.main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["auc"]["n"] == 40 and 0 <= found["auc_p"] <= 1 and found["auc"]["value"] < 0
    assert cli.main(["compare", str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    assert "accuracy" in capsys.readouterr().out
    error = refused(capsys, cli.main(["compare", str(tmp_path / "one"), str(tmp_path / "few")]))
    assert "different examples" in error


def test_report_keep_and_cache(capsys, tmp_path, monkeypatch):
    from mammo_tf import records

    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "runs" / "ao2020" / "one"
    folder.mkdir(parents=True)
    records.save(samples.record(), folder / "record.json")
    (folder / "predictions.csv").write_text("id,patient,fold,label,score\na,p,0,1,0.5\n")
    assert cli.main(["keep", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]) == 0
    arguments = [
        "--runs",
        str(tmp_path / "results"),
        "--out",
        str(tmp_path),
        "--experiments",
        str(ROOT / "experiments"),
    ]
    assert cli.main(["report", *arguments]) == 0
    assert "baseline_cnn" in (tmp_path / "RESULTS.md").read_text() and (tmp_path / "page.html").is_file()
    assert cli.main(["cache", "--json"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed.splitlines()[-1])["folder"] == str(tmp_path / "cache")


def test_the_command_is_installed_and_knows_its_commands():
    done = subprocess.run([sys.executable, "-m", "mammo_tf", "--help"], capture_output=True, text=True, check=True)
    named = {"check", "prepare", "phantom", "doctor", "cache", "report", "compare", "explain", "export", "keep"}
    assert named <= set(done.stdout.replace(",", " ").split())


@pytest.mark.parametrize("command", ["check", "prepare", "phantom", "doctor", "cache"])
def test_every_command_about_data_has_help_with_its_options(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    printed = capsys.readouterr().out
    assert caught.value.code == 0 and "--json" in printed
    assert command in ("doctor", "cache") or all(name in printed for name in commands_data.FORMATS)


def test_the_commands_know_the_policies_of_intensity():
    assert commands_data.INTENSITIES == dicom_intensity.POLICIES


def test_compare_takes_folds_classes_and_kept_records(tmp_path, capsys):
    """Folds give the difference of mean AUCs, more classes that of accuracies; a CSV or a folder will do."""
    rng = np.random.default_rng(0)
    for name, better in (("one", 0.3), ("two", 0.0)):
        lines = ["id,patient,fold,label,score"]
        for i in range(80):
            score = min(max(0.5 + better * (i % 2 - 0.5) + 0.2 * rng.normal(), 0), 1)
            lines.append(f"e{i},p{i // 2:02d},{i // 40},{i % 2},{score:.6f}")
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    arguments = ["compare", str(tmp_path / "one.csv"), str(tmp_path / "two.csv")]
    assert cli.main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    scored = [predictions.read_predictions(tmp_path / f"{name}.csv") for name in ("one", "two")]
    means = [np.mean([metrics.auc(p.of_fold(k).labels, p.of_fold(k).scores) for k in (0, 1)]) for p in scored]
    assert found["auc"]["value"] == pytest.approx(means[0] - means[1])
    assert found["accuracy_p"] < 0.05 and found["accuracy"]["low"] > 0
    assert cli.main(arguments) == 0 and "80 examples of 40 patients" in capsys.readouterr().out
    for name in ("three", "four"):
        lines = ["id,patient,fold,label,score,p0,p1,p2"]
        lines += [f"e{i},p{i // 2},0,{i % 3},0.5,0.5,0.3,0.2" for i in range(30)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    assert cli.main(["compare", str(tmp_path / "three.csv"), str(tmp_path / "four.csv")]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert cli.main(["compare", str(tmp_path / "one.csv"), str(tmp_path / "three.csv")]) == 2
    assert "2 and 3 classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, message",
    [
        ("id,patient,fold,label,score\ne,p,0,1,0.5,7\n", "line 2 has more or fewer cells"),
        ("id,fold,label,score,patient\ne,0,1,0.5\n", "line 2 has more or fewer cells"),
        ("id,patient,fold,label,score,age\ne,p,0,1,0.5,61\n", "unknown column age"),
        ("id,patient,fold,label,score\n", "not a table of predictions"),
        ("id;patient\n", "not a table of predictions"),
    ],
)
def test_tables_of_predictions_with_faults_are_refused(tmp_path, capsys, text, message):
    (tmp_path / "bad.csv").write_text(text)
    for command in (["evaluate"], ["compare", str(tmp_path / "bad.csv")]):
        assert cli.main([*command, str(tmp_path / "bad.csv")]) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "bad.csv").write_bytes(b"id,patient\xff\n")
    assert cli.main(["evaluate", str(tmp_path / "bad.csv")]) == 2 and "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"[1, 2]", b"7", b"\xff{}", b'{"paper": "x"}'])
def test_files_that_are_no_records_are_refused(tmp_path, capsys, content):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "record.json").write_bytes(content)
    for command in ("audit", "keep", "report --runs"):
        assert cli.main([*command.split(), str(tmp_path / "r")]) == 2
        assert "record.json: not" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    for command in ("audit", "keep", "report --runs", "evaluate"):
        assert cli.main([*command.split(), str(tmp_path / "empty")]) == 2
        assert str(tmp_path / "empty") in capsys.readouterr().err
