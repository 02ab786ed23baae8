import dataclasses
import functools
import json
import os
import pathlib
import pickle
import re
import shutil
import threading

import numpy as np
import pandas as pd
import pydicom
import pytest

from mammo_tf import cases, datasets, regions
from mammo_tf.datasets import cbis_ddsm, cbis_ddsm_tables, dicom

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
SHAPE = (40, 30)
MASS, CALC = ("mass shape", "mass margins"), ("calc type", "calc distribution")


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, SHAPE, dtype=np.uint16)


def square(top: int, size: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[top : top + size, 5 : 5 + size] = True
    return mask


def lesion(view: str, number: int, pathology: str, part: str = "train") -> cases.Lesion:
    kind = "mass" if view.startswith("Mass") else "calcification"
    own = dict.fromkeys(MASS if kind == "mass" else CALC, "ROUND")
    attributes = {"abnormality id": str(number), **own, "assessment": "4", "subtlety": "3"}
    region = regions.MaskRegion(functools.partial(square, 3 * number, 4))
    return cases.Lesion(f"{view}_{number}", cases.Pathology(pathology), kind, region, attributes, part)


def view(name: str, pathologies: list[str], seed: int) -> cases.View:
    """A view by the name of its folder; its lesions are numbered from 1."""
    kind, _, number, side, projection = name.split("_")
    part = "test" if kind.endswith("Test") else "train"
    return cases.View(
        id=name,
        patient_id=f"P_{number}",
        side=cases.Side(side),
        projection=cases.Projection(projection),
        load=functools.partial(pixels, seed),
        max_value=65535,
        spacing_mm=0.4,
        lesions=tuple(lesion(name, i, p, part) for i, p in enumerate(pathologies, 1)),
        attributes={"breast density": str(1 + seed % 4)},
    )


def hand_made() -> tuple[cases.Case, ...]:
    mixed = ["MALIGNANT", "BENIGN_WITHOUT_CALLBACK"]
    return (
        cases.Case(
            "P_00001",
            (
                view("Calc-Test_P_00001_RIGHT_CC", ["BENIGN"], 1),
                view("Mass-Training_P_00001_LEFT_CC", mixed, 2),
                view("Mass-Training_P_00001_LEFT_MLO", ["MALIGNANT"], 3),
            ),
        ),
        cases.Case("P_00002", (view("Calc-Training_P_00002_LEFT_MLO", ["MALIGNANT"], 4),)),
        cases.Case("P_00003", tuple(view(f"Mass-Training_P_00003_{s}_CC", ["BENIGN"], 5) for s in ("LEFT", "RIGHT"))),
        cases.Case("P_00004", (view("Mass-Test_P_00004_LEFT_CC", ["BENIGN"], 6),)),
    )


@pytest.fixture
def root(tmp_path):
    cbis_ddsm.write(hand_made(), tmp_path / "cbis")
    return tmp_path / "cbis"


def plain(dataset_cases):
    """Cases with pixels and masks in place of loaders."""
    out = []
    for view in (view for case in dataset_cases for view in case.views):
        lesions = [
            (one.id, one.pathology, one.kind, one.part, dict(one.attributes), one.region.mask(SHAPE).tobytes())
            for one in view.lesions
        ]
        facts = (view.id, view.patient_id, view.side, view.projection, view.max_value, view.spacing_mm)
        out.append((*facts, dict(view.attributes), view.pixels().tobytes(), lesions))
    return out


def rewrite(path: pathlib.Path, change) -> None:
    path.write_bytes(change(path.read_bytes()))


def test_what_is_written_is_read(root):
    dataset = cbis_ddsm.read(root)
    assert plain(dataset.cases) == plain(hand_made())
    assert [case.patient_id for case in dataset.cases] == ["P_00001", "P_00002", "P_00003", "P_00004"]
    assert dataset.problems == () and (dataset.name, dataset.kind) == ("cbis_ddsm", "real")


def test_views_survive_pickling(root):
    found = cbis_ddsm.read(root).views[0]
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.pixels(), found.pixels())
    assert again.lesions[0].region.bounds() == (3, 5, 7, 9)


def test_the_same_cases_give_the_same_bytes_in_any_number_of_threads(root, tmp_path):
    cbis_ddsm.write(hand_made(), tmp_path / "again", workers=1)
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert len(files) == 4 + 7 + 2 * 8  # tables, films, crops and masks
    for name in files:
        assert (root / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_published_faults_are_written(root):
    raw = (root / "mass_case_description_train_set.csv").read_bytes()
    assert raw.startswith(b"patient_id,breast_density,left or right breast,image view,abnormality id,")
    assert raw.split(b"\r\n")[0].endswith(b"image file path,cropped image file path,ROI mask file path")
    assert raw.count(b"\r\n") == 1 + 5 and raw.count(b'.dcm\n"\r\n') == 5
    raw = (root / "calc_case_description_train_set.csv").read_bytes()
    assert raw.startswith(b"patient_id,breast density,") and raw.count(b'000001.dcm\n",Calc-') == 1
    path = cbis_ddsm.read(root).views[1].path
    folder, *uids, name = pathlib.Path(path).relative_to(root).parts
    assert (folder, name) == ("Mass-Training_P_00001_LEFT_CC", "000000.dcm") and len(uids) == 2
    data = pydicom.dcmread(path)
    assert [data.StudyInstanceUID, data.SeriesInstanceUID] == uids and data.PatientID == folder


def test_crop_and_mask_change_places_as_often_as_published():
    train, test = cbis_ddsm_tables.TABLES[:2]
    drawn = [train.lesion_paths(f"Mass-Training_P_{i:05d}_LEFT_CC_1") for i in range(3000)]
    assert np.mean([swapped for _, _, swapped in drawn]) == pytest.approx(585 / 1316, abs=0.03)
    split = [crop.split("/")[2] != mask.split("/")[2] for crop, mask, _ in drawn]
    assert np.mean(split) == pytest.approx(92 / 1318, abs=0.02)
    assert not any(test.lesion_paths(f"Mass-Test_P_{i:05d}_LEFT_CC_1")[2] for i in range(100))


def test_swapped_files_are_told_apart(root):
    row = cbis_ddsm.read_csv(root / "mass_case_description_train_set.csv").iloc[0]
    crop, mask = root / row[cbis_ddsm_tables.CROP], root / row[cbis_ddsm_tables.MASK]
    before = plain(cbis_ddsm.read(root).cases)
    one, other = crop.read_bytes(), mask.read_bytes()
    crop.write_bytes(other), mask.write_bytes(one)
    assert plain(cbis_ddsm.read(root).cases) == before


def test_each_view_is_rendered_once(tmp_path):
    count, lock = [], threading.Lock()

    def load():
        with lock:
            count.append(1)
        return pixels(0)

    both = view("Mass-Training_P_00001_LEFT_CC", ["BENIGN", "BENIGN"], 0)
    calc = lesion("Calc-Training_P_00001_LEFT_CC", 1, "MALIGNANT")
    both = dataclasses.replace(both, load=load, lesions=(*both.lesions, calc))
    cbis_ddsm.write([cases.Case("P_00001", (both,))], tmp_path)
    assert len(count) == 1
    names = [view.id for view in cbis_ddsm.read(tmp_path).views]
    assert names == ["Calc-Training_P_00001_LEFT_CC", "Mass-Training_P_00001_LEFT_CC"]


def test_other_trees_are_found(root, tmp_path):
    """The download of NBIA: below a folder of its own, files numbered anew, folders perhaps dated."""
    expected = plain(cbis_ddsm.read(root).cases)
    for name, folders in {"uids": False, "dated": True}.items():
        for path in sorted(root.rglob("*.dcm")):
            case, study, series, _ = path.relative_to(root).parts
            if folders:
                study, series = "07-20-2016-DDSM-12345", f"1.000000-images-{series[-5:]}"
            place = tmp_path / name / "CBIS-DDSM" / case / study / series
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place / f"1-{1 + len(list(place.iterdir()))}.dcm")
        for path in root.glob("*.csv"):
            shutil.copy(path, tmp_path / name)
        assert plain(cbis_ddsm.read(tmp_path / name).cases) == expected


def test_copies_with_other_spellings(root):
    expected = plain(cbis_ddsm.read(root).cases)
    for path in root.glob("*.csv"):
        rewrite(path, lambda raw: raw.replace(b"\r\n", b"\n").replace(b"breast_density", b"breast density"))
    assert plain(cbis_ddsm.read(root).cases) == expected
    rewrite(root / "mass_case_description_train_set.csv", lambda raw: raw.replace(b"ROUND", b"NA", 1))
    assert cbis_ddsm.read_csv(root / "mass_case_description_train_set.csv")["mass shape"].iloc[0] == "N/A"


def test_any_of_the_tables_will_do(root):
    for path in root.glob("calc*.csv"):
        path.unlink()
    assert {one.kind for view in cbis_ddsm.read(root).views for one in view.lesions} == {"mass"}


def test_a_missing_column_is_named_with_its_file(root):
    path = root / "calc_case_description_test_set.csv"
    rewrite(path, lambda raw: raw.replace(b"pathology", b"patology", 1))
    with pytest.raises(cases.DataError, match=r"test_set\.csv: no column 'pathology'; it has .*patology"):
        cbis_ddsm.read(root)


def test_an_unknown_value_is_named_with_its_row(root):
    path = root / "mass_case_description_train_set.csv"
    rewrite(path, lambda raw: raw.replace(b"BENIGN_WITHOUT_CALLBACK", b"BENIN", 1))
    with pytest.raises(cases.DataError, match=r"row 2: 'pathology' is 'BENIN', expected one of NORMAL, BENIGN"):
        cbis_ddsm.read(root)


def test_folders_without_the_dataset(tmp_path):
    with pytest.raises(cases.DataError, match=r"empty.*mass_case_description_train_set\.csv.*calc_case"):
        cbis_ddsm.read(tmp_path)
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(cases.DataError, match="no table of CBIS-DDSM"):
        cbis_ddsm.read(tmp_path)
    with pytest.raises(cases.DataError, match="no such folder"):
        cbis_ddsm.read(tmp_path / "missing")


def test_tables_without_films_are_refused(root):
    for folder in root.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    with pytest.raises(cases.DataError, match=r"no such file.*none of the 7 films can be used"):
        cbis_ddsm.read(root)


def test_tables_without_a_row_are_refused(root):
    for path in root.glob("*.csv"):
        rewrite(path, lambda raw: raw.splitlines(keepends=True)[0])
    with pytest.raises(cases.DataError, match=r"train_set\.csv: lists nothing that could be read: 0 films"):
        cbis_ddsm.read(root)


def problems_after(root: pathlib.Path, reason: str) -> set[str]:
    """The views left out, once `strict` has been seen to stop at the reason."""
    with pytest.raises(cases.DataError, match=reason):
        cbis_ddsm.read(root, strict=True)
    dataset = cbis_ddsm.read(root)
    assert any(re.search(reason, problem.reason) for problem in dataset.problems)
    return {view.id for case in hand_made() for view in case.views} - {view.id for view in dataset.views}


def test_a_missing_film_is_listed_for_each_of_its_rows(root):
    path = pathlib.Path(cbis_ddsm.read(root).views[1].path)
    path.unlink()
    assert problems_after(root, "no such file") == {"Mass-Training_P_00001_LEFT_CC"}
    problems = cbis_ddsm.read(root).problems
    assert [problem.path for problem in problems] == [str(path)] * 2
    assert [p.reason.split(":")[0] for p in problems] == [f"Mass-Training_P_00001_LEFT_CC_{i}" for i in (1, 2)]


def test_a_truncated_film_is_listed(root):
    path = pathlib.Path(cbis_ddsm.read(root).views[0].path)
    rewrite(path, lambda raw: raw[:-100])
    assert problems_after(root, "truncated: expected 2400 bytes of pixels, found 2300") == {path.parts[-4]}


def test_a_missing_mask_takes_its_film_along_since_the_label_would_be_wrong(root):
    found = cbis_ddsm.read(root).views[1]
    pathlib.Path(found.lesions[0].region.path).unlink()
    assert problems_after(root, r"no mask \(8 bits\) there, 1 other file") == {found.id}
    reasons = [problem.reason for problem in cbis_ddsm.read(root).problems]
    assert len(reasons) == 2 and reasons[1].startswith(f"{found.id}_2: left out with ")


def test_a_mask_of_another_size_is_listed(root):
    found = cbis_ddsm.read(root).views[0]
    dicom.write(found.lesions[0].region.path, np.ones((41, 30), np.uint8))
    assert problems_after(root, r"the mask is \(41, 30\), its film \(40, 30\)") == {found.id}


def test_the_fingerprint_follows_tables_and_files_but_not_the_place(root, tmp_path):
    mark = cbis_ddsm.read(root).fingerprint
    shutil.copytree(root, tmp_path / "moved")
    assert len(mark) == 16 and cbis_ddsm.read(tmp_path / "moved").fingerprint == mark
    rewrite(root / "mass_case_description_train_set.csv", lambda raw: raw.replace(b"MALIGNANT", b"BENIGN", 1))
    assert cbis_ddsm.read(root).fingerprint != mark
    pathlib.Path(cbis_ddsm.read(tmp_path / "moved").views[0].path).unlink()
    assert cbis_ddsm.read(tmp_path / "moved").fingerprint != mark


def test_the_marker_makes_it_a_phantom(root):
    (root / datasets.PHANTOM_MARKER).write_text(json.dumps({}))
    assert cbis_ddsm.read(root).kind == "phantom"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"kind": "distortion"}, "_1 is distortion"), ({"region": None}, "_1 is mass without a region")],
)
def test_the_writer_refuses_other_lesions(tmp_path, fields, reason):
    one = view("Mass-Training_P_00001_LEFT_CC", ["BENIGN"], 0)
    one = dataclasses.replace(one, lesions=(dataclasses.replace(one.lesions[0], **fields),))
    with pytest.raises(cases.MammoError, match=reason):
        cbis_ddsm.write([cases.Case("P_00001", (one,))], tmp_path)


def test_the_writer_refuses_a_second_exposure_and_leaves_out_a_view_without_lesions(tmp_path):
    one = view("Mass-Training_P_00001_LEFT_CC", ["BENIGN"], 0)
    with pytest.raises(cases.MammoError, match="one view a patient"):
        cbis_ddsm.write([cases.Case("P_00001", (one, one))], tmp_path)
    healthy = dataclasses.replace(one, side=cases.Side.RIGHT, lesions=())
    cbis_ddsm.write([cases.Case("P_00001", (one, healthy))], tmp_path)
    assert [view.id for view in cbis_ddsm.read(tmp_path).views] == [one.id]


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
@pytest.mark.parametrize(
    ("name", "rows", "patients", "films", "malignant", "benign", "without_callback"),
    [
        ("mass_case_description_train_set", 1318, 691, 1231, 637, 577, 104),
        ("mass_case_description_test_set", 378, 201, 361, 147, 194, 37),
        ("calc_case_description_train_set", 1546, 602, 1227, 544, 528, 474),
        ("calc_case_description_test_set", 326, 151, 284, 129, 130, 67),
    ],
)
def test_the_published_tables(name, rows, patients, films, malignant, benign, without_callback):
    table = cbis_ddsm.read_csv(pathlib.Path(REAL) / "cbis_ddsm" / f"{name}.csv")
    assert len(table) == rows and table["patient_id"].nunique() == patients
    assert table[cbis_ddsm_tables.IMAGE].nunique() == films
    counts = table["pathology"].value_counts().to_dict()
    assert counts == {"MALIGNANT": malignant, "BENIGN": benign, "BENIGN_WITHOUT_CALLBACK": without_callback}
    paths = table[list(cbis_ddsm_tables.PATHS)]
    assert paths.apply(lambda column: column.str.fullmatch(r"\S+/\S+/\S+/00000[01]\.dcm")).all().all()
    assert table["breast density"].isin(list("01234")).all() and not (table == "").any().any()


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_the_published_tables_together():
    folder = pathlib.Path(REAL) / "cbis_ddsm"
    read = {table: cbis_ddsm.read_csv(folder / table.file) for table in cbis_ddsm_tables.TABLES}
    both = pd.concat(read.values())
    assert both[cbis_ddsm_tables.IMAGE].nunique() == 3103 and both["patient_id"].nunique() == 1566
    parts = {p: {i for t, rows in read.items() if t.part == p for i in rows["patient_id"]} for p in ("train", "test")}
    assert len(parts["train"] & parts["test"]) == 31
    for table, rows in read.items():  # the folders are named as the writer names them
        names = (
            table.prefix + "_" + rows["patient_id"] + "_" + rows["left or right breast"] + "_" + rows["image view"]
        )
        assert (rows[cbis_ddsm_tables.IMAGE].str.partition("/")[0] == names).all()
        masks = names + "_" + rows["abnormality id"]
        assert (rows[cbis_ddsm_tables.MASK].str.partition("/")[0] == masks).all() and masks.is_unique
    with pytest.raises(cases.DataError, match="none of the 3103 films"):
        cbis_ddsm.read(folder)
