"""Damaged files of every format: each is read or refused with a reason, in little time and memory."""

import json
import os
import subprocess
import sys

import pytest

from tests import mutations, samples

EACH = 36
SLOWEST_S, MEMORY_MB = 5.0, 1024


def test_there_are_more_than_five_hundred():
    assert EACH * len(mutations.KINDS) >= 500
    assert len(mutations.MUTATIONS) * 4 <= EACH


@pytest.mark.parametrize("kind", mutations.KINDS)
def test_a_damaged_file_is_read_or_refused_with_a_reason(kind, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutations", kind, str(tmp_path), str(EACH), "0"],
        cwd=samples.ROOT,
        env={**os.environ, "PYTHONPATH": str(samples.ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]  # a crash of a decoder would be a signal's number
    told = json.loads(done.stdout)
    assert sum(told["outcomes"].values()) == EACH
    assert told["outcomes"].get("refused", 0) + told["outcomes"].get("problems", 0) > 0
    assert told["slowest_s"] < SLOWEST_S
    assert told["taken_mb"] < MEMORY_MB
