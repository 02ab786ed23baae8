"""PNG, JPEG and TIFF of 8 or 16 bits, gray: the size from the header, then the pixels of a file that is whole.

OpenCV decodes. It gives a truncated JPEG out as an image with a gray rest and may take the memory of any size, so the
files are looked at first. Sources: PNG (W3C, sections 5 and 11), JPEG (ITU-T T.81, annex B), TIFF 6.0 (section 2).

    header = folder_images.read_header("a.png")      # header.rows, header.columns, header.bits
    pixels = folder_images.read_image("a.png")       # (H, W) uint8 or uint16
"""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import os
import pathlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from mammo_tf import cases, datasets

_BYTES_A_PIXEL = 8  # four channels of 16 bits: no file of an image is larger than that and its metadata
_METADATA = 64 * 2**20
_DEFLATE, _LZW = 1032, 4096  # how many times smaller these make bytes at best
_DCT = 512  # pixels a byte of JPEG at most: a bit for a block of 64
_IEND = b"\0\0\0\0IEND\xaeB\x60\x82"
_SIZES_OF_JPEG = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a frame header
_TYPES_OF_TIFF = {1: "B", 3: "H", 4: "I", 16: "Q"}  # unsigned integers of 1, 2, 4, 8 bytes


@dataclasses.dataclass(frozen=True)
class Header:
    """What an image is, without its pixels.

    Attributes:
        rows, columns: its size.
        bits: of a pixel once decoded, 8 or 16.
        lossy: whether it is compressed with loss.
        inverted: whether OpenCV gives it with white as zero.
    """

    rows: int
    columns: int
    bits: int
    lossy: bool = False
    inverted: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.columns

    @property
    def max_value(self) -> int:
        return 2**self.bits - 1


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a PNG, JPEG or TIFF of which no part is missing; its pixels are not read.

    Raises:
        cases.MissingError: no such file.
        cases.DataError: of another format, damaged, truncated, or of an absurd size.
    """
    with _mapped(path) as data:
        return _header(path, data)


@contextlib.contextmanager
def _mapped(path: str | os.PathLike[str]) -> Iterator[mmap.mmap]:
    try:
        with pathlib.Path(path).open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise cases.DataError(path, "not an image that can be decoded: the file is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield data
    except FileNotFoundError:
        raise cases.MissingError(path, "no such file") from None
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None


def _header(path: Any, data: mmap.mmap) -> Header:
    form = next((form for mark, form in _FORMS.items() if data[: len(mark)] == mark), None)
    if form is None:
        raise cases.DataError(path, "not an image that can be decoded: no PNG, JPEG or TIFF by its first bytes")
    try:
        header, least = form(path, data)
    except (struct.error, IndexError, KeyError):
        raise cases.DataError(path, "not an image that can be decoded: its header is damaged or truncated") from None
    if not 0 < header.rows * header.columns <= datasets.MAX_PIXELS:
        size = f"{header.rows} rows and {header.columns} columns"
        raise cases.DataError(path, f"absurd size of {size} (at most {datasets.MAX_PIXELS:,} pixels)")
    if len(data) > header.rows * header.columns * _BYTES_A_PIXEL + _METADATA:
        raise cases.DataError(path, f"{len(data):,} bytes are too many for {header.rows} x {header.columns} pixels")
    if least > len(data):
        size = f"{header.rows} x {header.columns} pixels, which take at least {least:,.0f}"
        raise cases.DataError(path, f"truncated: {len(data):,} bytes hold no {size}")
    return header


def _png(path: Any, data: mmap.mmap) -> tuple[Header, float]:
    """The header, and the fewest bytes that its pixels can take."""
    columns, rows, depth = struct.unpack(">IIB", data[16:25])
    (check,) = struct.unpack(">I", data[29:33])
    if data[12:16] != b"IHDR" or zlib.crc32(data[12:29]) != check:
        raise cases.DataError(path, "a PNG without its header chunk IHDR, or with a damaged one")
    if data[-len(_IEND) :] != _IEND and b"IEND" not in _chunks(data):
        raise cases.DataError(path, "truncated: a PNG without its last chunk IEND")
    return Header(rows, columns, 16 if depth == 16 else 8), rows * columns * depth / 8 / _DEFLATE


def _chunks(data: mmap.mmap) -> Iterator[bytes]:
    """The types of the chunks that are there whole."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        at += 12 + length
        if at <= len(data):
            yield kind


def _jpeg(path: Any, data: mmap.mmap) -> tuple[Header, float]:
    at, header = 2, None
    while data[at : at + 2] != b"\xff\xda":  # up to the first scan
        mark, marker = data[at], data[at + 1]
        if mark != 0xFF or marker == 0xD9:
            raise cases.DataError(path, "a JPEG without an image: a damaged or truncated header")
        if marker == 0xFF or marker == 1 or 0xD0 <= marker <= 0xD8:  # fill bytes and markers without a length
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        if marker in _SIZES_OF_JPEG:
            depth, rows, columns = struct.unpack(">BHH", data[at + 4 : at + 9])
            header = Header(rows, columns, 8 if depth <= 8 else 16, lossy=marker not in (0xC3, 0xC7, 0xCB, 0xCF))
        at += 2 + max(length, 2)
    if header is None:
        raise cases.DataError(path, "a JPEG without the header of its frame")
    if data.rfind(b"\xff\xd9", at) < 0:  # entropy-coded data holds no such pair of bytes
        raise cases.DataError(path, "truncated: a JPEG without its end-of-image marker")
    return header, header.rows * header.columns / _DCT


def _tiff(path: Any, data: mmap.mmap) -> tuple[Header, float]:
    tags, more = _directory(data)
    if more:
        raise cases.DataError(path, "a TIFF of several pages; expected one image")
    depth, form = max(tags.get(258, [1])), max(tags.get(339, [1]))
    if depth not in (1, 2, 4, 8, 16) or form != 1:
        kind = {1: "unsigned", 2: "signed", 3: "floating-point"}.get(form, "unknown")
        raise cases.DataError(path, f"expected unsigned pixels of 8 or 16 bits, found {kind} ones of {depth}")
    starts, sizes = (tags[324], tags[325]) if 324 in tags else (tags[273], tags[279])  # tiles or strips
    end = max(start + size for start, size in zip(starts, sizes, strict=False))
    if end > len(data):
        raise cases.DataError(path, f"truncated: the pixels end at byte {end}, the file at {len(data)}")
    rows, columns, (packing, *_) = tags[257][0], tags[256][0], tags.get(259, [1])
    inverted = tags[262] == [0] and depth == 16  # OpenCV turns 8 bits round
    header = Header(rows, columns, 16 if depth == 16 else 8, packing in (6, 7), inverted)
    return header, rows * columns * depth / 8 / (1 if packing == 1 else _LZW)


def _directory(data: mmap.mmap) -> tuple[dict[int, list[int]], int]:
    """The numbers of the first directory by tag (TIFF, or BigTIFF with offsets of 64 bits); where the next begins."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack(order + "H", data[2:4]) == (43,)
    word, width, count = ("Q", 8, "Q") if big else ("I", 4, "H")
    (at,) = struct.unpack(order + word, data[width : 2 * width])
    (entries,) = struct.unpack(order + count, data[at : at + struct.calcsize(count)])
    at += struct.calcsize(count)
    tags = {}
    for _ in range(entries):
        tag, kind, many = struct.unpack(order + "HH" + word, data[at : at + 4 + width])
        at += 4 + 2 * width
        if kind in _TYPES_OF_TIFF:
            size = many * struct.calcsize(_TYPES_OF_TIFF[kind])
            place = at - width if size <= width else struct.unpack(order + word, data[at - width : at])[0]
            if place + size > len(data):
                raise IndexError
            tags[tag] = list(struct.unpack(f"{order}{many}{_TYPES_OF_TIFF[kind]}", data[place : place + size]))
    return tags, struct.unpack(order + word, data[at : at + width])[0]


_FORMS = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"II+\0": _tiff,
    b"MM\0+": _tiff,
}


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """A gray image (H, W), uint8 or uint16, black as zero; colour is refused unless its channels are equal.

    Raises:
        cases.DataError: as `read_header`, a colour image, or pixels that cannot be decoded.
    """
    with _mapped(path) as data:
        header = _header(path, data)
        if data[:4] == b"\x89PNG" and b"IEND" not in _chunks(data):  # OpenCV takes the memory of a chunk at its word
            raise cases.DataError(path, "damaged: the chunks of the PNG do not lead to its last one, IEND")
        try:  # of the bytes at hand: `cv2.imread` cannot open names beyond ASCII on Windows
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise cases.DataError(path, f"cannot be decoded: {error.err}") from None
    if image is None:
        raise cases.DataError(path, "not an image that can be decoded: its pixels are damaged")
    if image.dtype != f"u{header.bits // 8}" or image.shape[:2] != header.shape:
        found = f"{image.dtype} {image.shape}"
        raise cases.DataError(path, f"decoded to {found}; its header says {header.bits} bits and {header.shape}")
    if image.ndim == 3:
        if (image[..., :3] != image[..., :1]).any():
            raise cases.DataError(path, f"a colour image {image.shape}; expected gray")
        image = np.ascontiguousarray(image[..., 0])
    return ~image if header.inverted else image
