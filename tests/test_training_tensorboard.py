import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import graph_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from mammo_tf.training import method, schedule, tensorboard
from tests import training_fakes as fakes

TRAIN, VAL = fakes.examples(28, 0), fakes.examples(20, 1, "v")
SCALARS = {"loss/train", "loss/val", "accuracy/train", "accuracy/val", "auc/val", "learning_rate"}
BEST = {"best/epoch", "best/val_auc", "best/val_accuracy", "best/val_loss"}
HISTOGRAMS = {"conv1/kernel", "conv1/bias", "bn1/gamma", "bn1/moving_mean", "logits/kernel"}
DRAWN = {"validation/roc", "validation/confusion"}


def draw_roc(labels, scores):
    assert labels.shape == scores.shape == (20,) and set(labels) == {0, 1} and 0 <= scores.min() <= scores.max() <= 1
    return np.full((4, 6, 3), 128, np.uint8)


def draw_confusion(matrix):
    assert matrix.shape == (2, 2) and matrix.sum(axis=1).tolist() == [10, 10]  # rows: the true classes
    return np.full((5, 5, 3), 200, np.uint8)


def events(folder):
    found = event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0, "images": 0})
    return found.Reload()


def steps(found, tag):
    return [event.step for event in found.Tensors(tag)]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    context = fakes.context(folder, draw={"roc": draw_roc, "confusion": draw_confusion})
    fit = method.KerasMethod(fakes.net, fakes.Pipeline(), fakes.STAGES, schedule.best_val_auc)
    return folder / "tensorboard", fit.fit(TRAIN, VAL, context)


def test_every_tag_has_every_epoch(fitted):
    found = events(fitted[0])
    assert set(found.Tags()["tensors"]) >= SCALARS | BEST | HISTOGRAMS | DRAWN
    assert all(steps(found, tag) == [1, 2, 3, 4, 5] for tag in SCALARS | BEST | HISTOGRAMS | DRAWN)
    assert steps(found, "batch as augmented") == [0]


def test_scalars_equal_the_history(fitted):
    folder, result = fitted
    found = events(folder)
    for tag, key in (("loss/train", "loss"), ("auc/val", "val_auc"), ("learning_rate", "learning_rate")):
        shown = [float(tf.make_ndarray(event.tensor_proto)) for event in found.Tensors(tag)]
        assert shown == pytest.approx([row[key] for row in result.history])
    assert float(tf.make_ndarray(found.Tensors("best/epoch")[-1].tensor_proto)) == result.best_epoch


def test_the_graph_names_the_layers(fitted):
    found = events(fitted[0])
    graph = graph_pb2.GraphDef.FromString(found.Graph().SerializeToString())
    names = [node.name for node in graph.node]
    assert len(names) > 20
    assert any("conv1" in name for name in names) and any("logits" in name for name in names)


def test_images_decode(fitted):
    found = events(fitted[0])
    width, height, *shown = tf.make_ndarray(found.Tensors("batch as augmented")[0].tensor_proto)
    assert (width, height) == (b"8", b"8")
    images = np.stack([tf.io.decode_png(image).numpy() for image in shown])
    assert images.shape == (8, 8, 8, 3) and images.min() == 0 and images.max() == 255
    roc = tf.io.decode_png(tf.make_ndarray(found.Tensors("validation/roc")[0].tensor_proto)[2]).numpy()
    assert roc.shape == (4, 6, 3) and (roc == 128).all()


def test_each_image_is_stretched_by_itself():
    """Corners that a rotation left black, or one hot pixel, leave the others their contrast."""
    ramp = np.linspace(100, 200, 400, dtype=np.float32).reshape(1, 20, 20, 1)
    hot = ramp.copy()
    hot[0, 0, 0] = 1e6
    found = tensorboard._stretch(np.concatenate([ramp, hot, ramp / 50 - 7, np.ones_like(ramp)]))
    assert found.shape == (4, 20, 20, 1) and found.min() == 0 and found.max() == 1
    np.testing.assert_allclose(found[2], found[0], atol=1e-4)
    np.testing.assert_allclose(found[1].ravel()[1:], found[0].ravel()[1:], atol=0.01)
    assert np.ptp(found[3]) == 0


def test_hparams_are_there(fitted):
    metadata = events(fitted[0]).summary_metadata
    data = plugin_data_pb2.HParamsPluginData
    session = data.FromString(metadata["_hparams_/session_start_info"].plugin_data.content).session_start_info
    assert session.hparams["seed"].number_value == 3 and session.hparams["batch"].number_value == 8
    assert session.hparams["optimizer"].string_value == "Adam Adam"
    assert session.hparams["learning_rate"].string_value == "0.01 0.003"
    experiment = data.FromString(metadata["_hparams_/experiment"].plugin_data.content).experiment
    assert [info.name.tag for info in experiment.metric_infos] == [
        "best/val_auc",
        "best/val_accuracy",
        "best/val_loss",
    ]


def board(folder, **changes):
    fields = {"labels": np.arange(20) % 2, "batch": lambda: np.zeros((2, 8, 8, 3)), "hparams": {"seed": 3}}
    return tensorboard.TensorBoard(folder / "tensorboard", **{**fields, **changes})


def test_five_classes_have_a_curve_each_and_one_matrix(tmp_path):
    shown = []

    def roc(labels, scores):
        shown.append((labels.sum(), np.argmax(scores)))
        return np.zeros((2, 2, 3), np.uint8)

    def confusion(matrix):
        shown.append(matrix.tolist())
        return np.zeros((2, 2, 3), np.uint8)

    labels = np.array([0, 1, 3, 3, 4])
    five = board(tmp_path, labels=labels, draw={"roc": roc, "confusion": confusion})
    five.begin(fakes.model(), 0)
    row = {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "learning_rate": 0.1, "val_loss": 1.0}
    row |= {"val_accuracy": 0.5, "val_auc": 0.5}
    five.epoch(row, row, 5 * np.eye(5, dtype=np.float32)[[0, 1, 3, 4, 4]])
    five.end()
    rows = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]
    assert shown == [(1, 0), (1, 1), (2, 2), (1, 3), rows]
    tags = {tag for tag in events(tmp_path / "tensorboard").Tags()["tensors"] if tag.startswith("validation")}
    assert tags == {"validation/confusion", *(f"validation/roc/class_{k}" for k in (0, 1, 3, 4))}


def die():
    raise KeyboardInterrupt


def test_resuming_repeats_no_step(tmp_path):
    """Killed after epoch 4 was shown but before its checkpoint, which lies after epoch 2."""
    killed = board(tmp_path)
    killed.begin(fakes.model(), 0)
    _, outcome = fakes.train(tmp_path, stages=fakes.STAGES[:1])
    for epoch in (1, 2, 3, 4):
        killed.epoch({**outcome.history[0], "epoch": epoch}, outcome.history[0], np.zeros((20, 2), np.float32))
    killed.end()
    (path,) = (tmp_path / "tensorboard").iterdir()
    with path.open("ab") as file:
        file.write(b"\x07half a record")
    resumed = board(tmp_path)
    resumed.begin(fakes.model(), 2)
    resumed.epoch({**outcome.history[0], "epoch": 3}, outcome.history[0], np.zeros((20, 2), np.float32))
    resumed.end()
    found = events(tmp_path / "tensorboard")
    assert steps(found, "loss/train") == steps(found, "conv1/kernel") == [1, 2, 3]
    assert steps(found, "batch as augmented") == [0] and found.Graph() is not None


def test_a_killed_training_shows_each_epoch_once(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fakes.train(tmp_path, observers=[board(tmp_path)], callbacks=[fakes.At(3, 1, die)])
    assert steps(events(tmp_path / "tensorboard"), "loss/val") == [1, 2, 3]
    fakes.train(tmp_path, observers=[board(tmp_path)], resume=True)
    assert steps(events(tmp_path / "tensorboard"), "loss/val") == [1, 2, 3, 4, 5]


def test_a_fresh_training_replaces_the_old_log(tmp_path):
    for _ in range(2):
        fakes.train(tmp_path, observers=[board(tmp_path)], stages=fakes.STAGES[:1])
    assert steps(events(tmp_path / "tensorboard"), "loss/val") == [1, 2]


def test_heavy_summaries_can_be_rarer_and_drawings_absent(tmp_path):
    fakes.train(tmp_path, observers=[board(tmp_path, every=2)])
    found = events(tmp_path / "tensorboard")
    assert steps(found, "conv1/kernel") == [2, 4] and steps(found, "loss/val") == [1, 2, 3, 4, 5]
    assert not DRAWN & set(found.Tags()["tensors"])


def test_without_validation_only_what_exists_is_shown(tmp_path):
    fit = method.KerasMethod(fakes.net, fakes.Pipeline(), fakes.STAGES[:1], schedule.last_epoch)
    fit.fit(TRAIN, (), fakes.context(tmp_path, draw={"roc": draw_roc}))
    tags = set(events(tmp_path / "tensorboard").Tags()["tensors"])
    assert {"loss/train", "best/epoch"} <= tags and not {"loss/val", "auc/val", "validation/roc"} & tags
