"""Inference with a trained or training model, and what a validation part says about it.

Everything here is in float32 or float64, whatever precision the model computes in.

    scorer = make_scorer(model)
    columns = score(predict(scorer, dataset), labels, weights)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np
import scipy.stats
import tensorflow as tf

from mammo_tf.training import precision

TINY = np.finfo(np.float32).tiny  # so that a probability of 0 has a logarithm
COLUMNS = ("val_loss", "val_accuracy", "val_auc")


def make_scorer(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The model in inference mode as one compiled function: images (B, S, S, C) -> logits (B, classes)."""
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]

    @tf.function(input_signature=signature, jit_compile=precision.compile_with_xla(), autograph=False)
    def scorer(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(images, training=False), tf.float32)

    return scorer.get_concrete_function()  # called directly: TensorFlow warns of many short-lived tf.functions


def predict(scorer: Callable[[tf.Tensor], tf.Tensor], dataset: tf.data.Dataset) -> np.ndarray:
    """Logits (N, classes) float32 of a dataset of (images, labels, weights), in its order."""
    return np.concatenate([scorer(images).numpy() for images, _, _ in dataset])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (N, classes) float32 of logits (N, classes)."""
    exponentials = np.exp((logits - logits.max(axis=1, keepdims=True)).astype(np.float32))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def calls(logits: np.ndarray) -> np.ndarray:
    """The class, int (N,), that logits (N, classes) stand for: the most probable one, the first of equals.

    Of two classes it is 1 where P(class 1) >= 0.5, so a tie is called 1 there. Keras' own accuracy, a history's
    `accuracy` of the training part, calls a tie 0.
    """
    if logits.shape[1] > 2:
        return logits.argmax(axis=1)
    return (softmax(logits)[:, 1] >= 0.5).astype(int)


def score(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Validation columns of a history row.

    Args:
        logits: (N, classes).
        labels: (N,), class numbers from 0.
        weights: (N,); they weight the loss alone, as Keras does.

    Returns:
        val_loss (cross-entropy in nats), val_accuracy in [0, 1] (of `calls`), val_auc in [0, 1] (`auc`; of more than
        two classes `macro_auc`; NaN where fewer than two classes are there); all NaN when a logit is not finite.
    """
    logits, labels = logits.astype(np.float64), np.asarray(labels).astype(int)
    if not np.isfinite(logits).all():
        return dict.fromkeys(COLUMNS, math.nan)
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]
    return {
        "val_loss": float(np.average(losses, weights=weights)),
        "val_accuracy": float(np.mean(calls(logits) == labels)),
        "val_auc": macro_auc(labels, logits) if logits.shape[1] > 2 else auc(labels, logits[:, 1] - logits[:, 0]),
    }


def log_odds(logits: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) of each class, (N, classes) float64, of logits (N, classes).

    Ranks as the probabilities do, also where those round to 1.
    """
    logits = logits.astype(np.float64)
    others = [np.logaddexp.reduce(np.delete(logits, k, axis=1), axis=1) for k in range(logits.shape[1])]
    return logits - np.stack(others, axis=1)


def macro_auc(labels: np.ndarray, logits: np.ndarray) -> float:
    """Mean over classes of the AUC of one class against the rest; NaN where fewer than two classes are there.

    A class without examples has no AUC and is left out of the mean.

    >>> macro_auc(np.array([0, 1, 2]), np.eye(3))
    1.0
    """
    there = [k for k in range(logits.shape[1]) if (labels == k).any() and (labels != k).any()]
    if not there:
        return math.nan
    odds = log_odds(logits)
    return float(np.mean([auc(labels == k, odds[:, k]) for k in there]))


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve from mid-ranks (Mann-Whitney); NaN when a class is missing.

    >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    positive = labels == 1
    p, n = int(positive.sum()), int((~positive).sum())
    if not p or not n:
        return math.nan
    return float((scipy.stats.rankdata(scores)[positive].sum() - p * (p + 1) / 2) / (p * n))
