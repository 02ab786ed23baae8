import os
import pathlib

import cv2
import numpy as np
import pytest
import scipy.ndimage

from mammo_tf import cases
from mammo_tf.datasets import ddsm_overlay as overlays

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
# A diamond round (x, y) = (3, 2), counted from 0: right-down, left-down, left-up, right-up.
DIAMOND = np.array([[3, 1], [4, 2], [3, 3], [2, 2], [3, 1]])
TEXT = """\
TOTAL_ABNORMALITIES 1
ABNORMALITY 1
LESION_TYPE MASS SHAPE OVAL MARGINS OBSCURED
ASSESSMENT 4
SUBTLETY 3
PATHOLOGY BENIGN
TOTAL_OUTLINES 1
BOUNDARY
4 2 3 5 7 1 #
"""


def read(folder: pathlib.Path, text: str) -> overlays.Overlay:
    (folder / "a.OVERLAY").write_text(text)
    return overlays.read_overlay(folder / "a.OVERLAY")


def plain(found):
    """Abnormalities in a form that compares."""
    return [
        (a.number, a.types, a.assessment, a.subtlety, a.pathology, [(o.kind, o.points.tolist()) for o in a.outlines])
        for a in found
    ]


def abnormality(number=1, pathology="BENIGN", outlines=(("BOUNDARY", DIAMOND),), types=(("mass", {}),)):
    kinds = tuple(overlays.LesionType(kind, fields) for kind, fields in types)
    lines = tuple(overlays.Outline(kind, points) for kind, points in outlines)
    return overlays.Abnormality(number, kinds, "4", "3", cases.Pathology(pathology), lines)


def test_an_overlay_by_hand(tmp_path):
    found = read(tmp_path, TEXT)
    (one,) = found.abnormalities
    assert found.repairs == () and (one.number, one.assessment, one.subtlety) == (1, "4", "3")
    assert one.types == (overlays.LesionType("mass", {"SHAPE": "OVAL", "MARGINS": "OBSCURED"}),)
    assert one.pathology is cases.Pathology.BENIGN and one.boundary.points.tolist() == DIAMOND.tolist()


def test_two_types_several_outlines_and_unproven(tmp_path):
    second = (
        "ABNORMALITY 2\r\nLESION_TYPE CALCIFICATION TYPE PLEOMORPHIC DISTRIBUTION CLUSTERED \r\n"
        "LESION_TYPE MASS SHAPE IRREGULAR MARGINS \r\nASSESSMENT 0\r\nSUBTLETY \r\nPATHOLOGY UNPROVEN \r\n"
        "TOTAL_OUTLINES 3\r\nBOUNDARY \r\n4 2 3 5\r\n7 1 #\r\n\tCORE\r\n 1 1 2 #\r\n\tCORE\r\n1 1 4#\r\n"
    )
    found = read(tmp_path, TEXT.replace("IES 1", "IES 2") + second)
    assert found.repairs == () and [one.number for one in found.abnormalities] == [1, 2]
    two = found.abnormalities[1]
    assert two.types == (
        overlays.LesionType("calcification", {"TYPE": "PLEOMORPHIC", "DISTRIBUTION": "CLUSTERED"}),
        overlays.LesionType("mass", {"SHAPE": "IRREGULAR", "MARGINS": ""}),
    )
    assert (two.pathology, two.assessment, two.subtlety) == (cases.Pathology.UNPROVEN, "0", "")
    assert [(one.kind, one.points.tolist()) for one in two.outlines] == [
        ("BOUNDARY", DIAMOND.tolist()),
        ("CORE", [[0, 0], [1, 0]]),
        ("CORE", [[0, 0], [0, 1]]),
    ]


def test_fewer_outlines_than_promised_is_mended_and_said(tmp_path):
    """Files of benign_13 and benign_04 promise two or three and hold one."""
    found = read(tmp_path, TEXT.replace("OUTLINES 1", "OUTLINES 3"))
    (repair,) = found.repairs
    assert repair.rule == "number of outlines" and repair.path.endswith("a.OVERLAY")
    assert repair.what == "abnormality 1 promises 3 outlines and holds 1; those there are used"
    assert len(found.abnormalities[0].outlines) == 1


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("TOTAL_ABNORMALITIES 1", "", "expected 'TOTAL_ABNORMALITIES n'"),
        ("IES 1", "IES 2", "promises 2 abnormalities and holds 1"),
        ("\nABNORMALITY 1", "", "expected 'TOTAL_ABNORMALITIES n' and 'ABNORMALITY 1'"),
        ("LESION_TYPE MASS SHAPE OVAL MARGINS OBSCURED\n", "", "expected types, .* found 0 types"),
        ("PATHOLOGY BENIGN", "PATHOLOGY CANCER", "PATHOLOGY 'CANCER' is none of NORMAL, BENIGN, .*UNPROVEN"),
        ("PATHOLOGY BENIGN\n", "", "found 1 types, pathology ''"),
        ("ASSESSMENT 4", "ASSESSMENT 7", r"ASSESSMENT '7' is none of \[0-5\]"),
        ("SUBTLETY 3", "SUBTLETY x", "SUBTLETY 'x' is none of"),
        ("SUBTLETY", "SUBTLE", "a line of an unknown kind, 'SUBTLE 3'"),
        ("BOUNDARY", "CORE", r"one BOUNDARY, found .*\['CORE'\]"),
        (" #", "", "truncated: a chain without its end '#', found the end of the file"),
        ("4 2 3 5 7 1 #\n", "", "truncated: a chain without its end '#', found the end of the file"),
        ("4 2 3 5 7 1 #", "4 2 3 5 8 1 #", "directions from 0 to 7"),
        ("4 2 3 5 7 1 #", "4 2 3 -5 7 1 #", "truncated: a chain without its end '#', found '4 2 3 -5 7 1 #'"),
        ("4 2 3 5 7 1 #", "4 2 #", "a chain has column, row and directions, found '4 2'"),
        ("4 2 3 5 7 1 #", "#", "a chain has column, row and directions, found ''"),
        ("4 2 3", "99999999999999999999 2 3", "a chain has column, row and directions"),
    ],
)
def test_an_overlay_with_a_fault_says_which(tmp_path, old, new, reason):
    assert old in TEXT
    with pytest.raises(cases.DataError, match=rf"a\.OVERLAY: (abnormality 1: )?.*{reason}"):
        read(tmp_path, TEXT.replace(old, new, 1))


def test_an_overlay_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(cases.MissingError, match="no such file"):
        overlays.read_overlay(tmp_path / "a.OVERLAY")


def test_the_eight_directions_go_clockwise_from_up():
    chain = ["10", "10", *"01234567"]
    expected = [[9, 9], [9, 8], [10, 7], [11, 7], [12, 8], [12, 9], [11, 10], [10, 10], [9, 9]]
    assert overlays.decode(chain).tolist() == expected
    assert overlays.encode(np.array(expected)).split() == [*chain, "#"]
    with pytest.raises(ValueError, match=r"cannot take the step \(2, 0\)"):
        overlays.encode(np.array([[0, 0], [2, 0]]))


def test_filled_by_hand():
    expected = [[0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 0, 0]]
    assert overlays.fill(DIAMOND, (4, 6)).astype(int).tolist() == expected
    assert overlays.fill(DIAMOND[:4], (4, 6)).astype(int).tolist() == expected  # open, closed by its last step
    assert overlays.fill(np.array([[0, 0], [1, 0]]), (1, 2)).tolist() == [[True, True]]


@pytest.mark.parametrize(
    ("move", "shape"), [((0, 0), (3, 6)), ((0, 0), (4, 4)), ((-3, 0), (4, 6)), ((0, -2), (4, 6))]
)
def test_an_outline_beyond_the_film_is_refused(move, shape):
    with pytest.raises(
        cases.DataError, match=rf"^x: the outline goes from .* beyond {shape[0]} rows and {shape[1]} c"
    ):
        overlays.fill(DIAMOND + move, shape, "x")


@pytest.mark.parametrize("seed", range(8))
def test_fill_equals_the_holes_of_the_drawn_line(seed):
    """Random walks cross themselves; what a walk encloses is a hole of it (4 neighbours)."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(np.array(overlays.STEPS)[rng.integers(0, 8, 400)], axis=0)
    walk = np.concatenate([walk, walk[::-1]]) if seed % 2 else walk[: _back(walk)]
    points = walk - walk.min(axis=0) + 2
    shape = tuple((points.max(axis=0)[::-1] + 3).tolist())
    line = np.zeros(shape, bool)
    line[points[:, 1], points[:, 0]] = True
    assert np.array_equal(overlays.fill(points, shape), scipy.ndimage.binary_fill_holes(line))


def _back(walk):
    """How far the walk goes until it last stands beside its start, so that closing it adds no pixel."""
    return 1 + np.flatnonzero(np.abs(walk - walk[0]).max(axis=1) <= 1)[-1]


def test_what_is_written_is_read(tmp_path):
    masks = np.zeros((2, 40, 30), np.uint8)
    cv2.ellipse(masks[0], (15, 20), (9, 14), 20, 0, 360, 1, -1)
    cv2.circle(masks[1], (14, 18), 3, 1, -1)
    lines = []
    for mask in masks:
        (contour,), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        lines.append(np.concatenate([contour[:, 0], contour[:1, 0]]))
    both = (("calcification", {"TYPE": "AMORPHOUS"}), ("mass", {"SHAPE": "OVAL"}))
    made = [
        abnormality(1, "MALIGNANT", (("BOUNDARY", lines[0]), ("CORE", lines[1])), both),
        abnormality(2, "UNPROVEN"),
    ]
    overlays.write_overlay(tmp_path / "a.OVERLAY", made)
    found = overlays.read_overlay(tmp_path / "a.OVERLAY")
    assert plain(found.abnormalities) == plain(made) and found.repairs == ()
    assert "\n\tCORE\n" in (tmp_path / "a.OVERLAY").read_text()
    for mask, outline in zip(masks, found.abnormalities[0].outlines, strict=True):
        assert np.array_equal(overlays.fill(outline.points, mask.shape), mask > 0)


@needs_real
def test_the_published_overlay_gives_the_mask_and_boundary_that_others_drew():
    place = pathlib.Path(REAL) / "ddsm"
    found = overlays.read_overlay(place / "B_3013_1.RIGHT_MLO.OVERLAY")
    (one,) = found.abnormalities
    shape = {"SHAPE": "IRREGULAR-ARCHITECTURAL_DISTORTION", "MARGINS": "SPICULATED"}
    assert found.repairs == () and one.types == (overlays.LesionType("mass", shape),)
    assert (one.assessment, one.subtlety, one.pathology) == ("5", "5", cases.Pathology.MALIGNANT)
    mask, boundary = (
        cv2.imread(str(place / f"B_3013_1.RIGHT_MLO_MALIGNANT0.{name}.png"), cv2.IMREAD_UNCHANGED) > 0
        for name in ("mask", "boundary")
    )
    filled = overlays.fill(one.boundary.points, mask.shape)
    assert filled.sum() == 99657 and np.array_equal(filled, mask)
    drawn = np.zeros_like(mask)
    drawn[one.boundary.points[:, 1], one.boundary.points[:, 0]] = True
    assert np.array_equal(drawn, boundary)
    assert overlays.encode(one.boundary.points).split() == (
        (place / "B_3013_1.RIGHT_MLO.OVERLAY").read_text().partition("BOUNDARY")[2].split()
    )
