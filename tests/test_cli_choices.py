"""Which rows and which folders a command line names, and the command `explain`."""

import dataclasses
import json
import pathlib

import pytest

from mammo_tf import cases, cli, explaining, records, run
from mammo_tf.datasets import cbis_ddsm, inbreast
from tests import samples, toy_runs

NAMES = ("cbis_ddsm", "inbreast")


def paper(**names):
    """Two rows on the named dataset and one on INbreast, each under two protocols."""
    rules = (run.Rules("as_published", "val"), run.Rules("honest", "test"))
    rows = [
        toy_runs.a_run(name=name, protocol=one, dataset=dataset)
        for name, dataset in (("first", cbis_ddsm), ("second", None), ("transfer", inbreast))
        for one in rules
    ]
    smoke, demo = toy_runs.BUDGET, dataclasses.replace(toy_runs.BUDGET, name="demo")
    common = {"RUNS": tuple(rows), "BUDGETS": {"smoke": smoke, "demo": demo}, "DATASETS": (cbis_ddsm, inbreast)}
    return samples.module(KEY="toy", **common, **names)


def chosen(module, *arguments):
    found = cli.choose(module, cli._experiment_parser(module).parse_args(arguments))
    return [f"{one.name} {one.protocol.name}" for one in found]


def named(*names, protocols=("as_published", "honest")):
    return [f"{name} {protocol}" for name in names for protocol in protocols]


def test_without_a_set_a_budget_runs_every_row():
    assert chosen(paper()) == named("first", "second", "transfer")
    assert chosen(paper(), "--protocol", "honest") == named("first", "second", "transfer", protocols=["honest"])


def test_a_budget_runs_its_set_unless_rows_are_named_or_listed():
    module = paper(SETS={"demo": ("first", "transfer")})
    assert chosen(module) == named("first", "transfer")
    assert chosen(module, "--budget", "smoke") == named("first", "second", "transfer")
    assert chosen(module, "--list") == named("first", "second", "transfer")
    assert chosen(module, "--only", "second") == named("second")
    assert chosen(module, "--only", "transfer", "--only", "second", "--protocol", "honest") == [
        "second honest",
        "transfer honest",
    ]


def test_a_dataset_filters_the_rows_that_have_one_of_their_own():
    assert chosen(paper(), "--dataset", "inbreast") == named("second", "transfer")
    assert chosen(paper(), "--dataset", "cbis_ddsm", "--protocol", "honest") == ["first honest", "second honest"]


def test_an_unknown_row_is_named_beside_those_there_are():
    with pytest.raises(cases.MammoError, match="no run is called third; there are first, second, transfer"):
        chosen(paper(), "--only", "third")


def test_roots_are_those_named_and_those_below_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MAMMO_TF_DATA", raising=False)
    assert cli.roots_of(NAMES, []) == {}
    assert cli.roots_of(NAMES, ["inbreast=/data/in"]) == {"inbreast": pathlib.Path("/data/in")}
    (tmp_path / "cbis_ddsm").mkdir()
    monkeypatch.setenv("MAMMO_TF_DATA", str(tmp_path))
    assert cli.roots_of(NAMES, []) == {"cbis_ddsm": tmp_path / "cbis_ddsm"}
    both = cli.roots_of(NAMES, ["cbis_ddsm=/other", "inbreast=phantom"])
    assert both == {"cbis_ddsm": pathlib.Path("/other"), "inbreast": None}


@pytest.mark.parametrize("text", ["inbreast", "inbreast=", "ddsm=/data"])
def test_a_malformed_root_is_named(text):
    with pytest.raises(cases.MammoError, match=f"--root {text}: expected NAME=DIR with NAME one of cbis_ddsm, inb"):
        cli.roots_of(NAMES, [text])


def settings(module, *arguments):
    return cli._settings(module, cli._experiment_parser(module).parse_args(arguments))


def test_rows_with_datasets_of_their_own_take_several_roots(monkeypatch):
    monkeypatch.delenv("MAMMO_TF_DATA", raising=False)
    both = settings(paper(), "--root", "cbis_ddsm=/c", "--root", "inbreast=phantom")
    assert both.roots == {"cbis_ddsm": pathlib.Path("/c"), "inbreast": None}
    assert (both.root, both.dataset, both.weights) == (pathlib.Path("/c"), cbis_ddsm, "imagenet")
    neither = settings(paper())
    assert neither.roots == {} and neither.root is None and neither.weights == "phantom"
    asked = settings(paper(), "--root", "cbis_ddsm=phantom", "--weights", "imagenet")
    assert asked.root is None and asked.weights == "imagenet"


def test_explain_names_one_run_and_prints_what_was_written(capsys, monkeypatch, tmp_path):
    given = []

    def explain(record, **how):
        given.append((record.run, record.protocol, how))
        return [tmp_path / "heatmaps.png"]

    monkeypatch.setattr(explaining, "explain", explain)
    for protocol in ("honest", "as_published"):
        folder = tmp_path / protocol
        folder.mkdir()
        records.save(samples.record(run="net", protocol=protocol), folder / "record.json")
    out = ["--out", str(tmp_path / "out")]
    assert cli.main(["explain", str(tmp_path), *out]) == 2
    assert "explain needs one run, found net as_published, net honest" in capsys.readouterr().err
    assert cli.main(["explain", str(tmp_path), "--only", "other", *out]) == 2
    assert "found none" in capsys.readouterr().err and not given

    more = ["--protocol", "honest", "--images", "a.png", "b.dcm", "--bits", "12"]
    assert cli.main(["explain", str(tmp_path), *more, *out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [str(tmp_path / "heatmaps.png")]
    images = [pathlib.Path("a.png"), pathlib.Path("b.dcm")]
    how = {"method": "heatmap", "images": images, "out": tmp_path / "out", "bits": 12}
    assert given == [("net", "honest", how)]


def test_explain_is_a_command_with_help(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["explain", "--help"])
    assert caught.value.code == 0 and "--images" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["explain", "folder", "--bits", "0"])
    assert "--bits" in capsys.readouterr().err
