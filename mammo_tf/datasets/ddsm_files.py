"""Which files of a copy of DDSM belong to which film, by their names alone, and what their folders say.

A case is a folder: `cases/cancers/cancer_01/case3013/B-3013-1.ics`, `B_3013_1.LEFT_CC.LJPEG`, `...OVERLAY`. Copies in
circulation have other folders, and conversions under the same stems: `.LJPEG.1`, what the program `jpeg` of DDSM
makes of it (big endian), PNG and TIFF. Thumbnails (`TAPE_B_3013_1.COMB.16_PGM`) and all else are passed over.

    tree = ddsm_files.Tree.walk(pathlib.Path("DDSM"))
"""

from __future__ import annotations

import dataclasses
import filecmp
import pathlib
import re
from collections.abc import Collection, Mapping

from mammo_tf import cases, datasets

CATEGORIES = ("normals", "benigns", "benign_without_callbacks", "cancers")
LJPEG, RAW, IMAGE, OVERLAY = "ljpeg", "raw", "image", "overlay"  # forms, the best first
_SUFFIXES = {".LJPEG": LJPEG, ".LJPEG.1": RAW, ".OVERLAY": OVERLAY} | {
    f"{stem}.{kind}": IMAGE for stem in ("", ".LJPEG", ".LJPEG.1") for kind in ("PNG", "TIF", "TIFF")
}
_FORMS = (LJPEG, RAW, IMAGE)
_CASE = re.compile(r"(?P<case>[A-Z][-_]\d{4,}[-_]\d)\.ics", re.I)
_FILM = re.compile(r"(?P<case>[A-Z][-_]\d{4,}[-_]\d)\.(?P<film>(LEFT|RIGHT)_(CC|MLO))(?P<suffix>(\.\w+)+)", re.I)
_VOLUME = re.compile(r"(?P<category>normal|benign|benign_without_callback|cancer)(?P<rest>s|_\d+)", re.I)


def key_of(name: str) -> str:
    """The name of a case as its films bear it.

    >>> key_of("B-3013-1")
    'B_3013_1'
    """
    return name.strip().replace("-", "_").upper()


def patient_of(key: str) -> str:
    """The patient: letter and number of the case; the last digit counts the times that its films were digitised.

    >>> patient_of("B_3013_1")
    'B_3013'
    """
    return key.rpartition("_")[0]


def place_of(path: pathlib.Path) -> tuple[str, str]:
    """Category and volume by the folders above a file, the nearest first; "" where none tells.

    >>> place_of(pathlib.Path("cases/cancers/cancer_01/case3013/B-3013-1.ics"))
    ('cancers', 'cancer_01')
    """
    category, volume = "", ""
    for folder in path.parents:
        if found := _VOLUME.fullmatch(folder.name):
            category = category or f"{found['category'].lower()}s"
            volume = volume or (folder.name.lower() if found["rest"].startswith("_") else "")
    return category, volume


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a film, and its form: `LJPEG`, `RAW` or `IMAGE`."""

    path: pathlib.Path
    form: str


@dataclasses.dataclass(frozen=True)
class Tree:
    """The files below a folder; keys are ("B_3013_1", "LEFT_CC").

    Attributes:
        root: the folder.
        cases: the case files, by the name of the case.
        films, overlays: by the name of the case and of the film.
    """

    root: pathlib.Path
    cases: Mapping[str, list[pathlib.Path]]
    films: Mapping[tuple[str, str], list[File]]
    overlays: Mapping[tuple[str, str], list[pathlib.Path]]

    @classmethod
    def walk(cls, root: pathlib.Path) -> Tree:
        listed, films, overlays = {}, {}, {}
        for path in datasets.files(root):
            if found := _CASE.fullmatch(path.name):
                listed.setdefault(key_of(found["case"]), []).append(path)
            elif found := _FILM.fullmatch(path.name):
                key, form = (key_of(found["case"]), found["film"].upper()), _SUFFIXES.get(found["suffix"].upper())
                if form == OVERLAY:
                    overlays.setdefault(key, []).append(path)
                elif form:
                    films.setdefault(key, []).append(File(path, form))
        return cls(root, listed, films, overlays)

    def film_of(self, key: tuple[str, str], beside: pathlib.Path) -> tuple[File, tuple[cases.Problem, ...]]:
        """The file of a film (LJPEG before raw, raw before PNG, the nearer one first), and others of its form.

        Args:
            key: case and film.
            beside: its case file.

        Raises:
            cases.MissingError: there is none.
        """
        files = sorted(
            self.films.get(key, []), key=lambda file: (_FORMS.index(file.form), *_distance(file.path, beside))
        )
        if not files:
            place = beside.parent / f"{key[0]}.{key[1]}.LJPEG"
            raise cases.MissingError(
                place, "no such file, nor as raw, PNG or TIFF, here or elsewhere below the folder"
            )
        first, *others = files
        again = [other.path for other in others if other.form == first.form and not _same(first.path, other.path)]
        reason = f"one more file of {'.'.join(key)}; {first.path} is used"
        return first, tuple(cases.Problem(str(path), reason, "left out") for path in again)

    def overlay_of(self, key: tuple[str, str], beside: pathlib.Path) -> pathlib.Path | None:
        """The overlay of a film, None where there is none.

        Raises:
            cases.DataError: there are several, and they differ.
        """
        files = sorted(self.overlays.get(key, []), key=lambda path: _distance(path, beside))
        for other in files[1:]:
            if not _same(files[0], other):
                raise cases.DataError(files[0], f"{len(files)} overlays of {'.'.join(key)} differ, such as {other}")
        return files[0] if files else None

    def unlisted(self, listed: Collection[tuple[str, str]], unread: Collection[str]) -> list[cases.Problem]:
        """Films and overlays that no case file names; those of unreadable case files are not listed again.

        Args:
            listed: cases and films that were named.
            unread: cases of which the case file cannot be read.
        """
        strays = [
            (
                path,
                f"no case file {key[0].replace('_', '-')}.ics"
                if key[0] not in self.cases
                else "not in its case file",
            )
            for some in ({k: [file.path for file in files] for k, files in self.films.items()}, self.overlays)
            for key, paths in some.items()
            if key not in listed and key[0] not in unread
            for path in paths
        ]
        return [cases.Problem(str(path), reason, "left out") for path, reason in sorted(strays)]


def _distance(path: pathlib.Path, beside: pathlib.Path) -> tuple[bool, pathlib.Path]:
    return path.parent != beside.parent, path


def _same(one: pathlib.Path, other: pathlib.Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError as error:
        raise cases.DataError(other, f"cannot be read: {error.strerror or error}") from None
