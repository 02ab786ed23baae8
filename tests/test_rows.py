"""`rows`: splits, needs and roots of a run before anything is executed."""

import dataclasses
import functools
import pathlib

import pytest

from mammo_tf import cases, rows
from mammo_tf.datasets import cbis_ddsm, folder, inbreast, splits
from tests import toy_runs


def example(i):
    return cases.Example(f"e{i:03d}", f"p{i:03d}", (), float(i % 2))


EXAMPLES = tuple(example(i) for i in range(24))


def folds_of(budget):
    return functools.partial(splits.patient_kfold, folds=2 if budget.name == "smoke" else 4, val_fraction=0.5)


def test_one_split_or_several_come_as_a_tuple():
    (one,) = toy_runs.a_run().splits(EXAMPLES, toy_runs.BUDGET, 0)
    assert one == splits.patient_holdout(EXAMPLES, 0)
    several = toy_runs.a_run(split=functools.partial(splits.patient_kfold, folds=3, val_fraction=0.5))
    assert [parts.fold for parts in several.splits(EXAMPLES, toy_runs.BUDGET, 0)] == [0, 1, 2]


@pytest.mark.parametrize(("name", "count"), [("smoke", 2), ("demo", 4)])
def test_a_budget_may_say_how_many_splits_there_are(name, count):
    budget = dataclasses.replace(toy_runs.BUDGET, name=name)
    one = toy_runs.a_run(split=rows.AtBudget(folds_of))
    assert len(one.splits(EXAMPLES, budget, 0)) == count


def needs_of(budget):
    return tuple(toy_runs.a_run(name=f"need{k}") for k in range(2 if budget.name == "smoke" else 3))


def test_needs_are_runs_or_a_function_of_the_budget():
    need = toy_runs.a_run(name="need")
    assert toy_runs.a_run(needs=(need,)).needed(toy_runs.BUDGET) == (need,)
    one = toy_runs.a_run(needs=needs_of)
    assert [need.name for need in one.needed(toy_runs.BUDGET)] == ["need0", "need1"]
    demo = dataclasses.replace(toy_runs.BUDGET, name="demo")
    assert len(one.needed(demo)) == 3
    given = rows.Settings(budget=toy_runs.BUDGET, dataset=folder)
    hashes = {rows.identity(some, given, "data") for some in (one, toy_runs.a_run(), toy_runs.a_run(needs=(need,)))}
    assert len(hashes) == 3


def settings(**roots):
    return rows.Settings(budget=toy_runs.BUDGET, dataset=cbis_ddsm, roots=roots)


def test_a_phantom_never_slips_in_beside_real_data():
    own = toy_runs.a_run(name="transfer", dataset=inbreast)
    real = pathlib.Path("/data/cbis")
    with pytest.raises(cases.MammoError, match=r"transfer reads inbreast, but --root names cbis_ddsm only.*=phantom"):
        rows.root_of(own, settings(cbis_ddsm=real))
    with pytest.raises(cases.MammoError, match="reads inbreast"):
        rows.open_data(own, settings(cbis_ddsm=real))
    assert rows.root_of(own, settings(cbis_ddsm=real, inbreast=None)) is None  # --root inbreast=phantom
    assert rows.root_of(own, settings(cbis_ddsm=real, inbreast=real)) == real
    assert rows.root_of(own, settings()) is None
    assert rows.root_of(own, settings(cbis_ddsm=None)) is None  # a phantom beside a phantom


def test_a_run_reads_its_own_dataset_and_others_the_one_of_the_command_line():
    given = dataclasses.replace(settings(), root=pathlib.Path("/data/named"))
    assert rows.module_of(toy_runs.a_run(), given) is cbis_ddsm
    assert rows.root_of(toy_runs.a_run(), given) == pathlib.Path("/data/named")
    assert rows.module_of(toy_runs.a_run(dataset=inbreast), given) is inbreast
    assert rows.root_of(toy_runs.a_run(dataset=inbreast), given) is None
    assert rows.root_of(toy_runs.a_run(spec=other_phantom), given) is None  # a phantom of its own, whatever is named


def other_phantom(budget):
    return dataclasses.replace(budget.phantom, seed=99)


def half(parts, budget, seed):
    return parts, ()


def test_the_hash_knows_what_is_sampled_but_not_what_is_drawn_afterwards():
    given = rows.Settings(budget=toy_runs.BUDGET, dataset=folder)

    def hashed(**changes):
        return rows.identity(toy_runs.a_run(**changes), given, "data")

    assert len({hashed(), hashed(sample=half), hashed(classes=("a", "b", "c"))}) == 3
    after = {"after": (half,), "known_means": {"folder": 50.0}, "published": {"auc": 0.9}, "extra": True}
    assert hashed(**after) == hashed()


def test_a_need_on_another_dataset_counts_by_its_fingerprint(monkeypatch):
    opened = []

    def opens(need, given):
        opened.append(need.name)
        return cases.Dataset("inbreast", "phantom", "", (), fingerprint=f"print{len(opened)}")

    monkeypatch.setattr(rows, "open_data", opens)
    needs = tuple(toy_runs.a_run(name=f"need{k}", dataset=inbreast) for k in range(2))
    one = toy_runs.a_run(needs=needs)
    first = rows.identity(one, settings(), "data")
    assert opened == ["need0"]  # opened once for both
    assert rows.identity(one, settings(), "data") != first  # its fingerprint has become another
