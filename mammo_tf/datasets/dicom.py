"""Grayscale DICOM of one frame, 8 to 16 bits: header, pixels, writer; the door to the `dicom_*` modules.

Read are uncompressed pixels (little and big endian, deflated), RLE, JPEG (baseline, extended, lossless), JPEG-LS,
JPEG 2000 and HTJ2K. Everything that a header can tell is decided from it, before memory is taken; a bad file is a
`cases.DataError`. Of the header only the fields named in `dicom_header` are read: no name, no birth date.

    header = dicom.read_header("1-1.dcm")
    pixels = dicom.read_pixels("1-1.dcm")                    # (H, W), dark background, 0 to header.max_value
    pixels = dicom.read_pixels("1-1.dcm", intensity="voi")   # as a viewer shows it, 0 to 65535
"""

from __future__ import annotations

import os

import numpy as np

from mammo_tf.datasets import dicom_codecs, dicom_header, dicom_intensity, dicom_write

Header, MAX_PIXELS = dicom_header.Header, dicom_header.MAX_PIXELS
Labels, uid, write = dicom_write.Labels, dicom_write.uid, dicom_write.write


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a file that `read_pixels` can read.

    Raises:
        cases.MissingError: no such file.
        cases.DataError: not DICOM, no image, compressed in an unknown way, in colour, of several frames, of absurd
            size, truncated, or with pixels of another size or kind than its header says.
    """
    header = dicom_header.read(path)
    dicom_codecs.check_deflated(header)
    return header


def max_value(header: Header, intensity: str = "raw") -> int:
    """The largest value that `read_pixels` can give.

    Raises:
        cases.MammoError: `intensity` is none of "raw", "voi", "minmax".
    """
    dicom_intensity.check(intensity)
    return header.max_value if intensity == "raw" else dicom_intensity.TOP


def read_pixels(path: str | os.PathLike[str], intensity: str = "raw") -> np.ndarray:
    """The image, (H, W), dark background; uint8 or uint16 as stored, or uint16 where `intensity` is not "raw".

    Where nothing has to be computed the result is a read-only memory map: cutting a crop reads the crop alone.

    Args:
        path: the file.
        intensity: "raw" (stored values, 0 to the header's `max_value`), "voi" (through the file's rescaling and
            window or table) or "minmax" (the image's own range); the last two are spread over 0 to 65535.

    Raises:
        cases.MammoError: no such policy.
        cases.DataError: as `read_header`; or the pixels cannot be decoded, or the window is none.
    """
    dicom_intensity.check(intensity)
    header = dicom_header.read(path)
    return dicom_intensity.render(dicom_codecs.read(header), header, intensity)
