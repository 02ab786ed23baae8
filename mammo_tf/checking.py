"""What a researcher wants to know of a dataset's folder before a run: `mammo-tf check DATASET DIR`.

The tables are counted and held against the published numbers, then the files are looked for, then the pixels of a
sample are measured, then one line says whether it can be used. `checking_text` prints what is found here.

    check = checking.examine(mini_mias, pathlib.Path("mini_mias"))
    print(checking_text.text(check))
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from mammo_tf import cases, checking_pixels, checking_tables, datasets
from mammo_tf.datasets import about, prepared, prepared_index

SAMPLE = 24  # views opened
_DENSITIES = ("breast density", "density", "background tissue")  # as the formats call it


@dataclasses.dataclass(frozen=True)
class Files:
    """What became of the files that the tables name.

    Attributes:
        images: how many the tables name.
        found: how many of them are there; only a sample is decoded.
        problems: what was left out, of every kind; paths from the folder on.
        repairs: what was mended.
        fault: why not one image can be read; "" where some can.
    """

    images: int
    found: int
    problems: tuple[cases.Problem, ...] = ()
    repairs: tuple[cases.Repair, ...] = ()
    fault: str = ""

    def of(self, kind: str) -> tuple[cases.Problem, ...]:
        """The problems of a kind."""
        return tuple(problem for problem in self.problems if problem.kind == kind)


@dataclasses.dataclass(frozen=True)
class Check:
    """All that was found.

    Attributes:
        dataset: name of the format.
        about: what its makers say of it.
        folder: as it was given.
        kind: "real" or "phantom"; as the reader says, or where that read nothing the folder itself.
        prepared: whether it holds records made by `mammo-tf prepare`, of which the tables are then made.
        tables, files, pixels: None where it did not come to that.
        fault: why there are no tables, "" where there are.
        template: a proposal of a table, where the format makes one and the folder has none.
        usable: whether a run can be made of it.
        verdict: the same in one line, with the reason.
    """

    dataset: str
    about: about.About
    folder: str
    kind: str = "real"
    prepared: bool = False
    tables: checking_tables.Tables | None = None
    files: Files | None = None
    pixels: checking_pixels.Pixels | None = None
    fault: str = ""
    template: str = ""
    usable: bool = False
    verdict: str = ""


def examine(
    module: Any,
    root: str | os.PathLike[str],
    *,
    sample: int | None = SAMPLE,
    strict: bool = False,
    intensity: str = "raw",
) -> Check:
    """Reads tables, files and the pixels of some views; what is wrong with the data is in what it returns.

    Args:
        module: the format (`mammo_tf.datasets.mini_mias`, ...).
        root: the folder.
        sample: how many views to open, spread over the dataset; None for all.
        strict: call the data unusable if any file is missing or unreadable.
        intensity: how DICOM values become gray values (`datasets.open_dataset`).

    Raises:
        cases.MammoError: the format knows no such intensity.
    """
    root = pathlib.Path(root).expanduser()
    check = Check(module.NAME, module.ABOUT, str(root))
    try:
        found = prepared.find(datasets.existing(root), module.NAME)
        check = dataclasses.replace(check, kind=datasets.kind(root))
        dataset = datasets.open_dataset(module, root, intensity=intensity) if found else None
        entries = of_views(dataset.views) if found else module.entries(root)
    except (cases.DataError, OSError) as error:
        fault, proposal = _words(error, root), _template(module, root)
        return dataclasses.replace(check, fault=fault, template=proposal, verdict=f"not usable: {fault}")
    named = len({entry.image for entry in entries})
    try:
        dataset = dataset or datasets.open_dataset(module, root, intensity=intensity)
        files, pixels, readable = _opened(dataset, root, named, sample)
    except cases.DataError as error:
        files, pixels, readable = Files(named, 0, fault=prepared_index.shortened(str(error), root)), None, frozenset()
    usable, verdict = _verdict(files, pixels, strict)
    return dataclasses.replace(
        check,
        kind=dataset.kind if dataset else check.kind,
        prepared=bool(found),
        tables=checking_tables.count(entries, module.ABOUT, readable),
        files=files,
        pixels=pixels,
        usable=usable,
        verdict=verdict,
    )


def of_views(views: Sequence[cases.View]) -> tuple[about.Entry, ...]:
    """What tables would say of views: an entry a lesion, or one for a view without any."""
    return tuple(_entry(view, lesion) for view in views for lesion in (view.lesions or (None,)))


def _entry(view: cases.View, lesion: cases.Lesion | None) -> about.Entry:
    own = view.attributes
    if "birads" in own:
        label = f"BI-RADS {own['birads']}" if own["birads"] else ""
    else:
        label = str(lesion.pathology) if lesion else own.get("label", "NORMAL")
    return about.Entry(
        image=view.id,
        patient_id=view.patient_id,
        label=label,
        kind=lesion.kind if lesion else "",
        side=view.side or "",
        view=view.projection,
        part=(lesion.part if lesion else None) or own.get("part", ""),
        density=next((own[name] for name in _DENSITIES if name in own), ""),
    )


def _words(error: cases.DataError | OSError, root: pathlib.Path) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return prepared_index.shortened(error.reason if error.path == str(root) else str(error), root)


def _template(module: Any, root: pathlib.Path) -> str:
    try:
        if not hasattr(module, "template") or (root / module.TABLE).exists():
            return ""
        return module.template(root)
    except (cases.DataError, OSError):  # there is no image either: the fault of the table says enough
        return ""


def _opened(
    dataset: cases.Dataset, root: pathlib.Path, named: int, sample: int | None
) -> tuple[Files, checking_pixels.Pixels | None, frozenset[str]]:
    """The files, the pixels of a sample, and the ids of the images found, of the `named` ones.

    What is known to have been lost when the dataset was prepared is listed, whether or not it is in the sample.
    """
    some = checking_pixels.spread(dataset.views, sample)
    lost = [view for view in dataset.views if prepared_index.lost(view) and view not in some]
    pixels, faults = checking_pixels.measure((*some, *lost))
    found = frozenset(view.id for view in dataset.views if view.id not in faults)
    problems = (_below(root, problem, "reason") for problem in (*dataset.problems, *faults.values()))
    repairs = (_below(root, repair, "what") for repair in dataset.repairs)
    return Files(named, len(found), tuple(problems), tuple(repairs)), pixels, found


def _below(root: pathlib.Path, one: Any, words: str) -> Any:
    """A problem or repair whose path starts at the folder; other paths in its words do, or at its own folder."""
    path = prepared_index.below(one.path, root)
    said = getattr(one, words)
    for folder in (root, pathlib.PurePath(path).parent):
        said = prepared_index.shortened(said, folder)
    return dataclasses.replace(one, path=path, **{words: said})


def _verdict(files: Files, pixels: checking_pixels.Pixels | None, strict: bool) -> tuple[bool, str]:
    if files.fault:
        return False, f"not usable: the tables are there, but none of their {files.images:,} images can be read"
    if pixels is None:
        return False, "not usable: not one of the images that were opened could be decoded"
    wrong = [problem for problem in files.problems if problem.kind != "left out"]
    rest = f"{files.found:,} of {files.images:,} images found, {pixels.images:,} of them opened"
    if wrong and strict:
        return False, f"not usable under --strict: {len(wrong):,} faults; {rest}"
    partly = "" if files.found == files.images else "; runs use these and list what they leave out"
    return True, f"usable: {rest}{partly}"
