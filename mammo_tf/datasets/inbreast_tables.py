"""INbreast's table, one row an image, read and written with one list of columns (doi:10.1016/j.acra.2011.09.014).

As published: a CSV with `;` and CR LF in which ids and ages read `removed`, one ACR is blank and one view is `FB`;
and the same as an Excel file of 1997 with file names as numbers and two rows of prose at its end. Copies in
circulation have commas, LF or a byte order mark. The columns of patient, age and date are not read.

    table = inbreast_tables.read(pathlib.Path("INbreast.csv"))
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
import re
from collections.abc import Mapping, Sequence

from mammo_tf import cases
from mammo_tf.datasets import inbreast_files as files

SIDE, VIEW, DATE, IMAGE, ACR, BIRADS = "Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads"
COLUMNS = ("Patient ID", "Patient age", SIDE, VIEW, DATE, IMAGE, ACR, BIRADS)
_READ = (SIDE, VIEW, IMAGE, ACR, BIRADS)
REMOVED = "removed"
BLANK_ACR = " " * 193  # the blank one, as published
SIDES = {"L": cases.Side.LEFT, "R": cases.Side.RIGHT, "LEFT": cases.Side.LEFT, "RIGHT": cases.Side.RIGHT}
CATEGORIES = ("", "0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6")
XLS_EXTRA = "pip install 'mammo-tf[xls]'"


@dataclasses.dataclass(frozen=True)
class Row:
    """What the table says of an image.

    Attributes:
        image: its number, the id of the view.
        side: of the breast.
        view: in the table's words, "CC", "MLO" or "FB".
        density: ACR "1" to "4", or "".
        birads: one of `CATEGORIES`.
    """

    image: str
    side: cases.Side
    view: str
    density: str
    birads: str


@dataclasses.dataclass(frozen=True)
class Table:
    """What a file holds.

    Attributes:
        path: the file.
        rows: those that can be used, in their order.
        listed: the number of every image that stands in a row, usable or not.
        problems, repairs: what cannot be used, and what was mended.
    """

    path: pathlib.Path
    rows: tuple[Row, ...]
    listed: frozenset[str]
    problems: tuple[cases.Problem, ...]
    repairs: tuple[cases.Repair, ...]


def read(path: pathlib.Path) -> Table:
    """The table, CSV or xls; rows of prose are skipped, a row that breaks its columns becomes a problem.

    Two rows of one image are one where they agree (a repair), else the image is left out.

    Raises:
        cases.DataError: not a table, a column is missing, or (xls) the reader is not installed.
    """
    data = _columns(path, _xls(path) if path.suffix.lower() == ".xls" else _csv(path))
    rows: dict[str, list[tuple[int, Row]]] = {}
    problems, repairs = [], []
    for number, fields in enumerate(data, 1):
        if not fields[SIDE] and not fields[VIEW]:
            text = " ".join(value for value in fields.values() if value)[:60]
            repairs.append(cases.Repair(str(path), "row of prose", f"row {number} names no view, skipped: {text!r}"))
            continue
        try:
            row = _row(path, number, fields)
            rows.setdefault(row.image, []).append((number, row))
        except cases.DataError as error:
            problems.append(cases.Problem.of(error))
    for image, some in rows.items():
        what = f"image {image} stands in the rows {', '.join(str(number) for number, _ in some)}"
        if len({row for _, row in some}) > 1:
            problems.append(cases.Problem(str(path), f"{what}, and they differ"))
        elif len(some) > 1:
            repairs.append(cases.Repair(str(path), "row twice", f"{what}, all the same: one counts"))
    kept = tuple(some[0][1] for some in rows.values() if len({row for _, row in some}) == 1)
    listed = frozenset(_whole(fields[IMAGE]) for fields in data)
    return Table(path, kept, listed, tuple(problems), tuple(repairs))


def _csv(path: pathlib.Path) -> list[list[str]]:
    raw = files.read_bytes(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # a spreadsheet's export; the columns read here are plain ASCII
    head = text.lstrip().partition("\n")[0]
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=max(";,\t", key=head.count)))
    except csv.Error as error:
        raise cases.DataError(path, f"cannot be read as CSV: {error}") from None


def _xls(path: pathlib.Path) -> list[list[str]]:
    """The first sheet, a whole number without its point."""
    raw = files.read_bytes(path)
    try:
        import xlrd  # an extra: few have no CSV
    except ImportError:
        reason = f"an Excel file, and no CSV beside it; reading it takes a package more: {XLS_EXTRA}"
        raise cases.DataError(path, reason) from None
    try:
        sheet = xlrd.open_workbook(file_contents=raw, logfile=io.StringIO()).sheet_by_index(0)
    except Exception as error:  # a damaged file makes the parser fail in many ways
        raise cases.DataError(path, f"cannot be read as xls: {type(error).__name__}: {error}") from None
    return [
        [str(int(value) if isinstance(value, float) and value.is_integer() else value) for value in row]
        for row in map(sheet.row_values, range(sheet.nrows))
    ]


def _columns(path: pathlib.Path, rows: list[list[str]]) -> list[dict[str, str]]:
    """The columns of `_READ` under those names; spelling may differ in case, blanks and hyphens."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    head = rows[0] if rows else []
    places = {_plain(name): i for i, name in enumerate(head)}
    if missing := [name for name in _READ if _plain(name) not in places]:
        raise cases.DataError(path, f"no column {', '.join(map(repr, missing))}; it has {', '.join(head)[:200]!r}")
    wanted = {name: places[_plain(name)] for name in _READ}
    return [{name: row[i].strip() if i < len(row) else "" for name, i in wanted.items()} for row in rows[1:]]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _whole(text: str) -> str:
    """A number that went through a spreadsheet may end in `.0`."""
    return re.sub(r"\.0+$", "", text)


def _row(path: pathlib.Path, number: int, fields: Mapping[str, str]) -> Row:
    image, density, birads = (_whole(fields[name]) for name in (IMAGE, ACR, BIRADS))
    side, view, birads = fields[SIDE].upper(), fields[VIEW].upper(), birads.lower()
    rules = [
        (image.isascii() and image.isdigit(), f"{IMAGE!r} is {fields[IMAGE]!r}, expected a number"),
        (side in SIDES, f"{SIDE!r} is {fields[SIDE]!r}, expected L or R"),
        (view != "", f"{VIEW!r} is blank"),
        (birads in CATEGORIES, f"{BIRADS!r} is {fields[BIRADS]!r}, expected one of {' '.join(CATEGORIES)[1:]}"),
    ]
    for kept, reason in rules:
        if not kept:
            raise cases.DataError(path, f"row {number}: {reason}")
    return Row(image, SIDES[side], view, density, birads)


def write(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes rows as published."""
    with path.open("w", newline="", encoding="ascii") as file:
        lines = csv.writer(file, delimiter=";", lineterminator="\r\n")
        lines.writerow(COLUMNS)
        for row in rows:
            known = {
                SIDE: row.side[0],
                VIEW: row.view,
                DATE: "201001",
                IMAGE: row.image,
                ACR: row.density or BLANK_ACR,
                BIRADS: row.birads,
            }
            lines.writerow([known.get(name, REMOVED) for name in COLUMNS])
