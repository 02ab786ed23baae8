"""From stored words to gray values: what a bit means, which end is dark, and the three policies of intensity.

"raw": the stored values, 0 to the header's `max_value`. "voi": what a viewer would show, through the modality and the
VOI transformation of the file. "minmax": the image's own smallest to largest value. The last two are spread over 0 to
65535. In all of them the background is dark (MONOCHROME1 is inverted, after the transformations), padding is 0, and
signed values v of b bits are shifted to v + 2^(b-1). Standard: DICOM PS3.3 C.7.6.3, C.11.1 and C.11.2.

    pixels = dicom_intensity.render(words, header, "voi")
"""

from __future__ import annotations

import pathlib

import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import dicom_elements, dicom_header

POLICIES = ("raw", "voi", "minmax")
TOP = 65535  # the largest value of "voi" and "minmax"
_LUT = ("LUTDescriptor", "LUTData")
_MODALITY = ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept")
_VOI = ("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction")
_CHUNK = 1 << 20  # pixels looked up at once: numpy makes 64-bit indices of them


def check(intensity: str) -> None:
    """Raises cases.MammoError where no policy bears the name."""
    if intensity not in POLICIES:
        raise cases.MammoError(f"intensity {intensity!r} is none of {', '.join(POLICIES)}")


def render(words: np.ndarray, header: dicom_header.Header, intensity: str) -> np.ndarray:
    """Gray values with a dark background; `words` may be reused for them if they can be written to.

    Args:
        words: (H, W) as `dicom_codecs.read` has them.
        header: of the same file.
        intensity: one of `POLICIES`.

    Returns:
        (H, W): for "raw" of the type of `words`, 0 to the header's `max_value`, and `words` itself where nothing is
        to be done; else uint16, 0 to 65535.

    Raises:
        cases.MammoError: no such policy.
        cases.DataError: the file's window or table is none (only for "voi").
    """
    check(intensity)
    if intensity == "raw":
        inverted = header.photometric == "MONOCHROME1"
        values = _values(words, header, header.max_value if inverted else 0)
        return _without_padding(values, header, header.max_value if inverted else 0)
    values = _values(words, header)
    table = _stretch(values, header) if intensity == "minmax" else _shown(header)
    if header.photometric == "MONOCHROME1":
        table = TOP - table
    table = np.rint(table).astype(np.uint16)
    if header.padding:
        table[header.padding[0] : header.padding[1] + 1] = 0
    return _look_up(table, values)


def _values(words: np.ndarray, header: dicom_header.Header, flip: int = 0) -> np.ndarray:
    """Values from 0 to `max_value`: the stored bits alone, signed ones shifted, those of `flip` inverted."""
    sign = 1 << header.bits_stored - 1 if header.signed else 0
    steps = [
        (np.right_shift, header.high_bit + 1 - header.bits_stored, 0),
        (np.bitwise_and, header.max_value, 2**header.bits_allocated - 1),
        (np.bitwise_xor, sign ^ flip, 0),
    ]
    for operation, operand, neutral in steps:
        if operand != neutral:
            words = operation(words, words.dtype.type(operand), out=words if words.flags.writeable else None)
    return words


def _without_padding(values: np.ndarray, header: dicom_header.Header, flip: int) -> np.ndarray:
    if header.padding is None:
        return values
    low, high = sorted(end ^ flip for end in header.padding)
    if high == 0:  # as dark as it can be
        return values
    outside = (values >= low) & (values <= high)
    if not values.flags.writeable:
        values = values.copy()
    values[outside] = 0
    return values


def _look_up(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    found = np.empty(values.shape, table.dtype)
    rows = max(_CHUNK // values.shape[1], 1)
    for start in range(0, values.shape[0], rows):
        part = np.s_[start : start + rows]
        np.take(table, values[part], out=found[part], mode="clip")
    return found


def _stretch(values: np.ndarray, header: dicom_header.Header) -> np.ndarray:
    """Table that spreads the values found, but for padding, over 0 to 65535; a flat image becomes dark."""
    inside = values
    if header.padding:
        inside = values[(values < header.padding[0]) | (values > header.padding[1])]
    low, high = (int(inside.min()), int(inside.max())) if inside.size else (0, 0)
    if low == high:
        return np.full(header.max_value + 1, TOP if header.photometric == "MONOCHROME1" else 0.0)
    return (np.arange(header.max_value + 1.0).clip(low, high) - low) * (TOP / (high - low))


def _shown(header: dicom_header.Header) -> np.ndarray:
    """Table of the modality and the VOI transformation: 0 to 65535 for each of the values from 0 to `max_value`."""
    with dicom_header.named_faults(header.path, "damaged window or table of intensities"):
        with pathlib.Path(header.path).open("rb") as file:
            found = dicom_elements.read(file, (*_MODALITY, *_VOI, *_LUT))
        stored = np.arange(header.max_value + 1.0) - (1 << header.bits_stored - 1 if header.signed else 0)
        values, low, high = _modality(stored, found)
        if lut := found.items.get("VOILUTSequence"):
            grays, top = _by_lut(values, lut)
            return (grays * (TOP / top)).clip(0, TOP)
        if centers := found.texts("WindowCenter"):
            if not (widths := found.texts("WindowWidth")):
                raise ValueError("no WindowWidth beside WindowCenter")
            function = (found.texts("VOILUTFunction") or ("LINEAR",))[0].upper()
            return window(values, float(centers[0]), float(widths[0]), function)
        return (values - low) * (TOP / max(high - low, 1e-9))  # nothing said: all of the range


def _modality(stored: np.ndarray, found: dicom_elements.Found) -> tuple[np.ndarray, float, float]:
    """Values of the modality (C.11.1) with the smallest and the largest that the storage allows."""
    if lut := found.items.get("ModalityLUTSequence"):
        values, top = _by_lut(stored, lut)
        return values, 0.0, top
    slope, intercept = (
        found.texts(name) or (str(default),) for name, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    values = stored * float(slope[0]) + float(intercept[0])
    if not (np.isfinite(values).all() and float(slope[0])):
        raise ValueError(f"a slope of {slope[0]} and an intercept of {intercept[0]} tell no value from another")
    return values, float(values.min()), float(values.max())


def _by_lut(values: np.ndarray, lut: dicom_elements.Found) -> tuple[np.ndarray, float]:
    """Looks values up in the first item of a sequence of tables, and the largest value that its bits allow."""
    if len(descriptor := lut.integers("LUTDescriptor")) != 3:
        raise ValueError(f"expected three numbers that describe the table, found {len(descriptor)}")
    count, first, bits = descriptor[0] or 65536, descriptor[1], descriptor[2]
    if first > 32767 and (lut.values["LUTDescriptor"][0] == "SS" or first > values.max()):
        first -= 65536  # a table that begins above all values is one that begins below 0, whatever it is called
    raw = lut.values.get("LUTData", ("", b""))[1]
    packed = len(raw) < 2 * count  # entries of 8 bits, two in a word
    entries = np.frombuffer(raw, np.uint8 if packed else f"{lut.order}u2")[:count]
    if len(entries) < count or not 1 <= bits <= 16:
        raise ValueError(f"expected {count} entries of 1 to 16 bits, found {len(entries)} of {bits}")
    index = (np.rint(values) - first).clip(0, count - 1).astype(int)
    return entries[index].astype(float), 2.0**bits - 1


def window(values: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """The window of C.11.2.1.2 and C.11.2.1.3, with x the value, c the center, w the width, y from 0 to 65535.

    LINEAR: y = ((x - (c - 0.5)) / (w - 1) + 0.5) * 65535, w >= 1; LINEAR_EXACT: y = ((x - c) / w + 0.5) * 65535,
    w > 0; both cut at the ends. SIGMOID: y = 65535 / (1 + exp(-4 (x - c) / w)), w > 0.

    Raises:
        ValueError: another function, or a width that it does not allow.
    """
    least = 1.0 if function == "LINEAR" else np.finfo(float).tiny
    if not (width >= least and np.isfinite(center + width)):
        raise ValueError(f"center {center:g} and width {width:g} make no window of kind {function}")
    if function == "SIGMOID":
        return TOP / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700)))
    if function == "LINEAR_EXACT":
        return (((values - center) / width + 0.5) * TOP).clip(0, TOP)
    if function != "LINEAR":
        raise ValueError(f"the window's function {function!r} is none of LINEAR, LINEAR_EXACT, SIGMOID")
    if width == 1:
        return np.where(values <= center - 0.5, 0.0, TOP)
    return (((values - (center - 0.5)) / (width - 1) + 0.5) * TOP).clip(0, TOP)
