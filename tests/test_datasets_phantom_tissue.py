import functools
import itertools
import os
import pathlib

import cv2
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import phantom, phantom_anatomy, phantom_threads, phantom_tissue
from tests import phantom_measures

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
GRID = phantom_anatomy.Grid(300, 225, 0.8)
DIGITAL = {"inbreast/22580192.png": 0.07, "nyu/1_L_CC.png": 0.07, "nyu/1_R_CC.png": 0.07} | {
    f"gmic_exam0/0_{name}.png": 0.1 for name in ("L-CC", "R-CC", "L-MLO", "R-MLO")
}  # side of a pixel in mm, about


def breast(density: str = "2") -> phantom_anatomy.Anatomy:
    return phantom_anatomy.anatomy(np.random.default_rng(4), density, (240.0, 180.0))


def test_the_texture_has_the_spectrum_of_burgess():
    """Log power against log frequency falls with slope -3 between 0.1 and 1 cycles/mm."""
    rng = np.random.default_rng(0)
    power = sum(np.abs(np.fft.fft2(phantom_tissue.power_law(rng, (512, 512), 0.4))) ** 2 for _ in range(4))
    f = np.hypot(np.fft.fftfreq(512, 0.4)[:, None], np.fft.fftfreq(512, 0.4)[None, :])
    bins = np.geomspace(0.1, 1.0, 13)
    middle = np.sqrt(bins[1:] * bins[:-1])
    mean = [power[(f >= low) & (f < high)].mean() for low, high in itertools.pairwise(bins)]
    slope = np.polyfit(np.log(middle), np.log(mean), 1)[0]
    assert slope == pytest.approx(-3.0, abs=0.15)


def test_a_denser_breast_has_more_glandular_tissue():
    """The same random numbers: attenuation over thickness, in the breast, grows from density a to d."""
    means = []
    for density in "1234":
        one = breast(density)
        tissue = phantom_tissue.attenuation(one, one.cc, GRID, np.random.default_rng(1))
        inside = tissue.skin_mm > 15
        means.append((tissue.attenuation[inside] / tissue.thickness_cm[inside]).mean())
    assert means[0] > phantom_tissue.MU_ADIPOSE and means[3] < phantom_tissue.MU_GLANDULAR
    assert (np.diff(means) > 0.01).all()


def test_air_attenuates_nothing_and_muscle_more_than_fat():
    one = breast("1")
    tissue = phantom_tissue.attenuation(one, one.mlo, GRID, np.random.default_rng(1))
    assert not tissue.attenuation[tissue.skin_mm == 0].any() and (tissue.attenuation[tissue.skin_mm > 1] > 0).all()
    x, y = GRID.axes()
    muscle = (x < one.mlo.muscle.edge(y) - 5) & (tissue.skin_mm > 15)
    fat = (x > one.mlo.muscle.edge(y) + 5) & (tissue.skin_mm > 15) & (y < one.mlo.level / 2)
    share = tissue.attenuation / np.maximum(tissue.thickness_cm, 0.1)
    assert np.median(share[muscle]) > np.median(share[fat]) + 0.03


def test_threads_are_finer_than_a_pixel_without_getting_lost():
    """What the threads add in all, over the field, does not depend on the pixels; their peaks are those of lines."""
    sums, tops = [], []
    for spacing in (0.4, 0.8):
        grid = phantom_anatomy.Grid(round(240 / spacing), round(180 / spacing), spacing)
        drawn = phantom_threads.draw(breast().cc, grid, np.random.default_rng(2))
        assert drawn.min() >= 0
        sums.append(drawn.sum() * spacing**2)
        tops.append(np.percentile(drawn, 99))
    assert sums[0] == pytest.approx(sums[1], rel=0.02)
    assert 0.02 < tops[1] <= tops[0] < 0.3


@functools.cache
def real_films() -> dict[str, list[float]]:
    """Every eighth film of mini-MIAS; its 0.2 mm pixels two by two."""
    files = sorted(pathlib.Path(REAL, "mini_mias").glob("*.pgm"))[::8]
    return measured([cv2.resize(raw(p), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for p in files], True)


@functools.cache
def real_digital() -> dict[str, list[float]]:
    views = [
        cv2.resize(raw(name).astype(np.float32), None, fx=mm / 0.4, fy=mm / 0.4, interpolation=cv2.INTER_AREA)
        for name, mm in DIGITAL.items()
    ]
    return measured(views, False)


def raw(name: str | pathlib.Path) -> np.ndarray:
    return cv2.imread(str(pathlib.Path(REAL, name)), cv2.IMREAD_UNCHANGED)


@functools.cache
def views(look: str) -> list[np.ndarray]:
    return [case.views[0].pixels() for case in phantom.cases(phantom.PhantomSpec(patients=16, look=look, seed=5))]


def measured(images: list[np.ndarray], film: bool) -> dict[str, list[float]]:
    rows = [phantom_measures.mammogram(image.astype(np.float32), film=film) for image in images]
    return {name: [row[name] for row in rows if name in row] for name in sorted({n for row in rows for n in row})}


@needs_real
def test_the_film_look_is_of_the_kind_of_real_films():
    """The median of each measure over the phantom's views lies where the middle 90 % of real films lie.

    The air round a real film may have been painted black, so its noise bounds ours from above alone; real films of
    mini-MIAS are padded, so the share of the breast is not compared.
    """
    ours, real = measured(views("film"), True), real_films()
    for name in sorted(set(ours) - {"air", "noise of air"}):
        low, high = np.percentile(real[name], (5, 95))
        assert low < np.median(ours[name]) < high, (
            f"{name}: {np.median(ours[name]):.3f}, real {low:.3f} to {high:.3f}"
        )
    assert np.median(ours["air"]) < 0.05 and 0 < np.median(ours["noise of air"]) < 2 * max(real["noise of air"])


@needs_real
def test_the_digital_look_is_of_the_kind_of_real_digital_views():
    """Real ones: air is exactly 0; two ways of processing, so the range of all is the bound, a tenth wider."""
    ours, real = measured(views("ffdm"), False), real_digital()
    for name in (
        "spectrum slope",
        "texture",
        "median",
        "width",
        "skew",
        "at 1 mm",
        "at 6 mm",
        "at 10 mm",
        "at 18 mm",
    ):
        low, high = min(real[name]), max(real[name])
        low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
        assert low < np.median(ours[name]) < high, (
            f"{name}: {np.median(ours[name]):.3f}, real {low:.3f} to {high:.3f}"
        )
    for image in (*map(raw, DIGITAL), *views("ffdm")):
        values, counts = np.unique(image, return_counts=True)
        assert values[0] == 0 and counts[0] > 0.15 * image.size, "air is one value, 0"


@pytest.mark.parametrize(("look", "constant"), [("ffdm", True), ("film", False)])
def test_digital_air_is_exactly_zero_and_film_air_is_not(look, constant):
    spec = phantom.PhantomSpec(patients=16, look=look, seed=5)
    who = phantom.patient(spec, 0).breasts[0]
    air = phantom_anatomy.skin_distance(who.anatomy.outline(who.views[0].projection), spec.grid) == 0
    air[:80] = False  # markers
    pixels = views(look)[0]
    pixels = pixels[:, ::-1] if who.side is cases.Side.RIGHT else pixels
    assert air.sum() > 10_000 and (not pixels[air].any()) == constant
