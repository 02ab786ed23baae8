"""Compressed pixels in a DICOM file: where their fragments lie, and whether these hold the image of the header.

A file cut off, a stream of another size or kind, and a stream too short or too long for its image are found here,
before anything is decoded. Standard: DICOM PS3.5 annex A.4.

    fragments = dicom_fragments.find(path, start, file)   # ((1090, 51204),)
    stream = dicom_fragments.join(fragments, file)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from mammo_tf import cases
from mammo_tf.datasets import dicom_elements, dicom_stream

if TYPE_CHECKING:
    from mammo_tf.datasets import dicom_header

_MAX_FRAGMENTS = 100_000
_TAIL = 64  # bytes at the end of a stream in which its end mark must stand: padding may follow it


def find(path: str, start: int, file: BinaryIO) -> tuple[tuple[int, int], ...]:
    """Start and length of the items after the first one, which is a table of offsets.

    That the list has no end mark is forgiven where the file ends with a whole fragment.

    Raises:
        cases.DataError: the list is cut off or damaged.
    """
    size, found = file.seek(0, 2), []
    file.seek(start)
    while len(head := file.read(8)) == 8 and len(found) < _MAX_FRAGMENTS:
        tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
        if tag == dicom_elements.SEQUENCE_END:
            break
        if tag != dicom_elements.ITEM:
            raise cases.DataError(
                path, f"damaged: expected a fragment of pixels, found {dicom_elements.name_of(tag)}"
            )
        begin, length = file.tell(), int.from_bytes(head[4:], "little")
        if begin + length > size:
            missing = f"the last {begin + length - size} of {length} bytes are missing"
            raise cases.DataError(path, f"truncated: in fragment {len(found)} of the compressed pixels {missing}")
        found.append((begin, length))
        file.seek(begin + length)
    if not any(length for _, length in found[1:]):
        raise cases.DataError(path, "truncated: no fragment of the compressed pixels is there")
    return tuple(found[1:])


def join(fragments: Sequence[tuple[int, int]], file: BinaryIO, limit: int | None = None) -> bytes:
    """The fragments in a row, or their first `limit` bytes."""
    pieces, left = [], sum(length for _, length in fragments) if limit is None else limit
    for start, length in fragments:
        if left <= 0:
            break
        file.seek(start)
        pieces.append(file.read(min(length, left)))
        left -= len(pieces[-1])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def check(header: dicom_header.Header, file: BinaryIO) -> None:
    """Holds the stream in `header.fragments`, its length and its own header, against the header of the file.

    Raises:
        cases.DataError: they disagree, or the stream is cut off.
    """
    codec, size = dicom_stream.CODECS[header.syntax], sum(length for _, length in header.fragments)
    least, most = int(header.rows * header.columns * codec.least_bits) // 8, 4 * header.size + dicom_stream.HEAD
    if not least <= size <= most:
        fault = "truncated" if size < least else "damaged"
        raise cases.DataError(
            header.path, f"{fault}: expected {least} to {most} bytes of compressed pixels, found {size}"
        )
    if not codec.processes:
        return
    try:
        frame = dicom_stream.parse(join(header.fragments, file, dicom_stream.HEAD))
    except ValueError as error:
        raise cases.DataError(header.path, f"damaged stream of pixels: {error}") from None
    for kept, reason in _rules(header, codec, frame, _tail(header.fragments, file)):
        if not kept:
            raise cases.DataError(header.path, reason)


def _tail(fragments: Sequence[tuple[int, int]], file: BinaryIO) -> bytes:
    ends = [(start + max(length - _TAIL, 0), min(length, _TAIL)) for start, length in fragments[-2:]]
    return join(ends, file)


def _rules(
    header: dicom_header.Header, codec: dicom_stream.Codec, frame: dicom_stream.Frame, tail: bytes
) -> list[tuple[bool, str]]:
    """What must hold for the stream, each with the message that says it does not."""
    kinds = " or ".join(dicom_stream.PROCESSES[process] for process in codec.processes)
    size = f"{header.rows} rows and {header.columns} columns"
    return [
        (frame.process in codec.processes, f"expected a stream of {kinds}, found {frame.name}"),
        (
            (frame.rows, frame.columns) == header.shape,
            f"expected {size}, found {frame.rows} and {frame.columns} in the stream of pixels",
        ),
        (frame.components == 1, f"expected gray pixels, found {frame.components} components in the stream of pixels"),
        (
            2 <= frame.precision <= header.bits_allocated,
            f"expected at most {header.bits_allocated} bits a pixel, found {frame.precision} in the stream of pixels",
        ),
        (
            dicom_stream.END in tail,
            "truncated: the stream of compressed pixels has no end mark",
        ),
    ]
