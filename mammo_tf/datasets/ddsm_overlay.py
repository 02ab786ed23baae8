"""DDSM's `.OVERLAY` files: the abnormalities of a film, their outlines as chains of directions, and outlines filled.

A chain is the column and the row of its start, counted from 1, then directions, 0 = up, clockwise to 7, ended by `#`
(Freeman 1961, doi:10.1109/TEC.1961.5219197). An abnormality has one BOUNDARY, and a CORE for each further outline; it
may have two lines LESION_TYPE. Heath et al. 2001 (see `ddsm_case`).

    overlay = ddsm_overlay.read_overlay("B_3013_1.RIGHT_MLO.OVERLAY")
    mask = ddsm_overlay.fill(overlay.abnormalities[0].boundary.points, (4144, 2600))
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import ddsm_case

ALGORITHM_VERSION = 1
STEPS = ((0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1))  # (x, y) of directions 0 to 7
_LARGEST = 20_000_000  # bytes of an overlay; the published ones have a few thousand to some hundred thousand
_NUMBERS = {"ASSESSMENT": r"[0-5]", "SUBTLETY": r"[0-5]", "TOTAL_OUTLINES": r"\d{1,3}"}
_FIELDS = (*_NUMBERS, "PATHOLOGY")
_OUTLINES = ("BOUNDARY", "CORE")


@dataclasses.dataclass(frozen=True, eq=False)
class Outline:
    """The "BOUNDARY" of an abnormality or a "CORE" inside it; `points` are (N, 2) int64, pixels (x, y) from 0."""

    kind: str
    points: np.ndarray


@dataclasses.dataclass(frozen=True)
class LesionType:
    """One line LESION_TYPE: "mass", "calcification" or another word, and its fields (SHAPE, MARGINS, TYPE, ...)."""

    kind: str
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Abnormality:
    """One abnormality of a film.

    Attributes:
        number: as in the file.
        types: one or more.
        assessment: BI-RADS, 0 to 5, as written; "" where missing.
        subtlety: 1 (subtle) to 5 (obvious), as written; "" where missing.
        pathology: the outcome.
        outlines: the boundary first.
    """

    number: int
    types: tuple[LesionType, ...]
    assessment: str
    subtlety: str
    pathology: cases.Pathology
    outlines: tuple[Outline, ...]

    @property
    def boundary(self) -> Outline:
        return self.outlines[0]


@dataclasses.dataclass(frozen=True)
class Overlay:
    """The abnormalities of a film, and what was mended: files that promise more outlines than they hold."""

    abnormalities: tuple[Abnormality, ...]
    repairs: tuple[cases.Repair, ...] = ()


def read_overlay(path: str | os.PathLike[str]) -> Overlay:
    """Reads an overlay.

    Raises:
        cases.MissingError: no such file.
        cases.DataError: unreadable, a line or chain breaks the layout, is truncated, or abnormalities are missing.
    """
    head, *parts = re.split(
        r"^\s*ABNORMALITY\s+(\d{1,3})\s*$", ddsm_case.read_text(path, _LARGEST), flags=re.MULTILINE
    )
    total = re.fullmatch(r"\s*TOTAL_ABNORMALITIES\s+(\d{1,3})\s*", head)
    if not total:
        raise cases.DataError(path, f"expected 'TOTAL_ABNORMALITIES n' and 'ABNORMALITY 1', found {head[:60]!r}")
    found = [_abnormality(path, int(n), text) for n, text in zip(parts[::2], parts[1::2], strict=True)]
    if len(found) != int(total[1]):
        raise cases.DataError(path, f"promises {total[1]} abnormalities and holds {len(found)}")
    return Overlay(tuple(one for one, _ in found), tuple(repair for _, some in found for repair in some))


def _abnormality(path: Any, number: int, text: str) -> tuple[Abnormality, list[cases.Repair]]:
    fields, types, outlines = dict.fromkeys(_FIELDS, ""), [], []
    lines = iter(text.splitlines())
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "LESION_TYPE":
            types.append(_type(rest.split()))
        elif word in _OUTLINES:
            outlines.append(Outline(word, _chain(path, number, rest, lines)))
        elif word in fields:
            fields[word] = _field(path, number, word, rest.strip())
        elif word:
            raise cases.DataError(path, f"abnormality {number}: a line of an unknown kind, {line.strip()[:60]!r}")
    pathology = fields["PATHOLOGY"]
    if not types or not pathology or [one.kind for one in outlines].count("BOUNDARY") != 1:
        found = f"{len(types)} types, pathology {pathology!r}, outlines {[one.kind for one in outlines]}"
        raise cases.DataError(
            path, f"abnormality {number}: expected types, a pathology and one BOUNDARY, found {found}"
        )
    outlines.sort(key=lambda one: _OUTLINES.index(one.kind))
    repairs = []
    if fields["TOTAL_OUTLINES"] != str(len(outlines)):
        what = f"abnormality {number} promises {fields['TOTAL_OUTLINES'] or 'no'} outlines and holds {len(outlines)}"
        repairs.append(cases.Repair(str(path), "number of outlines", f"{what}; those there are used"))
    grades = fields["ASSESSMENT"], fields["SUBTLETY"]
    return Abnormality(number, tuple(types), *grades, cases.Pathology(pathology), tuple(outlines)), repairs


def _type(words: Sequence[str]) -> LesionType:
    fields, name = {}, ""
    for word in words[1:]:
        if word in ("SHAPE", "MARGINS", "TYPE", "DISTRIBUTION"):
            name = word
            fields[name] = ""
        else:
            fields[name] = f"{fields.get(name, '')} {word}".strip()
    return LesionType("".join(words[:1]).lower(), fields)


def _field(path: Any, number: int, word: str, text: str) -> str:
    words = [*cases.Pathology]
    fits = text in words if word == "PATHOLOGY" else re.fullmatch(_NUMBERS[word], text)
    if text and not fits:
        allowed = ", ".join(words) if word == "PATHOLOGY" else _NUMBERS[word]
        raise cases.DataError(path, f"abnormality {number}: {word} {text[:60]!r} is none of {allowed}")
    return text


def _chain(path: Any, number: int, first: str, lines: Any) -> np.ndarray:
    """The points of a chain, (N, 2); it takes up lines until its `#`."""
    words = first.split()
    while "#" not in words:
        line = next(lines, None)
        if line is None or not re.fullmatch(r"[\d\s]*#?\s*", line):
            found = "the end of the file" if line is None else repr(line.strip()[-60:])
            raise cases.DataError(
                path, f"abnormality {number}: truncated: a chain without its end '#', found {found}"
            )
        words += line.replace("#", " #").split()
    try:
        return decode(words[:-1])
    except ValueError as error:
        raise cases.DataError(path, f"abnormality {number}: {error}") from None


def decode(words: Sequence[str]) -> np.ndarray:
    """The points of a chain, (N, 2) int64: (x, y) from 0.

    >>> decode(["5", "3", "2", "4"]).tolist()
    [[4, 2], [5, 2], [5, 3]]

    Raises:
        ValueError: no start, no direction, or a direction that is not 0 to 7.
    """
    numbers = [int(word) if word.isdigit() and len(word) < 8 else -1 for word in words]
    start, chain = numbers[:2], np.array(numbers[2:], np.int64)
    if not len(chain) or min(start) < 0:
        raise ValueError(f"a chain has column, row and directions, found {' '.join(words[:3])!r}")
    if chain.min() < 0 or chain.max() > 7:
        raise ValueError("a chain has directions from 0 to 7; there is another word in it")
    steps = np.concatenate([[start], np.array(STEPS)[chain]])
    return np.cumsum(steps, axis=0) - 1  # the file counts from 1


def encode(points: np.ndarray) -> str:
    """The chain of points (N, 2), (x, y) from 0, each beside the one before.

    >>> encode(np.array([[4, 2], [5, 2], [5, 3]]))
    '5 3 2 4 #'

    Raises:
        ValueError: two points in a row are not neighbours.
    """
    steps = [tuple(step) for step in np.diff(points, axis=0).tolist()]
    if far := [step for step in steps if step not in STEPS]:
        raise ValueError(f"a chain goes from pixel to neighbour; it cannot take the step {far[0]}")
    return " ".join(map(str, [*(points[0] + 1).tolist(), *map(STEPS.index, steps), "#"]))


def fill(points: np.ndarray, shape: tuple[int, int], path: Any = "outline") -> np.ndarray:
    """The outline and all it encloses, bool (H, W); an open one is closed by a straight line.

    Args:
        points: (N, 2) pixels (x, y) from 0.
        shape: (rows, columns) of the film.
        path: the file, for the message.

    Raises:
        cases.DataError: a point lies outside the film.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    if (low < 0).any() or high[0] >= shape[1] or high[1] >= shape[0]:
        size = f"{shape[0]} rows and {shape[1]} columns"
        raise cases.DataError(
            path, f"the outline goes from (x, y) = {low.tolist()} to {high.tolist()}, beyond {size}"
        )
    width, height = (high - low + 3).tolist()  # a pixel of background all round
    drawn = np.zeros((height, width), np.uint8)
    cv2.polylines(drawn, [(points - low + 1).astype(np.int32)], isClosed=True, color=1)
    cv2.floodFill(drawn, None, (0, 0), 2)  # over edges only: it does not slip through a diagonal of the line
    out = np.zeros(shape, bool)
    out[low[1] : high[1] + 1, low[0] : high[0] + 1] = drawn[1:-1, 1:-1] != 2
    return out


def write_overlay(path: str | os.PathLike[str], abnormalities: Sequence[Abnormality]) -> None:
    """Writes an overlay in the published form, cores indented.

    Raises:
        ValueError: as `encode`.
    """
    lines = [f"TOTAL_ABNORMALITIES {len(abnormalities)}"]
    for one in abnormalities:
        lines.append(f"ABNORMALITY {one.number}")
        for type in one.types:
            words = [word for pair in type.fields.items() for word in pair]
            lines.append(" ".join(["LESION_TYPE", type.kind.upper(), *words]))
        lines += [f"ASSESSMENT {one.assessment}", f"SUBTLETY {one.subtlety}", f"PATHOLOGY {one.pathology}"]
        lines.append(f"TOTAL_OUTLINES {len(one.outlines)}")
        for outline in one.outlines:
            lines += [("\t" if outline.kind == "CORE" else "") + outline.kind, encode(outline.points)]
    pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="latin-1")
