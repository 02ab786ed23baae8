"""PGM, the gray images of Netpbm, 8 or 16 bits: header, pixels, writer.

A header is "P5" (binary) or "P2" (decimal numbers), columns, rows and the largest value allowed, with a comment from
any "#" to the end of its line; one blank, and the pixels follow, in two bytes each, the high one first, where the
largest value is above 255 (netpbm.sourceforge.net/doc/pgm.html).

    pixels = pgm.read_pixels("mdb001.pgm")   # (H, W); a memory map where the file allows it
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

import numpy as np

from mammo_tf import cases, datasets

_PGM = re.compile(rb"P([25])" + rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})" * 3 + rb"(?:\s|#[^\r\n]*[\r\n])")
_HEAD = 4096  # bytes in which the header of a PGM, comments included, must end


@dataclasses.dataclass(frozen=True)
class Header:
    """Size of a PGM, its largest value allowed, where its pixels begin in the file, and whether they are digits."""

    rows: int
    columns: int
    max_value: int
    offset: int
    plain: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.columns


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a PGM of 8 or 16 bits.

    Raises:
        cases.MissingError: no such file.
        cases.DataError: not such a file, of an absurd size, or truncated.
    """
    try:
        with pathlib.Path(path).open("rb") as file:
            found, size = _PGM.match(file.read(_HEAD)), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise cases.MissingError(path, "no such file") from None
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    if not found:
        raise cases.DataError(path, "not a PGM: no header 'P5 columns rows maximum'")
    columns, rows, top = (int(value) for value in found.groups()[1:])
    if not (rows and columns and 0 < top < 65536):
        raise cases.DataError(path, f"{rows} rows, {columns} columns and the largest value {top} make no image")
    if rows * columns > datasets.MAX_PIXELS:
        raise cases.DataError(
            path, f"absurd size of {rows} rows and {columns} columns (at most {datasets.MAX_PIXELS:,} pixels)"
        )
    plain, present = found[1] == b"2", size - found.end()
    expected = rows * columns * (1 if top < 256 else 2)
    if plain:
        expected = 2 * rows * columns - 1  # a digit each, and a blank between two
    if present < expected:
        raise cases.DataError(path, f"truncated: expected {expected} bytes of pixels, found {present}")
    return Header(rows, columns, top, found.end(), plain)


def read_pixels(path: str | os.PathLike[str]) -> np.ndarray:
    """The pixels of a PGM, (H, W) uint8 (a read-only memory map where they are binary) or uint16.

    Raises:
        cases.DataError: as `read_header`, or a pixel lies above the header's largest value.
    """
    header = read_header(path)
    dtype = np.uint8 if header.max_value < 256 else np.dtype(">u2")
    if header.plain:
        pixels = _digits(path, header)
    else:
        pixels = np.memmap(path, dtype, mode="r", offset=header.offset, shape=header.shape)
    if header.max_value < np.iinfo(pixels.dtype).max and pixels.max() > header.max_value:
        raise cases.DataError(path, f"holds the value {pixels.max()}; its header allows at most {header.max_value}")
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint8 if header.max_value < 256 else np.uint16)


def _digits(path: str | os.PathLike[str], header: Header) -> np.ndarray:
    raw = re.sub(rb"#[^\r\n]*", b"", pathlib.Path(path).read_bytes()[header.offset :]).split()
    if len(raw) < header.rows * header.columns or any(not word.isdigit() or len(word) > 9 for word in raw):
        wanted = header.rows * header.columns
        raise cases.DataError(path, f"truncated or damaged: expected {wanted} numbers, found {len(raw)} words")
    return np.array(raw[: header.rows * header.columns], np.int64).reshape(header.shape)


def write(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Writes (H, W) uint8 with a comment in the header, as GIMP and mini-MIAS have it."""
    height, width = pixels.shape
    pathlib.Path(path).write_bytes(f"P5\n# CREATOR: mammo_tf\n{width} {height}\n255\n".encode() + pixels.tobytes())
