"""Patches cut on the fly: as `View.window` cuts them, each page decoded once, faults by name."""

import dataclasses
import functools
import itertools
import threading

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.pipeline import augment, build, normalize, patches, resize

SIDE, COUNT = 8, 9
MOVING = augment.Augment(flip_horizontal=True, rotate_deg=(-25.0, 25.0), channel_shift_each=(-0.1, 0.1))


@dataclasses.dataclass
class Counted:
    """Pixels that tell how often they were loaded."""

    pixels: np.ndarray
    loads: int = 0

    def __post_init__(self):
        self.lock = threading.Lock()

    def __call__(self):
        with self.lock:
            self.loads += 1
        return self.pixels


def page(name, load, max_value=65535):
    return cases.View(name, "p" + name, None, cases.Projection.CC, load, max_value, path=f"{name}.png")


def pages(count=3):
    rng = np.random.default_rng(0)
    return [page(f"v{i}", Counted(rng.integers(0, 65536, (20, 14)).astype(np.uint16))) for i in range(count)]


def examples(views, count=COUNT, side=SIDE):
    """Windows all over the pages and over their borders, in turns; labels 0 to 4."""
    rng = np.random.default_rng(1)
    found = []
    for i, view in zip(range(count), itertools.cycle(views)):
        top, left = int(rng.integers(-5, 18)), int(rng.integers(-5, 12))
        window = view.window(top, left, side, side, id=f"e{i}")
        found.append(cases.Example(f"e{i}", view.patient_id, (window,), float(i % 5), weight=1.0 + i))
    return found


def pipeline(**changes):
    return patches.PatchPipeline(**{"side": SIDE, "normalize": normalize.train_mean, "batch": 4, **changes})


def broken():
    raise cases.DataError("v1.png", "truncated")


def test_each_page_is_decoded_once_and_nothing_else_is_held():
    views = pages()
    some = examples(views)
    again = dataclasses.replace(some[0].views[0].load.view)  # another object of the same id
    some[3] = dataclasses.replace(some[3], views=(again.window(1, 2, SIDE, SIDE, id="e3"),))
    found = pipeline().load(some)
    assert [view.load.loads for view in views] == [1, 1, 1]
    assert found.images.shape == (3, 20, 14) and len(found) == COUNT
    for i, example in enumerate(some):
        np.testing.assert_array_equal(found.cut((SIDE, SIDE))[i], example.views[0].pixels())
    assert found.where.dtype == np.int32 and found.where[3].tolist() == [0, 1, 2]
    assert found.ids == tuple(example.id for example in some)
    assert found.labels.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3] and found.weights.tolist() == list(range(1, 10))


@pytest.mark.parametrize("moving", [None, MOVING])
def test_training_and_evaluation_equal_those_on_patches_made_before(moving):
    some, ours = examples(pages()), pipeline(augment=moving)
    cut_later = ours.load(some)
    plain = build.Pipeline(SIDE, normalize.train_mean, moving, batch=4)
    cut_before = plain.load(some)
    assert cut_before.images.shape == (COUNT, SIDE, SIDE) and cut_before.where is None
    normalizer = ours.normalize(cut_later.images)
    for one, other in (
        (ours.evaluate(cut_later, normalizer), plain.evaluate(cut_before, normalizer)),
        (ours.train(cut_later, normalizer, seed=2).take(6), plain.train(cut_before, normalizer, seed=2).take(6)),
    ):
        for ours_batch, plain_batch in zip(one, other, strict=True):
            for a, b in zip(ours_batch, plain_batch, strict=True):
                np.testing.assert_array_equal(a, b)


def test_the_mean_is_that_of_the_pages():
    some = pages()
    found = pipeline().load(examples(some))
    expected = np.mean([view.load.pixels for view in some]) / 257
    assert normalize.gray_mean_255(pipeline().normalize(found.images)) == pytest.approx(expected)


def test_windows_of_resized_views():
    view = page("v", functools.partial(np.full, (40, 30), 4095, np.uint16), 4095).resized(20, 14, resize.cubic)
    example = cases.Example("e", "p", (view.window(-2, 3, SIDE, SIDE),), 1.0)
    found = pipeline().load([example])
    assert found.images.shape == (1, 20, 14) and set(found.images.ravel()) == {65535}
    assert (found.cut((SIDE, SIDE))[0, :2] == 0).all()


def test_patches_of_unreadable_pages_are_left_out_and_listed():
    views = [dataclasses.replace(view, load=broken) if view.id == "v1" else view for view in pages()]
    some = examples(views)
    found = pipeline().load(some)
    kept = [example for i, example in enumerate(some) if i % 3 != 1]
    assert found.ids == tuple(example.id for example in kept) and found.images.shape[0] == 2
    assert [(problem.path, problem.reason) for problem in found.problems] == [("v1.png", "truncated")]
    for patch, example in zip(found.cut((SIDE, SIDE)), kept, strict=True):
        np.testing.assert_array_equal(patch, example.views[0].pixels())
    with pytest.raises(cases.DataError, match="truncated"):
        pipeline().load(some, strict=True)
    with pytest.raises(cases.MammoError, match=r"no patch left of 1.*truncated"):
        pipeline().load([some[1]])


@pytest.mark.parametrize(
    ("views", "side", "message"),
    [
        ([page("w", functools.partial(np.zeros, (9, 9), np.uint16), 4095)], SIDE, "w has the max_value 4095"),
        ([page("w", functools.partial(np.zeros, (9, 9), np.uint8))], SIDE, r"w\.png is uint8 \(9, 9\)"),
        ([*pages(1), page("w", functools.partial(np.zeros, (9, 9), np.uint16))], SIDE, r"\(9, 9\), .* \(20, 14\)"),
        (pages(1), 9, r"window of e0 is \(9, 9\), the net takes \(8, 8\)"),
    ],
)
def test_pages_that_do_not_fit_are_refused(views, side, message):
    with pytest.raises(cases.MammoError, match=message):
        pipeline().load(examples(views, side=side))


def test_views_that_are_no_windows_are_refused():
    with pytest.raises(cases.MammoError, match="view of e is no window"):
        pipeline().load([cases.Example("e", "p", (pages(1)[0],), 1.0)])


def test_pages_of_several_sizes_in_one_process():
    """TensorFlow forgets a page's size once it has seen a few."""
    for i, (height, width) in enumerate([(20, 14), (22, 14), (22, 17), (31, 40), (20, 14)]):
        rng = np.random.default_rng(i)
        view = page(f"size{i}", Counted(rng.integers(0, 65536, (height, width)).astype(np.uint16)))
        some = examples([view])
        cut = pipeline().load(some).cut((SIDE, SIDE))
        np.testing.assert_array_equal(cut, [example.views[0].pixels() for example in some])
        batches = pipeline().evaluate(pipeline().load(some), normalize.per_image(None))
        assert sum(len(images) for images, _, _ in batches) == len(some)
