"""The null test of a run: labels dealt anew to patients, the whole run again, many times.

With labels that mean nothing an honest AUC is 1/2 on average, whatever the net; where it is not, something of the
test part reached the training. What a protocol that leaks reaches on such labels is what its leak is worth. Noise in
the place of the images asks the same of all that is no pixel: labels stay, and what tells them (the size or the
outline of a lesion, a copy on the other side of the split) keeps telling them.

Each deal has a seed of its own for the split and the method too: one seed deals the same places of the sorted
positives and negatives to the test part whatever the labels, and a fixed scorer then misses 1/2 over all deals (0.41
in a test). A run that needs other runs' nets keeps one seed and its split by true labels, which is also theirs;
labels are dealt within its parts then. AUC is that of a record, so the mean over folds where there are several, and
never pooled.

    found = run_null(row, settings, count=20)
    found.mean, found.error, found.holds
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import logging
import pathlib
import shutil
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import artifacts, cases, machine, null_records, records, regions, run
from mammo_tf.null_records import ERRORS, LABELS, NOISE, Null  # noqa: F401 - one name for what runs and what it finds

ALGORITHM_VERSION = 1
LOG = logging.getLogger("mammo_tf")
COUNT, CLASSICAL = 20, 200  # of a net, and of a method that trains none
_PARTS = ("train", "val", "test")
MEAN, DEVIATION = 0.5, 0.2  # of the noise, as shares of the largest gray value


@dataclasses.dataclass(frozen=True)
class Permuted:
    """`Run.data` with the labels of patients dealt anew.

    Attributes:
        data: the run's own.
        seed: of the deal.
    """

    data: Callable[..., Any]
    seed: int

    def __call__(self, dataset: cases.Dataset, budget: Any) -> run.Selection:
        examples, problems = self.data(dataset, budget)
        return permuted(examples, self.seed), problems


def permuted(examples: Sequence[cases.Example], seed: int) -> tuple[cases.Example, ...]:
    """The examples, each with the label that another patient had; all of a patient's have one.

    A patient is positive where any of her examples is, as splits have it; so many patients stay positive.

    Raises:
        cases.MammoError: a label is neither 0 nor 1.
    """
    names = sorted({example.patient_id for example in _with_labels(examples)})
    positive = {example.patient_id for example in examples if example.label == 1}
    dealt = np.random.default_rng([seed, len(names)]).permutation([float(name in positive) for name in names])
    return _labelled(examples, dict(zip(names, map(float, dealt), strict=True)))


def _with_labels(examples: Sequence[cases.Example]) -> Sequence[cases.Example]:
    """The examples, if each is labelled 0 or 1."""
    if odd := [example.id for example in examples if example.label not in (0.0, 1.0)]:
        raise cases.MammoError(f"null: {len(odd)} examples have labels other than 0 and 1: {', '.join(odd[:3])}")
    return examples


def _labelled(examples: Sequence[cases.Example], labels: Mapping[str, float]) -> tuple[cases.Example, ...]:
    return tuple(dataclasses.replace(example, label=labels[example.patient_id]) for example in examples)


@dataclasses.dataclass(frozen=True)
class PermutedParts:
    """A split by the true labels, with the labels of patients dealt anew within its parts.

    Attributes:
        split: (examples, seed) -> one or several splits.
        seed: of the deal.
    """

    split: Callable[..., Any]
    seed: int

    def __call__(self, examples: Sequence[cases.Example], seed: int) -> tuple[cases.Splits, ...]:
        parts = self.split(examples, seed)
        return permuted_parts((parts,) if isinstance(parts, cases.Splits) else parts, self.seed)


def permuted_parts(splits: Sequence[cases.Splits], seed: int) -> tuple[cases.Splits, ...]:
    """The splits, each patient with the label of another one that stands in the same parts of all of them.

    So every part keeps its positive patients' number, and its images, and their labels mean nothing.

    Raises:
        cases.MammoError: a label is neither 0 nor 1.
    """
    stands, positive = collections.defaultdict(set), set()
    for number, parts in enumerate(splits):
        for name in _PARTS:
            for example in _with_labels(getattr(parts, name)):
                stands[example.patient_id].add((number, name))
                positive |= {example.patient_id} if example.label == 1 else set()
    groups = collections.defaultdict(list)
    for patient in sorted(stands):
        groups[tuple(sorted(stands[patient]))].append(patient)
    labels, rng = {}, np.random.default_rng([seed, len(stands)])
    for _, names in sorted(groups.items()):
        dealt = rng.permutation([float(name in positive) for name in names])
        labels |= dict(zip(names, map(float, dealt), strict=True))
    return tuple(
        dataclasses.replace(parts, **{name: _labelled(getattr(parts, name), labels) for name in _PARTS})
        for parts in splits
    )


def _split(budget: Any, *, split: Any, seed: int) -> PermutedParts:
    return PermutedParts(split.make(budget) if isinstance(split, run.AtBudget) else split, seed)


@dataclasses.dataclass(frozen=True)
class Noisy:
    """`Run.data` on a dataset whose images are noise; cases, lesions and their outlines are as they were.

    Attributes:
        data: the run's own.
        seed: of the noise.
    """

    data: Callable[..., Any]
    seed: int

    def __call__(self, dataset: cases.Dataset, budget: Any) -> run.Selection:
        return self.data(noisy(dataset, self.seed), budget)


def noisy(dataset: cases.Dataset, seed: int) -> cases.Dataset:
    """The dataset with noise for images: white, Gaussian, alike for all, of each image's size and type.

    Fingerprint and the views' ids say so too, since what is kept in memory of an image is kept by them.
    """
    found = tuple(
        dataclasses.replace(case, views=tuple(_noisy(view, seed) for view in case.views)) for case in dataset.cases
    )
    return dataclasses.replace(dataset, cases=found, fingerprint=f"{dataset.fingerprint}~{seed}")


def _noisy(view: cases.View, seed: int) -> cases.View:
    load = NoiseLoader(view, seed)
    if isinstance(view.load, regions.SizedLoader):
        load = dataclasses.replace(view.load, load=load)
    return dataclasses.replace(view, id=f"{view.id}~{seed}", load=load)


@dataclasses.dataclass(frozen=True)
class NoiseLoader:
    """Loads noise in the place of a view's pixels, which are read for their size and type and for their faults."""

    view: cases.View
    seed: int

    def __call__(self) -> np.ndarray:
        pixels = self.view.pixels()
        rng = np.random.default_rng([self.seed, zlib.crc32(self.view.id.encode())])
        gray = MEAN + DEVIATION * rng.standard_normal(pixels.shape, dtype=np.float32)
        return np.rint(np.clip(gray, 0.0, 1.0) * self.view.max_value).astype(pixels.dtype)


def run_null(
    one: run.Run,
    settings: run.Settings,
    count: int | None = None,
    *,
    noise: bool = False,
    into: pathlib.Path | None = None,
) -> Null:
    """Executes a run on `count` deals of labels, or of noise, with seeds from the settings' on, and keeps their AUCs.

    They go to `<out>/null/<label of the run>.json`, or to `null.json` (`null-noise.json`) of the folder `into`.

    The runs' own folders are removed. Nets that it needs from earlier runs keep the images and labels that they
    learned by, as stand-ins do.

    Args:
        one: the run; of two classes.
        settings: as for `run.execute`.
        count: of deals; None for COUNT, or CLASSICAL where no net is trained.
        noise: noise in the place of the images, instead of labels dealt anew.
        into: a folder, such as the run's own.

    Raises:
        cases.MammoError: as `run.execute`; fewer than two deals; more than two classes.
    """
    started = time.perf_counter()
    trains = bool(getattr(one.method(settings.budget), "stages", ()))
    count = count or (COUNT if trains else CLASSICAL)
    if count < 2 or (one.classes and len(one.classes) > 2):
        raise cases.MammoError(f"null: {one.name}, {count} deals: two at least are needed, of a run of two classes")
    out = artifacts.make_folder(pathlib.Path(settings.out) / records.NULL_FOLDER)
    needs = bool(one.needed(settings.budget))
    seeds = tuple(settings.seed + (0 if needs else number) for number in range(count))
    found = []
    for number, seed in enumerate(seeds):
        dealt = dataclasses.replace(_dealt(one, number, noise, needs), after=(), together=(), published={})
        record = run.execute(dealt, dataclasses.replace(settings, out=out, seed=seed))
        shutil.rmtree(record.folder, ignore_errors=True)
        found.append(record)
    null = _told(found, NOISE if noise else LABELS, started)
    null_records.save(null, into / null_records.name_in_run(null.kind) if into else out / f"{null.label}.json")
    LOG.info("null: %s (%s): mean AUC %.3f, standard error %.3f", one.name, null.protocol, null.mean, null.error)
    return null


def _dealt(one: run.Run, number: int, noise: bool, needs: bool) -> run.Run:
    """The run on one deal."""
    if noise:
        return dataclasses.replace(one, data=Noisy(one.data, number))
    if needs:
        split = run.AtBudget(functools.partial(_split, split=one.split, seed=number))
        return dataclasses.replace(one, split=split)
    return dataclasses.replace(one, data=Permuted(one.data, number))


def _told(found: Sequence[records.Record], kind: str, started: float) -> Null:
    """What is kept of the deals' records."""
    first = found[0]
    names = ("paper", "run", "protocol", "dataset", "dataset_kind", "budget", "weights", "precision", "sizes")
    machine_facts = {**machine.circumstances(started), "hardware": first.hardware}
    return Null(
        **{name: getattr(first, name) for name in names},
        aucs=tuple(record.metrics["auc"].value for record in found),
        leaks=tuple(first.leaks),
        kind=kind,
        seeds=tuple(record.seed for record in found),
        **{name: machine_facts[name] for name in ("seconds", "hardware", "commit", "created")},
    )
