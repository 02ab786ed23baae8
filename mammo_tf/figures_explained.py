"""Drawings of explanations: one method image by image, and many methods beside each other.

Maps that are at least 0 go from black to yellow, those of either sign from purple (against the class) through white
to orange (for it). Each map is drawn up to its own 99.5th percentile, as `figures.montage` does. Every function takes
`note`, as in `figures`.

    figure = figures_explained.rows(images, maps, titles, signed=True, title="LRP epsilon", note="phantom")
    figure = figures_explained.montage(images, {"saliency": maps}, titles, signed=(), outlines=masks, note="phantom")
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mammo_tf import cases, figures

SIGNED, STRENGTH = "PuOr_r", "inferno"
ORANGE, PURPLE = (0.90, 0.38, 0.0), (0.33, 0.15, 0.53)
OVER = {  # clear where the map is 0, so that the image stays visible
    False: colors.LinearSegmentedColormap.from_list("strength", [(*ORANGE, 0.0), (*ORANGE, 0.5), (*ORANGE, 0.9)]),
    True: colors.LinearSegmentedColormap.from_list("signed", [(*PURPLE, 0.9), (1.0, 1.0, 1.0, 0.0), (*ORANGE, 0.9)]),
}
SCALES = "orange: for the class, purple: against it, white and black: 0; each map up to its 99.5th percentile"
LARGEST = 12  # images of a picture: a longer one is read by nobody, and matplotlib ends at 2^16 pixels
SIDE = 2.1  # inches of the longer side of an image


def rows(
    images: Sequence[np.ndarray],
    maps: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    signed: bool,
    outlines: Sequence[np.ndarray] | None = None,
    third: Sequence[np.ndarray] | None = None,
    names: tuple[str, str, str] = ("image", "map", "overlay"),
    title: str = "",
    note: str = "",
) -> Figure:
    """Image, map with its colour bar, and overlay; a row an image, the first `LARGEST` of them.

    Args:
        images: N arrays (H, W) in [0, 1].
        maps: N arrays (H, W), finite.
        titles: N, at the left of each row.
        signed: whether maps are of either sign.
        outlines: N bool arrays (H, W), the lesions filled, empty where none is known; their rims are drawn.
        third: N arrays (H, W) in [0, 1] to draw in place of the overlay.
        names: of the columns.

    Raises:
        cases.MammoError: images, maps and titles of different numbers.
    """
    _check([images, maps, titles, images if outlines is None else outlines, images if third is None else third])
    count = min(len(images), LARGEST)
    if len(images) > count:
        note = f"the first {count} of {len(images)}; {note}"
    high, wide = _inches(images)
    figure = figures._figure(max(3 * wide + 2.2, 6.0), max(count * (high + 0.12) + 0.9, 2.0), title, note)
    if not count:
        return figures._nothing(figure)
    grid = figure.subplots(count, 3, squeeze=False)
    for i, (left, middle, right) in enumerate(grid):
        _gray(left, images[i])
        shown = _map(middle, maps[i], signed)
        _bar(figure, middle, shown)
        if third is None:
            _gray(right, images[i])
            top = _ceiling(maps[i])
            right.imshow(maps[i], cmap=OVER[signed], vmin=-top if signed else 0, vmax=top)
        else:
            _gray(right, third[i])
        if outlines is not None:
            for axes, style in ((left, "-"), (middle, (0, (1, 2))), (right, "-")):
                figures._outline(axes, outlines[i], np.shape(images[i]), style)
        _named(left, titles[i])
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(name, fontsize=10)
    return figure


def montage(
    images: Sequence[np.ndarray],
    maps: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str],
    *,
    signed: Collection[str],
    outlines: Sequence[np.ndarray] | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """A row an image, a column a method, the image itself first.

    Args:
        images: N arrays (H, W) in [0, 1]; the first `LARGEST` are drawn.
        maps: method -> N arrays (H, W), finite.
        titles: N, at the left of each row.
        signed: the methods whose maps are of either sign.
        outlines: N bool arrays (H, W), the lesions filled; their rims are drawn.

    Raises:
        cases.MammoError: images, maps and titles of different numbers.
    """
    _check([images, titles, images if outlines is None else outlines, *maps.values()])
    count = min(len(images), LARGEST)
    if len(images) > count:
        note = f"the first {count} of {len(images)}; {note}"
    high, wide = (0.72 * side for side in _inches(images))
    width = (len(maps) + 1) * (wide + 0.06) + 1.0
    figure = figures._figure(max(width, 5.0), max(count * (high + 0.08) + 1.2, 2.2), title, note)
    if not count:
        return figures._nothing(figure)
    grid = figure.subplots(count, len(maps) + 1, squeeze=False)
    for i, row in enumerate(grid):
        _gray(row[0], images[i])
        for axes, (name, found) in zip(row[1:], maps.items(), strict=True):
            _map(axes, found[i], name in signed)
        for axes in row if outlines is not None else ():
            style = "-" if axes is row[0] else (0, (1, 2))  # dotted: what lies below stays visible
            figures._outline(axes, outlines[i], np.shape(images[i]), style)
        _named(row[0], titles[i])
    for axes, name in zip(grid[0], ("image", *maps), strict=True):
        axes.set_title(textwrap.fill(name, max(8, int(11 * wide))), fontsize=9, va="bottom")
    return figure


def pictures(images: Sequence[np.ndarray], titles: Sequence[str], *, title: str = "", note: str = "") -> Figure:
    """N pictures (H, W) side by side, each from its least to its largest value, with a title each."""
    _check([images, titles])
    high, wide = _inches(images)
    figure = figures._figure(max(len(images) * (wide + 0.15), 5.0), high + 1.3, title, note)
    for axes, image, name in zip(figure.subplots(1, len(images), squeeze=False)[0], images, titles, strict=True):
        axes.imshow(image, cmap="gray")
        axes.set_title(name, fontsize=9)
        _bare(axes)
    return figure


def _check(parts: Sequence[Sequence]) -> None:
    lengths = [len(part) for part in parts]
    if len(set(lengths)) > 1:
        raise cases.MammoError(f"explanations: {lengths} images, maps, titles; expected one of each")


def _inches(images: Sequence[np.ndarray]) -> tuple[float, float]:
    """Height and width of a picture, the longer of the two SIDE; those of a breast are narrow."""
    height, width = np.shape(images[0])[:2] if len(images) else (1, 1)
    return SIDE * height / max(height, width), SIDE * width / max(height, width)


def _gray(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=float(np.min(image)), vmax=max(float(np.max(image)), 1e-6))
    _bare(axes)


def _map(axes: Axes, values: np.ndarray, signed: bool):
    top = _ceiling(values)
    shown = axes.imshow(values, cmap=SIGNED if signed else STRENGTH, vmin=-top if signed else 0, vmax=top)
    _bare(axes)
    return shown


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _named(axes: Axes, title: str) -> None:
    text = "\n".join(textwrap.fill(line, 18, break_long_words=True) for line in title.splitlines())
    axes.set_ylabel(text, fontsize=8, rotation=0, ha="right", va="center", labelpad=6)


def _bar(figure: Figure, axes: Axes, shown) -> None:
    bar = figure.colorbar(shown, ax=axes, shrink=0.85, aspect=18, pad=0.02)
    low, high = shown.get_clim()
    ticks = [low, 0.0, high] if low < 0 else [0.0, high]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks], fontsize=7)
    bar.outline.set_visible(False)


def _ceiling(values: np.ndarray) -> float:
    return figures._ceiling(np.abs(values))
