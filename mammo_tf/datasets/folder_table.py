"""The table of one's own images, `images.csv`: its columns, the rules of each, and how a spreadsheet saves it.

The separator is a comma, a semicolon or a tab; the text UTF-8, with or without a byte order mark, UTF-16, or Latin-1.
Columns that would identify a person (name, birth, address, ...) are never read.

    table = folder_table.read("my_images/images.csv")      # table.rows[0].fields["patient_id"]
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from mammo_tf import cases

FILE = "images.csv"
REQUIRED = ("file", "patient_id", "label")
# What a field that is not blank must look like, and how a message calls what is allowed.
RULES = {
    "label": (r"[01](\.0)?", "neither 0, 1 nor blank"),
    "side": (r"(?i)left|right|l|r", "neither LEFT, RIGHT, L, R nor blank"),
    "bits": (r"[1-9]|1[0-6]", "no number of bits from 1 to 16"),
    "spacing_mm": (r"(?=.*[1-9])\d?([.,]\d+)?", "no size of a pixel in mm, above 0 and below 10"),
    "part": (r"(?i)train|test", "neither train, test nor blank"),
    "birads": (r"(?i)[0-6]|4[abc]", "no BI-RADS category: 0 to 6, 4a, 4b or 4c"),
    "density": (r"(?i)[1-4a-d]", "no density of the breast: 1 to 4 or a to d"),
    "pathology": ("(?i)" + "|".join(cases.Pathology), f"none of {', '.join(cases.Pathology)}"),
}
COLUMNS = (*REQUIRED, "side", "view", *(name for name in RULES if name not in ("label", "side")), "mask", "kind")
_PERSONAL = re.compile(
    r"name|birth|dob\b|ssn\b|social.?sec|address|street|phone|e-?mail|passport|insur|mrn\b", re.IGNORECASE
)
_LARGEST = 200_000_000  # bytes


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: its line in the file, its fields by column, and what is wrong with it ("" where nothing is)."""

    line: int
    fields: Mapping[str, str]
    fault: str = ""

    def get(self, name: str) -> str:
        return self.fields.get(name, "")

    @property
    def own(self) -> dict[str, str]:
        """What stands in columns that the format does not know."""
        return {name: text for name, text in self.fields.items() if name not in COLUMNS and text}


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows, and what had to be mended or left unread."""

    rows: tuple[Row, ...]
    repairs: tuple[cases.Repair, ...] = ()


def read(path: str | os.PathLike[str]) -> Table:
    """Reads the table; a field that breaks the rule of its column makes a faulty row, which stays in its place.

    Raises:
        cases.MissingError: no table.
        cases.DataError: not a CSV, a required column is missing, or one stands twice.
    """
    path, repairs = pathlib.Path(path), []
    text = _text(path, repairs)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
        found = [(lines.line_num, [field.strip() for field in fields]) for fields in lines if any(fields)]
    except csv.Error as error:
        raise cases.DataError(path, f"cannot be read as CSV: {error}") from None
    names = _names(path, found[0][1] if found else [])
    for name in filter(_PERSONAL.search, names):
        repairs.append(cases.Repair(str(path), "personal column", f"column {name!r} was not read"))
    return Table(tuple(_row(line, names, fields) for line, fields in found[1:]), tuple(repairs))


def _text(path: pathlib.Path, repairs: list[cases.Repair]) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise cases.DataError(path, f"a table of more than {_LARGEST:,} bytes")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise cases.MissingError(path, "no such table") from None
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if utf16 or b"\0" in raw:
            raise cases.DataError(path, f"cannot be read as CSV: {error}") from None
    repairs.append(cases.Repair(str(path), "encoding", "the text is not UTF-8; it was read as Latin-1"))
    return raw.decode("latin-1")


def _separator(text: str) -> str:
    head = next(iter(text.splitlines()), "")
    return max(",;\t", key=head.count)


def _names(path: Any, head: list[str]) -> list[str]:
    """The columns; those that the format knows are known in any case, and with blanks or hyphens for underscores."""
    plain = [re.sub(r"[\s-]+", "_", name.lower()) for name in head]
    names = [one if one in COLUMNS else name for one, name in zip(plain, head, strict=True)]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise cases.DataError(path, f"column {', '.join(twice)} stands there twice")
    if missing := [name for name in REQUIRED if name not in names]:
        raise cases.DataError(path, f"no column {', '.join(missing)}; it has {', '.join(names) or 'none'}")
    return names


def _row(line: int, names: list[str], fields: list[str]) -> Row:
    named = list(zip(names, fields, strict=False))  # a short row leaves the rest blank
    kept = {name: text for name, text in named if name and not _PERSONAL.search(name)}
    fault = next(filter(None, (_fault(name, text) for name, text in kept.items())), "")
    if any(text for name, text in named if not name) or any(fields[len(names) :]):
        fault = f"line {line} of the table has {len(fields)} fields, its header {sum(map(bool, names))} columns"
    return Row(line, kept, fault)


def _fault(name: str, text: str) -> str:
    pattern, words = RULES.get(name, ("", ""))
    return f"{name} {text!r} is {words}" if text and pattern and not re.fullmatch(pattern, text) else ""
