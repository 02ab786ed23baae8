import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import patch_choice


@pytest.mark.parametrize(
    ("height", "side"), [(1152, 224), (2304, 448), (576, 128), (512, 96), (256, 64), (128, 64), (4000, 768)]
)
def test_a_patch_keeps_its_share_of_the_height(height, side):
    assert patch_choice.scaled_patch(height) == side
    assert side == 64 or abs(side - height * 224 / 1152) <= 16


def test_a_patch_keeps_its_millimetres():
    sides = [patch_choice.patch_for_spacing(44.8, spacing) for spacing in (0.2, 0.1, 0.07, 0.4, 2.0)]
    assert sides == [224, 448, 640, 128, 64]
    assert patch_choice.patch_for_spacing(44.8, 0.4, multiple=16) == 112
    for lengths in ((0, 0.1), (44.8, 0), (44.8, float("nan"))):
        with pytest.raises(cases.MammoError, match="above 0 mm"):
            patch_choice.patch_for_spacing(*lengths)


LABELS = (0, 0, 0, 0, 1, 1, 2)
EXAMPLES = tuple(cases.Example(f"e{i}", "p", (), float(label)) for i, label in enumerate(LABELS))
TRUE = (0.9, 0.2, 0.5, 0.2, 0.8, 0.7, 1.0)


def probabilities():
    rows = np.full((7, 3), -1.0)
    for row, (label, p) in enumerate(zip(LABELS, TRUE, strict=True)):
        rows[row] = (1 - p) / 2
        rows[row, label] = p
    return rows


def ids(examples):
    return [example.id for example in examples]


def test_the_hardest_of_each_class_are_kept():
    assert ids(patch_choice.hard(EXAMPLES, probabilities(), 0.5)) == ["e1", "e3", "e5", "e6"]
    assert ids(patch_choice.hard(EXAMPLES, probabilities(), 0.25)) == ["e1", "e5", "e6"]  # of equals the first by id
    assert patch_choice.hard(EXAMPLES, probabilities(), 1.0) == EXAMPLES


def test_hard_patches_are_repeated_under_names_of_their_own():
    found = patch_choice.hard(EXAMPLES, probabilities(), 0.25, copies=2)
    assert found[:7] == EXAMPLES
    assert ids(found[7:]) == ["e1/hard1", "e5/hard1", "e6/hard1", "e1/hard2", "e5/hard2", "e6/hard2"]
    assert [example.label for example in found[7:]] == [0.0, 1.0, 2.0] * 2


def test_a_share_is_not_rounded_up_by_a_hair():
    many = [cases.Example(f"e{i:02d}", "p", (), 0.0) for i in range(30)]
    assert len(patch_choice.hard(many, np.linspace(0, 1, 30)[:, None], 0.1)) == 3  # 0.1 * 30 is 3.0000000000000004


@pytest.mark.parametrize(
    ("probabilities", "share", "copies"),
    [
        (np.ones((6, 3)), 0.5, 0),
        (np.ones(7), 0.5, 0),
        (np.ones((7, 2)), 0.5, 0),
        (np.full((7, 3), np.nan), 0.5, 0),
        (np.ones((7, 3)), 0.0, 0),
        (np.ones((7, 3)), 0.5, -1),
    ],
)
def test_what_does_not_fit_is_refused(probabilities, share, copies):
    with pytest.raises(cases.MammoError, match="patches: "):
        patch_choice.hard(EXAMPLES, probabilities, share, copies=copies)
