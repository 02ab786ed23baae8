"""The four tables of CBIS-DDSM, read and written with one list of columns (doi:10.1038/sdata.2017.177).

As published: records end in CR LF, one path of every row has a line feed inside its quotes, and the density column is
spelt in two ways. Copies in circulation have other line ends, `NA` for `N/A`, a byte order mark, or no paths (films
are then found by the names of their folders). The release of 2017 has other column names, backslashes in its paths
and one row less; `SPELLINGS` translates its names.

    rows = cbis_ddsm_tables.read_csv("mass_case_description_train_set.csv")
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import pandas as pd

from mammo_tf import cases

IMAGE, CROP, MASK = PATHS = ("image file path", "cropped image file path", "ROI mask file path")
OWN = {"mass": ("mass shape", "mass margins"), "calcification": ("calc type", "calc distribution")}
_HEAD = ("patient_id", "breast density", "left or right breast", "image view", "abnormality id", "abnormality type")
SPELLINGS = {
    "patient id": "patient_id",
    "side": "left or right breast",
    "view": "image view",
    "abn num": "abnormality id",
    "od img path": IMAGE,
    "od crop path": CROP,
    "mask path": MASK,
    "od mask path": MASK,
}
OF_2017 = ("side", "view", "abn num", "od img path")  # by these its tables are known
_MAY_LACK = ("breast density", "abnormality type", "assessment", "subtlety")  # the tables of 2017
FOLDER = re.compile(r"(?:Mass|Calc)-(?:Training|Test)_.+_(?:LEFT|RIGHT)_.+")
_Enum = TypeVar("_Enum", cases.Side, cases.Pathology)


@dataclasses.dataclass(frozen=True)
class Table:
    """One of the four tables: of lesions of one kind, "mass" or "calcification", and one part, "train" or "test"."""

    kind: str
    part: str

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
        """The columns that a lesion keeps as its attributes, in the words of the dataset."""
        return ("abnormality id", *OWN[self.kind], "assessment", "subtlety")

    def folder(self, fields: Mapping[str, str]) -> str:
        """The folder of a row's film; that of its crop and mask has `_` and the abnormality id behind it."""
        names = (fields[name] for name in ("patient_id", "left or right breast", "image view"))
        return "_".join((self.prefix, *names))


TABLES = tuple(Table(kind, part) for kind in OWN for part in ("train", "test"))


def read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    """One table, cleaned: our names in the header, no line feed in a path, "N/A" where nothing is known.

    Returns:
        one row a lesion, strings in the columns of its `Table`; a path that the table lacks is the folder's name.

    Raises:
        cases.DataError: not a CSV, or a column is missing.
    """
    return _read(pathlib.Path(path))[0]


def _read(path: pathlib.Path) -> tuple[pd.DataFrame, list[cases.Repair]]:
    raw = _parse(path)
    named = {_name(name) for name in raw}
    of_2017 = sum(name in named for name in OF_2017) >= 2
    table = raw.rename(columns=lambda name: SPELLINGS.get(_name(name), _name(name)))
    of = _table(path, table)
    columns = of.columns
    lacks = [name for name in columns if name not in table]
    if twice := sorted({name for name in columns if list(table).count(name) > 1}):
        raise cases.DataError(path, f"two columns for {', '.join(twice)}; it has {', '.join(raw.columns)}")
    allowed = (*PATHS, *_MAY_LACK) if of_2017 else PATHS
    if missing := [name for name in lacks if name not in allowed]:
        raise cases.DataError(path, f"no column {', '.join(map(repr, missing))}; it has {', '.join(raw.columns)}")
    mended = _mended(table, lacks, of_2017)
    table = table.assign(**dict.fromkeys(lacks, ""))[list(columns)]
    table = table.apply(lambda column: column.fillna("").str.strip())
    others = [name for name in columns if name not in PATHS]
    table = table.replace({name: {"": "N/A", "NA": "N/A"} for name in others})
    strange = 0
    for name in PATHS:
        paths = [_below(value) for value in table[name]]
        strange += sum(not path and value != "" for path, value in zip(paths, table[name], strict=True))
        folders = [_folder(of, row, name) for row in table.to_dict("records")]
        table[name] = [path or folder for path, folder in zip(paths, folders, strict=True)]
    mended.append(
        ("path without its folder", f"{strange} paths: files are found by their folders" if strange else "")
    )
    return table, [cases.Repair(str(path), rule, what) for rule, what in mended if what]


def _parse(path: pathlib.Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise cases.DataError(path, f"cannot be read as CSV: {error}") from None
    return table


def _name(name: str) -> str:
    name = " ".join(name.replace("_", " ").split())
    own = {one.lower(): one for one in (*_HEAD, *PATHS)}
    return own.get(name.lower(), name.lower())


def _table(path: pathlib.Path, read: pd.DataFrame) -> Table:
    """Which table it is: by its name, else by its columns."""
    kind = "calcification" if "calc type" in read and "mass shape" not in read else "mass"
    by_columns = Table(kind, "test" if "test" in path.name.lower() else "train")
    return next((table for table in TABLES if table.file == path.name), by_columns)


def _mended(table: pd.DataFrame, lacks: Sequence[str], of_2017: bool) -> list[tuple[str, str]]:
    """What is mended in a table, by rule; "" where nothing is."""
    feeds = sum(table[name].str.contains("\n", regex=False).sum() for name in PATHS if name in table)
    others = [name for name in table if name not in PATHS]
    unknown = sum((table[name].str.strip() == "NA").sum() for name in others)
    paths, rest = ([name for name in lacks if (name in PATHS) == wanted] for wanted in (True, False))
    lacking = f"; no column {', '.join(rest)}, taken as N/A" if rest else ""
    return [
        ("line feed in a path", f"{feeds} of {len(table)} rows" if feeds else ""),
        ("NA for N/A", f"{unknown} fields" if unknown else ""),
        ("columns of 2017", f"other names of the columns{lacking}" if of_2017 else ""),
        ("no paths in the table", f"{', '.join(paths)}: files are found by their folders" if paths else ""),
    ]


def _below(path: str) -> str:
    """A path with slashes, from the folder of its film or lesion on; "" where it names none."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    start = next((i for i, part in enumerate(parts) if FOLDER.fullmatch(part)), len(parts))
    return "/".join(parts[start:])


def _folder(table: Table, row: Mapping[str, str], column: str) -> str:
    film = table.folder(row)
    return film if column == IMAGE else f"{film}_{row['abnormality id']}"


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

    @property
    def film(self) -> str:
        """The film's folder, which is the view's id."""
        return self.fields[IMAGE].partition("/")[0]

    @property
    def lesion(self) -> str:
        """The folder of crop and mask, which is the lesion's id."""
        return self.fields[MASK].partition("/")[0]

    def parse(self, column: str, values: type[_Enum]) -> _Enum:
        try:
            return values(self.fields[column])
        except ValueError:
            reason = f"row {self.number}: {column!r} is {self.fields[column]!r}, expected one of {', '.join(values)}"
            raise cases.DataError(self.path, reason) from None


def rows(found: Sequence[tuple[Table, pathlib.Path]]) -> tuple[list[Row], list[cases.Repair]]:
    """The rows of the tables and what was mended in these; a fault of an enumerated field is the table's.

    Raises:
        cases.DataError: as `read_csv`, a pathology or side is none of those known, or a row says of no patient.
    """
    out, repairs = [], []
    for table, path in found:
        read, some = _read(path)
        repairs += some
        twice = read.duplicated()
        if twice.any():
            repairs.append(
                cases.Repair(str(path), "row twice", f"{twice.sum()} rows say what another does: one counts")
            )
        for number, fields in enumerate(read.to_dict("records"), 1):
            row = Row(table, path, number, fields)
            row.parse("pathology", cases.Pathology), row.parse("left or right breast", cases.Side)
            if fields["patient_id"] == "N/A":
                raise cases.DataError(path, f"row {number}: no patient_id, by which splits go")
            if not twice[number - 1]:
                out.append(row)
    return out, repairs


def films(found: Sequence[Row]) -> list[list[Row]]:
    """The rows, by film."""
    by_film: dict[str, list[Row]] = {}
    for row in found:
        by_film.setdefault(row.film, []).append(row)
    return list(by_film.values())


def check(film: Sequence[Row]) -> None:
    """Refuses the rows of a film whose paths contradict their fields, or each other.

    Raises:
        cases.DataError: a folder is that of another patient, side, view or lesion, or two rows are of one lesion.
    """
    for row in film:
        named = row.table.folder(row.fields)
        expected = named, f"{named}_{row.fields['abnormality id']}"
        if (row.film, row.lesion) != expected:
            reason = (
                f"row {row.number}: its paths name {row.film} and {row.lesion}, its fields {' and '.join(expected)}"
            )
            raise cases.DataError(row.path, reason)
    lesions = [row.lesion for row in film]
    if twice := [row for row in film if lesions.count(row.lesion) > 1]:
        numbers = " and ".join(str(row.number) for row in twice)
        raise cases.DataError(twice[0].path, f"rows {numbers} are of lesion {twice[0].lesion} and differ")
