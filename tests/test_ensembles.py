"""Members with seeds of their own, which of them a process trains, and what the curve of the ensemble says."""

import csv
import dataclasses
import types

import numpy as np
import pytest

from mammo_tf import artifacts, audit, cases, ensembles, reuse
from mammo_tf.evaluation import metrics

LABELS = np.array([0, 0, 1, 1, 0, 1, 0, 1])


@dataclasses.dataclass(frozen=True)
class Remembers:
    """A method that gives back the context that it was fitted with."""

    stages: tuple = ()
    pipeline: str = "its pipeline"
    select: str = "its rule"

    def fit(self, train, val, context):
        return context


def make(budget):
    return Remembers()


def context(seed):
    return cases.Context(seed=seed, budget="demo", folder=None)


def test_members_differ_by_their_seed_alone():
    fitted = [ensembles.Member(make, number)(None).fit((), (), context(5)) for number in range(4)]
    assert fitted[0] == context(5)
    assert len({one.seed for one in fitted}) == 4
    assert all(dataclasses.replace(one, seed=5) == context(5) for one in fitted)
    others = {ensembles.Member(make, number)(None).fit((), (), context(6)).seed for number in range(4)}
    assert not others & {one.seed for one in fitted}
    largest = ensembles.Member(make, 99)(None).fit((), (), context(2**32 - 1)).seed
    assert 0 <= largest < 2**32


def test_a_member_shows_what_its_method_has():
    one = ensembles.Member(make, 3)(None)
    assert (one.pipeline, one.select, one.stages) == ("its pipeline", "its rule", ())


def test_parts_of_the_members():
    assert ensembles.part(range(100), "0:25") == tuple(range(25))
    assert ensembles.part(range(100), "75:") == tuple(range(75, 100))
    assert ensembles.part(range(8), ":2") == (0, 1)
    for text in ("5", "a:b", "-1:3", "1:2:3"):
        with pytest.raises(cases.MammoError, match="expected A:B"):
            ensembles.part(range(8), text)
    with pytest.raises(cases.MammoError, match="there are members 0 to 7"):
        ensembles.part(range(8), "8:9")


@dataclasses.dataclass(frozen=True)
class Fixed:
    """A net that always says the same."""

    scores: tuple[float, ...]

    def __call__(self, examples):
        p = np.array(self.scores, np.float32)
        return np.stack([1 - p, p], axis=1)


def done(folder, nets):
    examples = tuple(cases.Example(f"e{i}", f"p{i}", (), float(label)) for i, label in enumerate(LABELS))
    averaged = reuse.Averaged(tuple(nets), False, tuple(f"m{i}" for i in range(len(nets))))
    return types.SimpleNamespace(
        folder=folder,
        fitted=averaged,
        predictions=artifacts.Predictions.of(examples, averaged(examples)),
        ledger=audit.Ledger(folder / "reads.json"),
        reported="test",
        shown=artifacts.Shown("toy", ("benign", "malignant"), 200),
    )


def test_the_curve_is_that_of_the_first_members(tmp_path):
    rng = np.random.default_rng(0)
    each = [tuple(np.clip(0.5 + 0.2 * (LABELS - 0.5) + rng.normal(0, 0.2, 8), 0, 1).tolist()) for _ in range(3)]
    run = done(tmp_path, [Fixed(scores) for scores in each])
    claims = ensembles.curve(run)
    with (tmp_path / ensembles.FILE).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["members"]) for row in rows] == [1, 2, 3]
    for k, row in enumerate(rows, 1):
        mean = np.mean(np.array(each, np.float32)[:k], axis=0)
        assert float(row["auc"]) == pytest.approx(metrics.auc(LABELS, mean), abs=1e-5)
        assert float(row["accuracy"]) == pytest.approx(np.mean((mean >= 0.5) == LABELS), abs=1e-5)
        assert float(row["log_loss"]) == pytest.approx(metrics.log_loss(LABELS, mean), abs=1e-4)
        assert float(row["accuracy_low"]) <= float(row["accuracy"]) <= float(row["accuracy_high"])
    alone = [metrics.auc(LABELS, np.array(scores, np.float32)) for scores in each]
    spread = claims["ensemble_member_auc"]
    assert (spread.value, spread.low, spread.high) == pytest.approx((np.mean(alone), min(alone), max(alone)))
    gain = metrics.auc(LABELS, np.mean(np.array(each, np.float32), axis=0)) - alone[0]
    assert claims["ensemble_auc_gain"].value == pytest.approx(gain, abs=1e-6)
    assert (tmp_path / "ensemble.png").stat().st_size > 10_000
    assert run.ledger.count("test") == 3 + 3  # three sizes, three members
