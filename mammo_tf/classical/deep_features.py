"""Images to feature vectors: what a net cut at a layer gives, pooled or flattened, of one view or of several.

"Low Resource Breast Cancer Detection with Mammograms", section 3.2: features of ResNet50 (2048, pooled) and of the
nets of Wu et al. (4096 = 4 x 4 x 256, flattened; such a map comes of inputs of 203 to 266 pixels, a tenth of the
native size, so `Sized` takes the image down first). "NYU Avg" is the mean of several nets' features: `nets` names
several. Its accuracies too are whole numbers of 136 images, a third of 410, so it is a mean over nets for each image;
the mean over the views of a patient is the other reading, and is taken where an example has several views.

Nothing here knows how a net is cut, loaded or compiled: a net comes as a callable of images, with a digest of its
weights. Features of a view are computed once a process and kept by content: of pixels, net and treatment. Batches
are filled up to one size, so that a view's features do not hang on which others came with it.

    measure = DeepFeatures((resnet50,), image, pooled)(context)     # resnet50: context -> Net
    measure(examples)                                               # (N, 2048) float32
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from mammo_tf import cache, cases, describe

ALGORITHM_VERSION = 1

Image = Callable[[cases.View], np.ndarray]
FOUR_VIEWS = tuple((side, projection) for projection in ("CC", "MLO") for side in ("LEFT", "RIGHT"))
_DIGESTS: dict[int, tuple[weakref.ref, str]] = {}


@dataclasses.dataclass(frozen=True, eq=False)
class Net:
    """A net up to the layer where it is cut, in inference mode.

    Attributes:
        score: images (B, H, W, C) float32 -> feature maps (B, h, w, K) or vectors (B, K), anything numpy reads.
        digest: of its weights and of where it is cut; nets with the same digest give the same features.
    """

    score: Callable[[np.ndarray], Any]
    digest: str


def pooled(maps: np.ndarray) -> np.ndarray:
    """Feature maps (B, h, w, K) -> means over all places (B, K); vectors (B, K) stay.

    >>> pooled(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]])
    """
    return maps.mean(axis=tuple(range(1, maps.ndim - 1)))


def flattened(maps: np.ndarray) -> np.ndarray:
    """Feature maps (B, h, w, K) -> all their values (B, h w K), row by row, the K of a place side by side."""
    return maps.reshape(len(maps), -1)


@dataclasses.dataclass(frozen=True)
class Sized:
    """An image brought to another size, areas averaged where it shrinks: a smaller one than the net's native size.

    What `image` normalises by (mean, deviation) is that of the native image.

    Attributes:
        image: view -> (H, W, C) float32, ready for the net.
        shape: (height, width).
    """

    image: Image
    shape: tuple[int, int]

    def __call__(self, view: cases.View) -> np.ndarray:
        """(height, width, C) float32."""
        found = np.asarray(self.image(view), np.float32)
        height, width = self.shape
        shrinks = height <= found.shape[0] and width <= found.shape[1]
        rule = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(found, (width, height), interpolation=rule).reshape(height, width, found.shape[2])


@dataclasses.dataclass(frozen=True)
class DeepFeatures:
    """How views become features; a function of the context, since that holds the weights.

    Attributes:
        nets: context -> `Net`; the features are the mean over several.
        image: view -> (H, W, C) float32 as the nets take it: cropped, turned, normalised, native or `Sized`.
        pool: maps (B, h, w, K) -> (B, F).
        batch: images at a time; part of what is kept, as sums may round otherwise in another.
        views: (side, projection) pairs that an example should have; those missing are named and the mean is over the
            others. Empty where any will do.
    """

    nets: tuple[Callable[[cases.Context], Net], ...]
    image: Image
    pool: Callable[[np.ndarray], np.ndarray] = pooled
    batch: int = 8
    views: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
        if not self.nets or self.batch < 1:
            raise cases.MammoError(f"deep features: {len(self.nets)} nets, batch {self.batch}; expected 1 or more")

    def __call__(self, context: cases.Context) -> Measured:
        """The features with the nets' weights of this context."""
        return Measured(self, tuple(net(context) for net in self.nets))


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Nets at hand, a function of examples.

    Attributes:
        how: what is done.
        nets: to be averaged over.
        found: what was missing of the examples measured so far.
    """

    how: DeepFeatures
    nets: tuple[Net, ...]
    found: list[cases.Problem] = dataclasses.field(default_factory=list)

    @property
    def problems(self) -> tuple[cases.Problem, ...]:
        """Views that an example lacks, each once; the example was not dropped."""
        return tuple(dict.fromkeys(self.found))

    def __call__(self, examples: Sequence[cases.Example]) -> np.ndarray:
        """Features (N, F) float32, the mean over the nets and over the views of each example.

        Raises:
            DataError: a file cannot be read.
            MammoError: no examples or one without views, or features of several lengths (a flattened map of images
                of several sizes).
        """
        empty = [example.id for example in examples if not example.views]
        if empty or not len(examples):
            raise cases.MammoError(f"deep features: {len(examples)} examples, without views: {empty[:3]}")
        self.found.extend(problem for example in examples for problem in self._missing(example))
        views = [view for example in examples for view in example.views]
        rows = np.mean([self._of_net(net, views) for net in self.nets], axis=0, dtype=np.float32)
        ends = np.cumsum([len(example.views) for example in examples])[:-1]
        return np.stack([part.mean(axis=0) for part in np.split(rows, ends)])

    def _missing(self, example: cases.Example) -> list[cases.Problem]:
        have = [(str(view.side), str(view.projection)) for view in example.views]
        lacking = [" ".join(pair) for pair in self.how.views if pair not in have]
        there = f"the mean is over the {len(have)} there"
        return [cases.Problem(example.id, f"has no {', no '.join(lacking)}; {there}", "missing")] if lacking else []

    def _of_net(self, net: Net, views: Sequence[cases.View]) -> np.ndarray:
        """Features (views, F) of one net, from memory where they are known."""
        how = describe.digest(self.how.image, self.how.pool, self.how.batch)
        keys = [("deep features", net.digest, how, content(view)) for view in views]
        todo = list(dict(zip(keys, views, strict=True)).items())
        batches = _Batches(net, self.how, todo)
        rows = {
            key: cache.remembered(key, functools.partial(batches.row, place)) for place, (key, _) in enumerate(todo)
        }
        lengths = {len(row) for row in rows.values()}
        if len(lengths) > 1:
            raise cases.MammoError(
                f"deep features: views give {', '.join(map(str, sorted(lengths)))} features; `pooled` and `Sized` "
                "make them as many"
            )
        return np.stack([rows[key] for key in keys])


class _Batches:
    """Features of views that are not in memory, computed a batch at a time when the first of it is asked for."""

    def __init__(self, net: Net, how: DeepFeatures, todo: Sequence[tuple[Any, cases.View]]):
        self.net, self.how, self.todo = net, how, todo
        self.ready: dict[int, np.ndarray] = {}

    def row(self, place: int) -> np.ndarray:
        """The features (F,) of the view at a place."""
        if place not in self.ready:
            self.ready = self._computed(place)
        return self.ready[place]

    def _computed(self, place: int) -> dict[int, np.ndarray]:
        """Of this view and those that follow, as many as a batch holds and as have its size."""
        images: dict[int, np.ndarray] = {}
        for at in range(place, min(place + self.how.batch, len(self.todo))):
            image = np.asarray(self.how.image(self.todo[at][1]), np.float32)
            if images and image.shape != images[place].shape:
                break
            images[at] = image
        full = np.zeros((self.how.batch, *images[place].shape), np.float32)
        full[: len(images)] = list(images.values())
        rows = self.how.pool(np.asarray(self.net.score(full), np.float32))
        if rows.ndim != 2 or len(rows) != len(full):
            raise cases.MammoError(f"deep features: {rows.shape} of {len(full)} images; expected one row for each")
        return {at: rows[i].copy() for i, at in enumerate(images)}


def content(view: cases.View) -> str:
    """Digest of a view's pixels and of what an image may depend on besides: side, projection, white, spacing.

    It is kept as long as the view is, so that a view is decoded for it once.

    Raises:
        DataError: the pixels cannot be read.
    """
    known = _DIGESTS.get(id(view))
    if known and known[0]() is view:
        return known[1]
    pixels = view.pixels()
    about = (str(view.side), str(view.projection), view.max_value, view.spacing_mm, str(pixels.dtype), pixels.shape)
    found = hashlib.sha256(repr(about).encode())
    found.update(np.ascontiguousarray(pixels).data)
    _DIGESTS[id(view)] = (weakref.ref(view, functools.partial(_forget, id(view))), found.hexdigest())
    return found.hexdigest()


def _forget(place: int, _: weakref.ref) -> None:
    _DIGESTS.pop(place, None)
