"""The three trees in circulation give the same views."""

import os
import pathlib
import pickle
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from mammo_tf import cases
from mammo_tf.datasets import cbis_ddsm
from mammo_tf.datasets import cbis_ddsm_planted as planted
from mammo_tf.datasets import cbis_ddsm_tables as tables
from mammo_tf.datasets import cbis_ddsm_tree as trees
from mammo_tf.datasets import cbis_ddsm_writer as writer
from tests import test_datasets_cbis_ddsm as made

REAL = os.environ.get("MAMMO_TF_REAL_DATA")


def without_paths(root: pathlib.Path) -> None:
    for path in root.rglob("*_case_description_*.csv"):
        pd.read_csv(path, dtype=str, keep_default_na=False).iloc[:, :-3].to_csv(path, index=False)


@pytest.fixture
def root(tmp_path):
    cbis_ddsm.write(made.hand_made(), tmp_path / "csv")
    return tmp_path / "csv"


def test_the_download_of_the_archive_with_dated_folders(tmp_path):
    cbis_ddsm.write(made.hand_made(), tmp_path, tree="nbia")
    folders = {path.parent.relative_to(tmp_path).parts for path in tmp_path.rglob("*.dcm")}
    assert {parts[0] for parts in folders} == {"CBIS-DDSM"} and {len(parts) for parts in folders} == {4}
    films = [parts for parts in folders if "full mammogram images" in parts[3]]
    assert len(films) == 7 and {parts[2][:19] for parts in films} == {"07-20-2016-DDSM-NA-"}
    assert {path.name for path in tmp_path.rglob("*.dcm")} == {"1-1.dcm", "1-2.dcm"}
    dataset = cbis_ddsm.read(tmp_path)
    assert made.plain(dataset.cases) == made.plain(made.hand_made()) and dataset.problems == ()


def test_the_download_of_the_archive_with_uids(root, tmp_path):
    for path in sorted(root.rglob("*.dcm")):
        place = tmp_path / "CBIS-DDSM" / path.parent.relative_to(root)
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / f"1-{int(path.stem) + 1}.dcm")
    for path in root.glob("*.csv"):
        shutil.copy(path, tmp_path)
    shutil.rmtree(root)
    assert made.plain(cbis_ddsm.read(tmp_path).cases) == made.plain(made.hand_made())
    film = pathlib.Path(cbis_ddsm.read(tmp_path).views[0].path)
    (film.parent.parent / "2.25.7").mkdir()
    shutil.copy(next(tmp_path.rglob("1-2.dcm")), film.parent.parent / "2.25.7" / "1-1.dcm")
    assert cbis_ddsm.read(tmp_path).views[0].path == str(film)  # the series that its table names


@pytest.mark.parametrize("tree", ["csv", "nbia", "kaggle"])
def test_tables_without_paths(tmp_path, tree, monkeypatch):
    monkeypatch.setattr(writer, "_NAMELESS", 0.0)
    cbis_ddsm.write(made.hand_made(), tmp_path, tree=tree)
    expected = made.plain(cbis_ddsm.read(tmp_path).cases)
    without_paths(tmp_path)
    dataset = cbis_ddsm.read(tmp_path)
    assert made.plain(dataset.cases) == expected and dataset.problems == ()
    assert made.rules(dataset)["no paths in the table"] == 4


@pytest.fixture
def mirror(tmp_path):
    """Films large enough for JPEG to leave their masks alone."""
    cbis_ddsm.write(made.big(), tmp_path, tree="kaggle")
    return tmp_path


def test_the_mirror(mirror):
    names = {"jpeg", "csv"}
    assert {path.name for path in mirror.iterdir()} == names and not list(mirror.rglob("*.dcm"))
    dataset = cbis_ddsm.read(mirror)
    assert dataset.problems == () and len(dataset.views) == 12
    for view, origin in zip(dataset.views, (view for case in made.big() for view in case.views), strict=True):
        assert (view.id, view.max_value, view.lossy, view.spacing_mm) == (origin.id, 255, True, None)
        pixels = view.pixels()
        assert pixels.dtype == np.uint8 and pixels.shape == (300, 225)
        assert np.abs(pixels.astype(float) - origin.pixels() / 257).mean() < 4
        one, other = (lesion.region.mask((300, 225)) for lesion in (view.lesions[0], origin.lesions[0]))
        assert np.array_equal(one, other)
    with pytest.raises(cases.DataError, match="intensity 'minmax' is to be had from DICOM"):
        cbis_ddsm.read(mirror, intensity="minmax")


def test_masks_of_another_size_in_the_mirror_are_told_by_their_values_and_placed(tmp_path, monkeypatch):
    monkeypatch.setattr(planted, "OTHER_SIZE", 1.0)
    cbis_ddsm.write(made.big(), tmp_path, tree="kaggle")
    dataset = cbis_ddsm.read(tmp_path)
    assert dataset.problems == () and sum(made.rules(dataset).values()) == 12
    for view, origin in zip(dataset.views, (view for case in made.big() for view in case.views), strict=True):
        one, other = (lesion.region.mask((300, 225)) for lesion in (view.lesions[0], origin.lesions[0]))
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.93


def test_nameless_rows_of_the_mirror_are_known_by_their_series(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_NAMELESS", 1.0)
    cbis_ddsm.write(made.big(), tmp_path, tree="kaggle")
    info = pd.read_csv(tmp_path / "csv" / "dicom_info.csv", dtype=str, keep_default_na=False)
    odd = info[info["SeriesDescription"] == ""]
    assert len(odd) == 12 and "P_00000_LEFT_CC_1.dcm" in set(odd["PatientID"])
    expected = [view.id for view in cbis_ddsm.read(tmp_path).views]
    without_paths(tmp_path)
    dataset = cbis_ddsm.read(tmp_path)
    split = [view.id for case in made.big() for view in case.views if in_two_series(f"{view.id}_1")]
    assert [view.id for view in dataset.views] == [name for name in expected if name not in split]
    assert {problem.kind for problem in dataset.problems} <= {"missing"} and len(dataset.problems) == len(split)


def in_two_series(folder: str) -> bool:
    crop, mask, _ = planted.lesion_paths(tables.TABLES[1], folder)
    return crop.split("/")[2] != mask.split("/")[2]


def test_what_the_mirror_lacks_is_listed(mirror):
    views = cbis_ddsm.read(mirror).views
    pathlib.Path(views[0].path).unlink()
    pathlib.Path(views[1].lesions[0].region.path).unlink()
    truncated = pathlib.Path(views[2].path)
    truncated.write_bytes(truncated.read_bytes()[:-200])
    cv2.imwrite(views[3].path, np.zeros((300, 225, 3), np.uint8) + np.array([0, 90, 200], np.uint8))
    dataset = cbis_ddsm.read(mirror)
    assert [problem.kind for problem in dataset.problems] == ["missing", "missing", "unreadable"]
    assert "truncated" in dataset.problems[2].reason and len(dataset.views) == 9
    assert dataset.views[0].id == views[3].id
    with pytest.raises(cases.DataError, match="colour"):
        dataset.views[0].pixels()


def test_a_tree_is_walked_without_entering_its_folders(root):
    tree = trees.Tree.walk(root)
    assert set(tree.csvs) == {table.file for table in tables.TABLES} and not tree.series
    assert len(tree.folders) == 7 + 8
    named = "Mass-Training_P_00009_LEFT_CC/1.2/1.3/000000.dcm"
    assert tree.place(named) == root / named and tree.files(named) == []
    assert tree.files(f"{'a' * 5000}/1.2/1.3/000000.dcm") == []  # longer than a file system takes


def litter(root: pathlib.Path) -> None:
    """Beside each file what macOS writes, and a folder of it as it packs one."""
    for path in [path for path in root.rglob("*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\x05\x16\x07" + bytes(100))
        path.with_name("Thumbs.db").write_bytes(bytes(10))
        twin = root / "__MACOSX" / path.relative_to(root).with_name(f"._{path.name}")
        twin.parent.mkdir(parents=True, exist_ok=True)
        twin.write_bytes(bytes(10))


@pytest.mark.parametrize("tree", writer.TREES)
def test_what_systems_leave_behind_changes_nothing(tmp_path, tree):
    root = tmp_path / "größe 2" / "data"
    cbis_ddsm.write(made.big()[:4], root, tree=tree)
    before = cbis_ddsm.read(root)
    litter(root)
    assert pickle.dumps(cbis_ddsm.read(root)) == pickle.dumps(before) and before.problems == ()


def test_folders_that_are_links_and_names_in_capitals(root, tmp_path):
    before = made.plain(cbis_ddsm.read(root).cases)
    data = tmp_path / "data"
    data.mkdir()
    for path in sorted(root.rglob("*.dcm")):
        path.rename(path.with_suffix(".DCM"))
    for path in root.glob("*.csv"):
        path.rename(data / path.name.upper())
    (data / "films").symlink_to(root)
    (root / "loop").symlink_to(data)
    dataset = cbis_ddsm.read(data)
    assert made.plain(dataset.cases) == before and dataset.problems == ()
    assert len(cbis_ddsm.read(tmp_path).views) == 7  # one level too high


def test_a_folder_whose_name_only_begins_like_a_film_is_entered(root, tmp_path):
    root.rename(tmp_path / "Mass-Training_and_all_others")
    assert len(cbis_ddsm.read(tmp_path).views) == 7


def test_a_second_table_of_one_name_is_listed_unless_it_is_a_copy(root):
    name = "mass_case_description_test_set.csv"
    (root / "old").mkdir()
    shutil.copy(root / name, root / "old")
    assert cbis_ddsm.read(root).problems == ()
    (root / "old" / name).write_text("another")
    (problem,) = cbis_ddsm.read(root).problems
    assert problem.path == str(root / "old" / name) and problem.kind == "left out"
    with pytest.raises(cases.DataError, match="another file of that name"):
        cbis_ddsm.read(root, strict=True)


def test_a_broken_list_of_the_mirror_is_named(mirror):
    (mirror / "csv" / trees.INFO).write_text("a,b\n1,2\n")
    with pytest.raises(cases.DataError, match=r"dicom_info\.csv: cannot be read as the mirror's table"):
        cbis_ddsm.read(mirror)


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_the_list_of_the_mirror_as_published(tmp_path):
    """Its fourth row has the name of no table, no description and no side; its series is that of its crop."""
    shutil.copy(pathlib.Path(REAL) / "cbis_ddsm" / "kaggle_dicom_info.head.csv", tmp_path / trees.INFO)
    read = pd.read_csv(tmp_path / trees.INFO, dtype=str, keep_default_na=False)
    odd = read.iloc[3]
    assert odd["PatientID"] == "P_00562_LEFT_CC_2.dcm" and odd["SeriesDescription"] == odd["Laterality"] == ""
    assert set(writer.INFO) <= set(read)
    tree = trees.Tree.walk(tmp_path)
    assert len(tree.named) == 5
    assert tree.named["Calc-Test_P_00562_LEFT_CC_2"] == (odd["SeriesInstanceUID"],)
    assert all(
        path.split("/")[2] == uid for path, uid in zip(read["image_path"], read["SeriesInstanceUID"], strict=True)
    )


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_the_published_tables_without_their_films(tmp_path):
    for table in tables.TABLES:
        shutil.copy(pathlib.Path(REAL) / "cbis_ddsm" / table.file, tmp_path)
    with pytest.raises(cases.DataError, match=r"no such file.*none of the 3103 films"):
        cbis_ddsm.read(tmp_path)
