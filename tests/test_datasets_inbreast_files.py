import pathlib

import pytest

from mammo_tf import cases
from mammo_tf.datasets import inbreast_files as files

NAME = "22580192_5530d5782fc89dd7_MG_R_CC_ANON.dcm"


def tree(root: pathlib.Path, *names: str) -> files.Tree:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return files.Tree.walk(root)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (NAME, ("22580192", "5530d5782fc89dd7", "R", "CC", "dcm")),
        ("20586934_6c613a14b80a8591_MG_L_ML_ANON.dcm", ("20586934", "6c613a14b80a8591", "L", "MLO", "dcm")),
        ("20586934_6C613A14B80A8591_MG_l_ml_anon.PNG", ("20586934", "6c613a14b80a8591", "L", "MLO", "png")),
        ("22580192.png", ("22580192", "", "", "", "png")),
        ("22580192.dcm", ("22580192", "", "", "", "dcm")),
    ],
)
def test_a_name_tells_image_patient_side_and_view(name, expected):
    found = files.Image.of(pathlib.Path("a", name))
    assert (found.image, found.patient, found.side, found.view, found.form) == expected


@pytest.mark.parametrize("name", ["22580192_mass_mask.png", "22580192.jpg", f"copy of {NAME}", "I0001.dcm"])
def test_other_names_are_no_images(name):
    assert files.Image.of(pathlib.Path(name)) is None


def test_any_folders_will_do_but_those_of_other_things(tmp_path):
    found = tree(
        tmp_path,
        "some/where/inbreast.CSV",
        f"else/{NAME}",
        "else/22580192.xml",
        "PectoralMuscle/22580192.xml",
        "__MACOSX/22580192.xml",
        f"else/._{NAME}",
        "AllROI/22580192.roi",
        "else/I0001.dcm",
    )
    assert found.table == tmp_path / "some/where/inbreast.CSV"
    assert [file.path.name for file in found.images["22580192"]] == [NAME] and len(found.images) == 1
    assert found.outlines == {"22580192": [tmp_path / "else/22580192.xml"]}
    assert found.strange == (tmp_path / "else/I0001.dcm",)


def test_a_second_table_is_kept_beside_the_first(tmp_path):
    found = tree(tmp_path, "b/INbreast.csv", "a/inbreast.csv", "a/INbreast.xls")
    assert found.tables == (tmp_path / "a/inbreast.csv", tmp_path / "b/INbreast.csv")
    assert found.table == tmp_path / "a/inbreast.csv"


def test_the_excel_table_serves_where_no_csv_is(tmp_path):
    assert tree(tmp_path).table is None
    assert tree(tmp_path, "z/INbreast.xls").table.name == "INbreast.xls"
    assert tree(tmp_path, "z/z/INbreast.csv").table.name == "INbreast.csv"


def test_a_dicom_is_preferred_to_its_copy(tmp_path):
    found = tree(tmp_path, f"a/{NAME[:-4]}.png", f"b/{NAME}", "a/22580192.png")
    assert found.image_of("22580192") == (files.Image.of(tmp_path / "b" / NAME), ())


def test_a_second_file_of_an_image_is_a_problem(tmp_path):
    first, others = tree(tmp_path, f"a/{NAME}", f"b/{NAME}").image_of("22580192")
    assert first.path == tmp_path / "a" / NAME
    reason = f"one more file of image 22580192; {first.path} is used"
    assert others == (cases.Problem(str(tmp_path / "b" / NAME), reason, "left out"),)


@pytest.mark.parametrize(
    ("names", "error", "reason"),
    [
        ((), cases.MissingError, r"22580192_\*_ANON\.dcm: no such file"),
        (
            ("22580192.png",),
            cases.DataError,
            r"22580192\.png: patient unknown: only a name such as 22580192_<patient>_",
        ),
        ((NAME, NAME.replace("_55", "_66")), cases.DataError, "patients 5530d5782fc89dd7 and 6630d5782fc89dd7"),
    ],
)
def test_images_without_one_certain_patient(tmp_path, names, error, reason):
    with pytest.raises(cases.DataError, match=reason) as caught:
        tree(tmp_path, *names).image_of("22580192")
    assert caught.type is error


def test_two_files_of_outlines_must_agree(tmp_path):
    found = tree(tmp_path, "a/22580192.xml", "b/22580192.xml")
    with pytest.raises(cases.DataError, match=r"a/22580192\.xml: 2 files of image 22580192 differ"):
        found.outline_of("22580192")
    (tmp_path / "b/22580192.xml").write_bytes((tmp_path / "a/22580192.xml").read_bytes())
    assert found.outline_of("22580192") == tmp_path / "a/22580192.xml"
    assert found.outline_of("22580193") is None


def test_what_no_row_lists_is_left_out(tmp_path):
    found = tree(tmp_path, "INbreast.csv", NAME, "22580193.xml", "22580194.png", "I0001.dcm")
    problems = found.unlisted({"22580192"})
    assert [pathlib.Path(problem.path).name for problem in problems] == ["22580193.xml", "22580194.png", "I0001.dcm"]
    assert {problem.kind for problem in problems} == {"left out"}
    assert problems[0].reason == f"not listed in {tmp_path / 'INbreast.csv'}"
    assert problems[2].reason.startswith("no image's name; expected <image>_<patient>_MG_R_CC_ANON.dcm")
