"""Does a prepared dataset read faster than the files that it was made of? That depends on their compression.

Synthetic views of 1500x1125 pixels of 12 bits (80 of them, more than the reader keeps in memory) are written as DICOM
in three transfer syntaxes, each set is prepared, and all views of both are read in order. They take turns in one
process; CPU time of all threads, medians of the rounds; the files are in the system's cache.

    python benchmarks/prepared.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import time

import imagecodecs
import numpy as np
import pydicom
from pydicom import uid as uids

from mammo_tf import cases, datasets, preparing
from mammo_tf.datasets import dicom, folder, phantom

COPIES, BITS = 16, 12
SYNTAXES = (uids.ExplicitVRLittleEndian, uids.JPEGLosslessSV1, uids.JPEG2000Lossless)


def encoded(pixels: np.ndarray, syntax: uids.UID) -> bytes:
    """The pixels as a compressed stream."""
    if syntax == uids.JPEG2000Lossless:
        return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", bitspersample=BITS, reversible=True)
    return imagecodecs.jpeg8_encode(pixels, bitspersample=BITS, lossless=True, predictor=1)


def write(root: pathlib.Path, syntax: uids.UID, images: list[np.ndarray]) -> None:
    """A `folder` dataset: each image several times, under names of its own."""
    root.mkdir()
    rows = []
    for i, pixels in enumerate(images):
        path = root / f"{i}.dcm"
        dicom.write(path, pixels, bits_stored=BITS)
        if syntax != uids.ExplicitVRLittleEndian:
            data = pydicom.dcmread(path)
            data.file_meta.TransferSyntaxUID = syntax
            data.PixelData = pydicom.encaps.encapsulate([encoded(pixels, syntax)])
            data["PixelData"].VR = "OB"
            data.save_as(path)
        for copy in range(COPIES):
            (root / f"{i}_{copy}.dcm").write_bytes(path.read_bytes())
            rows.append(f"{i}_{copy}.dcm,{i},0")
        path.unlink()
    (root / folder.TABLE).write_text("\n".join(["file,patient_id,label", *rows]) + "\n")


def seconds(dataset: cases.Dataset) -> float:
    start = time.process_time()
    for view in dataset.views:
        np.asarray(view.pixels()).sum()  # every pixel, or a memory map would read none
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    spec = phantom.PhantomSpec(patients=3, height=1500, width=1125, spacing_mm=0.16, look="ffdm")
    images = [view.pixels() for case in phantom.cases(spec) for view in case.views][:5]
    for syntax in SYNTAXES:
        with tempfile.TemporaryDirectory() as place:
            root, out = pathlib.Path(place, "files"), pathlib.Path(place, "prepared")
            write(root, syntax, images)
            preparing.prepare(preparing.Request(folder, root, out))
            both = datasets.open_dataset(folder, root), datasets.open_dataset(folder, out)
            taken = [[seconds(dataset) for dataset in both] for _ in range(rounds)]
            files, records = (
                statistics.median(column) / len(both[0].views) * 1e3 for column in zip(*taken, strict=True)
            )
            print(f"{syntax.name[:48]:50s}files {files:6.1f} ms   records {records:6.1f} ms   x{records / files:.2f}")


if __name__ == "__main__":
    main()
