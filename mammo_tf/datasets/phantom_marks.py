"""What is burnt in at the border of a view: letters, a lit box or a strip of tape with letters, a bare film edge.

None of it looks at the lesions.

    burn_in(pixels, Mark("R CC", "tape"), 0.4, gray=59000, left=True)
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

KINDS = {"film": ("letters", "box", "tape"), "ffdm": ("letters", "corners")}
_LETTERS_MM = 6.0


@dataclasses.dataclass(frozen=True)
class Mark:
    """A marker in the upper corner away from the chest wall.

    Attributes:
        text: such as "R CC"; "" for no marker.
        kind: "letters" alone, dark letters in a lit "box", letters on a dim "tape", or between four "corners".
        place: (x, y) in [0, 1], where in the free corner it lies.
        tilt: of a tape, its slope.
        bare_edge: a strip of the film that was not exposed: "top", "bottom" or "".
    """

    text: str = ""
    kind: str = "letters"
    place: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.0
    bare_edge: str = ""


def mark(rng: np.random.Generator, look: str, text: str, chance: float) -> Mark:
    """A marker with that text, or none; it always takes the same number of draws."""
    marked, kind, bare = rng.random() < chance, rng.random(), rng.random()
    place, tilt = (float(rng.random()), float(rng.random())), float(rng.normal(0, 0.03))
    kinds = KINDS[look]
    edge = ("top" if bare < 0.06 else "bottom" if bare < 0.12 else "") if look == "film" else ""
    return Mark(text if marked else "", kinds[int(kind * len(kinds))], place, tilt, edge)


def burn_in(pixels: np.ndarray, marker: Mark, spacing_mm: float, *, gray: int, left: bool) -> None:
    """Writes the marker into the upper left or right corner, in `gray`, in place; letters are about 6 mm high."""
    if marker.bare_edge:
        thick = max(1, round((0.6 + 1.5 * marker.place[1]) / spacing_mm))
        pixels[slice(thick) if marker.bare_edge == "top" else slice(-thick, None)] = gray
    if not marker.text:
        return
    ink, ground = _draw(pixels.shape, marker, spacing_mm, left)
    dim = {"box": 1.0, "tape": 0.55}.get(marker.kind, 0.0)
    pixels[:] = np.maximum(pixels, (ground * np.float32(dim * gray)).astype(pixels.dtype))
    written = 0.1 if marker.kind == "box" else 1.0
    pixels[:] = np.where(ink > 0.5, np.asarray(written * gray, pixels.dtype), pixels)


def _draw(shape: tuple[int, int], marker: Mark, spacing_mm: float, left: bool) -> tuple[np.ndarray, np.ndarray]:
    """The letters and what lies behind them, (H, W) float32 in [0, 1] each."""
    height = max(8.0, _LETTERS_MM / spacing_mm)
    font, scale, stroke = cv2.FONT_HERSHEY_SIMPLEX, height / 22, max(1, round(0.6 / spacing_mm))
    (width, _), _ = cv2.getTextSize(marker.text, font, scale, stroke)
    column = round(height * (0.5 + 0.8 * marker.place[0]))
    column = column if left else shape[1] - width - column
    base = round(height * (1.6 + 1.5 * marker.place[1]))
    ink, ground = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    cv2.putText(ink, marker.text, (column, base), font, scale, 255, stroke, cv2.LINE_AA)
    x, y = (column - 0.4 * height, column + width + 0.4 * height), (base - 1.3 * height, base + 0.5 * height)
    lean = marker.tilt * (x[1] - x[0]) if marker.kind == "tape" else 0.0
    box = np.array([(x[0], y[0]), (x[1], y[0] + lean), (x[1], y[1] + lean), (x[0], y[1])])
    if marker.kind in ("box", "tape"):
        cv2.fillConvexPoly(ground, np.round(box * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    if marker.kind == "corners":
        for corner in box:
            inward = np.sign(box.mean(axis=0) - corner) * 0.35 * height
            hook = np.array([corner + inward * (1, 0), corner, corner + inward * (0, 1)])
            cv2.polylines(ink, [np.round(hook * 16).astype(np.int32)], False, 255, stroke, cv2.LINE_AA, 4)
    return ink.astype(np.float32) / 255, ground.astype(np.float32) / 255
