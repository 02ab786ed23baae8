"""Drawings on whole mammograms: heatmaps with the lesions, sampled patches, the gray values of two datasets.

Source: Shen et al., section 3.1.1 (patches), section 2.2 (heatmap) and Figure 4. Every function takes `note`, as in
`figures`; what is drawn is worked out by `four_cases` and `gray_values`.

    chosen = figures_mammograms.four_cases(labels, scores, threshold=0.4)
    rows = list(chosen.values())
    figure = figures_mammograms.heatmaps(images[rows], heat[rows], list(chosen), outlines=masks[rows], note="phantom")
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import cm, colors, patches
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mammo_tf import cases, figures

HEAT = colors.LinearSegmentedColormap.from_list(
    "heat", [(0.0, (0.90, 0.62, 0.0, 0.0)), (0.5, (0.90, 0.62, 0.0, 0.5)), (1.0, (0.84, 0.37, 0.0, 0.9))]
)
SQUARES = ("#BBBBBB", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#F0E442")  # readable on black; gray: background
LARGEST = 600  # pixels of a side that is drawn; a mammogram has up to ten times as many
FULL = 65535
ROUNDING = 1e-5  # by which a sum of probabilities in float32 may pass 1


def four_cases(labels: np.ndarray, scores: np.ndarray, threshold: float = 0.5) -> dict[str, int]:
    """The row of the most certain true positive, false positive, true negative and false negative, by name.

    Args:
        labels: 0/1 (N,).
        scores: P(class 1) (N,); `score >= threshold` is called 1, and the farthest from it is the most certain.

    Returns:
        In that order; a kind that does not occur is left out.

    >>> four_cases(np.array([1, 1, 0, 0]), np.array([0.6, 0.9, 0.7, 0.2]))
    {'true positive': 1, 'false positive': 2, 'true negative': 3}
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=float)
    called = scores >= threshold
    kinds = {
        "true positive": called & (labels == 1),
        "false positive": called & (labels == 0),
        "true negative": ~called & (labels == 0),
        "false negative": ~called & (labels == 1),
    }
    certainty = np.abs(scores - threshold)
    return {name: int(np.argmax(np.where(rows, certainty, -1))) for name, rows in kinds.items() if rows.any()}


def heatmaps(
    images: Sequence[np.ndarray],
    heat: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    outlines: Sequence[np.ndarray] | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """Mammograms in gray under their heatmaps as a transparent layer, one column each.

    Args:
        images: N arrays (H, W), each drawn from its darkest to its brightest value.
        heat: N arrays (u, v) in [0, 1] that cover their image from border to border; NaN draws nothing, so a map of
            the valid windows alone is padded with NaN first.
        titles: N, above the columns.
        outlines: N bool arrays (H, W), the lesions filled; their rims are drawn.

    Raises:
        cases.MammoError: images, maps, titles and outlines of different numbers, or heat outside [0, 1].
    """
    lengths = [len(part) for part in (images, heat, titles, images if outlines is None else outlines)]
    if len(set(lengths)) > 1:
        raise cases.MammoError(f"heatmaps: {lengths} images, maps, titles and outlines; expected one of each")
    for one, name in zip(heat, titles, strict=True):
        if np.any((np.asarray(one) < 0) | (np.asarray(one) > 1 + ROUNDING)):
            raise cases.MammoError(f"heatmaps: the map of {name!r} leaves [0, 1]")
    figure = figures._figure(max(2.3 * len(images) + 0.8, 4.5), 3.9, title or "Heatmaps", note)
    if not len(images):
        return figures._nothing(figure)
    grid = figure.subplots(1, len(images), squeeze=False)[0]
    for i, axes in enumerate(grid):
        shape = np.shape(images[i])
        _mammogram(axes, images[i], titles[i])
        axes.imshow(heat[i], cmap=HEAT, vmin=0, vmax=1, extent=_extent(shape), interpolation="nearest")
        if outlines is not None:
            figures._outline(axes, outlines[i], shape, "-")
    bar = figure.colorbar(cm.ScalarMappable(colors.Normalize(0, 1), HEAT), ax=grid.tolist(), shrink=0.8, pad=0.01)
    bar.set_label("probability", fontsize=9)
    bar.outline.set_visible(False)
    return figure


def patches_on_view(
    image: np.ndarray,
    boxes: Sequence[tuple[float, float, float, int]],
    class_names: Sequence[str],
    *,
    outlines: np.ndarray | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """A mammogram (H, W) with the sampled patches as squares, one colour a class, and a legend that counts them.

    Args:
        boxes: (top, left, side, class) in pixels of the image, class in 0..K-1.
        class_names: K at most 6, the background first.
        outlines: bool (H, W), the lesions filled; their rims are drawn.

    Raises:
        cases.MammoError: a class without a name, or more classes than colours.
    """
    if len(class_names) > len(SQUARES) or any(not 0 <= box[3] < len(class_names) for box in boxes):
        raise cases.MammoError(
            f"patches: classes {sorted({int(box[3]) for box in boxes})} for the names {list(class_names)}; "
            f"expected one of at most {len(SQUARES)} names for each"
        )
    figure = figures._figure(6.4, 5.6, title or "Patches", note)
    axes = figure.subplots()
    _mammogram(axes, image, "")
    for top, left, side, kind in sorted(boxes, key=lambda box: box[3]):  # the background below the rest
        axes.add_patch(_square(kind, (left - 0.5, top - 0.5), side))
    if outlines is not None:
        figures._outline(axes, outlines, np.shape(image), "-")
    counts = np.bincount([int(box[3]) for box in boxes], minlength=len(class_names))
    handles = [_square(kind, (0, 0), 1, f"{name} ({counts[kind]})") for kind, name in enumerate(class_names)]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=9)
    return figure


def seeds(
    whole: Sequence[tuple[str, np.ndarray, tuple[int, int, int]]],
    crops: Sequence[np.ndarray],
    *,
    title: str = "",
    note: str = "",
) -> Figure:
    """Mammograms with a red square, and beside each what lies in it (Yi et al. 2017, figure 1).

    Args:
        whole: a title, the image (H, W) and the square (top, left, side) in its pixels, of each view.
        crops: what the square shows, (side, side).
    """
    figure = figures._figure(4.4 * max(len(whole), 1), 4.0, title or "Seeds", note)
    if not whole:
        return figures._nothing(figure)
    grid = figure.subplots(1, 2 * len(whole), squeeze=False, width_ratios=[1.2, 1] * len(whole))[0]
    for i, ((name, image, (top, left, side)), crop) in enumerate(zip(whole, crops, strict=True)):
        _mammogram(grid[2 * i], image, name)
        square = {"fill": False, "edgecolor": "red", "linewidth": 1.4}
        grid[2 * i].add_patch(patches.Rectangle((left - 0.5, top - 0.5), side, side, **square))
        _mammogram(grid[2 * i + 1], crop, "crop")
        grid[2 * i + 1].add_patch(patches.Rectangle((-0.5, -0.5), side, side, **square))
    return figure


def gray_values(images: Sequence[np.ndarray], bins: int = 64, above: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The histogram of the gray values of each image.

    Args:
        images: N arrays (H, W) uint16, scaled so that 65535 is the largest value that the storage allows.
        above: share of the full scale; only brighter pixels count. The air of a digitised film is dark, not 0.

    Returns:
        edges (bins + 1,) in [0, 1], shares of the full scale; and the share of the pixels that count in each bin,
        float64 (N, bins), rows that sum to 1 (to 0 for an image where none counts).

    Raises:
        cases.MammoError: an image that is not uint16 (H, W).
    """
    shares = np.zeros((len(images), bins))
    for i, image in enumerate(images):
        if image.ndim != 2 or image.dtype != np.uint16:
            raise cases.MammoError(f"gray values: image {i} is {image.dtype} {image.shape}; expected uint16 (H, W)")
        values = image[image > above * FULL]
        shares[i] = np.histogram(values, bins=bins, range=(0, FULL))[0] / max(values.size, 1)
    return np.linspace(0, 1, bins + 1), shares


def intensity_profiles(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    names: tuple[str, str],
    *,
    above: float = 0.06,
    title: str = "",
    note: str = "",
) -> Figure:
    """Mammograms of two datasets on one gray scale, above the histograms of their gray values (Figure 4).

    Args:
        first, second: one or more images (H, W) uint16 each, scaled to 65535; two of each are shown, all are counted.
        names: of the two datasets.
        above: share of the full scale; darker pixels are left out of the histograms as air.
    """
    figure = figures._figure(8.0, 6.2, title or "Gray values of two datasets", note)
    if not len(first) or not len(second):
        return figures._nothing(figure)
    grid = figure.add_gridspec(2, 4, height_ratios=(1.1, 1))
    below = figure.add_subplot(grid[1, :])
    for i, (images, name) in enumerate(zip((first, second), names, strict=True)):
        for k, image in enumerate(images[:2]):
            _mammogram(figure.add_subplot(grid[0, 2 * i + k]), image, f"{name}, {k + 1}", FULL)
        _histograms(below, images, above, name, figures._colour(i))
    below.set(xlim=(0, 1), xlabel="gray value (1: the largest that the storage allows)", ylabel="share of the pixels")
    below.set_ylim(bottom=0)
    below.grid(alpha=0.25)
    below.spines[["top", "right"]].set_visible(False)
    below.legend(frameon=False, fontsize=9)
    return figure


def _histograms(axes: Axes, images: Sequence[np.ndarray], above: float, name: str, colour: str) -> None:
    """The mean histogram of a dataset, each image thinly behind it."""
    edges, shares = gray_values(images, above=above)
    if len(images) > 1:
        for row in shares:
            axes.stairs(row, edges, color=colour, alpha=0.25, linewidth=0.7)
    label = f"{name} ({len(images)} image{'s' if len(images) > 1 else ''}, pixels above {above:g})"
    axes.stairs(shares.mean(axis=0), edges, color=colour, linewidth=1.8, label=label)


def _mammogram(axes: Axes, image: np.ndarray, title: str, top: float | None = None) -> None:
    """An image in gray, thinned out to what can be seen, in its own pixel coordinates."""
    image = np.asarray(image)
    step = max(1, max(image.shape) // LARGEST)
    thin = image[::step, ::step]
    axes.imshow(thin, cmap="gray", vmin=None if top is None else 0, vmax=top, extent=_extent(image.shape))
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _extent(shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of an image whose pixel centres lie at whole numbers."""
    return -0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5


def _square(kind: int, corner: tuple[float, float], side: float, label: str = "") -> patches.Rectangle:
    return patches.Rectangle(corner, side, side, fill=False, edgecolor=SQUARES[kind], linewidth=1.3, label=label)
