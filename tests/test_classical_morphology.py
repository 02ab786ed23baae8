import numpy as np
import pytest
from scipy import integrate

from mammo_tf import cases
from mammo_tf.classical import morphology

Y, X = np.mgrid[:128, :128] - 63.5
FAR, TURN = np.hypot(Y, X), np.arctan2(Y, X)
SCALED = ("area", "perimeter", "perimeter to area")


def star(radius=25.0, depth=0.4):
    return radius * (1 + depth * np.cos(7 * TURN)) >= FAR


def circle(n=4096, radius=3.0):
    turn = np.arange(n) * 2 * np.pi / n
    return radius * np.stack([np.sin(turn), np.cos(turn)], axis=1) + (5, -7)


def square(n=1024, side=2.0):
    along = (np.arange(n // 4) / (n // 4) - 0.5) * side
    half = np.full(n // 4, side / 2)
    sides = [(-half, along), (along, half), (half, -along), (-along, -half)]
    return np.concatenate([np.stack(pair, axis=1) for pair in sides])


def test_a_circle_by_hand():
    found = morphology.of_outline(circle())
    expected = {
        "area": 9 * np.pi,
        "perimeter": 6 * np.pi,
        "circularity": 1,
        "rectangularity": np.pi / 4,
        "perimeter to area": 2 / 3,
        "convexity": 1,
        "solidity": 1,
        "radial mean": 1,
        "radial deviation": 0,
        "radial entropy": 0,
        "radial area ratio": 0,
        "radial crossings": 0,
        "roughness": 0,
        "fourier": 0,
    }
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-5, rel=1e-4), name


def test_a_square_by_hand():
    """d = sqrt(1 + t^2) / sqrt 2 along a side of half length 1, its mean 1/2 + asinh(1) / (2 sqrt 2)."""
    found = morphology.of_outline(square())
    mean = 0.5 + np.arcsinh(1) / (2 * np.sqrt(2))
    above = integrate.quad(lambda t: max(np.sqrt((1 + t * t) / 2) - mean, 0), 0, 1)[0]
    expected = {
        "area": 4,
        "perimeter": 8,
        "circularity": np.pi / 4,
        "rectangularity": 1,
        "perimeter to area": 2,
        "convexity": 1,
        "solidity": 1,
        "radial mean": mean,
        "radial deviation": np.sqrt(2 / 3 - mean**2),  # the mean of (1 + t^2) / 2 is 2/3
        "radial area ratio": above / mean,
        "radial crossings": 8,  # into each corner and out of it
        "roughness": 8 * (1 - 1 / np.sqrt(2)) / morphology.SEGMENTS,  # down and up on each side
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-3), name


def test_the_fourier_measure_of_two_descriptors_by_hand():
    """z = exp(i t) + 0.2 exp(-3 i t): |Z| is 1 at k = 1 and 0.2 at k = -3."""
    turn = np.arange(64) * 2 * np.pi / 64
    z = np.exp(1j * turn) + 0.2 * np.exp(-3j * turn)
    found = morphology.fourier(np.stack([z.imag, z.real], axis=1))
    assert found == pytest.approx(1 - (1 + 0.2 / 3) / 1.2)


def test_entropy_counts_bins_in_bits():
    quarter = morphology.radial(np.array([1.0, 0.5, 0.75, 0.25] * 8))
    assert quarter["radial entropy"] == pytest.approx(2)


def test_a_crossing_must_leave_the_dead_band():
    noise = 1 + 0.005 * (-1.0) ** np.arange(64)
    assert morphology.radial(noise)["radial crossings"] == 0
    waves = 1 + 0.1 * np.sin(np.arange(64) * 2 * np.pi * 3 / 64 + 0.1)
    assert morphology.radial(waves + noise - 1)["radial crossings"] == 6


@pytest.mark.parametrize("radius", [8, 15, 40])
def test_the_mask_of_a_disc_is_nearly_a_disc(radius):
    found = morphology.features(radius >= FAR)
    assert found["area"] == pytest.approx(np.pi * radius**2, rel=0.05)
    assert found["perimeter"] == pytest.approx(2 * np.pi * radius, rel=0.03)
    assert 0.99 < found["circularity"] <= 1 and found["fourier"] < 0.02 and found["radial crossings"] == 0


def test_a_star_differs_from_a_disc_as_it_should():
    disc, spiky = morphology.features(FAR <= 25), morphology.features(star())
    assert spiky["radial crossings"] == 14 and spiky["circularity"] < 0.4 and spiky["solidity"] < 0.7
    for name in ("radial deviation", "radial entropy", "radial area ratio", "roughness", "fourier"):
        assert spiky[name] > 5 * disc[name] + 0.01, name


def test_what_is_said_to_be_free_of_scale_is():
    one, twice = morphology.features(star(20)), morphology.features(star(40))
    for name in set(one) - set(SCALED):
        assert twice[name] == pytest.approx(one[name], rel=0.12), name
    assert twice["area"] / one["area"] == pytest.approx(4, rel=0.03)


def test_a_turned_mask_has_the_same_shape():
    mask = star() & (X < 12)
    for name, value in morphology.features(np.rot90(mask)).items():
        assert value == pytest.approx(morphology.features(mask)[name], rel=0.02, abs=0.02), name


def test_millimetres():
    pixels, mm = morphology.features(star()), morphology.features(star(), spacing_mm=0.5)
    assert mm["area"] == pytest.approx(pixels["area"] / 4) and mm["perimeter"] == pytest.approx(
        pixels["perimeter"] / 2
    )
    assert mm["perimeter to area"] == pytest.approx(2 * pixels["perimeter to area"])
    assert {k: v for k, v in mm.items() if k not in SCALED} == {k: v for k, v in pixels.items() if k not in SCALED}


@pytest.mark.parametrize("size", [1, 2])
def test_a_mask_of_a_pixel_or_two_has_finite_features(size):
    mask = np.zeros((9, 9), bool)
    mask[4, 4 : 4 + size] = True
    assert np.isfinite(list(morphology.features(mask).values())).all()


def test_bad_input_is_named():
    with pytest.raises(cases.MammoError, match="the mask is empty"):
        morphology.features(np.zeros((9, 9)))
    with pytest.raises(cases.MammoError, match=r"N at least 8, found \(4, 2\)"):
        morphology.of_outline(np.zeros((4, 2)))
    with pytest.raises(cases.MammoError, match="no area"):
        morphology.of_outline(np.stack([np.arange(9.0), np.zeros(9)], axis=1))
