"""Sizes one after the other: what goes on from what, and that a stopped training goes on."""

import csv
import dataclasses
import functools
import pathlib

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.models import blocks
from mammo_tf.pipeline import build, normalize
from mammo_tf.training import method, precision, progressive, schedule, untrained
from tests import training_fakes as fakes

TRAIN, VAL = fakes.examples(20, 0), fakes.examples(12, 1, "v")


def net(x, *, classes=2, seed=0):
    x = blocks.relu(blocks.conv(x, blocks.Conv("conv", 4, 3), seed=seed), "relu")
    return blocks.logits(keras.layers.GlobalAveragePooling2D(name="pool")(x), classes, seed=seed)


def inner(epochs=2, **more):
    stage = schedule.Stage(epochs, functools.partial(keras.optimizers.Adam, 1e-2))
    pipeline = build.Pipeline(12, normalize.centred, batch=8, channels=1)
    return method.KerasMethod(net, pipeline, (stage,), schedule.last_epoch, **more)


def losses(folder):
    with pathlib.Path(folder, "history.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_each_size_goes_on_from_all_weights_of_the_one_before(tmp_path):
    found = progressive.Progressive(inner(), (6, 9)).fit(TRAIN, VAL, fakes.context(tmp_path))
    alone = dataclasses.replace(inner(), pipeline=dataclasses.replace(inner().pipeline, side=6))
    small = alone.fit(TRAIN, VAL, fakes.context(tmp_path / "a"))
    saved = keras.saving.load_model(tmp_path / "side6" / "model.keras", compile=False)
    for ours, theirs in zip(saved.get_weights(), small.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert found.model.input_shape == (None, 12, 12, 1) and found.pipeline.side == 12
    still = dataclasses.replace(inner(), stages=(schedule.Stage(1, functools.partial(keras.optimizers.SGD, 0.0)),))
    kept = progressive.Progressive(still, (6,)).fit(TRAIN, VAL, fakes.context(tmp_path / "b"))
    begun = still.build(fakes.context(""), precision.resolve("float32"))
    for ours, theirs in zip(kept.model.get_weights(), begun.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)  # at a rate of 0 the net is what it was, through both sizes


given = []


def note_side(model, path):
    given.append(model.input_shape[1])


def copy_all(model, path):
    model.set_weights(keras.saving.load_model(path, compile=False).get_weights())


def test_pretrained_weights_go_into_the_first_size_alone(tmp_path):
    given.clear()
    file = tmp_path / "weights"
    file.write_bytes(b"1")
    one = progressive.Progressive(inner(1, pretrained=note_side), (6,))
    one.fit(TRAIN, VAL, fakes.context(tmp_path / "run", weights=file))
    assert given == [6]


def test_a_finished_size_is_not_trained_again(tmp_path, caplog):
    caplog.set_level("INFO", "mammo_tf")
    method_ = progressive.Progressive(inner(), (6,))
    whole = method_.fit(TRAIN, VAL, fakes.context(tmp_path))
    trained = sum(text.startswith("epoch ") for text in caplog.messages)
    caplog.clear()
    again = method_.fit(TRAIN, VAL, fakes.context(tmp_path, resume=True))
    assert trained == 4 and not any(text.startswith("epoch ") for text in caplog.messages)
    np.testing.assert_array_equal(whole(VAL), again(VAL))


def test_it_passes_for_its_last_size():
    one = progressive.Progressive(inner(), (6,))
    assert one.pipeline.side == 12 and one.select is schedule.last_epoch and one.stages == one.inner.stages
    assert progressive.Progressive(inner()).sides == ()


@pytest.mark.parametrize("sides", [(9, 6), (6, 6), (12,), (0, 6)])
def test_sides_that_do_not_rise_to_the_last_are_refused(sides):
    with pytest.raises(cases.MammoError, match="must rise"):
        progressive.Progressive(inner(), sides)


def test_another_start_is_refused():
    with pytest.raises(cases.MammoError, match="no other start"):
        progressive.Progressive(inner(start=progressive.go_on))


def test_a_net_of_other_layers_cannot_go_on(tmp_path):
    found = inner(1).fit(TRAIN, VAL, fakes.context(tmp_path / "side6"))
    found.save(tmp_path / "side6")
    x = keras.Input((12, 12, 1), name="image")
    other = keras.Model(x, blocks.logits(keras.layers.GlobalAveragePooling2D(name="mean")(x), 2, seed=0))
    inputs = fakes.context(tmp_path, inputs={"side6": tmp_path / "side6"})
    with pytest.raises((cases.DataError, ValueError)):
        progressive.go_on(other, inputs, before="side6")


def test_an_untrained_net_is_the_one_that_its_weights_make(tmp_path):
    trained = inner().fit(TRAIN, VAL, fakes.context(tmp_path / "a"))
    file = trained.save(tmp_path / "a")

    as_is = untrained.Untrained(inner(pretrained=copy_all))
    found = as_is.fit(TRAIN, (), fakes.context(tmp_path / "b", weights=file))
    np.testing.assert_allclose(found(VAL), trained(VAL), atol=1e-6)
    assert (found.history, found.best_epoch, found.val_reads) == ([], 0, 0) and as_is.pipeline is as_is.base.pipeline
    with pytest.raises(cases.MammoError, match="pre-trained weights and none were given"):
        as_is.fit(TRAIN, (), fakes.context(tmp_path / "c"))
    with pytest.raises(cases.DataError, match="no such file"):
        as_is.fit(TRAIN, (), fakes.context(tmp_path / "c", weights=tmp_path / "none.keras"))
