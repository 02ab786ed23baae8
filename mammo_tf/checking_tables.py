"""What a dataset's tables say, counted and held against the published numbers; no image is opened.

tables = checking_tables.count(module.entries(root), module.ABOUT)
tables.total.images, tables.both_parts
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Hashable, Iterable, Sequence

from mammo_tf.datasets import about

UNKNOWN = "(not said)"
NO_LESION = "(no lesion)"


@dataclasses.dataclass(frozen=True)
class Count:
    """Rows of the tables that share a value.

    Attributes:
        group: what is counted: "class", "kind", "part", "kind and part", "view", "density"; "all" for everything.
        value: the value that they share.
        rows, images, patients: how many the tables name; patients of whom no table says who they are do not count.
        found: how many of the images are there.
    """

    group: str
    value: str
    rows: int
    images: int
    patients: int
    found: int


@dataclasses.dataclass(frozen=True)
class Published:
    """A published number beside the one found, None where nothing of that name can be counted."""

    name: str
    published: int
    here: int | None


@dataclasses.dataclass(frozen=True)
class Tables:
    """What the tables say.

    Attributes:
        total: over everything.
        counts: group by group; groups of which the tables say nothing are left out.
        published: published numbers beside those found.
        both_classes: ids of the images with malignant and benign lesions.
        both_parts: ids of the patients who stand in both official parts.
        without_patient: images of which no table or file name says whose they are.
    """

    total: Count
    counts: tuple[Count, ...]
    published: tuple[Published, ...]
    both_classes: tuple[str, ...]
    both_parts: tuple[str, ...]
    without_patient: int


_GROUPS: dict[str, Callable[[about.Entry], str]] = {
    "class": lambda entry: entry.label,
    "kind": lambda entry: entry.kind or NO_LESION,
    "part": lambda entry: entry.part,
    "kind and part": lambda entry: f"{entry.kind} {entry.part}" if entry.kind and entry.part else "",
    "view": lambda entry: f"{entry.side} {entry.view}".strip(),
    "density": lambda entry: entry.density,
}


def count(entries: Sequence[about.Entry], of: about.About, found: frozenset[str] = frozenset()) -> Tables:
    """Counts the rows, by group and in all.

    Args:
        entries: the rows.
        of: the dataset, for its published numbers.
        found: ids of the images that are there.
    """
    counts = [one for group, value_of in _GROUPS.items() for one in _group(group, value_of, entries, found)]
    return Tables(
        total=_count("all", "", entries, found),
        counts=tuple(counts),
        published=tuple(Published(name, value, number(name, entries)) for name, value in of.known.items()),
        both_classes=_with_several(entries, _image, _outcome),
        both_parts=_with_several(entries, _patient, _part),
        without_patient=len({entry.image for entry in entries if not entry.patient_id}),
    )


def number(name: str, entries: Sequence[about.Entry]) -> int | None:
    """A number by the name that `About.known` has for it.

    It is "rows", "images", "patients" (also "cases") or a class, such as "MALIGNANT", whose rows are counted; where
    only some rows are meant, " of " and a kind, a part or both follow ("rows of mass train"). Besides, there are
    "patients in both parts" and "views in both parts".

    Returns:
        None for a name that is none of these, and for patients where no row says who they are.
    """
    special = {"patients in both parts": _patient, "views in both parts": _exposure}
    if name in special:
        return len(_with_several(entries, special[name], _part))
    what, _, where = name.partition(" of ")
    some = [entry for entry in entries if where in ("", entry.kind, entry.part, f"{entry.kind} {entry.part}")]
    counted = _count("", "", some, frozenset())
    patients = counted.patients if any(entry.patient_id for entry in entries) else None
    numbers = {"rows": counted.rows, "images": counted.images, "patients": patients, "cases": patients}
    if what in numbers:
        return numbers[what]
    classes = {entry.label for entry in entries}
    return sum(entry.label == what for entry in some) if what in classes else None


def _count(group: str, value: str, entries: Sequence[about.Entry], found: frozenset[str]) -> Count:
    images, patients = ({key(entry) for entry in entries} for key in (_image, _patient))
    return Count(group, value, len(entries), len(images), len(patients - {""}), len(images & found))


def _group(
    group: str, value_of: Callable[[about.Entry], str], entries: Sequence[about.Entry], found: frozenset[str]
) -> list[Count]:
    """One count a value, sorted, what is not said last; none where nothing is said."""
    some: dict[str, list[about.Entry]] = collections.defaultdict(list)
    for entry in entries:
        some[value_of(entry) or UNKNOWN].append(entry)
    nothing = {UNKNOWN, NO_LESION}
    values = sorted(some, key=lambda value: (value in nothing, value)) if set(some) - nothing else []
    return [_count(group, value, some[value], found) for value in values]


def _with_several(
    entries: Iterable[about.Entry], key: Callable[[about.Entry], Hashable], value: Callable[[about.Entry], str]
) -> tuple:
    """The keys, sorted, that have more than one value; blank keys and values do not count."""
    values = collections.defaultdict(set)
    for entry in entries:
        values[key(entry)].add(value(entry))
    return tuple(sorted(key for key, some in values.items() if key and len(some - {""}) > 1))


def _image(entry: about.Entry) -> str:
    return entry.image


def _patient(entry: about.Entry) -> str:
    return entry.patient_id


def _part(entry: about.Entry) -> str:
    return entry.part


def _exposure(entry: about.Entry) -> tuple[str, str, str]:
    return entry.patient_id, entry.side, entry.view


def _outcome(entry: about.Entry) -> str:
    word = entry.label.upper()
    return next((outcome for outcome in ("MALIGNANT", "BENIGN") if word.startswith(outcome)), "")
