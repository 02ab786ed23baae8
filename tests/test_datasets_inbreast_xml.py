import os
import pathlib
import plistlib
import time

import numpy as np
import pytest

from mammo_tf import cases, regions
from mammo_tf.datasets import folder_images
from mammo_tf.datasets import inbreast_xml as outlines

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
ENTITY = b"""<?xml version="1.0"?>
<!DOCTYPE plist [<!ENTITY a "x">%s]>
<plist version="1.0"><dict><key>Images</key><string>&%s;</string></dict></plist>"""


def roi(*points: str, name: str = "Mass", type: int = 15, **changes) -> dict:
    fields = {"Name": name, "Type": type, "Point_px": list(points), "NumberOfPoints": len(points), "Area": 0.0}
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def image(*rois: dict, **changes) -> dict:
    return {"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": list(rois), **changes}]}


def saved(folder: pathlib.Path, content: object) -> pathlib.Path:
    path = folder / "22580192.xml"
    path.write_bytes(plistlib.dumps(content))
    return path


def test_points_are_columns_and_rows_counted_from_the_corner_of_the_first_pixel(tmp_path):
    """OsiriX' (10.5, 3.25) lies in the column 10, at its centre, and in the row 3, above its centre."""
    path = saved(tmp_path, image(roi("(10.500000, 3.250000)", " (0,20) ", "(-1.5, 2)", name=" Mass ")))
    (found,) = outlines.read(path).found
    assert found == outlines.Outline("Mass", outlines.POLYGON, ((10.0, 2.75), (-0.5, 19.5), (-2.0, 1.5)))
    mask = regions.PolygonRegion(outlines.Outline("", 19, ((9.0, 2.0),)).points).mask((5, 12))
    assert np.argwhere(mask).tolist() == [[2, 9]]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Mass", "mass"),
        ("Calcification", "calcification"),
        ("Calcifications", "calcification"),
        ("Cluster", "cluster"),
        ("Distortion", "distortion"),
        ("Asymmetry", "asymmetry"),
        ("Assymetry", "asymmetry"),
        ("Spiculated region", "spiculated region"),
        ("Spiculated Region", "spiculated region"),
        ("Espiculated Region", "spiculated region"),
        ("Point 1", "point 1"),
        (None, "unnamed"),
    ],
)
def test_names_become_kinds_and_unknown_ones_are_kept(tmp_path, name, kind):
    (found,) = outlines.read(saved(tmp_path, image(roi("(1, 1)", name=name)))).found
    assert found.kind == kind and found.name == (name or "")


def test_counts_that_disagree_and_outlines_without_points_are_mended(tmp_path):
    content = image(roi(name="Cluster"), roi("(1, 1)", "(2, 2)", NumberOfPoints=3), NumberOfROIs=5)
    read = outlines.read(saved(tmp_path, content))
    assert [len(outline.points) for outline in read.found] == [2]
    assert [(repair.rule, repair.what) for repair in read.repairs] == [
        ("wrong count", "NumberOfROIs is 5, the file holds 2 ROIs: those are used"),
        ("empty outline", "ROI 0 (Cluster) has no point: skipped"),
        ("wrong count", "ROI 1: NumberOfPoints is 3, the file holds 2 points: those are used"),
    ]
    assert {repair.path for repair in read.repairs} == {str(tmp_path / "22580192.xml")}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (image(roi("(1, 1)", "(1; 2)")), r"ROI 0: expected a point '\(x, y\)', found '\(1; 2\)'"),
        (image(roi("(1, 1, 1)")), "ROI 0: expected a point"),
        (image(roi("(nan, 1)")), "ROI 0: expected a point"),
        (image(roi("(1, 12345678)")), "ROI 0: expected a point"),
        (image(roi("(1, 1)", Point_px=[7])), "ROI 0: expected a point"),
        (image(roi("(1, 1)", Point_px=None)), "expected 'Point_px' to be an array, found NoneType"),
        (image("Mass"), "ROI 0: expected a dict, found str"),
        (image(ROIs={}), "expected 'ROIs' to be an array, found dict"),
        ({"Images": []}, "expected one image in 'Images', found 0"),
        ({"Images": [1]}, "expected one image in 'Images', found 1"),
        ([], "expected 'Images' to be an array, found NoneType"),
    ],
)
def test_another_layout_says_what_is_wrong(tmp_path, content, reason):
    with pytest.raises(cases.DataError, match=rf"22580192\.xml: .*{reason}"):
        outlines.read(saved(tmp_path, content))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\x01",
        b"<plist><dict>",
        b"<plist><dict><key>Images</key></dict></plist>",
        b"<plist><dict><integer>x</integer></dict></plist>",
        b"<plist><integer>x</integer></plist>",
        b"bplist00",
    ],
)
def test_what_is_no_property_list_is_refused(tmp_path, raw):
    path = tmp_path / "22580192.xml"
    path.write_bytes(raw)
    with pytest.raises(cases.DataError, match=r"22580192\.xml: (not a|damaged) property list"):
        outlines.read(path)


def test_entities_are_refused_before_they_grow(tmp_path):
    """Ten levels of ten would be ten thousand million characters."""
    levels = b"".join(
        b'<!ENTITY e%d "%s">' % (i, b"&%s;" % (b"e%d" % (i - 1) if i else b"a") * 10) for i in range(10)
    )
    path = tmp_path / "22580192.xml"
    for raw in (ENTITY % (b"", b"a"), ENTITY % (levels, b"e9")):
        path.write_bytes(raw)
        before = time.process_time()
        with pytest.raises(cases.DataError, match=r"22580192\.xml: not a property list: .*entity declarations"):
            outlines.read(path)
        assert time.process_time() - before < 1


def test_a_file_of_absurd_size_is_not_read(tmp_path):
    path = tmp_path / "22580192.xml"
    with path.open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(cases.DataError, match="absurd size of 8,589,934,592 bytes"):
        outlines.read(path)
    with pytest.raises(cases.DataError, match=r"none\.xml: cannot be read: No such file"):
        outlines.read(tmp_path / "none.xml")


def test_what_is_written_is_read_and_looks_as_published(tmp_path):
    made = [
        outlines.Outline("Mass", outlines.POLYGON, ((1.0, 1.0), (5.0, 1.0), (5.0, 5.0), (1.0, 5.0))),
        outlines.Outline("Calcification", outlines.POINT, ((7.25, 3.0),)),
    ]
    path = tmp_path / "20587148.xml"
    outlines.write(path, made, 0.5)
    assert outlines.read(path) == outlines.Outlines(tuple(made), ())
    raw = path.read_text()
    assert raw.startswith(
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN"'
    )
    (first, second) = plistlib.loads(raw.encode())["Images"][0]["ROIs"]
    assert first["Area"] == 4 * 4 * 0.25 / 100 and first["Point_px"][0] == "(1.500000, 1.500000)"
    assert (second["Type"], second["Area"], second["NumberOfPoints"], second["IndexInImage"]) == (19, 0.0, 1, 1)


def blob(seed: int = 0) -> np.ndarray:
    """A lobed mask, 60 x 80, and two pixels of their own."""
    rows, columns = np.ogrid[:60, :80]
    turn = np.arctan2(rows - 28, columns - 40)
    mask = np.hypot(rows - 28, columns - 40) < 18 + 4 * np.cos(5 * turn + seed)
    mask[55, 3:5] = True
    return mask


def test_outlines_of_a_mask_give_it_back_part_by_part():
    found = outlines.draw("Mass", blob())
    assert [outline.type for outline in found] == [outlines.POLYGON, outlines.POLYGON] and found[0].name == "Mass"
    filled = sum(regions.PolygonRegion(outline.points).mask((60, 80)).astype(int) for outline in found)
    assert np.array_equal(filled, blob())
    alone = np.zeros((4, 4), bool)
    alone[2, 1] = True
    assert outlines.draw("Mass", alone) == [outlines.Outline("Mass", outlines.POINT, ((1.0, 2.0),))]


def test_an_oval_has_200_points_and_stands_for_masks_of_its_shape_alone():
    rows, columns = np.ogrid[:60, :80]
    ellipse = ((rows - 30) / 15) ** 2 + ((columns - 40) / 25) ** 2 <= 1
    (found,) = outlines.draw("Mass", ellipse, oval=True)
    assert found.type == outlines.OVAL and len(found.points) == 200
    mask = regions.PolygonRegion(found.points).mask((60, 80))
    assert 2 * (mask & ellipse).sum() > 0.97 * (mask.sum() + ellipse.sum())
    assert {outline.type for outline in outlines.draw("Mass", blob(), oval=True)} == {outlines.POLYGON}
    lobed = blob()
    lobed[55] = False
    assert [outline.type for outline in outlines.draw("Mass", lobed, oval=True)] == [outlines.POLYGON]


@needs_real
def test_the_outline_of_a_published_image_is_its_mask():
    folder = pathlib.Path(REAL) / "inbreast"
    read = outlines.read(folder / "AllXML" / "22580192.xml")
    (mass,) = read.found
    assert (mass.kind, mass.type, len(mass.points), read.repairs) == ("mass", 15, 62, ())
    expected = folder_images.read_image(folder / "22580192_mass_mask.png") > 0
    assert expected.shape == folder_images.read_header(folder / "22580192.png").shape
    dice = []
    for moved in (0, 0.5):
        found = regions.PolygonRegion(tuple((x + moved, y + moved) for x, y in mass.points)).mask(expected.shape)
        dice.append(2 * (found & expected).sum() / (found.sum() + expected.sum()))
    assert dice[0] > 0.99 and dice[0] > dice[1] > 0.98  # the second: as if the file counted from a pixel's centre
    turned = found[:, ::-1] & expected, found[::-1] & expected
    assert not np.any(turned)


@needs_real
def test_published_calcifications_are_points_and_small_outlines():
    read = outlines.read(pathlib.Path(REAL) / "inbreast" / "AllXML" / "20587148.xml")
    assert [(outline.kind, outline.type, len(outline.points)) for outline in read.found] == [
        ("calcification", 19, 1),
        ("calcification", 15, 7),
        ("calcification", 15, 7),
    ]
    sizes = [regions.PolygonRegion(outline.points).mask((3328, 4084)).sum() for outline in read.found]
    assert sizes[0] == 1 and 50 < sizes[1] < sizes[2] < 500 and read.repairs == ()
