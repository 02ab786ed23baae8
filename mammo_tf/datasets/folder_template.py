"""A proposal of `images.csv` for a folder that has none: side and view are guessed from the names of the images.

A name is cut at everything but letters and digits: `LEFT`, `R`, `MLO`, `LCC` say side and view, `train` and `test`
the part, `mask` that it is the mask of another image; the rest, its folders included, is taken for the patient.

    print(folder_template.template("my_images"))       # 1_L_CC.png -> 1_L_CC.png,1,,LEFT,CC
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import os
import pathlib
import re

from mammo_tf import cases, datasets
from mammo_tf.datasets import folder_files, folder_table

_SIDE = {"L": "LEFT", "LEFT": "LEFT", "R": "RIGHT", "RIGHT": "RIGHT"}
_VIEWS = ("CC", "MLO", "ML", "LM", "XCCL", "XCCM", "FB", "AT")
_JOINED = re.compile(rf"(L|R|LEFT|RIGHT)({'|'.join(_VIEWS)})")
_MASKS = ("MASK", "SEG", "SEGMENTATION")
_COLUMNS = ("file", "patient_id", "label", "side", "view")


@dataclasses.dataclass(frozen=True)
class _Guess:
    file: str
    patient_id: str
    side: str
    view: str
    part: str
    is_mask: bool

    @property
    def key(self) -> tuple[str, ...]:
        """What an image and its mask share."""
        return self.patient_id, self.side, self.view, self.part


def template(root: str | os.PathLike[str]) -> str:
    """The text of a table of all images below the folder; labels are blank, and the guesses are to be looked at.

    Raises:
        cases.DataError: no such folder, or no image below it.
    """
    root = datasets.existing(root)
    guesses = [_guess(path.relative_to(root)) for path in _images(root)]
    images = [one for one in guesses if not one.is_mask] or guesses
    if not images:
        raise cases.DataError(root, f"no image below the folder ({', '.join(folder_files.ENDINGS)})")
    masks = {one.key: one.file for one in guesses if one.is_mask and one not in images}
    single = {key for key, many in collections.Counter(one.key for one in images).items() if many == 1}
    rows = [{**_row(one), "mask": masks.get(one.key, "") if one.key in single else ""} for one in images]
    columns = [*_COLUMNS, *(name for name in ("part", "mask") if any(row[name] for row in rows))]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def advice(root: pathlib.Path) -> str:
    """How to come by a table, for the message that there is none."""
    images, columns = len(_images(root)), ", ".join(folder_table.REQUIRED)
    found = f"{images} image(s) lie below the folder: `mammo-tf check folder DIR` proposes a table of them"
    return (
        f"expected the columns {columns} and a row an image; {found if images else 'no image lies below the folder'}"
    )


def _images(root: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in datasets.files(root) if path.is_file() and folder_files.is_image(path))


def _row(guess: _Guess) -> dict[str, str]:
    row = {name: getattr(guess, name) for name in ("file", "patient_id", "side", "view", "part")}
    return {**row, "label": ""}


def _guess(path: pathlib.Path) -> _Guess:
    rest, found = [], {"side": "", "view": "", "part": "", "mask": ""}
    for word in re.findall(r"[A-Za-z0-9]+", path.with_suffix("").as_posix()):
        told = _told(word.upper())
        rest += [] if told else [word]
        found.update({name: text for name, text in told.items() if not found[name]})
    is_mask = bool(found.pop("mask"))
    return _Guess(path.as_posix(), "_".join(rest), is_mask=is_mask, **found)


def _told(word: str) -> dict[str, str]:
    """What a word of a name tells; nothing where it may be the patient's."""
    if joined := _JOINED.fullmatch(word):
        return {"side": _SIDE[joined[1]], "view": joined[2]}
    if word in _SIDE:
        return {"side": _SIDE[word]}
    if word in _VIEWS:
        return {"view": word}
    if word in ("TRAIN", "TEST"):
        return {"part": word.lower()}
    return {"mask": "yes"} if word in _MASKS or word.removesuffix("S") in _MASKS else {}
