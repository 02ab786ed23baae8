"""One on-disk format a module, its reader and its writer side by side; the phantom goes through both.

A format module has `NAME`, `ALGORITHM_VERSION` (of its writer), `read(root, *, strict)`, `write(cases, root, *,
workers)`, `entries(root)` and `ABOUT` (see `about`); where its images are DICOM, `read(..., intensity)`; and, where
the format has bounds of its own, `phantom_spec(spec)`, which fits a phantom to them. `prepared` reads back what
`mammo-tf prepare` has made of any of them.

    dataset = datasets.open_dataset(cbis_ddsm, "/data/CBIS-DDSM")   # real films, or what was prepared from them
    dataset = datasets.open_dataset(cbis_ddsm)                      # the phantom, written to the cache and read back
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mammo_tf import cache, cases

MAX_PIXELS = 200_000_000  # five times the largest digitised film: anything above is a damaged header
PHANTOM_MARKER = "PHANTOM.json"
_NOTE = "synthetic phantom, not a mammogram"


def open_dataset(
    module: Any,
    root: str | os.PathLike[str] | None = None,
    *,
    spec: Any = None,
    strict: bool = False,
    intensity: str = "raw",
) -> cases.Dataset:
    """The dataset below a folder, or the phantom in the same format where no folder is given.

    Args:
        module: the format (`mammo_tf.datasets.cbis_ddsm`, ...).
        root: the folder of the files, or one that `mammo-tf prepare` has made.
        spec: the `phantom.PhantomSpec` used without a root; its defaults when None.
        strict: raise at the first unusable file instead of listing it in `problems`.
        intensity: how DICOM values become gray values (`dicom.read_pixels`); all but "raw" change the fingerprint.

    Raises:
        cases.DataError: no such folder, nothing usable in it, (`strict`) an unusable file, or a prepared folder of
            another dataset or intensity.
        cases.MammoError: the phantom cannot be written to the cache, or the format knows no other intensity.
    """
    from mammo_tf.datasets import prepared  # here, since every reader imports this package

    if root is not None:
        root = existing(root)
        if folder := prepared.find(root, module.NAME):
            return prepared.read(folder, module.NAME, strict=strict, intensity=intensity)
        return _read(module, root, strict, intensity)
    spec = _spec(module, spec)
    key = f"phantom-{module.NAME}-{cache.key(*_versions(module), spec)}"
    return _read(module, cache.get(key, functools.partial(write_phantom, module, spec)), strict, intensity)


def _read(module: Any, root: pathlib.Path, strict: bool, intensity: str) -> cases.Dataset:
    if intensity == "raw":
        return module.read(root, strict=strict)
    if "intensity" not in inspect.signature(module.read).parameters:
        raise cases.MammoError(f"{module.NAME}: its images know no intensity but raw, asked for was {intensity}")
    dataset = module.read(root, strict=strict, intensity=intensity)
    return dataclasses.replace(dataset, fingerprint=cache.key(dataset.fingerprint, intensity))


def write_phantom(module: Any, spec: Any, root: str | os.PathLike[str], *, workers: int = 2) -> None:
    """Writes the phantom of a spec into a new or empty folder, with the marker that makes readers call it one.

    Raises:
        cases.DataError: the folder holds something already, or cannot be written.
    """
    from mammo_tf.datasets import phantom  # here, since every reader imports this package

    root, spec = pathlib.Path(root), _spec(module, spec)
    try:
        root.mkdir(parents=True, exist_ok=True)
        if next(root.iterdir(), None) is not None:
            raise cases.DataError(root, "a phantom goes into a new or an empty folder; this one holds files")
        marker = {
            "note": _NOTE,
            "format": module.NAME,
            "spec": dataclasses.asdict(spec),
            "versions": _versions(module),
        }
        (root / PHANTOM_MARKER).write_text(json.dumps(marker, indent=1, sort_keys=True, default=str) + "\n")
    except OSError as error:
        raise cases.DataError(root, f"cannot be written: {error.strerror or error}") from None
    module.write(phantom.cases(spec), root, workers=workers)


def _spec(module: Any, spec: Any) -> Any:
    from mammo_tf.datasets import phantom

    fit = getattr(module, "phantom_spec", None)
    spec = spec or phantom.PhantomSpec()
    return fit(spec) if fit else spec


def _versions(module: Any) -> list[int]:
    from mammo_tf.datasets import phantom

    return [phantom.ALGORITHM_VERSION, module.ALGORITHM_VERSION]


def existing(root: str | os.PathLike[str]) -> pathlib.Path:
    """The folder as a path.

    Raises:
        cases.MissingError: there is no such folder.
        cases.DataError: it is a file, or lies where the user may not look.
    """
    root = pathlib.Path(root).expanduser()
    try:
        there, folder = root.exists(), root.is_dir()
    except OSError as error:
        raise cases.DataError(root, f"cannot be read: {error.strerror or error}") from None
    if not there:
        raise cases.MissingError(root, "no such folder")
    if not folder:
        raise cases.DataError(root, "not a folder")
    return root


def walk(root: pathlib.Path) -> Iterator[tuple[pathlib.Path, list[str], list[str]]]:
    """As `os.walk`: every folder with the names below it, sorted; links are followed, each folder is seen once.

    What systems leave behind is passed over: names that begin with a dot, and `__MACOSX`. The caller may take names
    out of the second list in order not to go down there.
    """
    seen = set()
    for folder, below, files in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "__MACOSX")
        if place in seen:
            below.clear()
            continue
        seen.add(place)
        yield pathlib.Path(folder), below, sorted(name for name in files if not name.startswith("."))


def files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Every file that `walk` comes to."""
    return (folder / name for folder, _, names in walk(root) for name in names)


def kind(root: pathlib.Path) -> str:
    """`Dataset.kind` of a folder: "phantom" where the marker lies, else "real"."""
    return "phantom" if (root / PHANTOM_MARKER).is_file() else "real"


def refuse(table: pathlib.Path, problems: Sequence[cases.Problem], *, of: str, used: int, strict: bool) -> None:
    """Refuses a dataset of which nothing can be used, or (`strict`) of which something cannot.

    Args:
        table: the file that lists the images, named where it lists none.
        problems: what was left out.
        of: how many of what the table lists, such as "322 images".
        used: how many of them can be used.
        strict: whether any problem is one too many.

    Raises:
        cases.DataError: with path and reason of the first problem.
    """
    if used and not (strict and problems):
        return
    if not problems:
        raise cases.DataError(table, f"lists nothing that could be read: {of}")
    many = "" if used else f" (none of the {of} can be used; this is the first fault)"
    fault = cases.MissingError if problems[0].kind == "missing" else cases.DataError
    raise fault(problems[0].path, problems[0].reason + many)


def by_patient(views: Iterable[cases.View]) -> tuple[cases.Case, ...]:
    """One case a patient, cases and views sorted by id."""
    patients: dict[str, list[cases.View]] = {}
    for view in sorted(views, key=lambda view: (view.patient_id, view.id)):
        patients.setdefault(view.patient_id, []).append(view)
    return tuple(cases.Case(patient, tuple(some)) for patient, some in patients.items())


def fingerprint(root: pathlib.Path, tables: Iterable[pathlib.Path], files: Iterable[str]) -> str:
    """`Dataset.fingerprint`: 16 hexadecimal digits over the tables' bytes, the files' names and sizes."""
    digest = hashlib.sha256()
    for table in sorted(tables):
        digest.update(hashlib.sha256(table.read_bytes()).digest())
    named = sorted(
        (os.path.relpath(file, root).replace(os.sep, "/"), pathlib.Path(file).stat().st_size) for file in set(files)
    )
    digest.update(json.dumps(named).encode())
    return digest.hexdigest()[:16]
