"""One's own images: a folder with `images.csv` and the image files it names; reader and writer.

Columns: `file` (PNG or other image below the folder, 8 or 16 bit gray; or DICOM), `patient_id`, `label` (1, 0, or
blank when unknown), and, where known, `side` (LEFT or RIGHT) and `view` (CC or MLO).

    dataset = image_table.read(pathlib.Path("my_images"))
    examples, problems = image_table.whole_images(dataset)
"""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd

from mammo_tf import cases, datasets, labels
from mammo_tf.datasets import dicom

NAME = "image_table"
ALGORITHM_VERSION = 1  # of the writer
TABLE = "images.csv"
REQUIRED = ("file", "patient_id", "label")
COLUMNS = (*REQUIRED, "side", "view")


def read(root: pathlib.Path, *, strict: bool = False) -> cases.Dataset:
    """Reads the table; a row whose file is missing or has no known label becomes a problem.

    Raises:
        cases.DataError: no table, a column is missing, no usable row, or (with `strict`) any problem.
    """
    root = datasets.existing(root)
    table = _table(root / TABLE)
    views: dict[str, list[cases.View]] = {}
    problems = []
    for row in table.to_dict("records"):
        problem = _problem(root, row)
        if problem and strict:
            raise cases.DataError(problem.path, problem.reason)
        if problem:
            problems.append(problem)
        else:
            views.setdefault(row["patient_id"], []).append(_view(root, row))
    if not views:
        raise cases.DataError(root / TABLE, f"none of its {len(table)} rows can be used: {problems[:1]}")
    found = tuple(cases.Case(patient, tuple(views[patient])) for patient in sorted(views))
    mark = datasets.fingerprint(root, [root / TABLE], [view.path for some in views.values() for view in some])
    return cases.Dataset(NAME, datasets.kind(root), str(root), found, tuple(problems), mark)


def _table(path: pathlib.Path) -> pd.DataFrame:
    if not path.is_file():
        raise cases.DataError(path, f"no such table; expected the columns {', '.join(REQUIRED)}")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if missing := [name for name in REQUIRED if name not in table]:
        raise cases.DataError(path, f"no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table


def _problem(root: pathlib.Path, row: dict[str, str]) -> cases.Problem | None:
    path = root / row["file"]
    if not path.is_file():
        return cases.Problem(str(path), f"no such file (row of patient {row['patient_id']})")
    if row["label"].strip() not in ("", "0", "1", "0.0", "1.0"):
        return cases.Problem(str(path), f"label {row['label']!r} is neither 0, 1 nor blank")
    return None


def _view(root: pathlib.Path, row: dict[str, str]) -> cases.View:
    path = root / row["file"]
    sides, projections = cases.Side.__members__, cases.Projection.__members__
    is_dicom = path.suffix.lower() in (".dcm", ".dicom")
    load = functools.partial(dicom.read_pixels if is_dicom else read_image, path)
    max_value = (1 << dicom.read_header(path).bits_stored) - 1 if is_dicom else _max_value(path)
    return cases.View(
        id=row["file"],
        patient_id=row["patient_id"],
        side=sides.get(row.get("side", "").upper()),
        projection=projections.get(row.get("view", "").upper(), cases.Projection.OTHER),
        load=load,
        max_value=max_value,
        attributes={"label": row["label"].strip()},
        path=str(path),
    )


def _max_value(path: pathlib.Path) -> int:
    """65535 for a 16-bit PNG or PGM, else 255: from the header, without decoding."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"\x89PNG"):
        return 65535 if head[24] == 16 else 255
    return 255 if path.suffix.lower() not in (".tif", ".tiff", ".pgm") else int(np.iinfo(read_image(path).dtype).max)


def read_image(path: pathlib.Path) -> np.ndarray:
    """A gray image (H, W), uint8 or uint16; colour is refused unless its channels are equal.

    Raises:
        cases.DataError: not an image, or a colour image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise cases.DataError(path, "not an image that can be decoded")
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
    """Writes the views as 16-bit PNG with their table; label 1 = some lesion is malignant."""
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for view in (view for case in found for view in case.views):
        name = f"{view.id.replace('/', '_')}.png"
        scale = 65535 // view.max_value
        cv2.imwrite(str(root / name), view.pixels().astype(np.uint16) * np.uint16(scale))
        label = labels.pathology.view(view)
        text = "" if math.isnan(label) else str(int(label))
        rows.append((name, view.patient_id, text, view.side or "", view.projection))
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(root / TABLE, index=False)
