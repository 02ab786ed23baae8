"""A head that learns from kept features ends where the head of the whole, frozen net ends."""

import dataclasses
import functools

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.models import blocks
from mammo_tf.pipeline import augment, build, features, normalize
from mammo_tf.training import fit, frozen, method, schedule
from tests import training_fakes as fakes

SIDE = 16
AUGMENT = augment.Augment(flip_horizontal=True, contrast=(0.8, 1.2), brightness=(-0.1, 0.1), noise=0.02)
STAGE = schedule.Stage(4, functools.partial(keras.optimizers.Adam, 0.01), trainable=("head_", "logits"))
TRAIN = fakes.examples(24, 0, shape=(SIDE, SIDE))
VAL = fakes.examples(12, 1, "v", shape=(SIDE, SIDE))
CUT = frozen.Frozen("base_relu", features.of)


def net(x, *, seed=0):
    """A base with a batch norm, which must keep its statistics, and a head with dropout."""
    x = blocks.conv(x, blocks.Conv("base_conv", 4, 3, stride=2), seed=seed)
    x = blocks.relu(blocks.batch_norm(x, "base_bn"), "base_relu")
    x = blocks.relu(blocks.conv(x, blocks.Conv("head_conv", 6, 3), seed=seed), "head_relu")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return blocks.logits(blocks.dropout(x, 0.2, "head_dropout", seed=seed), 2, seed=seed)


def started(model, context):
    """Moving statistics that no batch has."""
    model.get_layer("base_bn").moving_mean.assign([0.3, -0.2, 0.1, 0.0])


def of(copies=2, augmented=AUGMENT, **changes):
    pipeline = build.Pipeline(SIDE, normalize.per_image, augmented, batch=8, channels=1, copies=copies)
    return method.KerasMethod(net, pipeline, (STAGE,), schedule.lowest_val_loss, start=started, **changes)


@pytest.fixture(scope="module")
def slow_and_fast(tmp_path_factory):
    return [of(frozen=cut).fit(TRAIN, VAL, fakes.context(tmp_path_factory.mktemp("fit"))) for cut in (None, CUT)]


def test_the_head_on_kept_features_is_that_of_the_slow_way(slow_and_fast):
    slow, fast = slow_and_fast
    assert [row["epoch"] for row in fast.history] == [1, 2, 3, 4] and slow.best_epoch == fast.best_epoch
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose([r[name] for r in fast.history], [r[name] for r in slow.history], rtol=2e-5)
    for one, other in zip(slow.model.weights, fast.model.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5, err_msg=one.path)
    np.testing.assert_allclose(fast(VAL), slow(VAL), atol=2e-5)


def test_what_is_frozen_stays_and_the_head_learns(slow_and_fast, tmp_path):
    untrained = of().build(fakes.context(tmp_path), method.precision.resolve("float32"))
    for fitted in slow_and_fast:
        same = [np.array_equal(a, b) for a, b in zip(untrained.weights, fitted.model.weights, strict=True)]
        moved = {
            weight.path.partition("/")[0] for weight, kept in zip(fitted.model.weights, same, strict=True) if not kept
        }
        assert {"head_conv", "logits"} <= moved and not any(name.startswith("base_") for name in moved)


def test_copies_are_drawn_once_and_stand_behind_the_originals():
    pipeline = of().pipeline
    arrays = pipeline.load(TRAIN)
    normalizer = pipeline.normalize(arrays.images)
    enlarged = np.concatenate([x for x, _, _ in pipeline.enlarged(arrays, normalizer, 5)])
    plain = np.concatenate([x for x, _, _ in pipeline.evaluate(arrays, normalizer)])
    assert len(enlarged) == 3 * len(TRAIN)
    np.testing.assert_allclose(enlarged[: len(TRAIN)], plain, atol=1e-5)
    assert not np.allclose(enlarged[len(TRAIN) : 2 * len(TRAIN)], enlarged[2 * len(TRAIN) :], atol=0.05)
    epoch = pipeline.train(arrays, normalizer, seed=5).take(pipeline.steps(arrays))
    learned = np.concatenate([x for x, _, _ in epoch])  # in an order of its own
    for found in (enlarged, learned):
        found[:] = found[np.lexsort(found.reshape(len(found), -1).T[:3])]
    np.testing.assert_allclose(learned, enlarged, atol=1e-6)


def test_features_of_equal_parts_are_computed_once(monkeypatch, tmp_path):
    calls = []
    predict = frozen.scoring.predict
    monkeypatch.setattr(frozen.scoring, "predict", lambda *args: calls.append(1) or predict(*args))
    monkeypatch.setattr(frozen.cache, "_MEMORY", type(frozen.cache._MEMORY)())
    m = of(copies=1, frozen=CUT)
    pipeline, model = m.pipeline, m.build(fakes.context(tmp_path), method.precision.resolve("float32"))
    train, val = pipeline.load(TRAIN), pipeline.load(VAL)
    data = fit.Data(pipeline, pipeline.normalize(train.images), train, val, 3)
    for _ in range(2):
        head, kept = frozen.learned(CUT, model, data)
    assert len(calls) == 2 and kept.train.images.shape == (48, 8, 8, 4) and head.input_shape == (None, 8, 8, 4)
    frozen.learned(CUT, model, dataclasses.replace(data, seed=4))  # other copies, the same validation part
    assert len(calls) == 3
    model.get_layer("base_conv").bias.assign([1.0, 2.0, 3.0, 4.0])
    frozen.learned(CUT, model, data)
    assert len(calls) == 5


def test_augmentation_anew_in_each_epoch_has_no_features_to_keep(tmp_path):
    with pytest.raises(cases.MammoError, match="augmented anew"):
        of(copies=None, frozen=CUT).fit(TRAIN, VAL, fakes.context(tmp_path))


@pytest.mark.parametrize(
    ("layer", "message"), [("nowhere", "no layer 'nowhere'; the last are"), ("pool", "expected a feature map")]
)
def test_a_cut_that_cannot_be_made_is_refused(layer, message, tmp_path):
    with pytest.raises(cases.MammoError, match=message):
        of(frozen=frozen.Frozen(layer, features.of)).fit(TRAIN, VAL, fakes.context(tmp_path))


def test_a_path_past_the_cut_is_refused():
    x = keras.Input((8, 8, 1))
    left, right = (keras.layers.Conv2D(2, 3, name=name)(x) for name in ("left", "right"))
    model = keras.Model(x, keras.layers.Add()([left, right]))
    with pytest.raises(cases.MammoError, match="not all of the net leads through left"):
        frozen.Frozen("left", features.of).split(model)


def test_no_augmentation_needs_no_copies(tmp_path):
    plain = method.KerasMethod(
        net,
        build.Pipeline(SIDE, normalize.per_image, batch=8, channels=1),
        (STAGE,),
        schedule.last_epoch,
        frozen=CUT,
    )
    fitted = plain.fit(TRAIN, (), fakes.context(tmp_path))
    assert fitted(VAL).shape == (12, 2) and fitted.val_reads == 0


def test_step_and_features_are_timed_apart(monkeypatch):
    ticks = iter([10.0, 16.0, 20.0, 21.5])
    monkeypatch.setattr(method.time, "perf_counter", functools.partial(next, ticks))
    assert method.time_step(of(frozen=CUT), seed=0, repeats=3) == method.StepTimes(0.5, features=2.0)
