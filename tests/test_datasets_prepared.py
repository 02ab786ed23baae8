"""A dataset prepared once is the dataset: ids, pixels, regions, problems; built whole or not at all, and resumed."""

import dataclasses
import functools
import json
import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest

from mammo_tf import cases, datasets, labels
from mammo_tf.datasets import cbis_ddsm, folder, mini_mias, patches, phantom, prepared, prepared_index
from tests import prepared_samples as samples

SPEC = phantom.PhantomSpec(patients=4, height=300, width=225, spacing_mm=0.8)
SAMPLES = samples.dataset()
plan, read = samples.plan, functools.partial(prepared.read, name="samples")


@dataclasses.dataclass(frozen=True)
class Format:
    """Something that quacks like a format module, `open_dataset` included."""

    NAME: str = "samples"


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return prepared.make(plan(tmp_path_factory.mktemp("data")))


def phantom_pair(module, out):
    direct = datasets.open_dataset(module, spec=SPEC)
    prepared.make(prepared.plan(direct, module.ABOUT, prepared.Options(out=out, per_shard=3)))
    return direct, datasets.open_dataset(module, out)


def test_what_is_read_back_is_what_was_prepared(made):
    found = read(made.folder)
    names = ("name", "kind", "fingerprint")
    assert [getattr(found, name) for name in names] == [getattr(SAMPLES, name) for name in names]
    assert found.root == str(made.folder)
    assert [case.patient_id for case in found.cases] == [case.patient_id for case in SAMPLES.cases]
    samples.assert_same_views(found.views, SAMPLES.views)
    samples.assert_same_pixels(found.views, SAMPLES.views)
    assert found.problems == (cases.Problem("films/left.dcm", "film of films/out.dcm", "left out"),)
    assert found.repairs == (cases.Repair("table.csv", "spelling", "'MLO ' taken for 'MLO'"),)
    assert found.views[0].path == "films/film00.dcm"


def test_what_was_made_is_counted(made):
    assert (made.views, made.records, made.unreadable, made.already, made.resumed) == (10, 10, (), False, 0)
    assert made.bytes == sum(path.stat().st_size for path in made.folder.iterdir()) > 10_000
    left = {path.name for path in made.folder.parent.iterdir()} | {
        path.name for path in made.folder.parents[1].iterdir()
    }
    assert left == {"1.0.0", ".lock", "samples"}


def test_a_renamed_folder_is_refused(made, tmp_path):
    for place in ("samples/2.0.0", "others/1.0.0"):
        shutil.copytree(made.folder, tmp_path / place)
        with pytest.raises(cases.DataError, match=r"at samples/1\.0\.0 only; rename the folder back"):
            read(tmp_path / place)


def test_a_folder_may_be_copied_and_linked_to_by_any_name(made, tmp_path):
    shutil.copytree(made.folder.parents[1], tmp_path / "copy")
    (tmp_path / "link").symlink_to(tmp_path / "copy" / "samples" / "1.0.0")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "samples").symlink_to(tmp_path / "moved")
    for place in ("copy/samples/1.0.0", "link"):
        samples.assert_same_pixels(read(tmp_path / place).views, SAMPLES.views)
    (tmp_path / "copy" / "samples").rename(tmp_path / "moved")
    samples.assert_same_pixels(read(tmp_path / "out" / "samples" / "1.0.0").views, SAMPLES.views)


def test_a_folder_may_be_named_from_where_one_stands(made, monkeypatch):
    monkeypatch.chdir(made.folder)
    found = read(".")
    assert found.root == str(made.folder) and prepared.find(".", "samples") == pathlib.Path()
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(found.views[3].pixels(), SAMPLES.views[3].pixels())


def test_views_of_a_prepared_dataset_go_to_another_process(made):
    views = pickle.loads(pickle.dumps(read(made.folder).views))
    samples.assert_same_pixels(views[:2], SAMPLES.views[:2])


@pytest.mark.parametrize("module", [cbis_ddsm, mini_mias, folder])
def test_every_format_comes_back(module, tmp_path):
    direct, found = phantom_pair(module, tmp_path)
    assert (found.name, found.kind, found.fingerprint) == (module.NAME, "phantom", direct.fingerprint)
    assert len(found.views) > 3 and len(found.repairs) == len(direct.repairs)
    samples.assert_same_views(found.views, direct.views)
    samples.assert_same_pixels(found.views, direct.views)


def test_crops_and_arrays_are_equal_bit_for_bit(tmp_path):
    from mammo_tf.pipeline import build, normalize

    direct, found = phantom_pair(cbis_ddsm, tmp_path)
    how = {"kinds": ("mass", "calcification"), "paddings": (0.1, 0.3), "shift": 0.1}
    (mine, lost), (theirs, theirs_lost) = (patches.lesion_crops(d, labels.pathology, **how) for d in (found, direct))
    assert len(mine) > 6 and lost == theirs_lost == ()
    facts = ("id", "patient_id", "label", "roi_id", "part")
    for one, other in zip(mine, theirs, strict=True):
        assert [getattr(one, name) for name in facts] == [getattr(other, name) for name in facts]
    pipeline = build.Pipeline(24, normalize.per_image)
    arrays, expected = pipeline.load(mine), pipeline.load(theirs)
    np.testing.assert_array_equal(arrays.images, expected.images)
    assert arrays.ids == expected.ids and arrays.problems == ()


def test_a_second_time_nothing_is_done(made, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in made.folder.iterdir()}
    twin = plan(made.folder.parents[1])
    twin.staging.mkdir()  # as a start leaves it that was killed when all was done
    monkeypatch.delattr(prepared, "_alone")  # a folder that cannot be written has no room for a lock
    assert prepared.make(twin) == dataclasses.replace(made, already=True)
    assert {path: path.stat().st_mtime_ns for path in made.folder.iterdir()} == before
    assert not twin.staging.exists()


def test_a_prepared_folder_is_found_by_any_of_its_names(made, tmp_path):
    for root in (made.folder, *made.folder.parents[:2], str(made.folder)):
        assert prepared.find(root, "samples") == prepared.find(root, "other") == made.folder
        assert datasets.open_dataset(Format(), root).fingerprint == SAMPLES.fingerprint
    assert prepared.find(tmp_path, "samples") is None
    shutil.copytree(made.folder, tmp_path / "another" / "1.0.0")
    shutil.copytree(made.folder, tmp_path / "samples" / "1.0.0")
    assert prepared.find(tmp_path, "samples") == tmp_path / "samples" / "1.0.0"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"name": "cbis_ddsm"}, "a prepared dataset of name samples, asked for was cbis_ddsm"),
        ({"intensity": "voi"}, "a prepared dataset of intensity raw, asked for was voi"),
        ({"strict": True}, r"^films/left\.dcm: film of films/out\.dcm$"),
    ],
)
def test_another_dataset_than_asked_for_is_refused(made, how, message):
    with pytest.raises(cases.DataError, match=message):
        prepared.read(made.folder, **{"name": "samples", **how})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        (json.dumps({"format": 99}), "of format 99, this is 1; prepare it again"),
        ("[]", "of format None"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path, text, message):
    (tmp_path / prepared_index.FILE).write_text(text)
    with pytest.raises(cases.DataError, match=rf"prepared\.json: .*{message}"):
        read(tmp_path)


def test_what_cannot_be_read_is_listed_and_fails_as_before(tmp_path):
    views = samples.views()
    views[1] = samples.view(1, views[1].lesions[0], load=samples.broken)
    views[2] = samples.view(3, samples.lesion("c", samples.masked(3, samples.gone), part="train"))
    result = prepared.make(plan(tmp_path, views))
    reason = "truncated: 10 of 20 bytes of films/broken.dcm"
    assert result.unreadable == (
        cases.Problem("films/broken.dcm", reason, "unreadable"),
        cases.Problem("masks/3.dcm", "cannot be read: No such file or directory", "missing"),
    )
    assert (result.views, result.records) == (10, 9)
    found = read(result.folder)
    samples.assert_same_views(found.views, views)
    assert found.problems == read(result.folder).problems and len(found.problems) == 1  # the reader's own
    with pytest.raises(cases.DataError, match="truncated"):
        found.views[1].pixels()
    with pytest.raises(cases.MissingError, match=r"masks/3\.dcm"):
        found.views[2].lesions[0].region.bounds()
    rest = [i for i in range(10) if i not in (1, 2)]
    samples.assert_same_pixels([found.views[i] for i in rest], [views[i] for i in rest])
    np.testing.assert_array_equal(found.views[2].pixels(), views[2].pixels())
    with pytest.raises(cases.DataError, match=r"film of films/out\.dcm"):
        read(result.folder, strict=True)
    with pytest.raises(cases.DataError, match="truncated"):
        prepared.make(plan(tmp_path, views, strict=True))
    assert json.loads((result.folder / "metadata.json").read_text())["unreadable"][0]["reason"] == reason


def test_strict_stops_and_leaves_nothing_to_be_taken_for_a_dataset(tmp_path):
    views = [*samples.views()[:9], samples.view(9, load=samples.broken)]
    with pytest.raises(cases.DataError, match="truncated"):
        prepared.make(plan(tmp_path, views, strict=True, workers=1))
    assert prepared.find(tmp_path, "samples") is None and not list(tmp_path.glob("samples/incomplete*"))


def test_a_dataset_of_which_nothing_can_be_read_is_refused(tmp_path):
    with pytest.raises(cases.DataError, match=r"truncated.*\(none of the 2 views can be read\)"):
        prepared.make(plan(tmp_path, [samples.view(i, load=samples.broken) for i in range(2)]))
    assert prepared.find(tmp_path, "samples") is None


def test_other_data_at_the_same_place_are_refused(made):
    changed = plan(made.folder.parents[1], samples.dataset(fingerprint="f" * 16))
    with pytest.raises(
        cases.DataError, match="holds fingerprint 0123456789abcdef, intensity raw, not fingerprint ffff"
    ):
        prepared.make(changed)


def test_changed_data_are_prepared_beside_the_old_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path))
    views = [samples.view(0)]
    old = prepared.make(plan(None, views))
    changed = plan(None, samples.dataset(views, fingerprint="f" * 16))
    assert prepared.before(changed) == [old.folder] and prepared.before(plan(None, views)) == []
    damaged = tmp_path / "prepared" / "samples-0" / "samples" / "1.0.0" / prepared_index.FILE
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    elsewhere = samples.dataset(views, fingerprint="f" * 16, root="/data/others")
    assert prepared.before(plan(None, elsewhere)) == []
    new = prepared.make(changed)
    assert new.folder != old.folder and read(old.folder).fingerprint != read(new.folder).fingerprint == "f" * 16


@pytest.mark.skipif("MAMMO_TF_REAL_DATA" not in os.environ, reason="MAMMO_TF_REAL_DATA is not set")
def test_real_films_come_back(tmp_path):
    direct = mini_mias.read(pathlib.Path(os.environ["MAMMO_TF_REAL_DATA"]) / "mini_mias")
    some = dataclasses.replace(direct, cases=direct.cases[:12])
    prepared.make(prepared.plan(some, mini_mias.ABOUT, prepared.Options(out=tmp_path)))
    found = datasets.open_dataset(mini_mias, tmp_path)
    assert len(found.views) == 24 and len(found.problems) == len(direct.problems)
    samples.assert_same_views(found.views, some.views)
    samples.assert_same_pixels(found.views, some.views)
