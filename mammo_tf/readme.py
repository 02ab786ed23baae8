"""The part of README that is measured: made from the kept records, between two marks.

Everything else in README is written by hand; a test compares this part with the records.

    text = readme.with_block(text, readme.block({"ao2020": ao2020}, records.load("results")))
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mammo_tf import records, report, tables

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


PROTOCOLS = ("as_published", "honest")


def block(experiments: Mapping[str, Any], found: Sequence[records.Record]) -> str:
    """The short tables of README: accuracy and AUC of the kept runs under both protocols, and the command for them.

    A paper file with many rows names in `FRONT` those that README shows; RESULTS.md has them all.
    """
    lines = []
    for key in sorted(experiments):
        front = getattr(experiments[key], "FRONT", None)
        for section in report.sections(experiments[key], found):
            shown = [r for r in section.records if front is None or r.run in front]
            if shown:
                rows = [_row(list(same)) for _, same in itertools.groupby(shown, key=lambda r: r.run)]
                columns = ["run", "patients", *(f"{m}, {p}" for m in ("accuracy", "AUC") for p in PROTOCOLS)]
                same = dataclasses.replace(section, records=shown, whole=section.whole and front is None)
                command = "; ".join(f"`{one}`" for one in report.commands(same))
                grid = tables.markdown(tables.Table("", columns, rows))[2:]
                lines += [f"**{section.title}** {command}", "", *grid]
    return "\n".join(lines).strip() + "\n"


def _row(same: Sequence[records.Record]) -> list[str]:
    """One run: the first seed of each protocol, or the mean over seeds with their deviation."""
    by_protocol = {p: [r for r in same if r.protocol == p] for p in PROTOCOLS}
    sizes = [str(some[0].sizes[some[0].reported]["patients"]) if some else "n/a" for some in by_protocol.values()]
    cells = [_cell(by_protocol[p], metric) for metric in ("accuracy", "auc") for p in PROTOCOLS]
    return [same[0].run, ", ".join(sizes), *cells]


def _cell(seeds: Sequence[records.Record], metric: str) -> str:
    if len(seeds) > 1:
        return report.between(seeds, metric)
    return tables.with_interval(seeds[0].metrics.get(metric)) if seeds else "n/a"


def with_block(text: str, measured: str) -> str:
    """The text with what stands between the `measured` marks replaced by it; unchanged without marks."""
    if BEGIN not in text or END not in text:
        return text
    return text[: text.index(BEGIN) + len(BEGIN)] + "\n" + measured + text[text.index(END) :]
