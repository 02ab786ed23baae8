"""The header of a gray DICOM image of one frame, and whether its pixels can be read, decided before memory is taken.

Only the fields below are parsed: no name, birth date or other field that identifies a person is read. Standard: DICOM
PS3.3 C.7.6.3 (image pixel) and C.7.5.1.1.2 (padding), PS3.5 section 8 and annex A.4 (encapsulation).

    header = dicom_header.read("1-1.dcm")
    header.shape, header.max_value, header.lossy
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

from pydicom import config
from pydicom import uid as uids

from mammo_tf import cases, datasets
from mammo_tf.datasets import dicom_elements, dicom_fragments, dicom_stream

MAX_PIXELS = datasets.MAX_PIXELS
MAX_DECODED = 64_000_000  # of compressed pixels, whose decoders take up to a dozen bytes for each
_REQUIRED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PhotometricInterpretation")
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")
_OTHERS = ("HighBit", "PixelRepresentation", "SamplesPerPixel", "NumberOfFrames", "LossyImageCompression")
_FIELDS = (*_REQUIRED, *_SPACINGS, *_PADDING, *_OTHERS)
_BIG, _DEFLATED = uids.ExplicitVRBigEndian, uids.DeflatedExplicitVRLittleEndian
_NATIVE = (uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian, _BIG, _DEFLATED)
_GRAY = ("MONOCHROME1", "MONOCHROME2")


@dataclasses.dataclass(frozen=True)
class Header:
    """What the pixels are, without the pixels.

    Attributes:
        path: the file.
        rows, columns: size of the image.
        bits_allocated: 8 or 16, the bits that a pixel takes in the file.
        bits_stored: the bits that hold its value.
        high_bit: the highest of these; `bits_stored` - 1 but for odd files.
        signed: whether the value is a two's complement.
        photometric: "MONOCHROME1" (0 is white) or "MONOCHROME2".
        padding: smallest and largest value of pixels outside of the image, on the scale from 0 to `max_value`, not
            inverted; None where there are none.
        spacing_mm: side of a pixel in mm; None where unknown or where pixels are not square.
        lossy: whether the pixels went through a lossy compression, in this file or before.
        syntax: UID of the transfer syntax.
        offset: where uncompressed pixels begin: in the file, or in what its deflated part holds.
        swapped: whether 8-bit pixels lie in big-endian words of 16 bits.
        body: where the deflated part begins in the file.
        fragments: start and length of the pieces of a compressed stream.
    """

    path: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    padding: tuple[int, int] | None
    spacing_mm: float | None
    lossy: bool
    syntax: str
    offset: int = 0
    swapped: bool = False
    body: int = 0
    fragments: tuple[tuple[int, int], ...] = dataclasses.field(default=(), repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.columns

    @property
    def max_value(self) -> int:
        """The largest value that `bits_stored` allows."""
        return 2**self.bits_stored - 1

    @property
    def deflated(self) -> bool:
        return self.syntax == _DEFLATED

    @property
    def size(self) -> int:
        """Bytes that the uncompressed pixels take."""
        size = self.rows * self.columns * self.bits_allocated // 8
        return size + size % 2 if self.swapped else size


def read(path: str | os.PathLike[str]) -> Header:
    """The header of an image whose pixels can be read; those of a deflated file are not counted yet.

    Raises:
        cases.MissingError: no such file.
        cases.DataError: not DICOM, no image, of an unsupported kind, damaged or truncated.
    """
    with named_faults(path, "damaged DICOM header"), pathlib.Path(path).open("rb") as file:
        found = dicom_elements.read(file, _FIELDS)
        return _locate(_header(str(path), found), found, file)


@contextlib.contextmanager
def named_faults(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Turns whatever reading a damaged file raises into a `cases.DataError` that names the file."""
    try:
        yield
    except cases.DataError:
        raise
    except FileNotFoundError as error:
        raise cases.MissingError(path, f"cannot be read: {error.strerror}") from None
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    except dicom_elements.NoDicomError as error:
        raise cases.DataError(path, f"not a DICOM file: {error}") from None
    except Exception as error:  # a damaged file fails in many ways
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise cases.DataError(path, f"{what}: {kind}{error}") from None


def _header(path: str, found: dicom_elements.Found) -> Header:
    syntax = uids.UID(found.syntax, config.IGNORE)  # else pydicom warns of a damaged one
    if not syntax:
        raise cases.DataError(path, "no transfer syntax in the file's header")
    if missing := [name for name in _REQUIRED if not found.values.get(name, ("", b""))[1].strip(b" ")]:
        raise cases.DataError(path, f"not an image: no {', '.join(missing)} in its header")
    codec = dicom_stream.CODECS.get(syntax)
    if syntax not in _NATIVE and codec is None:
        raise cases.DataError(path, f"unsupported transfer syntax {syntax.name} ({syntax})")
    rows, columns, allocated, stored = (_integer(found, name) for name in _REQUIRED[:4])
    header = Header(
        path=path,
        rows=rows,
        columns=columns,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=_integer(found, "HighBit", stored - 1),
        signed=_integer(found, "PixelRepresentation", 0) == 1,
        photometric=found.texts("PhotometricInterpretation")[0],
        padding=None,
        spacing_mm=_spacing(found),
        lossy=bool(codec and codec.lossy) or found.texts("LossyImageCompression") == ("01",),
        syntax=str(syntax),
        body=found.body,
    )
    for kept, reason in _rules(header, found):
        if not kept:
            raise cases.DataError(path, reason)
    return dataclasses.replace(header, padding=_padding(header, found))


def _integer(found: dicom_elements.Found, name: str, default: int = 0) -> int:
    return (found.integers(name) or (default,))[0]


def _rules(header: Header, found: dicom_elements.Found) -> list[tuple[bool, str]]:
    """What must hold for the pixels to be read, each with the message that says it does not."""
    samples, frames = _integer(found, "SamplesPerPixel", 1), (found.texts("NumberOfFrames") or ("1",))[0]
    gray, allocated, stored, high = header.photometric, header.bits_allocated, header.bits_stored, header.high_bit
    most = MAX_PIXELS if header.syntax in _NATIVE else MAX_DECODED
    shifts = header.syntax in (*_NATIVE, uids.RLELossless)  # the other codecs know values, not the bits of a word
    return [
        (gray in _GRAY and samples == 1, f"expected gray pixels, found {gray} with {samples} sample(s) a pixel"),
        (frames in ("0", "1"), f"expected one frame, found {frames}"),
        (allocated in (8, 16), f"expected 8 or 16 bits allocated, found {allocated}"),
        (1 <= stored <= allocated, f"expected 1 to {allocated} bits stored, found {stored}"),
        (
            stored - 1 <= high < allocated,
            f"expected the high bit to be {stored - 1} to {allocated - 1}, found {high}",
        ),
        (
            shifts or high == stored - 1,
            f"expected the high bit of compressed pixels to be {stored - 1}, found {high}",
        ),
        (
            0 < header.rows * header.columns <= most,
            f"absurd size of {header.rows} rows and {header.columns} columns (at most {most:,} pixels)",
        ),
    ]


def _spacing(found: dicom_elements.Found) -> float | None:
    for name in _SPACINGS:
        pair = found.texts(name)
        if len(pair) == 2:
            try:
                row, column = (float(value) for value in pair)
            except ValueError:
                continue
            square = row > 0 and abs(row - column) <= 0.01 * row
            return row if square else None
    return None


def _padding(header: Header, found: dicom_elements.Found) -> tuple[int, int] | None:
    """Padding by its bits, whichever representation the field claims; a value that no pixel can have marks none."""
    ends = [found.integers(name)[:1] for name in _PADDING]
    half = 1 << header.bits_stored - 1 if header.signed else 0
    values = [(raw - 65536 if header.signed and raw > 32767 else raw) + half for end in ends for raw in end]
    if not ends[0] or not 0 <= values[0] <= header.max_value:
        return None
    return max(min(values), 0), min(max(values), header.max_value)


def _locate(header: Header, found: dicom_elements.Found, file: BinaryIO) -> Header:
    """Where the pixels lie, once it is sure that all of them are there."""
    element = found.pixels
    if element is None:
        raise cases.DataError(header.path, "no pixel data")
    if element.tag != dicom_elements.PIXELS:
        raise cases.DataError(header.path, "expected pixels of integers, found floating-point ones")
    if header.syntax not in _NATIVE:
        if element.length is not None:
            raise cases.DataError(header.path, "expected compressed pixels in fragments, found one block")
        header = dataclasses.replace(header, fragments=dicom_fragments.find(header.path, element.start, file))
        dicom_fragments.check(header, file)
        return header
    if element.length is None:
        raise cases.DataError(header.path, "expected uncompressed pixels, found fragments")
    swapped = header.syntax == _BIG and header.bits_allocated == 8 and element.vr == "OW"
    header = dataclasses.replace(header, offset=element.start, swapped=swapped)
    present = header.size if header.deflated else os.fstat(file.fileno()).st_size - element.start
    check_size(header, min(element.length, present))
    return header


def check_size(header: Header, found: int) -> None:
    """Raises cases.DataError where fewer bytes of uncompressed pixels were found than the image takes."""
    if found < header.size:
        raise cases.DataError(header.path, f"truncated: expected {header.size} bytes of pixels, found {found}")
