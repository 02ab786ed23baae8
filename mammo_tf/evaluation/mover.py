"""The difference of two estimates from the bounds of each and their correlation (MOVER; Zou 2007).

With values A and B, their bounds (l, u) each and r their correlation (doi:10.1037/1082-989X.12.4.399),

    low = A - B - sqrt((A - l_A)^2 + (u_B - B)^2 - 2 r (A - l_A) (u_B - B))         high likewise

so that a bound that is further away on one side stays so. Its p is 1 - the level at which a bound of the difference
is 0.

    low, high = mover.difference((0.8, 0.7), [(0.7, 0.88), (0.6, 0.79)], correlation=0.5)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scipy import optimize, stats

LEAST_Z, LARGEST_Z = 1e-3, 40.0
Bounds = tuple[float, float]


def difference(values: Sequence[float], bounds: Sequence[Bounds], correlation: float) -> Bounds:
    """The bounds of the first value minus the second.

    Args:
        values: A and B.
        bounds: (low, high) of each.
        correlation: of the two estimates, in [-1, 1]; 0 for independent ones.
    """
    (a, b), ((low_a, high_a), (low_b, high_b)) = values, bounds
    below, above = apart(a - low_a, high_b - b, correlation), apart(high_a - a, b - low_b, correlation)
    return a - b - below, a - b + above


def p_value(values: Sequence[float], bounds: Callable[[float], Sequence[Bounds]], correlation: float) -> float:
    """Two-sided p that the two are equal; NaN where a value is.

    Args:
        values: A and B.
        bounds: z -> bounds of each at z standard errors.
        correlation: of the two estimates.
    """
    value = values[0] - values[1]
    if math.isnan(value) or value == 0:
        return math.nan if math.isnan(value) else 1.0
    side = 0 if value > 0 else 1

    def end(z: float) -> float:
        return math.copysign(1, value) * difference(values, bounds(z), correlation)[side]

    if not end(LARGEST_Z) < 0:
        return float(2 * stats.norm.sf(LARGEST_Z))
    if not end(LEAST_Z) > 0:
        return 1.0
    return float(2 * stats.norm.sf(optimize.brentq(end, LEAST_Z, LARGEST_Z, xtol=1e-6)))


def apart(one: float, other: float, correlation: float) -> float:
    """sqrt(one^2 + other^2 - 2 correlation one other), of two distances to bounds."""
    return math.sqrt(max(one * one + other * other - 2 * correlation * one * other, 0.0))
