"""A cross-validation that stops goes on with the fold it stopped in; folds that are done are not trained again."""

import dataclasses
import functools
import logging
import pathlib

import pytest

from mammo_tf import records, run
from mammo_tf.datasets import splits
from mammo_tf.evaluation import intervals
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
    both = [{**one.certificate, "hash": ""} for one in (resumed, whole)]
    assert both[0] == both[1]  # the hash binds the reads too
    same = dataclasses.replace(resumed, test_reads=whole.test_reads, certificate=whole.certificate)
    assert same.stable() == whole.stable() and resumed.folds == 3
    assert (resumed.test_reads, whole.test_reads) == (2, 1)  # the first try had read the labels of a fold too
    one, other = (pathlib.Path(record.folder, "predictions.csv").read_text() for record in (resumed, whole))
    assert one == other


@dataclasses.dataclass(frozen=True)
class Noting:
    """Answers with a constant, and notes what it was given of the test part."""

    def fit(self, train, val, context):
        GIVEN.append(([e.id for e in context.leaked], len(train)))
        return toy_runs.method(None).fit(train, val, context)


GIVEN = []


def noting(budget):
    return Noting()


def over_all(done):
    each = [len(one.predictions.labels) for one in done]
    return {"tested": intervals.Estimate(float(sum(each)), min(each), max(each), len(done), "count")}


@pytest.mark.parametrize("leaks", [True, False])
def test_a_method_sees_the_test_part_where_the_rules_let_it_and_hooks_see_all_folds(tmp_path, leaks):
    GIVEN.clear()
    rules = run.Rules("as_published" if leaks else "honest", "test", fits_test=leaks)
    row = dataclasses.replace(a_cross_validation(), method=noting, protocol=rules, together=(over_all,))
    record = run.execute(row, toy_runs.settings(tmp_path))
    sizes = [len(ids) for ids, _ in GIVEN]
    tested = record.claims["tested"]
    assert len(GIVEN) == record.folds == tested.n == 3
    assert sum(sizes) == (tested.value if leaks else 0)
    assert all(bool(size) == leaks for size in sizes)
    files = sorted(path.name for path in pathlib.Path(record.folder).iterdir() if path.name.startswith("fold"))
    assert {"fold0", "fold1", "fold2"} <= set(files)
