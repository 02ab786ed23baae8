"""Writes cases in the layout of the published CBIS-DDSM, its faults included, in any of the trees in circulation.

What is wrong in the original, and how often, stands in `cbis_ddsm_planted`; films that hold benign and malignant
lesions are the cases' own.

    cbis_ddsm_writer.write(phantom.cases(spec), "phantom", tree="csv")
"""

from __future__ import annotations

import collections
import concurrent.futures
import csv
import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from mammo_tf import cases, regions
from mammo_tf.datasets import cbis_ddsm_planted as planted
from mammo_tf.datasets import cbis_ddsm_tables as tables
from mammo_tf.datasets import cbis_ddsm_tree as trees
from mammo_tf.datasets import dicom

TREES = ("csv", "nbia", "kaggle")
FILM, CROP, MASK = "full mammogram images", "cropped images", "ROI mask images"
INFO = ("file_path", "image_path", "PatientID", "Rows", "Columns", "SeriesDescription", "SeriesInstanceUID")
_NAMELESS = 1 / 7  # of the masks, without description and table in the mirror's list: one of its first seven rows is
_QUALITY = 95  # of the JPEG; ours


def write(found: Sequence[cases.Case], root: str | os.PathLike[str], *, workers: int = 2, tree: str = "csv") -> None:
    """Writes cases in the published layout, its faults included; the same cases give the same bytes.

    The format has rows for lesions only: a view without one is not written. A view with both masses and
    calcifications becomes two films, as in the original. Each view is rendered once.

    Args:
        found: the cases; every lesion has a region and is a mass or a calcification.
        root: an existing or new folder.
        workers: threads (rendering and file writing leave the interpreter free).
        tree: "csv" as the tables have it, "nbia" with dated folders and files `1-1.dcm`, "kaggle" in 8-bit JPEG.

    Raises:
        cases.MammoError: a lesion that the format cannot hold, two views of one patient, side and projection, or
            another tree.
    """
    if tree not in TREES:
        raise cases.MammoError(f"tree is one of {', '.join(TREES)}, found {tree!r}")
    root = pathlib.Path(root)
    views = [view for case in found for view in case.views if view.lesions]
    _check(views)
    place = root / "csv" if tree == "kaggle" else root
    place.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        written = [film for films in pool.map(functools.partial(_write_view, root, tree), views) for film in films]
    for table in tables.TABLES:
        rows = [row for film in written if film.table == table for row in film.rows]
        tables.write_csv(place / table.file, table, rows)
    if tree == "kaggle":
        with (place / trees.INFO).open("w", newline="") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(INFO)
            lines.writerows(row for film in written for row in film.info)


def _check(views: Sequence[cases.View]) -> None:
    names = collections.Counter((view.patient_id, view.side, view.projection) for view in views)
    for view in views:
        if view.side is None or names[view.patient_id, view.side, view.projection] > 1:
            raise cases.MammoError(f"cbis_ddsm holds one view a patient, side and projection; {view.id} is one more")
        for lesion in view.lesions:
            if lesion.kind not in tables.OWN or lesion.region is None:
                what = lesion.kind if lesion.region else f"{lesion.kind} without a region"
                raise cases.MammoError(f"cbis_ddsm holds masses and calcifications with masks; {lesion.id} is {what}")


def _write_view(root: pathlib.Path, tree: str, view: cases.View) -> list[_Film]:
    pixels = np.asarray(view.pixels()).astype(np.uint16, copy=False)
    films = []
    for table in tables.TABLES:
        lesions = [one for one in view.lesions if (one.kind, one.part or "train") == (table.kind, table.part)]
        if lesions:
            film = _Film(root, tree, table, view)
            film.write(pixels, lesions)
            films.append(film)
    return films


@dataclasses.dataclass(frozen=True)
class _Film:
    """One film, and what the tables say of it once it is written."""

    root: pathlib.Path
    tree: str
    table: tables.Table
    view: cases.View
    rows: list[dict[str, str]] = dataclasses.field(default_factory=list)
    info: list[tuple[object, ...]] = dataclasses.field(default_factory=list)

    @property
    def fields(self) -> dict[str, str]:
        """What all rows of the film share."""
        own = {
            "patient_id": self.view.patient_id,
            "left or right breast": str(self.view.side),
            "image view": str(self.view.projection),
            "abnormality type": self.table.kind,
        }
        folder = self.table.folder(own)
        density = planted.density(self.table, folder, self.view.attributes.get("breast density", "N/A"))
        return {**own, "breast density": density, tables.IMAGE: planted.film_path(folder)}

    def write(self, pixels: np.ndarray, lesions: Sequence[cases.Lesion]) -> None:
        folder = self.table.folder(self.fields)
        self.save(self.fields[tables.IMAGE], pixels, FILM)
        own = [lesion.attributes.get("abnormality id", "") for lesion in lesions]
        unique = all(own) and len(set(own)) == len(own)
        numbers = own if unique else planted.numbers(self.table, folder, len(lesions))
        for lesion, number in zip(lesions, numbers, strict=True):
            self.rows.append(self.write_lesion(pixels, lesion, number))

    def write_lesion(self, pixels: np.ndarray, lesion: cases.Lesion, number: str) -> dict[str, str]:
        """Writes the crop and the mask of a lesion; its row."""
        mask = lesion.region.mask(pixels.shape)
        if not mask.any():
            raise cases.MammoError(f"lesion {lesion.id} has an empty mask")
        top, left, bottom, right = regions.box(mask)
        crop = pixels[top:bottom, left:right]
        folder = f"{self.table.folder(self.fields)}_{number}"
        crop_path, mask_path, swapped = planted.lesion_paths(self.table, folder)
        stored = planted.as_stored(mask, crop, folder).astype(np.uint8) * np.uint8(255)
        self.save(mask_path if swapped else crop_path, crop, CROP)
        self.save(crop_path if swapped else mask_path, stored, MASK)
        paths = {tables.CROP: crop_path, tables.MASK: mask_path}
        known = {name: lesion.attributes.get(name, "N/A") for name in self.table.attributes}
        words = planted.words(self.table, folder, known)
        return {**words, **self.fields, "abnormality id": number, "pathology": str(lesion.pathology), **paths}

    def save(self, path: str, pixels: np.ndarray, description: str) -> None:
        """Writes what a table says to lie at a path, where the tree has it."""
        folder, study, series, _ = path.split("/")
        below = _place(self.tree, path, description)
        place = self.root / below
        place.parent.mkdir(parents=True, exist_ok=True)
        if self.tree == "kaggle":
            self.save_jpeg(place, pixels)
            named = description != MASK or planted.draw(folder, "nameless") >= _NAMELESS
            name = folder if named else f"{folder.partition('_')[2]}.dcm"
            source = f"CBIS-DDSM/dicom/{series}/{place.stem}.dcm"
            self.info.append(
                (source, f"CBIS-DDSM/{below}", name, *pixels.shape, description if named else "", series)
            )
            return
        names = {"side": self.view.side or "", "projection": self.view.projection, "description": description}
        labels = dicom.Labels(folder, study, series, dicom.uid(path), **names)
        bits = self.view.max_value.bit_length() if pixels.dtype == np.uint16 else 8
        dicom.write(place, pixels, labels, bits_stored=bits, spacing_mm=self.view.spacing_mm)

    def save_jpeg(self, place: pathlib.Path, pixels: np.ndarray) -> None:
        top = self.view.max_value if pixels.dtype == np.uint16 else 255
        gray = ((pixels.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)
        _, data = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        place.write_bytes(data.tobytes())


def _place(tree: str, path: str, description: str) -> str:
    """Where a tree has what the tables say to lie at a path."""
    folder, study, series, name = path.split("/")
    number = int(name.partition(".")[0]) + 1
    if tree == "csv":
        return path
    if tree == "kaggle":
        return f"jpeg/{series}/{number}-{_digits(path, 3)}.jpg"
    if description != FILM:  # crop and mask of one series share its folder, named for either
        description = CROP if planted.draw(series, "description") < 0.5 else MASK
    below = f"07-20-2016-DDSM-NA-{_digits(study, 5)}/1.000000-{description}-{_digits(series, 5)}"
    return f"CBIS-DDSM/{folder}/{below}/1-{number}.dcm"


def _digits(text: str, count: int) -> str:
    return str(int(hashlib.sha256(text.encode()).hexdigest(), 16))[:count]
