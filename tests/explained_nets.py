"""A net that answers to a bright square and nothing else, images with one planted, and runs of it: for tests of maps.

The first channel of the convolution is bright where the 3 x 3 pixels are, less a bias that the noise stays below; the
others see what does not count for any class, so that random weights give another net.
"""

import dataclasses
import functools
import types

import keras
import numpy as np

from mammo_tf import artifacts, cases, regions
from mammo_tf.pipeline import build, normalize
from mammo_tf.training import fitted
from tests import samples

SIDE, SQUARE = 32, 6
NORMALIZER = normalize.Fixed((0.25,), (0.5,), 1)
PIPELINE = build.Pipeline(SIDE, normalize.train_mean, batch=4, channels=1)
NAMES = ("benign", "malignant")


def square_net():
    """Logit 0 is 0; logit 1 is the mean over the image of max(0, brightness - 0.9), times 160, less 1."""
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(image)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.MaxPooling2D(2, name="halved")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(x), name="square_net")
    kernel = 0.3 * np.random.default_rng(0).normal(size=(3, 3, 1, 4)).astype("float32")
    kernel[..., 0] = 1 / 9
    model.get_layer("conv").set_weights([kernel, np.array([-0.9, 0.1, 0, -0.1], np.float32)])
    logits = np.array([[0, 160], [0.02, 0], [-0.02, 0], [0, 0.01]], np.float32)
    model.get_layer("logits").set_weights([logits, np.array([0.0, -1.0], np.float32)])
    return model


def pixels(seed, at):
    """Noise up to 0.4 of the full scale, with a square of 0.9 to 1 at (top, left), or None without."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 26000, (SIDE, SIDE))
    if at is not None:
        image[at[0] : at[0] + SQUARE, at[1] : at[1] + SQUARE] = rng.integers(59000, 65536, (SQUARE, SQUARE))
    return image.astype(np.uint16)


def corner(i):
    return tuple(int(n) for n in np.random.default_rng((7, i)).integers(1, SIDE - SQUARE - 1, 2))


def box(top, left):
    last = SQUARE - 1
    corners = ((left, top), (left + last, top), (left + last, top + last), (left, top + last))
    return regions.PolygonRegion(corners)


def example(i, label=1, marked=True):
    """Of label 1 with a square, which is its lesion where it is marked; of label 0 noise alone."""
    at = corner(i) if label else None
    pathology = cases.Pathology.MALIGNANT
    region = box(*at) if marked and at else None
    lesions = (cases.Lesion(f"l{i}", pathology, "mass", region),) if label else ()
    load = functools.partial(pixels, i, at)
    view = cases.View(f"v{i}", f"p{i}", None, cases.Projection.CC, load, 65535, lesions=lesions)
    return cases.Example(f"e{i}", f"p{i}", (view,), float(label))


def net(model=None):
    return fitted.Fitted(model or square_net(), NORMALIZER, PIPELINE, [], 0, 0, "float32", "CPU")


def done(folder, examples, model=None):
    """A fitted split as hooks see it."""
    one = net(model)
    shown = artifacts.Shown("square_net, honest: toy (phantom, not patients), budget smoke", NAMES, 200)
    predictions = artifacts.Predictions.of(examples, one(examples))
    return types.SimpleNamespace(
        folder=folder, fitted=one, predictions=predictions, shown=shown, budget=None, reported="test"
    )


def given(count):
    """Images (N, H, W) in [0, 1], normalised (N, H, W, 1), and masks, of examples with squares."""
    seen = np.stack([pixels(i, corner(i)) for i in range(count)]).astype(np.float32) / 65535
    masks = np.stack([example(i).views[0].lesions[0].region.mask((SIDE, SIDE)) > 0 for i in range(count)])
    return seen, np.asarray(NORMALIZER(seen[..., None])), masks


def kept(folder, model=None):
    """A run's folder with the net, and its record."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = artifacts.Shown("a toy", NAMES, 50)
    artifacts.write_fitted(folder, net(model), shown)
    return dataclasses.replace(samples.record(run="square_net", paper="toy", budget="smoke"), folder=str(folder))
