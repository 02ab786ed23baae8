"""Hyper-parameters of a head chosen inside a training part: a search nested in each fold, as a method.

Kreiss names what to tune in the next steps: "we can tune the CNN and FC layers we have added above it as well as the
hyperparameters of our optimizer and our loss functions": kernel, padding, stride, learning rate, steps, batch size.
Every trial is judged by folds of the training part alone, so the part that is reported has no say in the choice. The
net below the head is frozen, so its features are computed once for all trials.

Optuna proposes the trials: tree-structured Parzen estimators (Bergstra et al. 2011,
https://proceedings.neurips.cc/paper/2011/hash/86e8f7ab32cfd12577bc2619bc635690-Abstract.html).

    space = (Choice("kernel", (1, 3)), LogRange("learning_rate", 1e-4, 1e-2))
    method = Tuned(make, space, trials=8, deal=functools.partial(splits.patient_kfold, folds=2, val_fraction=0))
"""

from __future__ import annotations

import csv
import dataclasses
import importlib
import json
import logging
import pathlib
import tempfile
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from mammo_tf import cases, describe, records
from mammo_tf.evaluation import intervals
from mammo_tf.pipeline import enlarge
from mammo_tf.training import around, checkpoint, fit, hparams, parts, precision, schedule
from mammo_tf.training import frozen as freezing

ALGORITHM_VERSION = 1
TRIALS, TABLE, BOARD = "trials.json", "trials.csv", "search"  # the last for `tensorboard --logdir`
METRIC = "inner AUC"

log = logging.getLogger("mammo_tf")

Value = str | int | float
Choices = Mapping[str, Value]


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values; the first is the one that nothing was tuned to."""

    name: str
    values: tuple[Value, ...]

    @property
    def first(self) -> Value:
        return self.values[0]


@dataclasses.dataclass(frozen=True)
class LogRange:
    """A number between two, uniform in its logarithm; `first` is the one that nothing was tuned to."""

    name: str
    low: float
    high: float
    first: float


@dataclasses.dataclass(frozen=True)
class Tuned(around.Around):
    """A method whose hyper-parameters are those of the best of some trials.

    Attributes:
        make: choices -> a `KerasMethod` that is `frozen` below a head; its net takes `features`, what is below.
        space: what is chosen.
        trials: how many; the first is that of the `first` values, the first half is drawn at random.
        deal: (examples, seed) -> splits of the training part; their test parts judge a trial. Copies of an image
            (`enlarge`) follow it into training and are not judged on.
    """

    make: Callable[[Choices], Any]
    space: tuple[Choice | LogRange, ...]
    trials: int
    deal: Callable[..., Sequence[cases.Splits]]

    def __post_init__(self):
        if self.trials < 1:
            raise cases.MammoError(f"tuning: trials must be 1 or more, found {self.trials}")
        names = [one.name for one in self.space]
        if len(set(names)) != len(names):
            raise cases.MammoError(f"tuning: a name stands twice in the space: {', '.join(names)}")

    def first(self) -> dict[str, Value]:
        """The choices before anything is tuned."""
        return {one.name: one.first for one in self.space}

    @property
    def inner(self) -> Any:
        """The method before anything is tuned."""
        return self.make(self.first())

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Any:
        """Searches, then fits the best choices on the whole training part.

        Args:
            train, val, context: as for `KerasMethod.fit`. The trials go to `context.folder`: `trials.json` as they
                end, so that a search goes on where it was stopped, `trials.csv`, and TensorBoard's HParams.

        Raises:
            MammoError: as `KerasMethod.fit` and `deal`; the trials found belong to another search; no optuna.
        """
        judged = self._folds(train, context)
        best = self._search(judged, context)
        log.info("tuning: %s", ", ".join(f"{name} {_text(value)}" for name, value in best.items()))
        return self.make(best).fit(train, val, context)

    def _folds(self, train: Sequence[cases.Example], context: cases.Context) -> list[fit.Data]:
        """What the trials learn from and are judged on: features, not weighted by class."""
        method = self.inner
        model = method.build(context, precision.resolve(context.precision, own=method.precision))
        found = []
        for split in self.deal(_originals(train), context.seed):
            learned = (*split.train, *_copies(train, split.train))
            arrays, judges = (method.pipeline.load(some, strict=context.strict) for some in (learned, split.test))
            normalizer = method.pipeline.normalize(arrays.images)
            data = fit.Data(method.pipeline, normalizer, arrays, judges, context.seed)
            found.append(freezing.learned(method.frozen, model, data)[1])
        return found

    def _search(self, judged: Sequence[fit.Data], context: cases.Context) -> dict[str, Value]:
        folder = pathlib.Path(context.folder)
        checkpoint.make_folder(folder)
        search = {
            "what": describe.text((self.space, self.make)),
            "data": [parts.digest(some) for data in judged for some in (data.train, data.val)],
            "seed": context.seed,
        }
        done = _resumed(folder / TRIALS, search) if context.resume else []
        for number in range(len(done), self.trials):
            choices = self._propose(done, context.seed)
            aucs = [self._judge(choices, data, context) for data in judged]
            done.append({"choices": choices, "aucs": aucs})
            log.info("trial %d of %d: inner AUC %.3f", number + 1, self.trials, np.mean(aucs))
            records.write_json({"search": search, "trials": done}, folder / TRIALS)
        self._write(done, folder)
        return max(done, key=lambda trial: np.mean(trial["aucs"]))["choices"]

    def _propose(self, done: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Value]:
        """The next choices, from what is done and the seed alone, so that a resumed search proposes the same."""
        if not done:
            return self.first()
        optuna = _optuna()
        sampler = optuna.samplers.TPESampler(n_startup_trials=max(2, self.trials // 2), seed=seed + len(done))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        domains = {one.name: _domain(one, optuna.distributions) for one in self.space}
        for trial in done:
            value = float(np.mean(trial["aucs"]))
            study.add_trial(optuna.trial.create_trial(params=trial["choices"], distributions=domains, value=value))
        return dict(study.ask(domains).params)

    def _judge(self, choices: Choices, data: fit.Data, context: cases.Context) -> float:
        """The AUC of a head after its last epoch, on the part that judges."""
        method = self.make(choices)
        shape = data.train.images.shape[1:]
        with precision.policy(precision.resolve(context.precision, own=method.precision)):
            features = keras.Input(shape, name="features_in")
            logits = method.net(features, features=_as_they_are, seed=context.seed)
            head = keras.Model(features, logits, name="head")
        factors = parts.class_factors(data.train, method.class_weight)
        weighted = dataclasses.replace(data.train, weights=data.train.weights * factors)
        pipeline = method.frozen.pipeline(method.pipeline, shape)
        given = dataclasses.replace(data, pipeline=pipeline, train=weighted)
        with tempfile.TemporaryDirectory() as folder:
            plan = fit.Plan(method.stages, schedule.last_epoch, pathlib.Path(folder))
            return fit.fit(head, given, plan).history[-1]["val_auc"]

    def _write(self, done: Sequence[Mapping[str, Any]], folder: pathlib.Path) -> None:
        names = [one.name for one in self.space]
        with (folder / TABLE).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["trial", *names, *(f"auc{k}" for k in range(len(done[0]["aucs"]))), "auc"])
            for number, trial in enumerate(done):
                writer.writerow(
                    [number, *(trial["choices"][name] for name in names), *trial["aucs"], np.mean(trial["aucs"])]
                )
        board = folder / BOARD
        hparams.write_search(board, {one.name: _shown(one) for one in self.space}, (METRIC,))
        for number, trial in enumerate(done):
            hparams.write_trial(board / f"trial{number:02d}", trial["choices"], {METRIC: np.mean(trial["aucs"])})


def _originals(train: Sequence[cases.Example]) -> tuple[cases.Example, ...]:
    return tuple(example for example in train if not _copied_from(example))


def _copies(train: Sequence[cases.Example], images: Sequence[cases.Example]) -> tuple[cases.Example, ...]:
    """The copies, among all examples of the training part, of some images."""
    known = {example.views[0].id for example in images}
    return tuple(example for example in train if _copied_from(example) in known)


def _copied_from(example: cases.Example) -> str | None:
    load = example.views[0].load
    return load.view.id if isinstance(load, enlarge.Altered) else None


def _as_they_are(features: keras.KerasTensor, *, seed: int) -> keras.KerasTensor:
    return features


def _domain(one: Choice | LogRange, distributions: types.ModuleType) -> Any:
    if isinstance(one, Choice):
        return distributions.CategoricalDistribution(one.values)
    return distributions.FloatDistribution(one.low, one.high, log=True)


def _shown(one: Choice | LogRange) -> hparams.Discrete | hparams.RealInterval:
    return hparams.Discrete(list(one.values)) if isinstance(one, Choice) else hparams.RealInterval(one.low, one.high)


def _optuna() -> types.ModuleType:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError:
        raise cases.MammoError(
            "tuning: this run needs the package optuna: pip install 'mammo-tf[tune]', or pip install optuna"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _resumed(path: pathlib.Path, search: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        stored = json.loads(path.read_text())
        same, trials = stored["search"] == json.loads(json.dumps(search)), stored["trials"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise cases.DataError(path, f"not a list of trials ({error})") from None
    if not same:
        raise cases.DataError(path, "the trials belong to another search; run without --resume to begin anew")
    return list(trials)


def _text(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def told(done: Any) -> dict[str, intervals.Estimate]:
    """Hook: what the best trial promised inside the training part, beside the first trial, and what the test kept."""
    trials = json.loads((done.folder / TRIALS).read_text())["trials"]
    best = max(trials, key=lambda trial: np.mean(trial["aucs"]))
    aucs, first = best["aucs"], np.mean(trials[0]["aucs"])
    count = len(done.parts.train)
    promised = intervals.Estimate(float(np.mean(aucs)), min(aucs), max(aucs), count, "mean, least and largest fold")
    gain = float(np.mean(aucs) - first)
    p = done.predictions
    return {
        "tuned_promise": promised,
        "tuned_gain": intervals.Estimate(gain, gain, gain, count, f"best of {len(trials)} trials over the first"),
        "tuned_kept": intervals.auc(p.labels, p.scores, p.patients),
    }
