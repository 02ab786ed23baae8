"""Stages of a training, and the named rules that pick its best epoch.

A stage trains some layers with an optimizer of its own for a number of epochs (Shen et al. 2019, Section 3.1.2, open
their nets in two or three stages and go on when they have not converged; the other papers use one). A selection rule
sees the validation columns of the history, nothing else.

    stages = (
        Stage(3, functools.partial(keras.optimizers.Adam, 1e-3), trainable=("head", "logits")),
        Stage(10, functools.partial(keras.optimizers.Adam, 1e-4)),
        Stage(200, functools.partial(keras.optimizers.Adam, 1e-4), patience=20),
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
BN_FROZEN = ("inference", "batch")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stretch of epochs.

    Attributes:
        epochs: how many, at least 1.
        optimizer: makes a fresh optimizer; a class or a `functools.partial` of one.
        trainable: prefixes of the names of the layers that learn; "" stands for every layer. The others are frozen.
        decay: factor on the optimizer's learning rate for an epoch of the stage, counted from 0; None for 1.
        penalty: pairs (prefix of layer names, factor >= 0): the loss of this stage gets factor x sum(w^2) over the
            kernels of the layers so named, where they learn; it takes the place of a penalty that the net was built
            with.
        bn_frozen: what batch norms of frozen layers do. "inference": they normalise by their moving statistics and
            keep them (today's Keras). "batch": they normalise by the batch and go on averaging, while gamma and beta
            stay (Keras before 2.1.3, so Shen et al. 2019).
        patience: for the last stage only. It ends when this many epochs have passed since the selected one, and does
            not begin where they have passed before; None for all its epochs.
    """

    epochs: int
    optimizer: Callable[[], keras.optimizers.Optimizer]
    trainable: tuple[str, ...] = ("",)
    decay: Callable[[int], float] | None = None
    penalty: tuple[tuple[str, float], ...] = dataclasses.field(default=(), metadata={"added": True})
    bn_frozen: str = dataclasses.field(default="inference", metadata={"added": True})
    patience: int | None = dataclasses.field(default=None, metadata={"added": True})

    def __post_init__(self):
        if self.epochs < 1:
            raise cases.MammoError(f"stage: epochs must be 1 or more, found {self.epochs}")
        if isinstance(self.trainable, str) or not self.trainable:
            raise cases.MammoError(
                f"stage: trainable must be a tuple of layer-name prefixes, found {self.trainable!r}"
            )
        if any(len(pair) != 2 or not isinstance(pair[0], str) or not pair[1] >= 0 for pair in self.penalty):
            raise cases.MammoError(
                f"stage: penalty must be pairs (layer-name prefix, factor >= 0), found {self.penalty!r}"
            )
        _check_bn_frozen(self.bn_frozen)
        if self.patience is not None and self.patience < 1:
            raise cases.MammoError(f"stage: patience must be 1 or more, found {self.patience}")


def step_decay(epoch: int, *, every: int, factor: float) -> float:
    """The learning rate times `factor` after each `every` epochs.

    >>> [step_decay(epoch, every=2, factor=0.5) for epoch in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    return float(factor ** (epoch // every))


def settle(epoch: int, *, start: int, factor: float) -> float:
    """The learning rate as it is, and times `factor` from epoch `start` of the stage on.

    >>> [settle(epoch, start=2, factor=0.1) for epoch in range(4)]
    [1.0, 1.0, 0.1, 0.1]
    """
    return float(factor) if epoch >= start else 1.0


def ends(stages: Sequence[Stage]) -> tuple[int, ...]:
    """Number of epochs done when each stage ends: (3, 10) epochs give (3, 13)."""
    return tuple(itertools.accumulate(stage.epochs for stage in stages))


def check(stages: Sequence[Stage]) -> None:
    """Raises cases.MammoError where there is no stage, or one before the last has patience."""
    if not stages:
        raise cases.MammoError("method: at least one stage is needed")
    for number, stage in enumerate(stages[:-1], start=1):
        if stage.patience is not None:
            raise cases.MammoError(
                f"stage {number} of {len(stages)}: only the last stage may have patience, found {stage.patience}"
            )


def converged(stages: Sequence[Stage], done: int, best_epoch: int) -> bool:
    """True where the last stage need not begin or go on after `done` epochs, because its patience is at its end."""
    last = stages[-1]
    if last.patience is None or not done or done < ends(stages)[-1] - last.epochs:
        return False
    return done - best_epoch >= last.patience


def set_trainable(model: keras.Model, prefixes: Sequence[str], bn_frozen: str = "inference") -> None:
    """Lets the layers learn whose names start with one of the prefixes, and freezes the rest.

    Args:
        model: flat; compiled afterwards.
        prefixes: of layer names.
        bn_frozen: what frozen batch norms do, as in `Stage`.

    Raises:
        MammoError: a prefix matches no layer, nothing is left that learns, or `bn_frozen` is unknown.
    """
    _check_bn_frozen(bn_frozen)
    for prefix in prefixes:
        _named(model, prefix)
    for layer in model.layers:
        learns = layer.name.startswith(tuple(prefixes))
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = learns or (norm and bn_frozen == "batch")  # or it would look at no batch
        for weight in (layer.gamma, layer.beta) if norm else ():
            if weight is not None:
                weight.trainable = learns
    if not model.trainable_variables:
        raise cases.MammoError(
            f"stage: the layers named {', '.join(prefixes)} hold no weights; nothing would be trained"
        )


def set_penalty(model: keras.Model, penalty: Sequence[tuple[str, float]]) -> None:
    """Puts a stage's L2 penalty on the kernels of the layers it names; the others keep what they were built with.

    Called before `model.compile`. What is saved of the model knows nothing of it.

    Raises:
        MammoError: a prefix matches no layer with a kernel, or two prefixes the same one.
    """
    wanted: dict[str, float] = {}
    for prefix, factor in penalty:
        names = [layer.name for layer in _named(model, prefix) if _kernel(layer) is not None]
        if not names:
            raise cases.MammoError(f"stage: penalty names {prefix!r}, and no layer of that name has a kernel")
        if twice := [name for name in names if name in wanted]:
            raise cases.MammoError(f"stage: penalty names layer {twice[0]} twice, the second time by {prefix!r}")
        wanted |= dict.fromkeys(names, factor)
    for layer in model.layers:
        if (kernel := _kernel(layer)) is not None:
            built_with = getattr(layer, "kernel_regularizer", None)
            kernel.regularizer = keras.regularizers.L2(wanted[layer.name]) if layer.name in wanted else built_with


def _kernel(layer: keras.layers.Layer) -> keras.Variable | None:
    kernel = getattr(layer, "kernel", None)
    return kernel if isinstance(kernel, keras.Variable) else None


def _named(model: keras.Model, prefix: str) -> list[keras.layers.Layer]:
    found = [layer for layer in model.layers if layer.name.startswith(prefix)]
    if not found:
        names = ", ".join(layer.name for layer in model.layers)
        raise cases.MammoError(f"stage: no layer's name starts with {prefix!r}; the layers are {names}")
    return found


def _check_bn_frozen(found: str) -> None:
    if found not in BN_FROZEN:
        raise cases.MammoError(f"stage: bn_frozen must be {' or '.join(BN_FROZEN)}, found {found!r}")


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
