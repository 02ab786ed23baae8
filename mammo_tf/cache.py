"""One folder for what is costly to make and cheap to keep, safe against two processes and against a kill.

An entry is a folder named by a key made of its content's recipe. It is filled under a temporary name beside its place
and then renamed in one step, so that a half-made entry is never seen; of two processes that make one the first wins.

    folder = cache.get("phantom-" + cache.key(spec), functools.partial(write_phantom, spec))
"""

from __future__ import annotations

import collections
import dataclasses
import errno
import os
import pathlib
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
import platformdirs

from mammo_tf import cases, describe

VARIABLE = "MAMMO_TF_CACHE"
STALE_HOURS = 24.0
_TEMPORARY = ".making-"
MEMORY_BYTES = 512 * 2**20
_MEMORY: collections.OrderedDict[Hashable, np.ndarray] = collections.OrderedDict()
_MAKING: dict[Hashable, Any] = {}  # a lock for each array that is being made
_LOCK = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry: its key, the bytes of its files, and when it was made (seconds since the epoch)."""

    key: str
    bytes: int
    modified: float


def folder() -> pathlib.Path:
    """The cache folder: the variable MAMMO_TF_CACHE, else the platform's own; it need not exist yet."""
    named = os.environ.get(VARIABLE, "").strip()
    return pathlib.Path(named).expanduser() if named else pathlib.Path(platformdirs.user_cache_dir("mammo_tf"))


def key(*parts: Any) -> str:
    """16 hexadecimal digits for the parts: whatever `describe.describe` takes.

    >>> key("a", 1) == key("a", 1), key("a", 1) == key("a", 2)
    (True, False)
    """
    return describe.digest(*parts)


def get(key: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """The folder of an entry, made by `make(folder)` if it is not there yet.

    Args:
        key: letters, digits, "_", "-" and "."; not starting with ".".
        make: fills the empty folder that it is given; what it raises is passed on and nothing is kept.

    Raises:
        cases.MammoError: the cache folder cannot be written, or its disk is full.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", key):
        raise ValueError(f"cache key {key!r}: only letters, digits, '_', '-' and inner '.'")
    target = folder() / key
    if target.is_dir():
        return target
    temporary = _temporary(key)
    try:
        _fill(temporary, make)
        return _publish(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(key: str) -> pathlib.Path:
    root = folder()
    temporary = root / f"{_TEMPORARY}{key}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise _unwritable(root, error) from None
    _sweep(root)
    return temporary


def _fill(temporary: pathlib.Path, make: Callable[[pathlib.Path], None]) -> None:
    try:
        make(temporary)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EROFS):
            raise _unwritable(temporary.parent, error) from None
        raise


def _publish(temporary: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    try:
        temporary.rename(target)
    except OSError as error:
        if not target.is_dir():
            raise _unwritable(target.parent, error) from None
    return target  # where the rename failed, another process was first: its entry is as good


def _unwritable(root: pathlib.Path, error: OSError) -> cases.MammoError:
    reason = error.strerror or error
    return cases.MammoError(f"{root}: the cache cannot be written ({reason}); set {VARIABLE} to a folder that can be")


def _sweep(root: pathlib.Path) -> None:
    """Removes what a kill left: temporary folders in which nothing has been written for `STALE_HOURS`."""
    oldest = time.time() - 3600 * STALE_HOURS
    for path in root.glob(f"{_TEMPORARY}*"):
        if max(_times(path), default=oldest) < oldest:
            shutil.rmtree(path, ignore_errors=True)


def _times(path: pathlib.Path) -> Iterator[float]:
    for one in (path, *path.rglob("*")):
        try:
            yield one.stat().st_mtime
        except OSError:  # removed meanwhile by its own process
            continue


def entries() -> list[Entry]:
    """Every finished entry, sorted by key; an empty list where there is no cache yet."""
    root = folder()
    found = [p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")] if root.is_dir() else []
    return [Entry(path.name, _bytes(path), path.stat().st_mtime) for path in sorted(found)]


def _bytes(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def clear(key: str | None = None) -> None:
    """Removes one entry, or every entry; an entry that is not there is no fault.

    Raises:
        cases.MammoError: the cache folder cannot be written.
    """
    root = folder()
    for entry in entries():
        if key not in (None, entry.key):
            continue
        doomed = root / f"{_TEMPORARY}cleared-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            (root / entry.key).rename(doomed)  # gone in one step: nobody reads a half-removed entry
            shutil.rmtree(doomed)
        except OSError as error:
            raise _unwritable(root, error) from None


def remembered(key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `make` gives for a key, made once and kept in memory, read-only; other threads wait for it.

    The arrays of a process take at most MEMORY_BYTES; those unused for longest go first, and one that is larger alone
    is not kept. What `make` raises is passed on, and nothing is kept.
    """
    with _LOCK:
        making = _MAKING.setdefault(key, threading.RLock())
    try:
        with making:
            found = _found(key)
            return _kept(key, make) if found is None else found
    finally:
        with _LOCK:
            _MAKING.pop(key, None)


def _found(key: Hashable) -> np.ndarray | None:
    with _LOCK:
        if key in _MEMORY:
            _MEMORY.move_to_end(key)
        return _MEMORY.get(key)


def _kept(key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
    array = np.asarray(make())
    array.setflags(write=False)
    if array.nbytes > MEMORY_BYTES:
        return array
    with _LOCK:
        _MEMORY[key] = array
        taken = sum(kept.nbytes for kept in _MEMORY.values())
        while taken > MEMORY_BYTES:
            taken -= _MEMORY.popitem(last=False)[1].nbytes
    return array
