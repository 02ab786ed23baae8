"""One image file of any form that `folder` reads, by its header: DICOM, PGM, PNG, JPEG or TIFF.

image = folder_files.stored(pathlib.Path("a.png"))
pixels = image.open()                              # (H, W), from 0 to image.max_value
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import dicom, folder_images, pgm

ENDINGS = (".dcm", ".dicom", ".pgm", ".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class Stored:
    """An image file by its header.

    Attributes:
        path: the file.
        shape: (rows, columns).
        stored_max: the largest value that the file's header allows.
        max_value: the largest value that `open` can give.
        open: returns the pixels, (H, W) uint8 or uint16, dark background.
        spacing_mm: side of a pixel, None where the file does not say.
        lossy: whether it is compressed with loss.
        exact: whether the header knows how many bits hold the value, not only how many there are.
    """

    path: str
    shape: tuple[int, int]
    stored_max: int
    max_value: int
    open: Callable[[], np.ndarray]
    spacing_mm: float | None = None
    lossy: bool = False
    exact: bool = True

    def with_bits(self, bits: str) -> Stored:
        """The same file where `bits` hold the value ("" where nobody says); more in a pixel is then a fault.

        Raises:
            cases.DataError: the header contradicts.
        """
        top = 2 ** int(bits) - 1 if bits else self.stored_max
        if top > self.stored_max or (self.exact and top != self.stored_max):
            raise cases.DataError(
                self.path, f"bits {bits} allow values up to {top}, the file's header up to {self.stored_max}"
            )
        if top == self.stored_max:
            return self
        return dataclasses.replace(self, max_value=top, open=functools.partial(_below, self, top))


def _below(image: Stored, top: int) -> np.ndarray:
    pixels = image.open()
    if pixels.max() > top:
        raise cases.DataError(image.path, f"holds the value {pixels.max()}; its bits allow at most {top}")
    return pixels


def stored(path: pathlib.Path, intensity: str = "raw") -> Stored:
    """The file, its form told by its first bytes; where those are damaged by its name, so that the message fits.

    Args:
        path: the file.
        intensity: how the values of DICOM become gray values (`dicom.read_pixels`).

    Raises:
        cases.DataError: no image of a known form, damaged, truncated, or of an absurd size.
    """
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    suffix, name = path.suffix.lower(), str(path)
    if head[128:] == b"DICM" or suffix in (".dcm", ".dicom"):
        found = dicom.read_header(path)
        top, load = dicom.max_value(found, intensity), functools.partial(dicom.read_pixels, name, intensity)
        return Stored(name, found.shape, found.max_value, top, load, found.spacing_mm, found.lossy)
    if head[:2] in (b"P5", b"P2") or suffix == ".pgm":
        plain = pgm.read_header(path)
        top, load = plain.max_value, functools.partial(pgm.read_pixels, name)
        return Stored(name, plain.shape, top, top, load)
    image = folder_images.read_header(path)
    top, load = image.max_value, functools.partial(folder_images.read_image, name)
    return Stored(name, image.shape, top, top, load, lossy=image.lossy, exact=False)


def is_image(path: pathlib.Path) -> bool:
    """Whether a file is meant to be an image: by its name, or, without an ending, by the mark of DICOM."""
    if path.suffix.lower() in ENDINGS or path.suffix:
        return path.suffix.lower() in ENDINGS
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return True  # the reader says what is wrong with it
