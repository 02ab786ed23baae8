"""The faults of the published CBIS-DDSM, planted in what `cbis_ddsm_writer` writes, at the published rates.

Each is drawn from the name of its folder alone: the same folder, the same faults. Counts are those of the four tables
(rows or films with the fault, of all rows or films), but for the swaps, which were counted over the files of 1316
rows, and for the masks of another size: the published share is about 8 of 3568, drawn are more.

    crop, mask, swapped = cbis_ddsm_planted.lesion_paths(table, "Mass-Training_P_00001_LEFT_CC_1")
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import cv2
import numpy as np

from mammo_tf import regions
from mammo_tf.datasets import cbis_ddsm_tables as tables
from mammo_tf.datasets import dicom


@dataclasses.dataclass(frozen=True)
class Rates:
    """How often what is wrong in a table.

    Attributes:
        swapped: crop and mask stand in each other's file.
        split: they lie in two series.
        numbered: films whose abnormality ids are not 1..n.
        density_0: films of breast density 0, which is none of the four.
        subtlety_0: lesions of subtlety 0, which is none of the five.
        doubled: lesions of type PLEOMORPHIC-PLEOMORPHIC.
    """

    swapped: float = 0.0
    split: float = 0.0
    numbered: float = 0.0
    density_0: float = 0.0
    subtlety_0: float = 0.0
    doubled: float = 0.0


RATES = {
    ("mass", "train"): Rates(swapped=585 / 1316, split=92 / 1318, numbered=19 / 1231, subtlety_0=2 / 1318),
    ("mass", "test"): Rates(split=11 / 378, numbered=9 / 361),
    ("calcification", "train"): Rates(split=1 / 1546, numbered=57 / 1227, doubled=1 / 1546),
    ("calcification", "test"): Rates(numbered=16 / 284, density_0=2 / 284),
}
OTHER_SIZE = 0.005  # of the lesions
LUCENT = {"LUCENT_CENTER": 196 / 1872, "LUCENT_CENTERED": 44 / 1872}  # of the calcifications, in either spelling
_LUCENT_ARE = ("ROUND_AND_REGULAR", "COARSE", "PUNCTATE")  # types that it comes with
_SMALLER = 43.5 / 50  # side of a mask over that of its film, as in P_00145, P_00379 and P_00381
_FRAME = (64 / 4624, 32 / 3056)  # rows and columns more than the film has, as in P_00353


def draw(folder: str, fault: str) -> float:
    """A number in [0, 1) made of the names alone."""
    digest = hashlib.sha256(f"{folder}\0{fault}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def film_path(folder: str) -> str:
    """Where the table says that the film of a folder lies."""
    return _path(folder, "film", 0)


def _path(folder: str, series: str, number: int) -> str:
    study = dicom.uid(folder, "study", series)
    return f"{folder}/{study}/{dicom.uid(folder, series)}/{number:06d}.dcm"


def lesion_paths(table: tables.Table, folder: str) -> tuple[str, str, bool]:
    """Where the table says that crop and mask lie, and whether each lies in the other's place."""
    rates = RATES[table.kind, table.part]
    if draw(folder, "split") < rates.split:
        paths = _path(folder, "crop", 0), _path(folder, "mask", 0)
    else:
        first, second = _path(folder, "both", 0), _path(folder, "both", 1)
        paths = (first, second) if table.kind == "mass" else (second, first)
    return *paths, draw(folder, "swapped") < rates.swapped


def numbers(table: tables.Table, folder: str, count: int) -> list[str]:
    """The abnormality ids of a film's lesions: from 1, now and then from 2."""
    first = 2 if draw(folder, "numbered") < RATES[table.kind, table.part].numbered else 1
    return [str(first + i) for i in range(count)]


def density(table: tables.Table, folder: str, value: str) -> str:
    """The breast density of a film, now and then 0."""
    return "0" if draw(folder, "density") < RATES[table.kind, table.part].density_0 else value


def words(table: tables.Table, folder: str, attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a lesion, now and then in an odd spelling or with a value that the scale does not have."""
    out, rates = dict(attributes), RATES[table.kind, table.part]
    if draw(folder, "subtlety") < rates.subtlety_0:
        out["subtlety"] = "0"
    kind = out.get("calc type")
    if kind in _LUCENT_ARE:
        drawn, centre = draw(folder, "lucent"), LUCENT["LUCENT_CENTER"]
        spelt = "LUCENT_CENTER" if drawn < centre else "LUCENT_CENTERED"
        out["calc type"] = f"{kind}-{spelt}" if drawn < sum(LUCENT.values()) else kind
    elif kind == "PLEOMORPHIC" and draw(folder, "doubled") < rates.doubled:
        out["calc type"] = "PLEOMORPHIC-PLEOMORPHIC"
    return out


def as_stored(mask: np.ndarray, crop: np.ndarray, folder: str) -> np.ndarray:
    """A mask, bool (H, W), as it is written; now and then smaller than its film, or in a larger frame.

    Only what `cbis_ddsm_masks` can mend: the crop shows something, and some of the smaller mask is left.
    """
    drawn = draw(folder, "size")
    if drawn >= OTHER_SIZE or crop.min() == crop.max():
        return mask
    if drawn >= OTHER_SIZE / 2:
        more = [max(1, round(side * share)) for side, share in zip(mask.shape, _FRAME, strict=True)]
        return regions.cut(mask, -more[0], -more[1], mask.shape[0] + more[0], mask.shape[1] + more[1])
    rows, columns = (round(side * _SMALLER) for side in mask.shape)
    small = cv2.resize(mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT) != 0
    return small if small.any() else mask
