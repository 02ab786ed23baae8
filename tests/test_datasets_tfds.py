"""Records: what `tensorflow_datasets.load` alone gives of a prepared dataset, and that the count is asserted."""

import json
import math

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets

from mammo_tf import cases
from mammo_tf.datasets import prepared, prepared_plan, tfds
from tests import prepared_samples as samples

plan = samples.plan


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepared.make(plan(folder))
    return folder


@pytest.fixture(scope="session")
def records(folder):
    found = tensorflow_datasets.load("samples:1.0.0", data_dir=str(folder), split="all", download=False)
    return {record["id"].decode(): record for record in found.as_numpy_iterator()}


def test_the_folder_is_one_that_tensorflow_datasets_knows(folder):
    info = tensorflow_datasets.builder("samples", data_dir=str(folder)).info
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 6,
        "test": 2,
        "unassigned": 2,
    }
    assert {name: split.shard_lengths for name, split in info.splits.items()}["train"] == [2, 2, 2]
    assert (str(info.version), info.citation) == ("1.0.0", "Nobody (2020)")
    assert info.description == "Samples\nnowhere\nnone" and info.supervised_keys is None
    assert info.metadata["fingerprint"] == "0123456789abcdef" and info.metadata["records"] == 10
    assert info.metadata["problems"] == [
        {"path": "films/left.dcm", "reason": "film of films/out.dcm", "kind": "left out"}
    ]
    assert info.metadata["repairs"][0]["rule"] == "spelling"


def test_images_are_those_of_the_views(records):
    assert set(records) == {view.id for view in samples.views()}
    for view in samples.views():
        image = records[view.id]["image"]
        assert image.dtype == np.uint16 and image.shape[2] == 1
        np.testing.assert_array_equal(image[..., 0], view.pixels())
        assert records[view.id]["dtype"].decode() == view.pixels().dtype.name
    assert records["film01"]["image"].max() <= 255  # 8 bits are not stretched


def test_a_record_says_whose_it_is_and_how_it_was_taken(records):
    found = {name: records["film02"][name] for name in ("patient_id", "side", "projection", "part")}
    assert found == {"patient_id": b"p1", "side": b"LEFT", "projection": b"CC", "part": b"unassigned"}
    found = [records[name]["lossy"] for name in ("film02", "film00")]
    assert found == [True, False] and records["film00"]["max_value"] == 4095
    assert records["film00"]["spacing_mm"] == np.float32(0.1) and math.isnan(records["sub/film.png"]["spacing_mm"])
    assert json.loads(records["film00"]["attributes"]) == {"breast density": "2"}
    assert records["sub/film.png"]["side"] == b"" and records["sub/film.png"]["projection"] == b"OTHER"


def test_lesions_are_boxes_outlines_and_masks(records):
    lesions = {
        id.decode(): {name: values[i] for name, values in record["lesions"].items() if name != "labels"}
        for record in records.values()
        for i, id in enumerate(record["lesions"]["id"])
    }
    assert set(lesions) == set("abcdefghijk")
    a, b, c, d, g = (lesions[name] for name in "abcdg")
    assert (a["pathology"], a["kind"], a["part"], a["outline"]) == (b"MALIGNANT", b"mass", b"train", b"")
    assert json.loads(a["attributes"]) == {"assessment": "4", "mass shape": "OVAL-ROUND"}
    top, left, bottom, right = a["box"]
    assert (top, left, bottom, right) == (3, 4, 12, 20)
    bits = cv2.imdecode(np.frombuffer(a["mask"], np.uint8), cv2.IMREAD_GRAYSCALE) > 0
    np.testing.assert_array_equal(bits, samples.mask((20, 30))[top:bottom, left:right])
    assert json.loads(b["outline"]) == {"type": "CircleRegion", "x": 12.5, "y": 7, "radius": 4}
    assert b["box"].tolist() == [3, 8, 12, 18] and b["mask"] == b""
    assert json.loads(c["outline"])["points"] == [[1, 2], [10.25, 3], [5, 12.5]]
    assert (d["outline"], d["mask"], d["box"].tolist()) == (b"", b"", [0, 0, 0, 0])
    assert lesions["h"]["mask"] == b"" and lesions["h"]["box"].tolist() == [0, 0, 0, 0]
    assert g["mask"] and g["box"].tolist() == [2, 8, 9, 16]


def test_labels_follow_every_policy(records):
    names = ["pathology", "birads_4_up", "birads_4_up_drop_3", "mias_severity"]
    assert [policy.name for policy in tfds.POLICIES] == names
    assert {name: records["film00"]["labels"][name].item() for name in names} == dict.fromkeys(names, 1.0)
    of_view, of_lesions = records["film03"]["labels"], records["film03"]["lesions"]["labels"]
    assert of_view["pathology"] == 1 and of_lesions["pathology"].tolist() == [1, 1]
    np.testing.assert_array_equal(of_lesions["birads_4_up"], [1, np.nan])  # assessments 4 and 0
    assert records["film01"]["labels"]["mias_severity"] == 0
    assert math.isnan(records["film05"]["labels"]["pathology"])


def test_a_split_is_read_in_the_order_of_the_dataset(folder):
    found = tensorflow_datasets.load("samples:1.0.0", data_dir=str(folder), split="train", download=False)
    ids = [record["id"].decode() for record in found.as_numpy_iterator()]
    assert ids == ["film00", "film03", "film05", "film07", "film08", "film09"]


def test_files_are_the_same_bytes_every_time(folder, tmp_path):
    prepared.make(plan(tmp_path, workers=5))
    files = sorted((folder / "samples" / "1.0.0").glob("*.tfrecord-*"))
    assert len(files) == 5
    for file in files:
        assert file.read_bytes() == (tmp_path / "samples" / "1.0.0" / file.name).read_bytes()


def test_a_lost_record_is_noticed(tmp_path, monkeypatch):
    writer = tensorflow_datasets.core.ExampleWriter
    write = writer.write
    monkeypatch.setattr(writer, "write", lambda self, path, examples: write(self, path, [*examples][1:]))
    with pytest.raises(cases.DataError, match="2 views read, 1 records in the file"):
        prepared.make(plan(tmp_path))
    assert not plan(tmp_path).folder.exists()


def test_a_lost_file_is_noticed(tmp_path, monkeypatch):
    """The last assertion stands alone: rows, records and views are counted where they come together."""
    shards = prepared_plan.shards
    for lost, message in ((slice(1, None), "10 views listed, 8 seen"), (slice(-1), "10 views listed, 8 seen")):
        monkeypatch.setattr(prepared_plan, "shards", lambda *how, lost=lost: shards(*how)[lost])
        with pytest.raises(cases.DataError, match=message):
            prepared.make(plan(tmp_path))
        assert not plan(tmp_path).folder.exists()


def test_records_are_counted_from_the_file(tmp_path):
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for data in (b"one", b"two", b"three"):
            writer.write(data)
    assert tfds.records_in(path) == 3
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"two", b"owt"))
    assert tfds.records_in(path) == -1
    path.write_bytes(whole[:-3])
    assert tfds.records_in(path) == -1


def test_progress_ends_at_all_views(tmp_path):
    said = []
    prepared.make(plan(tmp_path, workers=3), lambda *how: said.append(how))
    assert said == sorted(said) and said[-1] == (10, 10) and {total for _, total in said} == {10}


def test_the_builder_has_no_place_in_the_registry():
    assert "samples" not in tensorflow_datasets.list_builders()
    assert not hasattr(prepared_plan, "tensorflow_datasets")
