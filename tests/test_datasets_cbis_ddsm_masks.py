"""Which file is the mask, and where a mask of another size belongs: answers known by construction."""

import functools

import cv2
import numpy as np
import pytest

from mammo_tf import cases, regions
from mammo_tf.datasets import cbis_ddsm_files as files
from mammo_tf.datasets import cbis_ddsm_masks as masks
from mammo_tf.datasets import dicom

FILM = (230, 184)  # 1.15 times (200, 160)
BOX = (115, 69, 161, 115)  # top, left, bottom, right in the film; 1.15 times (100, 60, 140, 100)


@functools.cache
def film() -> np.ndarray:
    """Smooth structure, as a film at its full resolution has it, and some grain."""
    rng = np.random.default_rng(0)
    coarse = rng.random((FILM[0] // 6, FILM[1] // 6)).astype(np.float32)
    smooth = cv2.resize(coarse, FILM[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth * 30_000 + 15_000 + rng.normal(0, 300, FILM), 0, 65535).astype(np.uint16)


def boxed(shape: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[box[0] : box[2], box[1] : box[3]] = 255
    return mask


def cut(box: tuple[int, int, int, int]) -> np.ndarray:
    return film()[box[0] : box[2], box[1] : box[3]]


@pytest.fixture
def choose(tmp_path):
    """Writes film, mask and crop, and chooses among the latter two."""

    def chosen(mask: np.ndarray, crop: np.ndarray | None) -> masks.Chosen | None:
        headers = []
        for name, pixels in {"film": film(), "crop": crop, "mask": mask}.items():
            if pixels is not None:
                dicom.write(tmp_path / f"{name}.dcm", pixels)
                headers.append(files.read_header(tmp_path / f"{name}.dcm"))
        return masks.choose(headers[1:], headers[0])

    return chosen


def bounds(chosen: masks.Chosen) -> tuple[int, int, int, int]:
    mask = masks.load(chosen.path, chosen.place)
    assert mask.shape == FILM and mask.dtype == bool
    return regions.box(mask)


def test_a_mask_of_the_size_of_its_film_is_taken_as_it_is(choose):
    chosen = choose(boxed(FILM, BOX), cut(BOX))
    assert chosen.path.endswith("mask.dcm") and chosen.place is None and chosen.repairs == ()
    assert bounds(chosen) == BOX


def test_no_more_headers_are_asked_for_than_it_takes(tmp_path):
    for name, pixels in {"film": film(), "mask": boxed(FILM, BOX)}.items():
        dicom.write(tmp_path / f"{name}.dcm", pixels)

    def headers():
        yield files.read_header(tmp_path / "mask.dcm")
        raise AssertionError("a second header was read")

    assert masks.choose(headers(), files.read_header(tmp_path / "film.dcm")).path.endswith("mask.dcm")


def test_a_crop_of_8_bits_is_no_mask(choose):
    many = (cut(BOX) >> 8).astype(np.uint8)
    assert choose(many, None) is None
    assert choose(many, cut(BOX)) is None


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize("scale", ["film", "mask"])
def test_a_mask_in_another_resolution_is_resized(choose, scale, stretched):
    """As 50 um to 43.5 um; the crop may be cut in either resolution, and its gray values may be stretched."""
    crop = cut(BOX) if scale == "film" else cv2.resize(cut(BOX), (40, 40), interpolation=cv2.INTER_AREA)
    if stretched:
        crop = ((crop.astype(float) - crop.min()) / np.ptp(crop) * 42_457 + 23_078).astype(np.uint16)
    chosen = choose(boxed((200, 160), (100, 60, 140, 100)), crop)
    assert chosen.place == masks.Place(FILM) and bounds(chosen) == BOX
    (repair,) = chosen.repairs
    assert repair.rule == masks.RESIZED and repair.path == chosen.path
    assert repair.what.startswith("the mask is (200, 160), its film (230, 184) (rows, columns); its crop is found")


@pytest.mark.parametrize(("more", "first"), [((4, 3), (4, 3)), ((4, -3), (1, 0)), ((-2, -2), (-2, 0))])
@pytest.mark.parametrize("padding", [0, 5])
def test_a_mask_in_another_frame_is_shifted(choose, more, first, padding):
    """Rows and columns more or less than the film, at either side; a crop may show some of the surroundings."""
    shape = (FILM[0] + more[0], FILM[1] + more[1])
    own = (BOX[0] + first[0], BOX[1] + first[1], BOX[2] + first[0], BOX[3] + first[1])
    around = (BOX[0] - padding, BOX[1] - padding, BOX[2] + padding, BOX[3] + padding)
    chosen = choose(boxed(shape, own), cut(around))
    assert bounds(chosen) == BOX and chosen.place.offset == (-first[0], -first[1])
    assert [one.rule for one in chosen.repairs] == [masks.SHIFTED]


SMALL = (100, 60, 140, 100)  # BOX in a mask of (200, 160)


def test_a_crop_of_another_place_does_not_move_a_mask_in_another_resolution(choose):
    """A mask whose sides have one ratio to the film's, far from 1, is no frame, whatever the crop says."""
    for box in ((145, 94, 191, 140), (110, 70, 156, 116), (120, 74, 156, 110)):
        with pytest.raises(cases.DataError, match="neither resized nor shifted it lies on its crop"):
            choose(boxed((200, 160), SMALL), cut(box))


def test_a_frame_is_shifted_no_further_than_the_sizes_allow(choose):
    own = (BOX[0] + 4, BOX[1] + 3, BOX[2] + 4, BOX[3] + 3)
    mask = boxed((FILM[0] + 4, FILM[1] + 3), own)
    assert bounds(choose(mask, cut((BOX[0] + 5, *BOX[1:2], BOX[2] + 5, *BOX[3:])))) == (120, 69, 166, 115)
    for box in ((BOX[0] + 10, BOX[1], BOX[2] + 10, BOX[3]), (BOX[0] + 3, BOX[1] + 3, BOX[2] - 3, BOX[3] - 3)):
        with pytest.raises(cases.DataError, match="neither resized nor shifted it lies on its crop"):
            choose(mask, cut(box))


@pytest.mark.parametrize(
    ("mask", "of_film", "resized"),
    [
        ((4386, 1789), (5041, 2056), True),  # Mass-Test P_00145, left CC
        ((4373, 2155), (5026, 2476), True),  # left MLO
        ((4686, 2820), (5386, 3241), True),  # Mass-Test P_00379, left MLO
        ((4621, 2781), (5311, 3196), True),  # Mass-Test P_00381, left CC
        ((4686, 3186), (5386, 3661), True),  # left MLO
        ((4688, 3088), (4624, 3056), False),  # Calc-Test P_00353, left CC
        ((4624, 3080), (4640, 3072), False),  # left MLO
    ],
)
def test_reported_sizes_tell_another_resolution_from_another_frame(mask, of_film, resized):
    assert masks.is_resized(mask, of_film) == resized


def test_without_a_crop_only_another_resolution_is_left(choose):
    chosen = choose(boxed((200, 160), SMALL), None)
    assert bounds(chosen) == BOX and "no crop to tell more" in chosen.repairs[0].what
    with pytest.raises(cases.DataError, match=r"the mask is \(225, 180\).*no crop tells"):  # it might be a frame
        choose(boxed((225, 180), SMALL), None)
    with pytest.raises(cases.DataError, match=r"the mask is \(230, 160\), its film \(230, 184\).*no crop tells"):
        choose(boxed((230, 160), (100, 60, 140, 100)), None)
    flat = np.full((40, 40), 9, np.uint16)
    with pytest.raises(cases.DataError, match="no crop tells its place"):
        choose(boxed((230, 160), (100, 60, 140, 100)), flat)


def test_a_crop_of_another_film_fits_no_rule(choose):
    other = np.random.default_rng(9).integers(0, 65536, (46, 46), dtype=np.uint16)
    with pytest.raises(cases.DataError, match=r"its crop is not found in the film: the best correlation is 0\.\d\d"):
        choose(boxed((200, 160), (100, 60, 140, 100)), other)


def test_a_crop_that_looks_only_somewhat_like_the_film_is_not_found(choose):
    own = cut(BOX).astype(float)
    blurred = own + np.random.default_rng(2).normal(0, 0.6 * own.std(), own.shape)  # a correlation of 0.86 or so
    with pytest.raises(cases.DataError, match=r"the best correlation is 0\.8\d, 0\.95 is expected"):
        choose(boxed((200, 160), SMALL), np.clip(blurred, 0, 65535).astype(np.uint16))


def test_a_crop_from_elsewhere_fits_no_rule(choose):
    """The mask cannot be brought onto it without leaving the film."""
    with pytest.raises(cases.DataError, match="neither resized nor shifted it lies on its crop"):
        choose(boxed((230, 170), (0, 0, 200, 100)), cut((30, 10, 50, 30)))


def test_an_empty_mask_of_another_size_is_refused(choose):
    with pytest.raises(cases.DataError, match="no pixel of it is set"):
        choose(np.zeros((200, 160), np.uint8), cut(BOX))


def test_a_crop_larger_than_the_film_is_not_found(choose):
    large = np.random.default_rng(1).integers(0, 65536, (300, 250), dtype=np.uint16)
    with pytest.raises(cases.DataError, match=r"the best correlation is 0\.00"):
        choose(boxed((200, 160), (100, 60, 140, 100)), large)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of_film", "of_mask"),
    [
        ((5041, 2056), (4386, 1789)),  # Mass-Test P_00145, left CC
        ((5386, 3661), (4686, 3186)),  # Mass-Test P_00381, left MLO
        ((4624, 3056), (4688, 3088)),  # Calc-Test P_00353, left CC, second lesion
        ((4640, 3072), (4624, 3080)),  # Calc-Test P_00353, left MLO, second lesion
    ],
)
def test_the_sizes_of_known_cases(tmp_path, of_film, of_mask):
    rng = np.random.default_rng(0)
    coarse = rng.random((of_film[0] // 8, of_film[1] // 8)).astype(np.float32)
    image = (cv2.resize(coarse, of_film[::-1]) * 50_000).astype(np.uint16)
    top, left, size = 2900, 1100, 400
    scale = of_film[0] / of_mask[0] if of_film[0] > 1.1 * of_mask[0] else 1.0
    shift = (0, 0) if scale > 1 else (-8, -4)
    own = [round((value + offset) / scale) for value, offset in zip((top, left), shift, strict=True)]
    side = round(size / scale)
    written = {
        "film": image,
        "crop": image[top : top + size, left : left + size],
        "mask": boxed(of_mask, (own[0], own[1], own[0] + side, own[1] + side)),
    }
    for name, pixels in written.items():
        dicom.write(tmp_path / f"{name}.dcm", pixels)
    headers = [files.read_header(tmp_path / f"{name}.dcm") for name in written]
    chosen = masks.choose(headers[1:], headers[0])
    assert chosen.repairs[0].rule == (masks.RESIZED if scale > 1 else masks.SHIFTED)
    off = np.subtract(regions.box(masks.load(chosen.path, chosen.place)), (top, left, top + size, left + size))
    assert np.abs(off).max() <= (1 if scale > 1 else 0)
