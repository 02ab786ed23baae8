"""One tensorflow-datasets builder over any reader: 16-bit PNG, patients, lesions, official splits, label policies.

Loading this module loads tensorflow-datasets: import it inside functions.

A record holds the view's `image` (uint16; the values of an 8-bit view as they are, `dtype` says so), whose it is, its
`attributes` and those of each of its `lesions` as JSON, `labels` by policy (NaN unknown), and each lesion's `box`
(top, left, bottom, right; zeros without a region), `outline` (JSON of a disc or polygon) or `mask` (PNG of the box).
Nothing is shuffled: the k-th record of a split is found by k.

Files are written by threads, each under a name of its own, read back, counted and renamed; a later start takes those
that are finished. Apache Beam is not used: in threads it has lost an example without a word.

    tfds.Mammograms(plan).download_and_prepare()
    tensorflow_datasets.load("cbis_ddsm:1.0.0", data_dir=plan.out, split="train")
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from mammo_tf import cases, labels
from mammo_tf.datasets import prepared_index, prepared_plan

POLICIES = (labels.pathology, labels.birads_4_up, labels.birads_4_up_drop_3, labels.mias_severity)
Progress = Callable[[int, int], None]


def features() -> tfds.features.FeaturesDict:
    """The features of a record."""
    text, of_policy = tfds.features.Text(), {policy.name: np.float32 for policy in POLICIES}
    shared = {"id": text, "part": text, "attributes": text, "labels": of_policy}
    lesion = {
        **shared,
        "pathology": text,
        "kind": text,
        "box": tfds.features.Tensor(shape=(4,), dtype=np.int32),
        "outline": text,
        "mask": tfds.features.Tensor(shape=(), dtype=np.object_),
    }
    return tfds.features.FeaturesDict(
        {
            **shared,
            "image": tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png"),
            "patient_id": text,
            "side": text,
            "projection": text,
            "max_value": np.int64,
            "dtype": text,
            "spacing_mm": np.float32,
            "lossy": np.bool_,
            "lesions": tfds.features.Sequence(lesion),
        }
    )


def example(view: cases.View, row: Mapping[str, Any], png: bytes) -> dict[str, Any]:
    """A view as a record: its row of the index (`prepared_index.row`) and its pixels as a PNG."""
    names = ("id", "patient_id", "projection", "max_value", "dtype", "lossy")
    return {name: row[name] for name in names} | {
        "image": png,
        "side": row["side"] or "",
        "part": prepared_plan.part(view),
        "spacing_mm": np.nan if row["spacing_mm"] is None else row["spacing_mm"],
        "attributes": json.dumps(row["attributes"]),
        "labels": {policy.name: policy.view(view) for policy in POLICIES},
        "lesions": [_lesion(*pair) for pair in zip(view.lesions, row["lesions"], strict=True)],
    }


def _lesion(lesion: cases.Lesion, row: Mapping[str, Any]) -> dict[str, Any]:
    region = row["region"] or {}
    rebuilt = prepared_index.region(region) if region and "fault" not in region else None
    mask = rebuilt.load if "png" in region else None
    box = (mask.box if mask else rebuilt.bounds() if rebuilt else None) or (0, 0, 0, 0)
    return {name: row[name] for name in ("id", "pathology", "kind")} | {
        "part": row["part"] or "",
        "attributes": json.dumps(row["attributes"]),
        "labels": {policy.name: policy.lesion(lesion) for policy in POLICIES},
        "box": box,
        "outline": json.dumps(region) if rebuilt and not mask else "",
        "mask": mask.png if mask else b"",
    }


class _Info(tfds.core.DatasetInfo):
    """Facts of a dataset of which no bucket knows anything: the original looks there, and leaves a folder in /tmp."""

    def initialize_from_bucket(self) -> None:
        return


class Mammograms(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Builds the records of a plan; its name is the dataset's, its version that of the format."""

    VERSION = tfds.core.Version(prepared_plan.VERSION)

    def __init__(self, plan: prepared_plan.Plan, progress: Progress | None = None):
        self.name, self._plan, self._progress = plan.dataset.name, plan, progress
        super().__init__(data_dir=plan.out)

    def _info(self) -> tfds.core.DatasetInfo:
        about = self._plan.about
        return _Info(
            builder=self,
            description="\n".join(filter(None, (about.title, about.where, about.terms))),
            citation=about.citation,
            features=features(),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list[_Reading]]:
        found: dict[str, list[_Reading]] = {}
        for shard in prepared_plan.shards(self._plan.dataset, self._plan.options.per_shard):
            found.setdefault(shard.split, []).append(_Reading(shard, self._plan))
        return found

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        """As the base class does it, but in threads, with files that an earlier start has finished.

        Raises:
            cases.DataError: a view cannot be read (`strict`), or a number does not come out.
        """
        by_split = self._shard_iterators_per_split(dl_manager)
        written = self._write([one for some in by_split.values() for one in some])
        rows: dict[str, dict[str, Any]] = {}
        infos = []
        for split, some in by_split.items():
            beside = [written[one.path] for one in some]
            rows |= _placed(split, [row for facts in beside for row in facts["rows"]])
            lengths, size = [facts["records"] for facts in beside], sum(facts["bytes"] for facts in beside)
            infos.append(tfds.core.SplitInfo(split, lengths, size, _template(self.data_dir, self.name, split)))
        self.info.set_splits(tfds.core.SplitDict(infos))
        self._finish([rows[view.id] for view in self._plan.dataset.views if view.id in rows])
        for path in written:  # last: what fails before leaves all of them to the next start
            path.replace(pathlib.Path(self.data_dir, path.name))

    def _write(self, readings: Sequence[_Reading]) -> dict[pathlib.Path, dict[str, Any]]:
        """File -> what stands beside its file; the threads leave off at the first error."""
        total, done = len(self._plan.dataset.views), 0
        pool = concurrent.futures.ThreadPoolExecutor(self._plan.options.workers)
        try:
            futures = {pool.submit(one.write, self.info.features): one.path for one in readings}
            for future in concurrent.futures.as_completed(futures):
                done += len(future.result()["rows"])
                if self._progress:
                    self._progress(done, total)
            return {path: future.result() for future, path in futures.items()}
        finally:
            pool.shutdown(cancel_futures=True)

    def _finish(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Asserts the count, writes the index and tensorflow-datasets' own metadata."""
        listed, readable = len(self._plan.dataset.views), len(prepared_index.good(rows))
        kept = self.info.splits.total_num_examples
        if listed != len(rows) or readable != kept:
            found = f"{listed} views listed, {len(rows)} seen, {readable} readable, {kept} in the records"
            raise cases.DataError(self._plan.folder, f"the count does not come out: {found}")
        if not kept:
            first = prepared_index.faults(rows[0])[0]
            raise cases.DataError(first.path, f"{first.reason} (none of the {listed} views can be read)")
        facts = prepared_index.header(self._plan.dataset, self._plan.options.intensity, rows)
        self.info.metadata.update(facts)
        pathlib.Path(self.data_dir, prepared_index.FILE).write_text(json.dumps(facts | {"views": rows}))


def _placed(split: str, rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """View id -> its row, with its split and, where it has a record, the number of that in the split."""
    placed = {row["id"]: row | {"split": split} for row in rows}
    for index, row in enumerate(prepared_index.good(rows)):
        placed[row["id"]]["index"] = index
    return placed


def _template(folder: str | os.PathLike[str], name: str, split: str) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
        data_dir=pathlib.Path(folder), dataset_name=name, split=split, filetype_suffix="tfrecord"
    )


class _Reading:
    """The reading of one shard, a generator of (key, example) for tensorflow-datasets."""

    def __init__(self, shard: prepared_plan.Shard, plan: prepared_plan.Plan):
        self.shard, self._plan = shard, plan
        template = _template(plan.staging, plan.dataset.name, shard.split)
        number = {"shard_index": shard.number, "num_shards": shard.total}
        self.path = pathlib.Path(template.sharded_filepath(**number))
        self._rows: list[dict[str, Any]] = []

    def __call__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The examples of the views that can be read; the others' faults are kept in their rows."""
        for key, view in enumerate(self.shard.views):
            found = prepared_index.attempt(view.pixels, view.path)
            row = prepared_index.row(view, found, self._plan.dataset.root)
            self._rows.append(row)
            if self._plan.options.strict and (faults := prepared_index.faults(row)):
                raise cases.DataError(faults[0].path, faults[0].reason)
            if isinstance(found, np.ndarray):
                yield key, example(view, row, prepared_plan.encode(found))

    def write(self, features: tfds.features.FeaturesDict) -> dict[str, Any]:
        """Writes the file and what stands beside it, unless an earlier start has done so."""
        beside = self.path.with_name(f"{self.path.name}.json")
        kept = prepared_plan.finished(beside)
        if kept and records_in(self.path) == kept["records"]:
            return kept
        self._rows.clear()
        temporary = self.path.with_name(f"{secrets.token_hex(8)}.tmp")
        encoded = ((key, features.serialize_example(one)) for key, one in self())
        try:
            tfds.core.ExampleWriter(tfds.core.FileFormat.TFRECORD).write(temporary, encoded)
            written, readable = records_in(temporary), len(prepared_index.good(self._rows))
            if written != readable:
                raise cases.DataError(temporary, f"{readable} views read, {written} records in the file")
            facts = {"rows": self._rows, "records": written, "bytes": temporary.stat().st_size}
            temporary.replace(self.path)
            temporary.write_text(json.dumps(facts))
            temporary.replace(beside)
        finally:
            temporary.unlink(missing_ok=True)  # a full disk needs the room
        return facts


def records_in(path: pathlib.Path) -> int:
    """The number of records that can be read back, their checksums tested; -1 for a damaged file."""
    try:
        return int(tf.data.TFRecordDataset([str(path)]).reduce(np.int64(0), _one_more).numpy())
    except tf.errors.DataLossError:
        return -1


@tf.autograph.experimental.do_not_convert
def _one_more(count: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
    return count + 1
