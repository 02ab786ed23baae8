"""Which files of a copy of INbreast belong to which image, by their names alone (doi:10.1016/j.acra.2011.09.014).

The second token of a DICOM's name is the patient's pseudonym: it stands nowhere else. Names say `ML` where the table
says `MLO`. Copies in circulation have other folders, so the whole tree is searched.

    tree = inbreast_files.Tree.walk(pathlib.Path("INbreast Release 1.0"))
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Collection, Mapping

from mammo_tf import cases, datasets

TABLES = ("INbreast.csv", "INbreast.xls")  # in the order of preference
IMAGES, OUTLINES = "AllDICOMs", "AllXML"  # the published folders
MAX_BYTES = 32 * 2**20  # of a table or an XML file; the published ones have at most about one MB
_IMAGE = re.compile(
    r"(?P<image>\d{5,12})(_(?P<patient>[0-9a-z]+)_MG_(?P<side>[LR])_(?P<view>[A-Z]+)_ANON)?\.(?P<form>dcm|png)", re.I
)
_OUTLINE = re.compile(r"(?P<image>\d{5,12})\.xml", re.I)
_FOREIGN = re.compile(r".*(muscle|pectoral).*", re.I)  # folders of outlines that are no lesions


@dataclasses.dataclass(frozen=True)
class Image:
    """An image file and what its name says: "22580192_5530d5782fc89dd7_MG_R_CC_ANON.dcm", or the number alone.

    Attributes:
        path: the file.
        image: the number of the image.
        patient: her pseudonym; "" where the name does not tell, and so are `side` and `view`.
        side: "L" or "R".
        view: in the table's words, "CC" or "MLO".
        form: "dcm" or "png".
    """

    path: pathlib.Path
    image: str
    patient: str
    side: str
    view: str
    form: str

    @classmethod
    def of(cls, path: pathlib.Path) -> Image | None:
        found = _IMAGE.fullmatch(path.name)
        if not found:
            return None
        view = (found["view"] or "").upper()
        patient, side, form = (found[name] or "" for name in ("patient", "side", "form"))
        return cls(path, found["image"], patient.lower(), side.upper(), "MLO" if view == "ML" else view, form.lower())


def dicom_name(image: str, patient: str, side: str, view: str) -> str:
    """The published name of an image; `view` in the table's words.

    >>> dicom_name("22580192", "5530d5782fc89dd7", "R", "MLO")
    '22580192_5530d5782fc89dd7_MG_R_ML_ANON.dcm'
    """
    return f"{image}_{patient}_MG_{side}_{'ML' if view == 'MLO' else view}_ANON.dcm"


@dataclasses.dataclass(frozen=True)
class Tree:
    """The files below a folder.

    Attributes:
        root: the folder.
        tables: the CSV, or where there is none the Excel file; of several the first is used.
        images, outlines: the image files and the XML files, by the number of their image.
        strange: DICOM files without a name as published.
    """

    root: pathlib.Path
    tables: tuple[pathlib.Path, ...]
    images: Mapping[str, list[Image]]
    outlines: Mapping[str, list[pathlib.Path]]
    strange: tuple[pathlib.Path, ...]

    @classmethod
    def walk(cls, root: pathlib.Path) -> Tree:
        tables: dict[str, list[pathlib.Path]] = {name.lower(): [] for name in TABLES}
        images, outlines, strange = {}, {}, []
        for folder, below, names in datasets.walk(root):
            below[:] = [name for name in below if not _FOREIGN.fullmatch(name)]
            for path in (folder / name for name in names):
                if image := Image.of(path):
                    images.setdefault(image.image, []).append(image)
                elif outline := _OUTLINE.fullmatch(path.name):
                    outlines.setdefault(outline["image"], []).append(path)
                elif path.suffix.lower() == ".dcm":
                    strange.append(path)
                elif path.name.lower() in tables:
                    tables[path.name.lower()].append(path)
        return cls(root, tuple(next(filter(None, tables.values()), ())), images, outlines, tuple(strange))

    @property
    def table(self) -> pathlib.Path | None:
        return next(iter(self.tables), None)

    def image_of(self, image: str) -> tuple[Image, tuple[cases.Problem, ...]]:
        """The file of an image and the others that claim to be it; a DICOM is preferred to its copy as PNG.

        Raises:
            cases.DataError: none is there, none tells the patient, or they name different ones.
        """
        files = self.images.get(image, [])
        if not files:
            place = self.root / IMAGES / f"{image}_*_ANON.dcm"
            raise cases.MissingError(place, "no such file, here or elsewhere below the folder")
        named = [file for file in files if file.patient]
        if not named:
            raise cases.DataError(
                files[0].path,
                f"patient unknown: only a name such as {dicom_name(image, '<patient>', 'R', 'CC')} tells",
            )
        if len(patients := sorted({file.patient for file in named})) > 1:
            raise cases.DataError(named[0].path, f"files of image {image} name the patients {' and '.join(patients)}")
        first, *others = sorted(named, key=lambda file: (file.form, file.path))
        again = [other.path for other in others if other.form == first.form]
        reason = f"one more file of image {image}; {first.path} is used"
        return first, tuple(cases.Problem(str(path), reason, "left out") for path in again)

    def outline_of(self, image: str) -> pathlib.Path | None:
        """The XML file of an image; None where nothing is marked.

        Raises:
            cases.DataError: there are several, and they differ.
        """
        files = self.outlines.get(image, [])
        if len(files) > 1 and len({read_bytes(path) for path in files}) > 1:
            raise cases.DataError(files[0], f"{len(files)} files of image {image} differ, such as {files[1]}")
        return files[0] if files else None

    def unlisted(self, listed: Collection[str]) -> list[cases.Problem]:
        """Files that belong to none of the listed images."""
        files = [file.path for image in self.images.keys() - listed for file in self.images[image]]
        files += [path for image in self.outlines.keys() - listed for path in self.outlines[image]]
        problems = [cases.Problem(str(path), f"not listed in {self.table}", "left out") for path in sorted(files)]
        reason = f"no image's name; expected {dicom_name('<image>', '<patient>', 'R', 'CC')}"
        return problems + [cases.Problem(str(path), reason, "left out") for path in self.strange]


def read_bytes(path: pathlib.Path) -> bytes:
    """A table or XML file whole.

    Raises:
        cases.DataError: it cannot be read, or is larger than `MAX_BYTES`.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise cases.DataError(path, f"absurd size of {size:,} bytes (at most {MAX_BYTES:,})")
        return path.read_bytes()
    except OSError as error:
        raise cases.DataError(path, f"cannot be read: {error.strerror or error}") from None
