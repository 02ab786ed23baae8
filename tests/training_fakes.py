"""Small stand-ins for a pipeline and a net, shared by the tests of `mammo_tf.training`.

As a script it is the victim of the SIGKILL test: python -m tests.training_fakes FOLDER
"""

import dataclasses
import functools
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.training import checkpoint, fit, schedule

SIDE = 8


@dataclasses.dataclass(frozen=True)
class Arrays:
    images: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    ids: tuple[str, ...]
    patients: tuple[str, ...]
    problems: tuple[cases.Problem, ...] = ()
    where: np.ndarray | None = None
    groups: np.ndarray | None = None

    @property
    def units(self):
        return self.ids

    def pooled(self, rows):
        return rows

    def __len__(self):
        return len(self.labels)

    def flipped(self, horizontal, vertical):
        columns, rows = (slice(None, None, -1 if flip else 1) for flip in (horizontal, vertical))
        return dataclasses.replace(self, images=self.images[:, rows, columns])


@dataclasses.dataclass(frozen=True)
class Normalizer:
    mean: float
    channels: int

    def __call__(self, images):
        return tf.repeat(images - self.mean, self.channels, axis=-1)

    def describe(self):
        return {"mean": self.mean}


def centre(images, channels=3):
    return Normalizer(float(images.mean() / 65535), channels)


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Order and noise of an epoch depend on (seed, epoch) alone, as the interface asks."""

    side: int | tuple[int, int] = SIDE
    normalize: object = centre
    batch: int = 8
    channels: int = 3

    @property
    def shape(self):
        return (self.side, self.side) if isinstance(self.side, int) else self.side

    @property
    def depth(self):
        return self.channels

    def load(self, examples, *, strict=False):
        kept, problems = [], []
        for example in examples:
            try:
                kept.append((example, example.views[0].pixels()))
            except cases.DataError as error:
                if strict:
                    raise
                problems.append(cases.Problem(error.path, error.reason))
        return Arrays(
            np.array([pixels for _, pixels in kept], np.uint16).reshape(-1, *self.shape),
            np.array([example.label for example, _ in kept], np.float32),
            np.array([example.weight for example, _ in kept], np.float32),
            tuple(example.id for example, _ in kept),
            tuple(example.patient_id for example, _ in kept),
            tuple(problems),
        )

    def steps(self, arrays):
        return -(-len(arrays.labels) // self.batch)

    def train(self, arrays, normalizer, seed, start_epoch=0):
        @tf.autograph.experimental.do_not_convert
        def epoch_of(epoch):
            key = tf.stack([tf.constant(seed, tf.int64), epoch])
            order = tf.random.experimental.stateless_shuffle(tf.range(len(arrays.labels)), seed=key)
            parts = tf.data.Dataset.from_tensor_slices(order).batch(self.batch)
            batch = functools.partial(self._batch, arrays, normalizer, key)
            return parts.map(tf.autograph.experimental.do_not_convert(batch))

        return tf.data.Dataset.range(start_epoch, 2**31).flat_map(epoch_of)

    def _batch(self, arrays, normalizer, key, index):
        images = tf.gather(tf.constant(arrays.images), index)
        images = tf.cast(images, tf.float32)[..., None] / 65535
        images += tf.random.stateless_normal(tf.shape(images), key + tf.cast(index[0], tf.int64), stddev=0.01)
        labels = tf.cast(tf.gather(tf.constant(arrays.labels), index), tf.int32)
        return normalizer(images), labels, tf.gather(tf.constant(arrays.weights), index)

    def evaluate(self, arrays, normalizer):
        images = arrays.images.astype(np.float32)[..., None] / 65535
        whole = (normalizer(images), arrays.labels.astype(np.int32), arrays.weights)
        return tf.data.Dataset.from_tensor_slices(whole).batch(self.batch)


def net(x, *, classes=2, seed=0):
    """Convolution, batch norm, dropout: every kind of state that a checkpoint must keep."""

    def uniform(i):
        return keras.initializers.GlorotUniform(seed=seed + i)

    x = keras.layers.Conv2D(4, 3, name="conv1", kernel_initializer=uniform(0))(x)
    x = keras.layers.BatchNormalization(name="bn1")(x)
    x = keras.layers.ReLU(name="relu1")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dropout(0.3, seed=seed, name="dropout")(x)
    return keras.layers.Dense(classes, dtype="float32", name="logits", kernel_initializer=uniform(1))(x)


def examples(count, seed, prefix="e", *, classes=2, shape=(SIDE, SIDE)):
    """Noise images; those of class 1 are brighter in the middle, those of a later class below it."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        pixels, label = rng.integers(0, 40000, shape), i % classes
        pixels[2 * label + 1 : 2 * label + 3, 3:5] += 20000 * (label > 0)
        load = functools.partial(np.asarray, pixels.astype(np.uint16))
        view = cases.View(f"{prefix}{i}", f"p{prefix}{i}", None, cases.Projection.CC, load, 65535)
        found.append(cases.Example(f"{prefix}{i}", f"p{prefix}{i}", (view,), float(label)))
    return tuple(found)


STAGES = (
    schedule.Stage(2, functools.partial(keras.optimizers.Adam, 1e-2), trainable=("logits",)),
    schedule.Stage(
        3,
        functools.partial(keras.optimizers.Adam, 3e-3),
        decay=functools.partial(schedule.step_decay, every=1, factor=0.5),
    ),
)


def context(folder, **changes):
    return cases.Context(seed=3, budget="smoke", folder=Path(folder), **{"precision": "float32", **changes})


def model(seed=3):
    image = keras.Input((SIDE, SIDE, 3), name="image")
    return keras.Model(image, net(image, seed=seed))


def data(seed=3):
    pipeline = Pipeline()
    train, val = pipeline.load(examples(28, 0)), pipeline.load(examples(20, 1, "v"))
    return fit.Data(pipeline, centre(train.images), train, val, seed)


def train(folder, *, resume=False, callbacks=(), stages=STAGES, select=schedule.lowest_val_loss, observers=()):
    """A training of five epochs (two stages, four steps each): (model, outcome)."""
    trained = model()
    checkpoint.make_folder(Path(folder))
    plan = fit.Plan(stages, select, Path(folder), {"seed": "3"}, resume, checkpoint_share=1e9)
    return trained, fit.fit(trained, data(), plan, observers, callbacks)


class At(keras.callbacks.Callback):
    """Does something before one batch of one epoch (both counted from 0)."""

    def __init__(self, epoch, batch, action):
        super().__init__()
        self.wanted, self.action = (epoch, batch), action

    def on_epoch_begin(self, epoch, logs=None):
        self.current = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.current, batch) == self.wanted:
            self.action()


if __name__ == "__main__":
    train(sys.argv[1], callbacks=[At(3, 2, functools.partial(os.kill, os.getpid(), signal.SIGKILL))])
