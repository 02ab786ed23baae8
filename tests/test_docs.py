"""The documents hold: README's commands run at budget smoke, its length, and what RESULTS.md shows."""

import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from mammo_tf import commands, null_records, readme, records, report, report_nulls

ROOT = pathlib.Path(__file__).parent.parent


def readme_commands() -> list[list[str]]:
    """The commands of README's shell blocks, but for the one block whose commands name real data."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    real = [block for block in blocks if "/data/" in block or "MAMMO_TF_REAL_DATA" in block]
    assert len(real) == 1
    lines = "".join(block for block in blocks if block not in real).splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def test_readme_commands_run_at_budget_smoke(tmp_path):
    for name in ("experiments", "results"):
        if (ROOT / name).exists():
            (tmp_path / name).symlink_to(ROOT / name)
    programs = {"python": [sys.executable], "mammo-tf": [sys.executable, "-m", "mammo_tf"]}
    for words in readme_commands():
        words = ["smoke" if word == "demo" else word for word in words]
        done = subprocess.run([*programs[words[0]], *words[1:]], cwd=tmp_path, capture_output=True, text=True)
        fine = (0, 1) if words[1] == "doctor" else (0,)  # 1: it found something to mend on this machine
        assert done.returncode in fine, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_file_that_readme_names_exists():
    text = (ROOT / "README.md").read_text()
    named = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r"`((?:experiments|docs|mammo_tf)/[\w./]+)`", text)
    assert named and not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.skipif(not (ROOT / "results").is_dir(), reason="no kept records")
def test_results_are_made_from_the_kept_records():
    experiments = commands.load_experiments(ROOT / "experiments")
    found, nulls = records.load(ROOT / "results"), null_records.load(ROOT / "results")
    assert (ROOT / "RESULTS.md").read_text() == report.markdown(experiments, found, nulls, pictures=True)
    sections = [section for paper in experiments.values() for section in report.sections(paper, found)]
    assert {str(p.relative_to(ROOT)) for p in (ROOT / "forest").iterdir()} == {report.picture(s) for s in sections}
    front = (ROOT / "README.md").read_text()
    assert front == readme.with_block(front, readme.block(experiments, found))
    assert front.count("| resnet18_scratch |") >= 2


@pytest.mark.skipif(not (ROOT / "results").is_dir(), reason="no kept records")
def test_the_kept_null_tests_stand_in_evidence_and_name_no_folder_of_a_machine():
    text = (ROOT / "docs" / "evidence.md").read_text()
    kept = null_records.load(ROOT / "results")
    missing = [one.label for one in kept if report_nulls.cells(one)[1] not in text]
    assert kept and not missing
    assert not [one.label for one in kept if "/" in str(one.as_json())]
