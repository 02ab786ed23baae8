import collections
import dataclasses
import functools
import json
import pathlib
import pickle
import re
import shutil

import numpy as np
import pytest

from mammo_tf import cases, datasets, regions
from mammo_tf.datasets import about, cbis_ddsm, dicom

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


def rules(dataset: cases.Dataset) -> dict[str, int]:
    """How often each rule mended something; the line feeds, one a table, are left out."""
    return dict(collections.Counter(one.rule for one in dataset.repairs if one.rule != "line feed in a path"))


def test_entries_are_the_rows_of_the_tables(root):
    found = cbis_ddsm.entries(root)
    assert len(found) == 8 and found[-1] == about.Entry(
        image="Calc-Test_P_00001_RIGHT_CC",
        patient_id="P_00001",
        label="BENIGN",
        kind="calcification",
        side="RIGHT",
        view="CC",
        part="test",
        density="2",
    )
    assert {entry.image for entry in found} == {view.id for view in cbis_ddsm.read(root).views}
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    assert cbis_ddsm.entries(root) == found
    with pytest.raises(cases.DataError, match="the folder is empty"):
        cbis_ddsm.entries(path_of_nothing(root))


def path_of_nothing(root: pathlib.Path) -> pathlib.Path:
    (root / "nothing").mkdir()
    return root / "nothing"


def test_a_film_with_a_benign_and_a_malignant_lesion_keeps_both(root):
    (mixed,) = [view for view in cbis_ddsm.read(root).views if len(view.lesions) == 2]
    assert [one.pathology for one in mixed.lesions] == ["MALIGNANT", "BENIGN_WITHOUT_CALLBACK"]


def test_another_intensity_reaches_the_pixels(root):
    one, twin = (cbis_ddsm.read(root, intensity=name).views[0] for name in ("raw", "minmax"))
    assert np.array_equal(twin.pixels(), dicom.read_pixels(one.path, "minmax"))
    assert twin.max_value == dicom.max_value(dicom.read_header(one.path), "minmax")
    assert not np.array_equal(twin.pixels(), one.pixels())


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
    assert {problem.kind for problem in problems} == {"missing"}
    assert [p.reason.split(":")[0] for p in problems] == [f"Mass-Training_P_00001_LEFT_CC_{i}" for i in (1, 2)]


def test_a_truncated_film_is_listed(root):
    path = pathlib.Path(cbis_ddsm.read(root).views[0].path)
    rewrite(path, lambda raw: raw[:-100])
    assert problems_after(root, "truncated: expected 2400 bytes of pixels, found 2300") == {path.parts[-4]}


def test_a_missing_mask_takes_its_film_along_since_the_label_would_be_wrong(root):
    found = cbis_ddsm.read(root).views[1]
    pathlib.Path(found.lesions[0].region.path).unlink()
    assert problems_after(root, r"no mask \(8 bits, two values\) there, 1 other file") == {found.id}
    problems = cbis_ddsm.read(root).problems
    assert [problem.kind for problem in problems] == ["missing", "left out"]
    assert problems[1].reason.startswith(f"{found.id}_2: left out with ")


def test_a_mask_of_another_size_that_no_rule_fits_is_listed(root):
    found = cbis_ddsm.read(root).views[0]
    path = found.lesions[0].region.path
    dicom.write(path, np.ones((60, 30), np.uint8))
    (other,) = set(pathlib.Path(path).parent.iterdir()) - {pathlib.Path(path)}
    other.unlink()
    reason = r"the mask is \(60, 30\), its film \(40, 30\) \(rows, columns\), and no crop"
    assert problems_after(root, reason) == {found.id}
    assert [problem.kind for problem in cbis_ddsm.read(root).problems] == ["unreadable"]


def big() -> list[cases.Case]:
    """Films large enough for a mask divided by 1.149 to keep the ratio of its sides."""

    def one(i: int) -> cases.View:
        image = np.random.default_rng(i).integers(0, 65536, (300, 225), dtype=np.uint16)
        mask = np.zeros((300, 225), bool)
        mask[100 + 5 * i : 140 + 5 * i, 80:110] = True
        small = view(f"Mass-Test_P_{i:05d}_LEFT_CC", ["BENIGN"], i)
        lesions = (dataclasses.replace(small.lesions[0], region=regions.MaskRegion(mask.copy)),)
        return dataclasses.replace(small, load=image.copy, lesions=lesions)

    return [cases.Case(f"P_{i:05d}", (one(i),)) for i in range(12)]


def test_two_films_in_one_folder_are_not_guessed_at(root):
    found = cbis_ddsm.read(root).views[0]
    film = pathlib.Path(found.path)
    shutil.copy(film, film.with_name("1-1.dcm")), film.rename(film.with_name("1-2.dcm"))
    assert problems_after(root, "2 others of 16 bits below its folder, not one") == {found.id}


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
    assert cbis_ddsm.read(root).kind == cbis_ddsm.read(root.parent).kind == "phantom"
