"""CBIS-DDSM: digitised films with masks of their lesions; reader and writer (doi:10.1038/sdata.2017.177).

Four tables (masses and calcifications, training and test), one row a lesion, and three DICOM files a row: the film, a
crop round the lesion and its mask. A patient may stand in several tables: they are pooled here, each lesion keeps its
`part`. The file numbers of crop and mask in the tables cannot be trusted: the mask is the one of 8 bits.

    dataset = cbis_ddsm.read(pathlib.Path("CBIS-DDSM"))
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mammo_tf import cases, datasets, regions
from mammo_tf.datasets import cbis_ddsm_tables as tables
from mammo_tf.datasets import dicom

NAME = "cbis_ddsm"
ALGORITHM_VERSION = 1  # of the writer
read_csv = tables.read_csv
_HEADERS_AT_ONCE = 2  # threads: they hide the latency of a disk; more only contend for the interpreter
_FOLDER = re.compile(r"(Mass|Calc)-(Training|Test)_.+")


@dataclasses.dataclass(frozen=True)
class _Tree:
    """Where the tables and the folders of films and lesions lie, by name."""

    root: pathlib.Path
    csvs: Mapping[str, pathlib.Path]
    folders: Mapping[str, pathlib.Path]

    @classmethod
    def walk(cls, root: pathlib.Path) -> _Tree:
        wanted, csvs, folders = {table.file for table in tables.TABLES}, {}, {}
        for folder, below, files in os.walk(root):
            for name in sorted(wanted.intersection(files)):
                csvs.setdefault(name, pathlib.Path(folder, name))
            for name in filter(_FOLDER.fullmatch, below):
                folders.setdefault(name, pathlib.Path(folder, name))
            below[:] = sorted(name for name in below if name not in folders)
        return cls(root, csvs, folders)

    def locate(self, path: str) -> pathlib.Path:
        """The place that a table's path stands for, whether or not a file lies there."""
        name, _, rest = path.partition("/")
        return self.folders.get(name, self.root / name) / rest

    def files(self, *paths: str) -> Iterator[pathlib.Path]:
        """The files that the paths name, then the others of their folder: NBIA's downloads bear other names."""
        named = [path for path in map(self.locate, paths) if path.is_file()]
        yield from named
        folder = self.folders.get(paths[0].partition("/")[0])
        yield from sorted(set(folder.rglob("*.dcm")) - set(named)) if folder else ()


def read(root: str | os.PathLike[str], *, strict: bool = False) -> cases.Dataset:
    """Reads whichever of the four tables lie below the folder, with their films in any tree in circulation.

    A film of which one row cannot be used (a file is missing or damaged, or the mask does not fit) is left out with
    all its rows, each a problem: with a lesion less its label might be another.

    Args:
        root: the folder; tables and films may lie deeper.
        strict: raise at the first problem instead of listing it.

    Raises:
        cases.DataError: no table, a column is missing, a field is not what it should be, no film at all.
    """
    root = datasets.existing(root)
    tree = _Tree.walk(root)
    found = [(table, tree.csvs[table.file]) for table in tables.TABLES if table.file in tree.csvs]
    if not found:
        looked, empty = ", ".join(table.file for table in tables.TABLES), not any(root.iterdir())
        raise cases.DataError(
            root, f"{'the folder is empty' if empty else 'no table of CBIS-DDSM'}; looked for {looked}"
        )
    films = tables.films(found)
    with concurrent.futures.ThreadPoolExecutor(_HEADERS_AT_ONCE) as pool:
        outcomes = list(pool.map(functools.partial(_read_film, tree), films))
    problems = tuple(problem for _, some in outcomes for problem in some)
    views = [view for view, _ in outcomes if view]
    datasets.refuse(found[0][1], problems, of=f"{len(films)} films", used=len(views), strict=strict)
    files = [path for view in views for path in (view.path, *(lesion.region.path for lesion in view.lesions))]
    mark = datasets.fingerprint(root, [path for _, path in found], files)
    return cases.Dataset(NAME, datasets.kind(root), str(root), datasets.by_patient(views), problems, mark)


def _read_film(tree: _Tree, rows: Sequence[tables.Row]) -> tuple[cases.View | None, list[cases.Problem]]:
    try:
        header = dicom.read_header(_film(tree, rows[0].fields[tables.IMAGE]))
    except cases.DataError as error:
        return None, [cases.Problem(error.path, f"{_name(row)}: {error.reason}") for row in rows]
    lesions, problems = [], []
    for row in rows:
        try:
            lesions.append(_lesion(tree, row, header))
        except cases.DataError as error:
            problems.append(cases.Problem(error.path, f"{_name(row)}: {error.reason}"))
    if problems:
        rest = f"left out with {problems[0].path}, a lesion of the same film"
        problems += [cases.Problem(header.path, f"{lesion.id}: {rest}") for lesion in lesions]
        return None, problems
    return _view(rows[0], header, tuple(lesions)), []


def _name(row: tables.Row) -> str:
    return row.fields[tables.MASK].partition("/")[0]


def _film(tree: _Tree, named: str) -> pathlib.Path:
    place = tree.locate(named)
    if place.is_file():
        return place
    others = list(tree.files(named))
    if len(others) != 1:
        raise cases.DataError(place, f"no such file, and {len(others)} others below its folder, not one")
    return others[0]


def _mask(tree: _Tree, row: tables.Row, film: dicom.Header) -> pathlib.Path:
    """The file of 8 bits and of the film's size among those of the row."""
    faults, crops = [], 0
    for path in tree.files(row.fields[tables.MASK], row.fields[tables.CROP]):
        try:
            header = dicom.read_header(path)
        except cases.DataError as error:
            faults.append(error)
            continue
        if header.bits_allocated != 8:
            crops += 1
        elif header.shape == film.shape:
            return path
        else:
            faults.append(cases.DataError(path, f"the mask is {header.shape}, its film {film.shape} (rows, columns)"))
    place = tree.locate(row.fields[tables.MASK])
    raise faults[0] if faults else cases.DataError(place, f"no mask (8 bits) there, {crops} other file(s) of its row")


def _lesion(tree: _Tree, row: tables.Row, film: dicom.Header) -> cases.Lesion:
    path = str(_mask(tree, row, film))
    return cases.Lesion(
        id=_name(row),
        pathology=row.parse("pathology", cases.Pathology),
        kind=row.table.kind,
        region=regions.MaskRegion(functools.partial(read_mask, path), path),
        attributes={name: row.fields[name] for name in row.table.attributes},
        part=row.table.part,
    )


def read_mask(path: str) -> np.ndarray:
    """A mask, bool (H, W); every value but 0 is the lesion.

    Raises:
        cases.DataError: as `dicom.read_pixels`.
    """
    return np.asarray(dicom.read_pixels(path) != 0)


def _view(row: tables.Row, header: dicom.Header, lesions: tuple[cases.Lesion, ...]) -> cases.View:
    projection = row.fields["image view"]
    return cases.View(
        id=row.fields[tables.IMAGE].partition("/")[0],
        patient_id=row.fields["patient_id"],
        side=row.parse("left or right breast", cases.Side),
        projection=cases.Projection.__members__.get(projection, cases.Projection.OTHER),
        load=functools.partial(dicom.read_pixels, header.path),
        max_value=header.max_value,
        spacing_mm=header.spacing_mm,
        lesions=lesions,
        attributes={"breast density": row.fields["breast density"]},
        path=header.path,
    )


def write(found: Sequence[cases.Case], root: str | os.PathLike[str], *, workers: int = 2) -> None:
    """Writes cases in the published layout, its faults included; the same cases give the same bytes.

    The format has rows for lesions only: a view without one is not written. A view with both masses and
    calcifications becomes two films, as in the original. Each view is rendered once.

    Args:
        found: the cases; every lesion has a region and is a mass or a calcification.
        root: an existing or new folder.
        workers: threads (rendering and file writing leave the interpreter free).

    Raises:
        cases.MammoError: a lesion that the format cannot hold, or two views of one patient, side and projection.
    """
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    views = [view for case in found for view in case.views if view.lesions]
    _check(views)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        written = [row for rows in pool.map(functools.partial(_write_view, root), views) for row in rows]
    for table in tables.TABLES:
        tables.write_csv(root / table.file, table, [row for of, row in written if of == table])


def _check(views: Sequence[cases.View]) -> None:
    names = collections.Counter((view.patient_id, view.side, view.projection) for view in views)
    for view in views:
        if view.side is None or names[view.patient_id, view.side, view.projection] > 1:
            raise cases.MammoError(f"{NAME} holds one view a patient, side and projection; {view.id} is one more")
        for lesion in view.lesions:
            if lesion.kind not in tables.OWN or lesion.region is None:
                what = lesion.kind if lesion.region else f"{lesion.kind} without a region"
                raise cases.MammoError(f"{NAME} holds masses and calcifications with masks; {lesion.id} is {what}")


def _write_view(root: pathlib.Path, view: cases.View) -> list[tuple[tables.Table, dict[str, str]]]:
    pixels = np.asarray(view.pixels()).astype(np.uint16, copy=False)
    rows = []
    for table in tables.TABLES:
        lesions = [one for one in view.lesions if (one.kind, one.part or "train") == (table.kind, table.part)]
        if lesions:
            film = _Film(root, table, view, pixels)
            rows += [(table, row) for row in film.write(lesions)]
    return rows


@dataclasses.dataclass(frozen=True)
class _Film:
    """One film while it is written."""

    root: pathlib.Path
    table: tables.Table
    view: cases.View
    pixels: np.ndarray

    @property
    def folder(self) -> str:
        return f"{self.table.prefix}_{self.view.patient_id}_{self.view.side}_{self.view.projection}"

    def write(self, lesions: Sequence[cases.Lesion]) -> list[dict[str, str]]:
        path = tables.film_path(self.folder)
        self.save(path, self.pixels, "full mammogram images")
        own = [lesion.attributes.get("abnormality id", "") for lesion in lesions]
        numbers = own if all(own) and len(set(own)) == len(own) else [str(i) for i in range(1, len(lesions) + 1)]
        return [
            {tables.IMAGE: path, **self.write_lesion(one, number)}
            for one, number in zip(lesions, numbers, strict=True)
        ]

    def save(self, path: str, pixels: np.ndarray, description: str) -> None:
        folder, study, series, _ = path.split("/")
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        names = {"side": self.view.side or "", "projection": self.view.projection, "description": description}
        labels = dicom.Labels(folder, study, series, dicom.uid(path), **names)
        bits = self.view.max_value.bit_length() if pixels.dtype == np.uint16 else 8
        dicom.write(place, pixels, labels, bits_stored=bits, spacing_mm=self.view.spacing_mm)

    def write_lesion(self, lesion: cases.Lesion, number: str) -> dict[str, str]:
        """The crop and the mask of a lesion, and its row but for the film's path."""
        mask = lesion.region.mask(self.pixels.shape)
        if not mask.any():
            raise cases.MammoError(f"lesion {lesion.id} has an empty mask")
        top, left, bottom, right = regions.box(mask)
        crop = self.pixels[top:bottom, left:right]
        folder = f"{self.folder}_{number}"
        crop_path, mask_path, swapped = self.table.lesion_paths(folder)
        self.save(mask_path if swapped else crop_path, crop, "cropped images")
        self.save(crop_path if swapped else mask_path, mask.astype(np.uint8) * np.uint8(255), "ROI mask images")
        return {
            **{name: lesion.attributes.get(name, "N/A") for name in self.table.attributes},
            "patient_id": self.view.patient_id,
            "breast density": self.view.attributes.get("breast density", "N/A"),
            "left or right breast": str(self.view.side),
            "image view": str(self.view.projection),
            "abnormality id": number,
            "abnormality type": self.table.kind,
            "pathology": str(lesion.pathology),
            tables.CROP: crop_path,
            tables.MASK: mask_path,
        }
