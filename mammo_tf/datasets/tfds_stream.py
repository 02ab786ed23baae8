"""Pixels of a prepared dataset, by the number of their record, read with `tensorflow_datasets.load`.

A tfrecord file is read from its start on, so records are read by windows, the size of a file: what lies between the
last one asked for and the next is read past and kept for a while, and a few windows stay open. Crops of one view that
follow each other are served from what was decoded last. TensorFlow is loaded when the first pixel is asked for.

    split = tfds_stream.Split("out/mini_mias/1.0.0", "mini_mias", "unassigned", 322, "0123456789abcdef")
    pixels = tfds_stream.Record(split, 0, "mdb001", (1024, 1024), "uint8")()       # (1024, 1024) uint8
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from mammo_tf import cases

WINDOW = 16  # records
_OPEN = 32  # windows
_KEPT_BYTES = 2**28  # of encoded records, and as many of decoded images
_LOCK = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Split:
    """Where records lie, how many, and of which state of the dataset."""

    folder: str
    name: str
    split: str
    count: int
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class Record:
    """A loader of one view; it can be pickled."""

    split: Split
    index: int
    id: str
    shape: tuple[int, int]
    dtype: str = "uint16"

    def __call__(self) -> np.ndarray:
        """The pixels, of `shape` and `dtype`, read-only.

        Raises:
            cases.DataError: the records are gone, damaged, or others than the index says.
        """
        with _LOCK:
            stream = _stream(self.split)
        return stream.pixels(self)


class Recent:
    """The values put in last, up to a number of bytes, but at least one."""

    def __init__(self, limit: int):
        self._limit, self._held = limit, 0
        self._values: collections.OrderedDict[Any, tuple[Any, int]] = collections.OrderedDict()

    def get(self, key: Any) -> Any:
        """The value, None where it is not there (any more)."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: Any, value: Any, size: int) -> None:
        self.drop(key)
        self._values[key], self._held = (value, size), self._held + size
        while self._held > self._limit and len(self._values) > 1:
            self.drop(next(iter(self._values)))

    def drop(self, key: Any) -> None:
        self._held -= self._values.pop(key, (None, 0))[1]


@dataclasses.dataclass
class _Window:
    """Records from `first` on, `next` the number of the one that its iterator gives next."""

    records: Any
    first: int
    iterator: Any = None
    next: int = 0

    def read(self, index: int) -> Iterator[tuple[int, tuple[str, bytes]]]:
        """The records up to one, from where the last reading ended if that lies before it: number, (id, PNG)."""
        if self.iterator is None or index < self.next:
            self.iterator, self.next = self.records.as_numpy_iterator(), self.first
        while self.next <= index:
            found = next(self.iterator, None)
            if found is None:
                raise EOFError("the records end before it")
            self.next += 1
            yield self.next - 1, (found["id"].decode(), found["image"])


class Stream:
    """The records of one split, for any number of threads."""

    def __init__(self, split: Split):
        self._split, self._folder = split, pathlib.Path(split.folder)
        self._records, self._images, self._windows = Recent(_KEPT_BYTES), Recent(_KEPT_BYTES), Recent(_OPEN)
        self._reading, self._keeping = threading.Lock(), threading.Lock()
        self.read = 0  # records, to be seen by tests

    def pixels(self, wanted: Record) -> np.ndarray:
        """As `Record.__call__`; several threads that want one image at once decode it once."""
        with self._keeping:
            future = self._images.get(wanted)
            first = future is None
            if first:
                future = concurrent.futures.Future()
                size = wanted.shape[0] * wanted.shape[1] * np.dtype(wanted.dtype).itemsize
                self._images.put(wanted, future, size)
        if first:
            try:
                future.set_result(self._decoded(wanted))
            except BaseException as error:
                with self._keeping:
                    self._images.drop(wanted)
                future.set_exception(error)
        return future.result()

    def _decoded(self, wanted: Record) -> np.ndarray:
        """Decoding is done outside of every lock: it is what takes the time."""
        with self._reading:
            id, png = self._records.get(wanted.index) or self._advance(wanted.index)
        if id != wanted.id:
            raise self._fault(f"record {wanted.index} of {self._split.split} is {id}, the index says {wanted.id}")
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        found = None if image is None else (image.shape, image.dtype.name)
        if found != (wanted.shape, "uint16"):
            raise self._fault(f"{id}: expected a PNG of {wanted.shape} and 16 bits, found {found}")
        image = image.astype(wanted.dtype, copy=False)
        image.flags.writeable = False  # it is handed out more than once
        return image

    def _advance(self, index: int) -> tuple[str, bytes]:
        """The record (id, PNG); those read past on the way to it are kept."""
        import tensorflow as tf

        first = index - index % WINDOW
        try:
            window = self._windows.get(first)
            if window is None:
                window = _Window(self._load(first), first)
                self._windows.put(first, window, 1)
            for number, record in window.read(index):
                self._records.put(number, record, len(record[1]))
                self.read += 1
        except (tf.errors.OpError, OSError, EOFError) as error:
            self._windows.drop(first)
            what = getattr(error, "message", error)
            raise self._fault(f"record {index} of {self._split.split}, {self._split.count} in all: {what}") from None
        return record

    def _load(self, first: int) -> Any:
        import tensorflow as tf
        import tensorflow_datasets as tfds

        if not (self._folder / "dataset_info.json").is_file():
            raise FileNotFoundError("the prepared dataset is gone")
        after = min(first + WINDOW, self._split.count)
        with tf.device("CPU:0"):
            return tfds.load(
                f"{self._split.name}:{self._folder.name}",
                data_dir=str(self._folder.parent.parent),
                split=tfds.core.ReadInstruction(self._split.split, from_=first, to=after, unit="abs"),
                download=False,
                decoders={"image": tfds.decode.SkipDecoding()},
                read_config=tfds.ReadConfig(skip_prefetch=True, num_parallel_calls_for_decode=1),
            )

    def _fault(self, reason: str) -> cases.DataError:
        return cases.DataError(self._folder, f"{reason}; remove the folder and prepare the dataset again")


@functools.lru_cache(maxsize=8)
def _stream(split: Split) -> Stream:
    return Stream(split)
