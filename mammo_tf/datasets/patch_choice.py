"""How large patches are at other image sizes, and which of them a net finds hard.

The paper's patch is 224 pixels of an image 1152 high (Shen et al. 2019, section 3.1.1). Mining of hard patches
("that are likely to be misclassified") is what its discussion leaves to further research.

    side = patch_choice.scaled_patch(512)                                     # 96
    train = patch_choice.hard(parts.train, probabilities, share=0.3, copies=1)
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from mammo_tf import cases

ALGORITHM_VERSION = 1

PAPER_HEIGHT, PAPER_PATCH = 1152, 224


def scaled_patch(height: int, *, multiple: int = 32, least: int = 64) -> int:
    """The side of a patch that takes as much of an image of that height as the paper's does, in pixels.

    >>> scaled_patch(1152), scaled_patch(2304), scaled_patch(128)
    (224, 448, 64)
    """
    return _rounded(height * PAPER_PATCH / PAPER_HEIGHT, multiple, least)


def patch_for_spacing(patch_mm: float, spacing_mm: float, *, multiple: int = 32, least: int = 64) -> int:
    """The side in pixels of a patch that covers `patch_mm`, where a pixel is `spacing_mm` wide.

    >>> patch_for_spacing(44.8, 0.2), patch_for_spacing(44.8, 0.1)
    (224, 448)

    Raises:
        cases.MammoError: a length is not above 0.
    """
    if not (patch_mm > 0 and spacing_mm > 0):
        raise cases.MammoError(f"patches: lengths are above 0 mm, found patch {patch_mm} and spacing {spacing_mm}")
    return _rounded(patch_mm / spacing_mm, multiple, least)


def _rounded(side: float, multiple: int, least: int) -> int:
    return max(least, multiple * math.floor(side / multiple + 0.5 + 1e-9))


def hard(
    examples: Sequence[cases.Example], probabilities: np.ndarray, share: float, *, copies: int = 0
) -> tuple[cases.Example, ...]:
    """The hardest patches of each class: those whose true class is given the least probability.

    Args:
        examples: of the training part; labels are class numbers.
        probabilities: (N, C) in [0, 1], of the examples in their order, by a net that has not been trained on them to
            the end (on such a one, nothing is hard).
        share: of each class, in (0, 1]; at least one patch is taken.
        copies: 0 drops the easy patches; n keeps all and adds n copies of each hard one, `<id>/hard1` and so on.

    Returns:
        Examples in the order given, the copies last; the same for the same arguments, ties going by id.

    Raises:
        cases.MammoError: the probabilities do not fit the examples, or an argument is outside its range.
    """
    found, labels = np.asarray(probabilities), [int(example.label) for example in examples]
    if (
        found.ndim != 2
        or len(found) != len(examples)
        or (labels and not 0 <= min(labels) <= max(labels) < len(found.T))
    ):
        raise cases.MammoError(
            f"patches: probabilities {found.shape} for {len(examples)} examples with their classes"
        )
    if not 0 < share <= 1 or copies < 0 or not np.isfinite(found).all():
        raise cases.MammoError(f"patches: share is in (0, 1], copies at least 0, found {share}, {copies}, or a NaN")
    of_class = collections.defaultdict(list)
    for row, (example, label) in enumerate(zip(examples, labels, strict=True)):
        of_class[label].append((float(found[row, label]), example.id, row))
    chosen = sorted(
        row for some in of_class.values() for *_, row in sorted(some)[: math.ceil(share * len(some) - 1e-9)]
    )
    hardest = [examples[row] for row in chosen]
    if not copies:
        return tuple(hardest)
    again = [dataclasses.replace(e, id=f"{e.id}/hard{n}") for n in range(1, copies + 1) for e in hardest]
    return (*examples, *again)
