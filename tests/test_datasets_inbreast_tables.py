import os
import pathlib
import struct
import sys

import pytest

from mammo_tf import cases
from mammo_tf.datasets import inbreast_tables as tables

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
CSV = (
    "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads\r\n"
    "removed;removed;R;CC;201001;22580192;2;3\r\n"
    f"removed;removed;L;MLO;201001;53582540;{' ' * 40};4a\r\n"
    "removed;removed;R;FB;200901;50994300;3 ;6 \r\n"
)
RIGHT, LEFT = cases.Side.RIGHT, cases.Side.LEFT
ROWS = (
    tables.Row("22580192", RIGHT, "CC", "2", "3"),
    tables.Row("53582540", LEFT, "MLO", "", "4a"),
    tables.Row("50994300", RIGHT, "FB", "3", "6"),
)


def saved(folder: pathlib.Path, text: str | bytes, name: str = "INbreast.csv") -> pathlib.Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        CSV.replace(";", ","),
        CSV.replace(";", "\t"),
        CSV.replace("\r\n", "\n"),
        b"\xef\xbb\xbf" + CSV.encode(),
        CSV.replace("Patient ID;Patient age;", "").replace("removed;removed;", ""),
        CSV.replace("File Name", "file_name").replace("Bi-Rads", "BI-RADS ").replace("4a", "4A"),
        CSV.replace("removed", "não").encode("latin-1"),
        CSV.replace(";6 \r\n", ";6;;\r\n\r\n;;\r\n").replace(";3\r", ";3;a note\r"),
        CSV.replace(";L;", ";left;").replace("22580192", "22580192.0"),
    ],
    ids=["published", "commas", "tabs", "lf", "bom", "columns", "spelling", "latin", "ragged", "words"],
)
def test_the_table_and_its_variants(tmp_path, text):
    table = tables.read(saved(tmp_path, text))
    assert (table.rows, table.problems, table.repairs) == (ROWS, (), ())


@pytest.mark.parametrize(
    ("was", "row", "reason"),
    [
        (";R;CC;", ";X;CC;", "row 1: 'Laterality' is 'X', expected L or R"),
        (";R;CC;", ";R;;", "row 1: 'View' is blank"),
        ("22580192;2;3", "2258O192;2;3", "row 1: 'File Name' is '2258O192', expected a number"),
        ("22580192;2;3", "22580192;2;7", "row 1: 'Bi-Rads' is '7', expected one of 0 1 2 3 4 4a 4b 4c 5 6"),
    ],
)
def test_a_row_that_breaks_its_columns_is_a_problem_and_the_others_stay(tmp_path, was, row, reason):
    table = tables.read(saved(tmp_path, CSV.replace(was, row, 1)))
    assert table.rows == ROWS[1:]
    assert table.problems == (cases.Problem(str(tmp_path / "INbreast.csv"), reason, "unreadable"),)


def test_a_blank_category_is_no_fault(tmp_path):
    table = tables.read(saved(tmp_path, CSV.replace(";2;3", ";2;")))
    assert table.rows[0].birads == "" and table.problems == ()


def test_an_image_in_two_rows_counts_once_or_where_they_differ_not(tmp_path):
    same = "removed;removed;R;CC;201001;22580192;2;3\r\n"
    table = tables.read(saved(tmp_path, CSV + same))
    assert table.rows == ROWS and table.problems == ()
    assert [(repair.rule, repair.what) for repair in table.repairs] == [
        ("row twice", "image 22580192 stands in the rows 1, 4, all the same: one counts")
    ]
    table = tables.read(saved(tmp_path, CSV + same.replace(";3\r", ";5\r")))
    assert table.rows == ROWS[1:] and table.repairs == ()
    assert [p.reason for p in table.problems] == ["image 22580192 stands in the rows 1, 4, and they differ"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CSV.replace("View", "Sight"), "no column 'View'; it has 'Patient ID, "),
        ("", "no column 'Laterality', 'View', 'File Name', 'ACR', 'Bi-Rads'; it has ''"),
        (CSV + '"' + "x" * 200_000, "cannot be read as CSV: field larger than"),
        (b"PK\x03\x04\x00\xff", "no column 'Laterality'"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, reason):
    with pytest.raises(cases.DataError, match=rf"INbreast\.csv: {reason}"):
        tables.read(saved(tmp_path, text))


def test_the_written_table_is_the_published_form(tmp_path):
    path = tmp_path / "INbreast.csv"
    tables.write(path, ROWS)
    assert tables.read(path).rows == ROWS
    first, row, blank = path.read_bytes().split(b"\r\n")[:3]
    assert first.decode() == ";".join(tables.COLUMNS) and row == b"removed;removed;R;CC;201001;22580192;2;3"
    assert blank == b"removed;removed;L;MLO;201001;53582540;" + b" " * 193 + b";4a"


def biff(rows: list[list[str | float]]) -> bytes:
    """A sheet of Excel 2 (BIFF2), the oldest form that readers of xls know: records of text and of numbers."""
    out = struct.pack("<4H", 0x0009, 4, 0x0002, 0x0010)  # a sheet begins
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            if isinstance(value, str):
                text = value.encode("latin-1")
                data, kind = struct.pack("<HH3xB", i, j, len(text)) + text, 0x0004
            else:
                data, kind = struct.pack("<HH3xd", i, j, value), 0x0003
            out += struct.pack("<HH", kind, len(data)) + data
    return out + struct.pack("<HH", 0x000A, 0)


def test_the_excel_file_with_its_numbers_and_its_two_rows_of_prose(tmp_path):
    pytest.importorskip("xlrd")
    rows = [
        [*tables.COLUMNS, "Findings Notes (in Portuguese)"],
        ["removed", "removed", "R", "CC", 201001.0, 22580192.0, 2.0, 3.0, "massa"],
        ["removed", "removed", "L", "MLO", 201001.0, 53582540.0, " " * 40, "4a", "normal"],
        ["removed", "removed", "R", "FB", 200901.0, 50994300.0, 3.0, 6.0, ""],
        ["", "", "", "", "", "Number of images", 410.0],
        ["", "", "", "", "", "Annotated", 343.0],
    ]
    table = tables.read(saved(tmp_path, biff(rows), "INbreast.xls"))
    assert table.rows == ROWS and table.problems == ()
    assert [repair.what for repair in table.repairs] == [
        "row 4 names no view, skipped: 'Number of images 410'",
        "row 5 names no view, skipped: 'Annotated 343'",
    ]


def test_an_excel_file_without_its_reader_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xlrd", None)
    with pytest.raises(cases.DataError, match=r"INbreast\.xls: an Excel file.*pip install 'mammo-tf\[xls\]'"):
        tables.read(saved(tmp_path, biff([list(tables.COLUMNS)]), "INbreast.xls"))


@pytest.mark.parametrize("raw", [b"", b"not a sheet", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)])
def test_a_damaged_excel_file_is_refused(tmp_path, raw):
    pytest.importorskip("xlrd")
    with pytest.raises(cases.DataError, match=r"INbreast\.xls: cannot be read as xls"):
        tables.read(saved(tmp_path, raw, "INbreast.xls"))


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_the_published_table_as_a_file():
    raw = (pathlib.Path(REAL) / "inbreast" / "INbreast.csv").read_bytes()
    head, *lines = raw.decode("ascii").removesuffix("\r\n").split("\r\n")
    assert head == ";".join(tables.COLUMNS) and len(lines) == 410 and raw.count(b"\n") == raw.count(b"\r\n")
    assert {tuple(line.split(";")[:2]) for line in lines} == {(tables.REMOVED, tables.REMOVED)}
    assert sum(line.split(";")[6] == tables.BLANK_ACR for line in lines) == 1


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_the_published_table():
    table = tables.read(pathlib.Path(REAL) / "inbreast" / "INbreast.csv")
    assert len(table.rows) == 410 and table.problems == () and table.repairs == ()
    found = {category: sum(row.birads == category for row in table.rows) for category in tables.CATEGORIES}
    expected = {"1": 67, "2": 220, "3": 23, "4a": 13, "4b": 8, "4c": 22, "5": 49, "6": 8}
    assert {category: n for category, n in found.items() if n} == expected
    assert [row.image for row in table.rows if not row.density] == ["53582540"]
    views = [row.view for row in table.rows]
    assert (views.count("CC"), views.count("MLO"), views.count("FB")) == (203, 206, 1)
    assert {row.density for row in table.rows} == {"", "1", "2", "3", "4"}
