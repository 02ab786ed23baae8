import pytest

from mammo_tf import cases
from mammo_tf.datasets import folder_table


@pytest.fixture
def path(tmp_path):
    return tmp_path / "images.csv"


def rows_of(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return folder_table.read(path).rows


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_tables_of_spreadsheets_are_read(path, encoding, separator, end):
    """Byte order marks, other separators, blanks round names and values, empty rows and columns at the end."""
    lines = [
        ("file ", " Patient ID", "LABEL", "Größe", ""),
        (" a.png", "p\xe9", " 1", "7 cm", ""),
        ("", "", "", "", ""),
    ]
    path.write_bytes((end.join(separator.join(line) for line in lines) + end).encode(encoding))
    table = folder_table.read(path)
    fields = {"file": "a.png", "patient_id": "p\xe9", "label": "1", "Größe": "7 cm"}
    assert table.rows == (folder_table.Row(2, fields),) and table.rows[0].own == {"Größe": "7 cm"}
    assert [repair.rule for repair in table.repairs] == (["encoding"] if encoding == "latin-1" else [])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no column file, patient_id, label; it has none"),
        (b'file,patient_id,label\n"a.png,p,1\n', "cannot be read as CSV: unexpected end of data"),
        (b"file,patient_id,label\n" + b"x" * 200_000, "cannot be read as CSV: field larger than field limit"),
        (b"file,label\na.png,1\n", "no column patient_id; it has file, label"),
        (b"File,file,patient_id,label\n", "column file stands there twice"),
        (b"file,patient_id,label,x,x\n", "column x stands there twice"),
        (b"\xff\xfef\xd8\xd8", "cannot be read as CSV: 'utf-16"),
        (b"\x89PNG\r\n\x1a\n\0\0", "cannot be read as CSV: 'utf-8'"),
    ],
)
def test_what_is_no_table_says_why(path, raw, reason):
    path.write_bytes(raw)
    with pytest.raises(cases.DataError, match=rf"images\.csv: {reason}"):
        folder_table.read(path)


def test_no_table_a_folder_and_one_too_large(path):
    with pytest.raises(cases.MissingError, match="no such table"):
        folder_table.read(path)
    with pytest.raises(cases.DataError, match="cannot be read"):
        folder_table.read(path.parent)
    with path.open("wb") as file:
        file.truncate(200_000_001)  # a hole: nothing is written
    with pytest.raises(cases.DataError, match="a table of more than 200,000,000 bytes"):
        folder_table.read(path)


def test_short_rows_are_blank_and_long_ones_at_fault(path):
    short, long, trailing = rows_of(path, "file,patient_id,label,side", "a,p", "b,p,1,L,,x", "c,p,1,R,,,")
    assert short.fields == {"file": "a", "patient_id": "p"} and short.get("label") == short.fault == ""
    assert long.fault == "line 3 of the table has 6 fields, its header 4 columns"
    assert trailing.fault == "" and trailing.get("side") == "R"
    (nameless,) = rows_of(path, "file,patient_id,label,,", "a,p,1,x,")
    assert nameless.fault == "line 2 of the table has 5 fields, its header 3 columns"


def test_quoted_fields_may_hold_line_ends_and_separators(path):
    one, two = rows_of(path, "file,patient_id,label", '"a,\nb",p,1', "c,p,0")
    assert one.get("file") == "a,\nb" and (one.line, two.line) == (3, 4)


GOOD = {
    "label": ["", "0", "1", "0.0", "1.0"],
    "side": ["", "L", "r", "left", "RIGHT"],
    "bits": ["", "1", "9", "10", "16"],
    "spacing_mm": ["", "0.05", "0,05", ".07", "1", "9.99"],
    "part": ["", "train", "Test"],
    "birads": ["", "0", "6", "4a", "4C"],
    "density": ["", "1", "4", "a", "D"],
    "pathology": ["", "benign", "BENIGN_WITHOUT_CALLBACK", "Normal"],
    "view": ["", "CC", "whatever"],
}
BAD = {
    "label": ["2", "0.5", "yes", "-1", "01"],
    "side": ["LINKS", "LR", "B"],
    "bits": ["0", "17", "8.0", "-8"],
    "spacing_mm": ["0", "0.0", "-1", "10", "70", "1e-2", "x", ".", ","],
    "part": ["val", "training"],
    "birads": ["7", "4d", "3a", "BI-RADS 4"],
    "density": ["0", "5", "e", "ab"],
    "pathology": ["cancer", "BENIGN WITHOUT CALLBACK"],
}


@pytest.mark.parametrize(("column", "text"), [(column, text) for column, texts in GOOD.items() for text in texts])
def test_fields_that_are_allowed(path, column, text):
    names = [*folder_table.REQUIRED, column] if column != "label" else ["file", "patient_id", "label"]
    fields = ["a", "p", "1", f'"{text}"'] if column != "label" else ["a", "p", text]
    (row,) = rows_of(path, ",".join(names), ",".join(fields))
    assert (row.get(column), row.fault) == (text, "")


@pytest.mark.parametrize(("column", "text"), [(column, text) for column, texts in BAD.items() for text in texts])
def test_fields_that_are_not(path, column, text):
    names = [*folder_table.REQUIRED, column] if column != "label" else ["file", "patient_id", "label"]
    fields = ["a", "p", "1", f'"{text}"'] if column != "label" else ["a", "p", text]
    (row,) = rows_of(path, ",".join(names), ",".join(fields))
    assert row.fault == f"{column} {text!r} is {folder_table.RULES[column][1]}"


@pytest.mark.parametrize(
    "name", ["name", "Patient Name", "LASTNAME", "birth", "DateOfBirth", "dob", "SSN", "home_address", "e-mail"]
)
def test_columns_that_identify_a_person_are_not_read_and_that_is_said(path, name):
    path.write_text(f"file,patient_id,label,{name},age\na,p,1,SECRET,50\n")
    table = folder_table.read(path)
    assert "SECRET" not in repr(table) and table.rows[0].own == {"age": "50"}
    (repair,) = table.repairs
    assert (repair.path, repair.rule) == (str(path), "personal column")
    assert repair.what == f"column {name!r} was not read"
