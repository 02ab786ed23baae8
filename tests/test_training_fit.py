import dataclasses
import functools
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.training import checkpoint, fit, schedule
from tests import training_fakes as fakes

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory):
    """Weights, seed states, history and last checkpoint of the training that nothing interrupts."""
    folder = tmp_path_factory.mktemp("unkilled")
    model, outcome = fakes.train(folder)
    last = checkpoint.load(folder / checkpoint.NAME, {"seed": "3"})
    return checkpoint.values(model.variables), outcome, last, folder


def die(*args):
    raise KeyboardInterrupt


def assert_same(unkilled, folder):
    """Resumes in `folder` and compares bit for bit: best weights, last weights, optimizer, seeds, history."""
    variables, outcome, last, _ = unkilled
    model, again = fakes.train(folder, resume=True)
    saved = checkpoint.load(folder / checkpoint.NAME, {"seed": "3"})
    for one, other in (
        (variables, checkpoint.values(model.variables)),
        (last.model, saved.model),
        (last.optimizer, saved.optimizer),
    ):
        assert_equal(one, other)
    assert untimed(outcome.history) == untimed(again.history)
    assert outcome.best_epoch == again.best_epoch


def assert_equal(one, other):
    assert [value.tobytes() for value in one] == [value.tobytes() for value in other]


def untimed(history):
    return [{key: row[key] for key in row if key != "seconds"} for row in history]


def killed(folder, *, epoch, batch):
    with pytest.raises(KeyboardInterrupt):
        fakes.train(folder, callbacks=[fakes.At(epoch, batch, die)])


def test_the_history_counts_from_one_and_follows_the_stages(unkilled):
    _, outcome, saved, _ = unkilled
    assert [(row["epoch"], row["stage"]) for row in outcome.history] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]
    rates = [row["learning_rate"] for row in outcome.history]
    assert rates == pytest.approx([1e-2, 1e-2, 3e-3, 1.5e-3, 0.75e-3])
    assert all(row["seconds"] > 0 for row in outcome.history)
    assert saved.optimizer[0] == 12  # a fresh optimizer: three epochs of four steps, the remainder of 28 / 8 kept


def test_the_checkpoint_keeps_more_than_weights(unkilled):
    variables, _, saved, _ = unkilled
    model = fakes.model()
    seeds = [v for v in model.variables if "seed" in v.path]
    assert len(seeds) == 1 and len(variables) == len(saved.model) == len(model.weights) + 1
    fresh = checkpoint.values(model.variables)
    moved = {v.path: not np.array_equal(*pair) for v, *pair in zip(model.variables, fresh, saved.model, strict=True)}
    assert moved[seeds[0].path] and moved["bn1/moving_mean"]


@pytest.mark.parametrize(
    ("epoch", "batch"),
    [(0, 2), (1, 1), (2, 0), (2, 3), (4, 1)],
    ids=["first", "stage1", "boundary", "stage2", "last"],
)
def test_a_kill_in_an_epoch_or_between_stages_changes_nothing(unkilled, tmp_path, epoch, batch):
    killed(tmp_path, epoch=epoch, batch=batch)
    assert_same(unkilled, tmp_path)


@pytest.mark.parametrize("call", [0, 1, 4], ids=["first", "boundary", "last"])
def test_a_kill_during_the_write_changes_nothing(unkilled, tmp_path, monkeypatch, call):
    calls = []

    def replace(*args, original=os.replace):
        calls.append(args)
        return die() if len(calls) == call + 1 else original(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", replace)
        fakes.train(tmp_path)
    assert (tmp_path / checkpoint.NAME).exists() == (call > 0)
    assert_same(unkilled, tmp_path)


def test_two_kills_change_nothing(unkilled, tmp_path):
    killed(tmp_path, epoch=1, batch=3)
    with pytest.raises(KeyboardInterrupt):
        fakes.train(tmp_path, resume=True, callbacks=[fakes.At(3, 0, die)])
    assert_same(unkilled, tmp_path)


def test_sigkill_changes_nothing(unkilled, tmp_path):
    command = [sys.executable, "-m", "tests.training_fakes", str(tmp_path)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert checkpoint.load(tmp_path / checkpoint.NAME, {"seed": "3"}).epoch == 3
    assert_same(unkilled, tmp_path)


def test_a_finished_training_is_not_repeated(unkilled):
    folder, epochs = unkilled[3], []
    seen = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    fakes.train(folder, resume=True, callbacks=[seen])
    assert epochs == []
    assert_same(unkilled, folder)


def test_rare_checkpoints_are_as_good(unkilled, tmp_path):
    plan = fit.Plan(fakes.STAGES, schedule.lowest_val_loss, tmp_path, {"seed": "3"}, checkpoint_share=0.0)
    with pytest.raises(KeyboardInterrupt):
        fit.fit(fakes.model(), fakes.data(), plan, callbacks=[fakes.At(4, 0, die)])
    assert checkpoint.load(tmp_path / checkpoint.NAME, {"seed": "3"}).epoch == 2  # the end of the first stage
    assert_same(unkilled, tmp_path)


def test_another_training_is_refused(unkilled):
    plan = fit.Plan(fakes.STAGES, schedule.lowest_val_loss, unkilled[3], {"seed": "4"}, resume=True)
    with pytest.raises(cases.DataError, match="seed: 3 there, 4 here"):
        fit.fit(fakes.model(), fakes.data(), plan)


def test_the_best_weights_come_back(tmp_path):
    """A rule that prefers the third of five epochs gets the weights of a training that stops there."""
    best, outcome = fakes.train(tmp_path / "a", select=third)
    short = (fakes.STAGES[0], fakes.STAGES[1].__class__(1, fakes.STAGES[1].optimizer, decay=fakes.STAGES[1].decay))
    stopped, _ = fakes.train(tmp_path / "b", stages=short, select=schedule.last_epoch)
    assert outcome.best_epoch == 3 and len(outcome.history) == 5
    assert_equal(checkpoint.values(best.variables), checkpoint.values(stopped.variables))
    assert all(layer.trainable for layer in best.layers)


def third(rows):
    return min(len(rows), 3)


def patient(epochs, patience):
    second = fakes.STAGES[1]
    return (fakes.STAGES[0], schedule.Stage(epochs, second.optimizer, decay=second.decay, patience=patience))


def test_a_patient_stage_ends_early_and_resumes_the_same(tmp_path):
    """The third epoch is the best and patience is 2: five of 2 + 9 epochs, those of a training of 2 + 3."""
    with pytest.raises(KeyboardInterrupt):
        fakes.train(tmp_path / "a", stages=patient(9, 2), select=third, callbacks=[fakes.At(4, 1, die)])
    ended, outcome = fakes.train(tmp_path / "a", stages=patient(9, 2), select=third, resume=True)
    full, expected = fakes.train(tmp_path / "b", stages=patient(3, None), select=third)
    assert len(outcome.history) == 5 and untimed(outcome.history) == untimed(expected.history)
    assert_equal(checkpoint.values(ended.variables), checkpoint.values(full.variables))
    never = fakes.At(5, 0, die)
    again, outcome = fakes.train(tmp_path / "a", stages=patient(9, 2), select=third, resume=True, callbacks=[never])
    assert len(outcome.history) == 5
    assert_equal(checkpoint.values(again.variables), checkpoint.values(full.variables))


def test_a_patient_stage_does_not_begin_after_convergence_and_its_end_is_written(tmp_path):
    extra = schedule.Stage(9, keras.optimizers.SGD, patience=1)
    plan = fit.Plan((fakes.STAGES[0], extra), first, tmp_path, {}, checkpoint_share=0.0)
    assert len(fit.fit(fakes.model(), fakes.data(), plan).history) == 2
    plan = fit.Plan((schedule.Stage(9, keras.optimizers.SGD, patience=1),), first, tmp_path, {}, checkpoint_share=0.0)
    assert len(fit.fit(fakes.model(), fakes.data(), plan).history) == 2  # epoch 1 is never stale by itself
    assert checkpoint.load(tmp_path / checkpoint.NAME, {}).epoch == 2


def first(rows):
    return 1


def test_the_penalty_of_a_stage_is_in_its_loss_and_gone_afterwards(tmp_path):
    """Weights of 0 leave the penalty alone: it halves and halves again what SGD is given, in epochs of four steps."""
    stages = (
        schedule.Stage(1, functools.partial(keras.optimizers.SGD, 0.25), ("logits",), penalty=(("logits", 1.0),)),
        schedule.Stage(1, functools.partial(keras.optimizers.SGD, 0.25), ("logits",)),
    )
    model, data = fakes.model(), fakes.data()
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, weights=np.zeros(28, np.float32)))
    w = model.get_layer("logits").kernel.value.numpy()
    outcome = fit.fit(model, data, fit.Plan(stages, schedule.last_epoch, tmp_path))
    np.testing.assert_allclose(model.get_layer("logits").kernel, w / 2**4, rtol=1e-5)
    mean = (w**2).sum() * np.average([1, 1 / 4, 1 / 16, 1 / 64], weights=[8, 8, 8, 4])
    assert [row["loss"] for row in outcome.history] == pytest.approx([mean, 0.0], rel=1e-5)
    assert model.losses == []


def test_a_rule_that_turns_back_is_refused(tmp_path):
    stages = (schedule.Stage(3, keras.optimizers.SGD),)
    with pytest.raises(cases.MammoError, match="selection: back_and_forth turns back to epoch 1 from 2"):
        fakes.train(tmp_path, stages=stages, select=back_and_forth)


def back_and_forth(rows):
    return [1, 2, 1][len(rows) - 1]


def test_frozen_layers_stay(tmp_path):
    before = checkpoint.values(fakes.model().get_layer("conv1").weights)
    model, _ = fakes.train(tmp_path, stages=fakes.STAGES[:1])
    assert_equal(before, checkpoint.values(model.get_layer("conv1").weights))


def test_a_diverging_training_says_so(tmp_path):
    stage = schedule.Stage(1, functools.partial(keras.optimizers.SGD, 1e38))
    with pytest.raises(cases.MammoError, match=r"epoch 1: the net diverged .*lower the learning rate"):
        fakes.train(tmp_path, stages=(stage,))


def test_the_log_has_a_line_an_epoch(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "mammo_tf"):
        fakes.train(tmp_path, stages=fakes.STAGES[:1])
    assert [line.split(",")[0] for line in caplog.messages] == ["epoch 1", "epoch 2"]


def test_the_bar_shows_on_a_terminal_only(tmp_path, capsys, caplog, monkeypatch):
    one = (schedule.Stage(1, keras.optimizers.SGD),)
    with caplog.at_level(logging.INFO, "mammo_tf"):
        fakes.train(tmp_path / "a", stages=one)
        assert "]" not in capsys.readouterr().err
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        fakes.train(tmp_path / "b", stages=one)
        assert "epoch 1/1 [#######......................." in capsys.readouterr().err
    with caplog.at_level(logging.WARNING, "mammo_tf"):
        fakes.train(tmp_path / "c", stages=one)
        assert capsys.readouterr().err == ""
