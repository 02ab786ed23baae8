"""Loading and batching: what is left out, what travels together, what repeats bit for bit."""

import dataclasses
import functools
import itertools
import math
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.pipeline import augment, build, normalize, resize

SIDE, COUNT, BATCH = 12, 11, 4
UNIT = np.float32(1 / 65535)
AUGMENT = augment.Augment(flip_horizontal=True, rotate_deg=(-180.0, 180.0), crop=(0.85, 1.0), noise=0.01)
PLAIN = build.Pipeline(SIDE, normalize.per_image, batch=BATCH)
MOVING = dataclasses.replace(PLAIN, augment=AUGMENT)


@dataclasses.dataclass(frozen=True)
class Gray:
    """A normalizer that changes nothing."""

    def __call__(self, images):
        return images


def as_they_are(images, *, channels):
    return Gray()


GRAY = build.Pipeline(SIDE, as_they_are, batch=BATCH, channels=1)


def arrays(count=COUNT):
    """Image i has the mean level 1000 i, label i % 2 and weight 1 + i, so that each can be told from its pixels."""
    images = np.random.default_rng(0).integers(0, 500, (count, SIDE, SIDE)).astype(np.uint16)
    images += (1000 * np.arange(count, dtype=np.uint16))[:, None, None]
    names = tuple(f"example{i}" for i in range(count))
    labels, weights = np.arange(count, dtype=np.float32) % 2, 1 + np.arange(count, dtype=np.float32)
    return build.Arrays(images, labels, weights, names, names)


def batches(dataset, count=None):
    return [tuple(part.numpy() for part in batch) for batch in itertools.islice(dataset, count)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def example(pixels, name="a", *, label=1.0, max_value=65535, views=1):
    load = pixels if callable(pixels) else functools.partial(np.asarray, pixels)
    view = cases.View(name, "p" + name, None, cases.Projection.CC, load, max_value, path=f"{name}.dcm")
    return cases.Example(name, "p" + name, (view,) * views, label, weight=2.0)


def broken():
    raise cases.DataError("broken.dcm", "truncated: 10 of 20 bytes")


def missing():
    raise FileNotFoundError(2, "No such file", "gone.dcm")


def test_load_scales_by_max_value_and_keeps_what_belongs_together():
    found = build.Pipeline(2, normalize.per_image).load(
        [
            example(np.array([[0, 4095], [1000, 1]], np.uint16), "a", max_value=4095),
            example(np.full((4, 4), 51, np.uint8), "b", max_value=255, label=0.0),
        ]
    )
    assert found.images.dtype == np.uint16
    expected = [[[0, 65535], [round(1000 * 65535 / 4095), 16]], [[13107, 13107], [13107, 13107]]]
    assert found.images.tolist() == expected
    assert (found.ids, found.patients, found.problems) == (("a", "b"), ("pa", "pb"), ())
    assert found.labels.tolist() == [1, 0] and found.weights.tolist() == [2, 2]
    assert found.labels.dtype == found.weights.dtype == np.float32


def test_stored_uint16_comes_through_unchanged():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    found = build.Pipeline(256, normalize.per_image).load([example(values)])
    np.testing.assert_array_equal(found.images[0], values)


def test_unreadable_files_are_left_out_and_listed():
    good = np.ones((4, 4), np.uint16)
    found = PLAIN.load(
        [
            example(broken, "a"),
            example(good, "b"),
            example(missing, "c"),
            example(good * 5000, "d", max_value=4095),
        ]
    )
    assert found.ids == ("b",) and len(found.images) == len(found.labels) == 1
    assert [problem.path for problem in found.problems] == ["a.dcm", "c.dcm", "d.dcm"]
    assert "truncated" in found.problems[0].reason and "No such file" in found.problems[1].reason
    assert "5000" in found.problems[2].reason and "4095" in found.problems[2].reason
    for bad in (broken, missing):
        with pytest.raises(cases.DataError):
            PLAIN.load([example(good, "b"), example(bad)], strict=True)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "no image left of 0"),
        ([example(broken)], "truncated"),
        ([example(np.ones((2, 2), np.uint8), label=math.nan)], "no label"),
        ([example(np.ones((2, 2), np.uint8), views=2)], "not one view"),
    ],
)
def test_parts_that_cannot_be_used_are_refused(examples, message):
    with pytest.raises(cases.MammoError, match=message):
        PLAIN.load(examples)


def test_evaluate_gives_every_example_once_in_order():
    data = arrays()
    found = batches(GRAY.evaluate(data, Gray()))
    assert [len(y) for _, y, _ in found] == [4, 4, 3]
    x, y, w = (np.concatenate(parts) for parts in zip(*found, strict=True))
    assert (x.dtype, y.dtype, w.dtype) == (np.float32, np.int32, np.float32)
    np.testing.assert_array_equal(x[..., 0], data.images * UNIT)
    assert y.tolist() == data.labels.tolist() and w.tolist() == data.weights.tolist()


def test_an_epoch_is_a_shuffle_of_the_examples_with_their_labels_and_weights():
    data, orders = arrays(), []
    found = batches(GRAY.train(data, Gray(), seed=0), 3 * GRAY.steps(data))
    assert GRAY.steps(data) == 3 and [len(y) for _, y, _ in found] == [4, 4, 3] * 3
    for epoch in range(3):
        x, y, w = (np.concatenate(parts) for parts in zip(*found[3 * epoch : 3 * epoch + 3], strict=True))
        order = (x[:, 0, 0, 0] * 65535 // 1000).astype(int)
        assert sorted(order) == list(range(COUNT))
        assert y.tolist() == (order % 2).tolist() and w.tolist() == (1 + order).tolist()
        orders.append(tuple(order))
    assert len(set(orders)) == 3
    assert orders[0] != tuple(range(COUNT))


def test_a_seed_repeats_itself_and_epochs_and_seeds_differ():
    data = arrays()
    normalizer = MOVING.normalize(data.images)
    found = batches(MOVING.train(data, normalizer, seed=3), 6)
    assert_same(batches(MOVING.train(data, normalizer, seed=3), 6), found)
    for other in (batches(MOVING.train(data, normalizer, seed=4), 3), found[3:]):
        pixels = [np.concatenate([x for x, _, _ in part]) for part in (found[:3], other)]
        assert not np.isin(*pixels).any()


def test_resuming_skips_whole_epochs_bit_for_bit():
    data = arrays()
    normalizer = MOVING.normalize(data.images)
    whole = batches(MOVING.train(data, normalizer, seed=1), 9)
    assert_same(batches(MOVING.train(data, normalizer, seed=1, start_epoch=2), 3), whole[6:])


def test_serial_equals_parallel():
    data = arrays()
    normalizer = MOVING.normalize(data.images)
    found = []
    for threads in (1, 8):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.autotune.cpu_budget = threads
        found.append(batches(MOVING.train(data, normalizer, seed=0).with_options(options), 9))
    assert_same(*found)


DIGEST = """
import hashlib, sys
import tensorflow as tf
if sys.argv[1] == "deterministic":
    tf.config.experimental.enable_op_determinism()
from tests import test_pipeline_build as here
data = here.arrays()
dataset = here.MOVING.train(data, here.MOVING.normalize(data.images), seed=0).take(9)
print(hashlib.sha256(b"".join(part.numpy().tobytes() for batch in dataset for part in batch)).hexdigest())
"""


@pytest.mark.slow
def test_another_process_and_op_determinism_change_no_bit():
    root = pathlib.Path(__file__).parents[1]
    digests = [
        subprocess.run(
            [sys.executable, "-c", DIGEST, mode], cwd=root, check=True, capture_output=True, text=True
        ).stdout
        for mode in ("as usual", "deterministic")
    ]
    assert digests[0] == digests[1] and len(digests[0].strip()) == 64


def test_the_batch_size_changes_no_image():
    data = arrays()
    normalizer = MOVING.normalize(data.images)
    single = dataclasses.replace(MOVING, batch=1)
    found = np.concatenate([x for x, _, _ in batches(MOVING.train(data, normalizer, seed=0), 3)])
    ones = np.concatenate([x for x, _, _ in batches(single.train(data, normalizer, seed=0), COUNT)])
    np.testing.assert_array_equal(found, ones)


def test_copies_enlarge_the_training_set_once():
    data, pipeline = arrays(), dataclasses.replace(GRAY, augment=AUGMENT, copies=2)
    steps = pipeline.steps(data)
    assert steps == math.ceil(3 * COUNT / BATCH)
    found = batches(pipeline.train(data, Gray(), seed=0), 2 * steps)
    epochs = []
    for part in (found[:steps], found[steps:]):
        x, y = (np.concatenate([batch[i] for batch in part]) for i in (0, 1))
        assert y.tolist().count(0) == 3 * 6 and len(x) == 3 * COUNT
        epochs.append(x[..., 0])
    originals = {image.tobytes() for image in data.images * UNIT}
    sets = [{image.tobytes() for image in x} for x in epochs]
    assert sets[0] == sets[1] and len(sets[0]) == 3 * COUNT and originals < sets[0]
    assert not np.array_equal(*epochs)  # the same images, in another order


def test_channels_reach_the_normalizer():
    data = arrays()
    for channels in (1, 3):
        pipeline = dataclasses.replace(PLAIN, channels=channels)
        x, _, _ = batches(pipeline.evaluate(data, pipeline.normalize(data.images)), 1)[0]
        assert x.shape == (BATCH, SIDE, SIDE, channels)
    with pytest.raises(cases.MammoError, match="normalizer"):
        PLAIN.evaluate(data, normalize.PerImage(1))


def test_the_statistics_come_from_the_training_part_alone():
    pipeline = build.Pipeline(SIDE, normalize.train_statistics, batch=BATCH)
    data, other = arrays(), dataclasses.replace(arrays(), images=arrays().images + 20000)
    normalizer = pipeline.normalize(data.images)
    assert math.isclose(normalizer.mean[0], data.images.mean() / 65535)
    means = [
        np.concatenate([x for x, _, _ in batches(pipeline.evaluate(d, normalizer))]).mean() for d in (data, other)
    ]
    assert abs(means[0]) < 1e-4 and math.isclose(means[1], 20000 / 65535 / normalizer.std[0], rel_tol=1e-4)


def test_rectangles_by_either_rule():
    tall = np.random.default_rng(0).integers(0, 65536, (30, 20)).astype(np.uint16)
    flips = augment.Augment(flip_horizontal=True, flip_vertical=True, order=0)
    for rule in (resize.area, resize.cubic):
        pipeline = build.Pipeline((9, 14), normalize.per_image, flips, batch=2, resize=rule)
        data = pipeline.load([example(tall, name) for name in "abcd"])
        expected = np.rint(np.clip(rule(tall / 65535, 9, 14), 0, 1) * 65535)
        np.testing.assert_array_equal(data.images[0], expected)
        normalizer = pipeline.normalize(data.images)
        assert [x.shape for x, _, _ in batches(pipeline.evaluate(data, normalizer))] == [(2, 9, 14, 3)] * 2
        assert batches(pipeline.train(data, normalizer, seed=0), 1)[0][0].shape == (2, 9, 14, 3)
    assert pipeline.describe() == {"side": [9, 14], "resize": "cubic"} and pipeline.shape == (9, 14)
    assert PLAIN.describe() == {"side": SIDE, "resize": "area"} and PLAIN.shape == (SIDE, SIDE)


def test_channels_are_shifted_each_by_itself_before_normalisation():
    each = augment.Augment(channel_shift_each=(-0.1, 0.1))
    data, pipeline = arrays(), build.Pipeline(SIDE, normalize.train_mean, each, batch=BATCH)
    normalizer = pipeline.normalize(data.images)
    x = np.concatenate([x for x, _, _ in batches(pipeline.train(data, normalizer, seed=0), 3)])
    plain = np.concatenate([x for x, _, _ in batches(pipeline.evaluate(data, normalizer))])
    order = [int(np.argmin(np.abs(plain[:, 0, 0, 0] - plain[i, 0, 0, 0]))) for i in range(COUNT)]
    assert order == list(range(COUNT)) and x.shape == plain.shape == (COUNT, SIDE, SIDE, 3)
    contrast = x - x[:, :1, :1]  # what a shift leaves
    for image in plain - plain[:, :1, :1]:
        assert np.isclose(contrast, image, atol=1e-3).all(axis=(1, 2, 3)).sum() == 1
    assert (np.ptp(x[:, 0, 0], axis=1) > 0.1).all() and np.ptp(x[:, 0, 0], axis=1).max() < 51.1  # of 255
    copies = dataclasses.replace(pipeline, copies=1)
    twice = np.concatenate([x for x, _, _ in batches(copies.train(data, normalizer, seed=0), copies.steps(data))])
    assert (np.ptp(twice[:, 0, 0], axis=1) == 0).sum() == COUNT  # the originals


@pytest.mark.parametrize(
    ("labels", "weights", "expected"),
    [
        ([0, 0, 0, 1], [1, 1, 1, 1], [2 / 3, 2 / 3, 2 / 3, 2]),  # 4 / (2 * 3), 4 / (2 * 1)
        ([4, 2, 2, 1, 4, 4], [1, 1, 1, 1, 1, 1], [2 / 3, 1, 1, 2, 2 / 3, 2 / 3]),
        ([3, 3], [1, 2], [1, 2]),  # one class: as it was
        ([0, 1], [1, 3], [1, 3]),
        ([0, 0, 1], [2, 4, 1], [1.5, 3, 1.5]),
    ],
)
def test_balance_by_hand(labels, weights, expected):
    found = build.balanced(tf.constant(labels, tf.int32), tf.constant(weights, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_training_balances_its_batches_and_evaluation_does_not():
    data = dataclasses.replace(arrays(), labels=np.array([0] * 7 + [1, 2, 3, 4], np.float32))
    pipeline = dataclasses.replace(GRAY, balance=True)
    for (_, y, w), (_, same, plain) in zip(
        batches(pipeline.train(data, Gray(), seed=0), 3), batches(GRAY.train(data, Gray(), seed=0), 3), strict=True
    ):
        assert y.tolist() == same.tolist()
        np.testing.assert_allclose(w, build.balanced(tf.constant(y), tf.constant(plain)))
        assert len(set(y)) == 1 or not np.allclose(w, plain)
    assert_same(batches(pipeline.evaluate(data, Gray())), batches(GRAY.evaluate(data, Gray())))


def test_a_pipeline_survives_pickling():
    again = pickle.loads(pickle.dumps(MOVING))
    assert (again.augment, again.side, again.normalize.func) == (AUGMENT, SIDE, normalize.per_image)
    assert again.normalize.keywords == {"channels": 3}


def test_pipelines_that_cannot_work_are_refused():
    with pytest.raises(cases.MammoError, match="copies"):
        dataclasses.replace(PLAIN, copies=2)
    with pytest.raises(cases.MammoError, match="batch"):
        dataclasses.replace(PLAIN, batch=0)
    with pytest.raises(cases.MammoError, match="side"):
        dataclasses.replace(PLAIN, side=9).evaluate(arrays(), Gray())
    with pytest.raises(cases.MammoError, match="side must be one number or"):
        dataclasses.replace(PLAIN, side=(9, 9, 9))
    with pytest.raises(cases.MammoError, match="side must be 1 or more"):
        dataclasses.replace(PLAIN, side=(9, 0))
    with pytest.raises(cases.MammoError, match="resize"):
        dataclasses.replace(PLAIN, resize=np.resize)
    with pytest.raises(cases.MammoError, match="seed"):
        PLAIN.train(arrays(), Gray(), seed=-1)
