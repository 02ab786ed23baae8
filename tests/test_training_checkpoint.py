import dataclasses
import json
import os

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.training import checkpoint


def some(epoch=2):
    return checkpoint.Checkpoint(
        identity={"seed": "1"},
        epoch=epoch,
        best_epoch=1,
        history=[{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": float("inf")}],
        model=[np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2**32 - 1], np.uint32)],
        optimizer=[np.array(7, np.int64)],
        best=[np.zeros(0, np.float32)],
    )


def test_everything_comes_back(tmp_path):
    path = tmp_path / checkpoint.NAME
    checkpoint.save(path, some())
    back = checkpoint.load(path, {"seed": "1"})
    for field in dataclasses.fields(back):
        one, other = getattr(some(), field.name), getattr(back, field.name)
        if field.name in ("model", "optimizer", "best"):
            assert [(a.dtype, a.tolist()) for a in one] == [(b.dtype, b.tolist()) for b in other]
        else:
            assert one == other
    assert [entry.name for entry in tmp_path.iterdir()] == [checkpoint.NAME]


def test_the_file_needs_no_pickle(tmp_path):
    checkpoint.save(tmp_path / checkpoint.NAME, some())
    with np.load(tmp_path / checkpoint.NAME, allow_pickle=False) as stored:
        assert json.loads(stored["facts"].tobytes())["epoch"] == 2


def test_a_kill_during_the_write_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / checkpoint.NAME
    checkpoint.save(path, some(epoch=2))

    def die(*args):
        raise KeyboardInterrupt

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, step, die)
            checkpoint.save(path, some(epoch=3))
        assert checkpoint.load(path, {"seed": "1"}).epoch == 2
    checkpoint.save(path, some(epoch=3))
    assert checkpoint.load(path, {"seed": "1"}).epoch == 3


def test_another_training_is_named(tmp_path):
    checkpoint.save(tmp_path / checkpoint.NAME, some())
    with pytest.raises(cases.DataError, match=r"another training.*seed: 1 there, 2 here; data: None there, abc here"):
        checkpoint.load(tmp_path / checkpoint.NAME, {"seed": "2", "data": "abc"})


@pytest.mark.parametrize("size", [0, 10, 300])
def test_a_damaged_file_is_refused(tmp_path, size):
    path = tmp_path / checkpoint.NAME
    checkpoint.save(path, some())
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(cases.DataError, match="not a readable checkpoint"):
        checkpoint.load(path, {"seed": "1"})


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cases.DataError, match="cannot be written"):
        checkpoint.make_folder(tmp_path / "file" / "run")
    with pytest.raises(cases.DataError, match="cannot be written"):
        checkpoint.save(tmp_path / "missing" / checkpoint.NAME, some())


def test_assign_checks_number_and_shape():
    variables = [keras.Variable(np.zeros((2, 3), np.float32), name="kernel")]
    checkpoint.assign(variables, [np.ones((2, 3), np.float32)], "the model")
    assert checkpoint.values(variables)[0].sum() == 6
    with pytest.raises(cases.MammoError, match=r"the model has 0 variables there, 1 here"):
        checkpoint.assign(variables, [], "the model")
    with pytest.raises(cases.MammoError, match=r"kernel: \(3, 2\) there, \(2, 3\) here"):
        checkpoint.assign(variables, [np.ones((3, 2), np.float32)], "the model")
