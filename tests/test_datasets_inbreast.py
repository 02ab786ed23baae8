import collections
import dataclasses
import functools
import os
import pathlib
import pickle
import plistlib
import shutil
import threading

import cv2
import numpy as np
import pytest

from mammo_tf import cases, datasets, labels, regions
from mammo_tf.datasets import dicom, inbreast

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
SHAPE = (40, 30)
ONE, TWO = "5530d5782fc89dd7", "6c613a14b80a8591"


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4096, SHAPE, dtype=np.uint16)


def outline(image: str, number: int, kind: str, name: str, *points: tuple[float, float]) -> cases.Lesion:
    attributes = {"name": name, "type": "19" if len(points) == 1 else "15"}
    region = regions.PolygonRegion(points)
    return cases.Lesion(f"{image}_{number}", cases.Pathology.UNPROVEN, kind, region, attributes)


def view(image: str, patient: str, birads: str, *lesions: cases.Lesion, **changes) -> cases.View:
    one = cases.View(
        id=image,
        patient_id=patient,
        side=cases.Side.RIGHT,
        projection=cases.Projection.CC,
        load=functools.partial(pixels, int(image)),
        max_value=4095,
        spacing_mm=0.07,
        lesions=lesions,
        attributes={"birads": birads, "breast density": "2"},
    )
    return dataclasses.replace(one, **changes)


def hand_made() -> tuple[cases.Case, ...]:
    """As INbreast would be read: unproven outcomes, a category an image, FB and a blank ACR among them."""
    mass = outline("22580192", 1, "mass", "Mass", (3.25, 4.0), (12.0, 4.5), (9.0, 20.0))
    speck = outline("22580192", 2, "calcification", "Calcifications", (7.0, 8.5))
    spicules = outline("22580218", 1, "spiculated region", "Espiculated Region", (1, 1), (9, 1), (9, 9), (1, 9))
    below = {"birads": "6", "breast density": "", "view": "FB"}
    return (
        cases.Case(
            ONE,
            (
                view("22580192", ONE, "4a", mass, speck),
                view("22580218", ONE, "5", spicules, projection=cases.Projection.MLO),
            ),
        ),
        cases.Case(
            TWO,
            (
                view("50994300", TWO, "", projection=cases.Projection.OTHER, attributes=below),
                view("50994301", TWO, "1", side=cases.Side.LEFT),
            ),
        ),
    )


@pytest.fixture
def root(tmp_path):
    inbreast.write(hand_made(), tmp_path / "INbreast Release 1.0")
    return tmp_path / "INbreast Release 1.0"


def plain(found):
    """Cases without what depends on the place: paths and loaders."""
    views = [view for case in found for view in case.views]
    return [(dataclasses.replace(v, load=None, path=""), v.pixels().tobytes()) for v in views]


def test_what_is_written_is_read(root):
    dataset = inbreast.read(root)
    assert plain(dataset.cases) == plain(hand_made()) == plain(pickle.loads(pickle.dumps(dataset)).cases)
    assert dataset.problems == () and dataset.repairs == () and (dataset.name, dataset.kind) == ("inbreast", "real")
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*")) == [
        "AllDICOMs/22580192_5530d5782fc89dd7_MG_R_CC_ANON.dcm",
        "AllDICOMs/22580218_5530d5782fc89dd7_MG_R_ML_ANON.dcm",
        "AllDICOMs/50994300_6c613a14b80a8591_MG_R_FB_ANON.dcm",
        "AllDICOMs/50994301_6c613a14b80a8591_MG_L_CC_ANON.dcm",
        "AllXML/22580192.xml",
        "AllXML/22580218.xml",
        "INbreast.csv",
    ]
    assert "removed;removed;R;MLO;201001;22580218;2;5\r\n" in (root / "INbreast.csv").read_bytes().decode()


def test_no_outcome_is_proven_and_the_category_labels_the_image(root):
    views = inbreast.read(root).views
    assert {lesion.pathology for one in views for lesion in one.lesions} == {cases.Pathology.UNPROVEN}
    assert [labels.birads_4_up.view(one) for one in views] == [1.0, 1.0, 1.0, 0.0]


def test_the_rows_are_listed_without_opening_an_image(root):
    for path in (root / "AllDICOMs").iterdir():
        path.write_bytes(b"")
    first, *_, last = inbreast.entries(root)
    assert (first.image, first.patient_id, first.label, first.density) == ("22580192", ONE, "BI-RADS 4a", "2")
    assert (last.patient_id, last.side, last.view, last.label) == (TWO, "LEFT", "CC", "BI-RADS 1")
    shutil.rmtree(root / "AllDICOMs")
    assert {entry.patient_id for entry in inbreast.entries(root)} == {""} and len(inbreast.entries(root)) == 4


def test_the_intensity_reaches_the_pixels_and_their_range(root):
    raw, spread = (inbreast.read(root, intensity=name).views[0] for name in ("raw", "minmax"))
    assert (raw.max_value, spread.max_value, raw.spacing_mm, raw.lossy) == (4095, 65535, 0.07, False)
    pixels_of = spread.pixels()
    assert pixels_of.min() == 0 and pixels_of.max() == 65535
    assert np.array_equal(pixels_of, dicom.read_pixels(raw.path, "minmax"))
    with pytest.raises(cases.MammoError, match="intensity"):
        inbreast.read(root, intensity="bright")


def named(dataset: cases.Dataset) -> list[tuple[str, str, str]]:
    return [(pathlib.Path(p.path).name, p.kind, p.reason) for p in dataset.problems]


def test_faults_of_files_are_listed_and_the_rest_is_read(root):
    (gone,) = root.rglob("22580218_*.dcm")
    gone.unlink()
    (cut,) = root.rglob("50994301_*.dcm")
    cut.write_bytes(cut.read_bytes()[:-100])
    stray = root / "AllDICOMs" / "22580999_5530d5782fc89dd7_MG_R_CC_ANON.dcm"
    shutil.copy(next(root.rglob("22580192_*.dcm")), stray)
    (root / "copy").mkdir()
    shutil.copy(next(root.rglob("22580192_*.dcm")), root / "copy")
    dataset = inbreast.read(root)
    assert [one.id for one in dataset.views] == ["22580192", "50994300"]
    assert [(name, kind) for name, kind, _ in named(dataset)] == [
        ("22580192_5530d5782fc89dd7_MG_R_CC_ANON.dcm", "left out"),
        ("22580218_*_ANON.dcm", "missing"),
        ("50994301_6c613a14b80a8591_MG_L_CC_ANON.dcm", "unreadable"),
        (stray.name, "left out"),
    ]
    reasons = [reason for *_, reason in named(dataset)]
    assert reasons[0].startswith("one more file of image 22580192") and "no such file" in reasons[1]
    assert "image 50994301: truncated: expected 2400 bytes" in reasons[2] and "not listed in" in reasons[3]
    with pytest.raises(cases.DataError, match="one more file of image 22580192"):
        inbreast.read(root, strict=True)


def marked(root: pathlib.Path, image: str, change) -> None:
    """Changes the first ROI of an image."""
    path = root / "AllXML" / f"{image}.xml"
    content = plistlib.loads(path.read_bytes())
    change(content["Images"][0]["ROIs"][0])
    path.write_bytes(plistlib.dumps(content))


def test_an_image_whose_outlines_cannot_be_read_is_left_out(root):
    marked(root, "22580192", lambda roi: roi.update(Point_px=["(1, x)"]))
    marked(root, "22580218", lambda roi: roi.update(Point_px=["(30.1, 5)", "(99, 5)", "(99, 9)", "(31, 9)"]))
    dataset = inbreast.read(root)
    assert [one.id for one in dataset.views] == ["50994300", "50994301"]
    (first, second) = named(dataset)
    assert first == ("22580192.xml", "unreadable", "image 22580192: ROI 0: expected a point '(x, y)', found '(1, x)'")
    assert second[2] == (
        "image 22580218: ROI 1 (Espiculated Region): 4 of 4 points lie outside the image (40, 30) (rows, columns), "
        "and none of its pixels inside"
    )


def test_outlines_over_the_border_end_there_and_empty_ones_are_skipped(root):
    marked(root, "22580192", lambda roi: roi.update(Point_px=[], NumberOfPoints=0))
    marked(root, "22580218", lambda roi: roi.update(Point_px=["(28.5, 5)", "(33, 5)", "(33, 9)", "(28.5, 9)"]))
    dataset = inbreast.read(root)
    assert dataset.problems == () and [len(one.lesions) for one in dataset.views] == [1, 1, 0, 0]
    assert [(pathlib.Path(repair.path).name, repair.rule) for repair in dataset.repairs] == [
        ("22580192.xml", "empty outline"),
        ("22580218.xml", "points outside"),
    ]
    assert dataset.repairs[1].what == (
        "ROI 1 (Espiculated Region): 2 of 4 points lie outside the image (40, 30) (rows, columns): "
        "the region ends at the border"
    )
    region = dataset.views[1].lesions[0].region
    assert regions.box(region.mask(SHAPE))[1:] == (28, 10, 30) and region.bounds()[3] > 30


def test_a_second_table_is_listed_unless_it_is_a_copy(root):
    (root / "old").mkdir()
    shutil.copy(root / "INbreast.csv", root / "old")
    assert inbreast.read(root).problems == ()
    (root / "old" / "INbreast.csv").write_text("another")
    ((name, kind, reason),) = named(inbreast.read(root))
    assert (name, kind) == ("INbreast.csv", "left out") and str(root / "INbreast.csv") in reason


def test_a_name_that_says_another_side_yields_to_the_table(root):
    (path,) = root.rglob("50994301_*.dcm")
    path.rename(path.with_name(path.name.replace("_L_CC_", "_R_ML_")))
    dataset = inbreast.read(root)
    assert plain(dataset.cases) == plain(hand_made())
    assert [(repair.rule, repair.what) for repair in dataset.repairs] == [
        ("side or view", "the name says R MLO, the table L CC: the table counts")
    ]


def test_copies_as_png_need_the_name_of_the_dicom(root):
    for path in list((root / "AllDICOMs").iterdir()):
        values, image = np.array(dicom.read_pixels(path)), path.name[:8]
        scale = 16 if image == "50994301" else 1
        name = f"{image}.png" if image == "22580218" else path.with_suffix(".png").name
        cv2.imwrite(str(path.with_name(name)), values * np.uint16(scale))
        path.unlink()
    dataset = inbreast.read(root)
    assert [(one.id, one.patient_id, one.max_value, one.spacing_mm) for one in dataset.views] == [
        ("22580192", ONE, 4095, None),
        ("50994300", TWO, 4095, None),
        ("50994301", TWO, 65535, None),
    ]
    assert np.array_equal(dataset.views[0].pixels(), pixels(22580192)) and len(dataset.views[0].lesions) == 2
    ((name, kind, reason),) = named(dataset)
    assert (name, kind) == ("22580218.png", "unreadable") and reason.startswith("image 22580218: patient unknown: ")
    top = int(pixels(22580192).max())
    assert [repair.rule for repair in dataset.repairs] == ["bits of a PNG", "bits of a PNG"]
    assert dataset.repairs[0].what == (
        f"a PNG of 16 bits with values up to {top}: taken to be those of the DICOM, 0 to 4095"
    )


def test_folders_without_the_dataset(tmp_path):
    for function in (inbreast.read, inbreast.entries):
        with pytest.raises(cases.DataError, match=r"the folder is empty; looked for INbreast\.csv and INbreast\.xls"):
            function(tmp_path)
        with pytest.raises(cases.DataError, match="no such folder"):
            function(tmp_path / "missing")
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(cases.DataError, match="no table of INbreast"):
        inbreast.read(tmp_path)
    (tmp_path / "INbreast.csv").write_text("Laterality;View;File Name;ACR;Bi-Rads\n")
    with pytest.raises(cases.DataError, match=r"INbreast\.csv: lists nothing that could be read: 0 images"):
        inbreast.read(tmp_path)


def test_the_fingerprint_goes_by_content(root, tmp_path):
    mark = inbreast.read(root).fingerprint
    shutil.copytree(root, tmp_path / "moved" / "INbreast Release 1.0")
    assert inbreast.read(tmp_path / "moved" / "INbreast Release 1.0").fingerprint == mark
    marked(root, "22580192", lambda roi: roi.update(Name="Cluster"))
    assert inbreast.read(root).fingerprint != mark


def test_the_marker_makes_it_a_phantom_from_a_level_above_too(root):
    assert inbreast.read(root.parent).kind == "real"
    (root / datasets.PHANTOM_MARKER).write_text("{}")
    assert inbreast.read(root).kind == inbreast.read(root.parent).kind == "phantom"


def test_each_view_is_rendered_once(tmp_path):
    counts, lock = {}, threading.Lock()

    def load(seed: int) -> np.ndarray:
        with lock:
            counts[seed] = counts.get(seed, 0) + 1
        return pixels(seed)

    found = []
    for case in hand_made():
        views = [dataclasses.replace(one, load=functools.partial(load, int(one.id))) for one in case.views]
        found.append(dataclasses.replace(case, views=tuple(views)))
    inbreast.write(found, tmp_path)
    assert counts == dict.fromkeys((22580192, 22580218, 50994300, 50994301), 1)


def test_the_known_categories_are_those_of_all_images():
    known = inbreast.ABOUT.known
    assert known["images"] == sum(n for name, n in known.items() if name.startswith("BI-RADS"))


@needs_real
def test_the_published_table_lists_410_images():
    found = inbreast.entries(pathlib.Path(REAL) / "inbreast")
    counts = collections.Counter(entry.label for entry in found)
    assert len(found) == 410 and counts == {k: n for k, n in inbreast.ABOUT.known.items() if k.startswith("BI")}


@needs_real
def test_a_published_image_without_a_dicom_has_no_patient():
    folder = pathlib.Path(REAL) / "inbreast"
    with pytest.raises(cases.DataError, match=r"22678622_\*_ANON\.dcm.*no such file.*none of the 410 images"):
        inbreast.read(folder)


@needs_real
def test_a_published_image_under_its_dicoms_name(tmp_path):
    """The image is 3328 x 2560, as its outline needs, and its mass is brighter than the image."""
    folder = pathlib.Path(REAL) / "inbreast"
    shutil.copy(folder / "INbreast.csv", tmp_path)
    shutil.copytree(folder / "AllXML", tmp_path / "AllXML")
    shutil.copy(folder / "22580192.png", tmp_path / f"22580192_{ONE}_MG_R_CC_ANON.png")
    dataset = inbreast.read(tmp_path)
    (one,) = dataset.views
    assert (one.patient_id, one.side, one.projection) == (ONE, cases.Side.RIGHT, cases.Projection.CC)
    assert one.attributes == {"birads": "3", "breast density": "2"} and one.max_value == 4095
    image, (mass,) = one.pixels(), one.lesions
    assert image.shape == (3328, 2560) and mass.kind == "mass"
    mask = mass.region.mask(image.shape)
    assert image[mask].mean() > 1.1 * image[image > 0].mean() > image[mask[:, ::-1]].mean()
    assert len(dataset.problems) == 409 and {problem.kind for problem in dataset.problems} == {"missing"}
    assert [repair.rule for repair in dataset.repairs] == ["bits of a PNG"]
