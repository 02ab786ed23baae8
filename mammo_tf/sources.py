"""What a RUN of the command line stands for: a run's folder, a kept record, predictions, a folder of several runs.

(source,) = sources.find(pathlib.Path("runs/ao2020/baseline_cnn-..."))
source.predictions
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from mammo_tf import cases


@dataclasses.dataclass(frozen=True)
class Source:
    """What a RUN of the command line stands for.

    Attributes:
        name: as it was called, with the record's label where a folder holds several.
        predictions: the table.
        record: of the run, where it is at hand.
        folder: where pictures go without `--out`: a run's own folder, else None.
    """

    name: str
    predictions: pathlib.Path
    record: Any = None
    folder: pathlib.Path | None = None


def find(path: pathlib.Path) -> list[Source]:
    """The tables of predictions that a RUN of the command line names.

    Raises:
        cases.MammoError: there is none (those of real data are not kept beside their records).
    """
    from mammo_tf import pairs, records

    if path.suffix == ".csv":
        return [Source(str(path), path, _record_of(path))]
    if (path / "predictions.csv").is_file():
        return [Source(str(path), path / "predictions.csv", _record_of(path / "predictions.csv"), path)]
    found = records.load(path)
    tables = [(record, pairs.predictions_file(record)) for record in found]
    known = [(record, table) for record, table in tables if table]
    if not known:
        why = "those of real data are not kept beside their records" if found else "no run is there"
        raise cases.MammoError(f"{path}: no table of predictions; {why}")
    return [_source(path, record, table, alone=len(found) == 1) for record, table in known]


def _record_of(table: pathlib.Path) -> Any:
    """The record beside a table of predictions: that of the run's folder, or the kept one of the same name."""
    from mammo_tf import records

    beside = table.with_name("record.json") if table.name == "predictions.csv" else table.with_suffix(".json")
    return records.load(beside)[0] if beside.is_file() else None


def _source(path: pathlib.Path, record: Any, table: pathlib.Path, alone: bool) -> Source:
    folder = pathlib.Path(record.folder) if table.name == "predictions.csv" else None
    return Source(str(path) if alone else f"{path}: {record.label}", table, record, folder)
