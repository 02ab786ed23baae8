"""What a training shows in TensorBoard.

Scalars (loss, accuracy, AUC, learning rate, and the columns of the best epoch so far), the op graph of the forward
pass with the shapes of its tensors (from a traced function: the Keras callback leaves it empty), a batch as
augmented, weight histograms, ROC curve and confusion matrix of the validation part as images, and HParams. Where it
is asked for (`Steps`), loss and weights of single training steps too, in the folder `steps` below. A resumed training
first takes the epochs that it will replay out of the event files, so that no step appears twice.

    fit.fit(model, data, plan, observers=[TensorBoard(folder / "tensorboard", labels, batch, hparams)])
    # tensorboard --logdir FOLDER
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.hparams import api as hparams_api

from mammo_tf import cases
from mammo_tf.training import scoring

STEPS_FOLDER = "steps"
_PATTERN = "events.out.tfevents.*"
_BEST = ("val_auc", "val_accuracy", "val_loss")
_SHOWN_IMAGES = 8
_BUCKETS = 30  # of a histogram, as TensorBoard's own


@dataclasses.dataclass
class TensorBoard:
    """Observer of `fit.fit` that writes event files.

    Attributes:
        folder: the log folder of this training alone.
        labels: (N,) validation labels, class numbers from 0, in the order of the logits that `epoch` gets.
        batch: gives a batch of images as augmented, (B, S, S, C) float, any range; each is shown stretched
            to [0, 1].
        hparams: what distinguishes this training, name -> str, number or bool.
        draw: functions that return RGB uint8 (H, W, 3): "roc" of (labels 0 or 1, scores), "confusion" of the matrix
            (classes, classes) with rows true and columns predicted; a missing one is left out. With more than two
            classes each that has examples gets a ROC curve of its own, against the rest.
        every: histograms and images appear each so many epochs.
        whole: the net whose op graph is shown, where only its head is trained; None for the trained one.
    """

    folder: Path
    labels: np.ndarray
    batch: Callable[[], np.ndarray]
    hparams: Mapping[str, str | int | float | bool]
    draw: Mapping[str, Callable[..., np.ndarray]] = dataclasses.field(default_factory=dict)
    every: int = 1
    whole: keras.Model | None = None

    def __post_init__(self):
        self._writer: tf.summary.SummaryWriter | None = None
        self._model: keras.Model | None = None

    def begin(self, model: keras.Model, epochs_done: int) -> None:
        """Opens the log; a fresh training replaces what lies in the folder."""
        trim(self.folder, epochs_done)
        if not epochs_done:
            trim(self.folder / STEPS_FOLDER, 0)  # this training may write none
        self._model = model
        self._writer = tf.summary.create_file_writer(str(self.folder))
        if not epochs_done:
            with self._writer.as_default(step=0):
                _write_graph(self.whole or model)
                tf.summary.image("batch as augmented", _stretch(self.batch()), max_outputs=_SHOWN_IMAGES)
                self._write_hparams()
            self._writer.flush()

    def epoch(self, row: Mapping[str, float], best: Mapping[str, float], logits: np.ndarray) -> None:
        """Writes one epoch; `logits` (N, classes) are those of the validation part."""
        with self._writer.as_default(step=row["epoch"]):
            _write_scalars(row, best)
            if row["epoch"] % self.every == 0:
                for weight in self._model.weights:
                    tf.summary.histogram(weight.path, weight.value)
                if len(logits):
                    self._write_drawings(logits)
        self._writer.flush()

    def end(self) -> None:
        """Closes the event file."""
        if self._writer:
            self._writer.close()

    def _write_hparams(self) -> None:
        # The last value of best/... is what the table shows, so it is that of the epoch that gets selected.
        metrics = [hparams_api.Metric(f"best/{name}", display_name=name) for name in _BEST]
        hparams_api.hparams_config(hparams=[hparams_api.HParam(name) for name in self.hparams], metrics=metrics)
        hparams_api.hparams(dict(self.hparams))

    def _write_drawings(self, logits: np.ndarray) -> None:
        labels = np.asarray(self.labels).astype(int)
        classes = logits.shape[1]
        if "roc" in self.draw:
            scores = scoring.softmax(logits)
            for k in [1] if classes == 2 else np.unique(labels):
                name = "validation/roc" if classes == 2 else f"validation/roc/class_{k}"
                tf.summary.image(name, self.draw["roc"]((labels == k).astype(int), scores[:, k])[None])
        if "confusion" in self.draw:
            pairs = classes * labels + scoring.calls(logits)
            matrix = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
            tf.summary.image("validation/confusion", self.draw["confusion"](matrix)[None])


@dataclasses.dataclass(frozen=True)
class Steps:
    """What is shown of single training steps. It changes no bit of the training.

    Attributes:
        layers: prefixes of the names of the layers whose weights are shown; none for the loss alone.
        histograms: at most so many of each weight in a training, evenly spread, beside the one before the first step.
    """

    layers: tuple[str, ...] = ()
    histograms: int = 500

    def __post_init__(self):
        if isinstance(self.layers, str) or not all(isinstance(prefix, str) for prefix in self.layers):
            raise cases.MammoError(f"steps: layers must be a tuple of layer-name prefixes, found {self.layers!r}")
        if self.histograms < 1:
            raise cases.MammoError(f"steps: histograms must be 1 or more, found {self.histograms}")

    def weights(self, model: keras.Model) -> list[keras.Variable]:
        """The weights of the layers of a flat model that are shown.

        Raises:
            MammoError: a prefix matches no layer with weights.
        """
        holders = [layer for layer in model.layers if layer.weights]
        for prefix in self.layers:
            if not any(layer.name.startswith(prefix) for layer in holders):
                names = ", ".join(layer.name for layer in holders)
                raise cases.MammoError(
                    f"steps: no layer with weights has a name that starts with {prefix!r}; they are {names}"
                )
        return [weight for layer in holders if layer.name.startswith(self.layers) for weight in layer.weights]


class StepLog(keras.callbacks.Callback):
    """Observer and callback of `fit.fit`, handed to it as both, that writes single steps, counted from 1.

    "loss/step" is the loss of every batch, before the step, with the stage's penalty: what Keras' sum over the epoch
    grew by, an example. The sum is float32, so it is off by up to 6e-8 x (steps of the epoch so far) x (their mean
    loss). "steps/WEIGHT" is a weight's histogram after the step; that of step 0 shows what training started from.

    Args:
        folder: the log folder of this training; events go to `steps` below it.
        weights: the weights that are shown (`Steps.weights`).
        histograms: as in `Steps`.
        per_epoch, epochs: steps in an epoch, and epochs of the training if it runs to its end.
    """

    def __init__(
        self, folder: Path, weights: Sequence[keras.Variable], histograms: int, *, per_epoch: int, epochs: int
    ):
        super().__init__()
        self.folder, self.weights, self.per_epoch = Path(folder) / STEPS_FOLDER, weights, per_epoch
        self.every = math.ceil(per_epoch * epochs / histograms)
        self._writer: tf.summary.SummaryWriter | None = None
        self._epochs_done = self._epoch = 0

    def begin(self, model: keras.Model, epochs_done: int) -> None:
        """Takes out the steps that will be replayed; a fresh training replaces what lies in the folder."""
        self._epochs_done = epochs_done
        trim(self.folder, epochs_done * self.per_epoch)

    def on_train_begin(self, logs: Any = None) -> None:
        if self._writer is None:  # the first stage that is trained here
            self._writer = tf.summary.create_file_writer(str(self.folder))
            if not self._epochs_done:
                self._write_histograms(0)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._seen = epoch, (0.0, 0.0)
        self._running = next(metric for metric in self.model.metrics if metric.name == "loss")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self._epoch * self.per_epoch + batch + 1
        seen = float(self._running.total.value), float(self._running.count.value)
        loss = (seen[0] - self._seen[0]) / (seen[1] - self._seen[1])
        self._seen = seen
        with self._writer.as_default(step=step):
            tf.summary.scalar("loss/step", loss)
        if step % self.every == 0:
            self._write_histograms(step)

    def epoch(self, row: Mapping[str, float], best: Mapping[str, float], logits: np.ndarray) -> None:
        """Flushes, before the checkpoint of the epoch is written."""
        self._writer.flush()

    def end(self) -> None:
        """Closes the event file."""
        if self._writer:
            self._writer.close()

    def _write_histograms(self, step: int) -> None:
        with self._writer.as_default(step=step):
            for weight in self.weights:
                metadata = histogram_metadata.create_summary_metadata(None, None)
                tf.summary.write(f"steps/{weight.path}", _histogram(weight.value.numpy()), metadata=metadata)


def _histogram(values: np.ndarray) -> np.ndarray:
    """Rows (left edge, right edge, count) of the finite values, as `tf.summary.histogram` has them, but faster."""
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
    if low == high:
        counts, edges = np.array([0] * (_BUCKETS - 1) + [values.size]), np.full(_BUCKETS + 1, low)
    else:
        counts, edges = np.histogram(values, _BUCKETS, (low, high))
    return np.stack([edges[:-1], edges[1:], counts], axis=1).astype(np.float64)


def _write_scalars(row: Mapping[str, float], best: Mapping[str, float]) -> None:
    found = {
        "loss/train": row["loss"],
        "loss/val": row["val_loss"],
        "accuracy/train": row["accuracy"],
        "accuracy/val": row["val_accuracy"],
        "auc/val": row["val_auc"],
        "learning_rate": row["learning_rate"],
        "best/epoch": best["epoch"],
        **{f"best/{name}": best[name] for name in _BEST},
    }
    for name, value in found.items():
        if not math.isnan(value):
            tf.summary.scalar(name, value)


def _write_graph(model: keras.Model) -> None:
    """The ops of the forward pass; each carries `_output_shapes`, from which TensorBoard prints tensor sizes."""

    @tf.function(autograph=False)
    def forward(image: tf.Tensor) -> tf.Tensor:
        return model(image, training=False)

    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image")
    tf.summary.graph(forward.get_concrete_function(signature).graph)


def _stretch(images: np.ndarray) -> np.ndarray:
    """The images to show, each channel of each stretched between its 1st and 99th percentile, clipped to [0, 1]."""
    images = np.asarray(images[:_SHOWN_IMAGES], np.float32)
    low, high = np.percentile(images, (1, 99), axis=(1, 2), keepdims=True)
    return np.clip((images - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)


def trim(folder: Path, last_step: int) -> None:
    """Takes the events after `last_step` out of the event files of a folder; 0 removes the files altogether."""
    for path in sorted(folder.glob(_PATTERN)):
        if last_step <= 0:
            path.unlink()
            continue
        temporary = path.with_name(f"trimmed.{path.name}.tmp")
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in _records(path):
                if event_pb2.Event.FromString(record).step <= last_step:
                    writer.write(record)
        os.replace(temporary, path)  # noqa: PTH105 - the atomic step, by its usual name


def _records(path: Path) -> Iterator[bytes]:
    try:
        yield from tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    except tf.errors.DataLossError:  # the last record was cut off by a kill
        return
