"""A checkpoint: all that decides how a training goes on, in one file, written so that a kill never costs the old one.

The Keras formats lose the states of seed generators (dropout), so the variables are saved here by position: weights
and seed states of the model, variables of the optimizer, the best weights so far, and the history as JSON. The file
is a plain `.npz` without pickled objects, written under a temporary name, flushed to the disk, then renamed.

    save(folder / NAME, Checkpoint(identity, epoch, best_epoch, history, values(model.variables), ...))
    load(folder / NAME, identity)
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mammo_tf import cases

NAME = "checkpoint.npz"
_FORMAT = 1
_GROUPS = ("model", "optimizer", "best")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state after a whole epoch.

    Attributes:
        identity: what the training is made of, as text by field; a checkpoint of another training is refused.
        epoch: epochs done.
        best_epoch: the epoch that the selection rule prefers so far, 1-based.
        history: one row an epoch.
        model, optimizer: values of the variables, in the order of `model.variables` and `optimizer.variables`.
        best: values of the model's variables after `best_epoch`; empty when that is `epoch`.
    """

    identity: Mapping[str, str]
    epoch: int
    best_epoch: int
    history: Sequence[Mapping[str, float]]
    model: Sequence[np.ndarray]
    optimizer: Sequence[np.ndarray]
    best: Sequence[np.ndarray] = ()


def values(variables: Sequence[Any]) -> list[np.ndarray]:
    """The values of Keras variables, copied. `model.variables` holds weights and seed states, no metrics."""
    return [np.array(variable.value.numpy()) for variable in variables]


def assign(variables: Sequence[Any], saved: Sequence[np.ndarray], what: str) -> None:
    """Puts saved values back; an optimizer must have been built before, or it has no variables yet.

    Raises:
        MammoError: number or shape of the variables differ.
    """
    if len(variables) != len(saved):
        raise cases.MammoError(f"checkpoint: {what} has {len(saved)} variables there, {len(variables)} here")
    for variable, value in zip(variables, saved, strict=True):
        if tuple(variable.shape) != value.shape:
            raise cases.MammoError(
                f"checkpoint: {what}, {variable.path}: {value.shape} there, {tuple(variable.shape)} here"
            )
    for variable, value in zip(variables, saved, strict=True):
        variable.assign(value)


def make_folder(folder: Path) -> None:
    """Makes the folder and proves that a file can be written there, before images are loaded and hours are spent.

    Raises:
        DataError: it cannot be made or written.
    """
    probe = folder / f".{NAME}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise cases.DataError(folder, f"the folder for checkpoints cannot be written ({error.strerror})") from error


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint; the old one stays whole until the new one is.

    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    arrays = {f"{group}/{i}": value for group in _GROUPS for i, value in enumerate(getattr(checkpoint, group))}
    facts = {
        field.name: getattr(checkpoint, field.name)
        for field in dataclasses.fields(checkpoint)
        if field.name not in _GROUPS
    }
    text = json.dumps({"format": _FORMAT, **facts, "identity": dict(checkpoint.identity)})
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, facts=np.frombuffer(text.encode(), np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - the atomic step, by its usual name
        _sync_folder(path.parent)
    except OSError as error:
        raise cases.DataError(path, f"the checkpoint cannot be written ({error.strerror})") from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path: Path, identity: Mapping[str, str]) -> Checkpoint:
    """Reads a checkpoint of the training that `identity` describes.

    Raises:
        DataError: the file is damaged, or it belongs to another training (the message names the fields that differ).
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            facts = json.loads(stored["facts"].tobytes())
            groups = {group: _group(stored, group) for group in _GROUPS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise cases.DataError(path, f"not a readable checkpoint ({error})") from error
    if facts.pop("format", None) != _FORMAT:
        raise cases.DataError(path, f"expected a checkpoint of format {_FORMAT}")
    _refuse_stranger(path, facts["identity"], identity)
    return Checkpoint(**facts, **groups)


def _group(stored: Mapping[str, np.ndarray], name: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{name}/") for key in stored)
    return [stored[f"{name}/{i}"] for i in range(count)]


def _refuse_stranger(path: Path, there: Mapping[str, str], here: Mapping[str, str]) -> None:
    differing = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    if differing:
        both = "; ".join(f"{key}: {_cut(there.get(key))} there, {_cut(here.get(key))} here" for key in differing)
        raise cases.DataError(path, f"the checkpoint belongs to another training, start without resume ({both})")


def _cut(text: str | None) -> str:
    return text if text is None or len(text) <= 200 else f"{text[:200]}..."
