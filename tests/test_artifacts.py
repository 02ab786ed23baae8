"""`artifacts`: the files of a run's folder and the facts of its training."""

import math
import subprocess
import sys
import types

import numpy as np
import pytest

from mammo_tf import artifacts, cases, machine, predictions, regions
from tests import samples


def row(epoch, accuracy):
    return {"epoch": epoch, "accuracy": accuracy + 0.1, "val_accuracy": accuracy}


def test_training_facts_by_hand():
    history = [row(i + 1, a) for i, a in enumerate([0.5, 0.7, 0.69, 0.7, 0.6])]
    facts = artifacts.training_facts(history, best_epoch=2)
    assert facts["best_epoch"] == 2 and facts["epochs"] == 5
    assert facts["train_accuracy"] == pytest.approx(0.8)
    assert facts["val_accuracy"] == 0.7 and facts["last_val_accuracy"] == 0.6
    assert facts["epochs_to_95"] == 2  # 0.5 + 0.95 * 0.2 = 0.69 is reached at once


def test_a_net_that_never_beats_chance_has_no_epoch_to_95():
    assert math.isnan(artifacts.training_facts([row(1, 0.4), row(2, 0.45)], best_epoch=2)["epochs_to_95"])
    assert artifacts.training_facts([], None) == {}


def test_predictions_survive_their_file_to_the_last_bit_of_float32(tmp_path):
    scores = np.random.default_rng(0).random(50).astype(np.float32)
    given = artifacts.Predictions(
        tuple(f"id {i}" for i in range(50)), np.array(["p, q"] * 50), np.arange(50) % 2, scores.astype(float)
    )
    artifacts.write_predictions(tmp_path / "predictions.csv", given)
    found = artifacts.read_predictions(tmp_path / "predictions.csv")
    assert (
        found.ids == given.ids and (found.patients == given.patients).all() and (found.labels == given.labels).all()
    )
    np.testing.assert_array_equal(found.scores.astype(np.float32), scores)


def predicted(prefix, count, fold, classes=2, seed=0):
    """Examples of classes 0, 1, ... in turn, with random probabilities."""
    examples = [cases.Example(f"{prefix}{i}", f"p{i // 2}", (), float(i % classes)) for i in range(count)]
    rng = np.random.default_rng(seed)
    return artifacts.Predictions.of(examples, rng.dirichlet(np.ones(classes), count).astype(np.float32), fold)


def test_predictions_of_several_splits_are_joined_and_told_apart_again():
    parts = [predicted("a", 4, 0), predicted("b", 3, 2, seed=1)]
    joined = artifacts.Predictions.joined(parts)
    assert joined.ids == ("a0", "a1", "a2", "a3", "b0", "b1", "b2") and joined.folds.tolist() == [0] * 4 + [2] * 3
    assert [e.id for e in joined.examples] == list(joined.ids) and joined.classes == 2
    for part, fold in zip(parts, (0, 2), strict=True):
        again = joined.of_fold(fold)
        assert again.ids == part.ids
        for name in ("patients", "labels", "scores", "folds"):
            np.testing.assert_array_equal(getattr(again, name), getattr(part, name))
    assert not joined.of_fold(1).ids
    assert artifacts.Predictions.joined(parts[:1]) is parts[0]


def test_more_than_two_classes_keep_every_probability(tmp_path):
    given = predicted("a", 9, 4, classes=3)
    assert given.classes == 3 and given.labels.tolist() == [0, 1, 2] * 3
    np.testing.assert_allclose(given.scores, given.probabilities[:, 1:].sum(axis=1), atol=1e-7)  # P(not class 0)
    artifacts.write_predictions(tmp_path / "predictions.csv", given)
    found = artifacts.read_predictions(tmp_path / "predictions.csv")
    assert found.ids == given.ids and found.classes == 3 and found.folds.tolist() == [4] * 9
    np.testing.assert_array_equal(found.probabilities.astype(np.float32), given.probabilities.astype(np.float32))
    np.testing.assert_array_equal(found.labels, given.labels)


def test_two_classes_have_the_columns_that_they_always_had(tmp_path):
    artifacts.write_predictions(tmp_path / "predictions.csv", predicted("a", 2, 0))
    assert (tmp_path / "predictions.csv").read_text().splitlines()[0] == "id,patient,fold,label,score"
    assert artifacts.read_predictions(tmp_path / "predictions.csv").probabilities is None


def view(side, name="v"):
    return cases.View(name, "p", side, cases.Projection.CC, Black(40), 255)


def test_the_breast_of_an_example_is_its_patient_and_the_one_side_of_its_views():
    left, right, unknown = view(cases.Side.LEFT), view(cases.Side.RIGHT), view(None)
    for views, expected in (((left, left), "q LEFT"), ((right,), "q RIGHT"), ((left, right), ""), ((unknown,), "")):
        assert predictions.breast(cases.Example("e", "q", views, 1.0)) == expected
    assert predictions.breast(cases.Example("e", "q", (left, unknown), 1.0)) == predictions.breast(NO_VIEWS) == ""


NO_VIEWS = cases.Example("e", "q", (), 1.0)


@pytest.mark.parametrize("classes", [2, 3])
def test_breasts_survive_their_file_where_any_is_known(tmp_path, classes):
    sides = [cases.Side.LEFT, None, cases.Side.RIGHT]
    examples = [cases.Example(f"e{i}", f"p{i}", (view(side),), float(i % 2)) for i, side in enumerate(sides)]
    p = np.full((3, classes), 1 / classes)
    given = artifacts.Predictions.of(examples, p)
    assert given.breasts.tolist() == ["p0 LEFT", "", "p2 RIGHT"]
    assert artifacts.Predictions.of(examples[1:2], p[:1]).breasts is None
    artifacts.write_predictions(tmp_path / "p.csv", given)
    head = (tmp_path / "p.csv").read_text().splitlines()[0]
    assert head == "id,patient,fold,label,score,breast" + (",p0,p1,p2" if classes == 3 else "")
    found = artifacts.read_predictions(tmp_path / "p.csv")
    assert found.breasts.tolist() == given.breasts.tolist() and found.classes == classes
    joined = artifacts.Predictions.joined([found, predicted("a", 2, 1)])
    assert joined.breasts.tolist() == ["p0 LEFT", "", "p2 RIGHT", "", ""]
    assert (
        joined.of_fold(0).breasts.tolist() == given.breasts.tolist()
        and joined.of_fold(1).breasts.tolist() == [""] * 2
    )
    assert artifacts.Predictions.joined([predicted("a", 2, 0), predicted("b", 2, 1)]).breasts is None


def test_an_earlier_runs_files_and_folders_are_removed(tmp_path):
    (tmp_path / "fold0").mkdir()
    (tmp_path / "fold0" / "model.keras").write_text("old")
    (tmp_path / "record.json").write_text("{}")
    artifacts.empty(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "id,patient\na,p\n", "id,patient,fold,label,score\na,p,0,1,high\n"])
def test_a_table_that_holds_no_predictions_is_named(tmp_path, text):
    (tmp_path / "predictions.csv").write_text(text)
    with pytest.raises(cases.DataError, match="predictions"):
        artifacts.read_predictions(tmp_path / "predictions.csv")


def test_probabilities_of_another_length_are_refused():
    with pytest.raises(cases.MammoError, match="expected"):
        artifacts.Predictions.of([], np.zeros((1, 2)))


def test_the_mask_of_a_crop_has_the_size_of_the_net():
    view = cases.View(
        "v", "p", None, cases.Projection.CC, Black(40), 255, lesions=(lesion(regions.CircleRegion(20, 20, 10)),)
    )
    crop = cases.Example("e", "p", (view.window(10, 10, 20, 20),), 1.0)
    mask = artifacts.lesion_mask(crop, types.SimpleNamespace(shape=(10, 10), full=(10, 10), margin=0))
    assert mask.shape == (10, 10) and mask[5, 5] and not mask[0, 0]
    assert mask.mean() == pytest.approx(math.pi / 4, abs=0.1)  # the disc fills its box
    inner = artifacts.lesion_mask(crop, types.SimpleNamespace(shape=(4, 4), full=(10, 10), margin=3))
    np.testing.assert_array_equal(inner, mask[3:7, 3:7])


class Black:
    def __init__(self, side):
        self.side = side

    def __call__(self):
        return np.zeros((self.side, self.side), np.uint8)


def lesion(region):
    return cases.Lesion("l", cases.Pathology.BENIGN, "mass", region)


def test_circumstances_name_no_machine():
    found = machine.circumstances(0.0, "GPU: a card")
    assert found["hardware"].endswith("GPU: a card") and found["memory_mb"] > 10
    assert set(found) == {"seconds", "memory_mb", "versions", "hardware", "commit", "created"}


def test_the_peak_is_that_of_the_process_not_of_the_one_that_started_it():
    large = np.ones(300 * 2**17)  # 300 MB
    assert machine.peak_mb() > 300 and large[-1] == 1
    command = [sys.executable, "-c", "from mammo_tf import machine; print(machine.peak_mb())"]
    child = subprocess.run(command, cwd=samples.ROOT, capture_output=True, text=True, check=True)
    assert 5 < float(child.stdout) < 250
