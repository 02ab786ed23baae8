"""What the scores of a method of explanation say of it, and the names that they have among the claims of a record.

    explain_<method>_<score>                   mean over the lesions
    explain_<method>_<score>_above_chance      the same less what chance gives, lesion by lesion

Two verdicts, each from a 95 % interval over patients:

    sanity   passed where |cascade|, with every weight random, stays below SANITY_BOUND: the upper bound is compared
    finds    which of FINDING are above chance: the lower bound of the difference is above 0

Adebayo et al. 2018 (arXiv:1810.03292) draw curves and name no bound; 0.5 is ours. At a rank correlation of r the map
of a net that has learned nothing tells r^2 of the ranks of the other, a quarter at 0.5, and some likeness comes from
the image in any method. So a method that passes shows more of the net than of the image; that it shows all of it is
not said. Intervals are not corrected for the number of methods and scores, so a map of noise "finds" a lesion now and
then, and with few patients they trust in a normal distribution. Below FEW patients both verdicts carry a star.

    verdict(record.claims, "saliency").sanity        # True, False, or None where it cannot be told
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

PREFIX, GAP = "explain_", "_above_chance"
CHANCE = "chance"
SANITY_BOUND = 0.5
FEW = 20  # patients
SANITY = "sanity"  # mean of |cascade|; "cascade" itself may cancel out, being of either sign
FINDING = ("pointing", "inside", "auc")
LESION = ("pointing", "inside", "dice", "iou", "auc")
NET = ("deletion", "insertion")
LIKENESS = ("cascade", "cascade_ssim", "independent", "independent_ssim")
FLIPS = ("flip_horizontal", "flip_vertical")
SCORES = (*LESION, *NET, *LIKENESS, *FLIPS, SANITY)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Of one method.

    Attributes:
        sanity: whether it passes; None where there is no interval.
        finds: the scores of FINDING that are above chance; None where none has an interval.
        patients: whom the intervals go over, of the claim with the fewest; 0 where there is none.
    """

    sanity: bool | None
    finds: tuple[str, ...] | None
    patients: int = 0


def claim(method: str, score: str, *, gap: bool = False) -> str:
    """The name of a claim.

    >>> claim("lrp_z_plus", "auc", gap=True)
    'explain_lrp_z_plus_auc_above_chance'
    """
    return f"{PREFIX}{method}_{score}{GAP if gap else ''}"


def methods(claims: Iterable[str]) -> tuple[str, ...]:
    """The methods that claims speak of, in their order, without chance.

    >>> methods(["auc", "explain_chance_auc", "explain_smoothgrad_cascade_ssim", "explain_smoothgrad_auc"])
    ('smoothgrad',)
    """
    found = (_method(name.removeprefix(PREFIX).removesuffix(GAP)) for name in claims if name.startswith(PREFIX))
    return tuple(dict.fromkeys(name for name in found if name and name != CHANCE))


def title(method: str) -> str:
    """A method's name as tables and figures show it.

    >>> title("lrp_z_plus"), title("gradient_x_input"), title("gradcam")
    ('LRP z plus', 'gradient x input', 'Grad-CAM')
    """
    known = {"gradcam": "Grad-CAM", "smoothgrad": "SmoothGrad"}
    return known.get(method, method.replace("_", " ").replace("lrp ", "LRP "))


def _method(name: str) -> str:
    return next((name.removesuffix(f"_{score}") for score in SCORES if name.endswith(f"_{score}")), "")


def verdict(claims: Mapping[str, Any], method: str) -> Verdict:
    """What the claims of a record (name -> Estimate) say of a method."""
    strength = claims.get(claim(method, SANITY))
    gaps = {score: claims.get(claim(method, score, gap=True)) for score in FINDING}
    told = {score: gap for score, gap in gaps.items() if _has_interval(gap)}
    return Verdict(
        strength.high < SANITY_BOUND if _has_interval(strength) else None,
        tuple(score for score, gap in told.items() if gap.low > 0) if told else None,
        min((e.patients for e in (strength, *told.values()) if _has_interval(e)), default=0),
    )


def _has_interval(estimate: Any) -> bool:
    """Of one patient there is none, whatever the bounds."""
    return (
        estimate is not None
        and estimate.patients > 1
        and not math.isnan(estimate.low)
        and not math.isnan(estimate.high)
    )


def words(found: Verdict) -> tuple[str, str]:
    """Both verdicts as a table says them, with a star where there are few patients.

    >>> words(Verdict(True, ("pointing", "auc"), 20)), words(Verdict(False, (), 8)), words(Verdict(None, None))
    (('passed', 'yes: pointing, auc'), ('failed*', 'no*'), ('no interval', 'no interval'))
    """
    star = "*" if found.patients < FEW else ""
    sanity = "no interval" if found.sanity is None else f"passed{star}" if found.sanity else f"failed{star}"
    if found.finds is None:
        return sanity, "no interval"
    return sanity, f"yes{star}: {', '.join(found.finds)}" if found.finds else f"no{star}"
