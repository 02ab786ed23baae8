import dataclasses

import numpy as np
import pytest

from mammo_tf.datasets import phantom_marks

SHAPE = (300, 220)


def burnt(mark: phantom_marks.Mark, *, left: bool = True) -> np.ndarray:
    pixels = np.full(SHAPE, 100, np.uint16)
    phantom_marks.burn_in(pixels, mark, 0.8, gray=59000, left=left)
    return pixels


def test_no_text_no_marker():
    assert (burnt(phantom_marks.Mark()) == 100).all()


@pytest.mark.parametrize("kind", ["letters", "box", "tape", "corners"])
@pytest.mark.parametrize("left", [True, False])
def test_a_marker_lies_in_its_corner_at_its_gray(kind, left):
    pixels = burnt(phantom_marks.Mark("R CC", kind, (1.0, 1.0), 0.02), left=left)
    rows, columns = np.nonzero(pixels != 100)
    assert pixels.max() == 59000 and rows.max() < 60
    assert columns.max() < 110 if left else columns.min() >= 110


def test_a_box_is_lit_with_dark_letters_and_a_tape_is_dim():
    letters, box, tape = (burnt(phantom_marks.Mark("L MLO", kind)) for kind in ("letters", "box", "tape"))
    assert (box == 59000).sum() > 2 * (letters == 59000).sum() and ((box > 100) & (box < 10_000)).any()
    assert ((tape > 20_000) & (tape < 40_000)).sum() > (tape == 59000).sum() > 0


def test_a_bare_edge_is_a_strip_across_the_film():
    pixels = burnt(phantom_marks.Mark(bare_edge="bottom"))
    assert (pixels[-1] == 59000).all() and (pixels[:-5] == 100).all()
    assert (burnt(phantom_marks.Mark(bare_edge="top"))[0] == 59000).all()


def test_draws_are_the_same_in_number_whatever_comes_out():
    """What follows in the stream of random numbers must not depend on whether a view has a marker."""
    states = set()
    for chance in (0.0, 1.0):
        rng = np.random.default_rng(0)
        found = phantom_marks.mark(rng, "film", "R CC", chance)
        assert bool(found.text) == bool(chance)
        states.add(rng.random())
    assert len(states) == 1


def test_film_has_tape_and_bare_edges_and_digital_views_have_neither():
    found = {
        look: [phantom_marks.mark(np.random.default_rng(seed), look, "R CC", 1.0) for seed in range(300)]
        for look in ("film", "ffdm")
    }
    assert {m.kind for m in found["film"]} == {"letters", "box", "tape"}
    assert {m.kind for m in found["ffdm"]} == {"letters", "corners"}
    assert {m.bare_edge for m in found["film"]} == {"", "top", "bottom"}
    assert {m.bare_edge for m in found["ffdm"]} == {""}
    assert dataclasses.replace(found["film"][0], text="") != found["film"][0]
