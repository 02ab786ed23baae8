"""Whole images: one example an exposure, labelled by a policy.

CBIS-DDSM lists an exposure twice where it shows masses and calcifications, once for each kind: 2,458 films of the
official training part are 2,420 exposures. Such films are one example here, with the lesions of both.

    examples, problems = whole_views.whole_views(dataset, labels.pathology)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from mammo_tf import cases, labels

ALGORITHM_VERSION = 1


def whole_views(
    dataset: cases.Dataset, policy: labels.LabelPolicy
) -> tuple[tuple[cases.Example, ...], tuple[cases.Problem, ...]]:
    """One example an exposure, in the dataset's order.

    Args:
        dataset: its views hold the lesions that the policy may look at.
        policy: gives the label of a view; a view for which it is NaN is listed, not used.

    Returns:
        Examples `<view id>`, whose `part` is the official part of the view's lesions (or of its attribute "part"),
        None where there is none; and what was left out: views without a label, views whose lesions stand in both
        official parts, and the second film of an exposure.
    """
    examples, problems = [], []
    for films in _exposures(dataset):
        view = dataclasses.replace(films[0], lesions=tuple(lesion for film in films for lesion in film.lesions))
        label, parts = policy.view(view), official_parts(view)
        path = view.path or view.id
        if math.isnan(label):
            problems.append(cases.Problem(path, f"label policy {policy.name} leaves it out", "left out"))
        elif len(parts) > 1:
            problems.append(cases.Problem(path, "its lesions stand in both official parts", "left out"))
        else:
            part = next(iter(parts), None)
            examples.append(cases.Example(view.id, view.patient_id, (view,), label, roi_id=view.id, part=part))
        for film in films[1:]:
            same = f"the exposure of {view.id}, which has its lesions"
            problems.append(cases.Problem(film.path or film.id, same, "left out"))
    return tuple(examples), tuple(problems)


def _exposures(dataset: cases.Dataset) -> list[list[cases.View]]:
    """The views of one breast, projection and official part together, where their lesions are of different kinds."""
    groups: dict[tuple, list[cases.View]] = {}
    for view in dataset.views:
        key = (view.patient_id, view.side, view.projection, *sorted(official_parts(view)))
        others = groups.setdefault(key, [])
        if view.side is None or not view.lesions or not _of_other_kinds(view, others):
            key = (*key, view.id)
        groups.setdefault(key, []).append(view)
    return [films for films in groups.values() if films]


def _of_other_kinds(view: cases.View, others: Sequence[cases.View]) -> bool:
    theirs = {lesion.kind for other in others for lesion in other.lesions}
    return not theirs & {lesion.kind for lesion in view.lesions}


def official_parts(view: cases.View) -> set[str]:
    """The official parts of a view's lesions, or of the view itself."""
    found = {lesion.part for lesion in view.lesions if lesion.part}
    return found or {part for part in (view.attributes.get("part"),) if part}
