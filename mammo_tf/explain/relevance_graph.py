"""A flat functional Keras model as a list of steps, for relevance to walk back along.

Every tensor of the graph has a number, by which the steps name what they take and give.

    graph = relevance_graph.read(relevance_graph.in_float32(model))
    values = graph.values(images)                      # by tensor: 0 is the image, graph.output the logits
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.explain import kept
from mammo_tf.explain import relevance_layers as layers

ALGORITHM_VERSION = 1
IMAGE = 0  # the number of the input


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer; tensors go by numbers.

    Attributes:
        layer: what is called.
        inputs, output: the tensors that it takes and gives.
        rank: of the output, the batch counted: 4 for a map, 2 for a vector.
    """

    layer: keras.Layer
    inputs: tuple[int, ...]
    output: int
    rank: int


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """The steps, each after those whose output it takes.

    Attributes:
        model: whose layers are called.
        steps: in an order of computation.
        output: the tensor of the logits.
    """

    model: keras.Model
    steps: tuple[Step, ...]
    output: int

    def values(self, images: tf.Tensor) -> dict[int, tf.Tensor]:
        """Every tensor, by its number."""
        found = {IMAGE: images}
        for step in self.steps:
            found[step.output] = layers.applied(step.layer, tuple(found[i] for i in step.inputs))
        return found

    def producer(self, tensor: int) -> Step | None:
        """The step that gives the tensor; None for the image."""
        return next((step for step in self.steps if step.output == tensor), None)

    def norm_after(self, step: Step) -> Step | None:
        """The batch norm that alone takes the output of a convolution or dense layer."""
        readers = [other for other in self.steps if step.output in other.inputs]
        alone = len(readers) == 1 and step.output != self.output and layers.is_weighted(step.layer)
        return readers[0] if alone and layers.is_normalisation(readers[0].layer) else None

    def before_first(self, step: Step) -> tuple[keras.Layer, ...] | None:
        """The layers between the image and a convolution or dense layer, first to last.

        None for other layers, and unless all between are averages or the filter bank.
        """
        if not layers.is_weighted(step.layer):
            return None
        found = []
        while (step := self.producer(step.inputs[0])) is not None:
            if not (layers.averages(step.layer) or layers.is_bank(step.layer)):
                return None
            found.append(step.layer)
        return tuple(reversed(found))

    def unsigned(self) -> set[int]:
        """The tensors that never hold a value below 0."""
        found: set[int] = set()
        for step in self.steps:
            kept = layers.keeps_sign(step.layer) and found.issuperset(step.inputs)
            if kept or layers.makes_sign(step.layer):
                found.add(step.output)
        return found


def refuse_form(model: keras.Model, what: str) -> None:
    """Raises MammoError, beginning with `what`, unless the model is a graph from (B, H, W, C) to (B, classes)."""
    if not hasattr(model, "_nodes_by_depth"):
        raise cases.MammoError(f"{what}: {model.name} is no functional model")
    shapes = [tuple(x.shape) for x in (*model.inputs, *model.outputs)]
    if [len(shape) for shape in shapes] != [4, 2]:
        raise cases.MammoError(
            f"{what}: {model.name} goes from and to {shapes}, expected one (B, H, W, C), one (B, classes)"
        )


def read(model: keras.Model) -> Graph:
    """The steps of a net.

    Raises:
        MammoError: the model is not functional, has not one input of images and one output (B, classes), or holds a
            layer that relevance propagation has no rule for.
    """
    refuse_form(model, "relevance")
    numbers, steps = {id(model.inputs[0]): IMAGE}, []
    for node in _nodes(model):
        layers.refuse_unknown(node.operation, len(node.outputs[0].shape))
        output = numbers[id(node.outputs[0])] = len(numbers)
        inputs = tuple(numbers[id(x)] for x in node.input_tensors)
        steps.append(Step(node.operation, inputs, output, len(node.outputs[0].shape)))
    graph = Graph(model, tuple(steps), numbers[id(model.outputs[0])])
    if isinstance(graph.producer(graph.output).layer, keras.layers.Softmax):
        raise cases.MammoError(f"relevance: {model.name} ends in a softmax; give the model up to its logits")
    return graph


def _nodes(model: keras.Model) -> Iterator[Any]:
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def in_float32(model: keras.Model) -> keras.Model:
    """The same net and weights with every layer computing in float32; the model itself where all do.

    The copy is kept with the model, and has the weights of the last time that it was asked for.
    """
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    return kept.twin(model, "float32", lambda: keras.models.clone_model(model, clone_function=_recast))


def _recast(layer: keras.Layer) -> keras.Layer:
    return type(layer).from_config({**layer.get_config(), "dtype": "float32"})
