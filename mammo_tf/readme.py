"""The part of README that is measured: made from the kept records, between two marks.

Everything else in README is written by hand; a test compares this part with the records.

    text = readme.with_block(text, readme.block({"ao2020": ao2020}, records.load("results")))
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mammo_tf import records, report, tables

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def block(experiments: Mapping[str, Any], found: Sequence[records.Record]) -> str:
    """The short tables of README: accuracy and AUC of every kept run, and the command that redoes them."""
    lines = []
    for key in sorted(experiments):
        for section in report.sections(experiments[key], found):
            rows = []
            for (run, protocol), same in itertools.groupby(section.records, key=lambda r: (r.run, r.protocol)):
                seeds = list(same)
                size, m = seeds[0].sizes[seeds[0].reported], seeds[0].metrics
                cells = [tables.with_interval(m["accuracy"]), tables.with_interval(m["auc"]), report.between(seeds)]
                rows.append([run, protocol, f"{size['examples']} ({size['patients']})", *cells])
            columns = ["run", "protocol", "n (patients)", "accuracy", "AUC", "accuracy between seeds"]
            lines += tables.markdown(tables.Table(section.title, columns, rows, [f"`{report.command(section)}`"]))
    return "\n".join(lines).strip() + "\n"


def with_block(text: str, measured: str) -> str:
    """The text with what stands between the `measured` marks replaced by it; unchanged without marks."""
    if BEGIN not in text or END not in text:
        return text
    return text[: text.index(BEGIN) + len(BEGIN)] + "\n" + measured + text[text.index(END) :]
