"""`report` and `page`: tables as pure functions of (experiments, records), one of them kept as a golden file."""

import dataclasses
import html.parser
import pathlib
import types

import pytest

from mammo_tf import cases, gaps, page, pairs, report, report_paper, tables
from mammo_tf import run as runs
from tests import samples

GOLDEN = pathlib.Path(__file__).parent / "goldens" / "results.md"


def an_experiment():
    """A paper with one net under both protocols; only what the report reads."""
    published = {"val_accuracy": 0.629, "precision": 0.681, "epoch": 74}
    rules = [runs.Rules("as_published", "val"), runs.Rules("honest", "test")]
    rows = tuple(types.SimpleNamespace(name="baseline_cnn", protocol=r, published=published) for r in rules)
    return types.SimpleNamespace(KEY="ao2020", RUNS=rows, __doc__="Ao and Zhang: a paper.")


def two_protocols():
    honest = samples.record()
    audit = {"val": {"roi_share": 0.96, "patient_share": 0.98}}
    higher = {name: samples.estimate(e.value + 0.2, n=90) for name, e in honest.metrics.items()}
    published = samples.record(
        protocol="as_published",
        reported="val",
        audit=audit,
        metrics=higher,
        leaks=["crops of one ROI"],
        test_reads=10,
    )
    return [honest, published]


def test_results_are_the_golden_file():
    assert report.markdown({"ao2020": an_experiment()}, two_protocols()) == GOLDEN.read_text()


def test_order_of_the_records_does_not_matter():
    found = two_protocols()
    experiments = {"ao2020": an_experiment()}
    assert report.markdown(experiments, found) == report.markdown(experiments, found[::-1])


def test_difference_of_two_estimates_by_hand():
    one, other = samples.estimate(0.9, half=0.03), samples.estimate(0.7, half=0.04)
    gap = pairs.difference(one, other)
    assert gap.value == pytest.approx(0.2)
    assert (gap.low, gap.high) == (pytest.approx(0.15), pytest.approx(0.25))  # 3-4-5


def test_a_paper_without_numbers_has_its_rows_named():
    experiment = an_experiment()
    plain = [types.SimpleNamespace(name=name, published={}, extra=name == "ours") for name in ("one", "ours")]
    experiment.RUNS = (*plain, plain[0])
    table = report_paper.numbers(experiment)
    assert (table.columns, table.rows) == (["run", "paper"], [["one", "prints none"]])


def test_phantom_and_budgets_below_paper_get_no_difference_to_the_paper():
    experiment = an_experiment()
    phantom = samples.record(budget="paper")
    demo = samples.record(dataset_kind="real")
    real = samples.record(dataset_kind="real", budget="paper")
    assert report_paper.difference(experiment, [phantom, demo]) is None
    table = report_paper.difference(experiment, [real])
    assert list(table.rows[0])[:4] == ["baseline_cnn", "honest", "accuracy", "0.629"]


def test_each_published_number_stands_beside_what_is_measured_alike():
    paper = {
        "auc": 0.85,
        "auc_four_flips": 0.91,
        "sensitivity": 0.861,
        "specificity": 0.801,
        "table": "2",
        "epoch": 20,
    }
    row = types.SimpleNamespace(**{**vars(an_experiment().RUNS[0]), "published": paper})
    real = samples.record(dataset_kind="real", budget="paper")
    tuned = {"recall": samples.estimate(0.7), "specificity": samples.estimate(0.6)}
    real = dataclasses.replace(real, run=row.name, protocol=row.protocol.name, tuned=tuned)
    experiment = types.SimpleNamespace(RUNS=[row])

    def measured(record):
        return {
            metric: float(shown.split()[0])
            for _, _, metric, _, shown, _ in report_paper.difference(experiment, [record]).rows
        }

    auc = round(real.metrics["auc"].value, 3)
    assert measured(real) == {"auc": auc, "auc_four_flips": auc, "sensitivity": 0.7, "specificity": 0.6}
    flipped = dataclasses.replace(real, claims={"auc_four_flips": samples.estimate(0.8)})
    assert measured(flipped)["auc_four_flips"] == 0.8


def test_seeds_share_a_row_and_show_their_deviation():
    first, second = samples.record(), samples.record(seed=1)
    second = dataclasses.replace(second, metrics={**second.metrics, "accuracy": samples.estimate(0.7)})
    row = report.measured_table([first, second]).rows[0]
    assert row[-1] == "0.650 ± 0.071 (k = 2)"  # 0.6 and 0.7: deviation 0.1 / sqrt(2)


def test_an_interval_that_cannot_be_trusted_is_marked():
    few = dataclasses.replace(samples.estimate(0.9), method="clustered DeLong, few positives")
    assert tables.with_interval(few) == "0.900* [0.850, 0.950]"


def test_kinds_and_budgets_never_share_a_section():
    found = [*two_protocols(), samples.record(dataset_kind="real"), samples.record(budget="smoke")]
    titles = [s.title for s in report.sections(an_experiment(), found)]
    assert len(titles) == len(set(titles)) == 3


class _Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.outside, self.stack = [], []

    def handle_starttag(self, tag, attrs):
        self.outside += [value for name, value in attrs if name in ("src", "href") and not value.startswith("data:")]
        if tag not in ("meta", "img", "br", "link"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_the_page_is_one_file_well_nested_and_says_phantom(tmp_path):
    page.write(tmp_path / "page.html", {"ao2020": an_experiment()}, two_protocols())
    text = (tmp_path / "page.html").read_text()
    links = _Links()
    links.feed(text)
    assert not links.outside and not links.stack
    assert report.PHANTOM[:15] in text and report.WARNING in text and "0.629" in text


def test_the_gap_keeps_the_mark_of_an_interval_that_cannot_be_trusted():
    marked = dataclasses.replace(samples.estimate(0.9), method="clustered DeLong, logit; few positives (9 patients)")
    gap = pairs.difference(marked, samples.estimate(0.7))
    assert "few positives" in gap.method and "*" in tables.with_interval(gap)


def a_fold_mean(protocol, spread):
    """A record of folds without a validation part: nothing is promised there, and no epoch is the best."""
    record = samples.record(protocol=protocol)
    auc = dataclasses.replace(record.metrics["auc"], method=f"mean over 5 folds (sd {spread}), clustered bootstrap")
    nothing = {"val_accuracy": None, "last_val_accuracy": None, "epochs_to_95": None}
    return dataclasses.replace(
        record,
        metrics={**record.metrics, "auc": auc},
        training={**record.training, **nothing},
        reported="test",
        claims={},
        folds=5,
        sizes={**record.sizes, "test": record.sizes[record.reported]},
    )


def test_folds_without_a_validation_part_have_a_gap_and_one_note():
    group = [a_fold_mean("as_published", 0.08), a_fold_mean("honest", 0.05)]
    (row,), (reasons,) = gaps.table(group).rows, gaps.made_of(group).rows
    assert reasons[2:4] == ["n/a", "n/a"] and row[5].startswith("0.000 [")
    assert pairs.claims_table(group) is None
    note = report.measured_table(group).notes[0]
    assert note.count("auc: mean over 5 folds, clustered bootstrap") == 1 and "sd" not in note


def test_copies_of_a_record_count_once_and_rivals_are_refused():
    record = samples.record()
    (section,) = report.sections(an_experiment(), [record, record])
    assert section.tables[0].rows[0][-1] == "one seed"
    with pytest.raises(cases.MammoError, match="two records of this row"):
        report.sections(an_experiment(), [record, dataclasses.replace(record, hash="ffff0000")])


def test_the_set_of_a_budget_is_known_though_its_rows_name_no_dataset():
    paper = an_experiment()
    for row in paper.RUNS:
        row.dataset = None
    paper.DATASETS = (types.SimpleNamespace(NAME=samples.record().dataset),)
    paper.SETS = {"demo": ("baseline_cnn",)}
    (whole,) = report.sections(paper, two_protocols())
    assert whole.whole and "--only" not in report.commands(whole)[0]
    paper.DATASETS = (types.SimpleNamespace(NAME="another"),)
    assert not report.sections(paper, two_protocols())[0].whole
