"""mini-MIAS: 322 oblique films at 200 um, lesions marked by circles; reader and writer (Suckling et al. 1994).

`Info.txt` holds a prose head and then a row a lesion: image, background tissue, class, severity, x, y (counted from
the bottom), radius. Neighbouring numbers (1-2, 3-4, ...) are the breasts of one woman: the even one is the left, as
note 1 of `Info.txt` has it; the films agree (the chest wall of the odd ones lies on the right of the image).

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
from mammo_tf.datasets import pgm

NAME = "mini_mias"
ALGORITHM_VERSION = 1  # of the writer

TABLE = "Info.txt"
SPACING_MM, ROWS = 0.2, 1024  # of the published images
FIELD_MM = SPACING_MM * ROWS
KINDS = {
    "CALC": "calcification",
    "CIRC": "mass",
    "SPIC": "mass",
    "MISC": "mass",
    "ARCH": "distortion",
    "ASYM": "asymmetry",
}
SEVERITIES = {"B": cases.Pathology.BENIGN, "M": cases.Pathology.MALIGNANT}
_ROW = re.compile(
    r"mdb(?P<number>\d{3,})\s+(?P<tissue>[FGD])\s+"
    r"(?:NORM|(?P<kind>CALC|CIRC|SPIC|MISC|ARCH|ASYM)\s+(?P<severity>[BM])"
    r"(?:\s+(?:\*NOTE\s*3\*|(?P<x>\d+)\s+(?P<y>\d+)\s+(?P<radius>\d+)))?)\s*"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        number: of the image.
        tissue: of the background, "F" fatty, "G" glandular, "D" dense.
        kind, severity: of the lesion, keys of `KINDS` and `SEVERITIES`; None where there is none.
        circle: (x, y from the bottom, radius) in pixels, None where omitted.
    """

    number: int
    tissue: str
    kind: str | None = None
    severity: str | None = None
    circle: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        return f"mdb{self.number:03d}"


def read_info(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of `Info.txt`, in its order.

    Raises:
        cases.DataError: missing, without rows, or a row that breaks the layout.
    """
    try:
        lines = pathlib.Path(path).read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1) if re.match(r"mdb\d", line)]
    if not rows:
        raise cases.DataError(path, "no row such as 'mdb001 G CIRC B 535 425 197'")
    return rows


def _row(path: Any, number: int, line: str) -> Row:
    found = _ROW.fullmatch(line)
    if not found:
        layout = "'mdbNNN F|G|D NORM' or 'mdbNNN F|G|D CLASS B|M [x y radius]'"
        raise cases.DataError(path, f"line {number}: expected {layout}, found {line.strip()!r}")
    circle = tuple(int(found[name]) for name in ("x", "y", "radius")) if found["x"] else None
    return Row(int(found["number"]), found["tissue"], found["kind"], found["severity"], circle)


def read(root: str | os.PathLike[str], *, strict: bool = False) -> cases.Dataset:
    """Reads the images that `Info.txt` lists; those whose files are missing or damaged become problems.

    A lesion without coordinates (note 3: calcifications all over the breast) has no region. Images of another height
    than 1024 are taken to show the same field.

    Args:
        root: the folder; table and images may lie deeper.
        strict: raise at the first problem instead of listing it.

    Raises:
        cases.DataError: no `Info.txt`, a row that breaks its layout, no image at all.
    """
    root = datasets.existing(root)
    table = next(iter(sorted(root.rglob(TABLE))), None)
    if table is None:
        raise cases.DataError(root, f"{'no' if any(root.iterdir()) else 'the folder is empty; looked for'} {TABLE}")
    images: dict[int, list[Row]] = {}
    for row in read_info(table):
        images.setdefault(row.number, []).append(row)
    files = {path.name: path for path in sorted(root.rglob("mdb*.pgm"))}
    views, problems = [], []
    for rows in images.values():
        try:
            views.append(_view(files.get(f"{rows[0].name}.pgm", table.parent / f"{rows[0].name}.pgm"), rows))
        except cases.DataError as error:
            problems.append(cases.Problem(error.path, error.reason))
    datasets.refuse(table, problems, of=f"{len(images)} images", used=len(views), strict=strict)
    mark = datasets.fingerprint(root, [table], [view.path for view in views])
    return cases.Dataset(NAME, datasets.kind(root), str(root), datasets.by_patient(views), tuple(problems), mark)


def _view(path: pathlib.Path, rows: Sequence[Row]) -> cases.View:
    header, number = pgm.read_header(path), rows[0].number
    first = number - 1 + number % 2
    return cases.View(
        id=rows[0].name,
        patient_id=f"mias_{first:03d}_{first + 1:03d}",
        side=cases.Side.RIGHT if number % 2 else cases.Side.LEFT,
        projection=cases.Projection.MLO,
        load=functools.partial(pgm.read_pixels, str(path)),
        max_value=header.max_value,
        spacing_mm=FIELD_MM / header.rows,
        lesions=tuple(_lesion(row, i, header.rows) for i, row in enumerate((row for row in rows if row.kind), 1)),
        attributes={"background tissue": rows[0].tissue},
        path=str(path),
    )


def _lesion(row: Row, i: int, height: int) -> cases.Lesion:
    region = None
    if row.circle:
        x, y, radius = row.circle
        region = regions.CircleRegion(x, height - y, radius)
    return cases.Lesion(f"{row.name}_{i}", SEVERITIES[row.severity], KINDS[row.kind], region, {"class": row.kind})


def phantom_spec(spec: Any) -> Any:
    """The phantom cut down to the field of the format, in the look of film."""
    side = round(FIELD_MM / spec.spacing_mm)
    return dataclasses.replace(
        spec, height=min(spec.height, side), width=min(spec.width, side), look="film", bits=None
    )


_PROSE = """\
MINI-MIAS LAYOUT

This file lists the films of the folder and tells of each:

1st column: reference number.

2nd column: Character of background tissue:
                F - Fatty, G - Fatty-glandular, D - Dense-glandular

3rd column: Class of abnormality present:
                CALC, CIRC, SPIC, MISC, ARCH, ASYM, NORM

4th column: Severity of abnormality;
                B - Benign, M - Malignant

5th,6th columns: x,y image-coordinates of centre of abnormality.

7th column: Approximate radius (in pixels) of a circle enclosing it.

NOTES
=====
1) Films stand in pairs of one patient: left (even numbers), right (odd numbers).
2) The images are square and centred.
3) Coordinate system origin is the bottom-left corner. Where calcifications
   are widely distributed, centre and radius have been omitted.

=================================================================

"""
_TISSUES = {"1": "F", "2": "G", "3": "D", "4": "D"}  # by the density of other datasets


def write(found: Sequence[cases.Case], root: str | os.PathLike[str], *, workers: int = 2) -> None:
    """Writes cases in the published layout: square 8-bit PGM, patients as pairs of numbers, `Info.txt`.

    The format holds one oblique view a breast: other projections are not written, and masks become circles. An image
    of known spacing is padded to the field of 204.8 mm, another to a square.

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
        lines = [_line(row) for some in rows for row in some]
    text = _PROSE + "\n".join(lines) + "\n \n" + "=" * 65 + "\n"
    (root / TABLE).write_text(text, newline="\r\n")


def _line(row: Row) -> str:
    if row.kind is None:
        return f"{row.name} {row.tissue} NORM "  # the blank is there in the original too
    circle = " ".join(map(str, row.circle)) if row.circle else "*NOTE 3*" if row.kind == "CALC" else ""
    return f"{row.name} {row.tissue} {row.kind} {row.severity} {circle}".rstrip()


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
