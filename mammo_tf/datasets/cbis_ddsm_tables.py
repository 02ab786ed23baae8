"""The four tables of CBIS-DDSM, read and written with one list of columns (doi:10.1038/sdata.2017.177).

As published: records end in CR LF, one path of every row has a line feed inside its quotes, and the density column is
spelt in two ways. Copies in circulation have other line ends, or `NA` for `N/A`.

    rows = cbis_ddsm_tables.read_csv("mass_case_description_train_set.csv")
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import pandas as pd

from mammo_tf import cases
from mammo_tf.datasets import dicom

IMAGE, CROP, MASK = PATHS = ("image file path", "cropped image file path", "ROI mask file path")
OWN = {"mass": ("mass shape", "mass margins"), "calcification": ("calc type", "calc distribution")}
_HEAD = ("patient_id", "breast density", "left or right breast", "image view", "abnormality id", "abnormality type")
_Enum = TypeVar("_Enum", cases.Side, cases.Pathology)


@dataclasses.dataclass(frozen=True)
class Table:
    """One of the four tables.

    Attributes:
        kind: of its lesions, "mass" or "calcification".
        part: the official part, "train" or "test".
        swapped: the published share of rows in which crop and mask stand in each other's file.
        split: the published share of rows in which they lie in two series.
    """

    kind: str
    part: str
    swapped: float = 0.0
    split: float = 0.0

    @property
    def file(self) -> str:
        return f"{self.kind[:4]}_case_description_{self.part}_set.csv"

    @property
    def prefix(self) -> str:
        """How its folders begin."""
        return f"{self.kind[:4].title()}-{'Training' if self.part == 'train' else 'Test'}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, in order; masses are published with `breast_density` for `breast density`."""
        return (*_HEAD, *OWN[self.kind], "assessment", "pathology", "subtlety", *PATHS)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns that a lesion keeps as its attributes."""
        return ("abnormality id", *OWN[self.kind], "assessment", "subtlety")

    def lesion_paths(self, folder: str) -> tuple[str, str, bool]:
        """Where a written row says that crop and mask lie, and whether each lies in the other's place."""
        draw = hashlib.sha256(folder.encode()).digest()
        swapped, split = (int.from_bytes(draw[i : i + 4], "big") / 2**32 for i in (0, 4))
        if split < self.split:
            paths = _path(folder, "crop", 0), _path(folder, "mask", 0)
        else:
            first, second = _path(folder, "both", 0), _path(folder, "both", 1)
            paths = (first, second) if self.kind == "mass" else (second, first)
        return *paths, swapped < self.swapped


def film_path(folder: str) -> str:
    """Where the film of a folder lies."""
    return _path(folder, "film", 0)


def _path(folder: str, series: str, number: int) -> str:
    return f"{folder}/{dicom.uid(folder)}/{dicom.uid(folder, series)}/{number:06d}.dcm"


TABLES = (
    Table("mass", "train", swapped=585 / 1316, split=92 / 1318),
    Table("mass", "test", split=11 / 378),
    Table("calcification", "train", split=1 / 1546),
    Table("calcification", "test"),
)


def read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    """One table, cleaned: `breast density` in every header, no line feed in a path, "N/A" where nothing is known.

    Returns:
        one row a lesion, strings in the columns of its `Table`.

    Raises:
        cases.DataError: not a CSV, or a column is missing.
    """
    path = pathlib.Path(path)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise cases.DataError(path, f"cannot be read as CSV: {error}") from None
    table = table.rename(columns=lambda name: name.strip().replace("breast_density", "breast density"))
    calcifications = path.name.startswith("calc") or "calc type" in table
    columns = TABLES[2 if calcifications else 0].columns
    if missing := [name for name in columns if name not in table]:
        raise cases.DataError(path, f"no column {', '.join(map(repr, missing))}; it has {', '.join(table.columns)}")
    table = table[list(columns)].apply(lambda column: column.fillna("").str.strip())
    table[list(PATHS)] = table[list(PATHS)].apply(lambda column: column.str.replace("\\", "/"))
    return table.replace({name: {"": "N/A", "NA": "N/A"} for name in columns if name not in PATHS})


def write_csv(path: pathlib.Path, table: Table, rows: Sequence[Mapping[str, str]]) -> None:
    """Writes rows, dicts by column, as published."""
    ends = CROP if table.kind == "calcification" else MASK  # the published path that has a line feed at its end
    density = "breast_density" if table.kind == "mass" else "breast density"
    with path.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\r\n")
        lines.writerow([density if name == "breast density" else name for name in table.columns])
        lines.writerows([row[name] + "\n" * (name == ends) for name in table.columns] for row in rows)


@dataclasses.dataclass(frozen=True)
class Row:
    """One row with its table, and for messages its number, counted from 1 below the header."""

    table: Table
    path: pathlib.Path
    number: int
    fields: Mapping[str, str]

    def parse(self, column: str, values: type[_Enum]) -> _Enum:
        try:
            return values(self.fields[column])
        except ValueError:
            reason = f"row {self.number}: {column!r} is {self.fields[column]!r}, expected one of {', '.join(values)}"
            raise cases.DataError(self.path, reason) from None


def films(found: Sequence[tuple[Table, pathlib.Path]]) -> list[list[Row]]:
    """The rows, by film; their enumerated fields are checked here, since a fault there is the table's."""
    films: dict[str, list[Row]] = {}
    for table, path in found:
        for number, fields in enumerate(read_csv(path).to_dict("records"), 1):
            row = Row(table, path, number, fields)
            row.parse("pathology", cases.Pathology), row.parse("left or right breast", cases.Side)
            films.setdefault(fields[IMAGE], []).append(row)
    return list(films.values())
