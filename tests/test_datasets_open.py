"""The phantom goes through each format's own writer and the reader of the real thing."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from mammo_tf import cache, cases, datasets
from mammo_tf.datasets import cbis_ddsm, mini_mias, phantom, prepared

SPEC = phantom.PhantomSpec(patients=4, height=150, width=112, spacing_mm=1.6, seed=3)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_a_root_the_phantom_is_written_once_and_read(monkeypatch):
    dataset = datasets.open_dataset(cbis_ddsm, spec=SPEC)
    assert dataset.kind == "phantom" and dataset.name == "cbis_ddsm" and dataset.problems == ()
    root = pathlib.Path(dataset.root)
    assert [entry.key for entry in cache.entries()] == [root.name] and root.name.startswith("phantom-cbis_ddsm-")
    marker = json.loads((root / "PHANTOM.json").read_text())
    assert marker["note"] == "synthetic phantom, not a mammogram" and marker["spec"]["patients"] == 4
    monkeypatch.setattr(cbis_ddsm, "write", None)  # a second call would fail
    assert datasets.open_dataset(cbis_ddsm, spec=SPEC).fingerprint == dataset.fingerprint
    monkeypatch.undo()


def test_cbis_ddsm_gives_back_the_phantom():
    made = {(v.patient_id, v.side, v.projection): v for case in phantom.cases(SPEC) for v in case.views if v.lesions}
    dataset = datasets.open_dataset(cbis_ddsm, spec=SPEC)
    assert {(v.patient_id, v.side, v.projection) for v in dataset.views} == set(made)
    assert sum(len(v.lesions) for v in dataset.views) == sum(len(v.lesions) for v in made.values()) > 0
    for view in dataset.views:
        origin = made[view.patient_id, view.side, view.projection]
        assert np.array_equal(view.pixels(), origin.pixels())
        assert (view.max_value, view.spacing_mm) == (origin.max_value, origin.spacing_mm)
        assert dict(view.attributes) == {"breast density": origin.attributes["breast density"]}
        for lesion in view.lesions:
            twin = [
                one
                for one in origin.lesions
                if (one.kind, one.pathology, one.part) == (lesion.kind, lesion.pathology, lesion.part)
            ]
            mask = lesion.region.mask(view.pixels().shape)
            assert any(np.array_equal(mask, one.region.mask(mask.shape)) for one in twin)
            (found,) = (one for one in twin if np.array_equal(mask, one.region.mask(mask.shape)))
            own = {name: value for name, value in lesion.attributes.items() if name != "abnormality id"}
            assert own == {name: found.attributes[name] for name in own}


def test_mini_mias_holds_its_oblique_views_in_the_field_of_the_format():
    spec = dataclasses.replace(SPEC, height=160, look="ffdm")
    dataset = datasets.open_dataset(mini_mias, spec=spec)
    made = phantom.cases(mini_mias.phantom_spec(spec))
    oblique = [v for case in made for v in case.views if v.projection is cases.Projection.MLO]
    assert dataset.kind == "phantom" and len(dataset.views) == len(oblique)
    assert {view.pixels().shape for view in dataset.views} == {(128, 128)}
    assert {view.spacing_mm for view in dataset.views} == {1.6} and {view.max_value for view in dataset.views} == {
        255
    }
    assert sum(len(view.lesions) for view in dataset.views) == sum(len(view.lesions) for view in oblique)


def test_another_spec_or_format_is_another_entry():
    for module, spec in ((cbis_ddsm, SPEC), (cbis_ddsm, dataclasses.replace(SPEC, seed=4)), (mini_mias, SPEC)):
        datasets.open_dataset(module, spec=spec)
    assert len(cache.entries()) == 3


def test_a_real_folder_is_read_where_one_is_given(tmp_path):
    datasets.write_phantom(cbis_ddsm, SPEC, tmp_path / "films")
    (tmp_path / "films" / "PHANTOM.json").unlink()
    dataset = datasets.open_dataset(cbis_ddsm, tmp_path / "films", spec=SPEC)
    assert dataset.kind == "real" and dataset.root == str(tmp_path / "films") and cache.entries() == []


def test_strict_reaches_the_reader(tmp_path):
    datasets.write_phantom(cbis_ddsm, SPEC, tmp_path / "films")
    path = pathlib.Path(datasets.open_dataset(cbis_ddsm, tmp_path / "films").views[0].path)
    path.unlink()
    assert datasets.open_dataset(cbis_ddsm, tmp_path / "films").problems
    with pytest.raises(cases.DataError, match="no such file"):
        datasets.open_dataset(cbis_ddsm, tmp_path / "films", strict=True)


class Intense:
    """A format that tells intensities apart."""

    NAME = "intense"

    def __init__(self):
        self.asked = []

    def read(self, root, *, strict=False, intensity="raw"):
        self.asked.append((strict, intensity))
        return cases.Dataset(self.NAME, "real", str(root), (), fingerprint="f" * 16)


def test_the_intensity_reaches_the_reader_and_the_fingerprint(tmp_path):
    module, found = Intense(), {}
    for intensity in ("raw", "voi", "minmax"):
        found[intensity] = datasets.open_dataset(module, tmp_path, strict=True, intensity=intensity).fingerprint
    assert module.asked == [(True, "raw"), (True, "voi"), (True, "minmax")]
    assert found["raw"] == "f" * 16 and len(set(found.values())) == 3
    assert datasets.open_dataset(module, tmp_path, intensity="voi").fingerprint == found["voi"]


def test_a_format_without_intensities_refuses_them():
    assert datasets.open_dataset(mini_mias, spec=SPEC, intensity="raw").views
    with pytest.raises(cases.MammoError, match="mini_mias: its images know no intensity but raw, asked for was voi"):
        datasets.open_dataset(mini_mias, spec=SPEC, intensity="voi")


def test_a_prepared_folder_is_read_as_such(tmp_path):
    direct = datasets.open_dataset(mini_mias, spec=SPEC)
    prepared.make(prepared.plan(direct, mini_mias.ABOUT, prepared.Options(out=tmp_path)))
    found = datasets.open_dataset(mini_mias, tmp_path, strict=True)
    assert (found.kind, found.fingerprint, found.problems) == ("phantom", direct.fingerprint, ())
    assert np.array_equal(found.views[0].pixels(), direct.views[0].pixels())
    with pytest.raises(cases.DataError, match="of name mini_mias, asked for was cbis_ddsm"):
        datasets.open_dataset(cbis_ddsm, tmp_path)
    with pytest.raises(cases.DataError, match="of intensity raw, asked for was voi"):
        datasets.open_dataset(mini_mias, tmp_path, intensity="voi")


def test_a_missing_root_is_no_reason_for_a_phantom(tmp_path):
    for module in (cbis_ddsm, mini_mias):
        with pytest.raises(cases.MissingError, match="nowhere: no such folder"):
            datasets.open_dataset(module, tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(cases.DataError, match="not a folder"):
        datasets.open_dataset(cbis_ddsm, tmp_path / "file")


@pytest.mark.parametrize(
    ("problems", "used", "strict", "message"),
    [
        (2, 0, False, r"^a: first \(none of the 2 films can be used; this is the first fault\)$"),
        (2, 0, True, r"^a: first \(none of the 2 films can be used; this is the first fault\)$"),
        (2, 1, True, r"^a: first$"),
        (0, 0, False, r"^t\.csv: lists nothing that could be read: 2 films$"),
    ],
)
def test_what_a_reader_refuses(problems, used, strict, message):
    found = [cases.Problem("a", "first"), cases.Problem("b", "second")][:problems]
    with pytest.raises(cases.DataError, match=message):
        datasets.refuse(pathlib.Path("t.csv"), found, of="2 films", used=used, strict=strict)


def test_a_reader_goes_on_past_a_problem_unless_strict():
    one = [cases.Problem("a", "first")]
    assert datasets.refuse(pathlib.Path("t.csv"), one, of="2 films", used=1, strict=False) is None
    assert datasets.refuse(pathlib.Path("t.csv"), [], of="2 films", used=2, strict=True) is None


def test_a_phantom_is_not_mixed_with_other_files(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(cases.DataError, match="new or an empty folder"):
        datasets.write_phantom(cbis_ddsm, SPEC, tmp_path)
    with pytest.raises(cases.DataError, match="cannot be written"):
        datasets.write_phantom(cbis_ddsm, SPEC, tmp_path / "mine.txt" / "below")


def test_the_readers_do_without_tensorflow():
    code = (
        "import sys; from mammo_tf import preparing; from mammo_tf.datasets import cbis_ddsm, mini_mias, prepared; "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'tensorflow_datasets', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_links_are_followed_each_folder_once_and_leftovers_of_systems_passed_over(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    (root / "a").mkdir(parents=True)
    (root / "__MACOSX").mkdir()
    (other / "deep").mkdir(parents=True)
    for path in (root / "a/1.dcm", root / "a/._1.dcm", root / "__MACOSX/2.dcm", other / "deep/3.dcm"):
        path.touch()
    (root / "linked").symlink_to(other)
    (other / "deep" / "back").symlink_to(root)
    assert [path.name for path in datasets.files(root)] == ["1.dcm", "3.dcm"]
