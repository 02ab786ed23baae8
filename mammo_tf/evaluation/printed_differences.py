"""Which differences between the rows of a printed table can be more than chance?

Two rows scored on the same n images are compared by the images that one alone gets right (McNemar). A table prints
how many each gets right, k and l, not which. Between two ends lies what it allows:

    at best: every image that the worse row gets right the better one does too             b = k - l, c = 0
    independent errors, as if neither knew of the other                  b = k (n - l) / n, c = l (n - k) / n

A difference whose p at best is above 0.05 after Holm's correction over all pairs of the table is not shown by it,
whatever the rows' errors have in common. Images of one patient make every p too small, not too large.

    found = differences([{"accuracy": "0.866"}, {"accuracy": "0.854"}], images=82)
    found[0].best, found[0].independent                                             # 1.0, 1.0
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from mammo_tf import cases
from mammo_tf.evaluation import forensics, holm, mcnemar


@dataclasses.dataclass(frozen=True)
class Difference:
    """Two rows of a table.

    Attributes:
        one, other: their numbers in it, from 0.
        texts: their accuracies as printed.
        images: right in one and not in the other at the most that the digits allow, less the reverse.
        best, independent: p, adjusted for all pairs, at both ends.
    """

    one: int
    other: int
    texts: tuple[str, str]
    images: int
    best: float
    independent: float


def differences(
    rows: Sequence[forensics.Row], images: int, *, rounding: str = "nearest", metric: str = "accuracy"
) -> list[Difference]:
    """All pairs of the rows that print the metric.

    Args:
        rows: metric -> digits, scored on the same images.
        images: that the metric is a share of: all for accuracy, the positives for recall.
        rounding: as for `forensics.Printed.read`.
        metric: "accuracy", "recall" or "specificity", of whose images each is right or wrong.

    Raises:
        cases.MammoError: fewer than two rows print it, or digits that no number of so many images gives.
    """
    printed = [(i, row[metric]) for i, row in enumerate(rows) if row.get(metric)]
    if len(printed) < 2:
        raise cases.MammoError(f"forensics: {len(printed)} rows print {metric}; a difference needs two")
    whole = {i: forensics.Printed.read(text, rounding).whole(images) for i, text in printed}
    if odd := [text for i, text in printed if not whole[i]]:
        raise cases.MammoError(f"forensics: {metric} {', '.join(odd)} is of no number of {images} images")
    pairs = list(itertools.combinations(printed, 2))
    apart = [max(abs(a - b) for a in whole[i] for b in whole[j]) for (i, _), (j, _) in pairs]
    best = holm.adjusted([mcnemar.plain(count, 0) for count in apart])
    alone = holm.adjusted([_independent(whole[i], whole[j], images) for (i, _), (j, _) in pairs])
    return [
        Difference(i, j, (one, other), count, float(p), float(q))
        for ((i, one), (j, other)), count, p, q in zip(pairs, apart, best, alone, strict=True)
    ]


def _independent(one: range, other: range, images: int) -> float:
    """McNemar's exact p at the expected discordant images; of the numbers that the digits allow, the furthest."""
    found = []
    for k, m in itertools.product((one[0], one[-1]), (other[0], other[-1])):
        found.append(mcnemar.plain(round(k * (images - m) / images), round(m * (images - k) / images)))
    return min(found)
