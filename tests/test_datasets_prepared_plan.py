"""Splits, files, and what they need, by hand."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import prepared_plan
from tests import prepared_samples as samples

Options = prepared_plan.Options


def test_a_view_belongs_to_the_one_part_of_its_lesions():
    found = {view.id: prepared_plan.part(view) for view in samples.views()}
    expected = dict.fromkeys(("film00", "film03", "film05", "film07", "film08", "film09"), "train")
    expected |= dict.fromkeys(("film01", "film06"), "test")
    assert found == expected | dict.fromkeys(("film02", "sub/film.png"), "unassigned")


def test_files_hold_views_in_their_order_split_by_split():
    found = [
        (shard.split, shard.number, shard.total, [view.id for view in shard.views])
        for shard in prepared_plan.shards(samples.dataset(), 4)
    ]
    assert found == [
        ("train", 0, 2, ["film00", "film03", "film05", "film07"]),
        ("train", 1, 2, ["film08", "film09"]),
        ("test", 0, 1, ["film01", "film06"]),
        ("unassigned", 0, 1, ["film02", "sub/film.png"]),
    ]
    every = [v.id for shard in prepared_plan.shards(samples.dataset(), 3) for v in shard.views]
    assert sorted(every) == sorted(view.id for view in samples.views())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_are_encoded_as_they_are_in_16_bits(dtype):
    png = prepared_plan.encode(samples.image(3, dtype))
    assert png[24] == 16  # the bits a channel, of the IHDR chunk
    assert np.array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), samples.image(3, dtype))


def test_the_places(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path))
    found = prepared_plan.plan(samples.dataset(), samples.ABOUT, Options())
    assert found.out == tmp_path / "prepared" / "samples-0123456789abcdef"
    assert found.folder == found.out / "samples" / "1.0.0" and found.staging.parent == found.folder.parent
    other = dataclasses.replace(found, dataset=samples.dataset(fingerprint="f" * 16))
    assert other.staging.name != found.staging.name and other.out != found.out
    named = dataclasses.replace(found, options=Options(out=tmp_path / "mine"))
    assert named.folder == tmp_path / "mine" / "samples" / "1.0.0" and named.staging.name == found.staging.name


def test_the_need_follows_the_sizes_of_the_files(tmp_path):
    """Two files of 3000 bytes and fourteen of 1000, every PNG alike: 8,000 of 20,000 bytes are sampled."""
    pixels = samples.image(0)
    png = len(prepared_plan.encode(pixels))
    views = []
    for i in range(16):  # the sample is 0, 5, 10, 15
        path = tmp_path / f"{i}.dcm"
        path.write_bytes(bytes(3000 if i in (0, 5) else 1000))
        views.append(dataclasses.replace(samples.view(i, load=samples.Counted(pixels)), path=str(path)))
    need = prepared_plan.plan(samples.dataset(views), samples.ABOUT, Options(out=tmp_path)).need
    assert abs(need.bytes - (20000 / 8000 * 4 * png * 1.05 + 16 * 4096)) <= 1
    assert [view.load.calls for view in views] == [1 if i in (0, 5, 10, 15) else 0 for i in range(16)]
    assert need.staged == 0 and need.free > 0 and 0 < need.seconds < 10 and need.fits


def test_views_without_files_count_as_the_mean_and_unreadable_ones_not(tmp_path):
    views = [samples.view(0), samples.view(1, load=samples.broken), samples.view(2, load=samples.gone)]
    need = prepared_plan.plan(samples.dataset(views), samples.ABOUT, Options(out=tmp_path / "new")).need
    assert abs(need.bytes - (3 * len(prepared_plan.encode(samples.image(0))) * 1.05 + 3 * 4096)) <= 1
    views = [samples.view(1, load=samples.broken)]
    assert prepared_plan.plan(samples.dataset(views), samples.ABOUT, Options(out=tmp_path)).need.bytes == 4096


def test_what_is_staged_is_not_needed_again():
    need = prepared_plan.Need(bytes=100, staged=40, free=60, seconds=0)
    assert need.fits and not dataclasses.replace(need, free=59).fits


def test_a_staged_file_counts_when_it_is_whole_and_without_a_fault(tmp_path):
    file, beside = tmp_path / "a.tfrecord-00000-of-00001", tmp_path / "a.tfrecord-00000-of-00001.json"
    good = {"rows": [{"id": "a", "lesions": []}], "records": 1, "bytes": 3}
    assert prepared_plan.finished(beside) is None
    beside.write_text(json.dumps(good))
    assert prepared_plan.finished(beside) is None
    file.write_bytes(b"abc")
    assert prepared_plan.finished(beside) == good and prepared_plan.staged(tmp_path) == [good]
    fault = {"path": "a.dcm", "reason": "broken", "kind": "unreadable"}
    for bad in (good | {"bytes": 4}, good | {"rows": [{"id": "a", "lesions": [], "fault": fault}]}):
        beside.write_text(json.dumps(bad))
        assert prepared_plan.finished(beside) is None and prepared_plan.staged(tmp_path) == []
    beside.write_text("{")
    assert prepared_plan.finished(beside) is None


@pytest.mark.parametrize(
    ("views", "options", "message"),
    [
        ([], {}, "holds no view to prepare"),
        ([samples.view(0), samples.view(0)], {}, "1 id.s. stand for two views each: film00"),
        ([samples.view(0)], {"workers": 0}, "at least 1, found 0 and 16"),
        ([samples.view(0)], {"per_shard": 0}, "at least 1, found 2 and 0"),
    ],
)
def test_what_is_refused(views, options, message):
    with pytest.raises(cases.MammoError, match=message):
        prepared_plan.plan(samples.dataset(views), samples.ABOUT, Options(**options))
