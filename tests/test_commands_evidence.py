"""`mammo-tf forensics`: tables from a file and from the paper files; what is refused."""

import json
import pathlib

import pytest

from mammo_tf import cli

ROOT = pathlib.Path(__file__).parent.parent
PAPERS = ["--experiments", str(ROOT / "experiments")]


def test_a_table_of_one_s_own(tmp_path, capsys):
    file = tmp_path / "table.csv"
    file.write_text("sensitivity,specificity,accuracy\n86.7%,96.1%,\n,,0.935\n")
    assert cli.main(["forensics", str(file), "--images", "107"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].split("  ")[0] == "table.csv" and "107 (30)" in said
    assert cli.main(["forensics", str(file), "--images", "107", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["sets"] == [[107, 30]] and found["rows"] == 2 and found["rounding"] == "nearest"
    assert cli.main(["forensics", str(file), "--most", "60", "--rounding", "down"]) == 0
    assert "none" in capsys.readouterr().out


def test_the_printed_tables_of_the_papers(capsys):
    assert cli.main(["forensics", *PAPERS, "--json"]) == 0
    found = {one["table"]: one["sets"] for one in json.loads(capsys.readouterr().out)}
    assert found["lowresource2020: Table 1, binary rows"][0] == [82, 20]
    assert found["ao2020: Table 1, validation part"] == [[945, 441]]
    assert cli.main(["forensics", *PAPERS, "--paper", "shen2019"]) == 0
    assert capsys.readouterr().out.count("shen2019") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [("accuracy\n\n", "no line with numbers"), ("kappa\n0.9\n", "unknown metric 'kappa'"), (None, "No such file")],
)
def test_files_that_hold_no_table(tmp_path, capsys, text, said):
    file = tmp_path / "t.csv"
    if text is not None:
        file.write_text(text)
    assert cli.main(["forensics", str(file)]) == 2
    assert said in capsys.readouterr().err


def test_papers_without_printed_numbers(capsys):
    assert cli.main(["forensics", *PAPERS, "--paper", "kreiss2018"]) == 2
    assert "no printed numbers" in capsys.readouterr().err
    assert cli.main(["forensics", *PAPERS, "--paper", "nobody"]) == 2
    assert "the paper files are ao2020" in capsys.readouterr().err
