import dataclasses
import threading

import pytest

from mammo_tf import cases
from mammo_tf.datasets import cbis_ddsm, dicom
from mammo_tf.datasets import cbis_ddsm_planted as planted
from mammo_tf.datasets import cbis_ddsm_writer as writer
from tests import test_datasets_cbis_ddsm as made


@pytest.mark.parametrize("tree", writer.TREES)
def test_the_same_cases_give_the_same_bytes_in_any_number_of_threads(tmp_path, tree):
    for name, workers in {"one": 1, "three": 3}.items():
        cbis_ddsm.write(made.hand_made(), tmp_path / name, workers=workers, tree=tree)
    one, three = tmp_path / "one", tmp_path / "three"
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 4 + (tree == "kaggle") + 7 + 2 * 8  # tables, films, crops and masks
    for name in files:
        assert (one / name).read_bytes() == (three / name).read_bytes()


def test_the_tables_and_folders_are_as_published(tmp_path):
    cbis_ddsm.write(made.hand_made(), tmp_path)
    raw = (tmp_path / "mass_case_description_train_set.csv").read_bytes()
    assert raw.startswith(b"patient_id,breast_density,left or right breast,image view,abnormality id,")
    assert raw.split(b"\r\n")[0].endswith(b"image file path,cropped image file path,ROI mask file path")
    assert raw.count(b"\r\n") == 1 + 5 and raw.count(b'.dcm\n"\r\n') == 5
    raw = (tmp_path / "calc_case_description_train_set.csv").read_bytes()
    assert raw.startswith(b"patient_id,breast density,") and raw.count(b'000001.dcm\n",Calc-') == 1
    found = sorted(path.relative_to(tmp_path).parts for path in tmp_path.rglob("*.dcm"))
    assert {len(parts) for parts in found} == {4} and {parts[3] for parts in found} <= {"000000.dcm", "000001.dcm"}


def test_planted_numbers_words_and_densities_reach_the_tables(tmp_path, monkeypatch):
    always = {key: planted.Rates(numbered=1, density_0=1, subtlety_0=1) for key in planted.RATES}
    monkeypatch.setattr(planted, "RATES", always)
    found = made.view("Mass-Training_P_00001_LEFT_CC", ["BENIGN", "MALIGNANT"], 0)
    bare = [dict(one.attributes) | {"abnormality id": ""} for one in found.lesions]
    lesions = tuple(dataclasses.replace(one, attributes=a) for one, a in zip(found.lesions, bare, strict=True))
    cbis_ddsm.write([cases.Case("P_00001", (dataclasses.replace(found, lesions=lesions),))], tmp_path)
    (read,) = cbis_ddsm.read(tmp_path).views
    assert [one.id for one in read.lesions] == [f"{read.id}_2", f"{read.id}_3"]
    assert [one.attributes["abnormality id"] for one in read.lesions] == ["2", "3"]
    assert {one.attributes["subtlety"] for one in read.lesions} == {"0"}
    assert dict(read.attributes) == {"breast density": "0"}


def test_each_view_is_rendered_once(tmp_path):
    count, lock = [], threading.Lock()

    def load():
        with lock:
            count.append(1)
        return made.pixels(0)

    both = made.view("Mass-Training_P_00001_LEFT_CC", ["BENIGN", "BENIGN"], 0)
    calc = made.lesion("Calc-Training_P_00001_LEFT_CC", 1, "MALIGNANT")
    both = dataclasses.replace(both, load=load, lesions=(*both.lesions, calc))
    cbis_ddsm.write([cases.Case("P_00001", (both,))], tmp_path)
    assert len(count) == 1
    names = [view.id for view in cbis_ddsm.read(tmp_path).views]
    assert names == ["Calc-Training_P_00001_LEFT_CC", "Mass-Training_P_00001_LEFT_CC"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"kind": "distortion"}, "_1 is distortion"), ({"region": None}, "_1 is mass without a region")],
)
def test_other_lesions_are_refused(tmp_path, fields, reason):
    one = made.view("Mass-Training_P_00001_LEFT_CC", ["BENIGN"], 0)
    one = dataclasses.replace(one, lesions=(dataclasses.replace(one.lesions[0], **fields),))
    with pytest.raises(cases.MammoError, match=reason):
        cbis_ddsm.write([cases.Case("P_00001", (one,))], tmp_path)


def test_a_second_exposure_is_refused_and_a_view_without_lesions_left_out(tmp_path):
    one = made.view("Mass-Training_P_00001_LEFT_CC", ["BENIGN"], 0)
    with pytest.raises(cases.MammoError, match="one view a patient"):
        cbis_ddsm.write([cases.Case("P_00001", (one, one))], tmp_path)
    healthy = dataclasses.replace(one, side=cases.Side.RIGHT, lesions=())
    cbis_ddsm.write([cases.Case("P_00001", (one, healthy))], tmp_path)
    assert [view.id for view in cbis_ddsm.read(tmp_path).views] == [one.id]


def test_another_tree_is_refused(tmp_path):
    with pytest.raises(cases.MammoError, match="tree is one of csv, nbia, kaggle, found 'zip'"):
        cbis_ddsm.write([], tmp_path, tree="zip")


def test_masks_are_stored_as_0_and_255(tmp_path):
    cbis_ddsm.write(made.hand_made(), tmp_path)
    path = cbis_ddsm.read(tmp_path).views[0].lesions[0].region.path
    assert set(dicom.read_pixels(path).ravel()) == {0, 255}
