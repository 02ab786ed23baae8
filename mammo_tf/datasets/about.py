"""What a dataset is and what its tables list, before any image is opened: where `mammo-tf check` starts.

A format module has `ABOUT`, an `About`, and `entries(root)`, which reads its tables alone.

    about.Entry(image="22580192", patient_id="5530d5782fc89dd7", label="BI-RADS 5", side="RIGHT", view="CC")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class About:
    """A dataset as its makers describe it.

    Attributes:
        title: its full name.
        where: where it is to be had, as a person would look for it.
        terms: under which terms.
        citation: how it is cited.
        tree: the folder tree that the reader expects, as text of several lines.
        known: published facts to hold the found ones against, by what they count, such as {"images": 410}; numbers
            of `mammo-tf check` bear the same names.
        mean_8bit: published mean of the training images on a scale from 0 to 255, None where nobody says.
        mean_source: where that mean stands.
    """

    title: str
    where: str
    terms: str
    citation: str
    tree: str
    known: Mapping[str, int] = dataclasses.field(default_factory=dict)
    mean_8bit: float | None = None
    mean_source: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row of a dataset's tables: an annotated lesion, or an image without one.

    Attributes:
        image: the image's id, as `cases.View.id` has it.
        patient_id: as `cases.View.patient_id` has it.
        label: the outcome in the dataset's words: "MALIGNANT", "BI-RADS 4a", "NORMAL"; "" where it says none.
        kind: of the lesion ("mass", "calcification", ...), "" for an image without one.
        side: "LEFT", "RIGHT" or "".
        view: "CC", "MLO", another projection in the dataset's words, or "".
        part: the official part, "train" or "test", or "".
        density: of the breast, in the dataset's words, or "".
    """

    image: str
    patient_id: str
    label: str
    kind: str = ""
    side: str = ""
    view: str = ""
    part: str = ""
    density: str = ""
