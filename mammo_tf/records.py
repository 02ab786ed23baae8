"""What a run leaves behind: one JSON record, named by a hash of everything that decides its numbers.

`describe` turns a run into plain values: functions and classes by qualified name (with the ALGORITHM_VERSION of
their module), dataclasses and partials by their arguments. Lambdas and closures raise: their name does not say what
they do.

    record = records.load("runs/demo")[0]
    record.metrics["auc"].low
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import inspect
import json
import math
import pathlib
import sys
import tempfile
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import cases
from mammo_tf.evaluation import intervals

VOLATILE = ("seconds", "memory_mb", "commit", "created", "hardware", "versions", "folder")


def describe(value: Any) -> Any:
    """The value as nested lists, dicts, strings and numbers, the same for the same meaning.

    Raises:
        TypeError: a lambda, a closure, or something that has no stable description.

    >>> describe(functools.partial(sorted, reverse=True))
    {'call': 'builtins.sorted', 'arguments': {'reverse': True}}
    """
    if value is None or isinstance(value, bool | int | str):
        return value.name if isinstance(value, enum.Enum) else value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, np.generic):
        return describe(value.item())
    if isinstance(value, Mapping):
        return {str(key): describe(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, functools.partial):
        return {"call": _name(value.func), "arguments": describe(_arguments(value))}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
        return {"call": _name(type(value)), "arguments": describe(fields)}
    if isinstance(value, types.ModuleType):
        return value.__name__
    if callable(value):
        return _name(value)
    raise TypeError(f"no stable description of {value!r} ({type(value).__name__})")


def _name(function: Any) -> str:
    if isinstance(function, functools.partial):
        raise TypeError(f"a partial of a partial: {function!r}")
    name = getattr(function, "__qualname__", None)
    if name is None or "<lambda>" in name or "<locals>" in name:
        raise TypeError(f"{function!r} is a lambda or a closure: name a module-level function instead")
    version = getattr(sys.modules.get(function.__module__), "ALGORITHM_VERSION", None)
    module = "experiment" if function.__module__ == "__main__" else function.__module__
    module = "experiment" if module.startswith("experiments.") else module
    return f"{module}.{name}" + ("" if version is None else f"@{version}")


def _arguments(call: functools.partial) -> dict[str, Any]:
    """Positional arguments by name where the signature can be read, so that both ways to write a call are one."""
    try:
        return dict(inspect.signature(call.func).bind_partial(*call.args, **call.keywords).arguments)
    except (TypeError, ValueError):
        return {**{str(i): value for i, value in enumerate(call.args)}, **call.keywords}


def hash8(*parts: Any) -> str:
    """Eight hexadecimal digits of the SHA-256 of the parts' descriptions."""
    text = json.dumps([describe(part) for part in parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclasses.dataclass(frozen=True)
class Record:
    """One run, measured.

    Attributes:
        paper, run, protocol, budget, seed, dataset, dataset_kind, label_policy, weights: what was run.
        hash: of the run's description, the dataset's fingerprint, the seed and the needs' hashes.
        reported: the part that `metrics` speak of ("val" or "test").
        sizes: part -> {examples, patients, positives, rois}.
        metrics: on the reported part at threshold 0.5, name -> Estimate.
        tuned: the same at the threshold chosen on validation by `threshold_rule`.
        majority: the metrics of always answering the training majority.
        training: train_accuracy, best_epoch, epochs, val_accuracy and last_epoch_accuracy at their epochs, ...
        claims: other things the paper claims, measured (share of the saliency at the rim, ...).
        selection: the rule that chose the epoch.
        leaks: what the protocol lets leak; empty when honest. audit: the measured overlap of the parts.
        test_reads: how often the labels of the reported part were scored.
        problems: files or rows left out, with reasons.
        seconds, memory_mb, versions, hardware, commit, created: of this very run; not part of what a seed repeats.
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
    seconds: float
    memory_mb: float
    versions: Mapping[str, str]
    hardware: str
    commit: str
    created: str
    folder: str = ""

    @property
    def label(self) -> str:
        """Name of the run's folder and of its kept record."""
        return f"{self.run}-{self.protocol}-{self.dataset}-{self.dataset_kind}-{self.budget}-s{self.seed}"

    def stable(self) -> dict[str, Any]:
        """What repeating the seed on one machine must repeat: everything but `VOLATILE`."""
        return {key: value for key, value in as_json(self).items() if key not in VOLATILE}


_ESTIMATES = ("metrics", "tuned", "majority", "claims")


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
    if missing := sorted(names - {"folder"} - set(values)):
        raise cases.DataError(source, f"not a record: no field {', '.join(missing)}")
    if unknown := sorted(set(values) - names):
        raise cases.DataError(source, f"not a record of this version: unknown field {', '.join(unknown)}")
    values = dict(values)
    for name in _ESTIMATES:
        values[name] = {key: intervals.Estimate.from_dict(fields) for key, fields in values[name].items()}
    return Record(**values)


def write_json(values: Any, path: pathlib.Path) -> None:
    """Written whole or not at all: to a temporary name, then renamed."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        json.dump(values, file, indent=1, sort_keys=True, allow_nan=False)
        file.write("\n")
    pathlib.Path(file.name).chmod(0o644)
    pathlib.Path(file.name).replace(path)


def save(record: Record, path: pathlib.Path) -> None:
    write_json(as_json(record), path)


def load(*folders: Any) -> list[Record]:
    """Every record below the folders (`record.json` of runs, `<key>/*.json` of kept results), sorted by name.

    Raises:
        cases.DataError: a file that should be a record is not one.
    """
    found: dict[pathlib.Path, Record] = {}
    for folder in map(pathlib.Path, folders):
        for path in _files(folder):
            try:
                record = from_json(json.loads(path.read_text()), path)
            except json.JSONDecodeError as error:
                raise cases.DataError(path, f"not JSON: {error}") from None
            found[path.resolve()] = dataclasses.replace(record, folder=str(path.parent))
    return sorted(found.values(), key=lambda r: (r.paper, r.dataset_kind, r.budget, r.label, r.hash))


def _files(folder: pathlib.Path) -> Iterable[pathlib.Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise cases.DataError(folder, "no such folder")
    runs = list(folder.rglob("record.json"))
    return sorted(runs) or sorted(folder.rglob("*.json"))
