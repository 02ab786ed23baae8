"""A run's certificate: what stood in which part, what the method was given, what was chosen where; with a hash.

It is measured on the parts as they were learned from and scored, by `run`, and kept in the record. A method sees
nothing but what it is given, so statistics, features and thresholds can come from nowhere else. Which part chose the
epoch and the threshold is what the record's rules say.

    certificate = certificates.issue(record, parts, given=("train", "val"))
    certificates.matches(dataclasses.replace(record, certificate=certificate))     # True, until somebody edits it
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mammo_tf import cases, records
from mammo_tf.audit import parts_of

MADE = re.compile(r"(\+\d+|@test)$")  # ends the id of a copy, and of an image that is tested on and learned from


def _breasts(example: cases.Example) -> Iterable[str]:
    return {f"{view.patient_id} {view.side.value}" for view in example.views if view.side}


def _images(example: cases.Example) -> Iterable[str]:
    return {MADE.sub("", view.path or view.id) for view in example.views}


KINDS: Mapping[str, Callable[[cases.Example], Iterable[str]]] = {
    "patients": lambda example: (example.patient_id,),
    "breasts": _breasts,
    "images": _images,
    "ROIs": lambda example: (example.roi_id,) if example.roi_id else (),
}


def issue(
    record: records.Record, parts: Sequence[cases.Splits], given: Sequence[str], watched: Sequence[str] = ()
) -> dict[str, Any]:
    """The certificate of a run that has ended.

    Args:
        record: of the run.
        parts: of each of its splits, as learned from and scored.
        given: the parts that the method got to fit on.
        watched: those that it got to score after every epoch.

    Returns:
        parts: part -> examples and digest of their ids, over all splits. shared: pair of parts -> how many patients,
        breasts, images and ROIs stand in both, in the split that has most. copies, learned: images of the reported
        part that are altered copies, and that were learned from. given: what the method got to fit on. chosen: which
        part chose the epoch and the threshold (None for nothing). hash: of all this and of the record, but for what
        repeating it may change (`Record.stable`).
    """
    reported = [example for split in parts for example in parts_of(split)[record.reported]]
    found = {
        "parts": {name: _part(parts, name) for name in ("train", "val", "test")},
        "shared": {f"{a} and {b}": shared(parts, a, b) for a, b in itertools.combinations(parts_of(parts[0]), 2)},
        "copies": sum(_made(example, "+") for example in reported),
        "learned": sum(_made(example, "@") for example in reported),
        "given": list(given),
        "watched": list(watched),
        "chosen": _chosen(record, parts),
    }
    return {**found, "hash": _hash(record, found)}


def signed(record: records.Record) -> records.Record:
    """The record whose certificate's hash is that of what both say now."""
    told = {key: value for key, value in record.certificate.items() if key != "hash"}
    return dataclasses.replace(record, certificate={**told, "hash": _hash(record, told)})


def matches(record: records.Record) -> bool:
    """Whether the certificate is that of the record: its hash is that of what both say."""
    told = {key: value for key, value in record.certificate.items() if key != "hash"}
    return record.certificate.get("hash") == _hash(record, told)


def shared(parts: Sequence[cases.Splits], one: str, other: str) -> dict[str, int]:
    """How many patients, breasts, images and ROIs stand in both parts, in the split that has most of each."""
    counts = {}
    for kind, names in KINDS.items():
        each = []
        for split in parts:
            sides = [{name for e in parts_of(split)[part] for name in names(e)} for part in (one, other)]
            each.append(len(sides[0] & sides[1]))
        counts[kind] = max(each)
    return counts


def digest(ids: Sequence[Iterable[str]]) -> str:
    """Of the ids of a part, split by split, whatever their order."""
    return records.hash8([sorted(map(str, some)) for some in ids])


def _part(parts: Sequence[cases.Splits], name: str) -> dict[str, Any]:
    ids = [[example.id for example in parts_of(split)[name]] for split in parts]
    return {"examples": sum(map(len, ids)), "digest": digest(ids)}


def _made(example: cases.Example, mark: str) -> bool:
    found = MADE.search(example.id)
    return bool(found) and found[0].startswith(mark)


def _chosen(record: records.Record, parts: Sequence[cases.Splits]) -> dict[str, str | None]:
    validated = bool(parts[0].val)
    epoch = validated and record.selection not in ("last_epoch", "none")
    threshold = validated and bool(record.tuned) and record.threshold_rule != "fixed"
    return {"epoch": "val" if epoch else None, "threshold": "val" if threshold else None}


def _hash(record: records.Record, told: Mapping[str, Any]) -> str:
    said = {name: value for name, value in record.stable().items() if name != "certificate"}
    return records.hash8(records.plain(told), said)
