"""Films that stand twice: copies of many kinds are found, other films and the other view of a breast are not."""

import dataclasses
import functools
import os
import pathlib

import cv2
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import likeness, mini_mias, phantom

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
SPEC = phantom.PhantomSpec(patients=12)
FILMS = tuple(view for case in phantom.cases(SPEC) for view in case.views)


def jpeg(pixels):
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)


def gray(view):
    return view.pixels().astype(np.float32) / view.max_value


def compressed(view):
    return jpeg((255 * gray(view)).astype(np.uint8))


def smaller(view):
    return cv2.resize((255 * gray(view)).astype(np.uint8), (225, 300), interpolation=cv2.INTER_AREA)


def darker(view):
    return (255 * 0.9 * gray(view) ** 1.3).astype(np.uint8)


def mirrored(view):
    return np.ascontiguousarray((255 * gray(view)).astype(np.uint8)[:, ::-1])


def copy_of(view, make, patient="somebody"):
    load = functools.partial(make, view)
    return dataclasses.replace(view, id=f"z-{view.id}", patient_id=patient, load=load, max_value=255)


@pytest.mark.parametrize("make", [compressed, smaller, darker, mirrored])
def test_a_copy_is_found_and_nothing_else(make):
    found, problems = likeness.twins([*FILMS, copy_of(FILMS[3], make)])
    assert [(pair.one.id, pair.other.id) for pair in found] == [(FILMS[3].id, f"z-{FILMS[3].id}")] and not problems
    assert found[0].correlation > 0.85 and found[0].mirrored == (make is mirrored)


def test_films_of_one_patient_are_no_twins():
    assert len(FILMS) > 20 and likeness.twins(FILMS) == ([], []) and likeness.twins(FILMS[:1]) == ([], [])


def broken():
    raise cases.DataError("film.dcm", "cut off")


def test_what_cannot_be_read_is_listed():
    bad = dataclasses.replace(FILMS[0], id="bad", load=broken)
    found, (problem,) = likeness.twins([*FILMS[:3], bad])
    assert not found and problem.reason == "cut off"


def test_images_without_detail_are_like_nothing():
    flat = np.full((128, 128), 0.5, np.float32)
    assert likeness.likeness(flat, flat) == 0.0 and likeness.likeness(np.zeros_like(flat), np.zeros_like(flat)) == 0.0


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_real_films_are_apart_and_their_copies_are_found():
    films = mini_mias.read(pathlib.Path(REAL, "mini_mias")).views
    copies = [copy_of(view, compressed) for view in films[:8]]
    found, _ = likeness.twins([*films, *copies])
    assert [(pair.one.id, pair.other.id) for pair in found] == [(v.id, f"z-{v.id}") for v in films[:8]]
