"""Where patches are cut round a lesion and in the background: the rules of Shen et al. 2019 (section 3.1.1), drawn.

The paper: one patch centred on the ROI and one of the background (S1); ten patches round the ROI "with a minimum
overlapping ratio of 0.9" and as many of the background (S10). It does not say what the ratio is of. Only overlap over
the smaller area can reach 0.9 for ROIs much larger and much smaller than a patch: `over_smaller`. The authors' code,
overlap / ROI > cut or overlap / patch > cut, is that same ratio, its cut 0.75. (A ratio equal to the cut is accepted
here.) An ROI as large as a patch but of another shape cannot reach 0.9 either, so the rules ease: by 0.05 after
every 1000 misses in the code; the paper's presets take that over, having nothing of their own. Nor does the paper say
what background may hold of an ROI: nothing, here; up to 0.35 in the code.

    places = patch_sampling.positives(mask, CODE_S10, patch=224, rng=np.random.default_rng(0))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from mammo_tf import cases

ALGORITHM_VERSION = 1

_AIR_SCALE = 8  # the breast is found on a copy this many times smaller
_TINY = 1e-9


def over_smaller(overlap: np.ndarray, roi: int, patch: int) -> np.ndarray:
    """Share of the smaller of ROI and patch that lies in both; areas in pixels."""
    return overlap / min(roi, patch)


def over_roi(overlap: np.ndarray, roi: int, patch: int) -> np.ndarray:
    """Share of the ROI that lies in the patch: another reading of the paper, out of reach for ROIs above a patch."""
    return overlap / roi


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How patches are drawn; `PAPER_S1`, `PAPER_S10`, `CODE_S1` and `CODE_S10` are those published.

    Attributes:
        name: stands in the ids of the patches.
        per_roi: patches of one ROI, and background patches of one ROI (or image).
        centred: the patch lies on the middle of the ROI's box; False draws its centre in that box.
        min_overlap: the least ratio of a drawn patch and its ROI, in [0, 1].
        ratio: `ratio(overlap, roi, patch)` of areas in pixels.
        background_overlap: the largest ratio of a background patch and an ROI, in [0, 1].
        background_once: one set of background patches an image; False draws one set an ROI.
        min_breast: least share of a background patch that shows breast, in [0, 1]; 0 allows empty air.
        relax: what the rules are eased by, in (0, 1], after every `misses` misses in drawing one set.
        misses: at least 1.

    Raises:
        cases.MammoError: a value outside its range.
    """

    name: str
    per_roi: int
    centred: bool = False
    min_overlap: float = 0.9
    ratio: Callable[[np.ndarray, int, int], np.ndarray] = over_smaller
    background_overlap: float = 0.0
    background_once: bool = False
    min_breast: float = 0.0
    relax: float = 0.05
    misses: int = 1000

    def __post_init__(self):
        shares = {name: getattr(self, name) for name in ("min_overlap", "background_overlap", "min_breast", "relax")}
        if bad := {name: share for name, share in shares.items() if not 0 <= share <= 1}:
            raise cases.MammoError(f"patches: {', '.join(bad)} must be in [0, 1], found {list(bad.values())}")
        if self.per_roi < 1 or self.misses < 1 or not self.relax or (self.centred and self.per_roi > 1):
            raise cases.MammoError(
                "patches: per_roi and misses are at least 1, relax is above 0, a centred patch is one an ROI; found "
                f"per_roi {self.per_roi}, misses {self.misses}, relax {self.relax}, centred {self.centred}"
            )


PAPER_S1 = Sampling("s1", per_roi=1, centred=True)
PAPER_S10 = Sampling("s10", per_roi=10)
CODE_S1 = Sampling("s1", per_roi=1, centred=True, min_overlap=0.75, background_overlap=0.35, background_once=True)
CODE_S10 = Sampling("s10", per_roi=10, min_overlap=0.75, background_overlap=0.35, background_once=True)


@dataclasses.dataclass(frozen=True)
class Corner:
    """A patch's top left pixel; `eased` is how often the rules had been eased when it was accepted."""

    top: int
    left: int
    eased: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """What background has to avoid.

    Attributes:
        shape: (H, W) of the image.
        rois: masks, bool `shape`; empty ones do not count.
        breast: where the breast lies, bool `shape`; read where `Sampling.min_breast` is above 0.
    """

    shape: tuple[int, int]
    rois: Sequence[np.ndarray]
    breast: np.ndarray | None = None


def positives(mask: np.ndarray, sampling: Sampling, patch: int, rng: np.random.Generator) -> tuple[Corner, ...]:
    """`sampling.per_roi` patches of an ROI.

    Args:
        mask: of the ROI, bool (H, W), not empty; its largest connected part gives the box of the centres.
        sampling: the rules.
        patch: rows and columns of a patch; it overhangs the image by half of that at the most.
        rng: not used for a centred patch.
    """
    top, left, bottom, right = largest_box(mask)
    if sampling.centred:
        return (Corner((top + bottom) // 2 - patch // 2, (left + right) // 2 - patch // 2),)
    table, area = cv2.integral(mask.astype(np.uint8)), int(mask.sum())

    def lacking(tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
        return sampling.min_overlap - sampling.ratio(overlaps(table, tops, lefts, patch), area, patch**2)

    return _draw(lacking, (top, left, bottom, right), sampling.per_roi, sampling, patch, rng)


def background(
    scene: Scene, count: int, sampling: Sampling, patch: int, rng: np.random.Generator
) -> tuple[Corner, ...]:
    """`count` patches with centres anywhere in the image, away from every ROI."""
    tables = [(cv2.integral(mask.astype(np.uint8)), int(mask.sum())) for mask in scene.rois if mask.any()]
    tissue = cv2.integral(scene.breast.astype(np.uint8)) if sampling.min_breast else None

    def excess(tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
        most = np.zeros(len(tops))
        for table, area in tables:
            most = np.maximum(most, sampling.ratio(overlaps(table, tops, lefts, patch), area, patch**2))
        over = most - sampling.background_overlap
        if tissue is None:
            return over
        return np.maximum(over, sampling.min_breast - overlaps(tissue, tops, lefts, patch) / patch**2)

    return _draw(excess, (0, 0, *scene.shape), count, sampling, patch, rng)


def _draw(
    lacking: Callable[[np.ndarray, np.ndarray], np.ndarray],
    box: tuple[int, int, int, int],
    count: int,
    sampling: Sampling,
    patch: int,
    rng: np.random.Generator,
) -> tuple[Corner, ...]:
    """Centres uniform in a box until `count` of them lack no more than the rules have been eased by."""
    taken: list[Corner] = []
    misses = 0
    while len(taken) < count:
        tops = rng.integers(box[0], box[2], sampling.misses) - patch // 2
        lefts = rng.integers(box[1], box[3], sampling.misses) - patch // 2
        for top, left, lack in zip(tops.tolist(), lefts.tolist(), lacking(tops, lefts).tolist(), strict=True):
            steps = misses // sampling.misses
            if lack > steps * sampling.relax + _TINY:
                misses += 1
            elif len(taken) < count:
                taken.append(Corner(top, left, steps))
    return tuple(taken)


def overlaps(table: np.ndarray, tops: np.ndarray, lefts: np.ndarray, patch: int) -> np.ndarray:
    """Pixels of a mask in each patch, (N,), from its integral image `cv2.integral(mask)`; patches may overhang.

    >>> overlaps(cv2.integral(np.ones((2, 2), np.uint8)), np.array([0, -1, 9]), np.array([0, 1, 0]), 2).tolist()
    [4, 1, 0]
    """
    height, width = table.shape[0] - 1, table.shape[1] - 1
    first, last = (np.clip(tops + end, 0, height) for end in (0, patch))
    start, stop = (np.clip(lefts + end, 0, width) for end in (0, patch))
    return table[last, stop] - table[first, stop] - table[last, start] + table[first, start]


def largest_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The box (top, left, bottom, right) of the largest 8-connected part of a mask that is not empty."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    left, top, width, height, _ = map(int, stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax()])
    return top, left, top + height, left + width


def breast_mask(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Roughly where the breast lies, bool (height, width): the largest bright part of a copy an eighth the size.

    Otsu's threshold cuts into the skin, so half of it is taken.
    """
    small = max(1, height // _AIR_SCALE), max(1, width // _AIR_SCALE)
    copy = cv2.resize(pixels.astype(np.float32), small[::-1], interpolation=cv2.INTER_AREA)
    gray = cv2.normalize(copy, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    bright = gray > max(1.0, cv2.threshold(gray, 0, 255, cv2.THRESH_OTSU)[0] / 2)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8), connectivity=8)
    if len(stats) == 1:
        return np.zeros((height, width), bool)
    own = parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    return cv2.resize(own.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT).view(bool)
