"""Stages of a training, and the named rules that pick its best epoch.

A stage trains some layers with an optimizer of its own for a number of epochs (Shen et al. 2019 open their nets in
three stages, the other papers use one). A selection rule sees the validation columns of the history, nothing else.

    stages = (
        Stage(3, functools.partial(keras.optimizers.Adam, 1e-3), trainable=("head", "logits")),
        Stage(10, functools.partial(keras.optimizers.Adam, 1e-4)),
    )
    best_val_auc([{"epoch": 1, "val_auc": 0.7}, {"epoch": 2, "val_auc": 0.8}])     # 2
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import keras

from mammo_tf import cases

Row = Mapping[str, float]
Select = Callable[[Sequence[Row]], int]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stretch of epochs.

    Attributes:
        epochs: how many, at least 1.
        optimizer: makes a fresh optimizer; a class or a `functools.partial` of one.
        trainable: prefixes of the names of the layers that learn; "" stands for every layer. The others are frozen
            (a frozen batch norm also keeps its moving statistics).
        decay: factor on the optimizer's learning rate for an epoch of the stage, counted from 0; None for 1.
    """

    epochs: int
    optimizer: Callable[[], keras.optimizers.Optimizer]
    trainable: tuple[str, ...] = ("",)
    decay: Callable[[int], float] | None = None

    def __post_init__(self):
        if self.epochs < 1:
            raise cases.MammoError(f"stage: epochs must be 1 or more, found {self.epochs}")
        if isinstance(self.trainable, str) or not self.trainable:
            raise cases.MammoError(
                f"stage: trainable must be a tuple of layer-name prefixes, found {self.trainable!r}"
            )


def step_decay(epoch: int, *, every: int, factor: float) -> float:
    """The learning rate times `factor` after each `every` epochs.

    >>> [step_decay(epoch, every=2, factor=0.5) for epoch in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    return float(factor ** (epoch // every))


def ends(stages: Sequence[Stage]) -> tuple[int, ...]:
    """Number of epochs done when each stage ends: (3, 10) epochs give (3, 13)."""
    return tuple(itertools.accumulate(stage.epochs for stage in stages))


def set_trainable(model: keras.Model, prefixes: Sequence[str]) -> None:
    """Lets the layers learn whose names start with one of the prefixes, and freezes the rest.

    Raises:
        MammoError: a prefix matches no layer, or nothing is left that learns.
    """
    names = [layer.name for layer in model.layers]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            raise cases.MammoError(
                f"stage: no layer's name starts with {prefix!r}; the layers are {', '.join(names)}"
            )
    for layer in model.layers:
        layer.trainable = layer.name.startswith(tuple(prefixes))
    if not model.trainable_variables:
        raise cases.MammoError(
            f"stage: the layers named {', '.join(prefixes)} hold no weights; nothing would be trained"
        )


def best_val_accuracy(history: Sequence[Row]) -> int:
    """The epoch of the highest validation accuracy, the earliest of equals."""
    return _first_best(history, "val_accuracy", 1)


def best_val_auc(history: Sequence[Row]) -> int:
    """The epoch of the highest area under the validation ROC curve, the earliest of equals."""
    return _first_best(history, "val_auc", 1)


def lowest_val_loss(history: Sequence[Row]) -> int:
    """The epoch of the lowest validation loss, the earliest of equals."""
    return _first_best(history, "val_loss", -1)


def last_epoch(history: Sequence[Row]) -> int:
    """The last epoch: no validation needed."""
    return int(history[-1]["epoch"])


def _first_best(history: Sequence[Row], key: str, sign: int) -> int:
    rows = [row for row in history if not math.isnan(row[key])]
    if not rows:
        raise cases.MammoError(f"selection: {key} is undefined in all of {len(history)} epochs")
    return int(max(rows, key=lambda row: sign * row[key])["epoch"])  # max keeps the first of equals


def choose(select: Select, history: Sequence[Row]) -> int:
    """What the rule picks when it is shown the validation columns alone (`epoch` and `val_*`)."""
    shown = [{key: row[key] for key in row if key == "epoch" or key.startswith("val_")} for row in history]
    return select(shown)
