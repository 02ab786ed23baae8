"""Drawing of a mass and of the band round its margin, straightened.

Source: Sahiner et al. 1998, doi:10.1118/1.598228, whose figures show both; the band comes from `classical.rbst`.

    band = rbst.straightened(image, mask, width=32)
    figures.save(figures_bands.straightened(image, mask, band, note="phantom"), "band.png")
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mammo_tf import cases, figures

MARKS = 8  # places numbered on both pictures


def straightened(image: np.ndarray, mask: np.ndarray, band: Any, *, title: str = "", note: str = "") -> Figure:
    """A mass with its margin and the far edge of the band, above the band itself; numbers show what became of what.

    Args:
        image: (H, W), drawn from its darkest to its brightest value.
        mask: bool (H, W) of the mass; its rim is drawn.
        band: a `rbst.Band` of that image: `values`, `y`, `x` and `inside`, (width, columns) each. Both pictures share
            a gray scale; what lies outside the image is blue.

    Raises:
        cases.MammoError: image and mask of different shapes, or parts of the band that are.
    """
    image, values = np.asarray(image, np.float64), np.asarray(band.values)
    if image.shape != np.shape(mask) or image.ndim != 2:
        raise cases.MammoError(f"band: image {image.shape} and mask {np.shape(mask)}; expected (H, W) of both")
    if not values.shape == np.shape(band.y) == np.shape(band.x) == np.shape(band.inside):
        shapes = [np.shape(part) for part in (values, band.y, band.x, band.inside)]
        raise cases.MammoError(f"band: values, y, x and inside of different shapes, {shapes}")
    figure = figures._figure(6.4, 6.8, title or "A mass and its band, straightened", note)
    above, below = figure.subplots(2, 1, height_ratios=(3, 1))
    gray = {"cmap": "gray", "vmin": image.min(), "vmax": image.max()}
    above.imshow(image, **gray)
    figures._outline(above, mask, image.shape, "-")
    x, y = (np.append(part[-1], part[-1][0]) for part in (band.x, band.y))
    above.plot(x, y, color=figures.COLOURS[4], linewidth=0.8)
    above.set_axis_off()
    below.imshow(np.where(band.inside, values, np.nan), aspect="auto", **gray)
    below.set_facecolor(figures.COLOURS[5])
    below.set(xlabel="along the margin, in columns", ylabel="outwards, in pixels")
    _marks(above, below, band)
    return figure


def _marks(above: Axes, below: Axes, band: Any) -> None:
    """Numbers along the far edge of the band and over the columns that they stand at."""
    width, columns = np.shape(band.values)
    for mark in range(MARKS):
        column = mark * columns // MARKS
        place = {"color": figures.COLOURS[4], "fontsize": 9, "ha": "center", "clip_on": True}
        above.text(band.x[-1, column], band.y[-1, column], str(mark + 1), va="center", **place)
        below.text(column, -0.04 * width - 0.5, str(mark + 1), va="bottom", **(place | {"clip_on": False}))
