"""The phantom goes through each format's own writer and the reader of the real thing."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from mammo_tf import cache, cases, datasets
from mammo_tf.datasets import cbis_ddsm, mini_mias, phantom

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


def test_a_missing_root_is_no_reason_for_a_phantom(tmp_path):
    for module in (cbis_ddsm, mini_mias):
        with pytest.raises(cases.DataError, match="nowhere: no such folder"):
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
        "import sys; from mammo_tf.datasets import cbis_ddsm, mini_mias; "
        "sys.exit('tensorflow' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
