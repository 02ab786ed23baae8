"""Crops of lesions: a square box round the region, with context, one example per lesion and padding.

The box is as ao2020, Section 3.1, and Levy and Jain (arXiv:1612.00542) describe it: the square round the mask with
some padding. Several paddings of one region are several examples that share `roi_id`: relatives, for any split.

    examples, problems = patches.lesion_crops(dataset, labels.pathology, kinds=("mass",), paddings=(0.2,))
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from concurrent import futures

import numpy as np

from mammo_tf import cases, labels

ALGORITHM_VERSION = 1

READERS = 4  # threads that read masks; more only queue at the disk


def lesion_crops(
    dataset: cases.Dataset,
    policy: labels.LabelPolicy,
    *,
    kinds: Sequence[str] = ("mass",),
    paddings: Sequence[float] = (0.2,),
    shift: float = 0.0,
    seed: int = 0,
) -> tuple[tuple[cases.Example, ...], tuple[cases.Problem, ...]]:
    """One example per lesion of the given kinds and per padding, in the dataset's order.

    With h, w the sides of the region's bounds, the box is s = max(h, w) * (1 + 2 * padding) a side, centred on them.

    Args:
        dataset: its views hold the lesions; only their masks are read.
        policy: gives the label of a lesion.
        kinds: `Lesion.kind`s to take.
        paddings: context on each side, as a fraction of max(h, w); at least 0, different to two digits.
        shift: the centre moves by at most this fraction of s along each axis, in [0, 0.5], drawn anew for every crop
            from (seed, lesion id, padding).
        seed: of the shifts.

    Returns:
        Examples `<lesion id>/pad0.20` with one view, the crop, that holds this lesion alone; and what was left out: a
        lesion without region or label, or with an unreadable mask.

    Raises:
        cases.MammoError: paddings or shift outside their ranges.
    """
    _check(paddings, shift)
    chosen = [(view, lesion) for view in dataset.views for lesion in view.lesions if lesion.kind in kinds]
    with futures.ThreadPoolExecutor(READERS) as pool:
        bounds = pool.map(lambda pair: _bounds(*pair, policy), chosen)
    examples: list[cases.Example] = []
    problems: list[cases.Problem] = []
    for (view, lesion), found in zip(chosen, bounds, strict=True):
        if isinstance(found, cases.Problem):
            problems.append(found)
            continue
        for padding in paddings:
            box = square_box(found, padding, _offset(seed, lesion.id, padding, shift))
            examples.append(_example(view, lesion, policy.lesion(lesion), f"{lesion.id}/pad{padding:.2f}", box))
    return tuple(examples), tuple(problems)


def square_box(
    bounds: tuple[int, int, int, int], padding: float, offset: tuple[float, float] = (0.0, 0.0)
) -> tuple[int, int, int]:
    """The box (top, left, side) in pixels round bounds (top, left, bottom, right); it may overhang the image.

    `offset` moves the centre, (rows, columns) as fractions of the side.

    >>> square_box((10, 20, 20, 40), 0.25)
    (0, 15, 30)
    """
    top, left, bottom, right = bounds
    side = max(1, round(max(bottom - top, right - left) * (1 + 2 * padding)))
    row = (top + bottom - side) / 2 + offset[0] * side
    column = (left + right - side) / 2 + offset[1] * side
    return round(row), round(column), side


def _check(paddings: Sequence[float], shift: float) -> None:
    names = {f"{padding:.2f}" for padding in paddings}
    if not paddings or min(paddings) < 0 or len(names) < len(paddings):
        raise cases.MammoError(f"crops: paddings are at least 0 and differ in two digits, found {tuple(paddings)}")
    if not 0 <= shift <= 0.5:
        raise cases.MammoError(f"crops: shift is a fraction of the box in [0, 0.5], found {shift}")


def _bounds(
    view: cases.View, lesion: cases.Lesion, policy: labels.LabelPolicy
) -> tuple[int, int, int, int] | cases.Problem:
    path = view.path or view.id
    if math.isnan(policy.lesion(lesion)):
        return cases.Problem(
            path, f"lesion {lesion.id}: label policy {policy.name} leaves it out (pathology {lesion.pathology})"
        )
    if lesion.region is None:
        return cases.Problem(path, f"lesion {lesion.id}: the dataset does not say where it lies")
    try:
        return lesion.region.bounds()
    except cases.DataError as error:
        return cases.Problem(error.path, f"lesion {lesion.id}: {error.reason}")
    except OSError as error:
        return cases.Problem(str(error.filename or path), f"lesion {lesion.id}: {error.strerror or error}")


def _offset(seed: int, lesion_id: str, padding: float, shift: float) -> tuple[float, float]:
    """Uniform in [-shift, shift] along both axes; the same for the same arguments, whatever else is drawn."""
    digest = hashlib.sha256(f"{seed}/{lesion_id}/{padding:.2f}".encode()).digest()
    rows, columns = np.random.default_rng(int.from_bytes(digest[:8], "big")).uniform(-shift, shift, 2)
    return float(rows), float(columns)


def _example(
    view: cases.View, lesion: cases.Lesion, label: float, id: str, box: tuple[int, int, int]
) -> cases.Example:
    top, left, side = box
    alone = dataclasses.replace(view, lesions=(lesion,))
    return cases.Example(
        id=id,
        patient_id=view.patient_id,
        views=(alone.window(top, left, side, side, id=id),),
        label=label,
        roi_id=lesion.id,
        part=lesion.part,
    )
