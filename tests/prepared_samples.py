"""A small hand-made dataset with everything that a prepared one must keep."""

import dataclasses
import functools

import numpy as np

from mammo_tf import cases, regions
from mammo_tf.datasets import about, prepared

ABOUT = about.About("Samples", "nowhere", "none", "Nobody (2020)", "samples/\n")
ROOT = "/data/samples"


@dataclasses.dataclass
class Counted:
    """A loader that counts how often it was called."""

    pixels: np.ndarray
    calls: int = 0

    def __call__(self):
        self.calls += 1
        return self.pixels


def broken():
    raise cases.DataError(f"{ROOT}/films/broken.dcm", f"truncated: 10 of 20 bytes of {ROOT}/films/broken.dcm")


def gone():
    raise FileNotFoundError(2, "No such file or directory", "gone.dcm")


def image(i, dtype=np.uint16):
    """(20 + i, 30) random values up to 4095 (255): every view has another shape."""
    return np.random.default_rng(i).integers(0, 256 if dtype == np.uint8 else 4096, (20 + i, 30)).astype(dtype)


def mask(shape):
    """An L with a hole, away from the border."""
    found = np.zeros(shape, bool)
    found[3:12, 4:9] = True
    found[3:6, 4:20] = True
    found[7, 6] = False
    return found


def lesion(name, region, *, pathology=cases.Pathology.MALIGNANT, part=None, assessment="4"):
    return cases.Lesion(name, pathology, "mass", region, {"assessment": assessment, "mass shape": "OVAL-ROUND"}, part)


def view(i, *lesions, name=None, load=None, dtype=np.uint16, **facts):
    name = name or f"film{i:02d}"
    facts = {"side": cases.Side.LEFT, "projection": cases.Projection.CC, "spacing_mm": 0.1, **facts}
    load = load or Counted(image(i, dtype))
    top = 255 if dtype == np.uint8 else 4095
    path = f"{ROOT}/films/{name}.dcm"
    return cases.View(name, f"p{i // 2}", load=load, max_value=top, lesions=lesions, path=path, **facts)


def masked(i, loader=None):
    return regions.MaskRegion(loader or functools.partial(mask, (20 + i, 30)), f"{ROOT}/masks/{i}.dcm")


def views():
    """Ten views of five patients, in an order that is not that of their ids."""
    disc = regions.CircleRegion(12.5, 7, 4)
    outline = regions.PolygonRegion(((1, 2), (10.25, 3), (5, 12.5)))
    window = regions.WindowRegion(disc, view(5), 2, 1)
    return [
        view(0, lesion("a", masked(0), part="train"), attributes={"breast density": "2"}),
        view(1, lesion("b", disc, part="test", pathology=cases.Pathology.BENIGN), dtype=np.uint8),
        view(3, lesion("c", outline, part="train"), lesion("d", None, part="train", assessment="0")),
        view(2, lesion("e", disc, part="train"), lesion("f", masked(2), part="test"), lossy=True),
        view(4, name="sub/film.png", side=None, spacing_mm=None, projection=cases.Projection.OTHER),
        view(5, lesion("g", window, part="train", pathology=cases.Pathology.UNPROVEN)),
        view(6, lesion("h", masked(6, functools.partial(np.zeros, (26, 30), bool)), part="test")),
        view(7, lesion("i", masked(7), part="train")),
        view(8, lesion("j", masked(8), part="train")),
        view(9, lesion("k", masked(9), part="train")),
    ]


def dataset(found=None, *, fingerprint="0123456789abcdef", root=ROOT):
    found = views() if found is None else found
    patients = dict.fromkeys(one.patient_id for one in found)
    some = tuple(cases.Case(p, tuple(one for one in found if one.patient_id == p)) for p in patients)
    problem = cases.Problem(f"{ROOT}/films/left.dcm", f"film of {ROOT}/films/out.dcm", "left out")
    repair = cases.Repair(f"{ROOT}/table.csv", "spelling", "'MLO ' taken for 'MLO'")
    return cases.Dataset("samples", "real", str(root), some, (problem,), fingerprint, (repair,))


def plan(out, found=None, **options):
    """A plan of a dataset, or of views; two records a file."""
    found = found if isinstance(found, cases.Dataset) else dataset(found)
    return prepared.plan(found, ABOUT, prepared.Options(out=out, **{"per_shard": 2, **options}))


def assert_same_views(found, expected):
    """Everything but the loaders, the paths' folder and the kind of loader behind a mask."""
    for one, other in zip(found, expected, strict=True):
        for name in ("id", "patient_id", "side", "projection", "max_value", "spacing_mm", "attributes", "lossy"):
            assert getattr(one, name) == getattr(other, name), name
        assert type(one.side) is type(other.side) and type(one.projection) is type(other.projection)
        assert_same_lesions(one, other)


def assert_same_lesions(one, other):
    for mine, theirs in zip(one.lesions, other.lesions, strict=True):
        assert dataclasses.replace(mine, region=None) == dataclasses.replace(theirs, region=None)
        assert (mine.region is None) == (theirs.region is None)


def assert_same_pixels(found, expected):
    for one, other in zip(found, expected, strict=True):
        mine, theirs = one.pixels(), other.pixels()
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
        for lesion, twin in zip(one.lesions, other.lesions, strict=True):
            if twin.region is not None:
                np.testing.assert_array_equal(lesion.region.mask(mine.shape), twin.region.mask(mine.shape))
