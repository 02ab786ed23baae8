"""The images that are explained: files or the examples that a run kept, and what the run's net answers to them.

given = kept(folder, fitted)                                     # or of_examples(fitted, examples)
found = answered(fitted.model, given, record.class_names, None)  # the predicted class of each
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import patch_sets
from mammo_tf.training import scoring

KEPT = ("explained.npz", "heatmaps.npz")  # of the hooks `explained.scored` and `explaining.pictures`


@dataclasses.dataclass(frozen=True)
class Given:
    """What is explained.

    Attributes:
        images: (N, H, W) float32 in [0, 1], as the net sees them before normalisation.
        inputs: (N, H, W, C) float32, normalised.
        masks: (N, H, W) bool, the ROIs; empty where none is known.
        names: N, one an image.
    """

    images: np.ndarray
    inputs: np.ndarray
    masks: np.ndarray
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Answered:
    """The net's answers: the class whose score is explained, (N,) int32, and P of every class (N, K) float32."""

    classes: np.ndarray
    probabilities: np.ndarray
    titles: tuple[str, ...]


def refuse_other_nets(folder: pathlib.Path, fitted: Any, class_names: Sequence[str], method: str) -> None:
    """Raises for nets that do not take one image.

    Raises:
        cases.DataError: a net of two views at once, or a patch net, which whole images are no input of.
    """
    if fitted.pipeline.depth != fitted.pipeline.channels:
        raise cases.DataError(folder, f"--method {method} is for nets of one image, this one takes two views at once")
    if tuple(class_names) == patch_sets.CLASSES:
        raise cases.DataError(folder, f"--method {method}: this is a patch net; its images have --method heatmap")


def of_examples(fitted: Any, examples: Sequence[cases.Example]) -> Given:
    """The first views of examples, with the ROIs of none: files have none."""
    arrays = fitted.load_arrays(examples)
    images = (fitted.pipeline.seen(arrays) / 65535).astype(np.float32)
    inputs = np.concatenate([x.numpy() for x, _, _ in fitted.pipeline.evaluate(arrays, fitted.normalizer)])
    return Given(images, inputs, np.zeros(images.shape, bool), tuple(example.id for example in examples))


def nothing(fitted: Any) -> Given:
    """No image, of the size that the net takes."""
    shape = (0, *fitted.pipeline.shape)
    images = np.zeros(shape, np.float32)
    return Given(images, np.zeros((*shape, fitted.pipeline.depth), np.float32), np.zeros(shape, bool), ())


def kept(folder: pathlib.Path, fitted: Any) -> Given:
    """The examples that the run kept with their ROIs.

    Raises:
        cases.DataError: it kept none that its net can take.
    """
    path = next((folder / name for name in KEPT if (folder / name).is_file()), None)
    if path is None:
        raise cases.DataError(folder, f"no examples kept by the run ({' or '.join(KEPT)}); name some by --images")
    try:
        with np.load(path, allow_pickle=False) as stored:
            images, masks, titles = (stored[name] for name in ("images", "masks", "titles"))
    except (OSError, ValueError, KeyError) as error:
        raise cases.DataError(path, f"no examples to explain; name some by --images ({error})") from None
    if images.shape[1:] != fitted.pipeline.shape:
        raise cases.DataError(path, f"images {images.shape[1:]}, the net takes {fitted.pipeline.shape}; name others")
    seen = (images / 65535).astype(np.float32)
    names = tuple(f"{i + 1}: {str(title).splitlines()[0]}" for i, title in enumerate(titles))
    return Given(seen, np.asarray(fitted.normalizer(seen[..., None])), masks.astype(bool), names)


def index_of(name: str | None, class_names: Sequence[str], count: int) -> int | None:
    """The class that --class names, by its name or its number from 0; None for none.

    Raises:
        cases.MammoError: there is no such class.

    >>> index_of("malignant", ["benign", "malignant"], 2), index_of("0", ["benign", "malignant"], 2)
    (1, 0)
    """
    if name is None:
        return None
    names = list(class_names)
    index = names.index(name) if name in names else int(name) if name.isdecimal() else count
    if index >= count:
        raise cases.MammoError(f"--class {name}: there are {', '.join(f'{i} {n}' for i, n in enumerate(names))}")
    return index


def answered(model: Any, given: Given, class_names: Sequence[str], index: int | None) -> Answered:
    """What the net says of the images; without an index each image's class is the likeliest."""
    probabilities = scoring.softmax(logits(model, given.inputs))
    classes = probabilities.argmax(axis=1) if index is None else np.full(len(probabilities), index)
    titles = [
        f"{name}\n{class_names[k]}\nP {probabilities[i, k]:.2f}"
        for i, (name, k) in enumerate(zip(given.names, classes, strict=True))
    ]
    return Answered(classes.astype(np.int32), probabilities, tuple(titles))


def logits(model: Any, inputs: np.ndarray, batch: int = 8) -> np.ndarray:
    """(N, K) float32 of normalised images (N, H, W, C)."""
    parts = [np.asarray(model(inputs[at : at + batch], training=False)) for at in range(0, len(inputs), batch)]
    return np.concatenate([np.zeros((0, model.output_shape[-1])), *parts]).astype(np.float32)
