"""A dataset's folder looked at: hand-made modules, and every format's own phantom and real files."""

import dataclasses
import json
import os
import pathlib

import cv2
import numpy as np
import pytest

from mammo_tf import cases, checking, checking_text, cli, commands_data, datasets, regions
from mammo_tf.datasets import about, mini_mias, phantom, prepared
from tests import samples

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
ABOUT = about.About("A toy set", "the toy shop", "free for all", "Toy et al. 2000", "DIR/table.csv", {"images": 4})
ENTRIES = tuple(about.Entry(name, f"p{name}", "BENIGN") for name in "abcd")


def view(root, name, gray=100):
    load = (lambda: np.full((40, 30), gray, np.uint8)) if gray is not None else _unreadable(root, name)
    shared = {"side": cases.Side.LEFT, "projection": cases.Projection.CC, "max_value": 255}
    return cases.View(name, f"p{name}", load=load, path=str(root / f"{name}.png"), **shared)


def _unreadable(root, name):
    def load():
        raise cases.DataError(root / f"{name}.png", "not an image that can be decoded")

    return load


def toy(root, views="abcd", broken="", problems=(), repairs=(), fault=None):
    """A format whose tables name four images."""

    def read(root, *, strict=False, **others):
        if fault:
            raise fault
        some = [view(root, name, None if name in broken else 100) for name in views]
        return cases.Dataset("toy", "real", str(root), datasets.by_patient(some), problems, "", repairs)

    return samples.module(NAME="toy", ABOUT=ABOUT, entries=lambda root: ENTRIES, read=read)


def test_all_is_well(tmp_path):
    check = checking.examine(toy(tmp_path), tmp_path)
    assert check.usable and check.verdict == "usable: 4 of 4 images found, 4 of them opened"
    assert (check.files.images, check.files.found, check.pixels.images, check.tables.total.found) == (4, 4, 4, 4)
    assert check.kind == "real" and not check.prepared and not check.files.problems


def test_missing_unreadable_and_repaired_files_are_listed_from_the_folder_on(tmp_path):
    missing = cases.Problem(str(tmp_path / "x" / "c.png"), f"no such file, nor {tmp_path}/x/c.jpg", "missing")
    repair = cases.Repair(str(tmp_path / "a.png"), "ids trimmed", f"a blank, as in {tmp_path}/t.csv")
    module = toy(tmp_path, "abd", "d", (missing,), (repair,))
    check = checking.examine(module, tmp_path)
    assert check.usable and check.files.found == 2 and check.pixels.images == 2
    assert check.files.of("missing") == (cases.Problem("x/c.png", "no such file, nor c.jpg", "missing"),)
    (bad,) = check.files.of("unreadable")
    assert bad.path == "d.png" and check.files.repairs[0].what == "a blank, as in t.csv"
    strict = checking.examine(module, tmp_path, strict=True)
    assert not strict.usable and "2 faults" in strict.verdict


def test_an_image_whose_mask_cannot_be_read_is_not_counted_as_found(tmp_path):
    def broken():
        raise cases.DataError(tmp_path / "mask.png", "truncated")

    lesion = cases.Lesion("a_1", cases.Pathology.BENIGN, "mass", regions.MaskRegion(broken))
    one = dataclasses.replace(view(tmp_path, "a"), lesions=(lesion,), spacing_mm=0.1)
    found = cases.Dataset("toy", "real", str(tmp_path), datasets.by_patient([one, view(tmp_path, "b")]))
    module = toy(tmp_path)
    module.read = lambda root, **others: found
    check = checking.examine(module, tmp_path)
    assert check.files.found == 1 and [p.path for p in check.files.problems] == ["mask.png"]


def test_strict_has_nothing_against_what_is_merely_left_out(tmp_path):
    with_other = cases.Problem(str(tmp_path / "d.png"), "left out with c.png", "left out")
    assert checking.examine(toy(tmp_path, "abc", problems=(with_other,)), tmp_path, strict=True).usable


def test_only_a_sample_is_opened(tmp_path):
    check = checking.examine(toy(tmp_path, broken="b"), tmp_path, sample=2)  # a and d: b is not looked at
    assert check.pixels.images == 2 and check.files.found == 4
    assert checking.examine(toy(tmp_path, broken="b"), tmp_path, sample=None).files.found == 3


def test_nothing_that_can_be_decoded_is_not_usable(tmp_path):
    check = checking.examine(toy(tmp_path, broken="abcd"), tmp_path)
    assert not check.usable and check.pixels is None and "decoded" in check.verdict and check.files.found == 0


def test_tables_without_images_are_counted_all_the_same(tmp_path):
    fault = cases.MissingError(tmp_path / "a.png", "no such file")
    check = checking.examine(toy(tmp_path, fault=fault), tmp_path)
    assert not check.usable and check.tables.total.images == 4 and check.files.fault == "a.png: no such file"
    assert "none of their 4 images" in check.verdict


@pytest.mark.parametrize("name", commands_data.FORMATS)
@pytest.mark.parametrize("there", [True, False])
def test_a_missing_or_an_empty_folder_shows_what_is_expected(name, there, tmp_path, capsys):
    folder = tmp_path / "data"
    if there:
        folder.mkdir()
    assert cli.main(["check", name, str(folder)]) == 1
    printed, module = capsys.readouterr().out, commands_data.format_module(name)
    assert module.ABOUT.title.split()[0] in printed and module.ABOUT.tree.split()[0] in printed
    assert printed.split("\n\n")[-1].startswith("not usable: " if there else "not usable: no such folder")
    assert cli.main(["check", name, str(folder), "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["usable"] is False and facts["fault"] and facts["tables"] is None


@pytest.mark.parametrize("name", commands_data.FORMATS)
def test_a_folder_that_cannot_be_looked_into_is_not_usable(name, tmp_path, capsys):
    folder = tmp_path / ("x" * 300)  # forbidden even to root
    assert cli.main(["check", name, str(folder), "--quiet"]) == 1
    assert capsys.readouterr().out == "not usable: cannot be read: File name too long\n"


def test_images_without_a_table_get_a_proposal_of_one(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "7_L_CC.png"), np.zeros((9, 9), np.uint8))
    assert cli.main(["check", "folder", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "7_L_CC.png,7,,LEFT,CC" in printed
    assert not any(line.split()[:1] in (["terms"], ["cite"]) for line in printed.splitlines())  # nothing to say


def test_images_that_a_link_leads_to_stand_in_the_proposal(tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "part").symlink_to(tmp_path / "elsewhere")
    cv2.imwrite(str(tmp_path / "elsewhere" / "7_L_CC.png"), np.zeros((9, 9), np.uint8))
    assert cli.main(["check", "folder", str(tmp_path / "data")]) == 1
    assert "part/7_L_CC.png,part_7,,LEFT,CC" in capsys.readouterr().out


@pytest.mark.parametrize("name", commands_data.FORMATS)
def test_the_phantom_of_every_format_is_usable(name, tmp_path, capsys):
    module = commands_data.format_module(name)
    spec = phantom.PhantomSpec(patients=6, height=160, width=120, spacing_mm=1.5)
    datasets.write_phantom(module, spec, tmp_path / name)
    assert cli.main(["check", name, str(tmp_path / name), "--images", "3"]) == 0
    printed = capsys.readouterr().out
    assert "synthetic phantom" in printed and "usable" in printed.splitlines()[-1]
    assert all(len(line) <= checking_text.WIDTH or "/" in line for line in printed.splitlines())
    assert cli.main(["check", name, str(tmp_path / name), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # no NaN
    assert facts["kind"] == "phantom" and facts["pixels"]["images"] > 1
    assert facts["tables"]["total"]["images"] == facts["files"]["images"] >= facts["files"]["found"] > 0


def test_views_say_what_the_tables_of_mini_mias_say(tmp_path):
    """So that a prepared dataset, which has no tables, is counted alike."""
    datasets.write_phantom(mini_mias, phantom.PhantomSpec(patients=8, height=96, width=96, spacing_mm=2.5), tmp_path)
    dataset = datasets.open_dataset(mini_mias, tmp_path)
    assert set(checking.of_views(dataset.views)) == set(mini_mias.entries(tmp_path))


def test_a_phantom_is_one_from_a_folder_above_it_too(tmp_path):
    spec = phantom.PhantomSpec(patients=2, height=96, width=96, spacing_mm=2.5)
    datasets.write_phantom(mini_mias, spec, tmp_path / "data" / "mias")
    check = checking.examine(mini_mias, tmp_path / "data")
    assert check.usable and check.kind == datasets.open_dataset(mini_mias, tmp_path / "data").kind == "phantom"


def test_a_folder_named_from_where_one_stands_keeps_its_names_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing = cases.Problem(
        "d/old/c.png", "no such file, nor d/old/c.jpg, nor d/bold/c.jpg; '../c' lies outside", "missing"
    )
    words = "no such file, nor c.jpg, nor bold/c.jpg; '../c' lies outside"
    check = checking.examine(toy(pathlib.Path("d"), "abd", problems=(missing,)), _made(tmp_path / "d").name)
    assert check.files.problems == (cases.Problem("old/c.png", words, "missing"),)


def _made(folder):
    folder.mkdir()
    return folder


@pytest.mark.parametrize("arguments", [["--images", "0"], ["--images", "3", "--all"], ["--images", "many"]])
def test_faults_of_the_call(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["check", "folder", str(tmp_path), *arguments])
    assert caught.value.code == 2 and "--images" in capsys.readouterr().err


def test_a_prepared_dataset_is_counted_from_its_records(tmp_path, capsys):
    spec = phantom.PhantomSpec(patients=4, height=96, width=96, spacing_mm=2.5)
    datasets.write_phantom(mini_mias, spec, tmp_path / "mias")
    assert cli.main(["prepare", "mini_mias", str(tmp_path / "mias"), "--out", str(tmp_path / "out"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert cli.main(["check", "mini_mias", made["folder"]]) == 0
    printed = capsys.readouterr().out
    assert "made by mammo-tf prepare" in printed and "synthetic phantom" in printed
    direct, again = (checking.examine(mini_mias, folder) for folder in (tmp_path / "mias", made["folder"]))
    assert again.prepared and not direct.prepared
    assert (again.tables, again.pixels) == (direct.tables, direct.pixels)
    assert checking.examine(mini_mias, tmp_path / "out" / "mini_mias").pixels == direct.pixels
    other = checking.examine(commands_data.format_module("inbreast"), made["folder"])
    assert not other.usable and "mini_mias" in other.verdict


def test_what_was_unreadable_when_it_was_prepared_is_listed_whatever_the_sample(tmp_path):
    spec = phantom.PhantomSpec(patients=4, height=96, width=96, spacing_mm=2.5)
    datasets.write_phantom(mini_mias, spec, tmp_path / "mias")
    dataset = mini_mias.read(tmp_path / "mias")
    bad = dataset.views[1]
    bad_view = dataclasses.replace(bad, load=_unreadable(tmp_path / "mias", bad.id))
    some = [bad_view if view is bad else view for view in dataset.views]
    changed = dataclasses.replace(dataset, cases=datasets.by_patient(some))
    made = prepared.make(prepared.plan(changed, mini_mias.ABOUT, prepared.Options(out=tmp_path / "out")))
    check = checking.examine(mini_mias, made.folder, sample=1)
    (problem,) = check.files.of("unreadable")
    assert problem.path == f"{bad.id}.png" and check.pixels.images == 1
    assert check.files.found == check.files.images - 1 == len(dataset.views) - 1


def test_an_intensity_that_the_format_does_not_know(tmp_path, capsys):
    datasets.write_phantom(mini_mias, phantom.PhantomSpec(patients=2, height=96, width=96, spacing_mm=2.5), tmp_path)
    assert cli.main(["check", "mini_mias", str(tmp_path), "--intensity", "voi"]) == 2
    assert "intensity" in capsys.readouterr().err


def test_quiet_prints_the_verdict_alone(tmp_path, capsys):
    assert cli.main(["check", "mini_mias", str(tmp_path), "--quiet"]) == 1
    assert capsys.readouterr().out.startswith("not usable: ")


@needs_real
def test_the_real_tables_of_cbis_ddsm_alone():
    """All 29 published numbers are those of the tables; not one image is there."""
    check = checking.examine(commands_data.format_module("cbis_ddsm"), pathlib.Path(REAL) / "cbis_ddsm")
    assert not check.usable and check.files.found == 0 and check.files.images == 3103
    assert [one for one in check.tables.published if one.here != one.published] == []
    assert len(check.tables.published) == 29 and len(check.tables.both_parts) == 31


@needs_real
def test_the_real_half_of_mini_mias():
    check = checking.examine(mini_mias, pathlib.Path(REAL) / "mini_mias")
    assert check.usable and check.files.found == 162 and len(check.files.of("missing")) == 160
    assert check.tables.both_classes == ("mdb144",) and check.pixels.images == checking.SAMPLE
    assert check.pixels.sizes == (((1024, 1024), 24),) and 0.1 < check.pixels.breast.median < 0.6
    assert not checking.examine(mini_mias, pathlib.Path(REAL) / "mini_mias", sample=1, strict=True).usable


@needs_real
def test_the_real_tables_of_inbreast_alone():
    check = checking.examine(commands_data.format_module("inbreast"), pathlib.Path(REAL) / "inbreast")
    assert not check.usable and check.files.images == 410 and check.tables.without_patient == 410
    assert [one.name for one in check.tables.published if one.here != one.published] == ["cases"]
