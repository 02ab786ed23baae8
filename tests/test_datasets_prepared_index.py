"""Rows of the index: what goes in comes out, and no path of a machine goes in."""

import functools
import json
import pickle

import cv2
import numpy as np
import pytest

from mammo_tf import cases, regions
from mammo_tf.datasets import prepared_index
from tests import prepared_samples as samples


def there_and_back(view, found=None):
    found = view.pixels() if found is None else found
    row = json.loads(json.dumps(prepared_index.row(view, found, samples.ROOT)))
    return row, prepared_index.view(row, view.load)


def test_a_mask_is_a_png_of_its_box_with_one_bit_a_pixel():
    mask = np.zeros((5, 9), bool)
    mask[1, 2], mask[3, 8] = True, True
    kept = prepared_index.Mask.of(mask)
    assert (kept.shape, kept.box) == ((5, 9), (1, 2, 4, 9))
    assert kept.png[24] == 1  # the bits a pixel, of the IHDR chunk
    assert cv2.imdecode(np.frombuffer(kept.png, np.uint8), cv2.IMREAD_GRAYSCALE).tolist() == [
        [255, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 255],
    ]
    assert kept().dtype == bool and np.array_equal(kept(), mask)
    empty = prepared_index.Mask.of(np.zeros((4, 3), bool))
    assert (empty.box, empty.png, empty().shape, empty().any()) == (None, b"", (4, 3), False)


@pytest.mark.parametrize("seed", range(5))
def test_any_mask_comes_back(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 70, 2)) < rng.choice([0.01, 0.5, 1.0])
    assert np.array_equal(prepared_index.Mask.of(mask)(), mask)


def test_every_view_comes_back():
    expected = samples.views()
    found = [there_and_back(view)[1] for view in expected]
    samples.assert_same_views(found, expected)
    samples.assert_same_pixels(found, expected)
    circle, (polygon, none) = found[1].lesions[0].region, (lesion.region for lesion in found[2].lesions)
    assert circle == regions.CircleRegion(12.5, 7, 4) and none is None
    assert polygon == regions.PolygonRegion(((1, 2), (10.25, 3), (5, 12.5)))
    assert circle.bounds() == expected[1].lesions[0].region.bounds()


def test_numbers_of_numpy_become_numbers_of_python():
    region = regions.CircleRegion(np.float32(1.5), np.int64(2), 3)
    row, found = there_and_back(samples.view(0, samples.lesion("a", region)))
    assert row["lesions"][0]["region"] == {"type": "CircleRegion", "x": 1.5, "y": 2, "radius": 3}
    assert found.lesions[0].region == regions.CircleRegion(1.5, 2, 3)


def test_an_empty_mask_and_one_of_another_size_fail_as_before():
    small = regions.MaskRegion(functools.partial(samples.mask, (14, 30)), f"{samples.ROOT}/m.dcm")
    _, found = there_and_back(samples.view(0, samples.lesion("a", small)))
    with pytest.raises(cases.DataError, match=r"^m\.dcm: the mask is \(14, 30\), its image \(20, 30\)"):
        found.lesions[0].region.mask((20, 30))
    _, found = there_and_back(samples.views()[6])
    with pytest.raises(cases.DataError, match=r"^masks/6\.dcm: the mask is empty"):
        found.lesions[0].region.bounds()


def test_what_could_not_be_read_raises_the_same_error_again():
    view = samples.view(0, samples.lesion("a", samples.masked(0, samples.gone)), load=samples.broken)
    problem = prepared_index.attempt(view.pixels, view.path)
    row, found = there_and_back(view, problem)
    reason = "truncated: 10 of 20 bytes of films/broken.dcm"
    assert row["fault"] == {"path": "films/broken.dcm", "reason": reason, "kind": "unreadable"}
    with pytest.raises(cases.DataError) as caught:
        prepared_index.Fault(cases.Problem(**row["fault"]))()
    assert (caught.value.path, caught.value.reason) == ("films/broken.dcm", reason)
    with pytest.raises(cases.MissingError, match=r"^masks/0\.dcm: cannot be read: No such file or directory$"):
        found.lesions[0].region.bounds()
    kinds = [(fault.path, fault.kind) for fault in prepared_index.faults(row)]
    assert kinds == [("films/broken.dcm", "unreadable"), ("masks/0.dcm", "missing")]
    assert prepared_index.good([row]) == [] and prepared_index.good([{"id": "b"}]) == [{"id": "b"}]


def test_a_region_of_another_kind_needs_the_image():
    view = samples.views()[5]
    row, found = there_and_back(view)
    assert row["lesions"][0]["region"]["type"] == "mask"
    # The pixels of the disc: rows 4 to 10, columns 9 to 16; through the window 2 up and 1 to the left.
    assert found.lesions[0].region.bounds() == (2, 8, 9, 16)
    row, _ = there_and_back(view, cases.Problem("a.dcm", "broken"))
    assert row["lesions"][0]["region"]["fault"]["path"] == "a.dcm"


def test_no_path_of_the_machine_is_kept():
    text = json.dumps([there_and_back(view)[0] for view in samples.views()])
    text += json.dumps(prepared_index.header(samples.dataset(), "raw", []))
    assert samples.ROOT not in text and "films/film00.dcm" in text and "film of films/out.dcm" in text


def test_views_can_be_sent_to_another_process():
    _, found = there_and_back(samples.views()[0])
    again = pickle.loads(pickle.dumps(found.lesions[0].region))
    assert np.array_equal(again.load(), samples.mask((20, 30)))


@pytest.mark.parametrize(
    ("root", "path", "text", "expected"),
    [
        (
            "/data/x",
            "/data/x/a/b.png",
            "not '/data/x/b', nor /old/data/x/c",
            ("a/b.png", "not 'b', nor /old/data/x/c"),
        ),
        ("d", "d/old/d/b.png", "d/b beside old/d/b", ("old/d/b.png", "b beside old/d/b")),
        (".", "a/b.png", "../a and ./b", ("a/b.png", "../a and ./b")),
        ("/", "/a/b.png", "/a and b/c", ("a/b.png", "/a and b/c")),
    ],
)
def test_paths_begin_at_the_folder_and_no_other_slash_goes(root, path, text, expected):
    assert (prepared_index.below(path, root), prepared_index.shortened(text, root)) == expected


def test_what_was_lost_is_known_without_reading():
    faulty = prepared_index.Fault(cases.Problem("a.dcm", "truncated"))
    whole = samples.views()
    assert not any(prepared_index.lost(view) for view in whole)
    region = regions.MaskRegion(faulty)
    assert prepared_index.lost(samples.view(0, load=faulty))
    assert prepared_index.lost(samples.view(0, samples.lesion("a", None), samples.lesion("b", region)))
