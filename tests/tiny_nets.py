"""Nets of one convolution as finished runs leave them in their folders: for the tests of `reuse` and `explaining`.

The convolution is 32 x 32 with a stride of 32 and pads nothing, so that a patch net slid over an image gives exactly
what it gives on each patch.
"""

import functools

import keras
import numpy as np

from mammo_tf import artifacts, cases
from mammo_tf.pipeline import build, normalize, patches, resize
from mammo_tf.training import fitted

SHAPE, PATCH = (128, 96), 64
CLASSES = 5
NORMALIZER = normalize.Fixed((0.25,), (0.5,), 1)
SHOWN = artifacts.Shown("a toy", ("benign", "malignant"), 50)


def conv(x, filters=4, seed=0):
    uniform = keras.initializers.RandomUniform(-0.1, 0.1, seed=seed)
    x = keras.layers.Conv2D(filters, 32, strides=32, name="block1_conv1", kernel_initializer=uniform)(x)
    return keras.layers.ReLU(name="block1_relu1")(x)


def features(x, *, seed=0):
    return conv(x, seed=seed)


def net(shape, classes, seed=0, sign=None):
    """Images to logits; with a sign (+1, -1), bright images have a high (low) logit of class 1."""
    image = keras.Input((*shape, 1), name="image")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(conv(image, seed=seed))
    normal = keras.initializers.RandomNormal(stddev=2.0, seed=seed + 1)
    model = keras.Model(image, keras.layers.Dense(classes, name="logits", kernel_initializer=normal)(x))
    if sign is not None:
        model.get_layer("block1_conv1").set_weights([np.full((32, 32, 1, 4), 1 / 4096), np.full(4, 0.25)])
        kernel = np.zeros((4, classes))
        kernel[:, 1] = 4.0 * sign
        model.get_layer("logits").set_weights([kernel, np.zeros(classes)])
    return model


def fitting(model, pipeline, **changes):
    facts = {"history": [], "best_epoch": 0, "val_reads": 0, "precision": "float32", "device": "CPU"}
    return fitted.Fitted(model=model, normalizer=NORMALIZER, pipeline=pipeline, **{**facts, **changes})


def whole_net(seed=0, sign=None, *, rule=resize.area, model=None):
    """A net of two classes for images of SHAPE."""
    pipeline = build.Pipeline(SHAPE, normalize.train_mean, batch=4, channels=1, resize=rule)
    return fitting(model or net(SHAPE, 2, seed, sign), pipeline)


def patch_net(seed=5):
    pipeline = patches.PatchPipeline(PATCH, normalize.train_mean, batch=4, channels=1)
    return fitting(net((PATCH, PATCH), CLASSES, seed), pipeline)


def kept(folder, net):
    """The folder of a run, with the net as `run.execute` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    artifacts.write_fitted(folder, net, SHOWN)
    return folder


def kept_patch_net(folder, seed=5):
    """The folder of a patch net's run, with predictions of its classes."""
    examples = [cases.Example(f"e{i}", f"p{i}", (), float(i % CLASSES)) for i in range(10)]
    predictions = artifacts.Predictions.of(examples, np.full((10, CLASSES), 1 / CLASSES))
    artifacts.write_predictions(kept(folder, patch_net(seed)) / "predictions.csv", predictions)
    return folder


def view(name, pixels):
    load = functools.partial(np.asarray, pixels)
    return cases.View(name, f"patient {name}", None, cases.Projection.CC, load, 65535)


def images(count, seed=0, prefix="v", gap=9000):
    """Noise; of every two images the second, of class 1, is brighter."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        pixels = (rng.integers(0, 40000, SHAPE) + gap * (i % 2)).astype(np.uint16)
        one = view(f"{prefix}{i}", pixels)
        found.append(cases.Example(one.id, one.patient_id, (one,), float(i % 2)))
    return tuple(found)


def windows(count, seed=0, prefix="w"):
    """Patches at the four corners of resized images, of all classes in turn."""
    found = []
    for example in images(count, seed, prefix):
        page = example.views[0].resized(*SHAPE, resize.area)
        for k, (top, left) in enumerate(((0, 0), (64, 0), (0, 32), (64, 32))):
            one = page.window(top, left, PATCH, PATCH)
            label = float((len(found)) % CLASSES)
            id, roi = f"{example.id}/{k}", example.id if k else ""
            found.append(cases.Example(id, example.patient_id, (one,), label, roi_id=roi))
    return tuple(found)


def context(folder, **inputs):
    return cases.Context(seed=1, budget="smoke", folder=folder, inputs=inputs)
