import numpy as np
import pytest
from matplotlib import patches

from mammo_tf import cases, figures, figures_mammograms

NOTE = "cbis_ddsm (phantom, not patients), honest, budget smoke"
NAMES = ("background", "malignant mass", "benign mass")
IMAGES = np.random.default_rng(0).integers(0, 65535, (3, 32, 24)).astype(np.uint16)
MASKS = np.zeros((3, 32, 24), bool)
MASKS[0, 8:16, 4:12] = True
HEAT = np.random.default_rng(1).random((3, 4, 3))
BOXES = [(0, 4, 8, 1), (16, 4, 8, 0), (2, 6, 8, 1)]


def draw(name):
    return {
        "heatmaps": lambda: figures_mammograms.heatmaps(IMAGES, HEAT, "abc", outlines=MASKS, note=NOTE),
        "patches": lambda: figures_mammograms.patches_on_view(IMAGES[0], BOXES, NAMES, outlines=MASKS[0], note=NOTE),
        "profiles": lambda: figures_mammograms.intensity_profiles(IMAGES, IMAGES[:1], ("film", "ffdm"), note=NOTE),
    }[name]()


def squares(figure):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, patches.Rectangle)]


@pytest.mark.parametrize("name", ["heatmaps", "patches", "profiles"])
def test_every_figure_draws_says_its_note_and_gives_the_same_bytes_twice(name):
    figure = draw(name)
    data = figures.to_png(figure)
    assert data[:4] == b"\x89PNG" and data == figures.to_png(draw(name))
    assert "phantom" in figure.get_suptitle() and figures.to_array(figure).std() > 5


def test_four_cases_are_the_most_certain_of_their_kind():
    labels = np.array([1, 1, 0, 0, 1, 0, 0])
    scores = np.array([0.6, 0.9, 0.7, 0.2, 0.3, 0.05, 0.5])
    expected = {"true positive": 1, "false positive": 2, "true negative": 5, "false negative": 4}
    assert figures_mammograms.four_cases(labels, scores) == expected
    assert list(figures_mammograms.four_cases(labels, scores)) == list(expected)
    assert figures_mammograms.four_cases(labels, scores, 0.65)["false negative"] == 4
    assert "false positive" not in figures_mammograms.four_cases(labels, scores, 0.75)
    assert figures_mammograms.four_cases(np.array([1]), np.array([0.5])) == {"true positive": 0}


def test_the_heat_covers_its_image_and_is_clear_where_it_is_0():
    figure = draw("heatmaps")
    image, heat = figure.axes[0].images
    assert image.get_extent() == heat.get_extent() == [-0.5, 23.5, 31.5, -0.5]
    np.testing.assert_allclose(heat.get_array(), HEAT[0])
    alphas = figures_mammograms.HEAT(np.linspace(0, 1, 11))[:, 3]
    assert alphas[0] == 0 and (np.diff(alphas) > 0).all() and alphas[-1] < 1
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a", "b", "c"]
    assert figure.axes[3].get_ylabel() == "probability" and len(figure.axes) == 4


def test_the_outline_lies_on_the_rim_of_the_lesion():
    figure = draw("heatmaps")
    rim = np.concatenate([path.vertices for path in figure.axes[0].collections[0].get_paths()])
    assert [*rim.min(axis=0), *rim.max(axis=0)] == pytest.approx([3.5, 7.5, 11.5, 15.5])
    assert not figure.axes[1].collections


def test_a_map_padded_with_nan_leaves_the_image_as_it_is():
    bare = figures_mammograms.heatmaps(IMAGES[:1], np.full((1, 4, 3), np.nan), ["a"])
    cold = figures_mammograms.heatmaps(IMAGES[:1], np.zeros((1, 4, 3)), ["a"])
    hot = figures_mammograms.heatmaps(IMAGES[:1], np.ones((1, 4, 3)), ["a"])
    np.testing.assert_array_equal(figures.to_array(bare), figures.to_array(cold))
    assert (figures.to_array(hot) != figures.to_array(cold)).mean() > 0.1


def test_heatmaps_that_do_not_fit_are_refused():
    with pytest.raises(cases.MammoError, match=r"\[3, 2, 3, 3\] images, maps, titles and outlines"):
        figures_mammograms.heatmaps(IMAGES, HEAT[:2], "abc")
    with pytest.raises(cases.MammoError, match=r"the map of 'b' leaves \[0, 1\]"):
        figures_mammograms.heatmaps(IMAGES[:2], [HEAT[0], HEAT[1] + 1], "ab")
    assert figures_mammograms.heatmaps(IMAGES[:1], np.full((1, 2, 2), 1 + 1e-7), "a").axes[0].get_title() == "a"
    assert figures_mammograms.heatmaps([], [], []).texts[-1].get_text() == "no examples"


def test_a_patch_is_a_square_around_its_pixels_and_the_legend_counts():
    figure = draw("patches")
    background, *masses = squares(figure)
    assert (background.get_xy(), background.get_width(), background.get_height()) == ((3.5, 15.5), 8, 8)
    assert [square.get_xy() for square in masses] == [(3.5, -0.5), (5.5, 1.5)]
    assert masses[0].get_edgecolor() == masses[1].get_edgecolor() != background.get_edgecolor()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["background (1)", "malignant mass (2)", "benign mass (0)"]
    assert len(figures_mammograms.patches_on_view(IMAGES[0], [], NAMES).axes[0].patches) == 0


def test_a_patch_of_an_unknown_class_is_refused():
    with pytest.raises(cases.MammoError, match=r"classes \[3\] for the names"):
        figures_mammograms.patches_on_view(IMAGES[0], [(0, 0, 4, 3)], NAMES)
    with pytest.raises(cases.MammoError, match="at most 6 names"):
        figures_mammograms.patches_on_view(IMAGES[0], [], list("abcdefg"))


def test_gray_values_by_hand():
    image = np.array([[0, 0, 10000], [20000, 40000, 65535]], np.uint16)
    edges, shares = figures_mammograms.gray_values([image, np.zeros((2, 2), np.uint16)], bins=4)
    np.testing.assert_allclose(edges, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(shares, [[0.25, 0.25, 0.25, 0.25], [0, 0, 0, 0]])
    bright = figures_mammograms.gray_values([image], bins=4, above=0.2)[1]
    np.testing.assert_allclose(bright, [[0, 1 / 3, 1 / 3, 1 / 3]])
    with pytest.raises(cases.MammoError, match="image 1 is uint8"):
        figures_mammograms.gray_values([image, image.astype(np.uint8)])


def test_profiles_show_two_images_of_each_and_the_mean_of_all():
    figure = draw("profiles")
    below, *shown = figure.axes
    assert [axes.get_title() for axes in shown] == ["film, 1", "film, 2", "ffdm, 1"]
    assert all(axes.images[0].get_clim() == (0, 65535) for axes in shown)  # one gray scale
    _, shares = figures_mammograms.gray_values(IMAGES, above=0.06)
    values = [patch.get_data().values for patch in below.patches]
    assert len(values) == 5  # three films and their mean, one alone
    np.testing.assert_allclose(values[3], shares.mean(axis=0))
    np.testing.assert_allclose(values[4], shares[0])
    texts = [text.get_text() for text in below.get_legend().get_texts()]
    assert texts == ["film (3 images, pixels above 0.06)", "ffdm (1 image, pixels above 0.06)"]
    assert figures_mammograms.intensity_profiles([], IMAGES, ("a", "b")).texts[-1].get_text() == "no examples"


def test_a_large_mammogram_is_thinned_out_in_its_own_coordinates():
    large = np.zeros((1900, 1300), np.uint16)
    picture = figures_mammograms.patches_on_view(large, [], NAMES).axes[0].images[0]
    assert max(picture.get_array().shape) < 700 and picture.get_extent() == [-0.5, 1299.5, 1899.5, -0.5]


def test_the_seed_is_a_square_round_its_pixels_beside_what_it_shows():
    image = np.arange(60 * 50, dtype=np.uint16).reshape(60, 50)
    figure = figures_mammograms.seeds([("CC", image, (10, 20, 16))], [image[10:26, 20:36]])
    whole, crop = figure.axes
    (square,) = whole.patches
    assert (square.get_x(), square.get_y(), square.get_width(), square.get_height()) == (19.5, 9.5, 16, 16)
    assert (whole.get_title(), crop.get_title()) == ("CC", "crop")
    np.testing.assert_array_equal(crop.images[0].get_array(), image[10:26, 20:36])
