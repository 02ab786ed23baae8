import dataclasses
import os
import pathlib

import pytest

from mammo_tf.datasets import mini_mias
from mammo_tf.datasets import mini_mias_table as tables

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")


def test_the_writer_plants_the_faults_of_the_published_table(tmp_path):
    """3 of 30 calcifications and 1 of 93 other lesions have no circle; normal rows and some notes end in a blank."""
    rows = [tables.Row(i, "G", kind, "B", (i, 2, 3)) for kind in ("CALC", "ARCH") for i in range(1, 1001)]
    tables.write_info(tmp_path / "Info.txt", [*rows, tables.Row(1001, "D")])
    *found, normal = tables.read_info(tmp_path / "Info.txt")
    assert normal == tables.Row(1001, "D")
    bare = {kind: sum(row.circle is None for row in found if row.kind == kind) for kind in ("CALC", "ARCH")}
    assert 70 < bare["CALC"] < 130 and 3 < bare["ARCH"] < 20  # 100 and 11 expected
    assert all(
        row == made or row == dataclasses.replace(made, circle=None) for row, made in zip(found, rows, strict=True)
    )
    raw = (tmp_path / "Info.txt").read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") and raw.startswith(b"MINI-MIAS") and b" NORM \r\n" in raw
    assert raw.count(b"*NOTE 3*") == bare["CALC"] and 0 < raw.count(b"*NOTE 3* \r\n") < bare["CALC"]


@needs_real
def test_the_published_table():
    rows = tables.read_info(pathlib.Path(REAL) / "mini_mias" / "Info.txt")
    assert len(rows) == mini_mias.ABOUT.known["rows"] == 330
    assert len({row.number for row in rows}) == mini_mias.ABOUT.known["images"] == 322
    assert len({row.patient_id for row in rows}) == mini_mias.ABOUT.known["patients"] == 161
    assert sum(row.kind is None for row in rows) == 207
    bare = {row.number: row.kind for row in rows if row.kind and not row.circle}
    assert bare == {59: "CIRC", 216: "CALC", 233: "CALC", 245: "CALC"}
    assert sum(row.kind == "CALC" for row in rows) == 30 and sum(row.kind is not None for row in rows) == 123
    several = {number for number in (row.number for row in rows) if sum(row.number == number for row in rows) > 1}
    assert len(several) == 7 and [row.severity for row in rows if row.number == 144] == ["B", "M"]


@needs_real
def test_the_published_table_has_the_faults_that_the_writer_plants():
    raw = (pathlib.Path(REAL) / "mini_mias" / "Info.txt").read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") and not raw.startswith(b"mdb")
    assert raw.count(b" NORM \r\n") == 207
    assert raw.count(b"*NOTE 3*\r\n") == 2 and raw.count(b"*NOTE 3* \r\n") == 1
    assert b"CIRC B\r\n" in raw  # mdb059
