"""What a written DDSM says beyond its cases: names, folders, digitizers, and the original's faults.

Everything is drawn from hashes of names, so the same cases give the same files. Cases that were read from DDSM keep
names, folders and digitizers and get no fault planted. How often a fault occurs in the original is not published; the
rates are ours.

    planned = ddsm_planted.cases_of(phantom.cases(spec))
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import re
from collections.abc import Sequence

from mammo_tf import cases
from mammo_tf.datasets import ddsm_case

TURNED = 0.03  # of the films: rows and columns of the `.LJPEG`'s header are the wrong way round
ABOVE = 0.05  # of the films: predicted from the left and above, on the first line too
UNANNOUNCED = 0.02  # of the films with lesions: the case file says NON_OVERLAY
TWO_TYPES = 0.05  # of the masses: with calcifications
CORES = 0.1  # of the lesions: a core outlined within them
PROMISED = 0.02  # of the lesions: the overlay promises an outline more than it holds
PER_VOLUME = 100  # cases
_LETTERS = {"DBA 21": "A", "LUMISYS LASER": "BC", "HOWTEK": "D"}
_DEEP = 12  # bits of the machines other than DBA's
_OWN = re.compile(r"(?P<key>[A-Z]_\d{4,}_\d)\.(LEFT|RIGHT)_(CC|MLO)")


@dataclasses.dataclass(frozen=True)
class Case:
    """A case to write.

    Attributes:
        key: "B_3013_1".
        digitizer: as a case file has it.
        folder: below the root, "cases/cancers/cancer_01/case3013".
        views: its films, each side and projection once.
        faults: whether faults are planted in it.
    """

    key: str
    digitizer: str
    folder: str
    views: tuple[cases.View, ...]
    faults: bool

    @property
    def name(self) -> str:
        """As its case file bears it: "B-3013-1"."""
        return self.key.replace("_", "-")


def cases_of(found: Sequence[cases.Case]) -> list[Case]:
    """The cases by the films' own names, or one a patient, in their order.

    Raises:
        cases.MammoError: a film that the format cannot hold.
    """
    keys = [_OWN.fullmatch(view.id) for case in found for view in case.views]
    own = all(keys) and len({key[0] for key in keys}) == len(keys)
    groups: dict[str, list[cases.View]] = {}
    for number, case in enumerate(found, 1):
        fresh = "" if own else _key(case, number)
        for view in case.views:
            groups.setdefault(_OWN.fullmatch(view.id)["key"] if own else fresh, []).append(view)
    counts: collections.Counter[str] = collections.Counter()
    return [_case(key, views, own, counts) for key, views in groups.items()]


def _case(key: str, views: Sequence[cases.View], own: bool, counts: collections.Counter[str]) -> Case:
    names = [(view.side, view.projection) for view in views]
    for view in views:
        film = (view.side, view.projection)
        if view.side is None or view.projection is cases.Projection.OTHER or names.count(film) > 1:
            raise cases.MammoError(f"ddsm holds one CC and one MLO a side and case; {view.id} is {film} there")
    category, volume = (views[0].attributes.get(name, "") if own else "" for name in ("category", "volume"))
    category = category or category_of(views)
    counts[category] += 1
    volume = volume or f"{category.removesuffix('s')}_{1 + (counts[category] - 1) // PER_VOLUME:02d}"
    known = views[0].attributes.get("digitizer", "") if own else ""
    machine = next((one.word for one in ddsm_case.DIGITIZERS if one.name == known), known) or _machine(key, views)
    return Case(key, machine, f"cases/{category}/{volume}/case{key.split('_')[1]}", tuple(views), not own)


def category_of(views: Sequence[cases.View]) -> str:
    """The folder of a case by the worst of its outcomes; one that nobody has proven counts as benign."""
    found = {lesion.pathology for view in views for lesion in view.lesions}
    if cases.Pathology.MALIGNANT in found:
        return "cancers"
    if not found - {cases.Pathology.NORMAL}:
        return "normals"
    return "benign_without_callbacks" if found == {cases.Pathology.BENIGN_WITHOUT_CALLBACK} else "benigns"


def _key(case: cases.Case, number: int) -> str:
    """A name whose letter is that of a hospital with a machine of these bits."""
    if max((view.max_value.bit_length() for view in case.views), default=0) > _DEEP:
        return f"A_{number:04d}_1"
    return f"{'BCD'[int(3 * draw(case.patient_id, 'hospital'))]}_{number:04d}_1"


def _machine(key: str, views: Sequence[cases.View]) -> str:
    return next((word for word, letters in _LETTERS.items() if key[0] in letters), "DBA 21")


def draw(name: str, what: str) -> float:
    """A number in [0, 1) made of the names alone."""
    digest = hashlib.sha256(f"{name}\0{what}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
