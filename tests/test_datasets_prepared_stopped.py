"""Preparing that is stopped, killed, out of room, or done by two processes at once: all is there, or nothing."""

import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from mammo_tf import cases
from mammo_tf.datasets import prepared, prepared_plan
from tests import prepared_samples as samples

SAMPLES = samples.dataset()
plan, read = samples.plan, functools.partial(prepared.read, name="samples")


def staged(found):
    return sum(len(facts["rows"]) for facts in prepared_plan.staged(found.staging))


def test_a_stopped_start_leaves_no_dataset_and_is_resumed(tmp_path):
    def stop():
        raise KeyboardInterrupt

    views = samples.views()
    views[4] = dataclasses.replace(views[4], load=stop)  # in the last file
    with pytest.raises(KeyboardInterrupt):
        prepared.make(plan(tmp_path, views, workers=1))
    dataset = samples.dataset()
    found = plan(tmp_path, dataset)
    assert prepared.find(tmp_path, "samples") is None and not found.folder.exists()
    assert staged(found) == 8 and found.need.staged > 0
    (found.staging / "half.tmp").write_bytes(b"of a file")
    torn = next(found.staging.glob("*.tfrecord-*-of-0000?"))
    torn.write_bytes(torn.read_bytes()[:-1] + b"?")  # whole by its size alone
    before = [view.load.calls for view in dataset.views]
    result = prepared.make(found)
    loads = [view.load.calls - calls for view, calls in zip(dataset.views, before, strict=True)]
    assert result.resumed == 8 and sum(loads) == 10 - 8 + 2 and max(loads) == 1
    samples.assert_same_pixels(read(result.folder).views, dataset.views)


KILLED = """
import os, pathlib, signal, sys, time
from mammo_tf.datasets import prepared
from tests import prepared_samples as samples

folder = pathlib.Path(sys.argv[1])

def killed():
    (folder / "at it").touch()
    while not (folder / "another waits").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

views = samples.views()
views[8] = samples.view(8, *views[8].lesions, load=killed)
prepared.make(samples.plan(folder, views, workers=1))
"""


def test_a_process_waits_for_another_and_goes_on_where_that_one_is_killed(tmp_path, caplog):
    caplog.set_level("INFO", "mammo_tf")
    caplog.handler.addFilter(lambda record: (tmp_path / "another waits").touch() or True)
    how = {"cwd": pathlib.Path(__file__).parents[1], "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], **how) as other:
        while not (tmp_path / "at it").exists():
            assert other.poll() is None, other.stderr.read().decode()[-2000:]
            time.sleep(0.01)
        assert prepared.find(tmp_path, "samples") is None and list(tmp_path.glob("samples/incomplete.*"))
        result = prepared.make(plan(tmp_path))
    assert other.returncode == -signal.SIGKILL and "another process is preparing it" in caplog.text
    assert result.resumed == 4 and not result.already
    samples.assert_same_pixels(read(result.folder).views, SAMPLES.views)
    assert {path.name for path in result.folder.parent.iterdir()} == {"1.0.0", ".lock"}


@pytest.mark.parametrize(("limit", "done"), [(1000, 0), (5600, 10)])  # of records, of the index
def test_a_disk_that_is_full_too_early_is_named_and_nothing_half_made_stays(tmp_path, limit, done):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(cases.DataError, match=r"cannot be written: .*File too large"):
            prepared.make(plan(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert prepared.find(tmp_path, "samples") is None and not list(tmp_path.glob("samples/*/*.tmp"))
    assert staged(plan(tmp_path)) == done and prepared.make(plan(tmp_path)).resumed == done


def test_files_staged_for_another_state_of_the_dataset_are_not_taken(tmp_path):
    old = plan(tmp_path, samples.dataset(fingerprint="f" * 16))
    old.staging.mkdir(parents=True)
    (old.staging / "x").write_text("")
    prepared.make(plan(tmp_path))
    assert not old.staging.exists()


def test_a_second_process_waits_and_finds_it_done(tmp_path, caplog):
    caplog.set_level("INFO", "mammo_tf")
    first = plan(tmp_path)
    first.folder.parent.mkdir(parents=True)
    waiting = threading.Event()
    caplog.handler.addFilter(lambda record: waiting.set() or True)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with prepared._alone(first.folder.parent / ".lock"):
            second = pool.submit(prepared.make, plan(tmp_path))
            assert waiting.wait(30) and "another process is preparing it" in caplog.text
            prepared._make(first, None)
        assert second.result().already


def test_too_little_room_is_refused_before_anything_is_written(tmp_path):
    full = plan(tmp_path)
    full = dataclasses.replace(full, need=dataclasses.replace(full.need, bytes=3 * 10**12, free=10**9))
    with pytest.raises(cases.DataError, match=r"needs about 3000\.0 GB more, 1\.0 GB are free"):
        prepared.make(full)
    assert [path.name for path in tmp_path.rglob("*")] == ["samples", ".lock"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(cases.DataError, match="cannot be written: Permission denied"):
        prepared.make(plan(tmp_path))


def test_a_place_below_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cases.DataError, match="cannot be written: Not a directory"):
        prepared.make(plan(tmp_path / "file" / "data"))
