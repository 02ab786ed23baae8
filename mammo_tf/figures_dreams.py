"""Drawings of dreams: input, latest saliency, dream, and the same as frames of a film.

Source: Yi et al. 2017, Figure 4, "a video with each frame a step". Every function takes `note`, as in `figures`.

    figure = figures_dreams.three_panels(result.start, result.saliency, result.image, note="phantom")
    written = figures_dreams.write_frames(result, folder, title="Dreaming malignant", note="phantom")
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mammo_tf import cases, figures

SIGNED = "PuOr_r"  # orange up, purple down, white at 0
WIDTH, HEIGHT = 7.6, 2.5  # inches of a row of three panels
PANELS = ("input", "latest saliency", "dream")


@dataclasses.dataclass(frozen=True)
class Limits:
    """Ends of the colour scales, the same in all frames: gray -image to image, the map -saliency to saliency."""

    image: float = 3.0
    saliency: float = 0.05


@dataclasses.dataclass(frozen=True)
class Written:
    """The files of a film: a PNG for each frame, the animated GIF, the MP4."""

    frames: tuple[pathlib.Path, ...]
    gif: pathlib.Path
    mp4: pathlib.Path


def three_panels(
    start: np.ndarray,
    saliency: np.ndarray,
    dream: np.ndarray,
    *,
    limits: Limits | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """Input, latest saliency and dream side by side (Figure 4), one row a view.

    Args:
        start, saliency, dream: (H, W), or (H, W, C) or (B, H, W, C) with a view in each channel and image.
        limits: of the colour scales; None for those of a dream with the paper's clips.
        title, note: the class dreamt of and the iteration; what the numbers come from.

    Raises:
        cases.MammoError: the three differ in shape.
    """
    start, saliency, dream = (_views(part) for part in (start, saliency, dream))
    if not start.shape == saliency.shape == dream.shape:
        raise cases.MammoError(
            f"dream: input {start.shape}, saliency {saliency.shape} and dream {dream.shape} differ"
        )
    limits = limits or Limits()
    figure = figures._figure(WIDTH, HEIGHT * len(start) + 0.65, title or "Directed Dream", note)
    grid = figure.subplots(len(start), 3, squeeze=False)
    for row, parts in zip(grid, zip(start, saliency, dream, strict=True), strict=True):
        _panel(row[0], parts[0], "gray", limits.image)
        _panel(row[1], parts[1], SIGNED, limits.saliency)
        _panel(row[2], parts[2], "gray", limits.image)
    for axes, name in zip(grid[0], PANELS, strict=True):
        axes.set_title(name, fontsize=9)
    return figure


def pairs(
    starts: np.ndarray,
    dreams: Mapping[str, np.ndarray],
    titles: Sequence[str],
    *,
    limit: float = 3.0,
    title: str = "",
    note: str = "",
) -> Figure:
    """Lesions, a column each, above their dreams, a row for each way; one scale of gray for all.

    Args:
        starts: (N, H, W).
        dreams: name of the way -> (N, H, W).
        titles: N, above the columns.
        limit: gray runs from -limit to limit.

    Raises:
        cases.MammoError: starts, dreams and titles of different numbers.
    """
    lengths = [len(starts), len(titles), *map(len, dreams.values())]
    if len(set(lengths)) > 1:
        raise cases.MammoError(f"dreams: {lengths} starts, titles and dreams; expected one of each")
    rows = {PANELS[0]: starts, **{f"dream, {way}": images for way, images in dreams.items()}}
    figure = figures._figure(max(1.7 * len(starts) + 0.4, 4.5), 1.75 * len(rows) + 0.7, title or "Dreams", note)
    if not len(starts):
        return figures._nothing(figure)
    for row, (name, images) in zip(figure.subplots(len(rows), len(starts), squeeze=False), rows.items(), strict=True):
        for axes, image in zip(row, images, strict=True):
            axes.imshow(image, cmap="gray", vmin=-limit, vmax=limit, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        row[0].set_ylabel(name, fontsize=9)
    for axes, text in zip(figure.axes, titles, strict=False):
        axes.set_title(text, fontsize=9)
    return figure


def _panel(axes: Axes, part: np.ndarray, colours: str, top: float) -> None:
    shown = axes.imshow(part, cmap=colours, vmin=-top, vmax=top, interpolation="nearest")
    axes.set_axis_off()
    bar = axes.figure.colorbar(shown, ax=axes, location="bottom", shrink=0.7, aspect=25, pad=0.02)
    bar.set_ticks([-top, 0, top], labels=[f"{-top:g}", "0", f"{top:g}"], fontsize=7)
    bar.outline.set_visible(False)


def _views(part: np.ndarray) -> np.ndarray:
    """(V, H, W): the channels of an image, or of one image after the other."""
    part = np.asarray(part)
    if part.ndim == 2:
        return part[None]
    return np.moveaxis(part, -1, -3).reshape(-1, *part.shape[-3:-1])


def write_frames(
    result: Any, folder: pathlib.Path, *, title: str = "Directed Dream", note: str = "", rate: float = 10.0
) -> Written:
    """The kept frames of a dream as `frame_<iteration>.png`, `dream.gif` and `dream.mp4`.

    The MP4 is MPEG-4 part 2 ("mp4v"), the codec that OpenCV's wheels bring along: players show it, browsers do not; a
    page shows the GIF.

    Args:
        result: an `explain.dream.Dream` with frames; of one lesion, one view or two.
        folder: made where it is missing.
        title: of every frame; the iteration stands above the dream.
        rate: frames a second.

    Raises:
        cases.MammoError: the dream has kept no frames.
        cases.DataError: a file cannot be written.
    """
    if result.frames is None:
        raise cases.MammoError("dream: it has kept no frames; dream with frame_every=1")
    folder = pathlib.Path(folder)
    gif, mp4 = folder / "dream.gif", folder / "dream.mp4"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = tuple(_write_pictures(result, folder, title, note))
        _write_gif(paths, gif, rate)
    except OSError as error:
        raise cases.DataError(folder, f"frames cannot be written: {error.strerror or error}") from None
    _write_mp4(paths, mp4, rate)
    return Written(paths, gif, mp4)


def _write_pictures(result: Any, folder: pathlib.Path, title: str, note: str) -> Iterator[pathlib.Path]:
    """One figure, laid out once, its pictures exchanged: panels that move by a pixel would flicker."""
    frames, last = result.frames, result.settings.iterations
    limits = Limits(result.settings.clip_image, result.settings.clip_gradient)
    figure = three_panels(result.start, result.saliency, result.image, limits=limits, title=title, note=note)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    panels = [axes for axes in figure.axes if axes.images]
    for i, saliency, image in zip(frames.iterations, frames.saliency, frames.images, strict=True):
        for k, parts in enumerate(zip(_views(saliency), _views(image), strict=True)):
            for axes, part in zip(panels[3 * k + 1 : 3 * k + 3], parts, strict=True):
                axes.images[0].set_data(part)
        panels[2].set_title(f"{PANELS[2]}, iteration {i} of {last}", fontsize=9)
        path = folder / f"frame_{i:0{len(str(last))}d}.png"
        Image.fromarray(_even(figures.to_array(figure))).save(path)
        yield path


def _even(frame: np.ndarray) -> np.ndarray:
    """Padded by white to an even number of pixels either way, which a video needs."""
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), constant_values=255)


def _write_gif(paths: Sequence[pathlib.Path], to: pathlib.Path, rate: float) -> None:
    """Each frame in 256 colours of its own, as Pillow's way to a palette shared by all is off by several grays.

    The last frame stays for two seconds.
    """
    pages = (Image.open(path).quantize(256) for path in paths)
    times = [round(1000 / rate)] * (len(paths) - 1) + [2000]
    next(pages).save(to, save_all=True, append_images=pages, duration=times, loop=0)


def _write_mp4(paths: Sequence[pathlib.Path], to: pathlib.Path, rate: float) -> None:
    first = cv2.imread(str(paths[0]))
    writer = cv2.VideoWriter(str(to), cv2.VideoWriter_fourcc(*"mp4v"), rate, first.shape[1::-1])
    if not writer.isOpened():
        raise cases.DataError(to, "cannot be written: the folder is closed, or OpenCV has no MPEG-4 encoder here")
    try:
        for path in paths:
            writer.write(cv2.imread(str(path)))
    finally:
        writer.release()
