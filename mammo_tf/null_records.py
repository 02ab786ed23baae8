"""What a null test found, as a value and as a file beside the run or the record that it belongs to.

A run's folder holds `null.json` and `null-noise.json`; `--null` writes `<out>/null/<label>.json`, and `mammo-tf keep`
copies either to `results/<paper>/null/<label>.json`. No file names a folder of a machine.

    found = null_records.load("results")[0]
    found.mean, found.error, found.holds
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import cases, records

ERRORS = 3.0  # standard errors by which the mean may miss 1/2
LABELS, NOISE = "labels", "noise"
_ENDING = {LABELS: "", NOISE: "-noise"}
_DERIVED = ("count", "mean", "error", "holds")


@dataclasses.dataclass(frozen=True)
class Null:
    """What a run reaches where labels, or images, mean nothing.

    Attributes:
        paper, run, protocol, dataset, dataset_kind, budget: of the run.
        aucs: one a deal.
        leaks: what the protocol names.
        kind: "labels" (dealt anew to patients) or "noise" (in the place of the images).
        seeds: of the deals' runs; the same one for all where the run needs nets of other runs.
        weights, precision: what the nets started from and computed in.
        sizes: part -> {examples, patients, positives, rois}, of the first deal.
        seconds, hardware, commit, created: of the test, no part of what a seed repeats.
    """

    paper: str
    run: str
    protocol: str
    dataset: str
    dataset_kind: str
    budget: str
    aucs: Sequence[float]
    leaks: Sequence[str] = ()
    kind: str = LABELS
    seeds: Sequence[int] = (0,)
    weights: str = ""
    precision: str = ""
    sizes: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    hardware: str = ""
    commit: str = ""
    created: str = ""

    @property
    def count(self) -> int:
        return len(self.aucs)

    @property
    def mean(self) -> float:
        return float(np.mean(self.aucs))

    @property
    def error(self) -> float:
        """Standard error of the mean, NaN for one deal."""
        return float(np.std(self.aucs, ddof=1)) / math.sqrt(self.count) if self.count > 1 else math.nan

    @property
    def holds(self) -> bool:
        """Whether 1/2 lies within ERRORS standard errors of the mean."""
        return bool(abs(self.mean - 0.5) <= ERRORS * self.error + 1e-12)

    @property
    def interval(self) -> tuple[float, float]:
        """The mean less and plus ERRORS standard errors."""
        return self.mean - ERRORS * self.error, self.mean + ERRORS * self.error

    @property
    def label(self) -> str:
        """That of the record that it belongs to, with "-noise" behind it where the images were noise."""
        dataset = cases.Dataset(self.dataset, self.dataset_kind, "", ())
        return records.label(self.run, self.protocol, dataset, self.budget, self.seeds[0]) + _ENDING[self.kind]

    def as_json(self) -> dict[str, Any]:
        """All of it, with mean, error, verdict and the number of deals."""
        return records.plain({**dataclasses.asdict(self), **{name: getattr(self, name) for name in _DERIVED}})


def name_in_run(kind: str) -> str:
    """The file in a run's own folder.

    >>> name_in_run("labels"), name_in_run("noise")
    ('null.json', 'null-noise.json')
    """
    return f"null{_ENDING[kind]}.json"


def save(found: Null, path: pathlib.Path) -> None:
    """Writes it as JSON; `load` reads it."""
    records.write_json(found.as_json(), path)


def from_json(values: Any, source: Any = "null test") -> Null:
    """The inverse of `Null.as_json`.

    Raises:
        cases.DataError: not a null test: a field is missing, unknown or empty.
    """
    fields = dataclasses.fields(Null)
    if not isinstance(values, Mapping):
        raise cases.DataError(source, f"not a null test: expected an object, found {type(values).__name__}")
    values = {name: value for name, value in values.items() if name not in _DERIVED}
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in needed if name not in values]:
        raise cases.DataError(source, f"not a null test: no field {', '.join(missing)}")
    if unknown := sorted(set(values) - {f.name for f in fields}):
        raise cases.DataError(source, f"not a null test of this version: unknown field {', '.join(unknown)}")
    if not isinstance(values["aucs"], list | tuple) or not isinstance(values["seeds"], list | tuple):
        raise cases.DataError(source, "not a null test: aucs and seeds are lists")
    found = Null(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    if found.kind not in _ENDING or not found.seeds or not all(isinstance(auc, int | float) for auc in found.aucs):
        raise cases.DataError(source, f"not a null test: kind {found.kind}, seeds {found.seeds}, AUCs {found.aucs}")
    if not found.aucs:
        raise cases.DataError(source, "not a null test: it has no deals")
    return found


def is_null(path: Any) -> bool:
    """Whether a file, or a folder, is one of null tests alone: by its name, or as one called "null"."""
    path = pathlib.Path(path).resolve()
    return path.name in (*map(name_in_run, _ENDING), records.NULL_FOLDER) or path.parent.name == records.NULL_FOLDER


def load(*folders: Any) -> list[Null]:
    """Every null test below the folders, each label once, sorted by name.

    They are `null.json` and `null-noise.json` of runs, and all JSON files that lie in a folder called "null".

    Raises:
        cases.DataError: a file is not a null test, or two of one label differ.
    """
    found: dict[tuple[str, str], tuple[Null, pathlib.Path]] = {}
    for path in (path for folder in map(pathlib.Path, folders) for path in _files(folder)):
        try:
            one = from_json(json.loads(path.read_text()), path)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise cases.DataError(path, f"not JSON: {error}") from None
        other, where = found.setdefault((one.paper, one.label), (one, path))
        if other.aucs != one.aucs:
            raise cases.DataError(path, f"another null test of {one.label} than {where}; keep one of them")
    return [found[key][0] for key in sorted(found)]


def _files(folder: pathlib.Path) -> Iterable[pathlib.Path]:
    found = [folder] if folder.is_file() else folder.rglob("*.json")
    return sorted(path for path in found if is_null(path))
