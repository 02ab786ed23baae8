"""p-values adjusted for how many were looked at, by Holm's step-down method (1979, JSTOR 4615733).

Whatever the p-values have to do with each other, the chance that any true null hypothesis has an adjusted p of 0.05
or less is 0.05 at most. Which p-values form a family must be said before they are seen.

    holm.adjusted([0.01, 0.04, 0.03])                # [0.03, 0.06, 0.06]
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases


def adjusted(p_values: ArrayLike) -> np.ndarray:
    """p-values (K,) -> adjusted ones (K,), in their order: the i-th smallest of m times m - i + 1, never falling.

    NaN (a test that could not be made) stays NaN and is not counted.

    Raises:
        cases.MammoError: not (K,), or a p-value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise cases.MammoError(f"holm: p-values {p.shape}; expected (K,)")
    tested = np.flatnonzero(~np.isnan(p))
    if wrong := int(((p[tested] < 0) | (p[tested] > 1)).sum()):
        raise cases.MammoError(f"holm: {wrong} of {len(p)} p-values are not in [0, 1]")
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    found = np.full(len(p), np.nan)
    found[order] = np.minimum(steps, 1.0)
    return found


def within(p_values: Sequence[float], families: Sequence[Hashable]) -> np.ndarray:
    """`adjusted` within each family, (K,) in their order; `families` names that of each p-value."""
    found = np.full(len(p_values), np.nan)
    for family in dict.fromkeys(families):
        rows = [i for i, other in enumerate(families) if other == family]
        found[rows] = adjusted([p_values[i] for i in rows])
    return found
