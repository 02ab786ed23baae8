"""The benchmark of the optimizers runs and prints both ratios."""

import re

import pytest

from benchmarks import adam


@pytest.mark.slow
def test_it_prints_both_ratios(capsys):
    adam.main(["--width", "4", "--side", "32", "--batch", "2", "--rounds", "1", "--steps", "1"])
    ratios = re.findall(r"keras / ours ([\d.]+)", capsys.readouterr().out)
    assert len(ratios) == 2 and all(float(ratio) > 0 for ratio in ratios)
