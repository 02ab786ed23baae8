"""`describe`: fields that were added to a dataclass leave the descriptions, and so the hashes, of before."""

import dataclasses
import functools

import pytest

from mammo_tf import describe
from tests import samples


@dataclasses.dataclass(frozen=True)
class Method:
    width: int
    resize: object = dataclasses.field(default=samples.scale, metadata={"added": True})
    shown: str = dataclasses.field(default="", compare=False)


def test_an_added_field_at_its_default_leaves_the_description_unchanged():
    found = describe.describe(Method(3))
    assert found == {"call": "tests.test_describe.Method", "arguments": {"width": 3}}
    assert describe.describe(Method(3, samples.scale)) == found


def test_an_added_field_with_another_value_counts():
    found = describe.describe(Method(3, samples.estimate))
    assert found["arguments"] == {"width": 3, "resize": "tests.samples.estimate"}
    partial = describe.describe(Method(3, functools.partial(samples.scale, 2.0)))
    assert len({describe.text(one) for one in (found, partial, describe.describe(Method(3)))}) == 3


def test_a_field_that_does_not_compare_does_not_count():
    assert (
        describe.digest(Method(3, shown="a")) == describe.digest(Method(3, shown="b")) != describe.digest(Method(4))
    )


def test_a_field_that_was_not_added_counts_at_its_default():
    @dataclasses.dataclass(frozen=True)
    class Old:
        width: int = 3

    Old.__qualname__ = "Old"
    assert describe.describe(Old())["arguments"] == {"width": 3}


def test_the_hashes_of_the_first_paper_do_not_see_what_came_later():
    from mammo_tf.pipeline import build, normalize, resize
    from mammo_tf.training import method

    plain = describe.describe(build.Pipeline(64, normalize.per_image))
    assert {"resize", "balance"}.isdisjoint(plain["arguments"])
    cubic = describe.describe(build.Pipeline(64, normalize.per_image, resize=resize.cubic, balance=True))
    assert cubic["arguments"]["balance"] is True and "cubic" in cubic["arguments"]["resize"]
    added = {f.name for f in dataclasses.fields(method.KerasMethod) if f.metadata.get("added")}
    assert added == {"classes", "frozen", "needed", "precision", "start", "steps"}


@pytest.mark.parametrize("value", [Method(3), functools.partial(samples.scale, 2.0)])
def test_a_description_is_the_same_twice(value):
    assert describe.text(value) == describe.text(value)


def test_modules_apart_do_not_count_nor_what_they_alone_import():
    everything = describe.versions(["mammo_tf.run", "mammo_tf.cli"])
    without = describe.versions(["mammo_tf.run", "mammo_tf.cli"], apart=["mammo_tf.cli"])
    assert set(without) < set(everything) and "mammo_tf.ensembles" in everything
    assert without == describe.versions(["mammo_tf.run"])
