import os
import pathlib

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import ddsm_case

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
LEFT, RIGHT = cases.Side
CC, MLO, OTHER = cases.Projection
ICS = """\
ics_version 1.0
filename {name}
DATE_OF_STUDY {date}
PATIENT_AGE 51
FILM{blank}
FILM_TYPE REGULAR
DENSITY 4
DATE_DIGITIZED 9 23 1997{blank}
DIGITIZER {digitizer}
SELECTED
LEFT_CC LINES 4000 PIXELS_PER_LINE 3000 BITS_PER_PIXEL 12 RESOLUTION 50 OVERLAY
RIGHT_MLO LINES 5000 PIXELS_PER_LINE 2000 BITS_PER_PIXEL 16 RESOLUTION 43.5 NON_OVERLAY{blank}
"""
FILMS = (
    ddsm_case.Film(LEFT, CC, 4000, 3000, 12, 0.05, True),
    ddsm_case.Film(RIGHT, MLO, 5000, 2000, 16, 0.0435, False),
)


def written(folder: pathlib.Path, text: str | None = None, **changes: str) -> pathlib.Path:
    fields = {"name": "B-0001-1", "date": "3 9 1995", "blank": "", "digitizer": "LUMISYS", **changes}
    path = folder / "a.ics"
    path.write_text(ICS.format(**fields) if text is None else text)
    return path


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("date", ["3 9 1995", "23 9 1995", "9 23 1997", ""])
def test_case_files_are_read_whatever_the_order_of_their_dates(tmp_path, date, blank):
    found = ddsm_case.read_ics(written(tmp_path, date=date, blank=blank, digitizer="LUMISYS LASER"))
    assert found == ddsm_case.CaseFile("B-0001-1", "REGULAR", "4", "LUMISYS LASER", FILMS)
    assert [film.name for film in found.films] == ["LEFT_CC", "RIGHT_MLO"]


def test_no_date_and_no_age_is_kept(tmp_path):
    found = repr(ddsm_case.read_ics(written(tmp_path)))
    assert "1995" not in found and "1997" not in found and "51" not in found


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("filename B-0001-1", "", "not a case file of DDSM: no filename"),
        ("DIGITIZER LUMISYS", "DIGITIZER", "not a case file of DDSM: no DIGITIZER"),
        ("RIGHT_MLO", "LEFT_CC", r"expected each film once, found \['LEFT_CC', 'LEFT_CC'\]"),
        (" LINES 4000", "", "line 11: expected 'LEFT_CC LINES n .*', found 'LEFT_CC PIXELS_PER_LINE"),
        ("LINES 4000", "LINES 0", "line 11: 0 x 3000 pixels of 12 bits and 50 um make no film"),
        ("LINES 4000", "LINES 99999", r"make no film \(at most 200,000,000 pixels, 8 to 16 bits\)"),
        ("PIXEL 12", "PIXEL 32", "pixels of 32 bits and 50 um make no film"),
        ("RESOLUTION 50 ", "RESOLUTION 0 ", "and 0 um make no film"),
        ("RIGHT_MLO", "RIGHT_XX", "line 12: expected"),
    ],
)
def test_a_case_file_with_a_fault_says_where(tmp_path, old, new, reason):
    path = written(tmp_path)
    text = path.read_text()
    assert old in text
    with pytest.raises(cases.DataError, match=rf"a\.ics: {reason}" if "make" not in reason else reason):
        ddsm_case.read_ics(written(tmp_path, text.replace(old, new, 1)))


def test_what_is_no_case_file_is_named(tmp_path):
    with pytest.raises(cases.MissingError, match="no such file"):
        ddsm_case.read_ics(tmp_path / "a.ics")
    with pytest.raises(cases.DataError, match="cannot be read"):
        ddsm_case.read_ics(tmp_path)
    with pytest.raises(cases.DataError, match=r"no filename, DIGITIZER"):
        ddsm_case.read_ics(written(tmp_path, "junk\n" * 9))
    with pytest.raises(cases.DataError, match=r"5,000,000 bytes; such a file has at most 1,000,000"):
        ddsm_case.read_ics(written(tmp_path, "junk\n" * 1_000_000))


def test_what_is_written_is_read(tmp_path):
    """Twenty names give dates in both orders; in none can the two be told but by numbers above 12."""
    orders = set()
    for number in range(20):
        case = ddsm_case.CaseFile(f"C-{number:04d}-1", "REGULAR", "2", "LUMISYS LASER", FILMS)
        ddsm_case.write_ics(tmp_path / "a.ics", case)
        assert ddsm_case.read_ics(tmp_path / "a.ics") == case
        date = next(x for x in (tmp_path / "a.ics").read_text().splitlines() if x.startswith("DATE_OF_STUDY")).split()
        orders.add("day first" if int(date[1]) > 12 else "month first")
    assert orders == {"day first", "month first"}


@pytest.mark.parametrize(
    ("name", "digitizer", "found", "bits", "spacing_mm"),
    [
        ("A-1140-1", "DBA 21", "DBA at MGH", 16, 0.042),
        ("A-1140-1", "HOWTEK", "HOWTEK at MGH", 12, 0.0435),
        ("B-3024-1", "LUMISYS", "LUMISYS at Wake Forest", 12, 0.05),
        ("C-0234-1", "LUMISYS LASER", "LUMISYS at Wake Forest", 12, 0.05),
        ("D-4001-1", "HOWTEK", "HOWTEK at ISMD", 12, 0.0435),
    ],
)
def test_the_digitizer_hangs_on_its_name_and_the_hospital(name, digitizer, found, bits, spacing_mm):
    one = ddsm_case.digitizer_of(ddsm_case.CaseFile(name, "", "", digitizer, FILMS))
    assert (one.name, one.bits, one.spacing_mm) == (found, bits, spacing_mm)


@pytest.mark.parametrize(("name", "digitizer"), [("B-1-1", "HOWTEK"), ("A-1-1", "AGFA"), ("", "DBA"), ("x", "DBA")])
def test_an_unknown_digitizer_is_named(name, digitizer):
    with pytest.raises(
        cases.DataError, match=f"digitizer '{digitizer}' with this case is unknown; known: DBA with A"
    ):
        ddsm_case.digitizer_of(ddsm_case.CaseFile(name, "", "", digitizer, FILMS))


DBA, MGH, LUMISYS, ISMD = ddsm_case.DIGITIZERS


@pytest.mark.parametrize(
    ("digitizer", "gray", "density"),
    [
        (DBA, 0, 4.0),  # (0 - 4.80662) / -1.07553 = 4.469, clipped
        (DBA, 99, 2.60952),  # (2 - 4.80662) / -1.07553
        (DBA, 999, 1.67975),  # (3 - 4.80662) / -1.07553
        (DBA, 65535, 0.05),  # (4.81648 - 4.80662) / -1.07553 = -0.009, clipped
        (MGH, 0, 3.789),
        (MGH, 1000, 2.84332),
        (MGH, 4000, 0.05),  # 0.00628, clipped
        (LUMISYS, 4095, 0.05),
        (LUMISYS, 2079, 1.99997),  # (2079 - 4096.99) / -1009.01
        (LUMISYS, 0, 4.0),  # 4.0604, clipped
        (ISMD, 0, 3.96604),
        (ISMD, 1000, 2.97548),
        (ISMD, 4095, 0.05),
    ],
)
def test_optical_densities_worked_by_hand(digitizer, gray, density):
    found = ddsm_case.optical_density(np.array([[gray]], np.uint16), digitizer)
    assert found.dtype == np.float32 and found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(density, abs=1e-5)


@pytest.mark.parametrize("digitizer", ddsm_case.DIGITIZERS)
def test_brighter_is_less_dense_and_within_bounds(digitizer):
    gray = np.arange(2**digitizer.bits, dtype=np.uint16)
    found = ddsm_case.optical_density(gray, digitizer)
    assert (np.diff(found) <= 0).all() and found.min() == np.float32(0.05) and found.max() <= 4
    assert np.array_equal(ddsm_case.optical_density(gray[:256].astype(np.uint8), digitizer), found[:256])
    assert ddsm_case.optical_density(gray[:0], digitizer).shape == (0,)


@pytest.mark.parametrize("gray", [np.array([4096], np.uint16), np.array([1.0]), np.array([-1], np.int16)])
def test_values_that_the_machine_cannot_give_are_refused(gray):
    with pytest.raises(cases.MammoError, match="LUMISYS at Wake Forest gives whole numbers from 0 to 4095, found"):
        ddsm_case.optical_density(gray, LUMISYS)


@needs_real
@pytest.mark.parametrize("name", ["B-3024-1", "B-3027-1", "C-0234-1"])
def test_the_published_case_files(name):
    path = pathlib.Path(REAL) / "ddsm" / f"{name}.ics"
    found = ddsm_case.read_ics(path)
    words = [line.split() for line in path.read_text().splitlines()]
    films = [line for line in words if line[0].endswith(("_CC", "_MLO"))]
    assert [film.name for film in found.films] == [line[0] for line in films] and len(films) == 4
    assert [(film.rows, film.columns) for film in found.films] == [(int(line[2]), int(line[4])) for line in films]
    assert [film.overlay for film in found.films] == [line[-1] == "OVERLAY" for line in films]
    assert (found.name, found.film_type) == (name, "REGULAR")
    assert ["DENSITY", found.density] in words and ["DIGITIZER", *found.digitizer.split()] in words
    machine = ddsm_case.digitizer_of(found)
    assert machine is LUMISYS
    assert {(film.bits, film.spacing_mm) for film in found.films} == {(machine.bits, machine.spacing_mm)}


@needs_real
def test_the_published_case_files_have_their_dates_in_two_orders():
    lines = [path.read_text().splitlines() for path in sorted((pathlib.Path(REAL) / "ddsm").glob("*.ics"))]
    dates = [line.split()[1:3] for file in lines for line in file if line.startswith("DATE_")]
    assert any(int(first) > 12 for first, _ in dates) and any(int(second) > 12 for _, second in dates)
