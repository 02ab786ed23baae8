import math
import os
import pathlib
import pickle

import cv2
import numpy as np
import pytest

from mammo_tf import cases, labels
from mammo_tf.datasets import about, dicom, folder

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")

GRAY = np.array([[0, 1, 2], [40, 50, 255]], np.uint8)
HEAD = "file,patient_id,label,side,view\n"


def table(root: pathlib.Path, *rows: str, head: str = HEAD) -> pathlib.Path:
    (root / "images.csv").write_text(head + "".join(f"{row}\n" for row in rows))
    return root


@pytest.fixture
def root(tmp_path):
    """A folder with one good image; tests add rows and files."""
    cv2.imwrite(str(tmp_path / "a.png"), GRAY)
    return table(tmp_path, "a.png,p1,1,LEFT,CC")


def reasons(root: pathlib.Path) -> dict[str, str]:
    """Reason by file name of what was left out, once `strict` has been seen to stop at the first."""
    dataset = folder.read(root)
    assert [view.id for view in dataset.views] == ["a.png"]
    with pytest.raises(cases.DataError) as refused:
        folder.read(root, strict=True)
    assert (refused.value.path, refused.value.reason) == (dataset.problems[0].path, dataset.problems[0].reason)
    return {pathlib.Path(problem.path).name: problem.reason for problem in dataset.problems}


def test_rows_become_views(root):
    (root / "below").mkdir()
    cv2.imwrite(str(root / "below" / "b.png"), GRAY.astype(np.uint16) * 200)
    dicom.write(root / "c.dcm", GRAY.astype(np.uint16), bits_stored=12)
    (root / "d.pgm").write_bytes(b"P5 2 1 1023\n" + bytes([3, 255, 0, 7]))
    cv2.imwrite(str(root / "e.tif"), GRAY.astype(np.uint16))
    cv2.imwrite(str(root / "f.jpg"), GRAY)
    rows = ["below/b.png,p1,0.0, r ,mlo", "c.dcm,p0,1,L,ML", "d.pgm,p2,,,", "./e.tif,p2,0,right,CC", "f.jpg,p2,1"]
    dataset = folder.read(table(root, "a.png,p1,1,LEFT,CC", *rows))
    assert dataset.problems == () and (dataset.name, dataset.kind) == ("folder", "real")
    assert [case.patient_id for case in dataset.cases] == ["p0", "p1", "p2"]
    left, right, other = cases.Side.LEFT, cases.Side.RIGHT, cases.Projection.OTHER
    assert [(v.id, v.side, v.projection, v.max_value) for v in dataset.views] == [
        ("c.dcm", left, other, 4095),
        ("a.png", left, cases.Projection.CC, 255),
        ("below/b.png", right, cases.Projection.MLO, 65535),
        ("d.pgm", None, other, 1023),
        ("e.tif", right, cases.Projection.CC, 65535),
        ("f.jpg", None, other, 255),
    ]
    c, a, b, d, e, f = (pickle.loads(pickle.dumps(view)).pixels() for view in dataset.views)
    assert np.array_equal(a, GRAY) and np.array_equal(b, GRAY.astype(np.uint16) * 200)
    assert np.array_equal(c, GRAY) and np.array_equal(e, GRAY) and d.tolist() == [[1023, 7]] and f.shape == (2, 3)


def test_a_blank_label_is_kept_by_the_reader_and_listed_by_whole_images(root):
    cv2.imwrite(str(root / "b.png"), GRAY)
    dataset = folder.read(table(root, "a.png,p1,1,,", "b.png,p2, ,,"))
    assert dataset.problems == ()
    assert math.isnan(folder.label_of_view(dataset.views[1]))
    examples, problems = folder.whole_images(dataset)
    assert [(e.id, e.patient_id, e.label, e.roi_id) for e in examples] == [("a.png", "p1", 1.0, "a.png")]
    assert problems == (cases.Problem(str(root / "b.png"), "no label", "left out"),)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x.dcm", "not a DICOM file"),
        ("x.tif", "not an image that can be decoded"),
        ("x.png", "not an image that can be decoded"),
        ("x.jpg", "not an image that can be decoded"),
        ("x.pgm", "not a PGM"),
        ("x", "not an image that can be decoded"),
    ],
)
@pytest.mark.parametrize("raw", [b"", b"junk " * 100], ids=["empty", "junk"])
def test_a_file_of_junk_is_listed(root, name, reason, raw):
    (root / name).write_bytes(raw)
    table(root, f"{name},p2,0,,", "a.png,p1,1,,")
    assert reasons(root)[name].startswith(reason)


def test_an_image_of_other_pixels_is_listed(root):
    cv2.imwrite(str(root / "x.tif"), GRAY.astype(np.float32))
    table(root, "x.tif,p2,0,,", "a.png,p1,1,,")
    assert reasons(root) == {"x.tif": "expected unsigned pixels of 8 or 16 bits, found floating-point ones of 32"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("none.png,p2,0,,", "no such file (row of patient p2)"),
        (",p2,0,,", "no such file (row of patient p2)"),
        ("b.png,,0,,", "no patient_id, by which splits go"),
        ("b.png,p2,2,,", "label '2' is neither 0, 1 nor blank"),
        ("b.png,p2,0,LINKS,", "side 'LINKS' is neither LEFT, RIGHT, L, R nor blank"),
        ("./a.png,p2,0,,", "listed in two rows; the first one counts"),
        ("b.png,p2,0,,,,7", "line 3 of the table has 7 fields, its header 5 columns"),
        (f"{'x' * 999},p2,0,,", "no such file (row of patient p2)"),
    ],
)
def test_a_row_with_a_fault_is_listed(root, row, reason):
    cv2.imwrite(str(root / "b.png"), GRAY)
    assert list(reasons(table(root, "a.png,p1,1,,", row)).values()) == [reason]


def test_a_file_outside_the_folder_is_listed(tmp_path):
    root = tmp_path / "mine"
    root.mkdir()
    for place in (root, tmp_path):
        cv2.imwrite(str(place / "a.png"), GRAY)
    cv2.imwrite(str(tmp_path / "b.png"), GRAY)
    table(root, "../a.png,p2,0,,", f"{tmp_path}/b.png,p2,0,,", "x/../a.png,p1,1,,")
    found = reasons(root)
    assert found == {
        "a.png": "file '../a.png' is no path below the folder of the table",
        "b.png": f"file '{tmp_path}/b.png' is no path below the folder of the table",
    }


def test_a_table_of_which_nothing_can_be_used_is_refused_in_plain_words(tmp_path):
    table(tmp_path, "x.png,p1,1,,", "y.png,p2,1,,")
    with pytest.raises(cases.DataError) as refused:
        folder.read(tmp_path)
    first = "no such file (row of patient p1) (none of the 2 rows can be used; this is the first fault)"
    assert str(refused.value) == f"{tmp_path / 'x.png'}: {first}"
    with pytest.raises(cases.DataError, match=r"images\.csv: lists nothing that could be read: 0 rows"):
        folder.read(table(tmp_path))


def test_without_a_table_one_is_proposed(root):
    (root / "images.csv").unlink()
    advice = r"no such table; expected the columns file, patient_id, label and a row an image; 1 image\(s\) lie below"
    for read in (folder.read, folder.entries):
        with pytest.raises(cases.MissingError, match=rf"{advice}.*`mammo-tf check folder DIR` proposes a table"):
            read(root)


def test_what_the_table_had_to_mend_is_listed(root):
    table(root, "a.png,p1,1,SECRET", head="file,patient_id,label,name\n")
    dataset = folder.read(root)
    assert [repair.rule for repair in dataset.repairs] == ["personal column"]
    assert "SECRET" not in repr(dataset) + repr(folder.entries(root))


def test_bits_and_intensity_reach_the_file(root):
    dicom.write(root / "c", np.array([[100, 300]], np.uint16), bits_stored=12)
    cv2.imwrite(str(root / "d.png"), np.array([[5, 1023]], np.uint16))
    cv2.imwrite(str(root / "f.jpg"), GRAY)
    table(root, "a.png,p1,1", "c,p1,1,12", "d.png,p1,1,10", "f.jpg,p1,1", head="file,patient_id,label,bits\n")
    views = folder.read(root).views
    assert [(v.id, v.max_value, v.lossy) for v in views] == [
        ("a.png", 255, False),
        ("c", 4095, False),
        ("d.png", 1023, False),
        ("f.jpg", 255, True),
    ]
    spread = folder.read(root, intensity="minmax").views
    assert [v.max_value for v in spread] == [255, 65535, 1023, 255] and spread[1].pixels().tolist() == [[0, 65535]]


def test_paths_with_backslashes_are_found(root):
    (root / "below").mkdir()
    (root / "a.png").rename(root / "below" / "a.png")
    assert [view.id for view in folder.read(table(root, "below\\a.png,p1,1")).views] == ["below/a.png"]


def test_what_else_is_known_of_an_image(root):
    head = "file,patient_id,label,bits,spacing_mm,part,birads,density,scanner,view\n"
    (view,) = folder.read(table(root, 'a.png,p1,0,8,"0,05",Train,4a,b,X7,ML', head=head)).views
    assert (view.max_value, view.spacing_mm, view.projection) == (255, 0.05, cases.Projection.OTHER)
    known = {"label": "0", "birads": "4a", "breast density": "B", "scanner": "X7", "part": "train"}
    assert view.attributes == known and view.lesions == ()
    assert labels.birads_4_up.view(view) == 1.0
    ((example,), _) = folder.whole_images(folder.read(root))
    assert (example.part, example.label) == ("train", 0.0)


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("bits", "17", "bits '17' is no number of bits from 1 to 16"),
        ("bits", "12", "bits 12 allow values up to 4095, the file's header up to 255"),
        ("spacing_mm", "0.0", "spacing_mm '0.0' is no size of a pixel in mm, above 0 and below 10"),
        ("spacing_mm", "70", "spacing_mm '70' is no size"),
        ("spacing_mm", "-1", "spacing_mm '-1' is no size"),
        ("part", "val", "part 'val' is neither train, test nor blank"),
        ("birads", "7", "birads '7' is no BI-RADS category"),
        ("density", "e", "density 'e' is no density of the breast"),
        ("pathology", "cancer", "pathology 'cancer' is none of NORMAL, BENIGN, BENIGN_WITHOUT_CALLBACK, MALIGNANT"),
        ("mask", "m.png", "no such file (row of patient p2)"),
        ("mask", "../m.png", "mask '../m.png' is no path below the folder of the table"),
        ("mask", "small.png", "the mask is (1, 1), its image (2, 3) (rows, columns)"),
        ("mask", "junk.png", "not an image that can be decoded"),
    ],
)
def test_a_field_with_a_fault_is_listed(root, column, text, reason):
    cv2.imwrite(str(root / "b.png"), GRAY)
    cv2.imwrite(str(root / "small.png"), GRAY[:1, :1])
    (root / "junk.png").write_bytes(b"junk")
    table(root, "a.png,p1,1,", f"b.png,p2,0,{text}", head=f"file,patient_id,label,{column}\n")
    (found,) = reasons(root).values()
    assert found.startswith(reason)


def test_faults_of_a_row_say_whether_a_file_is_missing(root):
    cv2.imwrite(str(root / "b.png"), GRAY)
    dataset = folder.read(table(root, "a.png,p1,1,,", "none.png,p2,0,,", "b.png,p2,2,,"))
    assert [problem.kind for problem in dataset.problems] == ["missing", "unreadable"]


@pytest.mark.parametrize("ending", ["png", "jpg", "pgm"])
def test_a_mask_makes_a_lesion(root, ending):
    image, mask = np.full((40, 50), 7, np.uint8), np.zeros((40, 50), np.uint8)
    mask[8:24, 16:40] = 255
    cv2.imwrite(str(root / "a.png"), image)
    cv2.imwrite(str(root / f"m.{ending}"), mask)
    head = "file,patient_id,label,mask,kind,pathology,part,birads\n"
    (view,) = folder.read(table(root, f"a.png,p1,1,m.{ending},Mass,,test,5", head=head)).views
    (lesion,) = pickle.loads(pickle.dumps(view)).lesions
    assert (lesion.id, lesion.pathology, lesion.kind) == ("a.png#1", cases.Pathology.MALIGNANT, "mass")
    assert (lesion.part, lesion.attributes) == ("test", {"assessment": "5"})
    assert lesion.region.bounds() == (8, 16, 24, 40)
    assert np.array_equal(lesion.region.mask((40, 50)), mask > 0)


@pytest.mark.parametrize(
    ("label", "pathology", "kind", "lesions"),
    [
        ("0", "", "", []),
        ("1", "normal", "mass", []),
        ("1", "", "mass", [("MALIGNANT", "mass")]),
        ("0", "", "mass", [("BENIGN", "mass")]),
        ("", "", "mass", [("UNPROVEN", "mass")]),
        ("1", "benign_without_callback", "", [("BENIGN_WITHOUT_CALLBACK", "lesion")]),
    ],
)
def test_a_kind_or_a_pathology_makes_a_lesion_without_a_place(root, label, pathology, kind, lesions):
    head = "file,patient_id,label,pathology,kind\n"
    (view,) = folder.read(table(root, f"a.png,p1,{label},{pathology},{kind}", head=head)).views
    assert [(one.pathology, one.kind) for one in view.lesions] == lesions
    assert all(one.region is None for one in view.lesions)


def test_a_mask_of_a_normal_image_is_a_fault(root):
    cv2.imwrite(str(root / "b.png"), GRAY)
    head = "file,patient_id,label,mask,pathology\n"
    found = reasons(table(root, "a.png,p1,1", "b.png,p1,0,a.png,NORMAL", head=head))
    assert found == {"a.png": f"the mask of a lesion in {root / 'b.png'}, whose pathology is NORMAL"}


def test_the_fingerprint_counts_masks(root):
    cv2.imwrite(str(root / "m.png"), GRAY)
    table(root, "a.png,p1,1,m.png", head="file,patient_id,label,mask\n")
    mark = folder.read(root).fingerprint
    (root / "m.png").write_bytes((root / "m.png").read_bytes() + b"\0")
    assert folder.read(root).fingerprint != mark


def test_entries_come_from_the_table_alone(tmp_path):
    head = "file,patient_id,label,side,view,part,density,kind,pathology,name\n"
    rows = ["x.png,p1,1.0,l,cc,TEST,b,Mass,,A", "below\\y.png,p2,0,,,,,,benign,B", "z.png,p3,,up"]
    assert folder.entries(table(tmp_path, *rows, head=head)) == (
        about.Entry("x.png", "p1", "1", "mass", "LEFT", "CC", "test", "B"),
        about.Entry("below/y.png", "p2", "BENIGN"),
        about.Entry("z.png", "p3", ""),
    )


def test_colour_is_refused_unless_it_is_gray(root):
    colour = np.stack([GRAY, GRAY, GRAY], axis=-1)
    cv2.imwrite(str(root / "a.png"), colour)
    (view,) = folder.read(root).views
    assert np.array_equal(view.pixels(), GRAY)
    colour[0, 0, 1] = 9
    cv2.imwrite(str(root / "a.png"), colour)
    with pytest.raises(cases.DataError, match=r"a colour image \(2, 3, 3\)"):
        view.pixels()


def links(root: pathlib.Path, place: str) -> list[str]:
    """Links to the real images of a place; their names."""
    paths = sorted((pathlib.Path(REAL) / place).glob("*.png"))
    for path in paths:
        (root / path.name).symlink_to(path)
    return [path.name for path in paths]


@needs_real
def test_two_real_views_of_16_bits(tmp_path):
    rows = [f"{name},p1,{i},{name[2]},{name[4:6]}" for i, name in enumerate(links(tmp_path, "nyu"))]
    dataset = folder.read(table(tmp_path, *rows))
    assert dataset.problems == () and [view.side for view in dataset.views] == ["LEFT", "RIGHT"]
    for view in dataset.views:
        pixels = view.pixels()
        assert (pixels.shape, pixels.dtype, view.max_value, view.lossy) == ((3328, 2560), np.uint16, 65535, False)
        assert np.array_equal(pixels, cv2.imread(view.path, cv2.IMREAD_UNCHANGED))


@needs_real
def test_a_real_exam_of_12_bits_by_its_proposed_table(tmp_path):
    names = links(tmp_path, "gmic_exam0")
    text = folder.template(tmp_path)
    assert text.splitlines()[1:] == [
        "0_L-CC.png,0,,LEFT,CC",
        "0_L-MLO.png,0,,LEFT,MLO",
        "0_R-CC.png,0,,RIGHT,CC",
        "0_R-MLO.png,0,,RIGHT,MLO",
    ]
    head, *rows = text.splitlines()
    (tmp_path / "images.csv").write_text("\n".join([f"{head},bits", *(f"{row},12" for row in rows)]))
    dataset = folder.read(tmp_path)
    assert dataset.problems == () and [view.id for view in dataset.views] == names and len(dataset.cases) == 1
    for view in dataset.views:
        assert view.max_value == 4095 and 2048 < view.pixels().max() <= 4095
    (tmp_path / "images.csv").write_text("\n".join([f"{head},bits", *(f"{row},8" for row in rows)]))
    with pytest.raises(cases.DataError, match=r"holds the value \d+; its bits allow at most 255"):
        folder.read(tmp_path).views[0].pixels()


@needs_real
def test_a_real_view_cut_short_is_listed(tmp_path):
    raw = (pathlib.Path(REAL) / "nyu" / "1_L_CC.png").read_bytes()
    (tmp_path / "a.png").write_bytes(raw)
    (tmp_path / "b.png").write_bytes(raw[: len(raw) // 2])
    assert reasons(table(tmp_path, "a.png,1,1", "b.png,1,0"))["b.png"].startswith("truncated: a PNG without its last")
