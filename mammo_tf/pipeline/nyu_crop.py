"""Mammograms as the nets of Wu et al. take them (doi:10.1109/TMI.2019.2945514): the breast, facing right, z-scored.

Of the pixels above 0, eroded by 100 pixels, the largest part is the breast; dilated again, its box with 50 pixels to
each side is cut out, and right breasts are mirrored. The net sees a window of its native size; at test time ten,
moved and resized by up to 100 pixels, whose answers are averaged. Each window becomes (x - mean) / max(std, 1e-5).

Settled here, where those numbers leave it open: erosion goes by steps to the four neighbours; the best window holds
most of the breast, and stays at the chest wall where the crop is narrower; a window leaves the crop only where it has
to, and holds zeros there; its rows and columns keep their proportion and are resized by cubic convolution.

    prepare = nyu_crop.Preparation()
    image = prepare(view)                                           # the best window, (2677, 1942, 1) for a CC view
    images = prepare.windows(view, seed=0)                          # ten, (10, 2677, 1942, 1)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from mammo_tf import cache, cases

ALGORITHM_VERSION = 1
LEAST_STD = 1e-5
NATIVE_MM = 0.07  # of INbreast's pixels, and of most digital mammograms of 3328 x 2560 and 4096 x 3328


@dataclasses.dataclass(frozen=True)
class Box:
    """Rows `top` to `bottom` and columns `left` to `right`, the ends not included; may overhang an image."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left


@dataclasses.dataclass(frozen=True)
class Preparation:
    """View -> what a net takes. All numbers are pixels of the image.

    Attributes:
        cc, mlo: (height, width) of the windows.
        erosion: what falls off the foreground before its largest part is taken, and comes back.
        margin: added to each side of the breast's box.
        jitter: the most that a window is moved, and made taller or shorter.
        count: of windows at test time.
    """

    cc: tuple[int, int] = (2677, 1942)
    mlo: tuple[int, int] = (2974, 1748)
    erosion: int = 100
    margin: int = 50
    jitter: int = 100
    count: int = 10

    def scaled(self, share: float) -> Preparation:
        """The same for images of other pixels: `scaled(0.1)` where they are ten times as large.

        >>> Preparation().scaled(0.1).cc
        (268, 194)
        """
        lengths = {name: round(share * getattr(self, name)) for name in ("erosion", "margin", "jitter")}
        cc, mlo = (tuple(max(1, round(share * n)) for n in size) for size in (self.cc, self.mlo))
        return dataclasses.replace(self, cc=cc, mlo=mlo, **lengths)

    def size(self, view: cases.View) -> tuple[int, int]:
        """(height, width) of the view's windows.

        Raises:
            DataError: the view is neither CC nor MLO.
        """
        sizes = {cases.Projection.CC: self.cc, cases.Projection.MLO: self.mlo}
        if view.projection not in sizes:
            raise cases.DataError(view.path or view.id, f"a CC or an MLO view is needed, found {view.projection}")
        return sizes[view.projection]

    def crop(self, view: cases.View) -> np.ndarray:
        """The breast and its margin, facing right, (H, W) of the stored pixels.

        Raises:
            DataError: the file cannot be read, the side is not known, or nothing is left after the erosion.
        """
        if view.side is None:
            raise cases.DataError(
                view.path or view.id, "the side of the breast is not known, so neither is where it faces"
            )
        pixels = view.pixels()
        try:
            box = breast_box(pixels, erosion=self.erosion, margin=self.margin)
        except cases.MammoError as error:
            raise cases.DataError(view.path or view.id, str(error)) from error
        return facing_right(pixels[box.top : box.bottom, box.left : box.right], view.side)

    def _heatmap(self, view: cases.View, heatmap: np.ndarray, crop: np.ndarray) -> np.ndarray:
        """A heatmap (H, W) of the whole view, or of its crop as it was before it was turned, like the crop."""
        if heatmap.shape == view.shape and heatmap.shape != crop.shape:
            box = breast_box(view.pixels(), erosion=self.erosion, margin=self.margin)
            heatmap = heatmap[box.top : box.bottom, box.left : box.right]
        if heatmap.shape != crop.shape:
            raise cases.DataError(
                view.path or view.id, f"its heatmap is {heatmap.shape}, the image {view.shape}, its crop {crop.shape}"
            )
        return facing_right(heatmap, view.side)

    def __call__(self, view: cases.View) -> np.ndarray:
        """The best window, z-scored, (height, width, 1) float32; errors as for `crop` and `size`."""
        size, crop = self.size(view), self.crop(view)
        return z_score(cut(crop, best_window(crop, size)))[..., None]

    def windows(self, view: cases.View, *, seed: int, heatmaps: Sequence[np.ndarray] = ()) -> np.ndarray:
        """Windows drawn round the best one, each z-scored, (count, height, width, 1 + heatmaps) float32.

        A window depends on the seed and its number alone, whatever the view; ten of native size take 208 MB.

        Args:
            view: the whole image.
            seed: of the draws.
            heatmaps: further channels, such as those of benign and malignant findings for the net with three: (H, W)
                of the whole view, or of its crop. They are cut alike and keep their values.

        Raises:
            DataError: as for `crop` and `size`; a heatmap of another shape.
        """
        size, crop = self.size(view), self.crop(view)
        best = best_window(crop, size)
        layers = [self._heatmap(view, heatmap, crop) for heatmap in heatmaps]
        drawn = [jittered(best, crop.shape, self.jitter, seed=seed, number=n) for n in range(self.count)]
        found = []
        for box in drawn:
            channels = [z_score(resized(cut(crop, box), size)), *(resized(cut(layer, box), size) for layer in layers)]
            found.append(np.stack(channels, axis=-1))
        return np.stack(found)


@dataclasses.dataclass(frozen=True)
class Window:
    """A loader: the best window of a view, facing right, (height, width) of the view's pixels, kept in memory.

    Attributes:
        view: the whole image.
        prepare: how it is cut, for pixels of `NATIVE_MM`; lengths follow the view's own where it is known.
        source: tells the film from all others: the dataset's fingerprint and the view's id.
    """

    view: cases.View
    prepare: Preparation
    source: tuple[str, str]

    def __call__(self) -> np.ndarray:
        return cache.remembered((*self.source, "nyu window", self.prepare), self._cut)

    def _cut(self) -> np.ndarray:
        mm = self.view.spacing_mm
        prepare = self.prepare.scaled(NATIVE_MM / mm) if mm else self.prepare
        size, crop = prepare.size(self.view), prepare.crop(self.view)
        return cut(crop, best_window(crop, size)).astype(crop.dtype)


def windowed(view: cases.View, fingerprint: str, prepare: Preparation = Preparation()) -> cases.View:
    """The view as its best window, for a pipeline that resizes and normalises it; its lesions are left out.

    Errors as for `Preparation.crop` and `size`, when the pixels are asked for.
    """
    return dataclasses.replace(view, load=Window(view, prepare, (fingerprint, view.id)), lesions=())


def breast_mask(pixels: np.ndarray, *, erosion: int) -> np.ndarray:
    """The largest part of the eroded foreground, dilated again, bool (H, W).

    Args:
        pixels: (H, W), background 0.
        erosion: steps to the four neighbours; beyond the image there is background.

    Raises:
        MammoError: nothing is left after the erosion.
    """
    core = _steps_to(pixels <= 0, beyond=True) > erosion
    count, parts, facts, _ = cv2.connectedComponentsWithStats(core.astype(np.uint8), connectivity=4)
    if count < 2:
        above = int((pixels > 0).sum())
        raise cases.MammoError(f"nothing is left of {above} pixels above 0 of {pixels.shape} eroded by {erosion}")
    largest = 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))
    return _steps_to(parts == largest, beyond=False) <= erosion


def _steps_to(goal: np.ndarray, *, beyond: bool) -> np.ndarray:
    """Steps to the four neighbours from each pixel to the nearest of the goal, (H, W); `beyond`: what is outside."""
    far = np.pad(~goal, 1, constant_values=not beyond).astype(np.uint8)
    return cv2.distanceTransform(far, cv2.DIST_L1, cv2.DIST_MASK_3)[1:-1, 1:-1]


def breast_box(pixels: np.ndarray, *, erosion: int, margin: int) -> Box:
    """The box of `breast_mask` with a margin, cut at the image's edges; errors as there."""
    mask = breast_mask(pixels, erosion=erosion)
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0))
    height, width = mask.shape
    return Box(
        max(0, int(top) - margin),
        max(0, int(left) - margin),
        min(height, int(bottom) + 1 + margin),
        min(width, int(right) + 1 + margin),
    )


def facing_right(pixels: np.ndarray, side: cases.Side) -> np.ndarray:
    """Images (H, W) of right breasts mirrored, of left breasts as they are: the chest wall is on the left."""
    return pixels[:, ::-1] if side == cases.Side.RIGHT else pixels


def best_window(crop: np.ndarray, size: tuple[int, int]) -> Box:
    """The window of a size that holds most pixels above 0, of several the middle one.

    A crop (H, W) that is lower stands in the middle of the window, one that is narrower at its left edge.
    """
    (height, width), (rows, columns) = crop.shape, size
    sums = cv2.integral((crop > 0).astype(np.uint8))
    tops = np.arange(height - rows + 1) if height > rows else np.array([(height - rows) // 2])
    lefts = np.arange(width - columns + 1) if width > columns else np.array([0])
    above, below = (np.clip(edge, 0, height)[:, None] for edge in (tops, tops + rows))
    before, after = (np.clip(edge, 0, width) for edge in (lefts, lefts + columns))
    held = sums[below, after] - sums[above, after] - sums[below, before] + sums[above, before]
    best = np.argwhere(held == held.max())
    row, column = best[np.argmin(((best - best.mean(axis=0)) ** 2).sum(axis=1))]
    top, left = int(tops[row]), int(lefts[column])
    return Box(top, left, top + rows, left + columns)


def jittered(box: Box, shape: tuple[int, int], most: int, *, seed: int, number: int) -> Box:
    """The box moved in both directions and made taller or shorter by up to `most` pixels, drawn uniformly.

    Args:
        box: to begin with.
        shape: (H, W) of the crop; the window is moved back where it leaves a crop that is larger, or cuts into a
            smaller one.
        most: below the box's height; the width follows in proportion.
        seed, number: fix the draws.

    Raises:
        MammoError: `most` is no less than the height.
    """
    rows, columns = box.shape
    if not 0 <= most < rows:
        raise cases.MammoError(f"nyu_crop: windows of {rows} rows cannot be jittered by {most} pixels")
    down, across, taller = np.random.default_rng([seed, number]).integers(-most, most, size=3, endpoint=True)
    height, width = int(rows + taller), max(1, round(columns * (rows + taller) / rows))
    top = _inside(box.top + (rows - height) // 2 + int(down), height, shape[0])
    left = _inside(box.left + (columns - width) // 2 + int(across), width, shape[1])
    return Box(top, left, top + height, left + width)


def _inside(start: int, length: int, whole: int) -> int:
    """The start nearest to this at which the shorter of a window and the crop lies within the longer."""
    return min(max(start, min(0, whole - length)), max(0, whole - length))


def cut(crop: np.ndarray, box: Box) -> np.ndarray:
    """The pixels in a box as float32 of the box's shape, 0 where it overhangs the crop (H, W)."""
    found = np.zeros(box.shape, np.float32)
    top, left = max(0, box.top), max(0, box.left)
    inner = crop[top : max(top, box.bottom), left : max(left, box.right)]
    found[top - box.top :, left - box.left :][: inner.shape[0], : inner.shape[1]] = inner
    return found


def resized(window: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 to (height, width) by cubic convolution; as it is where it has that size."""
    height, width = size
    return window if window.shape == size else cv2.resize(window, (width, height), interpolation=cv2.INTER_CUBIC)


def z_score(window: np.ndarray) -> np.ndarray:
    """(x - mean) / max(std, 1e-5) over the whole window, float32."""
    mean, std = window.mean(dtype=np.float64), window.std(dtype=np.float64)
    return ((window - mean) / max(std, LEAST_STD)).astype(np.float32)
