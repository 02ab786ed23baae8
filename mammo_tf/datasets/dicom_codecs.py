"""Pixels out of the file: read, inflated, or decoded by imagecodecs, and by pydicom's plugins where that is missing.

A file cut off is found for certain; a single wrong bit inside a JPEG is not, for that format has no checksum. Threads
decode in parallel. Standard: DICOM PS3.5 section 8 and annexes A (encapsulation), D (big endian) and G (RLE).

    words = dicom_codecs.read(dicom_header.read("1-1.dcm"))   # (H, W) uint8 or uint16, as they are stored
"""

from __future__ import annotations

import pathlib
import struct
from collections.abc import Iterator

import numpy as np
import pydicom
from pydicom import uid as uids

from mammo_tf import cases
from mammo_tf.datasets import dicom_elements, dicom_fragments, dicom_header, dicom_stream


def read(header: dicom_header.Header) -> np.ndarray:
    """The stored words of the pixels, (H, W) uint8 or uint16 in the machine's order.

    Uncompressed little-endian ones are a read-only memory map.

    Raises:
        cases.DataError: truncated, or the stream cannot be decoded.
    """
    with dicom_header.named_faults(header.path, "damaged pixels"):
        if header.fragments:
            with pathlib.Path(header.path).open("rb") as file:
                stream = dicom_fragments.join(header.fragments, file)
            return _decoded(header, stream)
        return _uncompressed(header)


def check_deflated(header: dicom_header.Header) -> None:
    """Counts the pixels of a deflated file without keeping them.

    Raises:
        cases.DataError: it holds less than its image.
    """
    with dicom_header.named_faults(header.path, "damaged pixels"):
        if header.deflated:
            dicom_header.check_size(header, sum(len(piece) for piece in _pieces(header)) - header.offset)


def _pieces(header: dicom_header.Header) -> Iterator[bytes]:
    with pathlib.Path(header.path).open("rb") as file:
        file.seek(header.body)
        yield from dicom_elements.inflated(file, header.offset + header.size)


def _uncompressed(header: dicom_header.Header) -> np.ndarray:
    size, dtype = header.rows * header.columns, np.dtype(f"u{header.bits_allocated // 8}")
    if header.deflated:
        raw = b"".join(_pieces(header))
        dicom_header.check_size(header, len(raw) - header.offset)
        return np.frombuffer(raw, dtype.newbyteorder("<"), size, header.offset).reshape(header.shape)
    if header.swapped:
        words = np.fromfile(header.path, ">u2", header.size // 2, offset=header.offset)
        return words.astype("<u2").view(np.uint8)[:size].reshape(header.shape)
    if header.syntax == uids.ExplicitVRBigEndian:
        return (
            np.fromfile(header.path, dtype.newbyteorder(">"), size, offset=header.offset)
            .reshape(header.shape)
            .astype(dtype)
        )
    return np.memmap(header.path, dtype.newbyteorder("<"), mode="r", offset=header.offset, shape=header.shape)


def _decoded(header: dicom_header.Header, stream: bytes) -> np.ndarray:
    """Pixels by imagecodecs; by pydicom only where that package or this codec of it is missing.

    A stream that imagecodecs refuses is not tried again: on damaged streams GDCM, pydicom's usual plugin, ends the
    whole process now and then.
    """
    try:
        try:
            pixels = _by_imagecodecs(header, stream)
        except ImportError as missing:
            pixels = _by_pydicom(header, stream, missing)
        return _fitted(header, pixels, stream)
    except Exception as error:  # decoders fail in ways of their own
        reason = " ".join(str(error).split())[:300]
        raise cases.DataError(header.path, f"the compressed pixels cannot be decoded: {reason}") from None


def _by_imagecodecs(header: dicom_header.Header, stream: bytes) -> np.ndarray:
    import imagecodecs  # here: it loads a library for each codec

    codec = dicom_stream.CODECS[header.syntax]
    if codec.processes:
        return getattr(imagecodecs, codec.decoder)(stream)
    size, count = header.rows * header.columns, header.bits_allocated // 8
    planes = np.empty((size, count), np.uint8)
    for i, segment in enumerate(_segments(stream, count)):  # the highest byte of every pixel comes first
        planes[:, count - 1 - i] = np.frombuffer(imagecodecs.packbits_decode(segment, out=size), np.uint8, size)
    return planes.view(f"<u{count}").reshape(header.shape)


def _segments(stream: bytes, count: int) -> list[memoryview]:
    """The runs of an RLE stream, one for each byte of a pixel (PS3.5 G.5)."""
    if len(stream) < 64:
        raise ValueError(f"an RLE stream of {len(stream)} bytes has no room for its header of 64")
    found, *offsets = struct.unpack_from(f"<{1 + count}L", stream)
    ends = [*offsets[1:], len(stream)]
    if found != count or not all(64 <= start < end <= len(stream) for start, end in zip(offsets, ends, strict=True)):
        raise ValueError(f"expected {count} segments inside {len(stream)} bytes, found {found} at {offsets}")
    return [memoryview(stream)[start:end] for start, end in zip(offsets, ends, strict=True)]


def _by_pydicom(header: dicom_header.Header, stream: bytes, missing: ImportError) -> np.ndarray:
    decoder = pydicom.pixels.get_decoder(uids.UID(header.syntax))
    if not decoder.is_available:
        raise ValueError(f"{missing}, and pydicom has no plugin for {uids.UID(header.syntax).name}")
    pixels, _ = decoder.as_array(
        pydicom.encaps.encapsulate([stream], has_bot=False),
        index=0,
        validate=False,
        raw=True,
        rows=header.rows,
        columns=header.columns,
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=header.bits_allocated,
        bits_stored=header.bits_stored,
        pixel_representation=int(header.signed),
        number_of_frames=1,
        pixel_keyword="PixelData",
    )
    return pixels


def _fitted(header: dicom_header.Header, pixels: np.ndarray, stream: bytes) -> np.ndarray:
    """Decoded pixels as words of the file's own width; the decoder goes by the stream's, which may be another."""
    if pixels.shape != header.shape:
        raise ValueError(f"expected {header.shape} pixels, decoded {pixels.shape}")
    if not dicom_stream.CODECS[header.syntax].processes:
        return pixels
    precision = dicom_stream.parse(stream[: dicom_stream.HEAD]).precision
    words = pixels.astype(f"u{header.bits_allocated // 8}", copy=False)
    if header.signed and precision < header.bits_stored and pixels.dtype.kind == "u":
        sign = words.dtype.type(1 << precision - 1)
        return (words ^ sign) - sign  # the stream does not know that its highest bit is a sign
    if header.lossy and precision > header.bits_stored and not header.signed:
        return np.minimum(words, header.max_value)  # may overshoot; cut to its bits it would turn black
    return words
