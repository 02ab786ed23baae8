"""A trained run as a SavedModel that carries its own preprocessing and needs nothing but TensorFlow to serve.

Two signatures: `serve` takes `image` (B, H, W) uint16 of any size and `max_value` (), the largest value that its
storage allows; `serve_float` takes `image` (B, H, W) float32 in [0, 1]. Both answer `probabilities` (B, classes). A
net with a branch for each of two views takes `image` (B, H, W, 2), CC and MLO; one that sees the views one by one
takes each as an image, and the mean of the answers is the run's.
The object also has `prepared`, a function from the resized and normalised tensor (B, H, W, C) on, to check parity.
The weights are those of training; the exported net computes in float32, whatever the training precision was.

    served = tf.saved_model.load("export").signatures["serve"]
"""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases, records, regions
from mammo_tf.models import batch_norm, blocks, dog, two_view  # noqa: F401 - they register layers of model.keras
from mammo_tf.pipeline import normalize, resize, views

LOG = logging.getLogger("mammo_tf")
METADATA = "mammo_tf.json"
NOT_CLINICAL = "Research use only. Not a medical device; not for clinical use."
TOLERANCE_PREPARED, TOLERANCE_RAW = 1e-5, 1e-3


_RULES = {
    resize.area: "area average where it shrinks, bilinear where it grows",
    resize.cubic: "cubic (a = -0.75, no antialiasing), clipped to [0, 1]",
}


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What a run did to an image before its net saw it.

    Attributes:
        normalizer: (B, H, W, 1) float32 in [0, 1] -> (B, H, W, C) float32.
        shape: (height, width) that the net takes.
        rule: `resize.area` or `resize.cubic`.
        margin: pixels that are cut off on every side after resizing (`build.Pipeline.margin`).
        pair: True where the image has two channels, the two views, each normalised by itself.
        takes: what an image is to be cut to beforehand, in words; "" where the run did not say.
    """

    normalizer: Any
    shape: tuple[int, int]
    rule: resize.Rule = resize.area
    margin: int = 0
    pair: bool = False
    takes: str = ""

    @property
    def full(self) -> tuple[int, int]:
        """`shape` and its margins."""
        return self.shape[0] + 2 * self.margin, self.shape[1] + 2 * self.margin

    def resized(self, image: np.ndarray) -> np.ndarray:
        """The image (H, W) float32 in [0, 1] at `shape`, as training had it but for the rounding to uint16."""
        middle = regions.inner(self.margin)
        return np.clip(self.rule(image, *self.full), 0.0, 1.0)[middle, middle]

    def in_graph(self, images: tf.Tensor) -> tf.Tensor:
        """(B, H, W), or (B, H, W, 2) of a pair, float32 in [0, 1] of any size to what the net takes."""
        if self.pair:
            return tf.concat([self._one(images[..., view, None]) for view in (0, 1)], axis=-1)
        return self._one(images[..., None])

    def _one(self, images: tf.Tensor) -> tf.Tensor:
        middle = regions.inner(self.margin)
        resized = resize.in_graph(self.rule)(images, self.full)[:, middle, middle]
        return self.normalizer(tf.clip_by_value(resized, 0.0, 1.0))


def in_float32(model: keras.Model) -> keras.Model:
    """The same net and weights with every layer computing in float32."""
    text = json.dumps(keras.saving.serialize_keras_object(model))
    for policy in ("mixed_bfloat16", "mixed_float16"):
        text = text.replace(f'"{policy}"', '"float32"')
    twin = keras.saving.deserialize_keras_object(json.loads(text))
    twin.set_weights(model.get_weights())
    return twin


class Served(tf.Module):
    """The model with its preprocessing, as SavedModel sees it."""

    def __init__(self, model: keras.Model, preprocessing: Preprocessing, metadata: str):
        super().__init__()
        self._model, self._preprocessing = model, preprocessing
        self._variables = [variable.value for variable in model.variables]  # tracked, or they are not saved
        self.metadata = tf.Variable(metadata, trainable=False)
        self.prepared = tf.function(
            self._prepared, autograph=False, input_signature=[tf.TensorSpec((None, *model.input_shape[1:]))]
        )

    def _prepared(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(tf.cast(self._model(x, training=False), tf.float32))

    def serve_float(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": self._prepared(self._preprocessing.in_graph(image))}

    def serve(self, image: tf.Tensor, max_value: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.serve_float(tf.cast(image, tf.float32) / max_value)

    def signatures(self) -> dict[str, Any]:
        """The two signatures, traced for images of any size."""
        shape = (None, None, None, 2) if self._preprocessing.pair else (None, None, None)
        value = tf.TensorSpec((), tf.float32, "max_value")
        return {
            "serve": tf.function(
                self.serve, autograph=False, input_signature=[tf.TensorSpec(shape, tf.uint16, "image"), value]
            ),
            "serve_float": tf.function(
                self.serve_float, autograph=False, input_signature=[tf.TensorSpec(shape, tf.float32, "image")]
            ),
        }


def metadata(record: records.Record, preprocessing: Preprocessing, channels: int) -> dict[str, Any]:
    """What a user of the exported model must know; stored beside it and inside it."""
    height, width = preprocessing.full
    axes = "(B, H, W, 2), CC and MLO," if preprocessing.pair else "(B, H, W)"
    cut = f"; then the central {preprocessing.shape[0]} x {preprocessing.shape[1]}" if preprocessing.margin else ""
    return {
        "name": f"{record.paper} {record.run}",
        "use": NOT_CLINICAL,
        "class_names": list(record.class_names),
        "label_policy": record.label_policy,
        "trained_on": f"{record.dataset} ({record.dataset_kind}), protocol {record.protocol}, budget {record.budget}",
        "starting_weights": record.weights,
        "normalization": preprocessing.normalizer.describe(),
        "input": {
            "what": f"one gray image, dark background, {preprocessing.takes or 'cut as in training'}",
            "serve": f"image {axes} uint16 of any size; max_value: the largest value the storage allows, e.g. 4095",
            "serve_float": f"image {axes} float32 in [0, 1]",
            "resize": f"to {height} x {width}: {_RULES[preprocessing.rule]}{cut}",
            "channels": channels,
        },
        "output": {
            "probabilities": f"(B, {len(record.class_names)}) float32, rows sum to 1, columns as in class_names",
        },
        "precision": f"exported float32; trained and evaluated {record.precision}",
        "record": {
            "hash": record.hash,
            "seed": record.seed,
            "commit": record.commit,
            "versions": dict(record.versions),
        },
    }


def export(record: records.Record, folder: pathlib.Path) -> pathlib.Path:
    """Writes the SavedModel of a run, reloads it, and checks that it answers as the run's net does in float32.

    A net trained in bfloat16 or float16 predicted in that precision; its exported probabilities differ from the run's
    predictions.csv by that rounding.

    Raises:
        cases.DataError: the run's folder holds no model; `folder` holds something else already, or cannot be written.
        cases.MammoError: the reloaded model does not repeat the probabilities of the model that was saved.
    """
    model, preprocessing = load(record)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / METADATA).is_file()):
        raise cases.DataError(folder, "is not empty and holds no exported model; name another folder")
    text = json.dumps(metadata(record, preprocessing, model.input_shape[-1]), indent=1)
    served = Served(in_float32(model), preprocessing, text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / METADATA).write_text(text + "\n")
        tf.saved_model.save(served, str(folder), served.signatures())
    except (OSError, tf.errors.OpError) as error:
        raise cases.DataError(folder, f"the model cannot be written: {error}") from None
    _check(folder, served, preprocessing)
    return folder


def load(record: records.Record) -> tuple[keras.Model, Preprocessing]:
    """The model of a run's folder and what goes before it.

    Raises:
        cases.DataError: the folder holds no model, or its preprocessing.json is not a contract.
    """
    folder = pathlib.Path(record.folder)
    for name in ("model.keras", "preprocessing.json"):
        if not (folder / name).is_file():
            raise cases.DataError(folder, f"holds no {name}: only finished runs that train a net can be exported")
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    return model, read_preprocessing(folder / "preprocessing.json")


def read_preprocessing(path: pathlib.Path) -> Preprocessing:
    """Reads preprocessing.json: `side` is one number or [height, width]; without `resize` it is "area".

    Raises:
        cases.DataError: a field is missing or unknown.
    """
    try:
        contract = json.loads(path.read_text())
        side = contract["side"]
        shape = (side, side) if isinstance(side, int) else (side[0], side[1])
        rule = resize.named(contract.get("resize", "area"))
        more = {"margin": int(contract.get("margin", 0)), "pair": contract.get("views") == views.PAIR}
        more["takes"] = str(contract.get("takes", ""))
        return Preprocessing(normalize.from_description(contract["normalization"]), shape, rule, **more)
    except (ValueError, KeyError, TypeError, IndexError, cases.MammoError) as error:
        raise cases.DataError(path, f"is not the preprocessing of a run: {error!r}") from None


def _prepared(preprocessing: Preprocessing, images: np.ndarray) -> np.ndarray:
    """Images (B, H, W) of 12 bits as the net takes them, resized outside the graph."""
    resized = np.stack([preprocessing.resized(one / np.float32(4095)) for one in images])[..., None]
    return np.asarray(preprocessing.normalizer(resized))


def _check(folder: pathlib.Path, served: Served, preprocessing: Preprocessing) -> None:
    """Reloads the SavedModel and compares it with the model that was saved, from both ends."""
    again = tf.saved_model.load(str(folder))
    height, width = preprocessing.shape
    some = (2, height + 37, 2 * width + 5, 1 + preprocessing.pair)
    image = np.random.default_rng(0).integers(0, 4096, some, dtype=np.uint16)
    prepared = np.concatenate([_prepared(preprocessing, image[..., view]) for view in range(some[-1])], axis=-1)
    image = image if preprocessing.pair else image[..., 0]
    expected = served._prepared(tf.constant(prepared)).numpy()
    raw = again.signatures["serve"](image=tf.constant(image), max_value=tf.constant(4095.0))["probabilities"].numpy()
    differences = {
        "prepared": (np.abs(again.prepared(tf.constant(prepared)).numpy() - expected).max(), TOLERANCE_PREPARED),
        "raw": (np.abs(raw - expected).max(), TOLERANCE_RAW),
    }
    for name, (found, allowed) in differences.items():
        LOG.info("export: %s input differs by %.1e (allowed %.0e)", name, found, allowed)
        if found > allowed:
            raise cases.MammoError(f"{folder}: the exported model differs by {found:.1e} from the {name} input on")
