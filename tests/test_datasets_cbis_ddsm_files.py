import cv2
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import cbis_ddsm_files as files
from mammo_tf.datasets import dicom


def disc(shape: tuple[int, int] = (200, 160)) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (((rows - 90) ** 2 + (columns - 70) ** 2 <= 30**2) * 255).astype(np.uint8)


@pytest.fixture(params=["mask.dcm", "mask.jpg"])
def mask(request, tmp_path):
    path = tmp_path / request.param
    if path.suffix == ".dcm":
        dicom.write(path, disc())
    else:
        cv2.imwrite(str(path), disc(), [cv2.IMWRITE_JPEG_QUALITY, 75])
    return path


def test_a_mask_survives_either_format(mask):
    assert np.array_equal(files.read_mask(mask), disc() > 0) and files.has_two_values(mask)
    header = files.read_header(mask)
    assert (header.shape, header.bits, header.max_value) == ((200, 160), 8, 255)
    assert header.lossy == (mask.suffix == ".jpg")


def test_jpeg_rings_round_a_mask(tmp_path):
    """Or cutting it at half the range would be idle."""
    cv2.imwrite(str(tmp_path / "mask.jpg"), disc(), [cv2.IMWRITE_JPEG_QUALITY, 75])
    pixels = files.read_pixels(tmp_path / "mask.jpg")
    assert len(np.unique(pixels)) > 10 and np.count_nonzero(pixels) > 1.1 * np.count_nonzero(disc())


@pytest.mark.parametrize("name", ["crop.dcm", "crop.jpg"])
@pytest.mark.parametrize("values", [(60, 200), (0, 60), (200, 256)])
def test_a_crop_is_no_mask(tmp_path, name, values):
    crop = np.random.default_rng(0).integers(*values, (64, 64)).astype(np.uint8)
    if name.endswith(".dcm"):
        dicom.write(tmp_path / name, crop)
    else:
        cv2.imwrite(str(tmp_path / name), crop)
    assert not files.has_two_values(tmp_path / name)


def test_a_film_in_dicom(tmp_path):
    dicom.write(tmp_path / "film.dcm", np.full((5, 4), 4000, np.uint16), bits_stored=12, spacing_mm=0.05)
    header = files.read_header(tmp_path / "film.dcm")
    assert header == files.Header(str(tmp_path / "film.dcm"), (5, 4), 16, 4095, 0.05, lossy=False)
    assert files.read_pixels(tmp_path / "film.dcm").max() == 4000


def test_what_is_refused(tmp_path):
    with pytest.raises(cases.MissingError):
        files.read_header(tmp_path / "no.jpg")
    (tmp_path / "a.jpg").write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(cases.DataError, match="not an image"):
        files.read_header(tmp_path / "a.jpg")
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 4), 9, np.uint16))
    with pytest.raises(cases.DataError, match="expected 8 bits a pixel, as the mirror has them, found 16"):
        files.read_header(tmp_path / "deep.png")
    cv2.imwrite(str(tmp_path / "b.jpg"), disc())
    with pytest.raises(cases.DataError, match="intensity 'voi' is to be had from DICOM"):
        files.read_header(tmp_path / "b.jpg", "voi")
