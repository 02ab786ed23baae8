"""Your own Keras net on your own folder of images and CSV (file, patient_id, label), under both protocols.

`python experiments/example.py --root folder=DIR`; without --root a phantom takes the folder's place.
"""

import functools
import sys

import keras

from mammo_tf import cli, run
from mammo_tf.datasets import folder as table
from mammo_tf.datasets import phantom, splits
from mammo_tf.pipeline import augment, build, normalize
from mammo_tf.training import method, schedule

KEY, DATASETS = "example", (table,)
BUDGETS = {"demo": run.Budget("demo", phantom.PhantomSpec(60, height=256, width=192, spacing_mm=0.8), draws=500)}


def net(x, *, classes=2, seed=0):
    for i, channels in enumerate((8, 16, 32)):
        start = keras.initializers.HeNormal(seed + i)
        x = keras.layers.Conv2D(channels, 3, 2, activation="relu", kernel_initializer=start, name=f"conv{i}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    start = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(classes, kernel_initializer=start, dtype="float32", name="logits")(x)


def my_method(budget):
    pipeline = build.Pipeline(128, normalize.per_image, augment.Augment(flip_horizontal=True, rotate_deg=(-10, 10)))
    stages = (schedule.Stage(3, functools.partial(keras.optimizers.Adam, 1e-3)),)
    return method.KerasMethod(net=net, pipeline=pipeline, stages=stages, select=schedule.best_val_accuracy)


LEAKY = functools.partial(splits.random_examples, leak="images of one patient stand in both parts")
PROTOCOLS = ((LEAKY, run.Rules("as_published", "val")), (splits.patient_holdout, run.Rules("honest", "test")))
RUNS = tuple(run.Run(KEY, "mine", my_method, table.whole_images, s, p, table.policy) for s, p in PROTOCOLS)
if __name__ == "__main__":
    raise SystemExit(cli.experiment(sys.modules[__name__]))
