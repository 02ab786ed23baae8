"""`page_figures`: figures of several runs, drawn from folders made by hand; None where a row is missing."""

import dataclasses

import numpy as np

from mammo_tf import artifacts, cases, explaining, page_figures
from tests import samples


def kept(tmp_path, name, **changes):
    """A record with predictions, a history and examples with heat in its folder."""
    record = samples.record(run=name, **changes)
    folder = tmp_path / f"{record.label}-{record.budget}"
    folder.mkdir()
    rng = np.random.default_rng(len(name))
    examples = [cases.Example(f"e{i}", f"p{i}", (), float(i % 2)) for i in range(12)]
    predictions = artifacts.Predictions.of(examples, rng.dirichlet((1, 1), 12))
    artifacts.write_predictions(folder / "predictions.csv", predictions)
    (folder / "history.csv").write_text("epoch,loss,val_loss\n1,0.7,0.8\n2,0.5,0.6\n3,0.4,0.7\n")
    images = rng.integers(0, 65536, (2, 16, 12)).astype(np.uint16)
    shown = explaining.Shown(images, np.zeros((2, 2, 2), np.float32), images > 60000, ("a", "b"), "a net")
    facts = {field.name: getattr(shown, field.name) for field in dataclasses.fields(shown)}
    np.savez_compressed(folder / explaining.FILE, **facts)
    return dataclasses.replace(record, folder=str(folder))


def lines_of(figure):
    return [text for axes in figure.axes for text in axes.get_legend_handles_labels()[1]]


def test_groups_hold_one_kind_of_data_budget_and_protocol_and_the_first_seed():
    found = [
        samples.record(run="a", seed=1, hash="later"),
        samples.record(run="a", hash="first"),
        samples.record(run="b", dataset="inbreast"),
        samples.record(run="a", protocol="as_published"),
        samples.record(run="a", dataset_kind="real"),
        samples.record(run="a", budget="paper"),
    ]
    groups = [{r.run: r.hash for r in group} for group in page_figures.groups(found)]
    assert groups[0] == {"a": "first", "b": "0123abcd"} and [len(g) for g in groups] == [2, 1, 1, 1]


def test_losses_are_drawn_where_every_row_that_ran_has_a_history(tmp_path):
    one, two = kept(tmp_path, "one"), kept(tmp_path, "two")
    assert len(lines_of(page_figures.losses([one, two], rows=("one", "two", "never_run")))) == 4
    assert page_figures.losses([one], rows=("two",)) is None
    without = dataclasses.replace(two, folder=str(tmp_path))
    assert page_figures.losses([one, without], rows=("one", "two")) is None


def test_rocs_have_a_panel_a_dataset_and_leave_out_what_was_not_run(tmp_path):
    found = [kept(tmp_path, "one"), kept(tmp_path, "two", dataset="inbreast")]
    panels = {"CBIS-DDSM": ("one", "never_run"), "INbreast": ("two",), "DDSM": ("never_run",)}
    figure = page_figures.rocs(found, panels=panels)
    assert {"CBIS-DDSM", "INbreast"} == {axes.get_title() for axes in figure.axes} - {""}
    assert any("0.670 [0.620, 0.720]" in text for text in lines_of(figure))  # the record's AUC, not the curve's own
    assert page_figures.rocs([dataclasses.replace(r, folder="") for r in found], panels=panels) is None


def test_profiles_want_the_images_of_both_rows(tmp_path):
    found = [kept(tmp_path, "one"), kept(tmp_path, "two")]
    arguments = {"rows": ("one", "two"), "names": ("CBIS-DDSM", "INbreast")}
    assert page_figures.profiles(found, **arguments).axes
    assert page_figures.profiles(found[:1], **arguments) is None
    assert page_figures.profiles([found[0], dataclasses.replace(found[1], folder="/gone")], **arguments) is None


def test_table_4_is_drawn_of_the_sizes_that_were_run():
    found = [samples.record(run=f"net_{size}") for size in (0, 20)]
    rows = {"net": {0: "net_0", 20: "net_20", 72: "net_72"}, "other": {20: "other_20"}}
    figure = page_figures.table4(found, rows=rows)
    (line,) = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2 and line.get_marker() == "o"]
    np.testing.assert_allclose(line.get_xdata(), [0, 20], atol=0.5)
    np.testing.assert_allclose(line.get_ydata(), [0.67, 0.67])
    assert page_figures.table4(found, rows={"other": {20: "other_20"}}) is None
