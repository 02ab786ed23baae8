"""`planning`: what a run will cost, what `--list` prints, and which rows are timed."""

import types

import pytest

from mammo_tf import cases, planning, records, run
from mammo_tf.datasets import cbis_ddsm, folder
from tests import samples
from tests.toy_runs import BUDGET, a_run


def test_listed_seconds_are_those_of_the_first_datasets_phantom(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "ao2020").mkdir(parents=True)
    for name, seconds, kind in (
        ("cbis_ddsm", 60.0, "phantom"),
        ("cbis_ddsm", 7.0, "real"),
        ("mini_mias", 5.0, "phantom"),
    ):
        record = samples.record(dataset=name, dataset_kind=kind, seconds=seconds)
        records.save(record, tmp_path / "results" / "ao2020" / f"{record.label}.json")
    row = a_run(paper="ao2020", name="baseline_cnn")
    module = samples.module(RUNS=(row,), BUDGETS={"demo": BUDGET}, KEY="ao2020", DATASETS=(cbis_ddsm, folder))
    assert planning.costs(module.RUNS, module)[0]["demo: seconds"] == 60.0


def test_costs_are_listed_for_every_budget(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = samples.module(RUNS=(a_run(),), BUDGETS={"smoke": BUDGET}, KEY="toy", DATASETS=(folder, cbis_ddsm))
    (row,) = planning.costs(module.RUNS, module)
    assert row["run"] == "mean_intensity" and row["smoke: epochs"] == 0
    assert "mean_intensity" in planning.text([row])


def test_seconds_of_a_row_with_a_dataset_of_its_own_are_those_of_that_dataset(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "toy").mkdir(parents=True)
    for name, seconds in (("cbis_ddsm", 60.0), ("folder", 5.0)):
        record = samples.record(paper="toy", run="mean_intensity", dataset=name, seconds=seconds, budget="smoke")
        records.save(record, tmp_path / "results" / "toy" / f"{record.label}.json")
    row = a_run(dataset=folder)
    module = samples.module(RUNS=(row,), BUDGETS={"smoke": BUDGET}, KEY="toy", DATASETS=(cbis_ddsm, folder))
    assert planning.costs(module.RUNS, module)[0]["smoke: seconds"] == 5.0


def net(budget, *, side=64, batch=8):
    """A method with stages and a pipeline, as a net has them."""
    stages = (types.SimpleNamespace(epochs=3), types.SimpleNamespace(epochs=4))
    shape = side if isinstance(side, tuple) else (side, side)
    return types.SimpleNamespace(stages=stages, pipeline=types.SimpleNamespace(side=side, shape=shape, batch=batch))


def large_net(budget):
    return net(budget, side=(1152, 896), batch=2)


def mined(budget):
    """A method round a net, with its stages and pipeline."""
    inner = net(budget)
    return types.SimpleNamespace(inner=inner, stages=inner.stages, pipeline=inner.pipeline)


def a_paper(**names):
    rows = (
        a_run(name="first", method=net, published={"table": "1", "auc": 0.85, "auc_four_flips": None}),
        a_run(name="whole", method=large_net, published={"auc": 0.9}),
        a_run(name="untrained", published={"auc": 0.73}),
        a_run(name="added", method=mined, extra=True),
    )
    common = {"RUNS": rows, "BUDGETS": {"smoke": BUDGET, "paper": BUDGET}, "KEY": "toy", "DATASETS": (folder,)}
    return samples.module(**{**common, **names})


def test_costs_give_the_papers_numbers_epochs_and_sides(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    paper = a_paper()
    first, whole, untrained, added = planning.costs(paper.RUNS, paper)
    assert first["paper"] == "table 1, auc 0.85" and added["paper"] == "not in the paper"
    assert [row["smoke: epochs"] for row in (first, whole, untrained, added)] == [7, 7, 0, 7]
    assert [row["paper: side"] for row in (first, whole, untrained, added)] == [64, "1152x896", None, 64]


def test_the_listing_keeps_rows_of_the_paper_and_others_apart(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    paper = a_paper()
    both = (*paper.RUNS, a_run(name="first", protocol=run.Rules("as_published", "val"), method=net))
    lines = planning.listing(both, paper).splitlines()
    where = next(i for i, line in enumerate(lines) if "1 rows that the paper has not" in line)
    assert lines[0].startswith("3 rows of the paper")  # a row under two protocols is one
    assert sum("first" in line for line in lines[:where]) == 2 and not any("added" in line for line in lines[:where])
    assert any("added" in line for line in lines[where:])
    assert "that the paper has not" not in planning.listing(paper.RUNS[:3], paper)
    assert planning.listing(paper.RUNS[3:], paper).startswith("0 rows of the paper")


def train_size(one):
    return 1001 if one.name == "first" else 100


def test_the_estimate_times_each_net_once_and_passes_over_what_takes_no_steps(monkeypatch):
    from mammo_tf.training import method as training

    timed, times = [], training.StepTimes(0.5)
    monkeypatch.setattr(training, "time_step", lambda method, seed: timed.append(method) or times)
    paper = a_paper(paper_train_size=train_size)
    rows = (*paper.RUNS, a_run(name="first", protocol=run.Rules("as_published", "val"), method=net))
    found = planning.estimate(rows, paper, types.SimpleNamespace(seed=0))
    assert [row["run"] for row in found] == ["first", "whole", "added", "first"] and len(timed) == 3
    assert not hasattr(timed[2], "inner")  # the net itself is timed, not what is round it
    assert found[0]["steps"] == 7 * 126 and found[1]["steps"] == 7 * 50  # 1001 / 8 rounded up, 100 / 2
    assert found[0]["hours"] == round(0.5 * 882 / 3600, 1)
    assert found[1]["images in memory, GB"] == round(100 * 1152 * 896 * 2 / 1e9, 2)
    times = training.StepTimes(0.5, features=100.0)
    folds = a_paper(paper_train_size=train_size, paper_fits=lambda one: 5)
    several = planning.estimate(rows, folds, types.SimpleNamespace(seed=0))[0]  # of 126 batches each
    assert several["steps"] == 5 * 882 and several["hours"] == round((0.5 * 5 * 882 + 100 * 5 * 126) / 3600, 1)
    with pytest.raises(cases.MammoError, match="no budget paper"):
        planning.estimate(rows, a_paper(BUDGETS={"smoke": BUDGET}), types.SimpleNamespace(seed=0))
