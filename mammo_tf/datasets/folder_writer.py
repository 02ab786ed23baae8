"""Writes `images.csv` and its images, as people have them: the writer of `folder`.

The table is one that a spreadsheet saved (byte order mark, semicolons, CRLF, decimal commas); sides and views are
written in several ways, and one label in fifty is blank. Which ones hangs on the id of the view alone.

    folder_writer.write(phantom.cases(spec), pathlib.Path("my_images"))
"""

from __future__ import annotations

import concurrent.futures
import csv
import functools
import io
import math
import os
import pathlib
import re
import zlib
from collections.abc import Sequence

import cv2
import numpy as np

from mammo_tf import cases, labels
from mammo_tf.datasets import folder_table

BLANK_LABELS = 50  # one view in so many


def write(found: Sequence[cases.Case], root: str | os.PathLike[str], *, workers: int = 2) -> None:
    """Writes the views as PNG of 8 or 16 bits with their table; label 1 = some lesion is malignant.

    A view with one lesion gets a mask, or without a region its fields alone; one with several only the label.

    Args:
        found: the cases.
        root: an existing or new folder.
        workers: threads.

    Raises:
        cases.DataError: an image cannot be written.
    """
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    views = [view for case in found for view in case.views]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        rows = list(pool.map(functools.partial(_write_view, root), views))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, folder_table.COLUMNS, restval="", delimiter=";", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    (root / folder_table.FILE).write_bytes(text.getvalue().encode("utf-8-sig"))


def _write_view(root: pathlib.Path, view: cases.View) -> dict[str, str]:
    name, bits = view.id.replace("/", "_"), view.max_value.bit_length()
    pixels = view.pixels().astype(np.uint8 if bits <= 8 else np.uint16, copy=False)
    _save(root / f"{name}.png", pixels)
    row = {
        "file": f"{name}.png",
        "patient_id": view.patient_id,
        "bits": str(bits),
        "spacing_mm": f"{view.spacing_mm:.6g}".replace(".", ",") if view.spacing_mm else "",
        "density": _allowed("density", view.attributes.get("breast density", "")),
        "birads": _allowed("birads", view.attributes.get("birads", "")),
        **_planted(view),
    }
    parts = {lesion.part for lesion in view.lesions}
    row["part"] = parts.pop() or "" if len(parts) == 1 else ""
    if len(view.lesions) == 1:
        (lesion,) = view.lesions
        row |= {"pathology": str(lesion.pathology), "kind": lesion.kind}
        row["birads"] = row["birads"] or _allowed("birads", lesion.attributes.get("assessment", ""))
        if lesion.region:
            row["mask"] = f"masks/{name}.png"
            (root / "masks").mkdir(exist_ok=True)
            _save(root / row["mask"], lesion.region.mask(pixels.shape).astype(np.uint8) * np.uint8(255))
    return row


def _save(path: pathlib.Path, pixels: np.ndarray) -> None:
    _, data = cv2.imencode(".png", pixels)
    try:  # not `cv2.imwrite`, which cannot open names beyond ASCII on Windows
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise cases.DataError(path, f"cannot be written: {error.strerror or error}") from None


def _allowed(column: str, text: str) -> str:
    """The text where the column may hold it, else nothing."""
    return text if re.fullmatch(folder_table.RULES[column][0], text) else ""


def _planted(view: cases.View) -> dict[str, str]:
    """Label, side and view, written as people write them."""
    draw = zlib.crc32(view.id.encode())
    side, projection = str(view.side or ""), str(view.projection)
    sides = (side, side[:1], side.lower(), f" {side[:1].lower()}")
    label = labels.pathology.view(view)
    blank = math.isnan(label) or draw % BLANK_LABELS == 0
    return {
        "label": "" if blank else str(int(label)),
        "side": sides[draw // BLANK_LABELS % len(sides)] if side else "",
        "view": projection.lower() if draw % 7 == 0 else projection,
    }
