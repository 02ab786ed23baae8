"""DDSM's case files (`.ics`) and its digitizers: size and bits of each film, gray values to optical density.

A case file is lines of a keyword and its values. Dates stand there in two orders, day or month first, and with the
age: none of them is kept. Heath, Bowyer, Kopans, Moore, Kegelmeyer: The Digital Database for Screening
Mammography, Proc. 5th International Workshop on Digital Mammography (2001), 212-218.

    case = ddsm_case.read_ics("B-3024-1.ics")                               # case.films[0].rows == 4696
    density = ddsm_case.optical_density(gray, ddsm_case.digitizer_of(case))      # 0.05 (bright) to 4 (dark)
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from mammo_tf import cases, datasets

ALGORITHM_VERSION = 1
DENSITIES = (0.05, 4.0)  # what film and digitizers can tell apart
_LARGEST = 1_000_000  # bytes of a case file; the published ones have about 500
_FILM = re.compile(
    r"(?P<side>LEFT|RIGHT)_(?P<projection>CC|MLO)\s+LINES\s+(?P<rows>\d{1,6})\s+PIXELS_PER_LINE\s+(?P<columns>\d{1,6})"
    r"\s+BITS_PER_PIXEL\s+(?P<bits>\d{1,2})\s+RESOLUTION\s+(?P<um>\d{1,4}(\.\d+)?)\s+(?P<overlay>NON_OVERLAY|OVERLAY)"
)


@dataclasses.dataclass(frozen=True)
class Film:
    """One film of a case: its size, the bits that hold a value, the side of a pixel, whether lesions are marked."""

    side: cases.Side
    projection: cases.Projection
    rows: int
    columns: int
    bits: int
    spacing_mm: float
    overlay: bool

    @property
    def name(self) -> str:
        """As the files of the film bear it: "LEFT_CC"."""
        return f"{self.side}_{self.projection}"


@dataclasses.dataclass(frozen=True)
class CaseFile:
    """What a case file tells of the films.

    Attributes:
        name: of the case, "B-3024-1"; its first letter is the hospital.
        film_type: "REGULAR".
        density: of the breasts, BI-RADS 1 to 4, as written; "" where blank.
        digitizer: as written there: "LUMISYS LASER", "DBA 21", "HOWTEK".
        films: in the order of the file.
    """

    name: str
    film_type: str
    density: str
    digitizer: str
    films: tuple[Film, ...]


def read_ics(path: str | os.PathLike[str]) -> CaseFile:
    """Reads a case file.

    Raises:
        cases.MissingError: no such file.
        cases.DataError: unreadable, a film's line breaks the layout or gives an absurd size, or something is missing.
    """
    fields, films = {"filename": "", "DIGITIZER": "", "FILM_TYPE": "", "DENSITY": ""}, []
    for number, line in enumerate(read_text(path, _LARGEST).splitlines(), 1):
        word, _, rest = line.strip().partition(" ")
        if word in fields:
            fields[word] = rest.strip()
        elif re.match(r"(LEFT|RIGHT)_", word):
            films.append(_film(path, number, line.strip()))
    if missing := [name for name in ("filename", "DIGITIZER") if not fields[name]]:
        raise cases.DataError(path, f"not a case file of DDSM: no {', '.join(missing)}")
    if not films or len({film.name for film in films}) < len(films):
        raise cases.DataError(path, f"expected each film once, found {[film.name for film in films]}")
    return CaseFile(fields["filename"], fields["FILM_TYPE"], fields["DENSITY"], fields["DIGITIZER"], tuple(films))


def read_text(path: str | os.PathLike[str], largest: int) -> str:
    """The text of a file of at most `largest` bytes.

    Raises:
        cases.MissingError: no such file.
        cases.DataError: it cannot be read, or is larger.
    """
    try:
        if (size := pathlib.Path(path).stat().st_size) > largest:
            raise cases.DataError(path, f"{size:,} bytes; such a file has at most {largest:,}")
        return pathlib.Path(path).read_text(encoding="latin-1")
    except FileNotFoundError:
        raise cases.MissingError(path, "no such file") from None
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None


def _film(path: Any, number: int, line: str) -> Film:
    found = _FILM.fullmatch(line)
    if not found:
        layout = "'LEFT_CC LINES n PIXELS_PER_LINE n BITS_PER_PIXEL n RESOLUTION um OVERLAY|NON_OVERLAY'"
        raise cases.DataError(path, f"line {number}: expected {layout}, found {line[:100]!r}")
    rows, columns, bits, um = int(found["rows"]), int(found["columns"]), int(found["bits"]), float(found["um"])
    if not (0 < rows * columns <= datasets.MAX_PIXELS and 8 <= bits <= 16 and um > 0):
        reason = f"line {number}: {rows} x {columns} pixels of {bits} bits and {um:g} um make no film"
        raise cases.DataError(path, f"{reason} (at most {datasets.MAX_PIXELS:,} pixels, 8 to 16 bits)")
    side, projection = cases.Side(found["side"]), cases.Projection(found["projection"])
    return Film(side, projection, rows, columns, bits, um / 1000, found["overlay"] == "OVERLAY")


def write_ics(path: str | os.PathLike[str], case: CaseFile) -> None:
    """Writes a case file in the published form, dates in either order; date and age are invented from the name."""
    draw = zlib.crc32(case.name.encode())
    day, month, year = 13 + draw % 15, 1 + draw % 12, 1990 + draw % 10
    date = f"{day} {month} {year}" if draw % 2 else f"{month} {day} {year}"
    lines = [
        "ics_version 1.0",
        f"filename {case.name}",
        f"DATE_OF_STUDY {date}",
        f"PATIENT_AGE {40 + draw % 40}",
        "FILM ",
        f"FILM_TYPE {case.film_type}",
        f"DENSITY {case.density}",
        f"DATE_DIGITIZED {date} ",
        f"DIGITIZER {case.digitizer}",
        "SELECTED" if draw % 3 else "SEQUENCE",
        *map(_line, case.films),
    ]
    pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="latin-1")


def _line(film: Film) -> str:
    size = f"LINES {film.rows} PIXELS_PER_LINE {film.columns} BITS_PER_PIXEL {film.bits}"
    return f"{film.name} {size} RESOLUTION {film.spacing_mm * 1000:g} {'OVERLAY' if film.overlay else 'NON_OVERLAY'}"


@dataclasses.dataclass(frozen=True)
class Digitizer:
    """A machine at a hospital.

    Attributes:
        name: machine and hospital.
        word: what `CaseFile.digitizer` holds.
        letters: first letters of the cases.
        bits: that hold a value.
        spacing_mm: side of a pixel.
        formula: optical density of gray values, not yet clipped.
    """

    name: str
    word: str
    letters: str
    bits: int
    spacing_mm: float
    formula: Callable[[np.ndarray], np.ndarray]


def _dba(x: np.ndarray) -> np.ndarray:
    return (np.log10(x + 1.0) - 4.80662) / -1.07553


def _howtek_mgh(x: np.ndarray) -> np.ndarray:
    return -0.00094568 * x + 3.789


def _lumisys(x: np.ndarray) -> np.ndarray:
    return (x - 4096.99) / -1009.01


def _howtek_ismd(x: np.ndarray) -> np.ndarray:
    return -0.00099055807612 * x + 3.96604095240593


# DDSM's pages on the calibration of its digitizers; the cases A come from Massachusetts General Hospital, B and C
# from Wake Forest University, D from ISMD.
DIGITIZERS = (
    Digitizer("DBA at MGH", "DBA", "A", 16, 0.042, _dba),
    Digitizer("HOWTEK at MGH", "HOWTEK", "A", 12, 0.0435, _howtek_mgh),
    Digitizer("LUMISYS at Wake Forest", "LUMISYS", "BC", 12, 0.050, _lumisys),
    Digitizer("HOWTEK at ISMD", "HOWTEK", "D", 12, 0.0435, _howtek_ismd),
)


def digitizer_of(case: CaseFile) -> Digitizer:
    """The machine that a case was digitized with, by its name and the first letter of the case.

    Raises:
        cases.DataError: no such machine at that hospital.
    """
    for one in DIGITIZERS:
        if one.word in case.digitizer.upper() and case.name[:1].upper() in tuple(one.letters):
            return one
    known = ", ".join(f"{one.word} with {' or '.join(one.letters)}" for one in DIGITIZERS)
    raise cases.DataError(case.name, f"digitizer {case.digitizer!r} with this case is unknown; known: {known}")


def optical_density(gray: np.ndarray, digitizer: Digitizer) -> np.ndarray:
    """Optical density of the film, float32 of the shape of `gray`, clipped to 0.05 .. 4; bright is low.

    Args:
        gray: uint8 or uint16 as digitized.
        digitizer: the machine.

    Raises:
        cases.MammoError: another type, or a value that needs more bits than the machine has.
    """
    top = 2**digitizer.bits - 1
    if gray.dtype not in (np.uint8, np.uint16) or (gray.size and gray.max() > top):
        found = f"{gray.dtype} up to {gray.max() if gray.size else 0}"
        raise cases.MammoError(f"{digitizer.name} gives whole numbers from 0 to {top}, found {found}")
    values = np.clip(digitizer.formula(np.arange(top + 1, dtype=np.float64)), *DENSITIES)
    return values.astype(np.float32)[gray]
