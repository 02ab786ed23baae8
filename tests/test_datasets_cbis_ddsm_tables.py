"""The tables: their spellings in circulation, and the facts of the published ones."""

import os
import pathlib

import pandas as pd
import pytest

from mammo_tf import cases
from mammo_tf.datasets import cbis_ddsm
from mammo_tf.datasets import cbis_ddsm_planted as planted
from mammo_tf.datasets import cbis_ddsm_tables as tables

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
HEAD = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,"
    "mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
)
ROW = "P_00001,3,LEFT,CC,1,mass,ROUND,N/A,4,BENIGN,4,{0}/1.2/1.3/000000.dcm,{0}_1/1.4/1.5/000000.dcm,{1}"
FOLDER = "Mass-Training_P_00001_LEFT_CC"
CLEAN = {
    "patient_id": "P_00001",
    "breast density": "3",
    "left or right breast": "LEFT",
    "image view": "CC",
    "abnormality id": "1",
    "abnormality type": "mass",
    "mass shape": "ROUND",
    "mass margins": "N/A",
    "assessment": "4",
    "pathology": "BENIGN",
    "subtlety": "4",
    "image file path": f"{FOLDER}/1.2/1.3/000000.dcm",
    "cropped image file path": f"{FOLDER}_1/1.4/1.5/000000.dcm",
    "ROI mask file path": f"{FOLDER}_1/1.4/1.5/000001.dcm",
}


def written(folder: pathlib.Path, text: str, name: str = "mass_case_description_train_set.csv") -> pathlib.Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def as_published() -> str:
    return f"{HEAD}\r\n{ROW.format(FOLDER, chr(34) + FOLDER + '_1/1.4/1.5/000001.dcm' + chr(10) + chr(34))}\r\n"


def mended(path: pathlib.Path) -> dict[str, str]:
    return {one.rule: one.what for one in tables.rows([(tables.TABLES[0], path)])[1]}


def test_a_row_as_published(tmp_path):
    path = written(tmp_path, as_published())
    assert tables.read_csv(path).to_dict("records") == [CLEAN]
    assert mended(path) == {"line feed in a path": "1 of 1 rows"}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\r\n", "\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("breast_density", "breast density"),
        lambda text: text.replace("patient_id", " Patient_ID "),
        lambda text: text.replace(f"{FOLDER}/", f"CBIS-DDSM/{FOLDER}/"),
        lambda text: text.replace("/1.4/1.5/", "\\1.4\\1.5\\"),
    ],
    ids=["LF", "BOM", "density", "header", "prefix", "backslash"],
)
def test_other_spellings_read_the_same(tmp_path, change):
    assert tables.read_csv(written(tmp_path, change(as_published()))).to_dict("records") == [CLEAN]


def test_na_for_not_available(tmp_path):
    path = written(tmp_path, as_published().replace("N/A", "NA"))
    assert tables.read_csv(path).to_dict("records") == [CLEAN] and mended(path)["NA for N/A"] == "1 fields"


def test_without_paths_files_are_named_by_their_folders(tmp_path):
    lines = (",".join(line.split(",")[:-3]) for line in as_published().replace("\n" + '"', '"').splitlines())
    path = written(tmp_path, "\n".join(lines))
    (row,) = tables.read_csv(path).to_dict("records")
    assert [row[name] for name in tables.PATHS] == [FOLDER, f"{FOLDER}_1", f"{FOLDER}_1"]
    assert {**row, **{name: CLEAN[name] for name in tables.PATHS}} == CLEAN
    what = "image file path, cropped image file path, ROI mask file path: files are found by their folders"
    assert mended(path) == {"no paths in the table": what}


def test_the_release_of_2017(tmp_path):
    head = (
        "patient_id,side,view,abn_num,abnormality_type,mass_shape,mass_margins,assessment,pathology,subtlety,"
        "od_img_path,od_crop_path,mask_path"
    )
    paths = [f".\\CBIS-DDSM\\{CLEAN[name]}".replace("/", "\\") for name in tables.PATHS]
    row = ["P_00001", "LEFT", "CC", "1", "mass", "ROUND", "N/A", "4", "BENIGN", "4", *paths]
    path = written(tmp_path, f"{head}\r\n{','.join(row)}\r\n")
    assert tables.read_csv(path).to_dict("records") == [{**CLEAN, "breast density": "N/A"}]
    what = "other names of the columns; no column breast density, taken as N/A"
    assert mended(path) == {"columns of 2017": what}
    written(tmp_path, path.read_text().replace("pathology", "outcome"))
    with pytest.raises(cases.DataError, match=r"no column 'pathology'; it has patient_id, side, view, abn_num"):
        tables.read_csv(path)


def test_calcifications_are_known_by_name_or_by_column(tmp_path):
    text = as_published().replace("mass shape", "calc type").replace("mass margins", "calc distribution")
    for name in ("calc_case_description_test_set.csv", "other.csv"):
        assert "calc type" in tables.read_csv(written(tmp_path, text, name))
    with pytest.raises(cases.DataError, match="no column 'mass shape', 'mass margins'"):
        tables.read_csv(written(tmp_path, text))


def test_what_is_no_table(tmp_path):
    with pytest.raises(cases.DataError, match=r"calc.csv: cannot be read as CSV"):
        tables.read_csv(tmp_path / "calc.csv")
    with pytest.raises(cases.DataError, match="cannot be read as CSV"):
        tables.read_csv(written(tmp_path, ""))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("P_00001,3", ",3"), "row 1: no patient_id, by which splits go"),
        (lambda text: text.replace("assessment", "side"), "two columns for left or right breast; it has"),
        (lambda text: text.replace(",BENIGN,", ",BENIN,"), "row 1: 'pathology' is 'BENIN', expected one of"),
        (lambda text: text.replace("LEFT,CC", "L,CC"), "row 1: 'left or right breast' is 'L', expected one of LEFT"),
    ],
)
def test_rows_that_are_refused(tmp_path, change, reason):
    path = written(tmp_path, change(as_published()))
    with pytest.raises(cases.DataError, match=reason):
        tables.rows([(tables.TABLES[0], path)])


def test_a_path_does_not_lead_out_of_the_folder(tmp_path):
    path = written(tmp_path, as_published().replace(f"{FOLDER}/1.2/", f"/../{FOLDER}/../1.2/./"))
    assert tables.read_csv(path).to_dict("records") == [CLEAN]


def test_a_path_that_names_no_folder_of_the_dataset_is_no_path(tmp_path):
    path = written(tmp_path, as_published().replace(f"{FOLDER}/1.2/1.3/000000.dcm", "images/one.png"))
    (row,) = tables.read_csv(path).to_dict("records")
    assert row == {**CLEAN, tables.IMAGE: FOLDER}
    assert mended(path)["path without its folder"] == "1 paths: files are found by their folders"


def doubled(change) -> str:
    head, row, _ = as_published().split("\r\n")
    return "\r\n".join([head, row, change(row), ""])


def test_a_row_that_stands_twice_counts_once(tmp_path):
    rows, repairs = tables.rows([(tables.TABLES[0], written(tmp_path, doubled(str)))])
    assert [row.number for row in rows] == [1] and tables.check(rows) is None
    assert repairs[-1].rule == "row twice" and repairs[-1].what == "1 rows say what another does: one counts"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: row.replace("BENIGN", "MALIGNANT"), f"rows 1 and 2 are of lesion {FOLDER}_1 and differ"),
        (
            lambda row: row.replace("P_00001,", "P_00002,"),
            f"row 2: its paths name {FOLDER} and {FOLDER}_1, its fields",
        ),
        (lambda row: row.replace(",1,mass", ",2,mass"), f"row 2: .*, its fields {FOLDER} and {FOLDER}_2"),
    ],
)
def test_rows_of_a_film_that_contradict_each_other_are_refused(tmp_path, change, reason):
    rows, _ = tables.rows([(tables.TABLES[0], written(tmp_path, doubled(change)))])
    (film,) = tables.films(rows)
    with pytest.raises(cases.DataError, match=reason):
        tables.check(film)


def test_write_is_read(tmp_path):
    path = tmp_path / tables.TABLES[0].file
    tables.write_csv(path, tables.TABLES[0], [CLEAN])
    assert path.read_bytes().decode() == as_published()
    assert tables.read_csv(path).to_dict("records") == [CLEAN]


real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")


def published() -> dict[tables.Table, pd.DataFrame]:
    return {table: tables.read_csv(pathlib.Path(REAL) / "cbis_ddsm" / table.file) for table in tables.TABLES}


@real
@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.file[:9])
def test_a_published_table_as_a_file(table):
    """Records end in CR LF; the last path of a mass and the second of a calcification end in a line feed."""
    raw = (pathlib.Path(REAL) / "cbis_ddsm" / table.file).read_bytes()
    read = tables.read_csv(pathlib.Path(REAL) / "cbis_ddsm" / table.file)
    assert raw.count(b"\r\n") == len(read) + 1 and raw.count(b"\n") == 2 * len(read) + 1
    end = b'.dcm\n"\r\n' if table.kind == "mass" else b'.dcm\n",'
    assert raw.count(end) == len(read)
    density = b"breast_density" if table.kind == "mass" else b"breast density"
    assert raw.split(b",")[1] == density
    again = ",".join(table.columns).replace("breast density", density.decode())
    assert raw.splitlines()[0].decode() == again
    paths = read[list(tables.PATHS)]
    assert paths.apply(lambda column: column.str.fullmatch(r"\S+/\S+/\S+/00000[01]\.dcm")).all().all()
    assert read["breast density"].isin(list("01234")).all() and not (read == "").any().any()
    (repair,) = tables.rows([(table, pathlib.Path(REAL) / "cbis_ddsm" / table.file)])[1]
    assert repair.what == f"{len(read)} of {len(read)} rows"


@real
def test_the_published_tables_hold_the_published_numbers():
    entries = cbis_ddsm.entries(pathlib.Path(REAL) / "cbis_ddsm")
    exposure = {one: (one.patient_id, one.side, one.view) for one in entries}
    parts = {part: [one for one in entries if one.part == part] for part in ("train", "test")}
    patients = [{one.patient_id for one in some} for some in parts.values()]
    found = {
        "rows": len(entries),
        "images": len({one.image for one in entries}),
        "patients": len({one.patient_id for one in entries}),
        "patients in both parts": len(set.intersection(*patients)),
        "views in both parts": len(set.intersection(*({exposure[one] for one in some} for some in parts.values()))),
    }
    for table in tables.TABLES:
        where = f"{table.kind} {table.part}"
        some = [one for one in entries if (one.kind, one.part) == (table.kind, table.part)]
        found[f"rows of {where}"] = len(some)
        found[f"patients of {where}"] = len({one.patient_id for one in some})
        found[f"images of {where}"] = len({one.image for one in some})
        for label in {one.label for one in some}:
            found[f"{label} of {where}"] = sum(one.label == label for one in some)
    assert found == dict(cbis_ddsm.ABOUT.known) and len(found) == 5 + 4 * 6
    for kind in tables.OWN:  # within one type no patient stands in both parts
        train, test = ({one.patient_id for one in some if one.kind == kind} for some in parts.values())
        assert not train & test


@real
def test_published_folders_are_named_as_the_tables_say():
    for table, read in published().items():
        films = [table.folder(row) for row in read.to_dict("records")]
        assert (read[tables.IMAGE].str.partition("/")[0] == films).all()
        lesions = pd.Series(films) + "_" + read["abnormality id"]
        assert (read[tables.MASK].str.partition("/")[0] == lesions).all() and lesions.is_unique
        assert (read[tables.CROP].str.partition("/")[0] == lesions).all()


@real
def test_published_films_mix_benign_and_malignant_lesions():
    mixed = []
    for read in published().values():
        outcomes = read.groupby(tables.IMAGE)["pathology"].agg(set)
        mixed.append(sum("MALIGNANT" in some and len(some) > 1 for some in outcomes))
    assert mixed == [6, 2, 7, 2]


@real
def test_published_odd_values():
    read = pd.concat(published().values())
    assert (read["breast density"] == "0").sum() == 2 and (read["subtlety"] == "0").sum() == 2
    types = read["calc type"].value_counts()
    assert [types[name] for name in ("PLEOMORPHIC-PLEOMORPHIC", "LUCENT_CENTER", "LUCENT_CENTERED")] == [1, 110, 18]


@real
def test_what_is_planted_is_as_frequent_as_published():
    lucent = pd.Series(dtype=int)
    for table, read in published().items():
        rates = planted.RATES[table.kind, table.part]
        crop, mask = (read[name].str.split("/", expand=True) for name in (tables.CROP, tables.MASK))
        split = crop[2] != mask[2]
        assert split.sum() == round(rates.split * len(read)) and ((crop[1] != mask[1]) == split).all()
        names = crop[3] + " " + mask[3]
        usual = "000000.dcm 000001.dcm" if table.kind == "mass" else "000001.dcm 000000.dcm"
        assert set(names[~split]) == {usual} and set(names[split]) <= {"000000.dcm 000000.dcm"}
        films = read.groupby(tables.IMAGE)
        ids = films["abnormality id"].agg(lambda some: sorted(map(int, some)))
        odd = sum(some != list(range(1, len(some) + 1)) for some in ids)
        assert odd == round(rates.numbered * len(ids))
        assert (films["breast density"].first() == "0").sum() == round(rates.density_0 * len(ids))
        assert (read["subtlety"] == "0").sum() == round(rates.subtlety_0 * len(read))
        if table.kind == "calcification":
            assert (read["calc type"] == "PLEOMORPHIC-PLEOMORPHIC").sum() == round(rates.doubled * len(read))
            lucent = lucent.add(read["calc type"].str.split("-").explode().value_counts(), fill_value=0)
    for name, share in planted.LUCENT.items():
        assert lucent[name] == round(share * (1546 + 326))
