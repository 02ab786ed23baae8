"""A training step at the paper's size fits in memory. The small step keeps the benchmark itself from rotting."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mammo_tf.training import precision

ROOT = Path(__file__).resolve().parents[1]
LIMIT_GIB = 4.0


def measured(*arguments):
    """(seconds, loss, peak in GiB) as printed by the benchmark in a process of its own."""
    command = [sys.executable, "benchmarks/paper_step.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    print(done.stdout)
    found = re.search(r"step ([\d.]+) s, loss ([\d.naif]+)\npeak ([\d.]+) GiB", done.stdout)
    return tuple(map(float, found.groups()))


@pytest.mark.slow
@pytest.mark.parametrize("net", ["resnet50", "vgg16"])
def test_a_small_step(net):
    seconds, loss, peak = measured(net, "--precision", "float32", "--shape", "128", "128")
    assert seconds > 0 and math.isfinite(loss) and 0.2 < peak < LIMIT_GIB


@pytest.mark.slow
@pytest.mark.parametrize("net", ["resnet50", "vgg16"])
def test_a_step_at_the_papers_size(net, capsys):
    """ResNet50 in bfloat16 everywhere; VGG16, ten times the work, only where the processor is made for it."""
    fast = precision.resolve("auto").policy != "float32"
    with capsys.disabled():  # the peak is to be seen
        _, loss, peak = measured(net, "--precision", "bfloat16" if fast or net == "resnet50" else "float32")
    assert math.isfinite(loss)
    if net == "resnet50":
        assert peak < LIMIT_GIB
