import keras
import numpy as np
import pytest
import scipy.ndimage

from mammo_tf import cases
from mammo_tf.models import dog


def image(height=40, width=30, channels=1, batch=2, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, height, width, channels)).astype(np.float32)


def by_scipy(plane, sigma, ratio=1.6, truncate=4.0):
    def smooth(width):
        return scipy.ndimage.gaussian_filter(plane.astype(np.float64), width, mode="reflect", truncate=truncate)

    return smooth(sigma) - smooth(ratio * sigma)


@pytest.mark.parametrize(("height", "width"), [(40, 30), (224, 224), (9, 70), (1, 5)])
def test_the_bank_is_the_image_and_scipys_differences_of_gaussians(height, width):
    x = image(height, width)
    found = np.asarray(dog.DoGFilterBank()(x))
    assert found.shape == (2, height, width, 9) and np.array_equal(found[..., :1], x)
    for b in range(2):
        for k, sigma in enumerate(dog.SIGMAS):
            np.testing.assert_allclose(found[b, ..., k + 1], by_scipy(x[b, ..., 0], sigma), atol=1e-5)


def test_the_scales_are_the_papers():
    root = np.sqrt(2)
    np.testing.assert_allclose(dog.SIGMAS, [root, 2, 2 * root, 4, 4 * root, 8, 8 * root, 16])


def test_another_ratio_and_another_cut_and_several_channels():
    x = image(channels=3)
    found = np.asarray(dog.DoGFilterBank((1.0, 3.0), ratio=2.0, truncate=2.5)(x))
    assert found.shape == (2, 40, 30, 9)
    for k, sigma in enumerate((1.0, 3.0)):
        for c in range(3):
            expected = by_scipy(x[1, ..., c], sigma, 2.0, 2.5)
            np.testing.assert_allclose(found[1, ..., 3 + 3 * k + c], expected, atol=1e-5)


def test_a_constant_image_gives_zero_up_to_its_borders_even_under_a_filter_wider_than_itself():
    x = np.full((1, 20, 16, 1), 3.0, np.float32)
    assert 2 * 4 * 16 * 1.6 > 20
    np.testing.assert_allclose(np.asarray(dog.DoGFilterBank()(x))[..., 1:], 0.0, atol=1e-5)


def test_a_point_answers_with_the_filter_itself():
    """The value at the centre of sigma 2 is 1/(2 pi 4) - 1/(2 pi 10.24), up to what cutting and sampling change."""
    x = np.zeros((1, 101, 101, 1), np.float32)
    x[0, 50, 50] = 1.0
    response = np.asarray(dog.DoGFilterBank((2.0,))(x))[0, ..., 1]
    assert response[50, 50] == pytest.approx(1 / (8 * np.pi) - 1 / (2 * np.pi * 10.24), rel=1e-3)
    assert response.sum() == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(response, response.T, atol=1e-7)


def test_nothing_is_trained_and_half_precision_keeps_float32_filters():
    x = image()
    layer = dog.DoGFilterBank(dtype="mixed_float16")
    half = np.asarray(layer(x))
    assert half.dtype == np.float16 and not layer.weights
    full = np.asarray(dog.DoGFilterBank()(x))
    np.testing.assert_array_equal(half, full.astype(np.float16))


def test_a_saved_net_gives_the_same_numbers(tmp_path):
    x = keras.Input((24, 20, 1))
    y = dog.DoGFilterBank((1.0, 2.0), ratio=2.0, name="dog")(x)
    net = keras.Model(x, keras.layers.Conv2D(2, 3, name="conv")(y))
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    assert again.get_layer("dog").get_config() == net.get_layer("dog").get_config()
    some = image(24, 20)
    np.testing.assert_array_equal(np.asarray(net(some)), np.asarray(again(some)))


@pytest.mark.parametrize("facts", [{"sigmas": ()}, {"sigmas": (1.0, -1.0)}, {"ratio": 1.0}, {"truncate": 0.0}])
def test_numbers_outside_their_range(facts):
    with pytest.raises(cases.MammoError, match="dog: "):
        dog.DoGFilterBank(**facts)


def test_images_of_unknown_size():
    with pytest.raises(cases.MammoError, match="of a known size"):
        dog.DoGFilterBank()(keras.Input((None, None, 1)))


def test_the_scales_grow_with_the_image():
    assert dog.sigmas_at(224) == dog.SIGMAS
    np.testing.assert_allclose(dog.sigmas_at(64), np.array(dog.SIGMAS) * 2 / 7)
