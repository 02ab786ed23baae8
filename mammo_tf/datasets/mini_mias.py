"""mini-MIAS: 322 oblique films at 200 um, lesions marked by circles; reader and writer (Suckling et al. 1994).

`Info.txt` holds a prose head and then a row a lesion: image, background tissue, class, severity, x, y (counted from
the bottom), radius. Neighbouring numbers (1-2, 3-4, ...) are the breasts of one woman: the even one is the left, as
note 1 of `Info.txt` has it; the films agree (the chest wall of the odd ones lies on the right of the image).

Lesions without coordinates, as the table has them (`mini_mias_table`), have no region.

    dataset = mini_mias.read(pathlib.Path("mini_mias"))
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import math
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mammo_tf import cases, datasets, regions
from mammo_tf.datasets import about, copies, pgm
from mammo_tf.datasets import mini_mias_table as tables

NAME = "mini_mias"
ALGORITHM_VERSION = 2  # of the writer
ABOUT = about.About(
    title="mini-MIAS, the Mammographic Image Analysis Society's database at 200 um",
    where="the pages of the Pilot European Image Processing Archive, peipa.essex.ac.uk",
    terms="research only, by the licence agreement that comes with it; no lending, no sale",
    citation="J. Suckling et al., The Mammographic Image Analysis Society Digital Mammogram Database, "
    "Excerpta Medica International Congress Series 1069 (1994), 375-378",
    tree="DIR/Info.txt\nDIR/mdb001.pgm\nDIR/...\nDIR/mdb322.pgm",
    known={"images": 322, "rows": 330, "patients": 161},
)

SPACING_MM, ROWS = 0.2, 1024  # of the published images
FIELD_MM = SPACING_MM * ROWS
_IMAGE = re.compile(r"mdb\d{3,}\.pgm")
KINDS, SEVERITIES, TABLE, Row, read_info = tables.KINDS, tables.SEVERITIES, tables.TABLE, tables.Row, tables.read_info


def entries(root: str | os.PathLike[str]) -> tuple[about.Entry, ...]:
    """The rows of `Info.txt`, without a look at the images.

    Raises:
        cases.DataError: no `Info.txt`, or a row that breaks its layout.
    """
    table = _files(datasets.existing(root))[TABLE.lower()][0]
    return tuple(_entry(row) for row in read_info(table))


def _entry(row: Row) -> about.Entry:
    label = SEVERITIES[row.severity] if row.kind else cases.Pathology.NORMAL
    kind = KINDS[row.kind] if row.kind else ""
    return about.Entry(row.name, row.patient_id, str(label), kind, str(row.side), "MLO", density=row.tissue)


def _files(root: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """The tables and images below the folder, by name in lower case.

    Raises:
        cases.DataError: no table.
    """
    found: dict[str, list[pathlib.Path]] = {}
    for path in datasets.files(root):
        if path.name.lower() == TABLE.lower() or _IMAGE.fullmatch(path.name.lower()):
            found.setdefault(path.name.lower(), []).append(path)
    if TABLE.lower() not in found:
        raise cases.DataError(root, f"{'no' if any(root.iterdir()) else 'the folder is empty; looked for'} {TABLE}")
    return found


def read(root: str | os.PathLike[str], *, strict: bool = False) -> cases.Dataset:
    """Reads the images that `Info.txt` lists; those whose files are missing or damaged become problems.

    Images of another height than 1024 are taken to show the same field, and the circles to be drawn in them. Of
    several files of one name the first is used; those that differ, and images without a row, are problems.

    Args:
        root: the folder; table and images may lie deeper.
        strict: raise at the first problem instead of listing it.

    Raises:
        cases.DataError: no `Info.txt`, a row that breaks its layout, no image at all.
    """
    root = datasets.existing(root)
    files = _files(root)
    table, *_ = tables_found = files.pop(TABLE.lower())
    images: dict[str, list[Row]] = {}
    for row in read_info(table):
        images.setdefault(row.name, []).append(row)
    problems, repairs, views = copies.left_out(tables_found), [], []
    for name, rows in images.items():
        found = files.pop(f"{name}.pgm", [table.parent / f"{name}.pgm"])
        try:
            views.append(_view(found[0], _once(table, rows, repairs)))
        except cases.DataError as error:
            problems.append(cases.Problem.of(error))
        problems += copies.left_out(found)
    problems += [
        cases.Problem(str(path), f"not listed in {table}", "left out") for some in files.values() for path in some
    ]
    datasets.refuse(table, problems, of=f"{len(images)} images", used=len(views), strict=strict)
    mark = datasets.fingerprint(root, [table], [view.path for view in views])
    kind = "phantom" if "phantom" in map(datasets.kind, table.parents) else "real"  # the root may be a level too high
    return cases.Dataset(NAME, kind, str(root), datasets.by_patient(views), tuple(problems), mark, tuple(repairs))


def _once(table: pathlib.Path, rows: Sequence[Row], repairs: list[cases.Repair]) -> list[Row]:
    """The rows of an image, each once.

    Raises:
        cases.DataError: they disagree on its tissue or on whether it is normal.
    """
    once = list(dict.fromkeys(rows))
    if len({(row.tissue, row.kind is None) for row in once}) > 1:
        raise cases.DataError(table, f"the {len(once)} rows of {once[0].name} contradict each other")
    if len(once) < len(rows):
        repairs.append(cases.Repair(str(table), "row twice", f"{once[0].name}: {len(rows)} rows, {len(once)} differ"))
    return once


def _view(path: pathlib.Path, rows: Sequence[Row]) -> cases.View:
    header = pgm.read_header(path)
    return cases.View(
        id=rows[0].name,
        patient_id=rows[0].patient_id,
        side=rows[0].side,
        projection=cases.Projection.MLO,
        load=functools.partial(pgm.read_pixels, str(path)),
        max_value=header.max_value,
        spacing_mm=FIELD_MM / header.rows,
        lesions=tuple(_lesion(path, row, i, header.shape) for i, row in enumerate(rows, 1) if row.kind),
        attributes={"background tissue": rows[0].tissue},
        path=str(path),
    )


def _lesion(path: pathlib.Path, row: Row, i: int, shape: tuple[int, int]) -> cases.Lesion:
    region = None
    if row.circle:
        x, y, radius = row.circle
        region = regions.CircleRegion(x, shape[0] - y, radius)
        _, left, bottom, _ = region.bounds()
        if left >= shape[1] or bottom <= 0:  # x and y are never negative: it leaves by the right and the top alone
            what = f"the circle round (x, y) = ({x}, {y}) from the bottom lies outside of {shape} rows and columns"
            raise cases.DataError(path, f"{what}: has the image been resized or cut?")
    return cases.Lesion(f"{row.name}_{i}", SEVERITIES[row.severity], KINDS[row.kind], region, {"class": row.kind})


def phantom_spec(spec: Any) -> Any:
    """The phantom cut down to the field of the format, in the look of film."""
    side = round(FIELD_MM / spec.spacing_mm)
    return dataclasses.replace(
        spec, height=min(spec.height, side), width=min(spec.width, side), look="film", bits=None
    )


_TISSUES = {"1": "F", "2": "G", "3": "D", "4": "D"}  # by the density of other datasets


def write(found: Sequence[cases.Case], root: str | os.PathLike[str], *, workers: int = 2) -> None:
    """Writes cases in the published layout: square 8-bit PGM, patients as pairs of numbers, `Info.txt`.

    The format holds one oblique view a breast: other projections are not written, masks become circles, and a few
    circles are left out, as in the published table (`mini_mias_table.write_info`). An image of known spacing is
    padded to the field of 204.8 mm, another to a square.

    Args:
        found: the cases; the i-th becomes the images 2 i + 1 (right breast) and 2 i + 2 (left).
        root: an existing or new folder.
        workers: threads.

    Raises:
        cases.MammoError: a view or lesion that the format cannot hold.
    """
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    views: dict[int, cases.View] = {}
    for i, case in enumerate(found):
        for view in case.views:
            number = 2 * i + (1 if view.side is cases.Side.RIGHT else 2)
            if view.projection is cases.Projection.MLO:
                if view.side is None or number in views:
                    raise cases.MammoError(
                        f"{NAME} holds one oblique view a breast; {view.id} is one more, or of no side"
                    )
                views[number] = view
    numbers = sorted(views)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        rows = pool.map(functools.partial(_write_view, root), numbers, [views[number] for number in numbers])
        tables.write_info(root / TABLE, [row for some in rows for row in some])


def _write_view(root: pathlib.Path, number: int, view: cases.View) -> list[Row]:
    pixels = view.pixels()
    side = round(FIELD_MM / view.spacing_mm) if view.spacing_mm else max(pixels.shape)
    if max(pixels.shape) > side:
        raise cases.MammoError(f"{NAME} holds a field of {side} x {side} pixels; {view.id} is {pixels.shape}")
    top, left = ((side - size) // 2 for size in pixels.shape)
    gray = (pixels.astype(np.uint32) * 255 + view.max_value // 2) // view.max_value
    square = regions.cut(gray.astype(np.uint8), -top, -left, side, side)
    pgm.write(root / f"mdb{number:03d}.pgm", square)
    return [_row_of(lesion, number, view, (top, left, side)) for lesion in view.lesions] or [
        Row(number, _tissue(view))
    ]


def _row_of(lesion: cases.Lesion, number: int, view: cases.View, frame: tuple[int, int, int]) -> Row:
    kind, severity = _class(lesion), {value: key for key, value in SEVERITIES.items()}.get(lesion.pathology, "B")
    if kind is None or lesion.pathology in (cases.Pathology.UNPROVEN, cases.Pathology.NORMAL):
        raise cases.MammoError(f"{NAME} has no class for lesion {lesion.id}: {lesion.kind}, {lesion.pathology}")
    circle = _circle(lesion.region, frame) if lesion.region else None
    return Row(number, _tissue(view), kind, severity, circle)


def _class(lesion: cases.Lesion) -> str | None:
    if lesion.kind != "mass":
        of_kind = {"calcification": "CALC", "distortion": "ARCH", "asymmetry": "ASYM"}
        return of_kind.get(lesion.kind)
    margins = lesion.attributes.get("mass margins", "")
    other = "SPIC" if "SPICULATED" in margins else "CIRC" if "CIRCUMSCRIBED" in margins else "MISC"
    return lesion.attributes.get("class", other)


def _circle(region: regions.Region, frame: tuple[int, int, int]) -> tuple[int, int, int]:
    top, left, side = frame
    if isinstance(region, regions.CircleRegion):
        x, y, radius = region.x, region.y, region.radius
    else:
        first, before, last, after = region.bounds()
        x, y = (before + after - 1) / 2, (first + last - 1) / 2
        radius = max(last - first, after - before) / 2
    return round(x) + left, side - round(y) - top, math.ceil(radius)


def _tissue(view: cases.View) -> str:
    density = view.attributes.get("breast density", "")
    tissue = view.attributes.get("background tissue") or _TISSUES.get(density)
    if tissue is None:
        raise cases.MammoError(f"{NAME} needs the background tissue of {view.id}: density {density!r} tells none")
    return tissue
