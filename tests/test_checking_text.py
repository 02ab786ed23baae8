"""A check in words: a golden text, and how each finding is said."""

import dataclasses
import json
import math

import pytest

from mammo_tf import cases, checking, checking_pixels, checking_tables, checking_text
from mammo_tf.datasets import about

ABOUT = about.About(
    "A toy set", "the toy shop", "free for all", "Toy 2000", "DIR/table.csv\nDIR/*.png", {"images": 3, "rows": 4}
)
ABOUT = dataclasses.replace(ABOUT, mean_8bit=50.0, mean_source="Toy 2000, Table 1")
ENTRIES = (
    about.Entry("a", "p1", "MALIGNANT", "mass", "LEFT", "CC", "train"),
    about.Entry("a", "p1", "BENIGN", "mass", "LEFT", "CC", "train"),
    about.Entry("b", "p2", "BENIGN", "mass", "LEFT", "CC", "train"),
    about.Entry("c", "p2", "BENIGN", "mass", "RIGHT", "CC", "test"),
)
PIXELS = checking_pixels.Pixels(
    images=2,
    sizes=(((40, 30), 1), ((80, 60), 1)),
    spacings_mm=((0.05, 1), (None, 1)),
    lossy=1,
    gray=(checking_pixels.Gray(16, 2, 0, 1, 1000, 3000, 4095, 1),),
    breast=checking_pixels.Range(0.2, 0.3, 0.4, 2),
    dark=checking_pixels.Range(0.5, 0.6, 0.7, 2),
    mean_8bit=20.0,
    mean_8bit_error=1.0,
    lesions_mm={"mass": checking_pixels.Range(4.0, 10.0, 16.4, 3)},
    lesions_without_size=1,
)
FILES = checking.Files(
    images=3,
    found=2,
    problems=(cases.Problem("c.png", "no such file", "missing"),),
    repairs=(cases.Repair("table.csv", "blanks trimmed", "4 of 4 rows"),),
)
CHECK = checking.Check(
    dataset="toy",
    about=ABOUT,
    kind="real",
    folder="/data/toy",
    tables=checking_tables.count(ENTRIES, ABOUT, frozenset("ab")),
    files=FILES,
    pixels=PIXELS,
    usable=True,
    verdict="usable: 2 of 3 images can be read",
)
GOLDEN = """\
A toy set
  folder    /data/toy
  format    toy
  kind      real data
  terms     free for all
  cite      Toy 2000

The tables
                             rows  images  patients  images found
  all                           4       3         2             2
  class          BENIGN         3       3         2             2
                 MALIGNANT      1       1         1             1
  kind           mass           4       3         2             2
  part           test           1       1         1             0
                 train          3       2         2             2
  kind and part  mass test      1       1         1             0
                 mass train     3       2         2             2
  view           LEFT CC        3       2         2             2
                 RIGHT CC       1       1         1             0

All 2 published numbers agree with these.

1 image with benign and malignant lesions: a
1 patient in both the training and the test part: p2

The files
  found 2 of the 3 images that the tables name
  missing: 1
    c.png: no such file
  repaired, blanks trimmed: 1
    table.csv: 4 of 4 rows

The pixels of 2 images
  rows x columns 40 x 30 (1), 80 x 60 (1)
  pixel spacing  0.05 mm (1), unknown (1)
  compression    lossy in 1 of 2
  stored grays   16 bits (2): least 0, 1 % 1, median 1,000, 99 % 3,000, largest 4,095; 1 with
                 nothing above an eighth of the scale: fewer bits?
  breast         30% (20% to 40%) of the image
  dark           60% (50% to 70%) of the pixels lie below 5% of the scale
  mean gray      20.0 (standard error 1.0) of 255, images reduced to 1152 x 896
                 50 in Toy 2000, Table 1; these files are far from it: they were converted in
                 another way, or are other images
  lesions        mass 4 to 16 mm, median 10 mm (3)
                 1 lesion without a region or a pixel spacing

usable: 2 of 3 images can be read"""


def changed(of, **changes):
    return dataclasses.replace(of, **changes)


def test_the_whole_text():
    assert checking_text.text(CHECK) == GOLDEN


def test_numbers_that_differ_are_shown_beside_the_published_ones():
    tables = checking_tables.count(ENTRIES, changed(ABOUT, known={"images": 9, "rows": 4, "films": 1}))
    text = checking_text.text(changed(CHECK, tables=tables))
    assert "Published numbers (2 compared; those not shown agree)" in text
    assert "images          9     3  differs" in text and "films" not in text and "rows            4" not in text
    assert "rows            4     4\n" in checking_text.text(changed(CHECK, tables=tables), verbose=True)


def test_a_phantom_is_held_against_nothing_published():
    text = checking_text.text(changed(CHECK, kind="phantom"))
    assert "synthetic phantom" in text and "free for all" not in text and "published numbers agree" not in text
    assert "need not come near" in text


@pytest.mark.parametrize(("mean", "error", "far"), [(50, 1, False), (46, 1, False), (40, 1, True), (40, 4, False)])
def test_a_mean_is_far_off_beyond_a_tenth_and_the_noise_of_the_sample(mean, error, far):
    pixels = changed(PIXELS, mean_8bit=float(mean), mean_8bit_error=float(error))
    assert ("are far from it" in checking_text.text(changed(CHECK, pixels=pixels))) == far


def test_one_image_has_no_standard_error():
    pixels = changed(PIXELS, mean_8bit_error=math.nan)
    text = checking_text.text(changed(CHECK, pixels=pixels))
    assert "mean gray      20.0 of 255" in text and "are far from it" not in text
    facts = json.loads(json.dumps(checking_text.as_json(changed(CHECK, pixels=pixels)), allow_nan=False))
    assert facts["pixels"]["mean_8bit_error"] is None and facts["files"]["repaired"] == {"blanks trimmed": 1}
    assert facts["about"]["known"] == {"images": 3, "rows": 4} and facts["usable"] is True


def test_five_of_each_kind_are_listed_and_verbose_lists_all():
    problems = tuple(cases.Problem(f"{i}.png", "truncated", "unreadable") for i in range(8))
    check = changed(CHECK, files=changed(FILES, problems=problems))
    text = checking_text.text(check)
    assert "unreadable: 8" in text and "4.png: truncated" in text and "5.png" not in text
    assert "... and 3 more; --verbose lists them all" in text
    assert "7.png: truncated" in checking_text.text(check, verbose=True)


def test_no_images_means_no_column_of_zeros():
    files = checking.Files(3, 0, fault="a.png: no such file")
    check = changed(CHECK, tables=checking_tables.count(ENTRIES, ABOUT), files=files, pixels=None)
    text = checking_text.text(check)
    assert "images found" not in text and "found 0 of the 3 images" in text and "a.png: no such file" in text


def test_a_sample_says_that_there_is_more():
    text = checking_text.text(changed(CHECK, pixels=changed(PIXELS, images=1)))
    assert "The pixels of 1 image, spread over the dataset (--images N or --all opens more)" in text


def test_without_tables_the_tree_is_shown():
    check = checking.Check(
        "toy", ABOUT, "real", "/data/toy", fault="no table.csv", verdict="not usable: no table.csv"
    )
    text = checking_text.text(check)
    assert "The reader expects\n  DIR/table.csv\n  DIR/*.png\n\nTo be had from\n  the toy shop" in text
    proposal = checking_text.text(changed(check, template="file,label\na.png,\n"))
    assert "A proposal of a table" in proposal and "  DIR/" not in proposal and proposal.endswith("no table.csv")


def test_a_prepared_dataset_is_said_to_be_one():
    assert "made by mammo-tf prepare" in checking_text.text(changed(CHECK, prepared=True))
