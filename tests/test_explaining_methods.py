"""`mammo-tf explain` for maps of the run's own net: pictures, arrays, scores, classes, and what is refused."""

import csv
import dataclasses
import json
import pathlib

import cv2
import numpy as np
import pytest

from mammo_tf import cases, cli, explaining, explaining_given, explaining_methods, figures_explained, records
from mammo_tf.datasets import patch_sets
from mammo_tf.explain import curves, gradients, methods, sanity, scores, verdicts
from mammo_tf.pipeline import normalize, views
from tests import explained_nets, samples, tiny_nets

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDE = explained_nets.SIDE
CHEAP = scores.Settings(removal=curves.Removal(steps=4), randomisation=sanity.Randomisation(stages=1))


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return explained_nets.kept(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def files(tmp_path):
    """Two with a square, one without."""
    found = [tmp_path / f"image{i}.png" for i in range(3)]
    for i, file in enumerate(found):
        cv2.imwrite(str(file), explained_nets.pixels(i, explained_nets.corner(i) if i < 2 else None))
    return found


def with_kept(record, folder, name="explained.npz", count=3, side=SIDE):
    """A copy of the run's folder with kept examples."""
    again = explained_nets.kept(folder)
    seen, _, masks = explained_nets.given(count)
    images = np.rint(seen * 65535).astype(np.uint16)[:, :side, :side]
    titles = np.array([f"e{i}\nP 0.5" for i in range(count)])
    np.savez_compressed(folder / name, images=images, masks=masks[:, :side, :side], titles=titles)
    return dataclasses.replace(record, folder=again.folder)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_are_explained_for_the_predicted_class_and_scored(record, files, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "SETTINGS", CHEAP)
    out = tmp_path / "new" / "out"
    paths = explaining.explain(record, method="saliency", images=files, out=out)
    assert paths == [out / f"explain_saliency.{kind}" for kind in ("png", "npz", "csv")]
    with np.load(paths[1]) as stored:
        found = {name: stored[name] for name in stored.files}
    images = (
        np.stack([explained_nets.pixels(i, explained_nets.corner(i) if i < 2 else None) for i in range(3)]) / 65535
    )
    np.testing.assert_allclose(found["images"], images, atol=1e-6)
    inputs = np.asarray(explained_nets.NORMALIZER(images[..., None].astype("float32")))
    expected = explained_nets.net()([explained_nets.example(i, label=int(i < 2)) for i in range(3)])
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    assert found["classes"].tolist() == [1, 1, 0] and str(found["method"]) == "saliency"
    maps = gradients.saliency(methods.centred(explained_nets.square_net()), inputs, found["classes"])
    np.testing.assert_allclose(found["maps"], maps, rtol=1e-4, atol=1e-7)
    assert str(found["titles"][0]) == f"image0\nmalignant\nP {expected[0, 1]:.2f}"
    table = rows(paths[2])
    assert [row["image"] for row in table] == ["image0", "image1", "image2"]
    assert [row["class"] for row in table] == ["malignant", "malignant", "benign"]
    assert float(table[2]["probability"]) == pytest.approx(float(expected[2, 0]), rel=1e-4)
    asked = {*verdicts.NET, *(f"{score}_chance" for score in verdicts.NET), *verdicts.LIKENESS, *verdicts.FLIPS}
    assert set(table[0]) == {"image", "class", "probability", *asked}  # no ROI is known
    assert float(table[0]["deletion"]) < float(table[0]["deletion_chance"])


def test_examples_that_the_run_kept_have_their_lesions(record, tmp_path, monkeypatch):
    monkeypatch.setattr(
        methods, "SETTINGS", dataclasses.replace(CHEAP, removal=None, randomisation=None, flips=False)
    )
    for name in explaining_given.KEPT:
        here = with_kept(record, tmp_path / name[:-4], name)
        paths = explaining.explain(here, method="gradcam", out=tmp_path / "out", name="1")
        table = rows(paths[2])
        assert [row["image"] for row in table] == ["1: e0", "2: e1", "3: e2"]
        lesion = {*verdicts.LESION, *(f"{score}_chance" for score in verdicts.LESION)}
        assert set(table[0]) == {"image", "class", "probability", *lesion}
        assert [float(row["pointing"]) for row in table] == [1, 1, 1]
        with np.load(paths[1]) as stored:
            np.testing.assert_array_equal(stored["rois"], explained_nets.given(3)[2])


def test_a_class_is_named_or_numbered(record, files, tmp_path):
    how = {"method": "gradient_x_input", "images": files[2:], "out": tmp_path, "scored": False}
    found = {}
    for name in (None, "malignant", "1", "benign"):
        paths = explaining.explain(record, **how, name=name)
        assert [path.suffix for path in paths] == [".png", ".npz"]
        with np.load(paths[1]) as stored:
            found[name] = stored["classes"].tolist()
    assert found == {None: [0], "malignant": [1], "1": [1], "benign": [0]}
    for name in ("2", "-1", "gray"):
        with pytest.raises(cases.MammoError, match=f"--class {name}: there are 0 benign, 1 malignant"):
            explaining.explain(record, **how, name=name)


def test_unit_masking_and_activation_maximisation_have_no_scores(record, files, tmp_path):
    paths = explaining.explain(record, method="unit_masking", images=files[:1], out=tmp_path)
    assert [path.name for path in paths] == ["explain_unit_masking.png", "explain_unit_masking.npz"]
    with np.load(paths[1]) as stored:
        top, left = explained_nets.corner(0)
        assert stored["masks"][0, top + 2, left + 2] and stored["masks"].mean() < 0.05
        assert stored["channels"].tolist() == [0] and str(stored["layer"]) == "halved"
    paths = explaining.explain(record, method="activation_maximisation", out=tmp_path, name="benign")
    assert [path.name for path in paths] == [f"explain_activation_maximisation.{kind}" for kind in ("png", "npz")]
    with np.load(paths[1]) as stored:
        assert stored["maps"].shape == (1, SIDE, SIDE, 1) and stored["classes"].tolist() == [0]


@pytest.fixture
def quick(monkeypatch):
    """Three methods instead of all, of which one does not fit the net."""

    def refuse(model, images, classes):
        raise cases.MammoError("relevance: there is no rule for layer tea")

    def made(model, images, bounds):
        return refuse

    three = {name: methods.METHODS[name] for name in ("gradient_x_input", "gradcam")}
    monkeypatch.setattr(methods, "METHODS", {**three, "refused": methods.Method(made, False)})
    monkeypatch.setattr(explaining_methods, "NAMES", ("gradient_x_input", "refused", "gradcam", "unit_masking"))


def test_all_methods_go_into_one_picture_without_those_that_do_not_fit(record, files, tmp_path, quick, caplog):
    paths = explaining.explain(record, method="all", images=files, out=tmp_path, scored=False)
    names = ("gradient_x_input", "gradcam", "unit_masking")
    expected = ["explain_all.png", *(f"explain_{name}.{kind}" for name in names for kind in ("png", "npz"))]
    assert [path.name for path in paths] == expected and all(path.stat().st_size for path in paths)
    assert "refused is left out: relevance: there is no rule for layer tea" in caplog.text
    blocked = tmp_path / "blocked"
    (blocked / "explain_gradient_x_input.npz").mkdir(parents=True)
    with pytest.raises(cases.DataError, match=r"explain_gradient_x_input\.npz: cannot be written"):
        explaining.explain(record, method="all", images=files, out=blocked, scored=False)


def test_without_files_and_kept_examples_the_error_says_what_to_do(record, tmp_path):
    with pytest.raises(cases.DataError, match=r"no examples kept by the run \(explained.npz or heatmaps.npz\); name"):
        explaining.explain(record, method="saliency", out=tmp_path)
    smaller = with_kept(record, tmp_path / "smaller", side=SIDE - 2)
    with pytest.raises(cases.DataError, match=r"explained\.npz: images \(30, 30\), the net takes \(32, 32\)"):
        explaining.explain(smaller, method="saliency", out=tmp_path)
    (tmp_path / "smaller" / "explained.npz").write_text("no archive")
    with pytest.raises(cases.DataError, match=r"explained\.npz: no examples to explain; name some by --images"):
        explaining.explain(smaller, method="saliency", out=tmp_path)


def test_nets_of_two_views_patch_nets_and_runs_without_a_net_are_refused(record, tmp_path):
    pair = views.PairPipeline(SIDE, normalize.per_image, channels=1)
    two = dataclasses.replace(explained_nets.net(), pipeline=pair)
    with pytest.raises(cases.DataError, match="--method lrp_epsilon is for nets of one image, this one takes two"):
        explaining_given.refuse_other_nets(tmp_path, two, ("a", "b"), "lrp_epsilon")
    patch = tiny_nets.kept_patch_net(tmp_path / "patch")
    names = list(patch_sets.CLASSES)
    several = dataclasses.replace(samples.record(run="patch", class_names=names), folder=str(patch))
    with pytest.raises(cases.DataError, match="this is a patch net; its images have --method heatmap"):
        explaining.explain(several, method="saliency", out=tmp_path)
    with pytest.raises(cases.DataError, match=r"holds no preprocessing\.json of a net"):
        explaining.explain(dataclasses.replace(record, folder=str(tmp_path)), method="saliency", out=tmp_path)


def test_the_command_line_passes_class_and_scores_on(record, files, tmp_path, monkeypatch, capsys):
    given = []

    def explain(record, **how):
        given.append(how)
        return [pathlib.Path("a.png")]

    monkeypatch.setattr(explaining, "explain", explain)
    records.save(record, pathlib.Path(record.folder) / "record.json")
    words = ["explain", record.folder, "--method", "smoothgrad", "--class", "malignant", "--no-scores"]
    assert cli.main([*words, "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ["a.png"]
    how = {"method": "smoothgrad", "images": [], "out": tmp_path, "bits": None, "name": "malignant", "scored": False}
    assert given == [how]
    with pytest.raises(SystemExit):
        cli.main(["explain", "--help"])
    said = "".join(capsys.readouterr().out.split())  # argparse breaks lines, at hyphens too
    assert all(name in said for name in explaining.MAPS)


def test_a_picture_has_a_row_an_image_up_to_a_limit():
    images = np.zeros((figures_explained.LARGEST + 1, 8, 4))
    titles = [f"image {i}" for i in range(len(images))]
    figure = figures_explained.rows(images, images, titles, signed=True, note="phantom")
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert len(bars) == figures_explained.LARGEST and len(figure.axes) == 4 * len(bars)
    assert "the first 12 of 13; phantom" in figure.get_suptitle()
    few = figures_explained.montage(images[:2], {"a": images[:2], "b": images[:2]}, titles[:2], signed={"a"})
    assert [axes.get_title() for axes in few.axes[:3]] == ["image", "a", "b"]
    assert few.axes[1].images[0].get_clim() == (-1, 1) and few.axes[2].images[0].get_clim() == (0, 1)
    with pytest.raises(cases.MammoError, match=r"\[2, 13, 2, 2\] images, maps, titles"):
        figures_explained.montage(images[:2], {"a": images[:2]}, titles, signed=())
    assert not figures_explained.rows([], [], [], signed=True).axes


@pytest.mark.slow
def test_every_method_writes_its_files_with_scores(record, files, tmp_path):
    paths = explaining.explain(record, method="all", images=files[:1], out=tmp_path)
    kinds = {name: [p.suffix for p in paths if p.stem == f"explain_{name}"] for name in explaining_methods.NAMES}
    assert all(found == [".png", ".npz", ".csv"] for name, found in kinds.items() if name in methods.METHODS)
    assert kinds["unit_masking"] == kinds["activation_maximisation"] == [".png", ".npz"]
