"""What the reader mends, and that each mended fault is listed."""

import dataclasses
import pathlib

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import cbis_ddsm, dicom
from mammo_tf.datasets import cbis_ddsm_masks as masks
from mammo_tf.datasets import cbis_ddsm_planted as planted
from mammo_tf.datasets import cbis_ddsm_tables as tables
from tests import test_datasets_cbis_ddsm as made


@pytest.fixture
def root(tmp_path):
    cbis_ddsm.write(made.hand_made(), tmp_path)
    return tmp_path


def test_swapped_files_are_told_apart_and_counted(root):
    row = cbis_ddsm.read_csv(root / "mass_case_description_train_set.csv").iloc[0]
    crop, mask = root / row[tables.CROP], root / row[tables.MASK]
    dataset = cbis_ddsm.read(root)
    before, count = made.plain(dataset.cases), made.rules(dataset).get(cbis_ddsm.SWAPPED, 0)
    as_named = dicom.read_header(mask).bits_allocated == 8
    one, other = crop.read_bytes(), mask.read_bytes()
    crop.write_bytes(other), mask.write_bytes(one)
    dataset = cbis_ddsm.read(root)
    assert made.plain(dataset.cases) == before
    assert made.rules(dataset).get(cbis_ddsm.SWAPPED, 0) == count + (1 if as_named else -1)
    swapped = [one for one in dataset.repairs if one.rule == cbis_ddsm.SWAPPED]
    assert (str(crop) in [one.path for one in swapped]) == as_named


def test_crop_and_mask_in_two_series_are_counted(tmp_path, monkeypatch):
    always = {key: dataclasses.replace(rates, split=1.0, swapped=0.0) for key, rates in planted.RATES.items()}
    monkeypatch.setattr(planted, "RATES", always)
    cbis_ddsm.write(made.hand_made(), tmp_path)
    dataset = cbis_ddsm.read(tmp_path)
    assert made.plain(dataset.cases) == made.plain(made.hand_made()) and made.rules(dataset) == {cbis_ddsm.SPLIT: 8}
    assert dataset.repairs[-1].what == "the 2 files of the row lie in 2 series"


def test_a_line_feed_in_each_row_is_counted_once_a_table(root):
    found = [one for one in cbis_ddsm.read(root).repairs if one.rule == "line feed in a path"]
    assert {pathlib.Path(one.path).name: one.what for one in found} == {
        "mass_case_description_train_set.csv": "5 of 5 rows",
        "mass_case_description_test_set.csv": "1 of 1 rows",
        "calc_case_description_train_set.csv": "1 of 1 rows",
        "calc_case_description_test_set.csv": "1 of 1 rows",
    }


def test_a_mask_of_another_size_is_placed_and_the_label_survives(tmp_path, monkeypatch):
    monkeypatch.setattr(planted, "OTHER_SIZE", 1.0)
    written = made.big()
    cbis_ddsm.write(written, tmp_path)
    dataset = cbis_ddsm.read(tmp_path)
    assert dataset.problems == () and len(dataset.views) == 12
    count = made.rules(dataset)
    assert count[masks.RESIZED] + count[masks.SHIFTED] == 12 and min(count[masks.RESIZED], count[masks.SHIFTED]) > 2
    placed = {one.path: one.rule for one in dataset.repairs}
    for view, origin in zip(dataset.views, (view for case in written for view in case.views), strict=True):
        assert view.id == origin.id and view.lesions[0].pathology == origin.lesions[0].pathology
        one, other = (lesion.region.mask((300, 225)) for lesion in (view.lesions[0], origin.lesions[0]))
        if placed[view.lesions[0].region.path] == masks.SHIFTED:
            assert np.array_equal(one, other)
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.93


def test_a_film_is_told_from_a_mask_that_strayed_into_its_folder(root):
    """Users list two series in the film's folder of Mass-Test P_01183: one is the mask, as we read it."""
    found = cbis_ddsm.read(root).views[0]
    before = made.plain([cases.Case("", (found,))])
    film, mask = pathlib.Path(found.path), pathlib.Path(found.lesions[0].region.path)
    film.rename(film.with_name("1-1.dcm")), mask.rename(film.with_name("1-2.dcm"))
    dataset = cbis_ddsm.read(root)
    assert dataset.problems == () and made.plain([cases.Case("", (dataset.views[0],))]) == before
    assert [made.rules(dataset)[rule] for rule in (cbis_ddsm.SEVERAL, cbis_ddsm.STRAY)] == [1, 1]
    mended = {one.rule: one.path for one in dataset.repairs}
    assert mended[cbis_ddsm.STRAY] == str(film.with_name("1-2.dcm"))
    assert mended[cbis_ddsm.SEVERAL] == str(film.with_name("1-1.dcm"))


def test_a_mask_alone_in_its_films_folder_is_no_film(root):
    found = cbis_ddsm.read(root).views[0]
    film, mask = pathlib.Path(found.path), pathlib.Path(found.lesions[0].region.path)
    film.unlink(), mask.rename(film.with_name("1-2.dcm"))
    (problem,) = cbis_ddsm.read(root).problems
    assert (problem.path, problem.kind) == (found.path, "missing") and "0 others of 16 bits" in problem.reason


def test_a_film_of_8_bits_in_a_films_folder_is_no_mask(root):
    found = cbis_ddsm.read(root).views[0]
    film = pathlib.Path(found.path)
    film.rename(film.with_name("1-1.dcm")), pathlib.Path(found.lesions[0].region.path).unlink()
    dicom.write(film.with_name("1-2.dcm"), (made.pixels(0) >> 8).astype(np.uint8))
    (problem,) = cbis_ddsm.read(root).problems
    assert problem.kind == "missing" and "no mask (8 bits, two values)" in problem.reason


def test_rows_of_a_film_that_contradict_each_other_leave_it_out(root):
    path = root / "mass_case_description_train_set.csv"
    made.rewrite(path, lambda raw: raw.replace(b"P_00001,", b"P_00009,", 1))
    dataset = cbis_ddsm.read(root)
    assert [problem.path for problem in dataset.problems] == [str(path)] * 2
    assert len(dataset.views) == 6 and "P_00009" not in {case.patient_id for case in dataset.cases}


def test_the_place_of_a_mask_hangs_on_its_crop_and_so_does_the_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setattr(planted, "OTHER_SIZE", 1.0)
    cbis_ddsm.write(made.big(), tmp_path)
    before = cbis_ddsm.read(tmp_path)
    resized = next(one for one in before.repairs if one.rule == masks.RESIZED)
    (crop,) = set(pathlib.Path(resized.path).parents[1].rglob("*.dcm")) - {pathlib.Path(resized.path)}
    crop.unlink()
    after = cbis_ddsm.read(tmp_path)
    assert len(after.views) == len(before.views) and after.fingerprint != before.fingerprint
    assert cbis_ddsm.read(tmp_path).fingerprint == after.fingerprint


def test_a_film_that_its_table_names_is_taken_whatever_lies_beside_it(root):
    before = cbis_ddsm.read(root)
    film = pathlib.Path(before.views[0].path)
    film.with_name("copy.dcm").write_bytes(film.read_bytes())
    after = cbis_ddsm.read(root)
    assert after.views[0].path == str(film) and after.repairs == before.repairs and after.problems == ()


def test_a_damaged_file_beside_the_film_does_not_hide_it(root):
    film = pathlib.Path(cbis_ddsm.read(root).views[0].path)
    film.rename(film.with_name("1-1.dcm")), film.with_name("1-2.dcm").write_bytes(b"nothing")
    dataset = cbis_ddsm.read(root)
    assert dataset.problems == () and dataset.views[0].path == str(film.with_name("1-1.dcm"))
    film.with_name("1-1.dcm").write_bytes(b"nothing")
    assert cbis_ddsm.read(root).problems[0].path == str(film.with_name("1-1.dcm"))
