import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import dicom, folder, folder_template, pgm

HEAD = "file,patient_id,label,side,view"


def made(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("1_L_CC.png", "1,,LEFT,CC"),
        ("0_R-MLO.PNG", "0,,RIGHT,MLO"),
        ("case12.LEFT_MLO.jpg", "case12,,LEFT,MLO"),
        ("B_3013_1.RIGHT_CC.tif", "B_3013_1,,RIGHT,CC"),
        ("p7/lcc.dcm", "p7,,LEFT,CC"),
        ("p7/RIGHTMLO.dicom", "p7,,RIGHT,MLO"),
        ("L/p7.pgm", "p7,,LEFT,"),
        ("p7_left.tiff", "p7,,LEFT,"),
        ("mdb001.pgm", "mdb001,,,"),
        ("L.jpeg", ",,LEFT,"),
        ("p7, second_R_ML.png", "p7_second,,RIGHT,ML"),
    ],
)
def test_guesses(tmp_path, name, row):
    quoted = f'"{name}"' if "," in name else name
    assert folder.template(made(tmp_path, name)) == f"{HEAD}\n{quoted},{row}\n"


def test_parts_and_masks_have_columns_where_there_are_any(tmp_path):
    made(
        tmp_path, "train/1_L_CC.png", "train/1_L_CC_mask.png", "test/2_R_CC.png", "test/masks/3_R_CC.png", "README.md"
    )
    assert folder.template(tmp_path).splitlines() == [
        f"{HEAD},part,mask",
        "test/2_R_CC.png,2,,RIGHT,CC,test,",
        "train/1_L_CC.png,1,,LEFT,CC,train,train/1_L_CC_mask.png",
    ]


def test_a_mask_that_fits_two_images_is_left_out(tmp_path):
    made(tmp_path, "1.png", "1.jpg", "1_mask.png", "mask.png")
    assert folder.template(tmp_path).splitlines() == [HEAD, "1.jpg,1,,,", "1.png,1,,,"]


def test_a_folder_of_masks_alone_holds_images(tmp_path):
    assert folder.template(made(tmp_path, "masks/1.png")).splitlines() == [HEAD, "masks/1.png,1,,,"]


def test_files_without_an_ending_count_where_they_are_dicom(tmp_path):
    made(tmp_path, "notes", "list.txt")
    dicom.write(tmp_path / "IM0001", np.zeros((2, 2), np.uint8))
    assert folder.template(tmp_path).splitlines()[1:] == ["IM0001,IM0001,,,"]
    assert "; 1 image(s) lie below the folder" in folder_template.advice(tmp_path)


def test_the_proposal_is_a_table_that_can_be_read(tmp_path):
    for name in ("1_L_CC.pgm", "1_R_CC.pgm"):
        pgm.write(tmp_path / name, np.ones((2, 3), np.uint8))
    (tmp_path / "images.csv").write_text(folder.template(tmp_path))
    dataset = folder.read(tmp_path)
    assert dataset.problems == () and [(v.patient_id, v.side) for v in dataset.views] == [
        ("1", "LEFT"),
        ("1", "RIGHT"),
    ]


def test_what_systems_leave_behind_is_no_image_and_links_are_followed(tmp_path):
    for name in ("data/._1_L_CC.png", "data/__MACOSX/2.png", "data/.Trash/3.png", "disk/4_R_MLO.PNG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "data" / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "loop").symlink_to(tmp_path / "data")
    lines = folder_template.template(tmp_path / "data").splitlines()
    assert lines[1:] == ["link/4_R_MLO.PNG,link_4,,RIGHT,MLO"]


def test_no_image_is_said(tmp_path):
    with pytest.raises(cases.DataError, match=r"no image below the folder \(\.dcm, .*\.tiff\)"):
        folder.template(tmp_path)
    with pytest.raises(cases.DataError, match="no such folder"):
        folder.template(tmp_path / "x")
