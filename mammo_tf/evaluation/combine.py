"""The mean of several answers: of several nets (model averaging), of one net's four flips (augmented prediction).

Source: Shen et al., section 3.1.4, "Augmented prediction and model averaging": the mean over an image and its
horizontal, vertical and double flip, and over four models the mean of their augmented predictions. Probabilities are
averaged, not logits.

    members = combine.aligned([p.ids for p in predictions], [p.probabilities for p in predictions])
    ensemble = combine.average(members)                    # (M, N, C) -> (N, C)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases

ALGORITHM_VERSION = 1

TOLERANCE = 1e-3  # by which the probabilities of an example may miss the sum 1
ROUNDING = 1e-5  # by which a probability in float32 may pass 1


def average(probabilities: ArrayLike) -> np.ndarray:
    """The mean over M answers to the same N examples.

    Args:
        probabilities: (M, N, C) in [0, 1], M >= 1, C >= 2; each example's C sum to 1.

    Returns:
        float32 (N, C).

    Raises:
        cases.MammoError: another shape, values outside [0, 1] or not finite, or sums other than 1.

    >>> average([[[0.25, 0.75]], [[0.75, 0.25]]]).tolist()
    [[0.5, 0.5]]
    """
    return _checked(probabilities).mean(axis=0).astype(np.float32)


def four_flips(probabilities: ArrayLike) -> np.ndarray:
    """The mean over an image as it is, flipped left to right, top to bottom, and both: (4, N, C) -> float32 (N, C).

    Raises:
        cases.MammoError: as `average`, or not four answers.
    """
    probabilities = _checked(probabilities)
    if len(probabilities) != 4:
        raise cases.MammoError(f"combine: {len(probabilities)} answers for each image; expected 4, one for each flip")
    return average(probabilities)


def aligned(ids: Sequence[Sequence[str]], probabilities: Sequence[ArrayLike]) -> np.ndarray:
    """The answers of M members to the same examples in any order, (M, N, C) in the order of the first member.

    Args:
        ids: for each member the ids of its examples (N,).
        probabilities: for each member (N, C), row by row those of its ids.

    Raises:
        cases.MammoError: no member; ids that repeat or differ between members; as many rows as ids expected, or
            another number of classes.
    """
    if not len(ids) or len(ids) != len(probabilities):
        raise cases.MammoError(f"combine: {len(ids)} lists of ids and {len(probabilities)} of answers; one a member")
    answers = [np.asarray(p, dtype=np.float64) for p in probabilities]
    for member, (names, answer) in enumerate(zip(ids, answers, strict=True)):
        expected = (len(ids[0]), *answers[0].shape[1:])
        if answer.ndim != 2 or answer.shape != expected or len(names) != len(answer):
            raise cases.MammoError(
                f"combine: member {member} has {len(names)} ids and answers {answer.shape}; the first has {expected}"
            )
    return np.stack(
        [answer[_rows(ids[0], names, i)] for i, (names, answer) in enumerate(zip(ids, answers, strict=True))]
    )


def _rows(wanted: Sequence[str], names: Sequence[str], member: int) -> list[int]:
    """Where each of the wanted ids stands among a member's names."""
    row = {name: i for i, name in enumerate(names)}
    if len(row) < len(names):
        raise cases.MammoError(f"combine: {len(names) - len(row)} example ids repeat within member {member}")
    if missing := sorted(set(wanted) - set(row)):
        raise cases.MammoError(
            f"combine: {len(missing)} of the {len(wanted)} examples of the first member are not among those of "
            f"member {member} ({missing[0]}, ...)"
        )
    return [row[name] for name in wanted]


def _checked(probabilities: ArrayLike) -> np.ndarray:
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 3 or not p.shape[0] or p.shape[2] < 2:
        raise cases.MammoError(
            f"combine: answers {p.shape}; expected (members, examples, classes), 2 classes at least"
        )
    if wrong := int((~((p >= 0) & (p <= 1 + ROUNDING))).sum()):
        raise cases.MammoError(f"combine: {wrong} of {p.size} probabilities are not in [0, 1]")
    if wrong := int((np.abs(p.sum(axis=2) - 1) > TOLERANCE).sum()):
        raise cases.MammoError(
            f"combine: the probabilities of {wrong} of {p.shape[0] * p.shape[1]} answers do not sum to 1"
        )
    return p
