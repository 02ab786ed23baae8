"""A search inside a training part: what is judged on what, what is proposed, what is kept, and how it goes on."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from mammo_tf import cases, tuning
from mammo_tf.datasets import splits
from mammo_tf.models import blocks, conv_head
from mammo_tf.pipeline import augment, build, enlarge, features, normalize
from mammo_tf.training import frozen, method, schedule
from tests import training_fakes as fakes

SIDE = 16
TRAIN = fakes.examples(24, 0, shape=(SIDE, SIDE))
ENLARGED = enlarge.Enlargement((SIDE, SIDE), augment.Augment(flip_horizontal=True), factors=(2.0, 2.0))(TRAIN, 0)
SPACE = (
    tuning.Choice("kernel", (3, 1)),
    tuning.LogRange("learning_rate", 1e-7, 3e-2, first=1e-7),
    tuning.Choice("class_weight", ("none", "balanced")),
)
DEAL = functools.partial(splits.random_kfold, folds=2, val_fraction=0, leak="none: one view a patient")


def base(x, *, seed):
    return blocks.relu(blocks.conv(x, blocks.Conv("base", 4, 3, stride=2), seed=seed), "base_relu")


def make(choices):
    head = conv_head.Head(filters=4, kernel=choices["kernel"])
    optimizer = functools.partial(keras.optimizers.Adam, choices["learning_rate"])
    return method.KerasMethod(
        functools.partial(conv_head.conv_head, features=base, head=head),
        build.Pipeline(SIDE, normalize.per_image, batch=8, channels=1),
        (schedule.Stage(3, optimizer, trainable=conv_head.PREFIXES),),
        schedule.last_epoch,
        class_weight=None if choices["class_weight"] == "none" else choices["class_weight"],
        frozen=frozen.Frozen(conv_head.CUT, features.of),
    )


def of(trials=4, deal=DEAL):
    return tuning.Tuned(make, SPACE, trials, deal)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    return folder, of().fit(ENLARGED, (), fakes.context(folder))


def trials(folder):
    return json.loads((folder / tuning.TRIALS).read_text())["trials"]


def test_the_first_trial_is_untuned_and_the_best_is_fitted(searched):
    folder, fitted = searched
    done = trials(folder)
    assert len(done) == 4 and done[0]["choices"] == {"kernel": 3, "learning_rate": 1e-7, "class_weight": "none"}
    assert all(1e-7 <= trial["choices"]["learning_rate"] <= 3e-2 for trial in done)
    best = max(done, key=lambda trial: sum(trial["aucs"]))["choices"]
    again = make(best).fit(ENLARGED, (), fakes.context(folder / "again"))
    np.testing.assert_array_equal(fitted(TRAIN), again(TRAIN))
    assert np.mean(done[0]["aucs"]) < max(np.mean(trial["aucs"]) for trial in done)  # at 1e-7 nothing is learned


@pytest.mark.slow
def test_a_trial_is_judged_as_its_method_would_be_on_that_split(searched):
    folder, _ = searched
    trial = trials(folder)[1]
    for split, auc in zip(DEAL(TRAIN, 3), trial["aucs"], strict=True):
        learned = (*split.train, *tuning._copies(ENLARGED, split.train))
        fitted = make(trial["choices"]).fit(learned, split.test, fakes.context(folder / f"whole{auc}"))
        assert fitted.history[-1]["val_auc"] == pytest.approx(auc, abs=1e-9)


def test_copies_follow_their_image_and_are_not_judged_on():
    judged = of()._folds(ENLARGED, fakes.context("unused"))
    for data in judged:
        assert not any("+" in name for name in data.val.ids)
        learned = {name.partition("+")[0] for name in data.train.ids}
        assert learned.isdisjoint(data.val.ids) and len(data.train.ids) == 2 * len(learned)
    assert sorted(name for data in judged for name in data.val.ids) == sorted(example.id for example in TRAIN)


def test_folds_by_patient_keep_patients_apart():
    by_patient = tuple(
        dataclasses.replace(example, patient_id=f"p{i // 4}", label=float(i // 4 % 2))
        for i, example in enumerate(TRAIN)
    )
    deal = functools.partial(splits.patient_kfold, folds=2, val_fraction=0)
    for data in of(deal=deal)._folds(by_patient, fakes.context("unused")):
        assert set(data.train.patients).isdisjoint(data.val.patients)


@pytest.mark.slow
def test_a_search_goes_on_where_it_stopped(searched, tmp_path, monkeypatch):
    folder, fitted = searched
    judge, asked = tuning.Tuned._judge, []

    def stopping(self, choices, data, context):
        asked.append(choices)
        if len(asked) > 4:  # two trials of two folds
            raise KeyboardInterrupt
        return judge(self, choices, data, context)

    monkeypatch.setattr(tuning.Tuned, "_judge", stopping)
    with pytest.raises(KeyboardInterrupt):
        of().fit(ENLARGED, (), fakes.context(tmp_path))
    asked.clear()
    monkeypatch.setattr(tuning.Tuned, "_judge", lambda *given: asked.append(given[1]) or judge(*given))
    resumed = of().fit(ENLARGED, (), fakes.context(tmp_path, resume=True))
    assert len(asked) == 2 * 2 and trials(tmp_path) == trials(folder)
    np.testing.assert_array_equal(resumed(TRAIN), fitted(TRAIN))


def test_trials_of_another_search_or_a_broken_file_are_refused(searched, tmp_path):
    folder, _ = searched
    (tmp_path / tuning.TRIALS).write_text((folder / tuning.TRIALS).read_text())
    with pytest.raises(cases.DataError, match=r"trials\.json: the trials belong to another search"):
        of().fit(TRAIN, (), fakes.context(tmp_path, resume=True))
    (tmp_path / tuning.TRIALS).write_text("{")
    with pytest.raises(cases.DataError, match=r"trials\.json: not a list of trials"):
        of().fit(TRAIN, (), fakes.context(tmp_path, resume=True))


def test_tensorboard_and_the_table_show_each_trial(searched):
    folder, _ = searched
    lines = (folder / tuning.TABLE).read_text().splitlines()
    assert lines[0] == "trial,kernel,learning_rate,class_weight,auc0,auc1,auc" and len(lines) == 5
    for number, trial in enumerate(trials(folder)):
        found = event_accumulator.EventAccumulator(str(folder / tuning.BOARD / f"trial{number:02d}")).Reload()
        (value,) = found.Tensors(tuning.METRIC)
        assert float(tf.make_ndarray(value.tensor_proto)) == pytest.approx(np.mean(trial["aucs"]), abs=1e-6)


def test_without_optuna_it_says_what_to_install(monkeypatch, tmp_path):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(tuning.importlib, "import_module", missing)
    with pytest.raises(cases.MammoError, match="pip install"):
        of()._propose([{"choices": of().first(), "aucs": [0.5]}], 0)


def test_odd_spaces_are_refused():
    with pytest.raises(cases.MammoError, match="trials must be 1 or more, found 0"):
        of(trials=0)
    with pytest.raises(cases.MammoError, match="twice in the space: kernel, kernel"):
        tuning.Tuned(make, (SPACE[0], SPACE[0]), 2, DEAL)
