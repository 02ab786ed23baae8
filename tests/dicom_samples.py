"""DICOM files for tests: as `dicom.write` makes them, then changed by pydicom, whose parser the reader lacks."""

import functools
import pathlib
from collections.abc import Callable

import imagecodecs
import numpy as np
import pydicom
from pydicom import uid as uids

from mammo_tf.datasets import dicom

PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300
JPEG = imagecodecs.jpeg8_encode
LOSSLESS: dict[uids.UID, Callable[..., bytes]] = {
    uids.JPEGLossless: functools.partial(JPEG, lossless=True, predictor=6),
    uids.JPEGLosslessSV1: functools.partial(JPEG, lossless=True, predictor=1),
    uids.JPEGLSLossless: lambda pixels, bitspersample: imagecodecs.jpegls_encode(pixels),
    uids.JPEG2000Lossless: functools.partial(imagecodecs.jpeg2k_encode, reversible=True, codecformat="j2k"),
    uids.HTJ2KLossless: lambda pixels, bitspersample: imagecodecs.htj2k_encode(pixels, reversible=True),
    uids.HTJ2KLosslessRPCL: lambda pixels, bitspersample: imagecodecs.htj2k_encode(pixels, reversible=True),
}
LOSSY: dict[uids.UID, Callable[..., bytes]] = {
    uids.JPEGBaseline8Bit: functools.partial(JPEG, level=95),
    uids.JPEGExtended12Bit: functools.partial(JPEG, level=98),
    uids.JPEGLSNearLossless: lambda pixels, bitspersample: imagecodecs.jpegls_encode(pixels, level=2),
    uids.JPEG2000: functools.partial(imagecodecs.jpeg2k_encode, level=60, reversible=False, codecformat="j2k"),
    uids.HTJ2K: lambda pixels, bitspersample: imagecodecs.htj2k_encode(pixels, reversible=True),
}
ENCODERS = LOSSLESS | LOSSY


def texture(bits: int, shape: tuple[int, int] = (37, 29)) -> np.ndarray:
    """Smooth noise over all of `bits` bits, uint8 or uint16."""
    steps = np.random.default_rng(bits).normal(size=shape).cumsum(0).cumsum(1)
    scaled = (steps - steps.min()) / np.ptp(steps) * (2**bits - 1)
    return scaled.round().astype(np.uint8 if bits <= 8 else np.uint16)


def edited(path: pathlib.Path, pixels: np.ndarray = PIXELS, *, syntax: str = "", **fields) -> pathlib.Path:
    """A file as `write` makes it, with some fields of the header changed; `PixelData` are taken as they are."""
    dicom.write(path, pixels)
    data = pydicom.dcmread(path)
    for name, value in fields.items():
        if name.startswith("PixelPadding"):
            data.add_new(name, "US", value)  # pydicom does not choose between US and SS
        else:
            setattr(data, name, value)
    syntax = uids.UID(syntax or uids.ExplicitVRLittleEndian)
    data.file_meta.TransferSyntaxUID = syntax
    if syntax.is_encapsulated:
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    if syntax == uids.ExplicitVRBigEndian and "PixelData" not in fields:
        data.PixelData = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    pydicom.dcmwrite(path, data, force_encoding=True, **_encoding(syntax))
    return path


def _encoding(syntax: uids.UID) -> dict[str, bool]:
    return {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}


def rle(pixels: np.ndarray) -> bytes:
    """The pixels in runs, by pydicom's own encoder."""
    return pydicom.pixels.get_encoder(uids.RLELossless).encode(
        pixels.tobytes(),
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=pixels.dtype.itemsize * 8,
        bits_stored=pixels.dtype.itemsize * 8,
        pixel_representation=0,
        number_of_frames=1,
        encoding_plugin="pydicom",
    )


def compressed(
    path: pathlib.Path, pixels: np.ndarray, syntax: str, *, bits: int, stream: bytes = b"", **fields
) -> pathlib.Path:
    """A file with one compressed frame: of the stream, or of the pixels as that syntax's encoder packs them.

    Args:
        fields: header fields to change; `fragments`, if among them, in how many pieces the stream is stored.
    """
    if not stream:
        stream = rle(pixels) if syntax == uids.RLELossless else ENCODERS[syntax](pixels, bitspersample=bits)
    pieces = fields.pop("fragments", 1)
    data = pydicom.encaps.encapsulate([bytes(stream)], fragments_per_frame=pieces, has_bot=False)
    return edited(
        path, pixels, **{"syntax": syntax, "BitsStored": bits, "HighBit": bits - 1, "PixelData": data} | fields
    )
