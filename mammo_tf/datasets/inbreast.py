"""INbreast: 410 digital mammograms with outlined findings; reader and writer (doi:10.1016/j.acra.2011.09.014).

A table (one row an image, with its BI-RADS), one DICOM an image and, where something is marked, one XML. No outcome
is proven: lesions are `UNPROVEN`, and `labels.birads_4_up` labels the images. The patient stands in the DICOM's name
alone.

    dataset = inbreast.read(pathlib.Path("INbreast Release 1.0"))
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mammo_tf import cases, datasets, regions
from mammo_tf.datasets import about, copies, dicom, folder_images
from mammo_tf.datasets import inbreast_files as files
from mammo_tf.datasets import inbreast_planted as planted
from mammo_tf.datasets import inbreast_tables as tables
from mammo_tf.datasets import inbreast_xml as outlines

NAME = "inbreast"
ALGORITHM_VERSION = 1  # of the writer
STORED_BITS = 12  # of the published DICOMs; the detector has 14
_AT_ONCE = 2  # threads: they hide the latency of a disk; more only contend for the interpreter

ABOUT = about.About(
    title="INbreast: full-field digital mammograms of the Breast Centre, Hospital de Sao Joao, Porto (115 cases)",
    where="on request from the Breast Research Group, INESC Porto",
    terms="research use; no redistribution",
    citation="Moreira et al. 2012, INbreast: toward a full-field digital mammographic database, "
    "doi:10.1016/j.acra.2011.09.014",
    tree="""\
INbreast Release 1.0/
    INbreast.csv  (or INbreast.xls)
    AllDICOMs/22580192_5530d5782fc89dd7_MG_R_CC_ANON.dcm ...
    AllXML/22580192.xml ...  (images with findings)
(other folder names will do; AllROI, the same outlines in OsiriX's own form, is not read)
""",
    known={
        "images": 410,
        "cases": 115,
        "BI-RADS 1": 67,
        "BI-RADS 2": 220,
        "BI-RADS 3": 23,
        "BI-RADS 4a": 13,
        "BI-RADS 4b": 8,
        "BI-RADS 4c": 22,
        "BI-RADS 5": 49,
        "BI-RADS 6": 8,
    },
    mean_8bit=44.33,
    mean_source="Shen et al. 2019, training mean",
)


def entries(root: str | os.PathLike[str]) -> tuple[about.Entry, ...]:
    """The rows of the table; the patient is "" where no file name tells.

    Raises:
        cases.DataError: no table, or one that cannot be read.
    """
    tree = _tree(root)
    found = []
    for row in tables.read(tree.table).rows:
        own = {file.patient for file in tree.images.get(row.image, []) if file.patient}
        patient = own.pop() if len(own) == 1 else ""
        label = f"BI-RADS {row.birads}" if row.birads else ""
        found.append(about.Entry(row.image, patient, label, side=str(row.side), view=row.view, density=row.density))
    return tuple(found)


def _tree(root: str | os.PathLike[str]) -> files.Tree:
    tree = files.Tree.walk(datasets.existing(root))
    if tree.table is None:
        empty = "the folder is empty" if not any(tree.root.iterdir()) else "no table of INbreast"
        raise cases.DataError(tree.root, f"{empty}; looked for {' and '.join(files.TABLES)}")
    return tree


def read(root: str | os.PathLike[str], *, strict: bool = False, intensity: str = "raw") -> cases.Dataset:
    """Reads the images that the table lists, from a tree of any shape.

    An image whose outlines cannot be read or lie beside it is left out: without them a lesion would pass for healthy
    tissue. No XML means that nothing is marked. A point marks one pixel. Copies as PNG are read where no DICOM is
    there and their name is the DICOM's, since nothing else tells the patient; one of 16 bits whose values fit into
    12, as those of the DICOMs do, is taken to have 12.
    A second file of an image, and a file that no row lists, are left out and listed; files of one image that name
    different patients are all left out. Where name and table disagree on side or view, the table counts.

    Args:
        root: the folder; table, images and outlines may lie deeper.
        strict: raise at the first problem instead of listing it.
        intensity: how DICOM values become pixels, see `dicom.read_pixels`; PNGs are read as they are.

    Raises:
        cases.DataError: no table, a column is missing, or no image can be used.
    """
    tree = _tree(root)
    table = tables.read(tree.table)
    reader = _Reader(tree, intensity)
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        outcomes = list(pool.map(reader.read, table.rows))
    views = [outcome.view for outcome in outcomes if outcome.view]
    problems = [*table.problems, *(problem for outcome in outcomes for problem in outcome.problems)]
    problems += tree.unlisted(table.listed) + copies.left_out(tree.tables)
    repairs = [*table.repairs, *(repair for outcome in outcomes for repair in outcome.repairs)]
    datasets.refuse(table.path, problems, of=f"{len(table.rows)} images", used=len(views), strict=strict)
    notes = [path for view in views for path in tree.outlines.get(view.id, [])]
    mark = datasets.fingerprint(tree.root, [table.path, *notes], [view.path for view in views])
    kind = (
        "phantom" if "phantom" in map(datasets.kind, table.path.parents) else "real"
    )  # the root may be a level too high
    found = datasets.by_patient(views)
    return cases.Dataset(NAME, kind, str(tree.root), found, tuple(problems), mark, tuple(repairs))


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """What became of a row."""

    view: cases.View | None
    problems: tuple[cases.Problem, ...] = ()
    repairs: tuple[cases.Repair, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Pixels:
    """How the pixels of a file are to be read, known from its header."""

    shape: tuple[int, int]
    max_value: int
    load: Callable[[], np.ndarray]
    spacing_mm: float | None = None
    lossy: bool = False
    repairs: tuple[cases.Repair, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Reader:
    tree: files.Tree
    intensity: str

    def read(self, row: tables.Row) -> _Outcome:
        try:
            file, others = self.tree.image_of(row.image)
            pixels = self.png(file.path) if file.form == "png" else self.dicom(file.path)
            lesions, repairs = self.lesions(row.image, pixels.shape)
        except cases.DataError as error:
            return _Outcome(None, (cases.Problem.of(error, f"image {row.image}"),))
        projection = cases.Projection.__members__.get(row.view, cases.Projection.OTHER)
        attributes = {"birads": row.birads, "breast density": row.density}
        view = cases.View(
            id=row.image,
            patient_id=file.patient,
            side=row.side,
            projection=projection,
            load=pixels.load,
            max_value=pixels.max_value,
            spacing_mm=pixels.spacing_mm,
            lesions=lesions,
            attributes=attributes if row.view == projection else {**attributes, "view": row.view},
            path=str(file.path),
            lossy=pixels.lossy,
        )
        return _Outcome(view, others, (*_disagreements(row, file), *pixels.repairs, *repairs))

    def dicom(self, path: pathlib.Path) -> _Pixels:
        header = dicom.read_header(path)
        load = functools.partial(dicom.read_pixels, path, self.intensity)
        top = dicom.max_value(header, self.intensity)
        return _Pixels(header.shape, top, load, header.spacing_mm, header.lossy)

    def png(self, path: pathlib.Path) -> _Pixels:
        header = folder_images.read_header(path)
        load = functools.partial(folder_images.read_image, path)
        top = int(load().max()) if header.bits == 16 else 255
        limit = 2**STORED_BITS - 1
        if header.bits == 8 or top > limit:
            return _Pixels(header.shape, header.max_value, load)
        what = f"a PNG of 16 bits with values up to {top}: taken to be those of the DICOM, 0 to {limit}"
        return _Pixels(header.shape, limit, load, repairs=(cases.Repair(str(path), "bits of a PNG", what),))

    def lesions(self, image: str, shape: tuple[int, int]) -> tuple[tuple[cases.Lesion, ...], list[cases.Repair]]:
        path = self.tree.outline_of(image)
        if path is None:
            return (), []
        read = outlines.read(path)
        repairs, lesions = list(read.repairs), []
        for i, outline in enumerate(read.found, 1):
            if repair := _outside(path, i, outline, shape):
                repairs.append(repair)
            attributes = {"name": outline.name, "type": str(outline.type)}
            region = regions.PolygonRegion(outline.points)
            own = (f"{image}_{i}", cases.Pathology.UNPROVEN, outline.kind)
            lesions.append(cases.Lesion(*own, region, attributes))
        return tuple(lesions), repairs


def _disagreements(row: tables.Row, file: files.Image) -> list[cases.Repair]:
    told = (file.side, file.view)
    if told == (row.side[0], row.view):
        return []
    what = f"the name says {' '.join(told)}, the table {row.side[0]} {row.view}: the table counts"
    return [cases.Repair(str(file.path), "side or view", what)]


def _outside(path: pathlib.Path, i: int, outline: outlines.Outline, shape: tuple[int, int]) -> cases.Repair | None:
    """What is said of an outline that leaves its image, of `shape` (H, W).

    Raises:
        cases.DataError: no pixel of the image is within its box.
    """
    xs, ys = np.transpose(outline.points)
    out = (xs < -0.5) | (ys < -0.5) | (xs > shape[1] - 0.5) | (ys > shape[0] - 0.5)
    if not out.any():
        return None
    what = f"ROI {i} ({outline.name}): {out.sum()} of {len(xs)} points lie outside the image {shape} (rows, columns)"
    if xs.max() < -0.5 or ys.max() < -0.5 or xs.min() > shape[1] - 0.5 or ys.min() > shape[0] - 0.5:
        raise cases.DataError(path, f"{what}, and none of its pixels inside")
    return cases.Repair(str(path), "points outside", f"{what}: the region ends at the border")


def phantom_spec(spec: Any) -> Any:
    """The phantom in the look of a digital detector, with 12 bits stored."""
    return dataclasses.replace(spec, look="ffdm", bits=None)


def write(found: Sequence[cases.Case], root: str | os.PathLike[str], *, workers: int = 2) -> None:
    """Writes cases in the published layout, its faults included (`inbreast_planted`); the same cases, the same bytes.

    The format knows no outcome: BI-RADS stands for it. Masks become polygons, a few of them ovals; each view is
    rendered once; a view without lesions gets no XML.

    Args:
        found: the cases; every lesion has a region.
        root: an existing or new folder.
        workers: threads (rendering and file writing leave the interpreter free).

    Raises:
        cases.MammoError: a view or lesion that the format cannot hold.
    """
    root = pathlib.Path(root)
    films = planted.films(found)
    for name in (files.IMAGES, files.OUTLINES):
        (root / name).mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(functools.partial(_write_film, root), films):
            pass
    tables.write(root / files.TABLES[0], [film.row for film in films])


def _write_film(root: pathlib.Path, film: planted.Film) -> None:
    view = film.view
    pixels = np.asarray(view.pixels())
    labels = dicom.Labels(film.patient, side=film.row.side, projection=film.row.view)
    place = root / files.IMAGES / film.name
    dicom.write(place, pixels, labels, bits_stored=view.max_value.bit_length(), spacing_mm=view.spacing_mm)
    if marks := planted.marks(view, pixels):
        outlines.write(root / files.OUTLINES / f"{film.row.image}.xml", marks, view.spacing_mm)
