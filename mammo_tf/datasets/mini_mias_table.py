"""`Info.txt` of mini-MIAS: a prose head, then a row a lesion, or a row an image without one.

A row is image, background tissue, class, severity, x, y (counted from the bottom), radius. The published one has
CRLF, a blank after `NORM`, and four lesions without a circle, of 123: three of 30 calcifications, marked `*NOTE 3*`
(spread widely; the note is number 4), and one of the 93 others, which bears no mark. `write_info` plants the same.

    rows = mini_mias_table.read_info("Info.txt")     # Row(1, "G", "CIRC", "B", (535, 425, 197)), ...
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import zlib
from collections.abc import Sequence
from typing import Any

from mammo_tf import cases

TABLE = "Info.txt"
KINDS = {
    "CALC": "calcification",
    "CIRC": "mass",
    "SPIC": "mass",
    "MISC": "mass",
    "ARCH": "distortion",
    "ASYM": "asymmetry",
}
SEVERITIES = {"B": cases.Pathology.BENIGN, "M": cases.Pathology.MALIGNANT}
_LAYOUT = re.compile(
    r"mdb(?P<number>\d{3,})\s+(?P<tissue>[FGD])\s+"
    r"(?:NORM|(?P<kind>CALC|CIRC|SPIC|MISC|ARCH|ASYM)\s+(?P<severity>[BM])"
    r"(?:\s+(?:\*NOTE\s*3\*|(?P<x>\d+)\s+(?P<y>\d+)\s+(?P<radius>\d+)))?)\s*"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        number: of the image.
        tissue: of the background, "F" fatty, "G" glandular, "D" dense.
        kind, severity: of the lesion, keys of `KINDS` and `SEVERITIES`; None where there is none.
        circle: (x, y from the bottom, radius) in pixels, None where omitted.
    """

    number: int
    tissue: str
    kind: str | None = None
    severity: str | None = None
    circle: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        return f"mdb{self.number:03d}"

    @property
    def patient_id(self) -> str:
        first = self.number - 1 + self.number % 2
        return f"mias_{first:03d}_{first + 1:03d}"

    @property
    def side(self) -> cases.Side:
        return cases.Side.RIGHT if self.number % 2 else cases.Side.LEFT


def read_info(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of `Info.txt`, in its order.

    Raises:
        cases.DataError: missing, without rows, or a row that breaks the layout.
    """
    try:
        lines = pathlib.Path(path).read_text(encoding="latin-1").splitlines()
    except FileNotFoundError:
        raise cases.MissingError(path, "no such table") from None
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1) if re.match(r"mdb\d", line)]
    if not rows:
        raise cases.DataError(path, "no row such as 'mdb001 G CIRC B 535 425 197'")
    return rows


def _row(path: Any, number: int, line: str) -> Row:
    found = _LAYOUT.fullmatch(line)
    if not found:
        layout = "'mdbNNN F|G|D NORM' or 'mdbNNN F|G|D CLASS B|M [x y radius]'"
        raise cases.DataError(path, f"line {number}: expected {layout}, found {line.strip()!r}")
    circle = tuple(int(found[name]) for name in ("x", "y", "radius")) if found["x"] else None
    return Row(int(found["number"]), found["tissue"], found["kind"], found["severity"], circle)


_PROSE = """\
MINI-MIAS LAYOUT

This file lists the films of the folder and tells of each:

1st column: reference number.

2nd column: Character of background tissue:
                F - Fatty, G - Fatty-glandular, D - Dense-glandular

3rd column: Class of abnormality present:
                CALC, CIRC, SPIC, MISC, ARCH, ASYM, NORM

4th column: Severity of abnormality;
                B - Benign, M - Malignant

5th,6th columns: x,y image-coordinates of centre of abnormality.

7th column: Approximate radius (in pixels) of a circle enclosing it.

NOTES
=====
1) Films stand in pairs of one patient: left (even numbers), right (odd numbers).
2) The images are square and centred.
3) Coordinate system origin is the bottom-left corner. Where calcifications
   are widely distributed, centre and radius have been omitted.

=================================================================

"""


def write_info(path: str | os.PathLike[str], rows: Sequence[Row]) -> None:
    """Writes the table, the faults of the published one included; which circles are left out hangs on the rows alone.

    A calcification loses its circle in one of 10 rows, another lesion in one of 93.
    """
    text = _PROSE + "\n".join(map(_line, rows)) + "\n \n" + "=" * 65 + "\n"
    pathlib.Path(path).write_text(text, newline="\r\n")


def _line(row: Row) -> str:
    if row.kind is None:
        return f"{row.name} {row.tissue} NORM "  # the blank is there in the original too
    draw, scattered = zlib.crc32(repr(row).encode()), row.kind == "CALC"
    fields = f"{row.name} {row.tissue} {row.kind} {row.severity}"
    if row.circle and draw % (10 if scattered else 93):
        return f"{fields} {' '.join(map(str, row.circle))}"
    if not scattered:
        return fields
    return f"{fields} *NOTE 3*" + (" " if row.number % 3 == 0 else "")  # the original: mdb216, not 233 and 245
