"""What a run leaves behind: one JSON record, named by a hash of everything that decides its numbers.

A record is written when a run has ended; tables are made from records alone.

    record = records.load("runs/demo")[0]
    record.metrics["auc"].low
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import cases, describe
from mammo_tf.evaluation import intervals

VOLATILE = ("seconds", "memory_mb", "commit", "created", "hardware", "versions", "folder")


def hash8(*parts: Any) -> str:
    """Eight hexadecimal digits of the SHA-256 of the parts' descriptions."""
    return describe.digest(*parts, digits=8)


@dataclasses.dataclass(frozen=True)
class Record:
    """One run, measured.

    Attributes:
        paper, run, protocol, budget, seed, dataset, dataset_kind, label_policy, weights: what was run.
        precision: the resolved Keras policy ("float32", "mixed_bfloat16", ...).
        hash: of the run's description, the dataset's fingerprint, the seed and the needs' hashes.
        reported: the part that `metrics` speak of ("val" or "test").
        sizes: part -> {examples, patients, positives, rois}.
        metrics: on the reported part at threshold 0.5, name -> Estimate.
        tuned: the same at the threshold chosen on validation by `threshold_rule`.
        majority: the metrics of always answering the training majority.
        training: best_epoch, epochs, train_accuracy and val_accuracy at the best epoch, last_val_accuracy,
            epochs_to_95 (`artifacts.training_facts`); empty for methods without epochs.
        claims: other things the paper claims, measured (share of the saliency at the rim, ...).
        selection: the rule that chose the epoch.
        leaks: what the protocol lets leak; empty when honest. audit: the measured overlap of the parts.
        test_reads: how often the labels of the reported part were scored.
        problems: files or rows left out, with reasons.
        repairs: rule -> how many files or rows the reader mended by it.
        intensity: how DICOM values became gray values.
        validation: the metrics on the validation part at threshold 0.5.
        needs: hashes of the runs that this one started from, by name.
        split: hash of the patients of each part; runs of one split carry the same.
        folds: number of splits that the metrics are averaged over.
        per_fold: metric -> its value in each of them; empty where there is one.
        certificate: `certificates.issue`; empty in older records.
        seconds, memory_mb (peak of the process so far), versions, hardware, commit, created: of this very run; not
            part of what a seed repeats.
    """

    paper: str
    run: str
    protocol: str
    hash: str
    dataset: str
    dataset_kind: str
    fingerprint: str
    label_policy: str
    class_names: Sequence[str]
    budget: str
    seed: int
    weights: str
    precision: str
    reported: str
    sizes: Mapping[str, Mapping[str, int]]
    metrics: Mapping[str, intervals.Estimate]
    tuned: Mapping[str, intervals.Estimate]
    threshold: float
    threshold_rule: str
    majority: Mapping[str, intervals.Estimate]
    training: Mapping[str, float]
    claims: Mapping[str, intervals.Estimate]
    selection: str
    leaks: Sequence[str]
    audit: Mapping[str, Any]
    test_reads: int
    problems: Sequence[Mapping[str, str]]
    repairs: Mapping[str, int]
    intensity: str
    seconds: float
    memory_mb: float
    versions: Mapping[str, str]
    hardware: str
    commit: str
    created: str
    validation: Mapping[str, intervals.Estimate] = dataclasses.field(default_factory=dict)
    needs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    split: str = ""
    folds: int = 1
    per_fold: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    certificate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    folder: str = ""

    @property
    def label(self) -> str:
        """Name of the kept record: a later one of the same row takes its place. The run's folder adds the hash."""
        dataset = cases.Dataset(self.dataset, self.dataset_kind, "", ())
        return label(self.run, self.protocol, dataset, self.budget, self.seed)

    def stable(self) -> dict[str, Any]:
        """What repeating the seed on one machine must repeat: everything but `VOLATILE`."""
        return {key: value for key, value in as_json(self).items() if key not in VOLATILE}


NEEDS_FILE = "needs.json"  # what a run's folder holds from its beginning
NULL_FOLDER = "null"  # what null tests found, and the runs that they do; none of it is a record of its own
_ESTIMATES = ("metrics", "tuned", "majority", "claims", "validation")
_LATER = {  # absent from older records
    "validation": {},
    "needs": {},
    "split": "",
    "folds": 1,
    "per_fold": {},
    "certificate": {},
    "folder": "",
}


def label(run: str, protocol: str, dataset: cases.Dataset, budget: str, seed: int) -> str:
    """`<run>-<protocol>-<dataset>-<kind>-<budget>-s<seed>`."""
    return f"{run}-{protocol}-{dataset.name}-{dataset.kind}-{budget}-s{seed}"


def as_json(record: Record) -> dict[str, Any]:
    """The record as JSON-able values; NaN and infinity become null."""
    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    for name in _ESTIMATES:
        values[name] = {key: estimate.as_dict() for key, estimate in values[name].items()}
    return plain(values)


def plain(value: Any) -> Any:
    """The value with NumPy scalars as Python's, and NaN and infinity as None, which JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def from_json(values: Mapping[str, Any], source: Any = "record") -> Record:
    """The inverse of `as_json` (null in an estimate becomes NaN).

    Raises:
        cases.DataError: a field is missing or unknown.
    """
    names = {f.name for f in dataclasses.fields(Record)}
    if not isinstance(values, Mapping):
        raise cases.DataError(source, f"not a record: expected an object, found {type(values).__name__}")
    if missing := sorted(names - set(_LATER) - set(values)):
        raise cases.DataError(source, f"not a record: no field {', '.join(missing)}")
    if unknown := sorted(set(values) - names):
        raise cases.DataError(source, f"not a record of this version: unknown field {', '.join(unknown)}")
    values = {**_LATER, **values}
    for name in _ESTIMATES:
        values[name] = {key: intervals.Estimate.from_dict(fields) for key, fields in values[name].items()}
    return Record(**values)


def write_json(values: Any, path: pathlib.Path) -> None:
    """Written whole or not at all: to a temporary name, then renamed.

    Raises:
        cases.DataError: the folder cannot be written.
    """
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        raise cases.DataError(path, f"cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def save(record: Record, path: pathlib.Path) -> None:
    """Writes a record as JSON; `load` reads it."""
    write_json(as_json(record), path)


def load(*folders: Any) -> list[Record]:
    """Every record below the folders (`record.json` of runs, `<key>/*.json` of kept results), sorted by name.

    A run that was begun and not finished has none; what lies in a folder `null` below them is none.

    Raises:
        cases.DataError: a file that should be a record is not one.
    """
    found: dict[pathlib.Path, Record] = {}
    for folder in map(pathlib.Path, folders):
        for path in _files(folder):
            try:
                record = from_json(json.loads(path.read_text()), path)
            except (UnicodeDecodeError, json.JSONDecodeError) as error:
                raise cases.DataError(path, f"not JSON: {error}") from None
            except (AttributeError, TypeError) as error:
                raise cases.DataError(path, f"not a record: {error}") from None
            found[path.resolve()] = dataclasses.replace(record, folder=str(path.parent))
    return sorted(found.values(), key=lambda r: (r.paper, r.dataset_kind, r.budget, r.label, r.hash))


def _files(folder: pathlib.Path) -> Iterable[pathlib.Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise cases.DataError(folder, "no such folder")
    found = [p for p in folder.rglob("*.json") if NULL_FOLDER not in p.relative_to(folder).parts]
    runs = [path for path in found if path.name == "record.json"]
    if runs or folder.resolve().name == NULL_FOLDER:
        return sorted(runs)
    begun = {path.parent for path in folder.rglob(NEEDS_FILE)}
    return sorted(path for path in found if not begun.intersection(path.parents))
