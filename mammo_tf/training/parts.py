"""What is asked of a part of the data before a training: its classes, their weights, its fingerprint.

check_labels("training", arrays.labels, classes=5, needed=5)
weights = arrays.weights * class_factors(arrays, "balanced", classes=5)
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from mammo_tf import cases


def check_labels(part: str, labels: np.ndarray, classes: int = 2, needed: int | None = None) -> None:
    """Refuses a part with unknown labels or with too few classes.

    Args:
        part: "training" or "validation", for the message.
        labels: (N,), class numbers 0 to classes - 1 expected.
        classes: how many there are.
        needed: how many of them the part must hold; None for all.

    Raises:
        MammoError: names the part and what was found.
    """
    counts = [int(np.sum(labels == label)) for label in range(classes)]
    if unknown := len(labels) - sum(counts):
        numbers = "neither 0 nor 1" if classes == 2 else f"no class number from 0 to {classes - 1}"
        raise cases.MammoError(f"{part} part: {unknown} label(s) are {numbers}")
    needed = classes if needed is None else needed
    if sum(map(bool, counts)) >= needed:
        return
    wanted = (
        "both classes" if classes == 2 else f"all {classes} classes" if needed == classes else f"{needed} classes"
    )
    found = [f"{count} of class {label}" for label, count in enumerate(counts)]
    listed = f"{', '.join(found[:-1])} and {found[-1]}"
    raise cases.MammoError(f"{part} part: {wanted} are needed, found {listed}")


def class_factors(arrays: Any, class_weight: str | None, classes: int = 2) -> np.ndarray:
    """Factor (N,) on the sample weights: "balanced" gives the classes equal totals and keeps the whole total.

    With unit weights that is n / (classes n_class), as in scikit-learn.
    """
    if class_weight is None:
        return np.ones(len(arrays.labels), np.float32)
    totals = np.array([arrays.weights[arrays.labels == label].sum() for label in range(classes)], np.float64)
    return (totals.sum() / (classes * totals))[arrays.labels.astype(int)].astype(np.float32)


def digest(arrays: Any) -> str:
    """Hash of a part's images, labels, weights and ids (and of the boxes of its patches), 16 hexadecimal digits."""
    found = hashlib.sha256("\n".join(arrays.ids).encode())
    boxes = [] if getattr(arrays, "where", None) is None else [arrays.where]
    for array in (arrays.images, arrays.labels, arrays.weights, *boxes):
        found.update(np.ascontiguousarray(array).data)
    return f"{len(arrays.ids)} examples {found.hexdigest()[:16]}"


def digest_variables(variables: Any) -> str:
    """Hash of the values of Keras variables in their order, 16 hexadecimal digits.

    Names do not count: Keras numbers seed generators by what the process built before.
    """
    found = hashlib.sha256()
    for variable in variables:
        value = np.ascontiguousarray(variable.value.numpy())
        found.update(f"{value.dtype} {value.shape}".encode())
        found.update(value.tobytes())
    return found.hexdigest()[:16]
