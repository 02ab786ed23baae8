"""What does reading a DICOM film cost: beside reading its bytes, and beside pydicom?

A made-up film of 4000x3000 pixels of 12 bits, fine noise on a smooth breast, is written in every transfer syntax. The
first table holds the uncompressed film, read and shrunk to 1152x896, against its bare bytes, read and shrunk with
cv2.INTER_AREA. The second holds `dicom.read_pixels` against `pydicom.dcmread(path).pixel_array`, with the plugin that
pydicom takes. Candidates take turns in one process; CPU time, one thread, medians; the files are cached. The last
lines hold the measured ratios against `AT_MOST` and `AT_LEAST`; the exit status is 1 where one of them is broken.

    python benchmarks/dicom.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import cv2
import imagecodecs
import numpy as np
import pydicom
from pydicom import uid as uids

from mammo_tf.datasets import dicom

ROWS, COLUMNS, BITS = 4000, 3000, 12
SHRUNK = (896, 1152)  # columns, rows
AT_MOST = {"raw": 1.5}  # times the cost of the bytes alone
AT_LEAST = {uids.JPEGLossless: 3.0, uids.JPEGLosslessSV1: 3.0}  # times faster than pydicom
J2K = functools.partial(imagecodecs.jpeg2k_encode, codecformat="j2k", bitspersample=BITS)
JPEG = functools.partial(imagecodecs.jpeg8_encode, bitspersample=BITS)
ENCODERS: dict[uids.UID, Callable[[np.ndarray], bytes]] = {
    uids.JPEGLosslessSV1: functools.partial(JPEG, lossless=True, predictor=1),
    uids.JPEGLossless: functools.partial(JPEG, lossless=True, predictor=6),
    uids.JPEGLSLossless: imagecodecs.jpegls_encode,
    uids.JPEGLSNearLossless: functools.partial(imagecodecs.jpegls_encode, level=2),
    uids.JPEG2000Lossless: functools.partial(J2K, reversible=True),
    uids.JPEG2000: functools.partial(J2K, level=60, reversible=False),
    uids.HTJ2KLossless: functools.partial(imagecodecs.htj2k_encode, reversible=True),
    uids.JPEGExtended12Bit: functools.partial(JPEG, level=95),
    uids.JPEGBaseline8Bit: functools.partial(imagecodecs.jpeg8_encode, level=95),
}


def film() -> np.ndarray:
    """(4000, 3000) uint16 from 0 to 4095: background, smooth tissue, coarse texture, fine noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(np.float32)
    breast = 2000 * np.exp(-1.5 * ((x / 1800) ** 2 + ((y - ROWS / 2) / 1500) ** 2))
    texture = cv2.GaussianBlur(rng.normal(0, 600, x.shape).astype(np.float32), (0, 0), 3)
    gray = np.where(breast > 200, breast + texture, 20) + rng.normal(0, 6, x.shape)
    return gray.clip(0, 2**BITS - 1).astype(np.uint16)


def written(folder: pathlib.Path, pixels: np.ndarray) -> Iterator[tuple[uids.UID, pathlib.Path]]:
    """The film in every transfer syntax; for JPEG baseline in 8 bits."""
    for syntax in (uids.ExplicitVRLittleEndian, uids.DeflatedExplicitVRLittleEndian, uids.RLELossless, *ENCODERS):
        path = folder / f"{syntax}.dcm"
        eight = syntax == uids.JPEGBaseline8Bit
        stored = (pixels >> BITS - 8).astype(np.uint8) if eight else pixels
        dicom.write(path, stored, bits_stored=8 if eight else BITS)
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = syntax
        if syntax == uids.RLELossless:
            data.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
            data.compress(syntax, generate_instance_uid=False)
        elif syntax in ENCODERS:
            data.PixelData = pydicom.encaps.encapsulate([bytes(ENCODERS[syntax](stored))])
            data["PixelData"].VR = "OB"
        data.save_as(path)
        yield syntax, path


def alternate(rounds: int, *candidates: Callable[[], object]) -> list[float]:
    """Median CPU milliseconds of each candidate."""
    taken: list[list[float]] = [[] for _ in candidates]
    for _ in range(rounds):
        for milliseconds, candidate in zip(taken, candidates, strict=True):
            start = time.process_time()
            candidate()
            milliseconds.append((time.process_time() - start) * 1e3)
    return [statistics.median(milliseconds) for milliseconds in taken]


def shrink(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, SHRUNK, interpolation=cv2.INTER_AREA)


def raw(path: pathlib.Path, rounds: int) -> dict[str, float]:
    """Prints what each policy of intensity costs, and returns it, in times of what the bytes alone do."""
    offset = dicom.read_header(path).offset

    def from_bytes() -> np.ndarray:
        return shrink(np.frombuffer(path.read_bytes(), "<u2", offset=offset).reshape(ROWS, COLUMNS))

    def by_pydicom() -> np.ndarray:
        return shrink(pydicom.dcmread(path).pixel_array)

    policies = [functools.partial(dicom.read_pixels, path, policy) for policy in ("raw", "voi", "minmax")]
    ours = [lambda read=read: shrink(read()) for read in policies]
    names = ("bytes alone", "raw", "voi", "minmax", "pydicom")
    costs = alternate(rounds, from_bytes, *ours, by_pydicom)
    print(f"uncompressed {ROWS}x{COLUMNS} to {SHRUNK[1]}x{SHRUNK[0]}")
    for name, cost in zip(names, costs, strict=True):
        print(f"  {name:12s}{cost:7.1f} ms  x{cost / costs[0]:.2f}")
    return {name: cost / costs[0] for name, cost in zip(names, costs, strict=True)}


def against_pydicom(syntax: uids.UID, path: pathlib.Path, rounds: int) -> float:
    """Prints a row: our time, that of pydicom and its plugin, and how often faster, which is returned (else NaN)."""
    decoder = pydicom.pixels.get_decoder(syntax)
    plugins = decoder.available_plugins
    name = f"{syntax.name.split(' (Process')[0][:52]:54s}{path.stat().st_size / 1e6:5.1f} MB"
    (ours,) = alternate(rounds, lambda: np.array(dicom.read_pixels(path)))
    try:
        pydicom.dcmread(path).pixel_array  # noqa: B018
    except (RuntimeError, NotImplementedError):
        print(f"  {name}{ours:8.1f} ms  pydicom: no plugin of {', '.join(plugins) or 'any kind'} decodes it")
        return float("nan")
    ours, theirs = alternate(
        rounds, lambda: np.array(dicom.read_pixels(path)), lambda: pydicom.dcmread(path).pixel_array
    )
    plugin = "itself" if syntax in uids.UncompressedTransferSyntaxes or not plugins else plugins[0]
    print(f"  {name}{ours:8.1f} ms  pydicom ({plugin}) {theirs:7.1f} ms  {theirs / ours:5.1f} times faster")
    return theirs / ours


def verdicts(costs: dict[str, float], faster: dict[uids.UID, float]) -> Iterator[tuple[bool, str]]:
    """Of each bound, whether it holds, and the line that says so."""
    for name, bound in AT_MOST.items():
        holds = costs[name] <= bound
        yield holds, f"{name}: at most {bound:g} times the bytes alone, measured {costs[name]:.2f}"
    for syntax, bound in AT_LEAST.items():
        name = syntax.name.split(" (Process")[0]
        yield faster[syntax] >= bound, f"{name}: {bound:g} times faster than pydicom, measured {faster[syntax]:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    faster = {}
    with tempfile.TemporaryDirectory() as folder:
        for syntax, path in written(pathlib.Path(folder), film()):
            if syntax == uids.ExplicitVRLittleEndian:
                costs = raw(path, args.rounds)
                print("read_pixels against pydicom's pixel_array")
            faster[syntax] = against_pydicom(syntax, path, args.rounds)
    found = list(verdicts(costs, faster))
    print("bounds", *(f"{'holds ' if holds else 'BROKEN'}  {line}" for holds, line in found), sep="\n  ")
    return 0 if all(holds for holds, _ in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
