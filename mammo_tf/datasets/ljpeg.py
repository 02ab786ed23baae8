"""DDSM's `.LJPEG` files: lossless JPEG as the program of Stanford's Portable Video Research Group writes it.

ITU-T T.81 annex H: each pixel is predicted from the one on its left (a), above (b) or both and the one between (c),
and the difference, modulo 65536, is Huffman coded. Two things differ in that program, found in its source and in its
streams: on the first line the selected predictor is used with a line of 2^(P-1) above it, where T.81 has a; and
restart markers do not reset the prediction. So libraries decode its predictors 1, 4 and 5 and turn 2, 3, 6 and 7 into
gradients. Here libjpeg-turbo (imagecodecs) does the Huffman coding and we do the prediction: with the header's
precision set to 16 and its predictor to 1, differences of what it decodes are those of the stream.

    pixels = ljpeg.read_pixels("B_3013_1.LEFT_CC.LJPEG")     # (H, W) uint8 up to 8 bits, else uint16
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import struct
from typing import Any

import numpy as np

from mammo_tf import cases, datasets
from mammo_tf.datasets import ljpeg_prediction

ALGORITHM_VERSION = 1
PVRG, T81 = "pvrg", "t81"  # rules of prediction
HEAD = 1 << 16  # bytes in which a header must end; that of DDSM's files has about 60
_TAIL = 1 << 12  # bytes at the end of a file in which the end marker stands
_END = b"\xff\xd9"
_FULL = 16  # bits that the library is told
_MIDDLE = 1 << _FULL - 1
_SLACK = (
    128  # bits left over after the last pixel; a stream ends with at most 7, what its files may hold is not known
)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclasses.dataclass(frozen=True)
class Header:
    """What a stream says of itself.

    Attributes:
        rows, columns: its size, which some of DDSM's files have the wrong way round.
        bits: of a pixel.
        predictor: 1 to 7.
        shift: bits that every pixel was shifted by (the point transform).
        restart: pixels between two restart markers, 0 where there are none.
        lengths: of the Huffman codes of the categories 0 to 16; 0 where there is none.
        at: bytes at which its precision, its predictor and its data stand.
    """

    rows: int
    columns: int
    bits: int
    predictor: int
    shift: int
    restart: int
    lengths: tuple[int, ...]
    at: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.columns


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a file that has an end and can hold its pixels; they are not decoded.

    Raises:
        cases.MissingError: no such file.
        cases.DataError: no lossless JPEG of one component, damaged, truncated, or of an absurd size.
    """
    try:
        with pathlib.Path(path).open("rb") as file:
            head, size = file.read(HEAD), os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _TAIL))
            tail = file.read()
    except FileNotFoundError:
        raise cases.MissingError(path, "no such file") from None
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    return _parsed(head, tail, size, path)


def read_pixels(path: str | os.PathLike[str], *, rule: str = PVRG) -> np.ndarray:
    """The pixels of a file, (H, W) as its header has it: uint8 where they have up to 8 bits, else uint16.

    Raises:
        cases.DataError: as `decode`, or it cannot be read.
    """
    read_header(path)
    return decode(pathlib.Path(path).read_bytes(), path, rule=rule)


def decode(data: bytes, path: Any = "stream", *, rule: str = PVRG) -> np.ndarray:
    """The pixels of a stream.

    Args:
        data: the stream.
        path: the file, for messages.
        rule: "pvrg", or "t81" for streams that other programs wrote.

    Raises:
        cases.DataError: as `read_header`; its data end before the last pixel or far behind it, or a pixel is above
            its bits.
    """
    header = _parsed(data[:HEAD], data[-_TAIL:], len(data), path)
    coded = _differences(_decoded(data, header, path), header)
    _check_length(data, header, coded, path)
    start = 1 << header.bits - header.shift - 1
    if rule == PVRG:
        pixels = ljpeg_prediction.restored(coded, header.predictor, start, left_first=False)
    else:
        lines = header.restart // header.columns or header.rows
        parts = [coded[row : row + lines] for row in range(0, header.rows, lines)]
        pixels = np.concatenate(
            [ljpeg_prediction.restored(part, header.predictor, start, left_first=True) for part in parts]
        )
    if (top := int(pixels.max()) << header.shift) >> header.bits:
        raise cases.DataError(path, f"damaged: decodes to {top}, more than {header.bits} bits hold")
    return (pixels << header.shift).astype(np.uint8 if header.bits <= 8 else np.uint16)


def encode(pixels: np.ndarray, bits: int, *, predictor: int = 1) -> bytes:
    """The stream of an image as the program has it, without restart markers.

    Args:
        pixels: (H, W) uint8 or uint16.
        bits: 2 to 16.
        predictor: 1 to 7.

    Raises:
        ValueError: a pixel is above the bits, or one of the numbers out of range.
    """
    import imagecodecs  # here: it loads a library for each codec

    if not (
        2 <= bits <= 16 and 1 <= predictor <= 7 and pixels.ndim == 2 and pixels.size and pixels.max() >> bits == 0
    ):
        found = f"{bits} bits, predictor {predictor}, {pixels.dtype} {pixels.shape}"
        raise ValueError(f"expected 2 to 16 bits, predictor 1 to 7 and gray pixels that fit, found {found}")
    chain = ljpeg_prediction.differences(pixels, predictor, 1 << bits - 1)
    chain[:1, 0] += np.uint16(_MIDDLE)
    chain[:, 0] = np.cumsum(chain[:, 0], dtype=np.uint16)
    chain = np.cumsum(chain, axis=1, dtype=np.uint16)
    data = bytearray(imagecodecs.jpeg8_encode(chain, lossless=True, predictor=1, bitspersample=_FULL))
    if data[2:4] == b"\xff\xe0":  # JFIF, which DDSM's files do not have
        del data[2 : 4 + struct.unpack_from(">H", data, 4)[0]]
    precision, scan, _ = _parsed(bytes(data[:HEAD]), bytes(data[-_TAIL:]), len(data), "stream").at
    data[precision], data[scan] = bits, predictor
    return bytes(data)


def _parsed(head: bytes, tail: bytes, size: int, path: Any) -> Header:
    try:
        header = _header(head, path)
    except (struct.error, IndexError, KeyError):
        raise cases.DataError(path, "not a lossless JPEG: its header is damaged or truncated") from None
    if not 0 < header.rows * header.columns <= datasets.MAX_PIXELS:
        found = f"{header.rows} rows and {header.columns} columns"
        raise cases.DataError(path, f"absurd size of {found} (at most {datasets.MAX_PIXELS:,} pixels)")
    if not (2 <= header.bits <= 16 and 1 <= header.predictor <= 7 and header.shift < header.bits):
        found = f"{header.bits}, predictor {header.predictor}, shift {header.shift}"
        raise cases.DataError(path, f"expected 2 to 16 bits, predictor 1 to 7 and a smaller shift, found {found}")
    if header.restart % header.columns:
        found = f"every {header.restart} pixels for {header.columns} columns"
        raise cases.DataError(path, f"expected restarts at the beginning of lines, found them {found}")
    if 8 * size < header.rows * header.columns or _END not in tail:
        found = f"{size:,} bytes{'' if _END in tail else ' without an end marker'}"
        raise cases.DataError(path, f"truncated: {header.rows} x {header.columns} pixels, {found}")
    return header


def _header(head: bytes, path: Any) -> Header:
    if head[:2] != b"\xff\xd8":
        raise cases.DataError(path, f"not a lossless JPEG: begins with {head[:4].hex(' ') or 'nothing'}")
    at, frame, tables, restart = 2, None, {}, 0
    while True:
        if head[at] != 0xFF:
            raise cases.DataError(path, f"damaged: no marker at byte {at} of its header")
        marker = head[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        length = struct.unpack_from(">H", head, at + 2)[0]
        body = head[at + 4 : at + 2 + length]
        if marker in _FRAMES:
            frame = at + 4, *struct.unpack_from(">BHHB", body)
            if marker != 0xC3 or frame[4] != 1:
                found = f"process {marker - 0xC0} and {frame[4]} components"
                raise cases.DataError(path, f"expected a lossless JPEG (process 3) of one component, found {found}")
        elif marker == 0xC4:
            tables |= _tables(body)
        elif marker == 0xDD:
            restart = struct.unpack_from(">H", body)[0]
        elif marker == 0xDA:
            components, _, table, predictor, _, shift = struct.unpack_from(">6B", body)
            if components != 1 or frame is None or length != 8:
                raise cases.DataError(path, "damaged: expected one scan of one component, after the frame header")
            place, bits, rows, columns, _ = frame
            ends = place, at + 7, at + 2 + length
            return Header(rows, columns, bits, predictor, shift & 15, restart, tables[table >> 4], ends)
        at += 2 + max(length, 2)


def _tables(body: bytes) -> dict[int, tuple[int, ...]]:
    """Lengths of the codes of the categories 0 to 16, by number of the table."""
    found, at = {}, 0
    while at < len(body):
        counts, lengths = body[at + 1 : at + 17], [0] * 17
        symbols = iter(body[at + 17 : at + 17 + sum(counts)])
        for length, count in enumerate(counts, 1):
            for _, symbol in zip(range(count), symbols, strict=False):
                if symbol <= 16:  # others stand for nothing
                    lengths[symbol] = length
        found[body[at]] = tuple(lengths)
        at += 17 + sum(counts)
    return found


def _decoded(data: bytes, header: Header, path: Any) -> np.ndarray:
    """What the library makes of the stream, told of 16 bits and of predictor 1: (H, W) uint16."""
    import imagecodecs  # here: it loads a library for each codec

    told, (precision, scan, _) = bytearray(data), header.at
    told[precision], told[scan], told[scan + 2] = _FULL, 1, 0
    try:
        pixels = imagecodecs.jpeg8_decode(bytes(told))
    except Exception as error:  # of kinds of its own
        reason = " ".join(str(error).split())[:200]
        raise cases.DataError(path, f"the compressed pixels cannot be decoded: {reason}") from None
    if pixels.shape != header.shape or pixels.dtype != np.uint16:
        raise cases.DataError(path, f"decoded to {pixels.dtype} {pixels.shape}; its header says {header.shape}")
    return pixels


def _differences(chain: np.ndarray, header: Header) -> np.ndarray:
    """The differences of the stream, modulo 65536, (H, W) uint16."""
    out = np.empty_like(chain)
    np.subtract(chain[:, 1:], chain[:, :-1], out=out[:, 1:])
    above = np.concatenate([np.array([_MIDDLE], np.uint16), chain[:-1, 0]])
    if header.restart:
        above[:: header.restart // header.columns] = _MIDDLE
    out[:, 0] = chain[:, 0] - above
    return out


def _check_length(data: bytes, header: Header, coded: np.ndarray, path: Any) -> None:
    """Holds the bits of the stream against those that its pixels take: the library fills up in silence."""
    begin = header.at[2]
    end = data.find(_END, begin)
    body = data[begin:end]
    present = 8 * (len(body) - body.count(b"\xff\x00"))
    category = _categories()
    lengths = np.array(header.lengths)[category]
    cost = np.where(lengths > 0, lengths + category * (category < 16), 255).astype(np.uint8)
    needed = int(cost[coded].sum(dtype=np.int64))
    markers = (coded.size - 1) // header.restart if header.restart else 0
    if not 0 <= present - 16 * markers - needed <= _SLACK + 7 * markers:
        found = f"{needed:,} bits of pixels in {present - 16 * markers:,} bits of data"
        raise cases.DataError(path, f"truncated or damaged: {found}")


@functools.cache
def _categories() -> np.ndarray:
    """The category of each difference modulo 65536: the bits that its absolute value takes, 16 for 32768."""
    values = np.abs(np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32))
    return np.ceil(np.log2(values + 1)).astype(int)
