"""The data elements of a DICOM file: finds the few that are asked for and jumps over all others.

What is not asked for is never read off the disk, let alone parsed: no name and no birth date gets into memory.
Deflated files are inflated up to a limit. Standard: DICOM PS3.5 section 7 (elements, sequences), PS3.10 section 7.1.

    with open("1-1.dcm", "rb") as file:
        found = dicom_elements.read(file, ("Rows", "WindowCenter"))
    found.integers("Rows"), found.texts("WindowCenter")   # (4664,), ("2047", "1800")
"""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from pydicom import datadict
from pydicom import uid as uids

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = 0x7FE00010
_FLOAT_PIXELS = 0x7FE00008  # the first of the elements that hold pixels; everything before it is header
_UNDEFINED = 0xFFFFFFFF
_LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")  # lengths of 32 bits
_MAX_ELEMENTS = 200_000  # about half a second; no header of one frame comes near
_MAX_VALUE = 1 << 18  # bytes of one value: the largest asked for is a table of 65,536 entries of 16 bits
_MAX_HEAD = 1 << 22  # bytes, inflated, in which the header of a deflated file must end
_BLOCK, _PIECE = 1 << 20, 1 << 24  # bytes that are read and inflated at once


@dataclasses.dataclass(frozen=True)
class Element:
    """Tag, value representation ("" where implicit), and where the value lies; length None where undefined."""

    tag: int
    vr: str
    start: int
    length: int | None


@dataclasses.dataclass(frozen=True)
class Found:
    """The elements asked for that a file has.

    Attributes:
        syntax: UID of the transfer syntax, "" where the file does not say.
        order: "<" for little endian, ">" for big endian.
        values: representation and bytes by keyword.
        items: the first item of each sequence asked for, by keyword.
        pixels: the element in which the header ends, None where no pixels follow.
        body: where the data set begins in the file; what follows it is deflated if the syntax says so.
    """

    syntax: str
    order: str
    values: Mapping[str, tuple[str, bytes]]
    items: Mapping[str, Found]
    pixels: Element | None = None
    body: int = 0

    def texts(self, name: str) -> tuple[str, ...]:
        """The parts of a text value, without the blanks around them; () where the file has none."""
        raw = self.values.get(name, ("", b""))[1].decode("latin-1").strip(" \0")
        return tuple(part.strip(" \0") for part in raw.split("\\")) if raw else ()

    def integers(self, name: str) -> tuple[int, ...]:
        """The parts of a value of unsigned 16-bit integers; () where the file has none."""
        raw = self.values.get(name, ("", b""))[1]
        return struct.unpack(f"{self.order}{len(raw) // 2}H", raw[: len(raw) // 2 * 2])


class NoDicomError(ValueError):
    """The file lacks the mark of DICOM."""


def read(file: BinaryIO, names: Sequence[str]) -> Found:
    """Finds the elements with these keywords in front of the pixels; of a sequence, those of its first item.

    Raises:
        NoDicomError: no mark "DICM" after the preamble.
        ValueError: the header is cut off or damaged.
    """
    if file.read(132)[128:] != b"DICM":
        raise NoDicomError("no DICM mark after the preamble")
    syntax, body = _syntax(file), file.tell()
    if syntax == uids.DeflatedExplicitVRLittleEndian:
        file = io.BytesIO(b"".join(inflated(file, _MAX_HEAD)))
    order = ">" if syntax == uids.ExplicitVRBigEndian else "<"
    walker = _Walker(file, order, _is_implicit(file))
    found = _collect(walker, walker.elements(), {datadict.tag_for_keyword(name): name for name in names})
    return dataclasses.replace(found, syntax=syntax, body=body)


def _syntax(file: BinaryIO) -> str:
    """Transfer syntax in the group 0002, which is explicit and little endian; the file is left behind that group."""
    walker, syntax = _Walker(file, "<", False), ""
    for element in walker.elements(group=b"\x02\x00"):
        if element.tag == 0x00020010:
            syntax = walker.value(element).decode("latin-1").strip(" \0")
    return syntax


def inflated(file: BinaryIO, limit: int) -> Iterator[bytes]:
    """The first `limit` bytes of a deflated stream, or all of a shorter one, in pieces of at most 16 MiB."""
    machine, left = zlib.decompressobj(-zlib.MAX_WBITS), limit
    while left > 0 and not machine.eof and (block := machine.unconsumed_tail or file.read(_BLOCK)):
        piece = machine.decompress(block, min(left, _PIECE))
        left -= len(piece)
        yield piece


def name_of(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _is_implicit(file: BinaryIO) -> bool:
    """Whether the elements go without representations: some files contradict their own transfer syntax there."""
    head = _ahead(file, 6)
    return not (head[4:].isalpha() and head[4:].isupper())


def _ahead(file: BinaryIO, count: int) -> bytes:
    found = file.read(count)
    file.seek(-len(found), io.SEEK_CUR)
    return found


def _collect(walker: _Walker, elements: Iterator[Element], wanted: Mapping[int, str]) -> Found:
    values, items, pixels = {}, {}, None
    for element in elements:
        if element.tag >= _FLOAT_PIXELS and element.tag < ITEM:
            pixels = element if element.tag <= PIXELS else None
            break
        name = wanted.get(element.tag)
        if name and datadict.dictionary_VR(element.tag) == "SQ":
            if (inner := walker.first_item(element)) is not None:
                items[name] = _collect(walker, inner, wanted)
        elif name:
            values[name] = (element.vr, walker.value(element))
    return Found("", walker.order, values, items, pixels)


class _Walker:
    """Goes from element to element."""

    def __init__(self, file: BinaryIO, order: str, implicit: bool):
        self.file, self.order, self.implicit = file, order, implicit
        self.left, here = _MAX_ELEMENTS, file.tell()
        self.size = file.seek(0, io.SEEK_END)
        file.seek(here)

    def elements(self, end: int | None = None, group: bytes = b"") -> Iterator[Element]:
        """The elements from here on, up to `end`, another group, or the end of an item or of the file."""
        end = self.size if end is None else end
        while self.file.tell() < end and _ahead(self.file, len(group)) == group:
            element = self._next(self.implicit)
            if element.tag in (ITEM_END, SEQUENCE_END):
                return
            yield element
            self.file.seek(element.start)
            if element.length is None:
                self._skip(element)
            else:
                self._jump(element)

    def first_item(self, sequence: Element) -> Iterator[Element] | None:
        """The elements of a sequence's first item; None where it is empty."""
        self.file.seek(sequence.start)
        if sequence.length == 0 or (item := self._next(self.implicit)).tag != ITEM:
            return None
        return self.elements(None if item.length is None else item.start + item.length)

    def value(self, element: Element) -> bytes:
        if element.length is None or element.length > _MAX_VALUE:
            raise ValueError(f"element {name_of(element.tag)} is too long for what it should hold")
        self.file.seek(element.start)
        found = self.file.read(element.length)
        if len(found) < element.length:
            raise ValueError(f"cut off in element {name_of(element.tag)}")
        return found

    def _next(self, implicit: bool) -> Element:
        self.left -= 1
        if not self.left:
            raise ValueError(f"more than {_MAX_ELEMENTS:,} elements")
        head = self._bytes(8)
        group, number = struct.unpack(f"{self.order}HH", head[:4])
        tag, vr = group << 16 | number, ""
        (length,) = struct.unpack(f"{self.order}L", head[4:])
        if not implicit and group != 0xFFFE:
            vr = head[4:6].decode("latin-1")
            if not (head[4:6].isalpha() and head[4:6].isupper()):
                raise ValueError(f"element {name_of(tag)} has the representation {vr!r}")
            form, raw = ("L", self._bytes(4)) if vr in _LONG else ("H", head[6:])
            (length,) = struct.unpack(self.order + form, raw)
        undefined = length == _UNDEFINED
        return Element(tag, vr, self.file.tell(), None if undefined else length)

    def _bytes(self, count: int) -> bytes:
        found = self.file.read(count)
        if len(found) < count:
            raise ValueError(f"cut off at byte {self.size}")
        return found

    def _jump(self, element: Element) -> None:
        end = element.start + element.length
        if end > self.size:
            raise ValueError(
                f"cut off: element {name_of(element.tag)} reaches {end - self.size} bytes beyond the end"
            )
        self.file.seek(end)

    def _skip(self, sequence: Element) -> None:
        """Jumps behind a sequence of undefined length; one of unknown kind holds implicit elements (PS3.5 6.2.2)."""
        open_ones = [self.implicit or sequence.vr == "UN"]
        while open_ones:
            element = self._next(open_ones[-1])
            if element.tag in (ITEM_END, SEQUENCE_END):
                open_ones.pop()
            elif element.length is None:
                open_ones.append(open_ones[-1] or element.vr == "UN")
            else:
                self._jump(element)
