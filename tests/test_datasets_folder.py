import math
import pathlib
import pickle

import cv2
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import dicom, folder, pgm, phantom

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
    assert problems == (cases.Problem(str(root / "b.png"), "no label"),)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x.dcm", "not a DICOM file"),
        ("x.tif", "not an image that can be decoded"),
        ("x.png", "not an image that can be decoded"),
        ("x.jpg", "not an image that can be decoded"),
        ("x.pgm", "not a binary PGM"),
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
    assert reasons(root) == {"x.tif": "expected pixels of 8 or 16 bits, found float32"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("none.png,p2,0,,", "no such file (row of patient p2)"),
        (",p2,0,,", "no such file (row of patient p2)"),
        ("b.png,,0,,", "no patient_id, by which splits go"),
        ("b.png,p2,2,,", "label '2' is neither 0, 1 nor blank"),
        ("b.png,p2,0,LINKS,", "side 'LINKS' is neither LEFT, RIGHT, L, R nor blank"),
        ("./a.png,p2,0,,", "listed in two rows; the first one counts"),
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


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "cannot be read as CSV: No columns"),
        (b"file,patient_id,label\na.png,p\xe9,1\n", "cannot be read as CSV: 'utf-8' codec"),
        (b"file,patient_id,label\na.png,p,1\na.png,p,1,2,3,4,5\n", "cannot be read as CSV: Error tokenizing"),
        (b'file,patient_id,label\n"a.png,p,1\n', "cannot be read as CSV: Error tokenizing"),
        (b"file,label\na.png,1\n", "no column patient_id; it has file, label"),
    ],
)
def test_a_table_that_is_none_is_named(root, raw, reason):
    (root / "images.csv").write_bytes(raw)
    with pytest.raises(cases.DataError, match=rf"images\.csv: {reason}"):
        folder.read(root)
    (root / "images.csv").unlink()
    with pytest.raises(cases.DataError, match=r"no such table; expected the columns file, patient_id, label"):
        folder.read(root)


def test_tables_of_spreadsheets_are_read(root):
    """They begin with a byte order mark, and blanks stand round names and values."""
    (root / "images.csv").write_bytes("\ufefffile , patient_id,label\r\n a.png,p1, 1\r\n".encode())
    (view,) = folder.read(root).views
    assert (view.id, view.patient_id, view.attributes["label"]) == ("a.png", "p1", "1")


def test_colour_is_refused_unless_it_is_gray(root):
    colour = np.stack([GRAY, GRAY, GRAY], axis=-1)
    cv2.imwrite(str(root / "a.png"), colour)
    (view,) = folder.read(root).views
    assert np.array_equal(view.pixels(), GRAY)
    colour[0, 0, 1] = 9
    cv2.imwrite(str(root / "a.png"), colour)
    with pytest.raises(cases.DataError, match=r"a colour image \(2, 3, 3\)"):
        view.pixels()


def test_what_is_written_is_read(tmp_path):
    made = phantom.cases(phantom.PhantomSpec(patients=3, height=96, width=72, spacing_mm=2.0, seed=5, look="ffdm"))
    folder.write(made, tmp_path)
    dataset = folder.read(tmp_path)
    origins = {f"{view.id.replace('/', '_')}.png": view for case in made for view in case.views}
    assert dataset.problems == () and {view.id for view in dataset.views} == set(origins)
    for view in dataset.views:
        origin = origins[view.id]
        assert (view.patient_id, view.side, view.projection) == (origin.patient_id, origin.side, origin.projection)
        assert np.array_equal(view.pixels(), origin.pixels() * np.uint16(16))  # 12 bits in 16
        malignant = any(lesion.pathology is cases.Pathology.MALIGNANT for lesion in origin.lesions)
        assert folder.label_of_view(view) == malignant


def test_an_image_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "v.png").mkdir()
    view = cases.View("v", "p", None, cases.Projection.CC, GRAY.copy, 255)
    with pytest.raises(cases.DataError, match=r"v\.png: cannot be written"):
        folder.write([cases.Case("p", (view,))], tmp_path)


def test_a_header_of_an_absurd_size_is_a_fault_of_the_file(tmp_path):
    pgm.write(tmp_path / "a.pgm", GRAY)
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.pgm").read_bytes().replace(b"3 2", b"9999999 9999999"))
    with pytest.raises(cases.DataError, match="cannot be decoded"):
        folder.read_image(tmp_path / "a.tif")
