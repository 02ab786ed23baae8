"""`mammo-tf evaluate`: numbers and pictures of runs, folds, pooled images; what is refused."""

import json

import numpy as np
import pytest

from mammo_tf import artifacts, cli, commands_evaluate, records
from mammo_tf.evaluation import intervals, pooling, recalibration
from tests import samples
from tests.test_evaluation_clustered import cohort

PICTURES = {"precision_recall.png", "reliability.png", "decision_curve.png"}


def table(path, parts, breasts=True, classes=2):
    """Predictions of several folds (labels, scores, patients) as their file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels, scores, patients = (np.concatenate(column) for column in zip(*parts, strict=True))
    ids = tuple(f"e{i}" for i in range(len(labels)))
    sides = np.array([f"{patient} {('LEFT', 'RIGHT')[i % 2]}" for i, patient in enumerate(patients)])
    p = np.full((len(labels), classes), 1 / classes) if classes > 2 else None
    fold = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    predictions = artifacts.Predictions(ids, patients, labels, scores, p, fold, breasts=sides if breasts else None)
    artifacts.write_predictions(path, predictions)
    return predictions


def called(capsys, *arguments):
    assert cli.main(["evaluate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments):
    assert cli.main(["evaluate", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error
    return error


def test_a_run_s_folder_has_its_numbers_at_the_threshold_of_validation_and_its_pictures(tmp_path, capsys):
    run = tmp_path / "run"
    table(run / "predictions.csv", [cohort()])
    records.save(samples.record(threshold=0.35), run / "record.json")
    (found,) = called(capsys, run, "--prevalence", "0.006", "--bins", "5")
    assert {path.name for path in run.glob("*.png")} == PICTURES
    assert (found["threshold"], found["threshold_rule"], found["folds"]) == (0.35, "youden on validation", 1)
    expected = intervals.evaluate(*cohort(), threshold=0.35)
    assert found["metrics"]["sensitivity"]["value"] == pytest.approx(expected["recall"].value)
    assert found["metrics"]["auc"]["low"] == pytest.approx(expected["auc"].low)
    assert found["metrics"]["ppv_at_prevalence"]["value"] < 0.1
    assert cli.main(["evaluate", str(run), "--threshold", "0.5"]) == 0
    said = capsys.readouterr().out
    assert "sensitivity at threshold 0.5" in said and "phantom data, part test" in said and "prevalence 0" not in said
    assert all(line.rstrip() == line for line in said.splitlines())


def test_a_kept_record_is_read_with_its_table_and_nothing_is_written_beside_it(tmp_path, capsys):
    kept = tmp_path / "results" / "toy"
    record = samples.record()
    table(kept / f"{record.label}.csv", [cohort()])
    records.save(record, kept / f"{record.label}.json")
    before = sorted(kept.iterdir())
    for name in (kept, kept / f"{record.label}.json", kept / f"{record.label}.csv"):
        (found,) = called(capsys, name)
        assert found["threshold"] == 0.4 and found["dataset_kind"] == "phantom" and not found["pictures"]
    assert sorted(kept.iterdir()) == before
    (found,) = called(capsys, kept, "--out", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == PICTURES and len(found["pictures"]) == 3
    both = called(capsys, kept, kept / f"{record.label}.csv", "--out", tmp_path / "two")
    assert len(both) == 2 and [path.name for path in (tmp_path / "two").iterdir()] == [record.label]


def test_folds_are_named_and_averaged(tmp_path, capsys):
    table(tmp_path / "p.csv", [cohort(0), cohort(1)])
    (found,) = called(capsys, tmp_path / "p.csv", "--out", tmp_path / "out")
    each = [intervals.auc(*cohort(seed)).value for seed in range(2)]
    assert found["folds"] == 2 and found["metrics"]["auc"]["value"] == pytest.approx(np.mean(each))
    assert cli.main(["evaluate", str(tmp_path / "p.csv")]) == 0
    assert "2 folds: means over folds, since scores of different nets" in capsys.readouterr().out
    assert "one of each is needed" in refused(capsys, tmp_path / "p.csv", "--validation", tmp_path / "p.csv")


def test_images_are_pooled_fold_by_fold(tmp_path, capsys):
    predictions = table(tmp_path / "p.csv", [cohort()])
    for level, rule in (("case", "max"), ("breast", "mean"), ("case", None)):
        (found,) = called(capsys, tmp_path / "p.csv", "--pool", level, *(["--rule", rule] if rule else []))
        pooled = pooling.pool(predictions, level, rule or "mean_then_max")
        expected = intervals.auc(pooled.labels, pooled.scores, pooled.patients)
        assert found["unit"] == f"{level}s" and found["metrics"]["auc"]["n"] == len(pooled.ids)
        assert found["metrics"]["auc"]["value"] == pytest.approx(expected.value)
    table(tmp_path / "old.csv", [cohort()], breasts=False)
    assert "breast of 150 of 150 images is unknown" in refused(capsys, tmp_path / "old.csv", "--pool", "breast")
    assert "name --pool" in refused(capsys, tmp_path / "p.csv", "--rule", "max")


def test_recalibration_by_other_patients(tmp_path, capsys):
    validation = cohort(5, prefix="v")
    table(tmp_path / "p.csv", [cohort()])
    table(tmp_path / "v.csv", [validation])
    (found,) = called(capsys, tmp_path / "p.csv", "--validation", tmp_path / "v.csv")
    assert set(found["recalibrated"]) == {"temperature", "platt", "isotonic"}
    one = found["recalibrated"]["temperature"]
    assert one["map"]["value"] == pytest.approx(recalibration.temperature(*validation[:2]).value)
    assert one["before"]["brier"] == found["metrics"]["brier"]
    assert cli.main(["evaluate", str(tmp_path / "p.csv"), "--validation", str(tmp_path / "v.csv")]) == 0
    assert "after less before" in capsys.readouterr().out
    same = refused(capsys, tmp_path / "p.csv", "--validation", tmp_path / "p.csv")
    assert "50 patients stand in validation and in the reported part" in same
    assert "2 are named" in refused(capsys, *[tmp_path / "p.csv"] * 2, "--validation", tmp_path / "v.csv")


def test_scores_beyond_one_and_parts_of_one_class(tmp_path, capsys):
    labels, scores, patients = cohort()
    table(tmp_path / "p.csv", [(labels, 3 * scores, patients)])
    assert cli.main(["evaluate", str(tmp_path / "p.csv"), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "no probabilities" in said and "Brier" not in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precision_recall.png"]
    few = table(tmp_path / "one.csv", [(np.zeros(6, int), scores[:6], patients[:6])])
    (found,) = called(capsys, tmp_path / "one.csv", "--prevalence", "0.01", "--out", tmp_path / "out2")
    assert found["metrics"]["auc"]["value"] is None and found["metrics"]["brier"]["n"] == len(few.ids)
    assert len(found["pictures"]) == 2  # no net benefit of one class


def test_what_is_refused(tmp_path, capsys):
    table(tmp_path / "three.csv", [cohort()], classes=3)
    assert "three.csv: 3 classes; evaluate measures two" in refused(capsys, tmp_path / "three.csv")
    records.save(samples.record(dataset_kind="real"), tmp_path / "real.json")
    assert "not kept beside their records" in refused(capsys, tmp_path / "real.json")
    (tmp_path / "empty").mkdir()
    assert "no run is there" in refused(capsys, tmp_path / "empty")
    assert "no such folder" in refused(capsys, tmp_path / "nowhere")
    for option, value in (("--prevalence", "0"), ("--specificity", "1.2"), ("--bins", "0"), ("--sensitivity", "x")):
        with pytest.raises(SystemExit) as caught:
            cli.main(["evaluate", str(tmp_path / "three.csv"), option, value])
        assert caught.value.code == 2


def test_the_rules_of_the_command_are_those_of_pooling():
    parser = cli.argparse.ArgumentParser()
    (one,) = commands_evaluate.add(parser.add_subparsers())
    (rule,) = [action for action in one._actions if action.dest == "rule"]
    assert set(rule.choices) == set(pooling.RULES)
