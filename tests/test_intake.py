"""`intake`: unreadable files are found before the split, said, and listed without paths of the machine."""

import functools
import logging

import numpy as np
import pytest

from mammo_tf import cases, intake


def load(path, good):
    if not good:
        raise cases.DataError(path, "truncated: 10 bytes expected, 9 found")
    return np.zeros((4, 4), np.uint8)


def example(name, path, good=True):
    projection = cases.Projection.CC
    view = cases.View(name, "p", None, projection, functools.partial(load, path, good), 255, path=path)
    return cases.Example(name, "p", (view,), 1.0)


def test_examples_of_an_unreadable_file_are_left_out_and_the_file_is_listed_once():
    examples = [example("a", "/data/1"), example("b", "/data/2", good=False), example("c", "/data/2", good=False)]
    before = (cases.Problem("/data/0", "no such file"),)
    kept, problems = intake.readable(examples, before, strict=False)
    assert [e.id for e in kept] == ["a"]
    assert [p.path for p in problems] == ["/data/0", "/data/2"]


def test_strict_raises_at_the_first():
    with pytest.raises(cases.DataError, match="truncated"):
        intake.readable([example("b", "/data/2", good=False)], (), strict=True)


def test_one_unreadable_view_of_two_leaves_the_example_out():
    good, bad = example("a", "/data/1"), example("b", "/data/2", good=False)
    both = cases.Example("two", "p", (*good.views, *bad.views), 1.0)
    kept, problems = intake.readable([both], (), strict=False)
    assert kept == () and len(problems) == 1


def test_a_record_lists_no_path_of_the_machine():
    problems = [cases.Problem("/data/cbis/a.dcm", "no such file"), cases.Problem("x", "see /data/cbis/b.dcm")]
    assert intake.listed(problems, "/data/cbis") == [
        {"path": "a.dcm", "reason": "no such file"},
        {"path": "x", "reason": "see b.dcm"},
    ]


def test_many_problems_are_counted_not_all_shown(caplog):
    with caplog.at_level(logging.WARNING, "mammo_tf"):
        intake.say("read", [cases.Problem(f"{i}", "missing") for i in range(7)])
    assert len(caplog.messages) == 6 and "7 in all" in caplog.messages[-1]


def test_repairs_are_counted_by_their_rule():
    repairs = [cases.Repair(path, rule, "") for path, rule in (("a", "swapped"), ("b", "resized"), ("c", "swapped"))]
    assert intake.counted(repairs) == {"resized": 1, "swapped": 2}
