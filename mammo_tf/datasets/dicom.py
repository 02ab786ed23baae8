"""Uncompressed grayscale DICOM, 8 to 16 bits, one frame: header, pixels, writer.

Everything is decided from the header, before memory is taken. Only the fields of `Header` are parsed: no name, birth
date or other field that identifies a person is read. Standard: DICOM PS3.3 C.7.6.3 (image pixel), PS3.5 section 8.

    header = dicom.read_header("000000.dcm")
    pixels = dicom.read_pixels("000000.dcm")   # (H, W), dark background; a memory map where the file allows it
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom import uid as uids

from mammo_tf import cases

MAX_PIXELS = 200_000_000  # five times the largest digitised film: anything above is a damaged header
_REQUIRED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PhotometricInterpretation")
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_FIELDS = (*_REQUIRED, *_SPACINGS, "HighBit", "PixelRepresentation", "SamplesPerPixel", "NumberOfFrames")
_BIG = uids.ExplicitVRBigEndian
_SYNTAXES = (uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian, _BIG)
_GRAY = ("MONOCHROME1", "MONOCHROME2")
_UNDEFINED = 0xFFFFFFFF


@dataclasses.dataclass(frozen=True)
class Header:
    """What the pixels are, without the pixels.

    Attributes:
        path: the file.
        rows, columns: size of the image.
        bits_allocated: 8 or 16, the bits that a pixel takes in the file.
        bits_stored: the bits that hold its value, the lowest ones.
        photometric: "MONOCHROME1" (0 is white) or "MONOCHROME2".
        spacing_mm: side of a pixel in mm; None where unknown or where pixels are not square.
        syntax: UID of the transfer syntax.
        offset: where the pixels begin in the file.
    """

    path: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    photometric: str
    spacing_mm: float | None
    syntax: str
    offset: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.columns

    @property
    def max_value(self) -> int:
        """The largest value that `bits_stored` allows."""
        return 2**self.bits_stored - 1


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a file that `read_pixels` can read.

    Raises:
        cases.DataError: missing, not DICOM, compressed, in colour, multi-frame, signed, of absurd size, or truncated.
    """
    try:
        with pathlib.Path(path).open("rb") as file:
            data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_FIELDS))
            return _header(path, data, file)
    except cases.DataError:
        raise
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    except pydicom.errors.InvalidDicomError:
        raise cases.DataError(path, "not a DICOM file: no DICM mark after the preamble") from None
    except Exception as error:  # a damaged file makes the parser fail in many ways
        raise cases.DataError(path, f"damaged DICOM header: {type(error).__name__}: {error}") from None


def _header(path: Any, data: pydicom.FileDataset, file: BinaryIO) -> Header:
    syntax = data.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise cases.DataError(path, "no transfer syntax in the file's header")
    if syntax not in _SYNTAXES:
        raise cases.DataError(path, f"unsupported transfer syntax {syntax.name} ({syntax}): only uncompressed pixels")
    fields = {element.keyword: element.value for element in data}
    if missing := [name for name in _REQUIRED if fields.get(name) is None]:
        raise cases.DataError(path, f"not an image: no {', '.join(missing)} in its header")
    for kept, reason in _rules(fields):
        if not kept:
            raise cases.DataError(path, reason)
    header = Header(
        path=str(path),
        rows=int(fields["Rows"]),
        columns=int(fields["Columns"]),
        bits_allocated=int(fields["BitsAllocated"]),
        bits_stored=int(fields["BitsStored"]),
        photometric=str(fields["PhotometricInterpretation"]),
        spacing_mm=_spacing(fields),
        syntax=str(syntax),
        offset=0,
    )
    return dataclasses.replace(header, offset=_offset(header, file))


def _rules(fields: Mapping[str, Any]) -> list[tuple[bool, str]]:
    """What must hold for the pixels to be read, each with the message that says it does not."""
    samples, frames = int(fields.get("SamplesPerPixel") or 1), int(fields.get("NumberOfFrames") or 1)
    rows, columns, gray = fields["Rows"], fields["Columns"], fields["PhotometricInterpretation"]
    allocated, stored = fields["BitsAllocated"], fields["BitsStored"]
    high = fields.get("HighBit", stored - 1)
    return [
        (gray in _GRAY and samples == 1, f"expected gray pixels, found {gray} with {samples} sample(s) a pixel"),
        (frames == 1, f"expected one frame, found {frames}"),
        (allocated in (8, 16), f"expected 8 or 16 bits allocated, found {allocated}"),
        (not fields.get("PixelRepresentation"), "expected unsigned pixels, found signed ones"),
        (1 <= stored <= allocated, f"expected 1 to {allocated} bits stored, found {stored}"),
        (high == stored - 1, f"expected the high bit to be {stored - 1}, found {high}"),
        (
            0 < rows * columns <= MAX_PIXELS,
            f"absurd size of {rows} rows and {columns} columns (at most {MAX_PIXELS:,} pixels)",
        ),
    ]


def _spacing(fields: Mapping[str, Any]) -> float | None:
    for name in _SPACINGS:
        pair = fields.get(name)
        if pair is not None and len(pair) == 2:
            row, column = (float(value) for value in pair)
            square = row > 0 and abs(row - column) <= 0.01 * row
            return row if square else None
    return None


def _offset(header: Header, file: BinaryIO) -> int:
    """Where the pixels begin; the parser has stopped in front of the pixel element (PS3.5 section 7.1)."""
    order = ">" if header.syntax == _BIG else "<"
    implicit = header.syntax == uids.ImplicitVRLittleEndian
    form = order + ("HHL" if implicit else "HH2sHL")
    fields = file.read(struct.calcsize(form))
    if len(fields) < struct.calcsize(form) or struct.unpack(form, fields)[:2] != (0x7FE0, 0x0010):
        raise cases.DataError(header.path, "no pixel data")
    length = struct.unpack(form, fields)[-1]
    present = os.fstat(file.fileno()).st_size - file.tell()
    found = present if length == _UNDEFINED else min(length, present)
    expected = header.rows * header.columns * header.bits_allocated // 8
    if found < expected:
        raise cases.DataError(header.path, f"truncated: expected {expected} bytes of pixels, found {found}")
    return file.tell()


def read_pixels(path: str | os.PathLike[str]) -> np.ndarray:
    """The stored pixels, (H, W) uint8 or uint16, dark background; values from 0 to the header's `max_value`.

    Where nothing has to be computed the result is a read-only memory map: cutting a crop reads the crop alone.

    Raises:
        cases.DataError: as `read_header`.
    """
    header = read_header(path)
    if header.syntax == _BIG:  # 8-bit pixels may be swapped in pairs there; pydicom knows
        pixels = pydicom.dcmread(path).pixel_array
    else:
        dtype = np.dtype(f"<u{header.bits_allocated // 8}")
        pixels = np.memmap(path, dtype, mode="r", offset=header.offset, shape=header.shape)
    pixels = pixels.astype(f"u{header.bits_allocated // 8}", copy=False)
    if header.bits_stored < header.bits_allocated:  # overlays or rubbish may sit above the stored bits
        pixels = pixels & pixels.dtype.type(header.max_value)
    if header.photometric == "MONOCHROME1":
        pixels = pixels.dtype.type(header.max_value) - pixels
    return pixels


@dataclasses.dataclass(frozen=True)
class Labels:
    """The identifying fields that `write` stores; UIDs come from `uid`.

    Attributes:
        patient_id: a pseudonym.
        study, series, instance: UIDs; where empty they are derived from the patient's id and the pixels.
        description: of the series.
        side, projection: of the breast; empty where unknown.
    """

    patient_id: str = "ANON"
    study: str = ""
    series: str = ""
    instance: str = ""
    description: str = ""
    side: str = ""
    projection: str = ""


def uid(*parts: str) -> str:
    """A UID made of the parts alone, under the root 2.25 (PS3.5 B.2): the same parts, the same UID."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def write(
    path: str | os.PathLike[str],
    pixels: np.ndarray,
    labels: Labels | None = None,
    *,
    bits_stored: int | None = None,
    photometric: str = "MONOCHROME2",
    spacing_mm: float | None = None,
) -> None:
    """Writes pixels as an uncompressed Secondary Capture image, the same bytes for the same arguments.

    Args:
        path: the file; its folder exists.
        pixels: (H, W) uint8 or uint16, stored as they are.
        labels: whose image it is.
        bits_stored: bits that hold the value; those of the dtype when None.
        photometric: how a reader is to show the values.
        spacing_mm: side of a pixel.

    Raises:
        ValueError: pixels of another type or shape, or values that need more than `bits_stored` bits.
    """
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 (H, W), got {pixels.dtype} {pixels.shape}")
    allocated = pixels.dtype.itemsize * 8
    stored = bits_stored or allocated
    if stored < allocated and int(pixels.max()) >> stored:
        raise ValueError(f"the value {int(pixels.max())} does not fit into {stored} bits")
    data = pydicom.Dataset()
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit = allocated, stored, stored - 1
    data.SamplesPerPixel, data.PixelRepresentation, data.PhotometricInterpretation = 1, 0, photometric
    if spacing_mm is not None:
        data.PixelSpacing = [f"{spacing_mm:.6g}"] * 2
    raw = np.ascontiguousarray(pixels, f"<u{allocated // 8}").tobytes()
    data.add_new("PixelData", "OB" if allocated == 8 else "OW", raw)
    _label(data, labels or Labels())
    pydicom.dcmwrite(path, data, enforce_file_format=True)


def _label(data: pydicom.Dataset, labels: Labels) -> None:
    content = hashlib.sha256(data.PixelData).hexdigest()
    data.PatientID, data.PatientName, data.PatientBirthDate, data.PatientSex = labels.patient_id, "", "", ""
    data.Modality, data.BodyPartExamined, data.ConversionType = "MG", "BREAST", "WSD"
    data.StudyDate = data.StudyTime = data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.SeriesNumber, data.InstanceNumber, data.SeriesDescription = 1, 1, labels.description
    data.Laterality, data.ViewPosition = labels.side[:1], labels.projection
    data.PatientOrientation = ""
    data.StudyInstanceUID = labels.study or uid("study", labels.patient_id)
    data.SeriesInstanceUID = labels.series or uid("series", labels.patient_id, content)
    data.SOPInstanceUID = labels.instance or uid("instance", labels.patient_id, content)
    data.SOPClassUID = uids.SecondaryCaptureImageStorage
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.ImplementationClassUID = uid("mammo_tf")  # pydicom's own would change the bytes with its version
    meta.ImplementationVersionName = "MAMMO_TF"
    data.file_meta = meta
