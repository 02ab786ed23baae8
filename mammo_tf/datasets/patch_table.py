"""The coordinates of patches as a CSV file, one patch a row, to look at, to keep, and to cut the same patches again.

patch_table.write(path, parts)                                # of `patch_sets.sample_parts`
parts = patch_table.read(path, dataset.views, resize.area)
"""

from __future__ import annotations

import csv
import itertools
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from mammo_tf import cases
from mammo_tf.datasets import patch_sets

COLUMNS = (
    "part",
    "id",
    "image",
    "patient",
    "official_part",
    "class",
    "roi",
    "top",
    "left",
    "patch",
    "height",
    "width",
)
_PARTS = ("train", "val", "test")
_NUMBERS = ("top", "left", "patch", "height", "width")


def write(path: str | os.PathLike[str], parts: cases.Splits) -> None:
    """Writes the patches of a split: where each lies, in pixels of the image resized to height x width.

    Raises:
        cases.DataError: the file cannot be written.
        cases.MammoError: an example is no window of a resized image.
    """
    rows = [_row(name, example) for name in _PARTS for example in getattr(parts, name)]
    try:
        with pathlib.Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise cases.DataError(path, f"cannot be written: {error.strerror or error}") from None


def _row(part: str, example: cases.Example) -> dict[str, Any]:
    box = example.views[0].load if example.views else None
    if not isinstance(box, cases.WindowLoader) or not isinstance(box.view.load, cases.ResizedLoader):
        raise cases.MammoError(f"patches: example {example.id} is no window of a resized image")
    return {
        "part": part,
        "id": example.id,
        "image": box.view.id,
        "patient": example.patient_id,
        "official_part": example.part or "",
        "class": patch_sets.CLASSES[int(example.label)],
        "roi": example.roi_id,
        "top": box.top,
        "left": box.left,
        "patch": box.height,
        "height": box.view.load.height,
        "width": box.view.load.width,
    }


def read(
    path: str | os.PathLike[str],
    views: Iterable[cases.View],
    resize: patch_sets.Resize,
    *,
    fold: int = 0,
    leaks: tuple[str, ...] = (),
) -> cases.Splits:
    """The patches of a table, cut from the views again; patches of one image share one resized view.

    Args:
        path: written by `write`.
        views: hold every image that the table names; more do no harm.
        resize: as for `cases.View.resized`.
        fold, leaks: of the split; the table does not keep them.

    Raises:
        cases.DataError: no such file, another header, a field that does not parse, or an image that is not there.
    """
    rows, images = _rows(path), {view.id: view for view in views}
    parts: dict[str, list[cases.Example]] = {name: [] for name in _PARTS}
    for _, some in itertools.groupby(rows, lambda row: (row["part"], row["image"], row["height"], row["width"])):
        same = list(some)
        first = same[0]
        if first["image"] not in images:
            raise cases.DataError(path, f"names image {first['image']}, which is none of the {len(images)} views")
        view = images[first["image"]]
        if other := [row["patient"] for row in same if row["patient"] != view.patient_id]:
            raise cases.DataError(path, f"image {view.id} is of patient {other[0]}, in the views {view.patient_id}")
        drawn = [_patch(row) for row in same]
        size = first["height"], first["width"]
        parts[first["part"]] += patch_sets.examples_of(view, drawn, size, resize, part=first["official_part"] or None)
    return cases.Splits(*(tuple(parts[name]) for name in _PARTS), fold=fold, leaks=leaks)


def image_shape(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(height, width) of the whole images that the patches of a table were cut from.

    Raises:
        cases.DataError: as `read`, or the table has no row.
    """
    rows = _rows(path)
    if not rows:
        raise cases.DataError(path, "has no row, so it tells no size of an image")
    return rows[0]["height"], rows[0]["width"]


def _rows(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    try:
        with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise cases.DataError(path, f"expected the columns {COLUMNS}, found {reader.fieldnames}")
            return [_parsed(path, line, row) for line, row in enumerate(reader, 2)]
    except FileNotFoundError:
        raise cases.MissingError(path, "no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise cases.DataError(path, f"cannot be read: {error}") from None


def _parsed(path: str | os.PathLike[str], line: int, row: Mapping[str, str]) -> dict[str, Any]:
    if row["part"] not in _PARTS or row["class"] not in patch_sets.CLASSES:
        raise cases.DataError(path, f"line {line}: unknown part {row['part']!r} or class {row['class']!r}")
    try:
        return dict(row) | {name: int(row[name]) for name in _NUMBERS}
    except (TypeError, ValueError):
        found = {name: row[name] for name in _NUMBERS}
        raise cases.DataError(path, f"line {line}: expected whole numbers, found {found}") from None


def _patch(row: Mapping[str, Any]) -> patch_sets.Patch:
    label = patch_sets.CLASSES.index(row["class"])
    return patch_sets.Patch(row["id"], label, row["roi"], row["top"], row["left"], row["patch"])
