"""What preparing a dataset will write, and what it needs: splits, shards, bytes, minutes.

A split is an official part of the dataset; views that no part claims alone stand in `unassigned`. Within a split the
records have the order of the dataset. A shard is a file of a few records: the unit that a killed run need not make
again, and all that a read at random has to pass.

    plan = prepared_plan.plan(dataset, cbis_ddsm.ABOUT, workers=2)
    plan.folder, plan.need.bytes
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import pathlib
import shutil
import time
from typing import Any

import cv2
import numpy as np

from mammo_tf import cache, cases
from mammo_tf.datasets import about, prepared_index

VERSION = f"{prepared_index.FORMAT_VERSION}.0.0"
UNASSIGNED = "unassigned"
PER_SHARD = 16
SAMPLES = 4  # views that are encoded to learn how far they shrink
_BESIDE = 4096  # bytes a view besides its pixels: masks, tables
_MARGIN = 1.05


@dataclasses.dataclass(frozen=True)
class Options:
    """How a dataset is prepared.

    Attributes:
        out: a tensorflow-datasets data folder; below the cache when None.
        intensity: how the dataset was read.
        workers: threads.
        strict: stop at the first unreadable view instead of listing it.
        per_shard: records a file.
    """

    out: pathlib.Path | None = None
    intensity: str = "raw"
    workers: int = 2
    strict: bool = False
    per_shard: int = PER_SHARD


@dataclasses.dataclass(frozen=True)
class Need:
    """What is needed.

    Attributes:
        bytes: of all records, estimated from the sizes of the image files and from `SAMPLES` encoded views.
        staged: bytes that an earlier, stopped start has left.
        free: bytes free where they will lie.
        seconds: estimated, for what is left to be done.
    """

    bytes: int
    staged: int
    free: int
    seconds: float

    @property
    def fits(self) -> bool:
        return self.bytes - self.staged <= self.free


@dataclasses.dataclass(frozen=True)
class Shard:
    """The views of one file; `number` of `total` files of its split."""

    split: str
    number: int
    total: int
    views: tuple[cases.View, ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A dataset as its reader gave it and its module describes it, where it will lie, and what that needs."""

    dataset: cases.Dataset
    about: about.About
    options: Options
    need: Need | None = None

    @property
    def out(self) -> pathlib.Path:
        """The data folder for `tfds.load(name, data_dir=...)`."""
        default = cache.folder() / "prepared" / f"{self.dataset.name}-{self.dataset.fingerprint}"
        return pathlib.Path(self.options.out).expanduser() if self.options.out else default

    @property
    def folder(self) -> pathlib.Path:
        """Where the records will lie, not there before all of them are."""
        return self.out / self.dataset.name / VERSION

    @property
    def staging(self) -> pathlib.Path:
        """Where finished files wait for the others; another dataset has another one."""
        views = [view.id for view in self.dataset.views]
        parts = self.dataset.fingerprint, self.options.intensity, self.options.per_shard, views
        return self.folder.parent / f".staging-{VERSION}-{cache.key(*parts)}"


def size(count: float) -> str:
    """Bytes for people.

    >>> size(61234567890), size(512)
    ('61.2 GB', '0.5 kB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def plan(dataset: cases.Dataset, described: about.About, options: Options) -> Plan:
    """What preparing the dataset will write and need; a few of its views are read for it.

    Raises:
        cases.MammoError: fewer than one worker or record a file.
        cases.DataError: no view, two of one id, or no place for the records.
    """
    if options.workers < 1 or options.per_shard < 1:
        found = f"{options.workers} and {options.per_shard}"
        raise cases.MammoError(f"prepare: workers and records a file are at least 1, found {found}")
    if not dataset.views:
        raise cases.DataError(dataset.root, "holds no view to prepare")
    ids = sorted(view.id for view in dataset.views)
    if twice := [one for one, other in itertools.pairwise(ids) if one == other]:
        raise cases.DataError(dataset.root, f"{len(twice)} id(s) stand for two views each: {twice[0]}, ...")
    bare = Plan(dataset, described, options)
    try:
        return dataclasses.replace(bare, need=_need(bare))
    except OSError as error:  # not of a view: those are counted as they come
        raise cases.DataError(bare.out, f"cannot be written: {error.strerror or error}") from None


def shards(dataset: cases.Dataset, per_shard: int) -> tuple[Shard, ...]:
    """The files of a prepared dataset, split by split, views in the dataset's order."""
    found = []
    for split in ("train", "test", UNASSIGNED):
        views = [view for view in dataset.views if part(view) == split]
        total = math.ceil(len(views) / per_shard)
        starts = enumerate(range(0, len(views), per_shard))
        found += [Shard(split, number, total, tuple(views[i : i + per_shard])) for number, i in starts]
    return tuple(found)


def part(view: cases.View) -> str:
    """The official part of a view: that of its lesions, `UNASSIGNED` where they have none or several."""
    parts = {lesion.part for lesion in view.lesions}
    return parts.pop() if parts in ({"train"}, {"test"}) else UNASSIGNED


def encode(pixels: np.ndarray) -> bytes:
    """Pixels (H, W) uint8 or uint16 as a PNG of 16 bits, losslessly; 5 to 9 times faster than TensorFlow does it."""
    return cv2.imencode(".png", np.asarray(pixels, np.uint16))[1].tobytes()


def finished(sidecar: pathlib.Path) -> dict[str, Any] | None:
    """What stands beside a staged file: `rows`, `records`, `bytes`; None if not whole, or something unreadable."""
    try:
        facts = json.loads(sidecar.read_text())
        whole = sidecar.with_suffix("").stat().st_size == facts["bytes"]
    except (OSError, ValueError):
        return None
    return facts if whole and not any(prepared_index.faults(row) for row in facts["rows"]) else None


def staged(folder: pathlib.Path) -> list[dict[str, Any]]:
    """What an earlier start has finished, as `finished` gives it."""
    return [facts for path in folder.glob("*.json") if (facts := finished(path))]


def _need(bare: Plan) -> Need:
    """Sizes of PNGs go with the sizes of the image files, however those are compressed."""
    views = bare.dataset.views
    sizes = [_size(view) for view in views]
    sampled, stored, encoded, seconds = 0, 0, 0, 0.0
    for i in sorted({round(i) for i in np.linspace(0, len(views) - 1, SAMPLES)}):
        started = time.perf_counter()
        pixels = prepared_index.attempt(views[i].pixels, views[i].path)
        if isinstance(pixels, np.ndarray):
            encoded += len(encode(pixels))
            seconds += time.perf_counter() - started
            sampled, stored = sampled + 1, stored + sizes[i]
    whole = sum(sizes) * encoded / stored if stored else len(views) * encoded / max(sampled, 1)
    there = staged(bare.staging)
    left = len(views) - sum(len(facts["rows"]) for facts in there)
    return Need(
        bytes=math.ceil(whole * _MARGIN) + _BESIDE * len(views),
        staged=sum(facts["bytes"] for facts in there),
        free=shutil.disk_usage(next(path for path in (bare.out, *bare.out.absolute().parents) if path.is_dir())).free,
        seconds=seconds / max(sampled, 1) * left / min(bare.options.workers, os.cpu_count() or 1),
    )


def _size(view: cases.View) -> int:
    try:
        return pathlib.Path(view.path).stat().st_size if view.path else 0
    except OSError:
        return 0
