"""One's own images: a folder with `images.csv` and the image files it names; reader and writer.

Columns: `file` (below the folder: uncompressed DICOM, binary PGM, PNG or another image of 8 or 16 bits, gray),
`patient_id`, `label` (1, 0, or blank when unknown), and, where known, `side` (LEFT, RIGHT, L or R) and `view` (CC or
MLO; whatever else stands there is taken for another projection).

    dataset = folder.read(pathlib.Path("my_images"))
    examples, problems = folder.whole_images(dataset)
"""

from __future__ import annotations

import functools
import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from mammo_tf import cases, datasets, labels
from mammo_tf.datasets import dicom, pgm

NAME = "folder"
ALGORITHM_VERSION = 1  # of the writer
TABLE = "images.csv"
REQUIRED = ("file", "patient_id", "label")
COLUMNS = (*REQUIRED, "side", "view")
SIDES = {"": None, "L": cases.Side.LEFT, "R": cases.Side.RIGHT, **cases.Side.__members__}
_WITH_HEADER = {".dcm": dicom, ".dicom": dicom, ".pgm": pgm}  # formats with a module of their own


def read(root: str | os.PathLike[str], *, strict: bool = False) -> cases.Dataset:
    """Reads the table; a row with a fault of its own or of its file becomes a problem.

    A blank label is no fault here: the view is kept, its label unknown, and `whole_images` lists it as a problem.

    Args:
        root: the folder of the table; its images may lie deeper, but not outside.
        strict: raise at the first problem instead of listing it.

    Raises:
        cases.DataError: no table, not a CSV, a column is missing, no usable row, or (with `strict`) any problem.
    """
    root = datasets.existing(root)
    rows = _table(root / TABLE).to_dict("records")
    views: dict[str, cases.View] = {}
    problems = []
    for row in rows:
        try:
            view = _view(root, row)
            if view.id in views:
                raise cases.DataError(view.path, "listed in two rows; the first one counts")
            views[view.id] = view
        except cases.DataError as error:
            problems.append(cases.Problem(error.path, error.reason))
    datasets.refuse(root / TABLE, problems, of=f"{len(rows)} rows", used=len(views), strict=strict)
    found = datasets.by_patient(views.values())
    mark = datasets.fingerprint(root, [root / TABLE], [view.path for view in views.values()])
    return cases.Dataset(NAME, datasets.kind(root), str(root), found, tuple(problems), mark)


def _table(path: pathlib.Path) -> pd.DataFrame:
    if not path.is_file():
        raise cases.DataError(path, f"no such table; expected the columns {', '.join(REQUIRED)}")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise cases.DataError(path, f"cannot be read as CSV: {error}") from None
    table = table.rename(columns=lambda name: name.strip())
    if missing := [name for name in REQUIRED if name not in table]:
        raise cases.DataError(path, f"no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table.apply(lambda column: column.fillna("").str.strip())


def _view(root: pathlib.Path, row: Mapping[str, str]) -> cases.View:
    name = pathlib.PurePath(os.path.normpath(row["file"]))
    path = root / name
    for kept, reason in _rules(name, path, row):
        if not kept:
            raise cases.DataError(path, reason)
    module = _WITH_HEADER.get(path.suffix.lower())
    return cases.View(
        id=name.as_posix(),
        patient_id=row["patient_id"],
        side=SIDES[row.get("side", "").upper()],
        projection=cases.Projection.__members__.get(row.get("view", "").upper(), cases.Projection.OTHER),
        load=functools.partial(module.read_pixels if module else read_image, path),
        max_value=module.read_header(path).max_value if module else _max_value(path),
        attributes={"label": row["label"]},
        path=str(path),
    )


def _rules(name: pathlib.PurePath, path: pathlib.Path, row: Mapping[str, str]) -> list[tuple[bool, str]]:
    """What must hold for a row, each with the message that says it does not."""
    patient, label, side = row["patient_id"], row["label"], row.get("side", "")
    below = not name.is_absolute() and ".." not in name.parts
    return [
        (below, f"file {row['file']!r} is no path below the folder of the table"),
        (below and path.is_file(), f"no such file (row of patient {patient})"),
        (patient != "", "no patient_id, by which splits go"),
        (label in ("", "0", "1", "0.0", "1.0"), f"label {label!r} is neither 0, 1 nor blank"),
        (side.upper() in SIDES, f"side {side!r} is neither LEFT, RIGHT, L, R nor blank"),
    ]


def _max_value(path: pathlib.Path) -> int:
    """255 or 65535: from the header of a PNG or JPEG, else from the decoded image."""
    try:
        with path.open("rb") as file:
            head = file.read(26)
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) == 26:
        return 65535 if head[24] == 16 else 255  # the bits a channel, of the IHDR chunk
    return 255 if head.startswith(b"\xff\xd8\xff") else int(np.iinfo(read_image(path).dtype).max)


def read_image(path: pathlib.Path) -> np.ndarray:
    """A gray image (H, W), uint8 or uint16; colour is refused unless its channels are equal.

    Raises:
        cases.DataError: not an image, a colour image, or one of another type of pixel.
    """
    try:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # an absurd size
        raise cases.DataError(path, f"cannot be decoded: {error.err}") from None
    if image is None:
        raise cases.DataError(path, "not an image that can be decoded")
    if image.dtype not in (np.uint8, np.uint16):
        raise cases.DataError(path, f"expected pixels of 8 or 16 bits, found {image.dtype}")
    if image.ndim == 3:
        if (image[..., :3] != image[..., :1]).any():
            raise cases.DataError(path, f"a colour image {image.shape}; expected gray")
        image = image[..., 0]
    return image


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
    unknown = [cases.Problem(v.path, "no label") for v in dataset.views if math.isnan(label_of_view(v))]
    examples = [cases.Example(v.id, v.patient_id, (v,), label_of_view(v), roi_id=v.id) for v in known]
    return tuple(examples), tuple(unknown)


def write(found: Sequence[cases.Case], root: pathlib.Path, *, workers: int = 2) -> None:
    """Writes the views as 16-bit PNG with their table; label 1 = some lesion is malignant.

    Raises:
        cases.DataError: an image cannot be written.
    """
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for view in (view for case in found for view in case.views):
        name = f"{view.id.replace('/', '_')}.png"
        scale = 65535 // view.max_value
        if not cv2.imwrite(str(root / name), view.pixels().astype(np.uint16) * np.uint16(scale)):
            raise cases.DataError(root / name, "cannot be written")
        label = labels.pathology.view(view)
        text = "" if math.isnan(label) else str(int(label))
        rows.append((name, view.patient_id, text, view.side or "", view.projection))
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(root / TABLE, index=False)
