"""The hook `explained.scored`, its claims, files and verdicts, and the table and picture that come of them."""

import csv
import dataclasses
import types

import keras
import numpy as np
import pytest

from mammo_tf import artifacts, cases, explained, page, report, report_explained, tables
from mammo_tf.evaluation import intervals
from mammo_tf.explain import curves, methods, sanity, scores, verdicts
from mammo_tf.pipeline import normalize, views
from tests import explained_nets, samples

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CHEAP = scores.Settings(removal=curves.Removal(steps=4), randomisation=sanity.Randomisation(stages=1), flips=False)
EXAMPLES = tuple(explained_nets.example(i, label=int(i % 3 != 0)) for i in range(15))  # ten with squares
FEW = ("saliency", "brightness", "noise")


def brightness(model, images, classes):
    """The image itself: it finds the square and knows nothing of the net."""
    return images


def noise(model, images, classes):
    """Another noise for other weights."""
    seed = int(1e6 * abs(float(model.get_layer("conv").kernel.numpy().ravel()[1])))
    return np.random.default_rng(seed).random(images.shape[:3])


def make(explainer):
    return methods.Method(lambda model, images, bounds: explainer, signed=False)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """The hook's claims, and the folder that it has written."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(methods.METHODS, "brightness", make(brightness))
        patch.setitem(methods.METHODS, "noise", make(noise))
        claims = explained.scored(explained_nets.done(folder, EXAMPLES), methods=FEW, count=8, settings=CHEAP)
    return claims, folder


def rows(folder):
    with (folder / "explained.csv").open(newline="") as file:
        return {(row["method"], row["score"]): row for row in csv.DictReader(file)}


def test_every_method_has_its_scores_and_their_differences_to_chance(seen):
    claims, _ = seen
    with_chance = (*verdicts.LESION, *verdicts.NET)
    expected = {verdicts.claim("chance", score) for score in with_chance}
    for method in FEW:
        expected |= {verdicts.claim(method, score) for score in (*with_chance, *verdicts.LIKENESS, "sanity")}
        expected |= {f"explain_{method}_{score}_above_chance" for score in with_chance}
    assert set(claims) == expected and verdicts.methods(claims) == FEW
    assert {(claim.n, claim.patients) for claim in claims.values()} == {(8, 8)}


def test_verdicts_tell_the_net_from_the_image_from_noise(seen):
    claims, _ = seen
    found = {method: explained.verdict(claims, method) for method in FEW}
    assert found["saliency"] == verdicts.Verdict(True, ("pointing", "inside", "auc"), 8)
    assert found["brightness"] == verdicts.Verdict(False, ("pointing", "inside", "auc"), 8)
    assert found["noise"].sanity and "pointing" not in found["noise"].finds
    gaps = {score: claims[f"explain_noise_{score}_above_chance"].value for score in verdicts.LESION}
    assert abs(gaps.pop("auc")) < 0.1 and gaps == pytest.approx(dict.fromkeys(gaps, 0), abs=0.05)
    assert claims["explain_brightness_sanity"].value == pytest.approx(1)
    gap = claims["explain_saliency_pointing_above_chance"]
    assert gap.value == pytest.approx(1 - (explained_nets.SQUARE / explained_nets.SIDE) ** 2)


def test_claims_are_means_over_patients_of_what_was_kept(seen):
    claims, folder = seen
    with np.load(folder / "explained.npz") as kept:
        kept = dict(kept)
    one = kept["noise-inside"] - kept["chance-inside"]
    assert claims["explain_noise_inside_above_chance"] == intervals.mean(one, kept["patients"])
    strength = intervals.mean(np.abs(kept["noise-cascade"]), kept["patients"])
    assert claims["explain_noise_sanity"] == strength
    ids = [str(title) for title in kept["titles"]]
    assert kept["images"].dtype == np.uint16 and all(EXAMPLES[int(id[1:])].label == 1 for id in ids)
    for id, image, mask in zip(ids, kept["images"], kept["masks"], strict=True):
        np.testing.assert_array_equal(image, EXAMPLES[int(id[1:])].views[0].pixels())
        assert mask.sum() == explained_nets.SQUARE**2 and image[mask].min() > image[~mask].max()


def test_the_table_on_disk_says_the_same(seen):
    claims, folder = seen
    found = rows(folder)
    assert list(found) == [(m, s) for m in ("chance", *FEW) for s in verdicts.SCORES if (m, s) in found]
    row, claim = found["saliency", "auc"], claims["explain_saliency_auc_above_chance"]
    assert tuple(row) == explained.COLUMNS and (row["n"], row["patients"], row["chance"]) == ("8", "8", "0.5")
    shown = [float(row[name]) for name in ("gap", "gap_low", "gap_high")]
    assert shown == pytest.approx([claim.value, claim.low, claim.high], rel=1e-5)
    assert found["saliency", "cascade"]["gap"] == found["chance", "auc"]["chance"] == ""
    assert (folder / "explained.png").stat().st_size > 5000


def test_lesions_are_drawn_by_the_seed_from_marked_examples_of_class_1(tmp_path):
    unmarked = explained_nets.example(20, marked=False)
    done = explained_nets.done(tmp_path, (*EXAMPLES, unmarked))
    names = [explained.chosen(done, 6, seed).given.names for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2] and len(set(names[0])) == 6
    everyone = explained.chosen(done, 99).given.names
    assert set(everyone) == {e.id for e in EXAMPLES if e.label == 1}


def test_the_malignant_regions_count_where_there_are_any():
    example = explained_nets.example(1)
    (mine,) = example.views[0].lesions
    benign = dataclasses.replace(mine, pathology=cases.Pathology.BENIGN, region=explained_nets.box(0, 0))
    both = dataclasses.replace(example.views[0], lesions=(benign, mine))
    alone = dataclasses.replace(example.views[0], lesions=(benign, benign))
    top, left = explained_nets.corner(1)
    mask = explained.lesion_mask(both, explained_nets.PIPELINE)
    assert mask.sum() == 36 and mask[top : top + 6, left : left + 6].all()
    assert explained.lesion_mask(alone, explained_nets.PIPELINE)[:6, :6].all()
    speck = dataclasses.replace(mine, region=dataclasses.replace(mine.region, points=((4.0, 4.0),)))
    coarse = dataclasses.replace(explained_nets.PIPELINE, side=8)  # a pixel of 16 is the least that may be hidden
    assert explained.lesion_mask(dataclasses.replace(both, lesions=(speck,)), coarse).sum() == 1


def nothing_of(tmp_path, caplog, **changes):
    done = explained_nets.done(tmp_path, EXAMPLES)
    found = explained.scored(types.SimpleNamespace(**{**vars(done), **changes}))
    return found == {} and "left out" in caplog.text and not list(tmp_path.iterdir())


def test_there_are_no_claims_of_pairs_of_views_of_several_classes_or_without_regions(tmp_path, caplog):
    net = explained_nets.net()
    pair = views.PairPipeline(explained_nets.SIDE, normalize.per_image, channels=1)
    assert nothing_of(tmp_path, caplog, fitted=dataclasses.replace(net, pipeline=pair))
    several = artifacts.Predictions.of(EXAMPLES, np.full((15, 3), 1 / 3))
    assert nothing_of(tmp_path, caplog, predictions=several)
    bare = tuple(explained_nets.example(i, marked=False) for i in range(3))
    assert nothing_of(tmp_path, caplog, predictions=artifacts.Predictions.of(bare, net(bare)))
    assert nothing_of(tmp_path, caplog, fitted=len)  # no net at all


def test_of_two_views_that_share_a_net_the_first_is_explained(tmp_path):
    twice = tuple(dataclasses.replace(e, views=(e.views[0], EXAMPLES[0].views[0])) for e in EXAMPLES)
    parallel = views.ParallelPipeline(explained_nets.SIDE, normalize.train_mean, channels=1, batch=4)
    done = explained_nets.done(tmp_path, EXAMPLES)
    done.fitted = dataclasses.replace(done.fitted, pipeline=parallel)
    done.predictions = artifacts.Predictions.of(twice, done.fitted(twice))
    found = explained.chosen(done, 3)
    assert found.given.images.shape == (3, explained_nets.SIDE, explained_nets.SIDE)
    assert (found.given.images[found.given.masks] > 0.85).all()


def test_a_method_that_does_not_fit_the_net_is_left_out_and_an_unknown_one_refused(tmp_path, caplog):
    image = keras.Input((explained_nets.SIDE, explained_nets.SIDE, 1))
    x = keras.layers.LeakyReLU(name="leaky")(keras.layers.Conv2D(2, 3, name="conv")(image))
    x = keras.layers.Dense(2, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    done = explained_nets.done(tmp_path, EXAMPLES[:6], keras.Model(image, x))
    plain = dataclasses.replace(CHEAP, removal=None, randomisation=None)
    claims = explained.scored(done, methods=("guided_backpropagation", "saliency"), settings=plain)
    assert verdicts.methods(claims) == ("saliency",)
    assert "guided_backpropagation is left out" in caplog.text and "leaky" in caplog.text
    with pytest.raises(cases.MammoError, match="no method tea with maps"):
        explained.scored(done, methods=("tea",))


def a_record(claims, **changes):
    return samples.record(run="square_net", claims=claims, **changes)


def test_the_report_shows_methods_by_scores_with_verdicts(seen):
    claims, _ = seen
    table = report_explained.table([samples.record(), a_record(claims)])
    assert table.title == "Methods of explanation, on phantom lesions"
    assert [row[3] for row in table.rows] == ["(chance)", *FEW] and all(
        len(r) == len(table.columns) for r in table.rows
    )
    said = {row[3]: tuple(row[-2:]) for row in table.rows}
    assert said["(chance)"] == ("", "") and said["noise"][0] == "passed*"
    assert said["saliency"] == ("passed*", "yes*: pointing, inside, auc")
    assert said["brightness"] == ("failed*", "yes*: pointing, inside, auc")
    assert table.notes[-1].startswith("\\*: fewer than 20 patients")
    shown = dict(zip(table.columns, table.rows[1], strict=True))
    assert shown["AUC of pixels"] == tables.with_interval(claims["explain_saliency_auc"])
    assert shown["n (patients)"] == "8 (8)" and shown["flip, left-right"] == ""
    assert dict(zip(table.columns, table.rows[0], strict=True))["AUC of pixels"] == "0.500"
    lines = tables.markdown(table)[2:8]
    assert len({line.count("|") for line in lines}) == 1  # no bar inside a cell
    assert report_explained.table([a_record(claims, dataset_kind="real")]).title == "Methods of explanation"
    assert report_explained.table([samples.record()]) is None


def test_the_table_and_the_picture_reach_the_results_and_the_page(seen, tmp_path):
    claims, folder = seen
    rules = types.SimpleNamespace(name="honest")
    row = types.SimpleNamespace(name="square_net", protocol=rules, published={})
    experiment = samples.module(KEY="ao2020", RUNS=(row,))
    record = dataclasses.replace(a_record(claims), folder=str(folder))
    text = report.markdown({"ao2020": experiment}, [record])
    assert "#### Methods of explanation, on phantom lesions" in text and report.PHANTOM in text
    page.write(tmp_path / "page.html", {"ao2020": experiment}, [record])
    written = (tmp_path / "page.html").read_text()
    assert "Methods of explanation, on phantom" in written and page.FIGURES["explained.png"] in written


@pytest.mark.slow
def test_all_methods_find_the_square_by_the_defaults(tmp_path):
    claims = explained.scored(explained_nets.done(tmp_path, EXAMPLES))
    found = {method: explained.verdict(claims, method) for method in methods.METHODS}
    assert all(verdict.sanity for verdict in found.values())
    assert all(verdict.finds == verdicts.FINDING for name, verdict in found.items() if name != "deconvnet")
