"""The table of null tests: what each run reaches where labels, or images, mean nothing; a part of `report`.

A pure function of (experiment, null tests). With labels that mean nothing an honest mean is 0.5; what a protocol that
leaks reaches is what its leak is worth.

    for table in report_nulls.of(ao2020, null_records.load("results")):
        print(tables.text(table))
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mammo_tf import null_records, tables

SHORT = 60  # characters of a leak's name
COLUMNS = ("run", "protocol", "data", "budget", "what is dealt", "deals", "mean AUC ± 3 standard errors")


def cells(one: null_records.Null) -> list[str]:
    """Deals, the mean with its interval, and whether 1/2 lies within.

    >>> cells(null_records.Null("p", "r", "honest", "d", "phantom", "smoke", (0.4, 0.5, 0.6)))
    ['3', '0.500 [0.327, 0.673]', 'yes']
    """
    low, high = map(tables.number, one.interval)
    return [str(one.count), f"{tables.number(one.mean)} [{low}, {high}]", "yes" if one.holds else "no"]


def of(experiment: Any, found: Iterable[null_records.Null]) -> list[tables.Table]:
    """One table of all null tests of a paper's runs, in the order of the experiment; none where there are none."""
    order = {(run.name, run.protocol.name): i for i, run in enumerate(experiment.RUNS)}
    mine = [one for one in found if one.paper == experiment.KEY and (one.run, one.protocol) in order]
    mine.sort(key=lambda one: (one.dataset_kind, one.dataset, one.kind, order[one.run, one.protocol], one.budget))
    if not mine:
        return []
    columns = [*COLUMNS, "0.5 is within", "leaks that are named"]
    rows = [
        [one.run, one.protocol, f"{one.dataset_kind} {one.dataset}", one.budget, one.kind, *cells(one), _leaks(one)]
        for one in mine
    ]
    return [tables.Table("Null tests", columns, rows, _notes(mine))]


def lines(experiment: Any, found: Iterable[null_records.Null]) -> list[str]:
    """The same as Markdown, with a heading; empty where there are none."""
    written = [line for table in of(experiment, found) for line in tables.markdown(table)]
    return [f"### {experiment.KEY}: null tests", "", *written] if written else []


def _leaks(one: null_records.Null) -> str:
    return "; ".join(map(_short, one.leaks)) or "none"


def _short(leak: str) -> str:
    """The words that fit.

    >>> _short("images of one patient stand in both parts, and " + "more " * 20)
    'images of one patient stand in both parts, and more more ...'
    """
    if len(leak) <= SHORT:
        return leak
    return leak[: SHORT - 3].rpartition(" ")[0] + " ..."


def _notes(mine: list[null_records.Null]) -> list[str]:
    notes = [
        "Each deal is the whole run again. `labels`: labels dealt anew to patients; `noise`: true labels, and noise "
        "in the place of the images. Under `honest` the mean is to be 0.5; what another protocol reaches is what its "
        "leak is worth."
    ]
    broken = [f"{one.run} ({one.kind})" for one in mine if one.protocol == "honest" and not one.holds]
    if broken:
        notes.append(f"`honest`, and 0.5 is not within: {', '.join(broken)}.")
    if standins := sorted({f"`{one.run}`" for one in mine if one.weights == "phantom_standin"}):
        notes.append(f"Nets from a stand-in for pre-trained weights: {', '.join(standins)}.")
    if fixed := sorted({f"`{one.run}`" for one in mine if len(set(one.seeds)) == 1}):
        notes.append(f"One split for all deals, since nets of other runs learned on it: {', '.join(fixed)}.")
    return notes
