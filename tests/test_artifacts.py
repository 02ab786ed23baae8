"""`artifacts`: the files of a run's folder and the facts of its training."""

import math

import numpy as np
import pytest

from mammo_tf import artifacts, cases, machine, regions


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


@pytest.mark.parametrize("text", ["", "id,patient\na,p\n"])
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
    mask = artifacts.lesion_mask(crop, (10, 10))
    assert mask.shape == (10, 10) and mask[5, 5] and not mask[0, 0]
    assert mask.mean() == pytest.approx(math.pi / 4, abs=0.1)  # the disc fills its box


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
