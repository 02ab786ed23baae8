"""Small cases of DDSM made by hand, which several tests share."""

import dataclasses

import numpy as np

from mammo_tf import cases, datasets
from mammo_tf.datasets import ddsm, ddsm_case, ljpeg, phantom
from mammo_tf.datasets import ddsm_files as files
from mammo_tf.datasets import ddsm_overlay as overlays

LEFT, RIGHT = cases.Side
CC, MLO, OTHER = cases.Projection
SHAPE = (12, 9)
SQUARE = np.array([[2, 3], [3, 3], [4, 3], [4, 4], [4, 5], [3, 5], [2, 5], [2, 4], [2, 3]])  # (x, y): rows 3 to 5


def pixels(seed=0, bits=12, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 2**bits, shape).astype(np.uint16)


def abnormality(number=1, pathology="MALIGNANT", kinds=("mass",), points=SQUARE):
    types = tuple(overlays.LesionType(kind, {"SHAPE": "OVAL"} if kind == "mass" else {}) for kind in kinds)
    outlines = (overlays.Outline("BOUNDARY", points),)
    return overlays.Abnormality(number, types, "5", "3", cases.Pathology(pathology), outlines)


MARKED = (abnormality(),)


def write_case(folder, name="B-3013-1", marked=MARKED, films=((LEFT, CC), (RIGHT, MLO)), **changes):
    """A case whose last film has the abnormalities; gray values by the number of the film."""
    folder.mkdir(parents=True, exist_ok=True)
    listed, stem = [], files.key_of(name)
    for seed, (side, projection) in enumerate(films):
        film = ddsm_case.Film(side, projection, *SHAPE, 12, 0.05, False)
        if marked and seed == len(films) - 1:
            film = dataclasses.replace(film, overlay=True)
            overlays.write_overlay(folder / f"{stem}.{film.name}.OVERLAY", marked)
        (folder / f"{stem}.{film.name}.LJPEG").write_bytes(ljpeg.encode(pixels(seed), 12, predictor=1 + seed))
        listed.append(dataclasses.replace(film, **changes))
    ddsm_case.write_ics(
        folder / f"{name}.ics", ddsm_case.CaseFile(name, "REGULAR", "3", "LUMISYS LASER", tuple(listed))
    )
    return folder


def phantom_spec():
    return ddsm.phantom_spec(phantom.PhantomSpec(patients=30, height=150, width=112, spacing_mm=1.6, seed=3))


def write_phantom(folder):
    datasets.write_phantom(ddsm, phantom_spec(), folder)
    return folder


def damaged(case, name):
    path = case / name
    path.write_bytes(path.read_bytes()[:60])
