import csv
import dataclasses

import numpy as np
import pytest

from mammo_tf import cases, regions
from mammo_tf.datasets import patch_sets, patch_table
from mammo_tf.pipeline import resize


def pixels():
    return np.arange(4800, dtype=np.uint16).reshape(60, 80)


def view(id, patient):
    lesion = cases.Lesion(f"{id}_1", cases.Pathology.MALIGNANT, "mass", regions.CircleRegion(5.0, 30.0, 6.0))
    return cases.View(id, patient, None, cases.Projection.CC, pixels, 4800, lesions=(lesion,))


VIEWS = tuple(view(f"v{i}", f"p{i}") for i in range(3))


def parts():
    whole = [cases.Example(v.id, v.patient_id, (v,), 1.0, part="train") for v in VIEWS]
    whole[2] = dataclasses.replace(whole[2], part=None)
    split = cases.Splits((whole[0], whole[2]), (whole[1],))
    return patch_sets.sample_parts(split, patch_sets.CODE_S10, size=(30, 20), patch=8, resize=resize.area, seed=0)[0]


def test_a_table_gives_the_same_examples_back(tmp_path):
    made = parts()
    patch_table.write(tmp_path / "patches.csv", made)
    again = patch_table.read(tmp_path / "patches.csv", VIEWS, resize.area)
    assert again == made and len(again.train) == 40
    assert len({id(e.views[0].load.view) for e in again.train}) == 2
    for one, other in zip(again.val, made.val, strict=True):
        np.testing.assert_array_equal(one.views[0].pixels(), other.views[0].pixels())


def test_a_table_can_be_read_by_others(tmp_path):
    made = parts()
    patch_table.write(tmp_path / "patches.csv", made)
    with (tmp_path / "patches.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    box = made.train[0].views[0].load
    assert rows[0] == {
        "part": "train",
        "id": "v0/s10/v0_1/0",
        "image": "v0",
        "patient": "p0",
        "official_part": "train",
        "class": "malignant mass",
        "roi": "v0_1",
        "top": str(box.top),
        "left": str(box.left),
        "patch": "8",
        "height": "30",
        "width": "20",
    }
    assert [row["part"] for row in rows] == ["train"] * 40 + ["val"] * 20 and rows[30]["class"] == "background"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("part,id", "part,name", "expected the columns"),
        ("train,v0/s10/v0_1/0", "learn,v0/s10/v0_1/0", "line 2: unknown part 'learn'"),
        ("malignant mass", "mass", "line 2: unknown part 'train' or class 'mass'"),
        (",8,30,20", ",8,30,x", "line 2: expected whole numbers"),
        ("0,v0,p0", "0,v9,p0", "names image v9, which is none of the 3 views"),
        ("0,v0,p0", "0,v0,p7", "image v0 is of patient p7, in the views p0"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path, old, new, message):
    path = tmp_path / "patches.csv"
    patch_table.write(path, parts())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(cases.DataError, match=message) as caught:
        patch_table.read(path, VIEWS, resize.area)
    assert caught.value.path == str(path)


def test_files_that_are_not_there_and_examples_that_are_no_patches(tmp_path):
    with pytest.raises(cases.MissingError, match="no such file"):
        patch_table.read(tmp_path / "none.csv", VIEWS, resize.area)
    with pytest.raises(cases.DataError, match="cannot be written"):
        patch_table.write(tmp_path, parts())
    whole = cases.Splits((cases.Example("v0", "p0", (VIEWS[0],), 1.0),), ())
    with pytest.raises(cases.MammoError, match="example v0 is no window of a resized image"):
        patch_table.write(tmp_path / "p.csv", whole)
