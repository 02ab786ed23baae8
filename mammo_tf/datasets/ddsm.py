"""DDSM: digitised screening films of 2,620 cases, lesions outlined, outcomes known; reader and writer.

A case is a case file, four films (both breasts, CC and MLO) and an overlay for each film with lesions. One case is
one patient. Category and volume stand in the folders alone. Sources: `ddsm_case`, `ddsm_overlay`, `ljpeg`.

The normal cases and those with cancer were digitised in other shares by other machines, and a net may learn the
machine: `sources` counts them, `mixed_sources` says it in words, and the reader logs it.

    dataset = ddsm.read(pathlib.Path("DDSM"))
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import logging
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from mammo_tf import cases, datasets, regions
from mammo_tf.datasets import about, copies, ddsm_case, ddsm_pixels, ddsm_writer
from mammo_tf.datasets import ddsm_files as files
from mammo_tf.datasets import ddsm_lesions as lesions
from mammo_tf.datasets import ddsm_overlay as overlays

NAME = "ddsm"
ALGORITHM_VERSION = 1  # of the writer
LOG = logging.getLogger("mammo_tf")
_AT_ONCE = 2  # threads: they hide the latency of a disk
_ALIKE = 0.9  # of the shares of the machines: below that, categories do not come from the same ones
NAMED = "name of a case"

ABOUT = about.About(
    title="DDSM, the Digital Database for Screening Mammography (University of South Florida), 2,620 cases",
    where="the Digital Mammography pages of the University of South Florida, eng.usf.edu/cvprg",
    terms="research; the makers ask to be cited. Do not mix its normal cases with the others unawares: they were "
    "digitised in other shares by other machines (ddsm.sources counts them)",
    citation="M. Heath, K. Bowyer, D. Kopans, R. Moore, W. P. Kegelmeyer, The Digital Database for Screening "
    "Mammography, Proc. 5th International Workshop on Digital Mammography (2001), 212-218",
    tree="""\
cases/cancers/cancer_01/case3013/
    B-3013-1.ics
    B_3013_1.LEFT_CC.LJPEG ...  (or B_3013_1.LEFT_CC.LJPEG.1, B_3013_1.LEFT_CC.png, ...LEFT_CC.LJPEG.png, .tif)
    B_3013_1.RIGHT_MLO.OVERLAY ...  (films with lesions)
(other folders will do; without names such as cancers or normal_03 the category is unknown)
""",
    known={"cases": 2620, "images": 10480},
)


def entries(root: str | os.PathLike[str]) -> tuple[about.Entry, ...]:
    """One entry an abnormality or film without one, by case files and overlays; `read` lists those unreadable.

    Raises:
        cases.DataError: no case file.
    """
    tree = _tree(root)
    return tuple(entry for key in sorted(tree.cases) for entry in _entries(tree, key))


def _entries(tree: files.Tree, key: str) -> list[about.Entry]:
    path, found = tree.cases[key][0], []
    try:
        case = ddsm_case.read_ics(path)
    except cases.DataError:
        return found
    normal = files.place_of(path)[0] == "normals"
    for film in case.films:
        try:
            overlay = tree.overlay_of((key, film.name), path)
            marked = overlays.read_overlay(overlay).abnormalities if overlay else ()
        except cases.DataError:
            marked = ()
        labels = [(str(one.pathology), lesions.kind_of(one)) for one in marked] or [("NORMAL" if normal else "", "")]
        own = (f"{key}.{film.name}", files.patient_of(key))
        where = {"side": str(film.side), "view": str(film.projection), "density": case.density}
        found += [about.Entry(*own, *label, **where) for label in labels]
    return found


def _tree(root: str | os.PathLike[str]) -> files.Tree:
    tree = files.Tree.walk(datasets.existing(root))
    if not tree.cases:
        empty = "the folder is empty" if not any(tree.root.iterdir()) else "no case file of DDSM"
        raise cases.DataError(tree.root, f"{empty}; looked for names such as B-3013-1.ics")
    return tree


@dataclasses.dataclass
class _Outcome:
    """What became of a case; `read` and `named` hold the files of text used and the films that its file names."""

    views: list[cases.View] = dataclasses.field(default_factory=list)
    problems: list[cases.Problem] = dataclasses.field(default_factory=list)
    repairs: list[cases.Repair] = dataclasses.field(default_factory=list)
    read: list[pathlib.Path] = dataclasses.field(default_factory=list)
    named: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def read(root: str | os.PathLike[str], *, strict: bool = False) -> cases.Dataset:
    """Reads the films that the case files name, from a tree of any shape.

    A film whose overlay is missing or cannot be read is left out: without it a lesion would pass for healthy tissue.
    A lesion's region is its boundary; cores are counted in its attribute `outlines`. Where two lines LESION_TYPE
    name a mass and a calcification, it is a mass, and `lesion types` has both. What is left of an outline that goes
    beyond its film is used. Second files of a film or case that are no copies are left out and listed.

    Args:
        root: the folder; cases may lie deeper.
        strict: raise at the first problem instead of listing it.

    Raises:
        cases.DataError: no case file, or no film can be used.
    """
    tree = _tree(root)
    keys = sorted(tree.cases)
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        outcomes = list(pool.map(functools.partial(_read_case, tree), keys))
    views = [view for outcome in outcomes for view in outcome.views]
    named = [one for outcome in outcomes for one in outcome.named]
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    problems += tree.unlisted(named, [key for key, outcome in zip(keys, outcomes, strict=True) if not outcome.read])
    first = tree.cases[keys[0]][0]
    datasets.refuse(first, problems, of=f"{len(keys)} cases", used=len(views), strict=strict)
    tables = [path for outcome in outcomes for path in outcome.read]
    mark = datasets.fingerprint(tree.root, tables, [view.path for view in views])
    kind = "phantom" if "phantom" in map(datasets.kind, first.parents) else "real"  # the root may be a level too high
    repairs = tuple(repair for outcome in outcomes for repair in outcome.repairs)
    patients = datasets.by_patient(views)
    dataset = cases.Dataset(NAME, kind, str(tree.root), patients, tuple(problems), mark, repairs)
    if mixed := mixed_sources(dataset):
        LOG.warning("%s", mixed)
    return dataset


def _read_case(tree: files.Tree, key: str) -> _Outcome:
    out, (path, *_) = _Outcome(problems=copies.left_out(tree.cases[key])), tree.cases[key]
    try:
        case = ddsm_case.read_ics(path)
    except cases.DataError as error:
        return _Outcome(problems=[*out.problems, cases.Problem.of(error, f"case {key}")])
    out.read.append(path)
    if files.key_of(case.name) != key:
        what = f"it calls itself {case.name}: the name of the file, which its films bear, counts"
        out.repairs.append(cases.Repair(str(path), NAMED, what))
        case = dataclasses.replace(case, name=key.replace("_", "-"))
    for film in case.films:
        out.named.append((key, film.name))
        try:
            _read_film(tree, key, case, film, out)
        except cases.DataError as error:
            out.problems.append(cases.Problem.of(error, f"film {key}.{film.name}"))
    return out


def _read_film(tree: files.Tree, key: str, case: ddsm_case.CaseFile, film: ddsm_case.Film, out: _Outcome) -> None:
    path, id = tree.cases[key][0], f"{key}.{film.name}"
    file, others = tree.film_of((key, film.name), path)
    pixels, overlay = ddsm_pixels.of(file, film), tree.overlay_of((key, film.name), path)
    if overlay is None and film.overlay:
        raise cases.MissingError(
            path.parent / f"{id}.OVERLAY", "no such file; its case file says that lesions are marked"
        )
    found, repairs = lesions.of(overlay, id, film) if overlay else ((), [])
    category, volume = files.place_of(path)
    attributes = {"breast density": case.density, "digitizer": _digitizer(case)}
    out.views.append(
        cases.View(
            id=id,
            patient_id=files.patient_of(key),
            side=film.side,
            projection=film.projection,
            load=regions.SizedLoader(pixels.load, film.rows, film.columns),
            max_value=pixels.max_value,
            spacing_mm=film.spacing_mm,
            lesions=found,
            attributes={**attributes, "category": category, "volume": volume},
            path=str(file.path),
            lossy=pixels.lossy,
        )
    )
    out.problems += others
    out.repairs += [*pixels.repairs, *repairs]
    out.read += [overlay] if overlay else []


def _digitizer(case: ddsm_case.CaseFile) -> str:
    try:
        return ddsm_case.digitizer_of(case).name
    except cases.DataError:
        return case.digitizer  # `as_density` says that it is unknown


def as_density(view: cases.View) -> cases.View:
    """The view with optical density for gray values: white (65535) is 0.05, black 4, whatever the machine.

    Raises:
        cases.MammoError: the machine is unknown, or the gray values are not its own (a copy of 8 bits, say).
    """
    name = view.attributes.get("digitizer", "")
    machine = next((one for one in ddsm_case.DIGITIZERS if one.name == name), None)
    if machine is None or view.max_value != 2**machine.bits - 1:
        found = f"digitizer {name!r}, largest value {view.max_value}"
        raise cases.MammoError(f"{view.id}: its density needs the gray values of a known digitizer, found {found}")
    return dataclasses.replace(view, load=ddsm_pixels.Density(view, machine), max_value=ddsm_pixels.WHITE)


def sources(dataset: cases.Dataset) -> dict[tuple[str, str], int]:
    """How many views each machine gave to each category: ("LUMISYS at Wake Forest", "cancers") -> 1204."""
    found = ((view.attributes.get("digitizer", ""), view.attributes.get("category", "")) for view in dataset.views)
    return dict(sorted(collections.Counter(found).items()))


def mixed_sources(dataset: cases.Dataset) -> str:
    """A warning where the normal films and the others come from other machines, or in other shares; else ""."""
    normal, other = collections.Counter(), collections.Counter()
    for (machine, category), count in sources(dataset).items():
        (normal if category == "normals" else other)[machine] += count
    if not normal or not other:
        return ""
    alike = sum(min(normal[one] / normal.total(), other[one] / other.total()) for one in normal)
    if alike >= _ALIKE:
        return ""
    said = ["; ".join(f"{count} by {machine}" for machine, count in some.items()) for some in (normal, other)]
    return f"{NAME}: normal films and the others were digitised by other machines: normal {said[0]}; others {said[1]}"


def phantom_spec(spec: Any) -> Any:
    """The phantom in the look of film, with the 16 bits of the DBA scanner."""
    return dataclasses.replace(spec, look="film", bits=None)


def write(found: Sequence[cases.Case], root: str | os.PathLike[str], *, workers: int = 2) -> None:
    """Writes cases in the published tree, as `ddsm_writer.write` has it."""
    ddsm_writer.write(found, root, workers=workers)
