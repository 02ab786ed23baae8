"""Label policies: how a lesion or a view becomes a label; the record names the one that was used.

labels.pathology.lesion(lesion)       # 1.0 malignant, 0.0 benign, NaN unproven
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from mammo_tf.cases import Lesion, Pathology, View

ALGORITHM_VERSION = 1


@dataclasses.dataclass(frozen=True)
class LabelPolicy:
    """How a lesion or a view becomes a label. `lesion` and `view` return 1.0, 0.0, or NaN for "leave out"."""

    name: str
    class_names: tuple[str, str]
    lesion: Callable[[Lesion], float]
    view: Callable[[View], float]


def _pathology_of_lesion(lesion: Lesion) -> float:
    if lesion.pathology is Pathology.MALIGNANT:
        return 1.0
    return math.nan if lesion.pathology is Pathology.UNPROVEN else 0.0


def _worst(policy_of_lesion: Callable[[Lesion], float], view: View) -> float:
    labels = [policy_of_lesion(lesion) for lesion in view.lesions]
    if 1.0 in labels:
        return 1.0
    return math.nan if any(math.isnan(label) for label in labels) else 0.0


def _pathology_of_view(view: View) -> float:
    return _worst(_pathology_of_lesion, view)


def birads_number(text: str) -> float:
    """The category of a BI-RADS text: "4a" -> 4.0, "5" -> 5.0, anything else -> NaN.

    >>> birads_number("4c"), birads_number("2")
    (4.0, 2.0)
    """
    text = str(text).strip().lower()
    return float(text[0]) if text[:1].isdigit() and text[1:] in ("", "a", "b", "c") else math.nan


def _birads_label(text: str, *, drop: tuple[int, ...]) -> float:
    number = birads_number(text)
    if math.isnan(number) or number == 0 or number in drop:  # 0: assessment incomplete
        return math.nan
    return float(number >= 4)


def _birads_of_lesion(lesion: Lesion, *, drop: tuple[int, ...] = ()) -> float:
    return _birads_label(lesion.attributes.get("assessment", ""), drop=drop)


def _birads_of_view(view: View, *, drop: tuple[int, ...] = ()) -> float:
    if "birads" in view.attributes:
        return _birads_label(view.attributes["birads"], drop=drop)
    return _worst(lambda lesion: _birads_of_lesion(lesion, drop=drop), view)


def _drop_3_of_lesion(lesion: Lesion) -> float:
    return _birads_of_lesion(lesion, drop=(3,))


def _drop_3_of_view(view: View) -> float:
    return _birads_of_view(view, drop=(3,))


def _is_mass(lesion: Lesion) -> float:
    return float(lesion.kind == "mass")


def _shows_mass(view: View) -> float:
    return float(any(lesion.kind == "mass" for lesion in view.lesions))


_OUTCOME = ("benign", "malignant")
_SUSPICION = ("BI-RADS below 4", "BI-RADS 4 and up")

pathology = LabelPolicy("pathology", _OUTCOME, _pathology_of_lesion, _pathology_of_view)
# BI-RADS 4a to 6 against 1 to 3: Kreiss ("4-6 as sick"), and "Low Resource Breast Cancer Detection" (section 3.2).
birads_4_up = LabelPolicy("birads_4_up", _SUSPICION, _birads_of_lesion, _birads_of_view)
# The same without BI-RADS 3, which is "typically not given at screening": Shen et al. 2019, section 3.2.
birads_4_up_drop_3 = LabelPolicy("birads_4_up_drop_3", _SUSPICION, _drop_3_of_lesion, _drop_3_of_view)
# The reader turns MIAS' severities into pathologies: the labels are those of `pathology`, under the name MIAS uses.
mias_severity = LabelPolicy("mias_severity", _OUTCOME, _pathology_of_lesion, _pathology_of_view)
# What a lesion is, whatever became of it: a task beside those of the papers, such as that of a stand-in for ImageNet.
lesion_kind = LabelPolicy("lesion_kind", ("calcification", "mass"), _is_mass, _shows_mass)
