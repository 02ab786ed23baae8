"""A cross-validation that stops goes on with the fold it stopped in; folds that are done are not trained again."""

import dataclasses
import functools
import logging
import pathlib

import pytest

from mammo_tf import records, run
from mammo_tf.datasets import splits
from mammo_tf.pipeline import build, normalize
from mammo_tf.training import method, schedule
from tests import toy_runs
from tests import training_fakes as fakes

EPOCHS = 3


def small_net(budget):
    pipeline = build.Pipeline(16, normalize.centred, batch=8)
    return method.KerasMethod(fakes.net, pipeline, (schedule.Stage(EPOCHS, fakes.STAGES[0].optimizer),),
                              schedule.last_epoch)  # fmt: skip


def kill(done, *, fold):
    if done.parts.fold == fold:
        raise KeyboardInterrupt
    return {}


def a_cross_validation(*after):
    deal = functools.partial(splits.patient_kfold, folds=3, val_fraction=0)
    return toy_runs.a_run(method=small_net, split=deal, after=after)


def epochs(caplog):
    return sum(text.startswith("epoch ") for text in caplog.messages)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_killed_cross_validation_goes_on_fold_by_fold(tmp_path, caplog, fold):
    caplog.set_level(logging.INFO, "mammo_tf")
    with pytest.raises(KeyboardInterrupt):
        run.execute(a_cross_validation(functools.partial(kill, fold=fold)), toy_runs.settings(tmp_path / "killed"))
    assert epochs(caplog) == (fold + 1) * EPOCHS and not records.load(tmp_path / "killed")
    caplog.clear()
    resumed = run.execute(a_cross_validation(), toy_runs.settings(tmp_path / "killed", resume=True))
    assert epochs(caplog) == (2 - fold) * EPOCHS
    whole = run.execute(a_cross_validation(), toy_runs.settings(tmp_path / "whole"))
    same = dataclasses.replace(resumed, test_reads=whole.test_reads)
    assert same.stable() == whole.stable() and resumed.folds == 3
    assert (resumed.test_reads, whole.test_reads) == (2, 1)  # the first try had read the labels of a fold too
    one, other = (pathlib.Path(record.folder, "predictions.csv").read_text() for record in (resumed, whole))
    assert one == other
