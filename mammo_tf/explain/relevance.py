"""Relevance: how much each pixel gives to a score, shared out layer by layer from the logits back to the image.

    sum_pixels R + bias + stabiliser + remainder = S_k

Layer-wise relevance propagation, Bach et al. 2015, doi:10.1371/journal.pone.0130140, and deep Taylor decomposition,
Montavon et al. 2017, doi:10.1016/j.patcog.2016.11.008. S_k is the score of class k before the softmax. A layer shares
out to its inputs what it is handed (`relevance_rules`, `relevance_layers`), so that nothing is lost on the way: what
reaches no pixel is in one of the other three terms. A batch norm after a convolution is one layer with it, and an
addition takes the rule of the layers round it.

    rules = relevance.composite(low=-2.1, high=2.6)            # of an image as the net gets it, after normalisation
    found = relevance.propagate(model, images, rules)
    found.relevance.sum(axis=-1), found.gap                    # (N, H, W), and (N,) of rounding
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import kept
from mammo_tf.explain import relevance_graph as graphs
from mammo_tf.explain import relevance_layers as layers
from mammo_tf.explain.relevance_rules import ZB, Affine, Epsilon, Pair, Shared, ZPlus

ALGORITHM_VERSION = 1

ABSORBED = ("bias", "stabiliser", "remainder")


@dataclasses.dataclass(frozen=True)
class Rules:
    """Which rule which layer takes.

    Attributes:
        first: of the layer that sees the image, itself or through padding, averages, a view, or the filter bank.
        conv: of the others that give maps (B, H, W, C), additions and batch norms by themselves included.
        dense: of those that give vectors (B, F).
    """

    first: Epsilon | ZPlus | ZB
    conv: Epsilon | ZPlus
    dense: Epsilon | ZPlus

    def __post_init__(self):
        if isinstance(self.conv, ZB) or isinstance(self.dense, ZB):
            raise cases.MammoError("relevance: ZB is a rule for the first layer alone, whose inputs have bounds")


EPSILON = Rules(Epsilon(), Epsilon(), Epsilon())
Z_PLUS = Rules(ZPlus(), ZPlus(), ZPlus())


def composite(low: float | tuple[float, ...], high: float | tuple[float, ...], eps: float = 0.01) -> Rules:
    """ZB for the first layer, ZPlus for convolutions, Epsilon for dense layers; the bounds are those of `ZB`."""
    return Rules(ZB(low, high), ZPlus(), Epsilon(eps))


def deep_taylor(low: float | tuple[float, ...], high: float | tuple[float, ...]) -> Rules:
    """ZB for the first layer, ZPlus without biases for all others: Montavon et al.; the bounds are those of `ZB`."""
    return Rules(ZB(low, high), ZPlus(bias=False), ZPlus(bias=False))


@dataclasses.dataclass(frozen=True, eq=False)
class Relevance:
    """What was found.

    Attributes:
        relevance: (N, H, W, C) float32, in units of the score.
        classes: (N,) int32, whose score it is.
        score: (N,) float32.
        bias: (N,) float64, what biases absorbed, the shifts of batch norms among them.
        stabiliser: (N,) float64, what eps absorbed, and units whose denominator was 0.
        remainder: (N,) float64, what the first-order term of a softmax inside the net left.
    """

    relevance: np.ndarray
    classes: np.ndarray
    score: np.ndarray
    bias: np.ndarray
    stabiliser: np.ndarray
    remainder: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """(N,) float64, the score less all else: rounding."""
        pixels = self.relevance.sum(axis=(1, 2, 3), dtype=np.float64)
        return self.score - pixels - self.bias - self.stabiliser - self.remainder


def propagate(
    model: keras.Model,
    images: np.ndarray,
    rules: Rules,
    class_index: int | np.ndarray | None = None,
    *,
    batch: int = 32,
) -> Relevance:
    """The relevance of each image for one score.

    Args:
        model: flat, images (B, H, W, C) to logits (B, classes); run in inference mode and in float32, whatever the
            precision that it was trained in.
        images: (N, H, W, C) float, normalised as the model expects.
        rules: `EPSILON`, `Z_PLUS`, `composite(low, high)`, `deep_taylor(low, high)`, or others.
        class_index: the class whose score is shared out, one for all or (N,); None: the predicted class of each.
        batch: images a step; no result depends on it.

    Raises:
        MammoError: images of another shape, not finite or outside the bounds of rule ZB; the model is not flat, has
            another form or no such class, or holds a layer that there is no rule for; no layer can take rule ZB.
    """
    graphs.read(model)  # refuses before anything is copied
    net = graphs.in_float32(model)
    images, classes = _checked(model, images, rules, class_index)
    shape = images.shape[1:]
    walk = kept.of(net, ("relevance", rules, shape), lambda: _walk(graphs.read(net), rules, shape))
    with _whole_float32():
        slices = [slice(i, i + batch) for i in range(0, len(images), batch)]
        parts = [walk(tf.constant(images[part]), tf.constant(classes[part])) for part in slices]
    return Relevance(*(np.concatenate([np.asarray(x) for x in found]) for found in zip(*parts, strict=True)))


@contextlib.contextmanager
def _whole_float32() -> Iterator[None]:
    """No TensorFloat-32, whose products of 10 bits would open a gap in the sums."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _checked(
    model: keras.Model, images: np.ndarray, rules: Rules, class_index: int | np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    images = np.asarray(images, np.float32)
    expected = tuple(model.input_shape[1:])
    fits = images.ndim == 4 and all(n in (None, m) for n, m in zip(expected, images.shape[1:], strict=True))
    if not fits or not len(images):
        raise cases.MammoError(f"relevance: expected images (N, *{expected}), N from 1 on, found {images.shape}")
    if not np.isfinite(images).all():
        raise cases.MammoError("relevance: the images hold values that are not finite")
    if isinstance(rules.first, ZB):
        _refuse_outside(rules.first, images)
    count = model.output_shape[-1]
    classes = np.broadcast_to(-1 if class_index is None else np.asarray(class_index), len(images)).astype(np.int32)
    if class_index is not None and not np.all((classes >= 0) & (classes < count)):
        raise cases.MammoError(f"relevance: class {class_index} is not among the {count} of the model (from 0)")
    return images, classes


def _refuse_outside(bounds: ZB, images: np.ndarray) -> None:
    low, high = np.asarray(bounds.low), np.asarray(bounds.high)
    channels = images.shape[-1]
    if any(bound.shape not in ((), (1,), (channels,)) for bound in (low, high)):
        raise cases.MammoError(f"relevance: low and high must be one number or {channels}, found {bounds}")
    least, most = images.min(axis=(0, 1, 2)), images.max(axis=(0, 1, 2))
    rounding = 1e-5 * (high - low)
    if (least < low - rounding).any() or (most > high + rounding).any():
        raise cases.MammoError(
            f"relevance: the images go from {least.tolist()} to {most.tolist()}, outside {bounds}; "
            "give the bounds of normalised images"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Task:
    """How the relevance of one tensor goes to others: `share(inputs, relevance of the output)`."""

    inputs: tuple[int, ...]
    output: int
    share: Callable[[tuple[tf.Tensor, ...], tf.Tensor], Shared]


def _walk(graph: graphs.Graph, rules: Rules, shape: tuple[int, ...]) -> Callable[..., tuple[tf.Tensor, ...]]:
    """(images, classes; -1 means the predicted one) -> the fields of `Relevance`, traced once for any batch."""
    signature = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int32)]
    tasks = _tasks(graph, rules)

    @tf.function(input_signature=signature, autograph=False)
    def walk(images, classes):
        values = graph.values(images)
        logits = values[graph.output]
        used = tf.where(classes < 0, tf.argmax(logits, axis=-1, output_type=tf.int32), classes)
        chosen = logits * tf.one_hot(used, logits.shape[-1])
        absorbed = dict.fromkeys(ABSORBED, tf.zeros(tf.shape(images)[:1], tf.float64))
        handed = {graph.output: chosen}
        for task in tasks:
            if task.output in handed:
                shared = task.share(tuple(values[i] for i in task.inputs), handed.pop(task.output))
                absorbed = {name: absorbed[name] + getattr(shared, name) for name in ABSORBED}
                for i, part in zip(task.inputs, shared.inputs, strict=True):
                    handed[i] = handed[i] + part if i in handed else part
        score = tf.reduce_sum(chosen, axis=-1)
        return handed[graphs.IMAGE], used, score, *absorbed.values()

    return walk.get_concrete_function()


def _tasks(graph: graphs.Graph, rules: Rules) -> list[_Task]:
    """From the logits to the image; convolutions and dense layers take the batch norm after them along."""
    if isinstance(rules.first, ZB) and all(graph.before_first(step) is None for step in graph.steps):
        raise cases.MammoError("relevance: no convolution or dense layer sees the image itself, so none can take ZB")
    unsigned, tasks, taken = graph.unsigned(), [], set()
    for step in graph.steps:
        share = layers.handler(step.layer)
        if share is not None:
            tasks.append(_Task(step.inputs, step.output, functools.partial(share, step.layer)))
        elif step.output not in taken:
            norm = graph.norm_after(step)
            output = norm.output if norm else step.output
            taken.add(output)
            affine = functools.partial(_affine, step, norm, not unsigned.issuperset(step.inputs))
            tasks.append(_weighted(graph, rules, step, output, affine))
    return tasks[::-1]


def _affine(step: graphs.Step, norm: graphs.Step | None, signed: bool) -> Affine:
    affine = layers.affine(step.layer, signed=signed)
    return layers.folded(affine, norm.layer) if norm else affine


def _weighted(
    graph: graphs.Graph, rules: Rules, step: graphs.Step, output: int, affine: Callable[[], Affine]
) -> _Task:
    before = graph.before_first(step)
    if before is not None and isinstance(rules.first, ZB):
        ends = tuple(functools.partial(layers.both_ends, layer) for layer in before)
        return _Task((graphs.IMAGE,), output, functools.partial(_bounded, rules.first, affine, ends))
    rule = rules.conv if step.rank == 4 else rules.dense
    return _Task(step.inputs, output, functools.partial(_shared, rule if before is None else rules.first, affine))


def _bounded(
    rule: ZB,
    affine: Callable[[], Affine],
    ends: tuple[Callable[[Pair], Pair], ...],
    inputs: tuple[tf.Tensor, ...],
    relevance: tf.Tensor,
) -> Shared:
    return rule(affine(), inputs[0], relevance, ends)


def _shared(
    rule: Epsilon | ZPlus, affine: Callable[[], Affine], inputs: tuple[tf.Tensor, ...], relevance: tf.Tensor
) -> Shared:
    """Of several inputs, an addition is the sum along a new first axis."""
    if len(inputs) == 1:
        return rule(affine(), inputs[0], relevance)
    shared = rule(affine(), tf.stack(inputs), relevance)
    return dataclasses.replace(shared, inputs=tuple(tf.unstack(shared.inputs[0])))
