"""`intake`: unreadable files are found before the split, said, and listed without paths of the machine."""

import functools
import logging
import types

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


def taking_off(*means):
    return types.SimpleNamespace(describe=lambda: {"kind": "fixed", "mean": list(means)})


def compared(caplog, mean, kind="real", known=None, name="cbis_ddsm"):
    """(what `compare_mean` gives, level and text of what it says)."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "mammo_tf"):
        found = intake.compare_mean(taking_off(mean / 255), known or {"cbis_ddsm": 52.18}, data(name, kind))
    return found, [(record.levelno, record.getMessage()) for record in caplog.records]


def data(name, kind):
    return cases.Dataset(name, kind, "", ())


def test_a_mean_within_a_tenth_of_the_authors_is_said_and_one_beyond_is_a_warning(caplog):
    found, ((level, text),) = compared(caplog, 57.3)
    assert found == pytest.approx(57.3) and level == logging.INFO
    assert "57.30 of 255" in text and "cbis_ddsm had 52.18" in text
    for mean in (57.5, 46.9):  # 52.18 +- 5.218
        found, ((level, text),) = compared(caplog, mean)
        assert level == logging.WARNING and "--intensity" in text and found == pytest.approx(mean)


def test_a_phantom_need_not_agree(caplog):
    found, ((level, text),) = compared(caplog, 10.0, kind="phantom")
    assert level == logging.INFO and "phantom" in text and found == pytest.approx(10)


def test_a_mean_that_nobody_knows_or_takes_off_is_passed_over(caplog):
    assert compared(caplog, 50.0, name="inbreast") == (None, [])
    with caplog.at_level(logging.INFO, "mammo_tf"):
        known, real = {"cbis_ddsm": 52.18}, data("cbis_ddsm", "real")
        assert intake.compare_mean(None, known, real) is None  # a method without a normalizer
        assert intake.compare_mean(taking_off(0.4, 0.5, 0.6), known, real) is None  # three channels, three means
        assert intake.compare_mean(types.SimpleNamespace(describe=lambda: {"kind": "per_image"}), known, real) is None
    assert not caplog.records
