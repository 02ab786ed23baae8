"""Damages files at random, reads them, and tells how that went; run as a process of its own by test_mutations.py.

python -m tests.mutations KIND FOLDER COUNT SEED  prints one JSON object: outcomes, slowest read, memory taken.
"""

import itertools
import json
import pathlib
import sys
import time
import warnings

import cv2
import numpy as np
from pydicom import uid as uids

from mammo_tf import cases, machine
from mammo_tf.datasets import (
    cbis_ddsm,
    ddsm,
    ddsm_case,
    ddsm_overlay,
    dicom,
    folder,
    inbreast,
    ljpeg,
    mini_mias,
    pgm,
    phantom,
)
from tests import dicom_samples

SPEC = phantom.PhantomSpec(patients=2, height=160, width=120, spacing_mm=1.0)


def flip(data, rng):
    """Some bytes become others."""
    out = bytearray(data)
    for at in rng.integers(len(out), size=int(rng.integers(1, 12))):
        out[at] = int(rng.integers(256))
    return bytes(out)


def flip_early(data, rng):
    """The same near the front, where headers are."""
    head = min(len(data), 1200)
    return flip(data[:head], rng) + data[head:]


def truncate(data, rng):
    return data[: int(rng.integers(len(data)))]


def insert(data, rng):
    at = int(rng.integers(len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, 64))) + data[at:]


def remove(data, rng):
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 64))
    return data[:at] + data[at + length :]


def repeat(data, rng):
    """A stretch stands there twice."""
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 400))
    return data[: at + length] + data[at:]


def blank(data, rng):
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 200))
    stretch = data[at : at + length]
    return data[:at] + bytes([int(rng.choice((0, 32, 255)))]) * len(stretch) + data[at + length :]


def numbers(data, rng):
    """Every digit of one stretch becomes a nine: sizes, coordinates and counts grow absurd."""
    at = int(rng.integers(len(data)))
    stretch = bytes(ord("9") if chr(byte).isdigit() else byte for byte in data[at : at + 60])
    return data[:at] + stretch + data[at + 60 :]


def sizes(data, rng):
    """Two neighbouring bytes of the front become the largest number."""
    at = int(rng.integers(min(len(data), 1200)))
    return data[:at] + b"\xff\xff" + data[at + 2 :]


MUTATIONS = (flip, flip_early, truncate, insert, remove, repeat, blank, numbers, sizes)


def a_view():
    return phantom.cases(SPEC)[0].views[0].pixels() >> 4


def of_a_file(suffix, make, read):
    """Damages one file again and again."""

    def prepare(root):
        path = root / f"good{suffix}"
        make(path)
        return path

    def attempt(path, data):
        bad = path.with_name(f"bad{suffix}")
        bad.write_bytes(data)
        read(bad)
        return "read"

    return prepare, attempt


def of_a_dataset(module, pattern):
    """Damages one file of a whole dataset and reads all of it."""

    def prepare(root):
        module.write(phantom.cases(SPEC), root)
        return sorted(root.rglob(pattern))[0]

    def attempt(path, data):
        good = path.read_bytes()
        path.write_bytes(data)
        try:
            module.entries(DATASET)
            dataset = module.read(DATASET)
            for view in dataset.views:
                see(view)
            return "problems" if dataset.problems else "read"
        finally:
            path.write_bytes(good)

    return prepare, attempt


def see(view):
    """Everything a user would do with a view; each step may refuse, for itself, with a reason."""
    try:
        pixels = view.pixels()
    except cases.DataError:
        return
    for lesion in view.lesions:
        if lesion.region is not None:
            try:
                lesion.region.bounds(), lesion.region.mask(pixels.shape)
            except cases.DataError as error:
                assert error.reason


def of_dicom(syntax, bits=12):
    def make(path):
        pixels = (a_view() >> (12 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
        if syntax.is_compressed and syntax != uids.DeflatedExplicitVRLittleEndian:
            dicom_samples.compressed(path, pixels, syntax, bits=bits, **WINDOW)
        else:
            dicom_samples.edited(path, pixels, syntax=syntax, **WINDOW)

    return of_a_file(".dcm", make, read_dicom)


def write_case(path):
    films = (ddsm_case.Film(cases.Side.LEFT, cases.Projection.CC, 4000, 3000, 12, 0.05, True),)
    ddsm_case.write_ics(path, ddsm_case.CaseFile("C-0001-1", "REGULAR", "2", "LUMISYS LASER", films))


def write_outline(path):
    square = np.array([[5, 5], [9, 5], [9, 9], [5, 9], [5, 5]])
    steps = [np.linspace(one, other, 4, endpoint=False) for one, other in itertools.pairwise(square)]
    points = np.vstack([*steps, square[-1:]]).astype(int)
    shape = (ddsm_overlay.LesionType("mass", {"SHAPE": "OVAL"}),)
    outlines = (ddsm_overlay.Outline("BOUNDARY", points),)
    ddsm_overlay.write_overlay(path, [ddsm_overlay.Abnormality(1, shape, "4", "3", cases.Pathology.BENIGN, outlines)])


def read_outlines(path):
    for abnormality in ddsm_overlay.read_overlay(path).abnormalities:
        for outline in abnormality.outlines:
            ddsm_overlay.fill(outline.points, (40, 30), path)


def write_png(path):
    assert cv2.imwrite(str(path), a_view())


def read_dicom(path):
    for intensity in ("raw", "voi", "minmax"):
        pixels = dicom.read_pixels(path, intensity)
        assert pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16)


DATASET = pathlib.Path()
WINDOW = {"WindowCenter": "2000", "WindowWidth": "3000", "RescaleSlope": "2", "RescaleIntercept": "-10"}
SYNTAXES = {
    "ImplicitVRLittleEndian": 12,
    "ExplicitVRLittleEndian": 12,
    "ExplicitVRBigEndian": 12,
    "DeflatedExplicitVRLittleEndian": 12,
    "RLELossless": 12,
    "JPEGBaseline8Bit": 8,
    "JPEGExtended12Bit": 12,
    "JPEGLossless": 12,
    "JPEGLosslessSV1": 12,
    "JPEGLSLossless": 12,
    "JPEGLSNearLossless": 12,
    "JPEG2000Lossless": 12,
    "JPEG2000": 12,
}
KINDS = {
    **{f"dicom-{name}": of_dicom(getattr(uids, name), bits) for name, bits in SYNTAXES.items()},
    "pgm": of_a_file(".pgm", lambda path: pgm.write(path, (a_view() >> 4).astype(np.uint8)), pgm.read_pixels),
    "png": of_a_file(".png", write_png, folder.read_image),
    "cbis_ddsm-csv": of_a_dataset(cbis_ddsm, "*train_set.csv"),
    "inbreast-csv": of_a_dataset(inbreast, "*.csv"),
    "inbreast-xml": of_a_dataset(inbreast, "*.xml"),
    "mini_mias-txt": of_a_dataset(mini_mias, "Info.txt"),
    "folder-csv": of_a_dataset(folder, "*.csv"),
    "ddsm-dataset": of_a_dataset(ddsm, "*.ics"),
    "ddsm-ljpeg": of_a_file(".LJPEG", lambda path: path.write_bytes(ljpeg.encode(a_view(), 12)), ljpeg.read_pixels),
    "ddsm-ics": of_a_file(".ics", write_case, ddsm_case.read_ics),
    "ddsm-overlay": of_a_file(".OVERLAY", write_outline, read_outlines),
}


def main(kind, root, count, seed):
    global DATASET
    DATASET = pathlib.Path(root)
    warnings.simplefilter("error")
    prepare, attempt = KINDS[kind]
    path = prepare(DATASET)
    good = path.read_bytes()
    attempt(path, good)
    outcomes, slowest, before = {}, 0.0, machine.peak_mb()
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        mutate = MUTATIONS[i % len(MUTATIONS)]
        data, started = mutate(good, rng), time.perf_counter()
        try:
            outcome = attempt(path, data)
        except cases.DataError as error:
            assert error.path and error.reason, (kind, i)
            outcome = "refused"
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}, number {i} ({mutate.__name__})") from error
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        slowest = max(slowest, time.perf_counter() - started)
    taken = machine.peak_mb() - before
    print(json.dumps({"outcomes": outcomes, "slowest_s": slowest, "taken_mb": taken}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
