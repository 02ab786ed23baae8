"""`page`: the figures that a paper file names, those of a run's folder, and how many runs one picture holds."""

import dataclasses
import functools
import types

import numpy as np
import pytest

from mammo_tf import page, run
from mammo_tf.evaluation import intervals
from tests import samples


def experiment(**names):
    rules = run.Rules("honest", "test")
    rows = tuple(types.SimpleNamespace(name=f"net{i}", protocol=rules, published={"auc": 0.9}) for i in range(20))
    return samples.module(KEY="toy", RUNS=rows, **names)


def written(tmp_path, module, found):
    page.write(tmp_path / "page.html", {"toy": module}, found)
    return (tmp_path / "page.html").read_text()


def points(found, *, wanted):
    """A figure of one bar, or None without the wanted row."""
    from mammo_tf import figures_comparisons

    auc = {r.run: r.metrics["auc"] for r in found}.get(wanted)
    return auc and figures_comparisons.table4({wanted: [(20, auc)]})


def test_figures_are_drawn_once_for_each_kind_of_data_budget_and_protocol(tmp_path):
    named = {f"Figure {i} & more": functools.partial(points, wanted=f"net{i}") for i in range(2)}
    found = [samples.record(paper="toy", run="net0", dataset=name) for name in ("cbis_ddsm", "inbreast")]
    found.append(samples.record(paper="toy", run="net0", dataset_kind="real"))
    found.append(samples.record(paper="other", run="net1"))  # another paper's row of that name
    text = written(tmp_path, experiment(FIGURES=named), found)
    assert text.count("<h3>Figure 0 &amp; more; phantom, demo, honest</h3>") == 1
    assert text.count("<h3>Figure 0 &amp; more; real, demo, honest</h3>") == 1
    assert "Figure 1" not in text and text.count('<img alt="Figure 0 &amp; more"') == 2


def test_a_paper_without_figures_has_none(tmp_path):
    text = written(tmp_path, experiment(), [samples.record(paper="toy", run="net0")])
    assert text.count("<img") == text.count('<img alt="AUC of all runs"') == 1  # the forest plot alone


def with_folder(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    rows = "".join(f"e{i},p{i},0,{i % 2},{0.1 * i:.1f}\n" for i in range(8))
    (folder / "predictions.csv").write_text("id,patient,fold,label,score\n" + rows)
    columns = "epoch,loss,val_loss,accuracy,val_accuracy"
    (folder / "history.csv").write_text(f"{columns}\n1,0.7,0.7,0.5,0.5\n2,0.6,0.6,0.6,0.6\n")
    for picture in ("patches.png", "heatmaps.png", "roc.png"):
        (folder / picture).write_bytes(b"png")
    return dataclasses.replace(samples.record(paper="toy", run=name), folder=str(folder))


def test_patches_and_heatmaps_of_a_run_are_shown(tmp_path):
    text = written(tmp_path, experiment(), [with_folder(tmp_path, "net0")])
    assert text.count("<figcaption>") == 3
    assert "sampled patches of one training image" in text and "heatmaps of the surest examples" in text
    assert text.count('class="double"') == 2  # the ROC is not


@pytest.mark.parametrize(("count", "shown"), [(2, 1), (page._TOO_MANY + 1, 0)])
def test_one_picture_holds_all_runs_of_a_section_up_to_a_number(tmp_path, count, shown, monkeypatch):
    monkeypatch.setattr(page, "_comparison", lambda title, found: [f"<p>{title}: {len(found)}</p>"])
    found = [samples.record(paper="toy", run=f"net{i}") for i in range(count)]
    assert written(tmp_path, experiment(), found).count(f"<p>all runs: {count}</p>") == shown


def test_the_overlay_is_drawn_of_the_folders_that_are_left(tmp_path):
    found = [with_folder(tmp_path, "net0"), with_folder(tmp_path, "net1"), samples.record(paper="toy", run="net2")]
    (section,) = page.report.sections(experiment(), found)
    (text,) = page._comparison("all runs", section.records)
    assert text.startswith("<h3>all runs, honest</h3><img")
    assert list(page._comparison("all runs", section.records[1:])) == []  # one folder is no comparison
    facts = page.overlay_input(found[0])
    assert [row["loss"] for row in facts["history"]] == [0.7, 0.6] and np.all(facts["labels"] == np.arange(8) % 2)


def test_an_estimate_without_bounds_is_shown_as_such(tmp_path):
    nan = float("nan")
    metrics = {
        **samples.record().metrics,
        "auc": intervals.Estimate(1.0, nan, nan, 40, "clustered DeLong; degenerate"),
    }
    text = written(tmp_path, experiment(), [samples.record(paper="toy", run="net0", metrics=metrics)])
    assert "<td>1.000* [n/a, n/a]</td>" in text


def test_the_gallery_shows_the_pictures_that_a_paper_names(tmp_path):
    (tmp_path / "dream.gif").write_bytes(b"GIF89a")
    record = dataclasses.replace(samples.record(), folder=str(tmp_path))
    paper = types.SimpleNamespace(KEY="ao2020", GALLERY={"dream.gif": "a dream", "missing.png": "nothing"})
    shown = "".join(page._gallery(paper, [record]))
    assert shown.count("<figure") == 1 and "data:image/gif;base64," in shown
    assert "a dream (baseline_cnn, honest, phantom)" in shown
    assert not "".join(page._gallery(types.SimpleNamespace(KEY="ao2020"), [record]))
