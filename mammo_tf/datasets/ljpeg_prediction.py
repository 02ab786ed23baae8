"""The predictors of lossless JPEG (ITU-T T.81, table H.1): the differences of an image, and an image from them.

a is the pixel on the left, b the one above, c the one left of that: 1 = a, 2 = b, 3 = c, 4 = a + b - c,
5 = a + (b - c) / 2, 6 = b + (a - c) / 2, 7 = (a + b) / 2, rounded down; the first column goes by b. Everything is
modulo 65536. See `ljpeg` for the two rules of the first line.

    pixels = ljpeg_prediction.restored(differences, predictor=4, start=2048, left_first=False)
"""

from __future__ import annotations

import numpy as np

ALGORITHM_VERSION = 1
MASK = 0xFFFF


def restored(coded: np.ndarray, predictor: int, start: int, *, left_first: bool) -> np.ndarray:
    """The pixels (H, W), int32 from 0 to 65535.

    Args:
        coded: the differences, (H, W) uint16.
        predictor: 1 to 7.
        start: what the first pixel is predicted from, and the line above the first one.
        left_first: whether the first line goes by its left neighbours, as in T.81.
    """
    coded = coded.astype(np.int32)
    framed = np.full((coded.shape[0] + 1, coded.shape[1] + 1), start, np.int32)  # a line above, a column before
    framed[1:, 1] = (start + np.cumsum(coded[:, 0])) & MASK
    if left_first:
        framed[1, 1:] = (start + np.cumsum(coded[0])) & MASK
    restore = _diagonals if predictor in (6, 7) else _lines
    restore(framed, coded, predictor, int(left_first))
    return framed[1:, 1:]


def _lines(framed: np.ndarray, coded: np.ndarray, predictor: int, first: int) -> None:
    for row in range(first, len(coded)):
        b, c, line, rest = framed[row, 2:], framed[row, 1:-1], framed[row + 1], coded[row, 1:]
        if predictor in (2, 3):
            line[2:] = ((b if predictor == 2 else c) + rest) & MASK
        else:
            slope = 0 if predictor == 1 else (b - c) >> (predictor == 5)
            line[2:] = (line[1] + np.cumsum(rest + slope)) & MASK


def _diagonals(framed: np.ndarray, coded: np.ndarray, predictor: int, first: int) -> None:
    """Predictors 6 and 7 round what is on the left: only a diagonal, from top right to bottom left, goes at once."""
    rows, columns = coded.shape
    pixels, rest, wide = framed.reshape(-1), coded.reshape(-1), columns + 1
    for diagonal in range(first + 1, rows + columns - 1):
        row = max(first, diagonal - columns + 1)
        count = min(rows - 1, diagonal - 1) - row + 1
        at, own = (row + 1) * wide + diagonal - row + 1, row * columns + diagonal - row
        a, b, c, out = (_every(pixels, at - back, columns, count) for back in (1, wide, wide + 1, 0))
        guess = (a + b) >> 1 if predictor == 7 else b + ((a - c) >> 1)
        out[:] = (guess + _every(rest, own, columns - 1, count)) & MASK


def _every(values: np.ndarray, at: int, step: int, count: int) -> np.ndarray:
    return values[at : at + (count - 1) * step + 1 : max(step, 1)]


def differences(pixels: np.ndarray, predictor: int, start: int) -> np.ndarray:
    """The differences (H, W) uint16 of an image with a line of `start` above it: the inverse of `restored`."""
    framed = np.pad(pixels.astype(np.int32), ((1, 0), (1, 0)), constant_values=start)
    a, b, c = framed[1:, :-1], framed[:-1, 1:], framed[:-1, :-1]
    guess = [a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1][predictor - 1].copy()
    guess[:, 0] = b[:, 0]
    return ((framed[1:, 1:] - guess) & MASK).astype(np.uint16)
