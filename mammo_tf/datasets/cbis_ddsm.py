"""CBIS-DDSM: digitised films with masks of their lesions; the reader (doi:10.1038/sdata.2017.177).

Four tables (masses and calcifications, training and test), one row a lesion, and three files a row: the film, a crop
round the lesion and its mask. A patient may stand in several tables: they are pooled here, each lesion keeps its
`part`. Tables come in the spellings of `cbis_ddsm_tables`, files in the trees of `cbis_ddsm_tree`; the mask is found,
and where it has another size placed, by `cbis_ddsm_masks`. The writer is `cbis_ddsm_writer`.

    dataset = cbis_ddsm.read(pathlib.Path("CBIS-DDSM"))
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Sequence

from mammo_tf import cache, cases, datasets, regions
from mammo_tf.datasets import about, cbis_ddsm_writer, copies
from mammo_tf.datasets import cbis_ddsm_files as files
from mammo_tf.datasets import cbis_ddsm_masks as masks
from mammo_tf.datasets import cbis_ddsm_tables as tables
from mammo_tf.datasets import cbis_ddsm_tree as trees

NAME = "cbis_ddsm"
ALGORITHM_VERSION = 2  # of the writer
read_csv = tables.read_csv
write = cbis_ddsm_writer.write
SWAPPED, SPLIT = "crop and mask swapped", "crop and mask in two series"
STRAY, SEVERAL = "mask in its film's folder", "film among several files"
_HEADERS_AT_ONCE = 2  # threads: they hide the latency of a disk; more only contend for the interpreter

ABOUT = about.About(
    title="CBIS-DDSM, Curated Breast Imaging Subset of the Digital Database for Screening Mammography",
    where="The Cancer Imaging Archive (TCIA), collection CBIS-DDSM; a mirror in 8-bit JPEG is on Kaggle",
    terms="CC BY 3.0, as TCIA has it",
    citation="Lee, Gimenez, Hoogi, Miyake, Gorovoy, Rubin: A curated mammography data set for use in computer-aided "
    "detection and diagnosis research. Scientific Data 4:170177 (2017), doi:10.1038/sdata.2017.177",
    tree="""\
the four tables anywhere below the folder: mass_case_description_train_set.csv, mass_case_description_test_set.csv,
calc_case_description_train_set.csv, calc_case_description_test_set.csv, and beside or below them one of
1. as the tables have it
   Mass-Training_P_00001_LEFT_CC/<study UID>/<series UID>/000000.dcm
   Mass-Training_P_00001_LEFT_CC_1/<study UID>/<series UID>/000000.dcm, 000001.dcm
2. as the archive's client writes it, folders by UID or by date
   CBIS-DDSM/Mass-Training_P_00001_LEFT_CC/<study UID>/<series UID>/1-1.dcm
   CBIS-DDSM/Mass-Training_P_00001_LEFT_CC/08-07-2016-DDSM-NA-12345/1.000000-full mammogram images-12345/1-1.dcm
3. the mirror in 8-bit JPEG
   csv/dicom_info.csv
   jpeg/<series UID>/1-172.jpg""",
    known={
        "rows": 3568,
        "images": 3103,
        "patients": 1566,
        "patients in both parts": 31,
        "views in both parts": 29,
        "rows of mass train": 1318,
        "patients of mass train": 691,
        "images of mass train": 1231,
        "rows of mass test": 378,
        "patients of mass test": 201,
        "images of mass test": 361,
        "rows of calcification train": 1546,
        "patients of calcification train": 602,
        "images of calcification train": 1227,
        "rows of calcification test": 326,
        "patients of calcification test": 151,
        "images of calcification test": 284,
        "MALIGNANT of mass train": 637,
        "BENIGN of mass train": 577,
        "BENIGN_WITHOUT_CALLBACK of mass train": 104,
        "MALIGNANT of mass test": 147,
        "BENIGN of mass test": 194,
        "BENIGN_WITHOUT_CALLBACK of mass test": 37,
        "MALIGNANT of calcification train": 544,
        "BENIGN of calcification train": 528,
        "BENIGN_WITHOUT_CALLBACK of calcification train": 474,
        "MALIGNANT of calcification test": 129,
        "BENIGN of calcification test": 130,
        "BENIGN_WITHOUT_CALLBACK of calcification test": 67,
    },
    mean_8bit=52.18,
    mean_source="Shen et al. 2019, training mean of the whole images",
)


def entries(root: str | os.PathLike[str]) -> tuple[about.Entry, ...]:
    """One entry a row of the tables below a folder, in their order; no image is opened.

    Raises:
        cases.DataError: no table, a column is missing, a field is not what it should be.
    """
    rows, _ = tables.rows(_tables(_walk(root)))
    return tuple(
        about.Entry(
            image=row.film,
            patient_id=row.fields["patient_id"],
            label=row.fields["pathology"],
            kind=row.table.kind,
            side=row.fields["left or right breast"],
            view=row.fields["image view"],
            part=row.table.part,
            density=row.fields["breast density"],
        )
        for row in rows
    )


def _walk(root: str | os.PathLike[str]) -> trees.Tree:
    return trees.Tree.walk(datasets.existing(root))


def _tables(tree: trees.Tree) -> list[tuple[tables.Table, pathlib.Path]]:
    found = [(table, tree.csvs[table.file][0]) for table in tables.TABLES if table.file in tree.csvs]
    if not found:
        looked, empty = ", ".join(table.file for table in tables.TABLES), not any(tree.root.iterdir())
        what = "the folder is empty" if empty else "no table of CBIS-DDSM"
        raise cases.DataError(tree.root, f"{what}; looked for {looked}")
    return found


@dataclasses.dataclass
class _Outcome:
    """What became of a film."""

    view: cases.View | None = None
    problems: list[cases.Problem] = dataclasses.field(default_factory=list)
    repairs: list[cases.Repair] = dataclasses.field(default_factory=list)


def read(root: str | os.PathLike[str], *, strict: bool = False, intensity: str = "raw") -> cases.Dataset:
    """Reads whichever of the four tables lie below the folder, with their films in any tree in circulation.

    A film of which one row cannot be used (a file is missing or damaged, or the mask does not fit) is left out with
    all its rows, each a problem: with a lesion less its label might be another. `Dataset.repairs` lists each file
    that does not lie where the tables say or has another size, and for each table what was mended in it.
    Where several tables of one name lie below the folder the first is used; those that differ are problems.

    Args:
        root: the folder; tables and films may lie deeper.
        strict: raise at the first problem instead of listing it.
        intensity: what the pixels of DICOM are to mean, as `dicom.read_pixels` has it.

    Raises:
        cases.DataError: no table, a column is missing, a field is not what it should be, no film at all.
    """
    tree = _walk(root)
    found = _tables(tree)
    rows, repairs = tables.rows(found)
    films = tables.films(rows)
    with concurrent.futures.ThreadPoolExecutor(_HEADERS_AT_ONCE) as pool:
        outcomes = list(pool.map(functools.partial(_read_film, tree, intensity), films))
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    problems += [problem for some in tree.csvs.values() for problem in copies.left_out(some)]
    repairs += [repair for outcome in outcomes for repair in outcome.repairs]
    views = [outcome.view for outcome in outcomes if outcome.view]
    datasets.refuse(found[0][1], problems, of=f"{len(films)} films", used=len(views), strict=strict)
    mark = _fingerprint(tree, [path for _, path in found], views, repairs)
    kind = (
        "phantom" if "phantom" in map(datasets.kind, found[0][1].parents) else "real"
    )  # the root may be a level too high
    return cases.Dataset(
        NAME, kind, str(tree.root), datasets.by_patient(views), tuple(problems), mark, tuple(repairs)
    )


def _fingerprint(
    tree: trees.Tree, read: Sequence[pathlib.Path], views: Sequence[cases.View], repairs: Sequence[cases.Repair]
) -> str:
    """Of the tables and of the files used; a mask's place hangs on its crop too, and what became of it says where."""
    used = [path for view in views for path in (view.path, *(lesion.region.path for lesion in view.lesions))]
    mark = datasets.fingerprint(tree.root, [*read, *([tree.info] if tree.info else [])], used)
    placed = [repair.what for repair in repairs if repair.rule in (masks.RESIZED, masks.SHIFTED)]
    return cache.key(mark, placed) if placed else mark


def _read_film(tree: trees.Tree, intensity: str, rows: Sequence[tables.Row]) -> _Outcome:
    out = _Outcome()
    try:
        tables.check(rows)
        film = _film(tree, rows[0].fields[tables.IMAGE], intensity, out.repairs)
    except cases.DataError as error:
        return _Outcome(problems=[cases.Problem.of(error, row.lesion) for row in rows])
    lesions = []
    for row in rows:
        try:
            lesions.append(_lesion(tree, row, film, alone=len(rows) == 1, repairs=out.repairs))
        except cases.DataError as error:
            out.problems.append(cases.Problem.of(error, row.lesion))
    if out.problems:
        rest = f"left out with {out.problems[0].path}, a lesion of the same film"
        left_out = [cases.Problem(film.path, f"{lesion.id}: {rest}", "left out") for lesion in lesions]
        return _Outcome(problems=out.problems + left_out)
    out.view = _view(rows[0], film, tuple(lesions), intensity)
    return out


def _film(tree: trees.Tree, named: str, intensity: str, repairs: list[cases.Repair]) -> files.Header:
    """The header of a film: of the file that its table names, else of the one of 16 bits in its folder."""
    found = tree.files(named)
    place = tree.place(named)
    if not found:
        raise cases.MissingError(place, "no such file, and no other below its folder")
    if found == [place] or (len(found) == 1 and files.is_jpeg(found[0])):
        return files.read_header(found[0], intensity)
    of_series = [path for path in found if [path.parent.name] == named.split("/")[2:3]]
    faults: list[cases.DataError] = []
    deep = [header.path for header in _headers(of_series or found, faults) if header.bits == 16]
    if len(deep) != 1:
        fault = cases.DataError if deep else cases.MissingError
        many = f"no such file, and {len(deep)} others of 16 bits below its folder, not one"
        raise faults[0] if faults else fault(place, many)
    if len(found) > 1:
        what = f"{len(found)} files lie in the film's folder; this is the one of its series and of 16 bits"
        repairs.append(cases.Repair(deep[0], SEVERAL, what))
    return files.read_header(deep[0], intensity)


def _lesion(
    tree: trees.Tree, row: tables.Row, film: files.Header, *, alone: bool, repairs: list[cases.Repair]
) -> cases.Lesion:
    chosen, mended = _mask(tree, row, film, alone)
    repairs += [*mended, *chosen.repairs]
    return cases.Lesion(
        id=row.lesion,
        pathology=row.parse("pathology", cases.Pathology),
        kind=row.table.kind,
        region=regions.MaskRegion(functools.partial(masks.load, chosen.path, chosen.place), chosen.path),
        attributes={name: row.fields[name] for name in row.table.attributes},
        part=row.table.part,
    )


def _mask(
    tree: trees.Tree, row: tables.Row, film: files.Header, alone: bool
) -> tuple[masks.Chosen, list[cases.Repair]]:
    """The mask of a row; that of a film with one row alone may also lie in the film's folder."""
    named, faults = row.fields[tables.MASK], []
    own = tree.files(named, row.fields[tables.CROP])
    chosen = masks.choose(_headers(own, faults), film)
    if chosen:
        return chosen, list(_misplaced(tree.place(named), own, chosen.path))
    strays = [path for path in tree.files(row.fields[tables.IMAGE]) if str(path) != film.path] if alone else []
    stray = masks.choose(_headers(strays, faults), film)
    if stray and files.has_two_values(stray.path):  # not a film of 8 bits
        return stray, [cases.Repair(stray.path, STRAY, f"no mask among the {len(own)} file(s) of {row.lesion}")]
    if faults:
        raise faults[0]
    reason = f"no mask (8 bits, two values) there, {len(own)} other file(s) of its row"
    raise cases.MissingError(tree.place(named), reason)


def _headers(paths: Sequence[pathlib.Path], faults: list[cases.DataError]) -> Iterator[files.Header]:
    """The headers one by one; files without a usable one go to `faults`."""
    for path in paths:
        try:
            yield files.read_header(path)
        except cases.DataError as error:
            faults.append(error)


def _misplaced(named: pathlib.Path, own: Sequence[pathlib.Path], mask: str) -> Iterator[cases.Repair]:
    if named in own and str(named) != mask:
        yield cases.Repair(mask, SWAPPED, f"{named}, the mask by its table, is the crop by its pixels")
    if len(series := {path.parent.name for path in own}) > 1:
        yield cases.Repair(mask, SPLIT, f"the {len(own)} files of the row lie in {len(series)} series")


def _view(row: tables.Row, film: files.Header, lesions: tuple[cases.Lesion, ...], intensity: str) -> cases.View:
    projection = row.fields["image view"]
    return cases.View(
        id=row.film,
        patient_id=row.fields["patient_id"],
        side=row.parse("left or right breast", cases.Side),
        projection=cases.Projection.__members__.get(projection, cases.Projection.OTHER),
        load=functools.partial(files.read_pixels, film.path, intensity),
        max_value=film.max_value,
        spacing_mm=film.spacing_mm,
        lesions=lesions,
        attributes={"breast density": row.fields["breast density"]},
        path=film.path,
        lossy=film.lossy,
    )
