import dataclasses

import numpy as np
import pytest

from mammo_tf.datasets import phantom_acquisition, phantom_anatomy, phantom_marks, phantom_tissue

GRID = phantom_anatomy.Grid(100, 100, 0.4)
EXPOSURE = phantom_acquisition.Exposure("ffdm", 2.4, 1.0, phantom_marks.Mark(), 0.5)


def slab(attenuation: float, thickness_cm: float = 4.5) -> phantom_tissue.Tissue:
    """An even slab, without skin in sight."""
    flat = np.ones(GRID.shape, np.float32)
    return phantom_tissue.Tissue(attenuation * flat, thickness_cm * flat, 50 * flat)


def taken(tissue: phantom_tissue.Tissue, exposure: phantom_acquisition.Exposure, seed: int = 0) -> np.ndarray:
    return phantom_acquisition.acquire(tissue, exposure, GRID, np.random.default_rng(seed), 14).astype(float)


@pytest.mark.parametrize("look", ["film", "ffdm"])
def test_more_attenuation_is_brighter(look):
    exposure = dataclasses.replace(EXPOSURE, look=look)
    levels = [np.median(taken(slab(a), exposure)) for a in (1.8, 2.2, 2.6, 3.0)]
    assert (np.diff(levels) > 300).all()


def test_four_times_the_dose_halves_the_noise_and_leaves_the_gray():
    few, many = (taken(slab(2.4), dataclasses.replace(EXPOSURE, dose=dose)) for dose in (1.0, 4.0))
    assert few.std() / many.std() == pytest.approx(2.0, rel=0.1)
    assert np.median(few) == pytest.approx(np.median(many), rel=0.01)


def test_a_lower_dose_makes_film_brighter():
    light, dark = (taken(slab(2.4), dataclasses.replace(EXPOSURE, look="film", dose=dose)) for dose in (0.7, 1.4))
    assert np.median(light) > np.median(dark) + 500


def test_digital_fat_is_as_bright_where_the_breast_is_thin():
    """The thickness is evened out: 2 cm of fat look like 4.5 cm of it, and steeper processing makes both darker."""
    mu = phantom_tissue.MU_ADIPOSE
    thick, thin = taken(slab(4.5 * mu, 4.5), EXPOSURE), taken(slab(2.0 * mu, 2.0), EXPOSURE)
    assert np.median(thick) == pytest.approx(np.median(thin), rel=0.01)
    steep = taken(slab(4.5 * mu, 4.5), dataclasses.replace(EXPOSURE, contrast=1.0))
    assert np.median(steep) < 0.6 * np.median(thick)


def test_digital_values_bend_before_they_are_cut_off():
    exposure = dataclasses.replace(EXPOSURE, contrast=1.0)
    high = [np.median(taken(slab(2.385 + more), exposure)) for more in (0.8, 1.1, 1.4)]
    assert (np.diff(high) > 100).all() and high[-1] < 2**14 - 1
