"""Trains a Keras model through stages, keeps its best weights, and can go on after a kill as if nothing had happened.

Each epoch ends with one pass over the validation part, from which loss, accuracy and AUC are computed in float64;
then the observers see the epoch, then the checkpoint is written. A resumed training starts at the last checkpoint,
which always lies at the end of an epoch, and replays the rest: data order, augmentation and dropout depend on seed,
epoch and saved states only, so it ends with the same bits. That holds where TensorFlow itself repeats: call
`precision.deterministic()` before (it is global, so the caller's business), and stay on one kind of machine; each
dropout layer needs a seed of its own.

    outcome = fit(model, Data(pipeline, normalizer, train, val, seed=0), Plan(stages, best_val_auc, folder))
"""

from __future__ import annotations

import dataclasses
import logging
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from mammo_tf import cases
from mammo_tf.training import checkpoint, precision, progress, schedule, scoring

log = logging.getLogger("mammo_tf")


@dataclasses.dataclass(frozen=True)
class Data:
    """What is learned from: `train` and `val` are the pipeline's arrays (`val` may be None), `watched` what is scored
    beside validation and seen by no rule."""

    pipeline: Any
    normalizer: Any
    train: Any
    val: Any
    seed: int
    watched: Any = None

    def first_batch(self) -> np.ndarray:
        """The first batch of images (B, S, S, C) of the first epoch, as augmented and normalised."""
        images, _, _ = next(iter(self.pipeline.train(self.train, self.normalizer, self.seed)))
        return images.numpy()


@dataclasses.dataclass(frozen=True)
class Plan:
    """How: the stages, the rule that picks the best epoch, and where checkpoints go.

    Attributes:
        folder: there already, and writable (`checkpoint.make_folder`).
        identity: what decides the result, as text by field; a checkpoint with another identity is refused.
        resume: go on from the checkpoint in `folder` if there is one.
        checkpoint_share: share of the time that writing checkpoints may take; an epoch that ends sooner than that
            allows is not written (the last one of a stage always is).
    """

    stages: tuple[schedule.Stage, ...]
    select: schedule.Select
    folder: Path
    identity: Mapping[str, str] = dataclasses.field(default_factory=dict)
    resume: bool = False
    checkpoint_share: float = 0.1


@dataclasses.dataclass(frozen=True)
class Outcome:
    """History (one row an epoch) and the epoch, 1-based, whose weights the model now holds."""

    history: list[dict[str, float]]
    best_epoch: int


class Observer(Protocol):
    """Watches a training; never changes it."""

    def begin(self, model: keras.Model, epochs_done: int) -> None:
        """Called once, before the first epoch that is trained here."""
        ...

    def epoch(self, row: Mapping[str, float], best: Mapping[str, float], logits: np.ndarray) -> None:
        """Called after each epoch with its row, the best row so far, and the validation logits (N, classes)."""
        ...

    def end(self) -> None:
        """Called once, also when the training fails."""
        ...


def fit(
    model: keras.Model,
    data: Data,
    plan: Plan,
    observers: Sequence[Observer] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Outcome:
    """Trains the model in place; afterwards it holds the weights of the best epoch.

    Args:
        model: gives logits (B, classes).

    Returns:
        The best epoch and the history. Columns of a row: epoch and stage (from 1); loss (weighted by sample, with the
        stage's penalty) and accuracy, running means over the epoch in training mode; learning_rate; val_loss
        (weighted by sample, without penalty), val_accuracy, val_auc, all NaN without a validation part; the same as
        test_... where a part is watched; seconds (all this included).

    Raises:
        MammoError: a checkpoint cannot be written, a checkpoint of another training is found, or the loss
            stops being finite.
    """
    schedule.check(plan.stages)
    fitting = _Fitting(model, data, plan, observers)
    saved = fitting.restore() if plan.resume else None
    if not fitting.finished:
        try:
            for observer in observers:
                observer.begin(model, fitting.done)
            for number in range(1, len(plan.stages) + 1):
                _run_stage(fitting, number, saved, callbacks)
        finally:
            for observer in observers:
                observer.end()
    checkpoint.assign(model.variables, fitting.best, "the best model")
    schedule.set_trainable(model, ("",))
    schedule.set_penalty(model, ())
    return Outcome(fitting.history, fitting.best_epoch)


def _run_stage(fitting: _Fitting, number: int, saved: Any, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    model, data, stage = fitting.model, fitting.data, fitting.plan.stages[number - 1]
    end = schedule.ends(fitting.plan.stages)[number - 1]
    if fitting.done >= end or fitting.finished:
        return
    schedule.set_trainable(model, stage.trainable, stage.bn_frozen)
    schedule.set_penalty(model, stage.penalty)
    compile_model(model, stage.optimizer())
    rate = float(model.optimizer.learning_rate)
    if fitting.done > end - stage.epochs:  # resumed inside this stage
        checkpoint.assign(model.optimizer.variables, saved.optimizer, "the optimizer")
    own = [_EpochEnd(fitting, number, rate)]
    if sys.stderr.isatty() and log.isEnabledFor(logging.INFO):
        own.append(progress.Bar())
    model.fit(
        data.pipeline.train(data.train, data.normalizer, data.seed, start_epoch=fitting.done),
        steps_per_epoch=data.pipeline.steps(data.train),
        initial_epoch=fitting.done,
        epochs=end,
        verbose=0,
        shuffle=False,  # the pipeline does it
        callbacks=[*own, *callbacks],
    )


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Compiles for training on logits and builds the optimizer, so that its variables can be restored."""
    model.compile(
        optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        # "auto": Keras leaves XLA out under op determinism, and says nothing
        jit_compile="auto" if precision.compile_with_xla() else False,
    )
    model.optimizer.build(model.trainable_variables)


class _Fitting:
    """The state of a training between epochs."""

    def __init__(self, model: keras.Model, data: Data, plan: Plan, observers: Sequence[Observer]):
        self.model, self.data, self.plan, self.observers = model, data, plan, observers
        self.history: list[dict[str, float]] = []
        self.best: list[np.ndarray] = []
        self.best_epoch = 0
        self.scorer = scoring.make_scorer(model)
        self._written, self._write_seconds = time.monotonic(), 0.0

    @property
    def done(self) -> int:
        return len(self.history)

    @property
    def finished(self) -> bool:
        stages = self.plan.stages
        return self.done >= schedule.ends(stages)[-1] or schedule.converged(stages, self.done, self.best_epoch)

    @property
    def path(self) -> Path:
        return self.plan.folder / checkpoint.NAME

    def restore(self) -> checkpoint.Checkpoint | None:
        if not self.path.exists():
            log.info("no checkpoint in %s: training starts from the beginning", self.plan.folder)
            return None
        saved = checkpoint.load(self.path, self.plan.identity)
        checkpoint.assign(self.model.variables, saved.model, "the model")
        self.history, self.best_epoch = [dict(row) for row in saved.history], saved.best_epoch
        self.best = list(saved.best or saved.model)
        log.info("resuming after epoch %d of %d", self.done, schedule.ends(self.plan.stages)[-1])
        return saved

    def finish_epoch(self, trained: Mapping[str, float], started: float) -> dict[str, float]:
        """Validates, chooses, tells the observers, writes; returns the row of the epoch."""
        logits, validated = self._validate()
        if not math.isfinite(trained["loss"]) or not np.isfinite(logits).all():
            raise cases.MammoError(
                f"epoch {trained['epoch']}: the net diverged (training loss {trained['loss']:.4g}); lower the "
                "learning rate or train with precision float32"
            )
        row = {**trained, **validated, "seconds": time.monotonic() - started}
        self.history.append(row)
        self._choose()
        for observer in self.observers:
            observer.epoch(row, self.history[self.best_epoch - 1], logits)
        self._write_if_due()
        return row

    def _validate(self) -> tuple[np.ndarray, dict[str, float]]:
        found = {}
        if self.data.watched is not None:
            scores = self._scored(self.data.watched)[1]
            found = {name.replace("val_", "test_"): value for name, value in scores.items()}
        if self.data.val is None:
            nothing = np.zeros((0, self.model.output_shape[-1]), np.float32)
            return nothing, {**dict.fromkeys(scoring.COLUMNS, math.nan), **found}
        logits, scores = self._scored(self.data.val)
        return logits, {**scores, **found}

    def _scored(self, arrays: Any) -> tuple[np.ndarray, dict[str, float]]:
        """Logits (M, classes) of a part's examples, whose views vote where they have several, and their scores."""
        logits = scoring.predict(self.scorer, self.data.pipeline.evaluate(arrays, self.data.normalizer))
        if arrays.groups is not None:
            logits = np.log(np.maximum(arrays.pooled(scoring.softmax(logits)), scoring.TINY))
        return logits, scoring.score(logits, arrays.pooled(arrays.labels), arrays.pooled(arrays.weights))

    def _choose(self) -> None:
        chosen = schedule.choose(self.plan.select, self.history)
        if chosen == self.done:
            self.best, self.best_epoch = checkpoint.values(self.model.variables), chosen
        elif chosen != self.best_epoch:
            raise cases.MammoError(
                f"selection: {self.plan.select.__name__} turns back to epoch {chosen} from {self.best_epoch}; "
                "a rule must prefer an epoch when it ends or never"
            )

    def _write_if_due(self) -> None:
        now = time.monotonic()
        share = self.plan.checkpoint_share
        due = share * (now - self._written) >= self._write_seconds
        if due or self.finished or self.done in schedule.ends(self.plan.stages):
            checkpoint.save(self.path, self._checkpoint())
            self._written = time.monotonic()
            self._write_seconds = self._written - now

    def _checkpoint(self) -> checkpoint.Checkpoint:
        return checkpoint.Checkpoint(
            identity=self.plan.identity,
            epoch=self.done,
            best_epoch=self.best_epoch,
            history=self.history,
            model=checkpoint.values(self.model.variables),
            optimizer=checkpoint.values(self.model.optimizer.variables),
            best=() if self.best_epoch == self.done else self.best,
        )


class _EpochEnd(keras.callbacks.Callback):
    """Sets the epoch's learning rate before it and has the epoch finished after it."""

    def __init__(self, fitting: _Fitting, number: int, rate: float):
        super().__init__()
        self.fitting, self.number, self.rate = fitting, number, rate

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()
        stage = self.fitting.plan.stages[self.number - 1]
        if stage.decay:
            first = schedule.ends(self.fitting.plan.stages)[self.number - 1] - stage.epochs
            self.model.optimizer.learning_rate = self.rate * stage.decay(epoch - first)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        trained = {"epoch": epoch + 1, "stage": self.number, "loss": float(logs["loss"])}
        trained["accuracy"] = float(logs["accuracy"])
        trained["learning_rate"] = float(self.model.optimizer.learning_rate)
        row = self.fitting.finish_epoch(trained, self.started)
        log.info(
            "epoch %(epoch)d, stage %(stage)d: loss %(loss).4f, accuracy %(accuracy).3f; validation: loss "
            "%(val_loss).4f, accuracy %(val_accuracy).3f, AUC %(val_auc).3f; %(seconds).1f s",
            row,
        )
        if self.fitting.finished:
            self.model.stop_training = True
