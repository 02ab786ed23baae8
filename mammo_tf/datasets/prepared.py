"""Datasets prepared once: found, read, and made, with `tensorflow_datasets` behind it.

What is read back is what the direct reader gives: the same name, fingerprint, ids, order, pixels, regions, problems.
A view that could not be read when the dataset was prepared raises the same error when it is asked for. Only the
loaders differ, and paths start at the dataset's folder.

    plan = prepared.plan(dataset, cbis_ddsm.ABOUT, prepared.Options())
    prepared.make(plan)
    dataset = prepared.read(plan.folder, "cbis_ddsm")
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import prepared_index, prepared_plan, tfds_stream

try:
    import fcntl
except ImportError:  # not a Unix: two processes at once are the caller's care
    fcntl = None

LOG = logging.getLogger("mammo_tf")
Options, Plan, plan = prepared_plan.Options, prepared_plan.Plan, prepared_plan.plan


@dataclasses.dataclass(frozen=True)
class Made:
    """A prepared dataset.

    Attributes:
        folder: of the records.
        views, records: how many are listed and how many could be read.
        bytes: of all files.
        unreadable: views and masks that could not be read.
        already: whether it was there before.
        resumed: views that an earlier, stopped start had done.
    """

    folder: pathlib.Path
    views: int
    records: int
    bytes: int
    unreadable: tuple[cases.Problem, ...]
    already: bool
    resumed: int = 0


def find(root: str | os.PathLike[str], name: str) -> pathlib.Path | None:
    """The folder of the records where `root` is that folder or one of the two above it, else None.

    Where it holds other datasets only, one of those: reading it says so.

    Raises:
        cases.DataError: the folder cannot be looked into.
    """
    root = pathlib.Path(root).expanduser()
    below = pathlib.Path(prepared_plan.VERSION, prepared_index.FILE)
    places = (root / prepared_index.FILE, root / below, root / name / below)
    try:
        found = (path for path in (*places, *sorted(root.glob(f"*/{below}"))) if path.is_file())
        return next((path.parent for path in found), None)
    except OSError as error:
        raise cases.DataError(root, f"cannot be read: {error.strerror or error}") from None


def read(folder: str | os.PathLike[str], name: str, *, strict: bool = False, intensity: str = "raw") -> cases.Dataset:
    """The dataset of a prepared folder (`find`), as the direct reader of the format would give it.

    Args:
        folder: of the records.
        name: of the format that is expected.
        strict: raise at the first thing that could not be read.
        intensity: that is expected.

    Raises:
        cases.DataError: a damaged index, another dataset, intensity or version; with `strict`, any problem.
    """
    facts = _facts(pathlib.Path(folder))
    folder = _placed(pathlib.Path(folder).absolute(), facts["name"])
    for what, expected in (("name", name), ("intensity", intensity)):
        if facts[what] != expected:
            raise cases.DataError(folder, f"a prepared dataset of {what} {facts[what]}, asked for was {expected}")
    problems = tuple(cases.Problem(**row) for row in facts["problems"])
    if strict and (first := next(iter((*problems, *_unreadable(facts))), None)):
        raise cases.DataError(first.path, first.reason)
    splits = _splits(folder, facts)
    views = [prepared_index.view(row, _load(splits[row["split"]], row)) for row in facts["views"]]
    found = prepared_index.by_patient(views)
    repairs = tuple(cases.Repair(**row) for row in facts["repairs"])
    return cases.Dataset(name, facts["kind"], str(folder), found, problems, facts["fingerprint"], repairs)


def _placed(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The folder by a path that ends as tensorflow-datasets wants it; links to it may bear any name."""
    place = pathlib.PurePath(name, prepared_plan.VERSION)
    for path in (folder, folder.resolve()):
        if path.parts[-2:] == place.parts:
            return path
    raise cases.DataError(folder, f"tensorflow-datasets finds the records at {place} only; rename the folder back")


def _splits(folder: pathlib.Path, facts: dict[str, Any]) -> dict[str, tfds_stream.Split]:
    counts = dict.fromkeys((row["split"] for row in facts["views"]), 0)
    for row in prepared_index.good(facts["views"]):
        counts[row["split"]] += 1
    of = facts["name"], facts["fingerprint"]
    return {name: tfds_stream.Split(str(folder), of[0], name, count, of[1]) for name, count in counts.items()}


def _load(split: tfds_stream.Split, row: dict[str, Any]) -> Callable[[], np.ndarray]:
    if "fault" in row:
        return prepared_index.Fault(cases.Problem(**row["fault"]))
    return tfds_stream.Record(split, row["index"], row["id"], tuple(row["shape"]), row["dtype"])


def _facts(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / prepared_index.FILE
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise cases.DataError(path, f"the index of a prepared dataset cannot be read: {error}") from None
    version = facts.get("format") if isinstance(facts, dict) else None
    if version != prepared_index.FORMAT_VERSION:
        found = f"of format {version}, this is {prepared_index.FORMAT_VERSION}"
        raise cases.DataError(path, f"a prepared dataset {found}; prepare it again")
    return facts


def _unreadable(facts: dict[str, Any]) -> tuple[cases.Problem, ...]:
    return tuple(cases.Problem(**row) for row in facts["unreadable"])


def made(plan: Plan) -> Made | None:
    """What lies at the place of a plan, None where nothing does.

    Raises:
        cases.DataError: something else does.
    """
    if not plan.folder.exists():
        return None
    facts, expected = _facts(plan.folder), (plan.dataset.fingerprint, plan.options.intensity)
    if (facts["fingerprint"], facts["intensity"]) != expected:
        found = f"fingerprint {facts['fingerprint']}, intensity {facts['intensity']}"
        asked = "fingerprint {}, intensity {}".format(*expected)
        raise cases.DataError(plan.folder, f"holds {found}, not {asked}; remove it or choose another folder")
    size = sum(path.stat().st_size for path in plan.folder.iterdir())
    return Made(plan.folder, len(facts["views"]), facts["records"], size, _unreadable(facts), already=True)


def before(plan: Plan) -> list[pathlib.Path]:
    """What was prepared from the same folder when it held something else, at the default places beside the plan's."""
    places = sorted(plan.out.parent.glob(f"{plan.dataset.name}-*/{plan.dataset.name}/{prepared_plan.VERSION}"))
    source = prepared_index.source(plan.dataset)
    return [path for path in places if path != plan.folder and _source(path) == source]


def _source(folder: pathlib.Path) -> str:
    try:
        return _facts(folder)["source"]
    except cases.DataError:  # damaged or of another format: of it nothing can be said
        return ""


def make(plan: Plan, progress: Callable[[int, int], None] | None = None) -> Made:
    """Prepares a dataset: all of it is there afterwards, or nothing is.

    A start that was stopped leaves finished files in `plan.staging`, and the next one takes them. A second process
    waits for the first.

    Args:
        plan: of the dataset; its disk need is checked here.
        progress: called with the views done and all of them.

    Raises:
        cases.DataError: not enough room, a folder that cannot be written, something else there, a count that does not
            come out, no view that can be read or (`strict`) one that cannot.
    """
    found = made(plan)  # in a folder that cannot be written, too
    try:
        if found is None:
            plan.staging.parent.mkdir(parents=True, exist_ok=True)
            with _alone(plan.folder.parent / ".lock"):
                found = made(plan) or _make(plan, progress)
    except OSError as error:
        raise cases.DataError(plan.out, f"cannot be written: {error.strerror or error}") from None
    shutil.rmtree(plan.staging, ignore_errors=True)  # by now also that of a start killed at its very end
    if plan.options.strict and found.unreadable:
        raise cases.DataError(found.unreadable[0].path, found.unreadable[0].reason)
    return found


def _make(plan: Plan, progress: Callable[[int, int], None] | None) -> Made:
    if plan.need and not plan.need.fits:
        more, free = (prepared_plan.size(count) for count in (plan.need.bytes - plan.need.staged, plan.need.free))
        raise cases.DataError(plan.out, f"needs about {more} more, {free} are free")
    _sweep(plan)
    plan.staging.mkdir(exist_ok=True)
    resumed = prepared_plan.staged(plan.staging)
    _build(plan, progress)
    return dataclasses.replace(made(plan), already=False, resumed=sum(len(facts["rows"]) for facts in resumed))


def _build(plan: Plan, progress: Callable[[int, int], None] | None) -> None:
    import tensorflow as tf
    import tensorflow_datasets

    from mammo_tf.datasets import tfds

    options = tensorflow_datasets.download.DownloadConfig(try_download_gcs=False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints; what is said here is said by others
            builder = tfds.Mammograms(plan, progress)
            builder.download_and_prepare(download_dir=plan.staging / "downloads", download_config=options)
    except tf.errors.OpError as error:
        raise cases.DataError(plan.out, f"cannot be written: {error.message}") from None


def _sweep(plan: Plan) -> None:
    """Removes what a kill left at the very end, and files staged for another state of the dataset."""
    for pattern in ("incomplete.*", ".staging-*"):
        for path in plan.staging.parent.glob(pattern):
            if path != plan.staging:
                shutil.rmtree(path, ignore_errors=True)
    for path in plan.staging.glob("*.tmp"):
        path.unlink()


@contextlib.contextmanager
def _alone(path: pathlib.Path) -> Iterator[None]:
    """Holds a lock that the system takes back when the process ends, however it ends."""
    with path.open("w") as file:
        if fcntl:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                LOG.info("%s: another process is preparing it; waiting", path.parent)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
