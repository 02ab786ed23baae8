"""Where the tables and files of CBIS-DDSM lie, in each of the three trees in circulation.

The CSV's own (`Mass-Training_P_00001_LEFT_CC/<study UID>/<series UID>/000000.dcm`); that of the archive's downloads,
where the folders below may be dated (`08-07-2016-DDSM-NA-12345/1.000000-full mammogram images-12345`) and the files
are `1-1.dcm` or `000000.dcm`; and the mirror in JPEG, whose folders are series and whose `dicom_info.csv` says whose.

    tree = cbis_ddsm_tree.Tree.walk(pathlib.Path("CBIS-DDSM"))
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
from collections.abc import Mapping

import pandas as pd

from mammo_tf import cases, datasets
from mammo_tf.datasets import cbis_ddsm_tables as tables

INFO = "dicom_info.csv"
FILES = (".dcm", ".jpg", ".jpeg")
_SERIES = re.compile(r"\d+(?:\.\d+){2,}")


@dataclasses.dataclass(frozen=True)
class Tree:
    """Where everything lies, by name.

    Attributes:
        root: the folder walked.
        csvs: the tables, by file name in lower case; the first one is meant.
        folders: of films and lesions, by name.
        series: the mirror's folders, by series UID.
        named: the series UIDs of a film's or lesion's name, as `dicom_info.csv` has them.
        info: that file, None where there is none.
    """

    root: pathlib.Path
    csvs: Mapping[str, list[pathlib.Path]]
    folders: Mapping[str, pathlib.Path]
    series: Mapping[str, pathlib.Path]
    named: Mapping[str, tuple[str, ...]]
    info: pathlib.Path | None = None

    @classmethod
    def walk(cls, root: pathlib.Path) -> Tree:
        """The tree below a folder; folders of films, lesions and series are not entered.

        Raises:
            cases.DataError: `dicom_info.csv` lies there and cannot be read.
        """
        wanted = {INFO, *(table.file for table in tables.TABLES)}
        csvs: dict[str, list[pathlib.Path]] = collections.defaultdict(list)
        folders, series = {}, {}
        for folder, below, files in datasets.walk(root):
            for name in files:
                if name.lower() in wanted:
                    csvs[name.lower()].append(folder / name)
            for pattern, found in ((tables.FOLDER, folders), (_SERIES, series)):
                for name in filter(pattern.fullmatch, below):
                    found.setdefault(name, folder / name)
            below[:] = [name for name in below if name not in folders and name not in series]
        info = next(iter(csvs.pop(INFO, [])), None)
        return cls(root, dict(csvs), folders, series, _named(info) if info else {}, info)

    def place(self, path: str) -> pathlib.Path:
        """The place that a table's path stands for, whether or not a file lies there."""
        name, _, rest = path.partition("/")
        if name not in self.folders and self.series:
            series = rest.split("/")[1:2] or list(self.named.get(name, ()))
            return self.series.get(series[0], self.root / series[0]) if series else self.root / name
        return self.folders.get(name, self.root / name) / rest

    def files(self, *paths: str) -> list[pathlib.Path]:
        """The files that the paths name; where one is missing also those of the named series, and of the folder."""
        named = [place for place in map(self.place, paths) if _is_file(place)]
        if len(named) == len(paths):
            return named
        name = paths[0].partition("/")[0]
        if name in self.folders:
            others = sorted(path for path in datasets.files(self.folders[name]) if path.suffix.lower() in FILES)
            uids = {part for path in paths for part in path.split("/")[2:3]}
            others.sort(key=lambda path: path.parent.name not in uids)
        else:
            own = [uid for path in paths for uid in path.split("/")[2:3]] or list(self.named.get(name, ()))
            below = [self.series[uid] for uid in dict.fromkeys(own) if uid in self.series]
            others = [path for folder in below for path in datasets.files(folder) if path.suffix.lower() in FILES]
        return list(dict.fromkeys([*named, *others]))


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a damaged table: a name longer than a file system takes
        return False


def _named(path: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """The series of each film and lesion.

    A few rows bear a name without its table (`P_00562_LEFT_CC_2.dcm`) and no description: their series is known from
    the other file of the lesion.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").fillna("")
        pairs = table[["PatientID", "SeriesInstanceUID"]].itertuples(index=False)
    except (OSError, ValueError, KeyError) as error:  # pandas' own errors are ValueErrors
        raise cases.DataError(path, f"cannot be read as the mirror's table: {error}") from None
    found: dict[str, dict[str, None]] = {}
    for name, uid in pairs:
        if tables.FOLDER.fullmatch(name):
            found.setdefault(name, {})[uid] = None
    return {name: tuple(uids) for name, uids in found.items()}
