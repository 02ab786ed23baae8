"""One interface to the files of CBIS-DDSM: DICOM, and the 8-bit JPEG of the mirror; and what is a mask among them.

A mask has two values. JPEG rings round its edge, so there it is cut at half the range.

    header = cbis_ddsm_files.read_header("1-172.jpg")
    pixels = cbis_ddsm_files.read_pixels("1-172.jpg")   # (H, W) uint8
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import dicom, folder_images

_DARK, _LIGHT = 64, 192  # between them lies no value of a mask, but for a few at its edge; ours, as the next
_EDGE = 0.01  # share of a mask's pixels that the ringing of JPEG may put there


@dataclasses.dataclass(frozen=True)
class Header:
    """What the reader asks of a film, crop or mask.

    Attributes:
        path: the file.
        shape: its rows and columns.
        bits: of a pixel, 8 or 16; a mask and everything in JPEG has 8.
        max_value: the largest value that its pixels may have.
        spacing_mm: side of a pixel in mm; None where unknown.
        lossy: whether it was compressed with loss.
    """

    path: str
    shape: tuple[int, int]
    bits: int
    max_value: int
    spacing_mm: float | None = None
    lossy: bool = False


def is_jpeg(path: str | os.PathLike[str]) -> bool:
    return pathlib.Path(path).suffix.lower() != ".dcm"


def read_header(path: str | os.PathLike[str], intensity: str = "raw") -> Header:
    """The header of either.

    Raises:
        cases.MissingError: no such file.
        cases.DataError: as `dicom.read_header` and `folder_images.read_header`, or a JPEG of more than 8 bits.
    """
    if not is_jpeg(path):
        found = dicom.read_header(path)
        top = dicom.max_value(found, intensity)
        return Header(str(path), found.shape, found.bits_allocated, top, found.spacing_mm, found.lossy)
    if intensity != "raw":
        raise cases.DataError(path, f"intensity {intensity!r} is to be had from DICOM; a JPEG of the mirror is raw")
    image = folder_images.read_header(path)
    if image.bits != 8:
        raise cases.DataError(path, f"expected 8 bits a pixel, as the mirror has them, found {image.bits}")
    return Header(str(path), image.shape, image.bits, image.max_value, lossy=image.lossy)


def read_pixels(path: str | os.PathLike[str], intensity: str = "raw") -> np.ndarray:
    """The pixels of either, (H, W) uint8 or uint16, dark background.

    Raises:
        cases.DataError: as `read_header`, or pixels that cannot be decoded.
    """
    return folder_images.read_image(path) if is_jpeg(path) else dicom.read_pixels(path, intensity)


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """A mask, bool (H, W); in DICOM every value but 0 is the lesion, in JPEG every value from 128 on.

    Raises:
        cases.DataError: as `read_pixels`.
    """
    pixels = read_pixels(path)
    return np.asarray(pixels >= 128 if is_jpeg(path) else pixels != 0)


def has_two_values(path: str | os.PathLike[str]) -> bool:
    """Whether 8-bit pixels are those of a mask: two values, in JPEG dark and light with next to nothing between.

    Raises:
        cases.DataError: as `read_pixels`.
    """
    counts = np.bincount(read_pixels(path).ravel(), minlength=256)
    if not is_jpeg(path):
        return bool(np.count_nonzero(counts) <= 2)
    ends = counts[:_DARK].any() and counts[_LIGHT:].any()
    return bool(ends and counts[_DARK:_LIGHT].sum() <= _EDGE * counts.sum())
