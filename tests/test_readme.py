"""`readme`: the measured block, both protocols in one row, and what stands round it."""

import types

import pytest

from mammo_tf import readme, run
from tests import samples


def paper(**names):
    rules = (run.Rules("as_published", "val"), run.Rules("honest", "test"))
    rows = tuple(
        types.SimpleNamespace(name=name, protocol=one, published={}) for name in ("first", "second") for one in rules
    )
    return {"toy": samples.module(KEY="toy", RUNS=rows, **names)}


def record(run="first", protocol="honest", accuracy=0.6, **changes):
    metrics = {**samples.record().metrics, "accuracy": samples.estimate(accuracy)}
    part = "val" if protocol == "as_published" else "test"
    return samples.record(paper="toy", run=run, protocol=protocol, metrics=metrics, reported=part, **changes)


def rows(text):
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [cells[0], *cells[2:]]


def test_a_row_has_both_protocols_and_says_what_was_not_run():
    text = readme.block(paper(), [record(), record(protocol="as_published", accuracy=0.9), record("second")])
    head, first, second = rows(text)
    assert head[2:] == [f"{metric}, {p}" for metric in ("accuracy", "AUC") for p in ("as_published", "honest")]
    assert first[:4] == ["first", "20, 20", "0.900 [0.850, 0.950]", "0.600 [0.550, 0.650]"]
    assert second == ["second", "n/a, 20", "n/a", "0.600 [0.550, 0.650]", "n/a", "0.670 [0.620, 0.720]"]
    assert "python experiments/toy.py" in text and "--only first --seed 0`; `" in text
    assert "--only second --protocol honest --seed 0`" in text


def test_seeds_are_averaged():
    _, row = rows(readme.block(paper(), [record(), record(seed=1, accuracy=0.7)]))
    assert row[3] == "0.650 ± 0.071 (k = 2)" and row[5] == "0.670 ± 0.000 (k = 2)"


def test_rows_of_other_seeds_have_a_command_of_their_own():
    text = readme.block(paper(), [record(), record(seed=1), record("second")])
    first, second = text.splitlines()[0].split("; ")
    assert first.endswith("--only first --only second --protocol honest --seed 0`")
    assert second.startswith("`python") and second.endswith("--only first --protocol honest --seed 1`")


def test_a_paper_of_many_rows_shows_those_that_it_names():
    text = readme.block(paper(FRONT=("second",)), [record(), record("second")])
    assert [row[0] for row in rows(text)[1:]] == ["second"] and "--only first" not in text
    assert not readme.block(paper(FRONT=()), [record()]).strip()


@pytest.mark.parametrize("text", ["no marks", f"{readme.BEGIN} only one"])
def test_a_text_without_marks_stays(text):
    assert readme.with_block(text, "new") == text


def test_what_stands_round_the_block_stays():
    before, after = "# mammo_tf\n\n", "\n\nMore.\n"
    text = f"{before}{readme.BEGIN}\nold\n{readme.END}{after}"
    found = readme.with_block(text, "new\n")
    assert found.startswith(before) and found.endswith(after) and "new" in found and "old" not in found
    assert readme.with_block(found, "new\n") == found
