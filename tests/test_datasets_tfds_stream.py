"""Pixels by the number of their record: any order, any number of threads, and files that are not what they were."""

import concurrent.futures
import pickle
import shutil
import threading

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import prepared, tfds_stream
from tests import prepared_samples as samples

COUNT = 40


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    views = [samples.view(i) for i in range(COUNT)]
    options = prepared.Options(out=tmp_path_factory.mktemp("data"), per_shard=8)
    return prepared.make(prepared.plan(samples.dataset(views), samples.ABOUT, options))


def split(folder, fingerprint="0123456789abcdef"):
    return tfds_stream.Split(str(folder), "samples", "unassigned", COUNT, fingerprint)


def stream(folder):
    return tfds_stream.Stream(split(folder))


def record(folder, i, **changes):
    facts = {"split": split(folder), "index": i, "id": f"film{i:02d}", "shape": (20 + i, 30), **changes}
    return tfds_stream.Record(**facts)


def assert_image(found, i):
    np.testing.assert_array_equal(found, samples.image(i))


def test_in_order_every_record_is_read_once(made):
    reading = stream(made.folder)
    for i in range(COUNT):
        assert_image(reading.pixels(record(made.folder, i)), i)
    assert reading.read == COUNT


def test_gaps_are_read_past_and_near_misses_are_kept(made):
    reading = stream(made.folder)
    for i, read in ((2, 3), (5, 6), (3, 6), (4, 6), (0, 6), (12, 13), (39, 13 + 8), (11, 21), (13, 22)):
        assert_image(reading.pixels(record(made.folder, i)), i)
        assert reading.read == read, i


def test_windows_stay_open_but_not_all_of_them(made, monkeypatch):
    monkeypatch.setattr(tfds_stream, "_KEPT_BYTES", 1)
    monkeypatch.setattr(tfds_stream, "_OPEN", 2)
    reading = stream(made.folder)
    # Two windows in turn go on where they were; a step back, and a window that was closed, begin anew.
    for i, read in ((0, 1), (16, 2), (1, 3), (17, 4), (0, 5), (32, 6), (17, 8), (1, 10)):
        assert_image(reading.pixels(record(made.folder, i)), i)
        assert reading.read == read, i


@pytest.mark.parametrize("kept", [1, 2**28])
def test_any_number_of_threads_in_any_order(made, monkeypatch, kept):
    monkeypatch.setattr(tfds_stream, "_KEPT_BYTES", kept)
    reading = stream(made.folder)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(COUNT), 2))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: reading.pixels(record(made.folder, int(i))), order))
    for image, i in zip(found, order, strict=True):
        assert_image(image, i)


def test_threads_that_want_one_image_decode_it_once(made, monkeypatch):
    reading, decoded, all_there = stream(made.folder), [], threading.Barrier(4)
    decode = tfds_stream.cv2.imdecode
    monkeypatch.setattr(tfds_stream.cv2, "imdecode", lambda *how: decoded.append(1) or decode(*how))

    def ask(_):
        all_there.wait()
        return reading.pixels(record(made.folder, 7))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert len(decoded) == 1 and all(image is found[0] for image in found)
    with pytest.raises(ValueError, match="read-only"):
        found[0][0, 0] = 1


def test_a_loader_can_be_sent_to_another_process(made):
    again = pickle.loads(pickle.dumps(record(made.folder, 3)))
    assert_image(again(), 3)
    assert_image(record(made.folder, 4)(), 4)


def test_what_was_decoded_of_another_state_of_the_dataset_is_not_given(made, tmp_path):
    folder = tmp_path / "samples" / "1.0.0"
    shutil.copytree(made.folder, folder)
    assert_image(record(folder, 5)(), 5)
    shutil.rmtree(folder)
    assert_image(record(folder, 5)(), 5)
    with pytest.raises(cases.DataError, match="the prepared dataset is gone"):
        record(folder, 5, split=split(folder, "f" * 16))()


def test_another_record_than_the_index_says_is_refused(made):
    for changes, message in (
        ({"id": "film99"}, "record 3 of unassigned is film03, the index says film99; remove the folder"),
        ({"shape": (1, 2)}, r"film03: expected a PNG of \(1, 2\) and 16 bits, found \(\(23, 30\), 'uint16'\)"),
    ):
        with pytest.raises(cases.DataError, match=message):
            stream(made.folder).pixels(record(made.folder, 3, **changes))


def test_damaged_and_missing_files_are_named_and_the_others_read(made, tmp_path):
    folder = tmp_path / "samples" / "1.0.0"
    shutil.copytree(made.folder, folder)
    damaged = folder / "samples-unassigned.tfrecord-00001-of-00005"
    damaged.write_bytes(damaged.read_bytes()[:100] + b"?" + damaged.read_bytes()[101:])
    (folder / "samples-unassigned.tfrecord-00003-of-00005").unlink()
    reading = stream(folder)
    for i in (8, 15, 24, 30):
        with pytest.raises(cases.DataError, match=rf"1\.0\.0: record {i} of unassigned, 40 in all: .*prepare the"):
            reading.pixels(record(folder, i))
    for i in (1, 7, 16, 23, 32, 39):
        assert_image(reading.pixels(record(folder, i)), i)
    shutil.rmtree(folder)
    with pytest.raises(cases.DataError, match=r"the prepared dataset is gone; .*prepare the dataset again"):
        stream(folder).pixels(record(folder, 3))


def test_what_was_used_last_is_kept():
    recent = tfds_stream.Recent(10)
    for key in "abc":
        recent.put(key, key.upper(), 4)
    assert [recent.get(key) for key in "abc"] == [None, "B", "C"]
    recent.get("b")
    recent.put("d", "D", 4)
    assert [recent.get(key) for key in "bcd"] == ["B", None, "D"]
    recent.put("e", "E", 100)
    assert [recent.get(key) for key in "bde"] == [None, None, "E"]
    recent.drop("e")
    recent.put("f", "F", 10)
    assert recent.get("f") == "F" and recent.get("e") is None
