import dataclasses
import functools
import json
import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest

from mammo_tf import cases, datasets, regions
from mammo_tf.datasets import mini_mias, pgm

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
SIDE = 32
INFO = (
    b"PROSE\r\n1st column: MIAS database reference number.\r\n\r\n"
    b"mdb001 G CIRC B 10 12 5\r\nmdb002 D NORM \r\nmdb003 F MISC B 3 30 2\r\nmdb003 F SPIC M 8 9 4\r\n"
    b"mdb005 D CALC M *NOTE 3* \r\nmdb006 F CIRC B\r\n \r\n=====\r\n"
)


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "Info.txt").write_bytes(INFO)
    for number in (1, 2, 3, 5, 6):
        pgm.write(tmp_path / f"mdb{number:03d}.pgm", pixels(number))
    return tmp_path


def view(number: int, *lesions: cases.Lesion) -> cases.View:
    first = number - 1 + number % 2
    return cases.View(
        id=f"mdb{number:03d}",
        patient_id=f"mias_{first:03d}_{first + 1:03d}",
        side=cases.Side.RIGHT if number % 2 else cases.Side.LEFT,
        projection=cases.Projection.MLO,
        load=functools.partial(pixels, number),
        max_value=255,
        spacing_mm=6.4,
        lesions=lesions,
        attributes={"background tissue": "G"},
    )


def lesion(id: str, code: str, pathology: str, region: regions.Region | None) -> cases.Lesion:
    return cases.Lesion(id, cases.Pathology(pathology), mini_mias.KINDS[code], region, {"class": code})


def hand_made() -> tuple[cases.Case, ...]:
    two = (
        lesion("mdb001_1", "MISC", "BENIGN", regions.CircleRegion(10, 20, 5)),
        lesion("mdb001_2", "ASYM", "MALIGNANT", regions.CircleRegion(3, 2, 4)),
    )
    everywhere = lesion("mdb003_1", "CALC", "MALIGNANT", None)
    unknown = lesion("mdb004_1", "ARCH", "BENIGN", None)
    return (
        cases.Case("mias_001_002", (view(1, *two), view(2))),
        cases.Case("mias_003_004", (view(3, everywhere), view(4, unknown))),
    )


def plain(found):
    """Cases without what depends on the place: paths and loaders."""
    views = [view for case in found for view in case.views]
    return [(dataclasses.replace(v, load=None, path=""), v.pixels().tobytes()) for v in views]


def test_what_is_written_is_read(tmp_path):
    mini_mias.write(hand_made(), tmp_path)
    dataset = mini_mias.read(tmp_path)
    assert plain(dataset.cases) == plain(hand_made())
    assert dataset.problems == () and (dataset.name, dataset.kind) == ("mini_mias", "real")
    raw = (tmp_path / "Info.txt").read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") and raw.startswith(b"MINI-MIAS")
    rows = [b"mdb001 G MISC B 10 12 5", b"mdb002 G NORM ", b"mdb003 G CALC M *NOTE 3*", b"mdb004 G ARCH B"]
    assert all(b"\r\n" + row + b"\r\n" in raw for row in rows)


def test_rows_become_views_and_lesions(root):
    views = {view.id: view for view in mini_mias.read(root).views}
    assert list(views) == ["mdb001", "mdb002", "mdb003", "mdb005", "mdb006"]
    assert [view.patient_id for view in views.values()][1:3] == ["mias_001_002", "mias_003_004"]
    one, two, three, five, six = views.values()
    assert (one.side, two.side, two.lesions) == (cases.Side.RIGHT, cases.Side.LEFT, ())
    assert one.projection is cases.Projection.MLO and one.attributes == {"background tissue": "G"}
    assert one.spacing_mm == pytest.approx(0.2 * 1024 / SIDE) and one.max_value == 255
    assert one.lesions[0].region == regions.CircleRegion(10, SIDE - 12, 5)
    assert [(x.id, x.kind, x.pathology, x.attributes["class"]) for x in three.lesions] == [
        ("mdb003_1", "mass", "BENIGN", "MISC"),
        ("mdb003_2", "mass", "MALIGNANT", "SPIC"),
    ]
    assert five.lesions[0].region is None and five.lesions[0].kind == "calcification"
    assert six.lesions[0].region is None and six.lesions[0].pathology is cases.Pathology.BENIGN
    assert np.array_equal(pickle.loads(pickle.dumps(six)).pixels(), pixels(6))


def test_missing_and_damaged_images_are_listed(root):
    (root / "mdb002.pgm").unlink()
    (root / "mdb003.pgm").write_bytes((root / "mdb003.pgm").read_bytes()[:-24])
    dataset = mini_mias.read(root)
    assert [view.id for view in dataset.views] == ["mdb001", "mdb005", "mdb006"]
    assert [(pathlib.Path(problem.path).name, problem.reason) for problem in dataset.problems] == [
        ("mdb002.pgm", "no such file"),
        ("mdb003.pgm", "truncated: expected 1024 bytes of pixels, found 1000"),
    ]
    with pytest.raises(cases.DataError, match=r"mdb002\.pgm: no such file"):
        mini_mias.read(root, strict=True)


def test_folders_without_the_dataset(tmp_path):
    with pytest.raises(cases.DataError, match=r"empty; looked for Info\.txt"):
        mini_mias.read(tmp_path)
    (tmp_path / "Info.txt").write_text("prose alone")
    with pytest.raises(cases.DataError, match="no row such as"):
        mini_mias.read(tmp_path)
    (tmp_path / "Info.txt").write_bytes(INFO)
    with pytest.raises(cases.DataError, match=r"no such file.*none of the 5 images"):
        mini_mias.read(tmp_path)
    with pytest.raises(cases.DataError, match="no such folder"):
        mini_mias.read(tmp_path / "missing")


@pytest.mark.parametrize("row", ["mdb007 G CIRCLE B 1 2 3", "mdb007 X NORM", "mdb007 G CIRC B 1 2", "mdb007"])
def test_a_row_that_breaks_the_layout_is_named(root, row):
    (root / "Info.txt").write_bytes(INFO.replace(b"mdb002 D NORM ", row.encode()))
    with pytest.raises(cases.DataError, match=rf"Info\.txt: line 5: expected .*, found '{row}'"):
        mini_mias.read(root)


def test_images_are_padded_to_the_field_and_masks_become_circles(tmp_path):
    mask = np.zeros((10, 6), bool)
    mask[2:7, 1:4] = True
    region = regions.MaskRegion(functools.partial(np.copy, mask))
    own = {"mass margins": "ILL_DEFINED-SPICULATED"}
    one = cases.View(
        id="P_00001_LEFT_MLO",
        patient_id="P_00001",
        side=cases.Side.LEFT,
        projection=cases.Projection.MLO,
        load=functools.partial(np.full, (10, 6), 65535, np.uint16),
        max_value=65535,
        spacing_mm=12.8,
        lesions=(cases.Lesion("a", cases.Pathology.BENIGN_WITHOUT_CALLBACK, "mass", region, own),),
        attributes={"breast density": "4"},
    )
    craniocaudal = dataclasses.replace(one, projection=cases.Projection.CC)
    mini_mias.write([cases.Case("P_00001", (craniocaudal, one))], tmp_path)
    (found,) = mini_mias.read(tmp_path).views
    expected = np.zeros((16, 16), np.uint8)
    expected[3:13, 5:11] = 255
    assert np.array_equal(found.pixels(), expected) and found.spacing_mm == 12.8
    assert (found.id, found.side, found.attributes) == ("mdb002", cases.Side.LEFT, {"background tissue": "D"})
    (mark,) = found.lesions
    assert mark.region == regions.CircleRegion(7, 7, 3) and mark.attributes == {"class": "SPIC"}
    assert mark.pathology is cases.Pathology.BENIGN


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"side": None}, "one oblique view a breast"),
        ({"spacing_mm": 7.0}, r"a field of 29 x 29 pixels; mdb001 is \(32, 32\)"),
        ({"attributes": {}}, "background tissue of mdb001"),
        ({"lesions": (cases.Lesion("a", cases.Pathology.UNPROVEN, "mass"),)}, "no class for lesion a"),
        ({"lesions": (cases.Lesion("a", cases.Pathology.BENIGN, "lymph node"),)}, "no class for lesion a"),
    ],
)
def test_the_writer_refuses_what_the_format_cannot_hold(tmp_path, fields, reason):
    one = dataclasses.replace(view(1), **fields)
    with pytest.raises(cases.MammoError, match=reason):
        mini_mias.write([cases.Case("mias_001_002", (one,))], tmp_path)


def test_the_fingerprint_and_the_marker(root, tmp_path_factory):
    mark = mini_mias.read(root).fingerprint
    moved = tmp_path_factory.mktemp("moved") / "below"
    shutil.copytree(root, moved / "images")
    (moved / datasets.PHANTOM_MARKER).write_text(json.dumps({}))
    assert mini_mias.read(moved / "images").fingerprint == mark
    assert mini_mias.read(moved).kind == "phantom"
    (root / "mdb006.pgm").unlink()
    assert mini_mias.read(root).fingerprint != mark


@pytest.mark.parametrize("head", [b"P5\n# a 7 8\n3 2\n255\n", b"P5 3 2 255 ", b"P5\n3\n# x\n# y\n2\n255\n"])
def test_pgm_headers_with_and_without_comments(tmp_path, head):
    (tmp_path / "a.pgm").write_bytes(head + bytes([10, 13, 32, 35, 9, 0]))
    assert pgm.read_pixels(tmp_path / "a.pgm").tolist() == [[10, 13, 32], [35, 9, 0]]


def test_pgm_of_16_bits_is_big_endian(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 4095\n" + bytes([15, 255, 1, 0]))
    found = pgm.read_pixels(tmp_path / "a.pgm")
    assert found.dtype == np.uint16 and found.tolist() == [[4095, 256]]
    assert pgm.read_header(tmp_path / "a.pgm").max_value == 4095


@pytest.mark.parametrize(
    ("head", "pixels"), [(b"P5 2 1 100\n", bytes([100, 101])), (b"P5 2 1 4095\n", bytes([15, 255, 16, 0]))]
)
def test_a_pixel_above_the_largest_value_allowed_is_refused(tmp_path, head, pixels):
    (tmp_path / "a.pgm").write_bytes(head + pixels)
    top = pgm.read_header(tmp_path / "a.pgm").max_value
    with pytest.raises(cases.DataError, match=rf"a\.pgm: holds the value {top + 1}; its header allows at most {top}"):
        pgm.read_pixels(tmp_path / "a.pgm")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"P2 1 1 255\n7", "not a binary PGM"),
        (b"", "not a binary PGM"),
        (b"P5 0 4 255\n", "make no image"),
        (b"P5 1 1 70000\n....", "make no image"),
        (b"P5 999999999 999999999 255\n", "truncated: expected 999999998000000001 bytes of pixels, found 0"),
    ],
)
def test_what_is_no_pgm_says_why(tmp_path, raw, reason):
    (tmp_path / "a.pgm").write_bytes(raw)
    with pytest.raises(cases.DataError, match=reason):
        pgm.read_pixels(tmp_path / "a.pgm")


@needs_real
def test_the_published_table():
    rows = mini_mias.read_info(pathlib.Path(REAL) / "mini_mias" / "Info.txt")
    assert len(rows) == 330 and len({row.number for row in rows}) == 322
    assert sorted(row.number for row in rows if row.kind and not row.circle) == [59, 216, 233, 245]
    severities = [row.severity for row in rows if row.number == 144]
    assert severities == ["B", "M"] and sum(row.kind is None for row in rows) == 207


@needs_real
def test_the_published_images():
    """162 of the 322 images are there: every other pair. The other half is reported."""
    dataset = mini_mias.read(pathlib.Path(REAL) / "mini_mias")
    assert len(dataset.views) == 162 and len(dataset.cases) == 81 and dataset.kind == "real"
    assert len(dataset.problems) == 160 and {problem.reason for problem in dataset.problems} == {"no such file"}
    assert [case.patient_id for case in dataset.cases[:3]] == ["mias_001_002", "mias_005_006", "mias_009_010"]
    assert {(view.spacing_mm, view.max_value, view.pixels().shape) for view in dataset.views} == {
        (0.2, 255, (1024, 1024))
    }


@needs_real
def test_lesions_lie_on_the_breast():
    """With y counted from the wrong end many circles would lie on the dark background."""
    dataset = mini_mias.read(pathlib.Path(REAL) / "mini_mias")
    placed = [(view, one.region) for view in dataset.views for one in view.lesions if one.region]
    means = [view.pixels()[region.mask((1024, 1024))].mean() for view, region in placed]
    turned = [
        view.pixels()[dataclasses.replace(region, y=1024 - region.y).mask((1024, 1024))].mean()
        for view, region in placed
    ]
    assert np.mean(np.array(means) > 100) > 0.95 > np.mean(np.array(turned) > 100) + 0.1


@needs_real
def test_odd_images_show_the_right_breast():
    """The chest wall of a right breast lies on the right of the image: there the pectoral muscle is bright."""
    agree = []
    for view in mini_mias.read(pathlib.Path(REAL) / "mini_mias").views:
        top = view.pixels()[100:400] > 40
        agree.append((top[:, 512:].sum() > top[:, :512].sum()) == (view.side is cases.Side.RIGHT))
    assert np.mean(agree) > 0.9
