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
from mammo_tf.datasets import about, mini_mias, pgm

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
    rows = [b"mdb001 G MISC B 10 12 5", b"mdb002 G NORM ", b"mdb003 G CALC M *NOTE 3* ", b"mdb004 G ARCH B"]
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


def test_names_in_capitals_links_and_what_systems_leave_behind(root, tmp_path_factory):
    before = plain(mini_mias.read(root).cases)
    data = tmp_path_factory.mktemp("große Daten") / "below"
    data.mkdir()
    for path in list(root.iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"junk")
        path.rename(path.with_name(path.name.upper()))
    (data / "films").symlink_to(root)
    (root / "loop").symlink_to(data)
    (data / "__MACOSX").mkdir()
    (data / "__MACOSX" / "mdb001.pgm").write_bytes(b"junk")
    dataset = mini_mias.read(data.parent)
    assert plain(dataset.cases) == before and dataset.problems == () and len(mini_mias.entries(data)) == 6


def test_a_second_file_and_one_without_a_row_are_listed(root):
    (root / "z").mkdir()
    for name in ("Info.txt", "mdb001.pgm", "mdb002.pgm"):
        shutil.copy(root / name, root / "z")
    assert mini_mias.read(root).problems == ()
    shutil.copy(root / "mdb001.pgm", root / "z" / "mdb002.pgm")
    shutil.copy(root / "mdb001.pgm", root / "mdb322.pgm")
    (root / "z" / "Info.txt").write_text("another")
    dataset = mini_mias.read(root)
    assert {problem.kind for problem in dataset.problems} == {"left out"} and len(dataset.views) == 5
    assert [pathlib.Path(problem.path) for problem in dataset.problems] == [
        root / "z" / "Info.txt",
        root / "z" / "mdb002.pgm",
        root / "mdb322.pgm",
    ]
    assert dataset.problems[2].reason == f"not listed in {root / 'Info.txt'}"


def test_a_row_twice_counts_once_and_rows_that_contradict_leave_the_image_out(root):
    (root / "Info.txt").write_bytes(INFO.replace(b"mdb001 G CIRC B 10 12 5", b"mdb001 G CIRC B 10 12 5\r\n" * 2))
    dataset = mini_mias.read(root)
    assert len(dataset.views[0].lesions) == 1 and [one.rule for one in dataset.repairs] == ["row twice"]
    for row in (b"mdb002 G NORM", b"mdb002 D CALC M 1 2 3"):
        (root / "Info.txt").write_bytes(INFO.replace(b"mdb002 D NORM ", b"mdb002 D NORM\r\n" + row))
        (problem,) = mini_mias.read(root).problems
        assert problem.reason == "the 2 rows of mdb002 contradict each other"


@pytest.mark.parametrize("circle", ["99 12 5", "10 99 5", "10 38 5"])
def test_a_circle_beside_its_image_is_a_problem(root, circle):
    (root / "Info.txt").write_bytes(INFO.replace(b"10 12 5", circle.encode()))
    (problem,) = mini_mias.read(root).problems
    assert problem.path == str(root / "mdb001.pgm") and problem.kind == "unreadable"
    assert "lies outside of (32, 32) rows and columns: has the image been resized or cut?" in problem.reason


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
    assert mini_mias.read(moved).kind == mini_mias.read(moved.parent).kind == "phantom"
    (root / "mdb006.pgm").unlink()
    assert mini_mias.read(root).fingerprint != mark


def test_a_missing_table_or_image_is_missing_and_not_unreadable(root):
    (root / "mdb002.pgm").unlink()
    (root / "mdb003.pgm").write_bytes(b"P5 1 1 255\n")
    assert [problem.kind for problem in mini_mias.read(root).problems] == ["missing", "unreadable"]
    with pytest.raises(cases.MissingError, match="no such table"):
        mini_mias.read_info(root / "info.txt")


def test_entries_come_from_the_table_alone(root):
    for path in root.glob("*.pgm"):
        path.unlink()
    found = mini_mias.entries(root)
    assert len(found) == 6
    one = about.Entry("mdb001", "mias_001_002", "BENIGN", "mass", "RIGHT", "MLO", density="G")
    two = about.Entry("mdb002", "mias_001_002", "NORMAL", "", "LEFT", "MLO", density="D")
    assert found[:2] == (one, two)
    assert [(entry.image, entry.label) for entry in found[2:4]] == [("mdb003", "BENIGN"), ("mdb003", "MALIGNANT")]
    (root / "Info.txt").rename(root / "info")
    with pytest.raises(cases.DataError, match=r"no Info\.txt"):
        mini_mias.entries(root)


@needs_real
def test_entries_of_the_published_table():
    found = mini_mias.entries(pathlib.Path(REAL) / "mini_mias")
    assert len(found) == 330 and {entry.view for entry in found} == {"MLO"}
    assert {entry.image for entry in found if entry.label == "MALIGNANT"} >= {"mdb144", "mdb216"}
    assert {entry.side for entry in found if int(entry.image[3:]) % 2} == {"RIGHT"}


@needs_real
def test_every_published_image_has_a_comment_in_its_header():
    paths = sorted((pathlib.Path(REAL) / "mini_mias").glob("*.pgm"))
    assert len(paths) == 162 and all(b"\n#" in path.read_bytes()[:80] for path in paths)
    assert {pgm.read_header(path).offset for path in paths} != {len(b"P5\n1024 1024\n255\n")}


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
