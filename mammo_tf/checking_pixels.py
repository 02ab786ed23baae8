"""What the pixels of a sample of views are like: sizes, bits, gray values, breast area, lesion sizes.

A few views tell whether a conversion went wrong (an inverted film, the wrong number of bits, a crop), and they are
read in threads, a few at a time, so that memory stays bounded whatever the size of the dataset.

    pixels, problems = checking_pixels.measure(checking_pixels.spread(dataset.views, 24))
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from mammo_tf import cases

MEAN_SHAPE = (1152, 896)  # rows and columns of Shen et al. (2019), doi:10.1038/s41598-019-48995-4
DARK = 0.05  # of the scale: what lies below is background
FAINT = 1 / 8
_WORKERS = min(4, os.cpu_count() or 1)
_COARSE = 8  # the breast is looked for on a copy this many times smaller
_MARGIN = 0.01  # of the longer side: Otsu's threshold eats the skin line


@dataclasses.dataclass(frozen=True)
class Gray:
    """Stored gray values of the sampled images of one number of bits, dark background at the low end.

    Attributes:
        bits: of the scale (12 means 0 to 4095).
        images: how many.
        minimum, low, median, high, maximum: over all their pixels; `low` is the 1 % quantile, `high` the 99 % one.
        faint: how many of them hold nothing above `FAINT` of the scale, as 12-bit values in a file of 16 bits would.
    """

    bits: int
    images: int
    minimum: int
    low: int
    median: int
    high: int
    maximum: int
    faint: int = 0


@dataclasses.dataclass(frozen=True)
class Range:
    """Least, middle and largest of `count` numbers."""

    low: float
    median: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        return cls(float(min(values)), float(np.median(values)), float(max(values)), len(values))


@dataclasses.dataclass(frozen=True)
class Pixels:
    """What a sample of views is like.

    Attributes:
        images: how many were measured.
        sizes: how many are of each (rows, columns), the most frequent first.
        spacings_mm: how many have each spacing; None stands for unknown.
        lossy: how many went through a lossy compression.
        gray: one for each number of bits.
        breast: share of the image that is breast.
        dark: share of the pixels below `DARK` of the scale.
        mean_8bit: mean over the images of their mean gray value, from 0 to 255, reduced to `MEAN_SHAPE`.
        mean_8bit_error: its standard error; NaN for one image.
        lesions_mm: longest side of the lesions' boxes, by kind.
        lesions_without_size: how many have no region, or lie in an image of unknown spacing.
    """

    images: int
    sizes: tuple[tuple[tuple[int, int], int], ...]
    spacings_mm: tuple[tuple[float | None, int], ...]
    lossy: int
    gray: tuple[Gray, ...]
    breast: Range
    dark: Range
    mean_8bit: float
    mean_8bit_error: float
    lesions_mm: dict[str, Range]
    lesions_without_size: int


@dataclasses.dataclass(frozen=True)
class _Measured:
    """One view; `histogram` counts its pixels by gray value."""

    view: cases.View
    shape: tuple[int, int]
    histogram: np.ndarray
    breast: float
    dark: float
    faint: bool
    mean_8bit: float
    lesions_mm: tuple[tuple[str, float | None], ...]


def spread(views: Sequence[cases.View], count: int | None) -> tuple[cases.View, ...]:
    """`count` of the views, evenly over their order, the first and the last among them; all of them for None.

    >>> spread("abcdefghi", 3), spread("ab", 3)
    (('a', 'e', 'i'), ('a', 'b'))
    """
    if count is None or count >= len(views):
        return tuple(views)
    return tuple(views[round(i)] for i in np.linspace(0, len(views) - 1, count))


def measure(views: Sequence[cases.View]) -> tuple[Pixels | None, dict[str, cases.Problem]]:
    """Reads the views and says what they are like; those that cannot be read, or whose lesions cannot, are problems.

    Returns:
        None where not one could be read, and the problems by the view's id.
    """
    measured, problems, histograms = [], {}, {}
    for view, one in zip(views, _in_threads(views), strict=True):
        if isinstance(one, cases.Problem):
            problems[view.id] = one
            continue
        bits = one.view.max_value.bit_length()
        histograms[bits] = histograms.get(bits, 0) + one.histogram
        measured.append(dataclasses.replace(one, histogram=np.empty(0)))
    return (_summary(measured, histograms) if measured else None), problems


def _in_threads(views: Sequence[cases.View]) -> Iterator[_Measured | cases.Problem]:
    """In the order of the views; at most two images a thread are on their way at any time."""
    with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
        for start in range(0, len(views), 2 * _WORKERS):
            yield from pool.map(_try, views[start : start + 2 * _WORKERS])


def _try(view: cases.View) -> _Measured | cases.Problem:
    try:
        return _measure(view)
    except cases.DataError as error:
        return cases.Problem.of(error)
    except OSError as error:
        return cases.Problem(view.path or view.id, f"cannot be read: {error.strerror or error}")


def _measure(view: cases.View) -> _Measured:
    pixels = np.asarray(view.pixels())
    if pixels.max() > view.max_value:
        found = f"holds {pixels.max()}, above the {view.max_value} of its {view.max_value.bit_length()} bits"
        raise cases.DataError(view.path or view.id, found)
    histogram = np.bincount(pixels.ravel(), minlength=1 << view.max_value.bit_length())
    dark = histogram[: int(DARK * view.max_value) + 1].sum() / pixels.size
    small = _reduced(pixels, *MEAN_SHAPE)
    lesions = tuple((lesion.kind, _longest_mm(lesion, view)) for lesion in view.lesions)
    mean = float(small.mean()) / view.max_value * 255
    faint = bool(pixels.max() < FAINT * view.max_value)
    return _Measured(view, pixels.shape, histogram, breast_share(pixels), float(dark), faint, mean, lesions)


def _reduced(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    shrinks = rows <= pixels.shape[0] and columns <= pixels.shape[1]
    return cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _longest_mm(lesion: cases.Lesion, view: cases.View) -> float | None:
    if lesion.region is None or view.spacing_mm is None:
        return None
    top, left, bottom, right = lesion.region.bounds()
    return max(bottom - top, right - left) * view.spacing_mm


def breast_share(pixels: np.ndarray) -> float:
    """The share of an image that is breast: the largest bright piece by Otsu's threshold, with a margin.

    Args:
        pixels: (H, W) uint8 or uint16, dark background.

    Returns:
        0 to 1; 0 for an image of one gray value.
    """
    rows, columns = (max(1, size // _COARSE) for size in pixels.shape)
    small = _reduced(pixels, rows, columns).astype(np.float32)
    if small.min() == small.max():
        return 0.0
    # The root brings fat closer to dense tissue than to the background, whose peak is the one to cut off.
    gray = np.sqrt((small - small.min()) / (small.max() - small.min()))
    _, bright = cv2.threshold(np.rint(255 * gray).astype(np.uint8), 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(bright)
    largest = 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))
    margin = 2 * max(1, round(_MARGIN * max(rows, columns))) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (margin, margin))
    return float(cv2.dilate((pieces == largest).astype(np.uint8), disc).mean())


def _summary(measured: Sequence[_Measured], histograms: dict[int, np.ndarray]) -> Pixels:
    sizes, spacings = (
        tuple(collections.Counter(some).most_common())
        for some in ((m.shape for m in measured), (m.view.spacing_mm for m in measured))
    )
    bits = collections.Counter(m.view.max_value.bit_length() for m in measured)
    faint = collections.Counter(m.view.max_value.bit_length() for m in measured if m.faint)
    lesions = [lesion for m in measured for lesion in m.lesions_mm]
    kinds = sorted({kind for kind, size in lesions if size is not None})
    means = np.array([m.mean_8bit for m in measured])
    return Pixels(
        images=len(measured),
        sizes=sizes,
        spacings_mm=spacings,
        lossy=sum(m.view.lossy for m in measured),
        gray=tuple(_gray(b, bits[b], faint[b], histograms[b]) for b in sorted(bits)),
        breast=Range.of([m.breast for m in measured]),
        dark=Range.of([m.dark for m in measured]),
        mean_8bit=float(means.mean()),
        mean_8bit_error=float(means.std(ddof=1) / len(means) ** 0.5) if len(means) > 1 else float("nan"),
        lesions_mm={k: Range.of([size for kind, size in lesions if kind == k and size is not None]) for k in kinds},
        lesions_without_size=sum(size is None for _, size in lesions),
    )


def _gray(bits: int, images: int, faint: int, histogram: np.ndarray) -> Gray:
    there = np.flatnonzero(histogram)
    total = np.cumsum(histogram)
    low, median, high = (int(np.searchsorted(total, share * total[-1])) for share in (0.01, 0.5, 0.99))
    return Gray(bits, images, int(there[0]), low, median, high, int(there[-1]), faint)
