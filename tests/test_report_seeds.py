"""`report_seeds`: means over seeds by hand and as scipy has them, what has no spread, and which rows are shown."""

import dataclasses
import math
import types

import numpy as np
import pytest
from scipy import stats

from mammo_tf import report, report_seeds
from mammo_tf.evaluation import intervals
from tests import samples


def seeded(values, run="net", protocol="honest", half=0.1):
    """A record for each AUC, seeds from 0 on; accuracy is lower by a tenth."""
    made = []
    for seed, value in enumerate(values):
        metrics = {"auc": samples.estimate(value, half), "accuracy": samples.estimate(value - 0.1, half)}
        record = samples.record(run=run, protocol=protocol, seed=seed)
        made.append(dataclasses.replace(record, metrics={**record.metrics, **metrics}))
    return made


def test_three_seeds_by_hand():
    """0.6, 0.7, 0.8: sd 0.1, standard error 0.1 / sqrt 3, and 4.303 of Student's two degrees of freedom."""
    found = report_seeds.Spread.of([samples.estimate(v, 0.098) for v in (0.6, 0.7, 0.8)], (0, 1))
    assert (found.mean.value, found.deviation) == pytest.approx((0.7, 0.1))
    assert (found.mean.low, found.mean.high) == pytest.approx((0.7 - 0.24843, 0.7 + 0.24843), abs=1e-4)
    assert (found.least, found.most) == (0.6, 0.8)
    assert found.ratio == pytest.approx(2.0, rel=1e-3)  # the patients' error is 0.098 / 1.96


def test_the_interval_covers_the_mean_of_all_seeds():
    """Student's interval of five draws from a normal distribution holds its mean in 95 % of 2,000 studies."""
    rng = np.random.default_rng(0)
    spreads = [
        report_seeds.Spread.of([samples.estimate(v) for v in row], (-9, 9)) for row in rng.normal(0.1, 1, (2000, 5))
    ]
    covers = np.mean([s.mean.low <= 0.1 <= s.mean.high for s in spreads])
    assert covers == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / 2000))


def test_bounds_are_cut_to_what_the_number_can_be():
    found = report_seeds.Spread.of([samples.estimate(v) for v in (0.7, 0.99)], (0, 1)).mean
    assert (found.low, found.high) == (0, 1)


def test_equal_seeds_have_no_spread_and_no_p():
    found = report_seeds.Spread.of([samples.estimate(0.5)] * 3, (0, 1))
    assert (found.mean.low, found.mean.high, found.deviation) == (0.5, 0.5, 0)
    assert math.isnan(found.p) and found.ratio == 0


def test_a_seed_without_a_number_leaves_no_bounds():
    undefined = intervals.Estimate(math.nan, math.nan, math.nan, 40, "undefined: one class alone")
    found = report_seeds.Spread.of([samples.estimate(0.5), undefined], (0, 1))
    assert math.isnan(found.mean.value) and math.isnan(found.mean.low) and math.isnan(found.ratio)


def test_protocols_and_their_gap_by_run():
    published, honest = (0.9, 0.8, 0.85), (0.7, 0.72, 0.65)
    group = [
        *seeded(published, protocol="as_published"),
        *seeded(honest),
        *seeded([0.5], run="alone"),
        *seeded([0.6, 0.5], run="other"),
    ]
    table = report_seeds.table(group)
    assert [row[:3] for row in table.rows] == [
        ["net", "as_published", "3"],
        ["net", "honest", "3"],
        ["net", "gap", "3"],
        ["other", "honest", "2"],
    ]
    column = {name: i for i, name in enumerate(table.columns)}
    expected = stats.ttest_rel(published, honest)
    gap = table.rows[2]
    assert gap[column["AUC, mean"]].startswith(f"{np.mean(published) - np.mean(honest):.3f} [")
    low, high = expected.confidence_interval()
    assert gap[column["AUC, mean"]].endswith(f"[{low:.3f}, {high:.3f}]")
    assert gap[column["p"]] == gap[column["p, Holm"]] == f"{expected.pvalue:.3f}"
    assert gap[column["AUC, least to most"]] == "0.080 to 0.200"
    assert [row[column["p"]] for row in table.rows if row[1] != "gap"] == ["", "", ""]


def test_gaps_pair_the_same_seed():
    """Seeds 0 and 1 under one protocol, 1 and 2 under the other: one gap, which has no spread."""
    group = [*seeded([0.9, 0.8], protocol="as_published"), *seeded([0.5, 0.6, 0.7])[1:]]
    assert [row[1] for row in report_seeds.table(group).rows] == ["as_published", "honest"]


def test_p_values_are_corrected_for_the_gaps_here():
    group = []
    for k, run in enumerate(("one", "two")):
        rng = np.random.default_rng(k)
        group += [*seeded(0.8 + 0.1 * rng.normal(size=4), run, "as_published")]
        group += [*seeded(0.7 + 0.1 * rng.normal(size=4), run)]
    column = {name: i for i, name in enumerate(report_seeds.COLUMNS)}
    gaps = [row for row in report_seeds.table(group).rows if row[1] == "gap"]
    raw, adjusted = ([float(row[column[name]]) for row in gaps] for name in ("p", "p, Holm"))
    assert min(adjusted) == pytest.approx(2 * min(raw), abs=1e-3) and max(adjusted) == max(raw)


def test_one_seed_has_no_table():
    assert report_seeds.table(seeded([0.5])) is None and report_seeds.table([]) is None


def commands(*group, protocols=("as_published", "honest"), **names):
    """What redoes records of a paper whose rows all have these protocols, each command from `--budget` on."""
    rules = [types.SimpleNamespace(name=name) for name in protocols]
    runs = dict.fromkeys(r.run for r in group)
    rows = [
        types.SimpleNamespace(name=name, protocol=one, published={}, dataset=None) for name in runs for one in rules
    ]
    paper = samples.module(KEY="ao2020", RUNS=rows, **names)
    (section,) = report.sections(paper, group)
    return [one.partition("--budget demo ")[2] for one in report.commands(section)]


def both(values, run):
    return [*seeded(values, run, "as_published"), *seeded(values, run)]


def test_a_section_names_the_rows_that_have_other_seeds():
    assert commands(*both([0.5, 0.6], "a"), *both([0.5, 0.6], "b")) == ["--only a --only b --seed 0 --seeds 2"]
    found = commands(*both([0.5] * 3, "a"), *both([0.5], "b"), *both([0.5] * 3, "c"))
    assert found == ["--only a --only b --only c --seed 0", "--only a --only c --seed 1 --seeds 2"]


def test_what_was_not_run_is_in_no_command():
    gap = [r for r in both([0.5] * 3, "a") if r.seed != 1]
    assert commands(*gap) == ["--only a --seed 0", "--only a --seed 2"]
    late = [r for r in both([0.5] * 2, "b") if r.seed == 1]
    assert commands(*both([0.5] * 2, "a"), *late) == ["--only a --seed 0", "--only a --only b --seed 1"]
    crossed = [*both([0.5], "a"), *both([0.5], "b"), *seeded([0.5] * 2, "a")[1:]]
    crossed += seeded([0.5] * 2, "b", "as_published")[1:]
    assert commands(*crossed) == [
        "--only a --only b --seed 0",
        "--only a --protocol honest --seed 1",
        "--only b --protocol as_published --seed 1",
    ]
    assert commands(*seeded([0.5]), protocols=("honest",)) == ["--only net --protocol honest --seed 0"]


def test_a_whole_set_is_named_where_all_of_it_was_run():
    datasets = (types.SimpleNamespace(NAME=samples.record().dataset),)
    how = {"DATASETS": datasets, "SETS": {"demo": ("a", "b")}}
    assert commands(*both([0.5], "a"), *both([0.5], "b"), **how) == ["--seed 0"]
    assert commands(*both([0.5] * 2, "a"), *both([0.5], "b"), **how) == ["--seed 0", "--only a --seed 1"]
    later = [r for r in both([0.5] * 2, "b") if r.seed == 1]
    assert commands(*both([0.5], "a"), *later, **how) == ["--only a --seed 0", "--only b --seed 1"]
