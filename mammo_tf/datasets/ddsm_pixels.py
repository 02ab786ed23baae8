"""The pixels of DDSM's films: the `.LJPEG` itself, what DDSM's program made of it, or a PNG or TIFF; and as density.

Gray values are kept as digitised: they rise with the light that the film lets through, so dense tissue is bright
(see `ddsm_case.optical_density`). Some `.LJPEG`s have their rows and columns swapped: the case file counts.

    pixels = ddsm_pixels.of(file, film)     # pixels.load() is (film.rows, film.columns)
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable

import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import ddsm_case, folder_images, ljpeg
from mammo_tf.datasets import ddsm_files as files

ALGORITHM_VERSION = 1
WHITE = 65535  # of a view as density
TURNED, BITS_OF_PNG = "rows and columns turned", "bits of a PNG"


@dataclasses.dataclass(frozen=True)
class Pixels:
    """How the pixels of a file are to be read, known from its header."""

    max_value: int
    load: Callable[[], np.ndarray]
    lossy: bool = False
    repairs: tuple[cases.Repair, ...] = ()


def of(file: files.File, film: ddsm_case.Film) -> Pixels:
    """What the header of a file says; images of 16 bits are decoded, to see how many they use.

    Raises:
        cases.DataError: damaged, truncated, or of another size than the case file says.
    """
    return {files.LJPEG: _ljpeg, files.RAW: _raw, files.IMAGE: _image}[file.form](file.path, film)


def _ljpeg(path: pathlib.Path, film: ddsm_case.Film) -> Pixels:
    header, shape = ljpeg.read_header(path), (film.rows, film.columns)
    if header.shape not in (shape, shape[::-1]):
        raise cases.DataError(path, f"is {header.shape} (rows, columns), its case file says {shape}")
    turned = cases.Repair(str(path), TURNED, f"its header says {header.shape}, its case file {shape}: that counts")
    load = functools.partial(_load_ljpeg, path, shape, film.bits)
    return Pixels(2**film.bits - 1, load, repairs=() if header.shape == shape else (turned,))


def _load_ljpeg(path: pathlib.Path, shape: tuple[int, int], bits: int) -> np.ndarray:
    return _fitting(path, ljpeg.read_pixels(path).reshape(shape), bits)


def _raw(path: pathlib.Path, film: ddsm_case.Film) -> Pixels:
    size, count = path.stat().st_size, film.rows * film.columns
    if size not in (2 * count, count) or (size == count and film.bits > 8):
        shape = f"{film.rows} x {film.columns} pixels of {film.bits} bits"
        raise cases.DataError(path, f"{size:,} bytes, its case file says {shape}, {2 * count:,} bytes")
    load = functools.partial(_load_raw, path, (film.rows, film.columns), film.bits, size // count)
    return Pixels(2**film.bits - 1, load)


def _load_raw(path: pathlib.Path, shape: tuple[int, int], bits: int, width: int) -> np.ndarray:
    try:
        pixels = np.fromfile(path, f">u{width}", shape[0] * shape[1])
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    if pixels.size < shape[0] * shape[1]:
        raise cases.DataError(path, f"truncated: {pixels.size:,} pixels, its case file says {shape}")
    return _fitting(path, pixels.astype(f"u{width}").reshape(shape), bits)


def _image(path: pathlib.Path, film: ddsm_case.Film) -> Pixels:
    header, shape = folder_images.read_header(path), (film.rows, film.columns)
    if header.shape != shape:
        raise cases.DataError(path, f"is {header.shape} (rows, columns), its case file says {shape}")
    load, limit = functools.partial(folder_images.read_image, path), 2**film.bits - 1
    if header.bits == 8 or film.bits == 16 or (top := int(load().max())) > limit:
        return Pixels(header.max_value, load, header.lossy)
    what = f"an image of 16 bits with values up to {top}: taken to be those of the film, 0 to {limit}"
    return Pixels(limit, load, header.lossy, (cases.Repair(str(path), BITS_OF_PNG, what),))


def _fitting(path: str | os.PathLike[str], pixels: np.ndarray, bits: int) -> np.ndarray:
    if pixels.max() >> bits:
        raise cases.DataError(path, f"holds {pixels.max()}, its case file says {bits} bits")
    return pixels


@dataclasses.dataclass(frozen=True)
class Density:
    """Loads a view as optical density: `WHITE` stands for 0.05 (bright), 0 for 4."""

    view: cases.View
    digitizer: ddsm_case.Digitizer

    def __call__(self) -> np.ndarray:
        low, high = ddsm_case.DENSITIES
        density = ddsm_case.optical_density(self.view.pixels(), self.digitizer)
        return np.rint((high - density) * (WHITE / (high - low))).astype(np.uint16)
