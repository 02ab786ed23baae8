"""Loss and weights of single training steps: `tensorboard.Steps` and `tensorboard.StepLog`."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import graph_pb2

from mammo_tf import cases, describe
from mammo_tf.models import conv_head
from mammo_tf.pipeline import build, features, normalize
from mammo_tf.training import fit, frozen, method, precision, schedule, tensorboard
from tests import training_fakes as fakes

TRAIN, VAL = fakes.examples(28, 0), fakes.examples(20, 1, "v")
PER_EPOCH, STEPS = 4, list(range(1, 21))  # 28 examples in batches of 8; five epochs
LOGITS = ("steps/logits/kernel", "steps/logits/bias")


def events(folder):
    return event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def steps(found, tag):
    return [event.step for event in found.Tensors(tag)]


def values(found, tag):
    return np.array([tf.make_ndarray(event.tensor_proto) for event in found.Tensors(tag)])


def step_log(folder, model, histograms=500, epochs=5, layers=("logits",)):
    weights = tensorboard.Steps(layers).weights(model)
    return tensorboard.StepLog(folder, weights, histograms, per_epoch=PER_EPOCH, epochs=epochs)


def train(folder, *, stages=fakes.STAGES, resume=False, callbacks=(), **changes):
    """A training by the fakes, by default of five epochs, with steps logged; gives the log folder."""
    model = fakes.model()
    log = step_log(folder, model, **changes)
    plan = fit.Plan(stages, schedule.last_epoch, folder, {"seed": "3"}, resume, checkpoint_share=1e9)
    fit.fit(model, fakes.data(), plan, [log], [log, *callbacks])
    return folder / "steps"


def keras_method(**changes):
    return method.KerasMethod(fakes.net, fakes.Pipeline(), fakes.STAGES, schedule.best_val_auc, **changes)


@pytest.fixture(scope="module")
def with_and_without(tmp_path_factory):
    found = []
    for shown in (None, tensorboard.Steps(("logits", "bn1"), histograms=10)):
        folder = tmp_path_factory.mktemp("fit")
        found.append((folder / "tensorboard", keras_method(steps=shown).fit(TRAIN, VAL, fakes.context(folder))))
    return found


def test_the_training_is_the_same_to_the_bit(with_and_without):
    (_, without), (_, logged) = with_and_without
    for one, other in zip(without.model.variables, logged.model.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    seconds = {"seconds": 0}
    assert [{**row, **seconds} for row in without.history] == [{**row, **seconds} for row in logged.history]


def test_every_step_has_its_loss_and_some_have_histograms(with_and_without):
    (without, _), (logged, _) = with_and_without
    assert not (without / "steps").exists()
    found, old = events(logged / "steps"), events(logged)
    assert steps(found, "loss/step") == STEPS
    weights = {*LOGITS, *(f"steps/bn1/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance"))}
    assert set(found.Tags()["tensors"]) == {"loss/step", *weights}
    assert all(steps(found, tag) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20] for tag in weights)
    assert set(old.Tags()["tensors"]) == set(events(without).Tags()["tensors"])  # the log by epoch is as it was


def test_the_losses_of_an_epoch_average_to_its_own(with_and_without):
    folder, logged = with_and_without[1]
    losses = values(events(folder / "steps"), "loss/step").reshape(5, PER_EPOCH)
    expected = [row["loss"] for row in logged.history]
    np.testing.assert_allclose(np.average(losses, axis=1, weights=[8, 8, 8, 4]), expected, rtol=1e-6)
    assert np.ptp(losses, axis=1).min() > 0.01  # not the running mean


def test_histograms_are_of_the_weights_after_the_step(with_and_without):
    found = events(with_and_without[1][0] / "steps")
    model = fakes.model()
    for kept, weight in ((0, model.get_layer("logits").kernel), (2, model.get_layer("bn1").gamma)):
        buckets = values(found, f"steps/{weight.path}")[kept // 2]  # (buckets, 3): left, right, count
        assert buckets[:, 2].sum() == np.size(weight)
        assert buckets[0, 0] == pytest.approx(np.min(weight)) and buckets[-1, 1] == pytest.approx(np.max(weight))
    moving = values(found, "steps/logits/kernel")
    assert not np.array_equal(moving[0], moving[1])


def test_a_histogram_is_that_of_tensorflow(tmp_path):
    x = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
    given = {"normal": x, "constant": np.full(7, 0.25, np.float32)}
    with tf.summary.create_file_writer(str(tmp_path)).as_default(step=0):
        for name, one in given.items():
            tf.summary.histogram(name, one)
    found = events(tmp_path)
    for name, one in given.items():
        np.testing.assert_allclose(tensorboard._histogram(one), values(found, name)[0], atol=1e-6)
    diverged = np.array([1.0, np.nan, 2.0, np.inf], np.float32)
    np.testing.assert_array_equal(tensorboard._histogram(diverged), tensorboard._histogram(diverged[[0, 2]]))
    assert tensorboard._histogram(diverged[[1]])[:, 2].sum() == 0


def linear(x):
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.layers.Dense(2, name="logits", kernel_initializer=keras.initializers.GlorotUniform(seed=1))(x)


def test_a_step_has_the_loss_that_a_hand_computes(tmp_path):
    """Learning rate 0, unequal weights, a smaller last batch, and a penalty."""
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, linear(image))
    data = fakes.data()
    weights = np.linspace(0.1, 3.0, 28, dtype=np.float32)
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, weights=weights), val=None)
    still = functools.partial(keras.optimizers.SGD, 0.0)
    plan = fit.Plan((schedule.Stage(2, still, penalty=(("logits", 0.01),)),), schedule.last_epoch, tmp_path)
    log = step_log(tmp_path, model, epochs=2)
    history = fit.fit(model, data, plan, [log], [log]).history
    kernel, bias = (np.asarray(weight, np.float64) for weight in model.weights)
    expected, sizes = [], []
    for x, y, w in data.pipeline.train(data.train, data.normalizer, data.seed).take(2 * PER_EPOCH):
        logits = np.asarray(x, np.float64).reshape(len(x), -1) @ kernel + bias
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
        expected.append((np.asarray(w) * losses).sum() / len(y) + 0.01 * (kernel**2).sum())
        sizes.append(len(y))
    found = values(events(tmp_path / "steps"), "loss/step")
    assert sizes == [8, 8, 8, 4] * 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    means = np.average(found.reshape(2, -1), axis=1, weights=sizes[:4])
    np.testing.assert_allclose(means, [row["loss"] for row in history], rtol=1e-6)


def die():
    raise KeyboardInterrupt


def test_a_killed_training_shows_each_step_once_as_if_it_had_not_been(tmp_path, with_and_without):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[fakes.At(3, 2, die)])
    assert steps(events(tmp_path / "steps"), "loss/step") == STEPS[:14]
    found = events(train(tmp_path, resume=True))
    assert steps(found, "loss/step") == STEPS and steps(found, LOGITS[0]) == [0, *STEPS]
    whole = events(with_and_without[1][0] / "steps")
    np.testing.assert_array_equal(values(found, "loss/step"), values(whole, "loss/step"))


def test_a_fresh_training_replaces_the_steps_of_the_old_one(tmp_path):
    with tf.summary.create_file_writer(str(tmp_path / "steps")).as_default(step=5):
        tf.summary.scalar("loss/step", 7.0)
    folder = train(tmp_path, stages=fakes.STAGES[:1], epochs=2, histograms=3)
    found = events(folder)
    assert steps(found, "loss/step") == STEPS[:8] and steps(found, LOGITS[1]) == [0, 3, 6]
    board = tensorboard.TensorBoard(tmp_path, np.zeros(0), lambda: np.zeros((2, 8, 8, 3)), {"seed": 3})
    board.begin(fakes.model(), 0)  # a training that logs no steps
    board.end()
    assert not list(folder.iterdir())


def test_a_training_goes_on_with_steps_or_without(tmp_path):
    """They are no part of the checkpoint's identity, but of the run's hash where they are asked for."""
    part, chosen = fakes.Pipeline().load(TRAIN), precision.resolve("float32")
    plain, logged = keras_method(), keras_method(steps=tensorboard.Steps())
    one, other = (each._identity(part, None, fakes.context(tmp_path), chosen) for each in (plain, logged))
    assert one == other
    assert "steps" not in describe.describe(plain)["arguments"] and describe.digest(plain) != describe.digest(logged)


def test_a_long_training_has_no_more_histograms_than_asked_for(tmp_path):
    log = tensorboard.StepLog(tmp_path, [], 500, per_epoch=333, epochs=40)
    assert 13320 / log.every <= 500 < 13320 / (log.every - 1)
    assert tensorboard.StepLog(tmp_path, [], 500, per_epoch=4, epochs=2).every == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layers": "top"}, "steps: layers must be a tuple"),
        ({"histograms": 0}, "steps: histograms must be 1 or more"),
    ],
)
def test_fields_are_checked(wrong, message):
    with pytest.raises(cases.MammoError, match=message):
        tensorboard.Steps(**wrong)


def test_layers_that_do_not_exist_are_named(tmp_path):
    wrong = keras_method(steps=tensorboard.Steps(("logits", "relu1")))  # a layer without weights
    with pytest.raises(cases.MammoError, match="starts with 'relu1'; they are conv1, bn1, logits"):
        wrong.fit(TRAIN, VAL, fakes.context(tmp_path))
    assert tensorboard.Steps().weights(fakes.model()) == []


def base(x, *, seed=0):
    glorot = keras.initializers.GlorotUniform(seed=seed)
    return keras.layers.Conv2D(4, 3, strides=2, name="base_conv", kernel_initializer=glorot)(x)


HEAD = functools.partial(conv_head.conv_head, features=base, head=conv_head.Head(filters=6))


@pytest.fixture(scope="module")
def head_log(tmp_path_factory):
    """Kreiss's figures 10 to 12: a frozen base, and the steps of the added convolution."""
    folder = tmp_path_factory.mktemp("head")
    stage = schedule.Stage(3, functools.partial(keras.optimizers.Adam, 0.01), trainable=conv_head.PREFIXES)
    pipeline = build.Pipeline(16, normalize.per_image, batch=8, channels=1)
    shown = tensorboard.Steps(("top_conv",))
    cut = frozen.Frozen(conv_head.CUT, features.of)
    fitting = method.KerasMethod(HEAD, pipeline, (stage,), schedule.last_epoch, frozen=cut, steps=shown)
    fitting.fit(fakes.examples(20, 0, shape=(16, 16)), (), fakes.context(folder))
    return folder / "tensorboard"


def test_the_head_of_a_frozen_net_has_steps(head_log):
    found = events(head_log / "steps")
    assert steps(found, "loss/step") == list(range(1, 10))
    assert steps(found, "steps/top_conv/kernel") == steps(found, "steps/top_conv/bias") == list(range(10))
    kernels = values(found, "steps/top_conv/kernel")
    assert all(kernels[:, :, 2].sum(axis=1) == 3 * 3 * 4 * 6) and not np.array_equal(kernels[0], kernels[9])


def test_the_graph_tells_the_sizes_of_the_tensors_of_the_whole_net(head_log):
    graph = graph_pb2.GraphDef.FromString(events(head_log).Graph().SerializeToString())
    sizes = {
        node.op: [[axis.size for axis in shape.dim] for shape in node.attr["_output_shapes"].list.shape]
        for node in graph.node
    }
    assert all("_output_shapes" in node.attr for node in graph.node if node.op != "NoOp")
    assert sizes["MaxPool"] == [[-1, 4, 4, 6]] and sizes["MatMul"] == [[-1, 2]]
    convs = [node for node in graph.node if node.op == "Conv2D"]
    shapes = [[axis.size for axis in node.attr["_output_shapes"].list.shape[0].dim] for node in convs]
    assert shapes == [[-1, 7, 7, 4], [-1, 7, 7, 6]]
