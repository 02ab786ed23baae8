"""Binary PGM ("P5"), the gray images of Netpbm, 8 or 16 bits: header, pixels, writer.

A header is "P5", columns, rows and the largest value allowed; comments run from "#" to the end of the line.

    pixels = pgm.read_pixels("mdb001.pgm")   # (H, W); a memory map where the file allows it
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

import numpy as np

from mammo_tf import cases

_PGM = re.compile(rb"P5" + rb"(?:\s|#[^\n]*\n)+(\d{1,9})" * 3 + rb"\s")
_HEAD = 4096  # bytes in which the header of a PGM, comments included, must end


@dataclasses.dataclass(frozen=True)
class Header:
    """Size of a PGM, its largest value allowed, and where its pixels begin in the file."""

    rows: int
    columns: int
    max_value: int
    offset: int


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a binary PGM of 8 or 16 bits.

    Raises:
        cases.DataError: missing, not such a file, or truncated.
    """
    try:
        with pathlib.Path(path).open("rb") as file:
            found, size = _PGM.match(file.read(_HEAD)), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise cases.DataError(path, "no such file" if isinstance(error, FileNotFoundError) else str(error)) from None
    if not found:
        raise cases.DataError(path, "not a binary PGM: no header 'P5 columns rows maximum'")
    columns, rows, top = (int(value) for value in found.groups())
    if not (rows and columns and 0 < top < 65536):
        raise cases.DataError(path, f"{rows} rows, {columns} columns and the largest value {top} make no image")
    expected, present = rows * columns * (1 if top < 256 else 2), size - found.end()
    if present < expected:
        raise cases.DataError(path, f"truncated: expected {expected} bytes of pixels, found {present}")
    return Header(rows, columns, top, found.end())


def read_pixels(path: str | os.PathLike[str]) -> np.ndarray:
    """The pixels of a binary PGM, (H, W) uint8 (a read-only memory map) or uint16.

    Raises:
        cases.DataError: as `read_header`, or a pixel lies above the header's largest value.
    """
    header = read_header(path)
    dtype = np.uint8 if header.max_value < 256 else np.dtype(">u2")
    pixels = np.memmap(path, dtype, mode="r", offset=header.offset, shape=(header.rows, header.columns))
    if header.max_value < np.iinfo(dtype).max and pixels.max() > header.max_value:
        raise cases.DataError(path, f"holds the value {pixels.max()}; its header allows at most {header.max_value}")
    return pixels if dtype is np.uint8 else pixels.astype(np.uint16)


def write(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Writes (H, W) uint8 with a comment in the header, as GIMP and mini-MIAS have it."""
    height, width = pixels.shape
    pathlib.Path(path).write_bytes(f"P5\n# CREATOR: mammo_tf\n{width} {height}\n255\n".encode() + pixels.tobytes())
