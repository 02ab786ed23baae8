import types

import cv2
import numpy as np
import pytest
from PIL import Image

from mammo_tf import cases, figures, figures_dreams

NOTE = "ddsm (phantom, not patients), honest, budget smoke"
RNG = np.random.default_rng(0)
START, DREAM = np.clip(RNG.normal(size=(2, 12, 12, 1)), -3, 3)
SALIENCY = np.clip(RNG.normal(size=(12, 12, 1)), -0.05, 0.05)


def result(count=3, shape=(12, 12, 1)):
    """What `explain.dream.Dream` has of it, every second iteration kept."""
    rng = np.random.default_rng(1)
    frames = types.SimpleNamespace(
        iterations=2 * np.arange(1, count + 1),
        images=np.clip(rng.normal(size=(count, *shape)), -3, 3),
        saliency=np.clip(rng.normal(size=(count, *shape)), -0.05, 0.05),
    )
    return types.SimpleNamespace(
        settings=types.SimpleNamespace(iterations=2 * count, clip_image=3.0, clip_gradient=0.05),
        start=np.zeros(shape),
        image=frames.images[-1],
        saliency=frames.saliency[-1],
        frames=frames,
    )


def test_three_panels_say_their_note_and_give_the_same_bytes_twice():
    first, again = (figures_dreams.three_panels(START, SALIENCY, DREAM, title="malignant", note=NOTE) for _ in "ab")
    assert figures.to_png(first) == figures.to_png(again)
    assert first.get_suptitle() == f"malignant\n{NOTE}"
    assert [axes.get_title() for axes in first.axes[:3]] == ["input", "latest saliency", "dream"]


def test_the_scales_are_fixed_whatever_the_values():
    faint = figures_dreams.three_panels(START / 100, SALIENCY / 100, DREAM / 100)
    limits = [axes.images[0].get_clim() for axes in faint.axes[:3]]
    assert limits == [(-3, 3), (-0.05, 0.05), (-3, 3)]
    np.testing.assert_allclose(faint.axes[1].images[0].get_array(), SALIENCY[..., 0] / 100)
    wide = figures_dreams.three_panels(START, SALIENCY, DREAM, limits=figures_dreams.Limits(2.0, 0.5))
    assert [axes.images[0].get_clim() for axes in wide.axes[:2]] == [(-2, 2), (-0.5, 0.5)]
    ticks = [text.get_text() for text in wide.axes[4].get_xticklabels()]
    assert ticks == ["-0.5", "0", "0.5"]


def test_pairs_have_a_row_a_way_and_one_scale():
    dreams = {"malignant": 2 * RNG.normal(size=(3, 8, 8)), "benign": RNG.normal(size=(3, 8, 8))}
    figure = figures_dreams.pairs(RNG.normal(size=(3, 8, 8)), dreams, "abc", note=NOTE)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c"] + [""] * 6
    assert [figure.axes[i].get_ylabel() for i in (0, 3, 6)] == ["input", "dream, malignant", "dream, benign"]
    assert {axes.images[0].get_clim() for axes in figure.axes} == {(-3, 3)}
    np.testing.assert_array_equal(figure.axes[5].images[0].get_array(), dreams["malignant"][2])
    assert NOTE in figure.get_suptitle() and figures.to_array(figure).std() > 5
    with pytest.raises(cases.MammoError, match=r"\[3, 2, 3, 3\] starts, titles and dreams"):
        figures_dreams.pairs(dreams["benign"], dreams, "ab")
    nothing = figures_dreams.pairs(np.zeros((0, 8, 8)), {"benign": np.zeros((0, 8, 8))}, [])
    assert nothing.texts[-1].get_text() == "no examples"


def test_each_view_has_a_row():
    channels = figures_dreams.three_panels(*np.arange(3 * 8 * 6 * 2).reshape(3, 8, 6, 2))
    assert len([axes for axes in channels.axes if axes.images]) == 6
    np.testing.assert_array_equal(channels.axes[3].images[0].get_array(), np.arange(96).reshape(8, 6, 2)[..., 1])
    batch = figures_dreams.three_panels(*np.arange(3 * 2 * 8 * 6).reshape(3, 2, 8, 6, 1))
    np.testing.assert_array_equal(batch.axes[5].images[0].get_array(), np.arange(240, 288).reshape(8, 6))
    plain = figures_dreams.three_panels(*np.zeros((3, 8, 6)))
    assert len([axes for axes in plain.axes if axes.images]) == 3


def test_shapes_that_differ_are_refused():
    with pytest.raises(cases.MammoError, match=r"saliency \(1, 11, 12\)"):
        figures_dreams.three_panels(START, SALIENCY[1:], DREAM)


def test_frames_gif_and_film_can_be_read_back(tmp_path):
    made = result()
    written = figures_dreams.write_frames(made, tmp_path / "film", title="Dreaming malignant", note=NOTE, rate=5)
    assert [path.name for path in written.frames] == ["frame_2.png", "frame_4.png", "frame_6.png"]
    pictures = [np.asarray(Image.open(path)) for path in written.frames]
    height, width = pictures[0].shape[:2]
    assert height % 2 == width % 2 == 0 and not np.array_equal(pictures[0], pictures[1])

    with Image.open(written.gif) as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0 and gif.size == (width, height)
        for k, picture in enumerate(pictures):
            gif.seek(k)
            assert gif.info["duration"] == (200, 200, 2000)[k]
            assert np.abs(np.asarray(gif.convert("RGB"), int) - picture).mean() < 1

    film = cv2.VideoCapture(str(written.mp4))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and film.get(cv2.CAP_PROP_FPS) == 5
    for picture in pictures:
        there, frame = film.read()
        assert there and frame.shape == picture.shape
        assert np.abs(frame[..., ::-1].astype(int) - picture).mean() < 12
    assert not film.read()[0]
    film.release()


def test_every_frame_shows_its_iteration_in_place(tmp_path):
    made = result(shape=(12, 10, 2))
    written = figures_dreams.write_frames(made, tmp_path, note=NOTE)
    last = figures_dreams.three_panels(made.start, made.saliency, made.image, title="Directed Dream", note=NOTE)
    last.axes[2].set_title("dream, iteration 6 of 6", fontsize=9)
    drawn = figures.to_array(last)
    np.testing.assert_array_equal(np.asarray(Image.open(written.frames[-1]))[: len(drawn), : drawn.shape[1]], drawn)
    first, second = (np.asarray(Image.open(path), int) for path in written.frames[:2])
    changed = np.flatnonzero(np.abs(first - second).sum(axis=(0, 2)))
    assert changed.min() > first.shape[1] / 3.2  # the input stays as it is


def test_a_dream_without_frames_and_a_closed_folder_are_refused(tmp_path):
    without = result()
    without.frames = None
    with pytest.raises(cases.MammoError, match="kept no frames"):
        figures_dreams.write_frames(without, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(cases.DataError, match="file: frames cannot be written"):
        figures_dreams.write_frames(result(1), tmp_path / "file")
