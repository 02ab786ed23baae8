"""One's own images: a folder with `images.csv` and the image files it names; reader and writer.

Columns: `file` (below the folder: DICOM, PGM, PNG, JPEG or TIFF of 8 or 16 bits, gray, black as zero), `patient_id`,
`label` (1, 0, or blank when unknown), and, where known, `side` (LEFT, RIGHT, L or R), `view` (CC or MLO; another text
is another projection), `bits` (that hold the value: 12 where a 16-bit PNG goes up to 4095), `spacing_mm`, `part`
(train or test), `birads`, `density`, and of one lesion its `mask` (an image below the folder, 0 outside the lesion;
with loss, above half), `pathology` (that of the label where blank) and `kind`. Other columns become attributes of the
view, but for those that would identify a person.

    dataset = folder.read(pathlib.Path("my_images"))
    examples, problems = folder.whole_images(dataset)
"""

from __future__ import annotations

import functools
import math
import os
import pathlib

import numpy as np

from mammo_tf import cases, datasets, labels, regions
from mammo_tf.datasets import about, folder_files, folder_images, folder_table, folder_template, folder_writer

NAME = "folder"
ALGORITHM_VERSION = 2  # of the writer
TABLE = folder_table.FILE
SIDES = {"": None, "L": cases.Side.LEFT, "R": cases.Side.RIGHT, **cases.Side.__members__}
ABOUT = about.About(
    title="one's own images",
    where="",
    terms="",
    citation="",
    tree="DIR/images.csv     file,patient_id,label[,side,view,bits,spacing_mm,part,...]\nDIR/1_L_CC.png\nDIR/...",
)
read_image, template, write = folder_images.read_image, folder_template.template, folder_writer.write
_PATHOLOGIES = {"": "UNPROVEN", "0": "BENIGN", "1": "MALIGNANT"}  # of a lesion, by the label


def entries(root: str | os.PathLike[str]) -> tuple[about.Entry, ...]:
    """The rows of the table as they stand there, without a look at the images.

    Raises:
        cases.DataError: as `read`, for the table.
    """
    return tuple(_entry(row) for row in _table(datasets.existing(root)).rows)


def _entry(row: folder_table.Row) -> about.Entry:
    return about.Entry(
        image=_name(row.get("file")).as_posix(),
        patient_id=row.get("patient_id"),
        label=row.get("pathology").upper() or row.get("label")[:1],
        kind=row.get("kind").lower(),
        side=str(SIDES.get(row.get("side").upper()) or ""),
        view=row.get("view").upper(),
        part=row.get("part").lower(),
        density=row.get("density").upper(),
    )


def read(root: str | os.PathLike[str], *, strict: bool = False, intensity: str = "raw") -> cases.Dataset:
    """Reads the table; a row with a fault of its own or of its file becomes a problem.

    A blank label is no fault here: the view is kept, its label unknown, and `whole_images` lists it as a problem.
    That a pixel lies above what `bits` allows is found out when the pixels are loaded.

    Args:
        root: the folder of the table; its images may lie deeper, but not outside.
        strict: raise at the first problem instead of listing it.
        intensity: how the values of DICOM files become gray values (`dicom.read_pixels`).

    Raises:
        cases.DataError: no table, not a CSV, a column is missing, no usable row, or (with `strict`) any problem.
    """
    root = datasets.existing(root)
    table = _table(root)
    views: dict[str, cases.View] = {}
    problems, files = [], []
    for row in table.rows:
        try:
            view, mask = _view(root, row, intensity)
            if view.id in views:
                raise cases.DataError(view.path, "listed in two rows; the first one counts")
            views[view.id] = view
            files += [view.path, *mask]
        except cases.DataError as error:
            problems.append(cases.Problem.of(error))
    datasets.refuse(root / TABLE, problems, of=f"{len(table.rows)} rows", used=len(views), strict=strict)
    mark = datasets.fingerprint(root, [root / TABLE], files)
    found = datasets.by_patient(views.values())
    return cases.Dataset(NAME, datasets.kind(root), str(root), found, tuple(problems), mark, table.repairs)


def _table(root: pathlib.Path) -> folder_table.Table:
    try:
        return folder_table.read(root / TABLE)
    except cases.MissingError as error:
        raise cases.MissingError(error.path, f"{error.reason}; {folder_template.advice(root)}") from None


def _name(text: str) -> pathlib.PurePath:
    return pathlib.PurePath(os.path.normpath(text.replace("\\", "/")))


def _view(root: pathlib.Path, row: folder_table.Row, intensity: str) -> tuple[cases.View, list[str]]:
    """The view of a row, and the path of its mask where it has one."""
    path, patient = root / _name(row.get("file")), row.get("patient_id")
    if row.fault or not patient:
        raise cases.DataError(path, row.fault or "no patient_id, by which splits go")
    path = _file(root, row, "file")
    image = folder_files.stored(path, intensity).with_bits(row.get("bits"))
    lesions, masks = _lesions(root, row, image)
    known = {"label": row.get("label"), "birads": row.get("birads"), "breast density": row.get("density").upper()}
    spacing = row.get("spacing_mm").replace(",", ".")
    view = cases.View(
        id=path.relative_to(root).as_posix(),
        patient_id=patient,
        side=SIDES[row.get("side").upper()],
        projection=cases.Projection.__members__.get(row.get("view").upper(), cases.Projection.OTHER),
        load=image.open,
        max_value=image.max_value,
        spacing_mm=float(spacing) if spacing else image.spacing_mm,
        lesions=lesions,
        attributes={**row.own, **{k: v for k, v in known.items() if v or k == "label"}, **_part(row)},
        path=str(path),
        lossy=image.lossy,
    )
    return view, masks


def _part(row: folder_table.Row) -> dict[str, str]:
    return {"part": row.get("part").lower()} if row.get("part") else {}


def _file(root: pathlib.Path, row: folder_table.Row, column: str) -> pathlib.Path:
    name = _name(row.get(column))
    if name.is_absolute() or ".." in name.parts:
        raise cases.DataError(root / name, f"{column} {row.get(column)!r} is no path below the folder of the table")
    try:
        there = (root / name).is_file()
    except OSError:  # a name that no file can have
        there = False
    if not there:
        raise cases.MissingError(root / name, f"no such file (row of patient {row.get('patient_id')})")
    return root / name


def _lesions(
    root: pathlib.Path, row: folder_table.Row, image: folder_files.Stored
) -> tuple[tuple[cases.Lesion, ...], list[str]]:
    pathology = cases.Pathology(row.get("pathology").upper() or _PATHOLOGIES[row.get("label")[:1]])
    named = bool(row.get("mask") or row.get("kind") or row.get("pathology"))
    if not named or (pathology is cases.Pathology.NORMAL and not row.get("mask")):
        return (), []
    region, files = None, []
    if row.get("mask"):
        path = _file(root, row, "mask")
        mask = folder_files.stored(path)
        if pathology is cases.Pathology.NORMAL:
            raise cases.DataError(path, f"the mask of a lesion in {image.path}, whose pathology is NORMAL")
        if mask.shape != image.shape:
            raise cases.DataError(path, f"the mask is {mask.shape}, its image {image.shape} (rows, columns)")
        region, files = regions.MaskRegion(functools.partial(_load_mask, mask), str(path)), [str(path)]
    id = f"{_name(row.get('file')).as_posix()}#1"
    kind, part = row.get("kind").lower() or "lesion", row.get("part").lower() or None
    return (cases.Lesion(id, pathology, kind, region, _assessment(row), part),), files


def _assessment(row: folder_table.Row) -> dict[str, str]:
    return {"assessment": row.get("birads")} if row.get("birads") else {}


def _load_mask(mask: folder_files.Stored) -> np.ndarray:
    return np.asarray(mask.open() > (mask.max_value // 2 if mask.lossy else 0))


def label_of_view(view: cases.View) -> float:
    text = view.attributes.get("label", "")
    return float(text) if text else math.nan


def label_of_lesion(lesion: cases.Lesion) -> float:
    return math.nan


LABEL = labels.LabelPolicy("table_label", ("0", "1"), label_of_lesion, label_of_view)


def policy(dataset: str) -> labels.LabelPolicy:
    """The label policy of `run.Run`: the table's own label."""
    return LABEL


def whole_images(
    dataset: cases.Dataset, budget: object = None
) -> tuple[tuple[cases.Example, ...], tuple[cases.Problem, ...]]:
    """One example an image; images without a label are listed as problems."""
    known = [view for view in dataset.views if not math.isnan(label_of_view(view))]
    unknown = [v for v in dataset.views if math.isnan(label_of_view(v))]
    examples = [
        cases.Example(v.id, v.patient_id, (v,), label_of_view(v), roi_id=v.id, part=v.attributes.get("part"))
        for v in known
    ]
    return tuple(examples), tuple(cases.Problem(v.path, "no label", "left out") for v in unknown)
