"""The table "Methods of explanation": method by score from the claims of `explained.scored`, with verdicts.

table = report_explained.table(group)            # None where no record has such claims
"""

from __future__ import annotations

from collections.abc import Sequence

from mammo_tf import records
from mammo_tf.explain import verdicts
from mammo_tf.tables import Table, number, with_interval

WITH_CHANCE = {"pointing": "pointing", "inside": "energy inside", "auc": "AUC of pixels", "dice": "Dice"}
WITH_CHANCE |= {"deletion": "deletion", "insertion": "insertion"}
ALONE = {"flip_horizontal": "flip, left-right", "independent": "one stage random", "sanity": "all random"}


def table(group: Sequence[records.Record]) -> Table | None:
    """A row for chance and one for each method of each run, protocol and seed."""
    rows = [row for record in group for row in _rows(record)]
    if not rows:
        return None
    columns = ["run", "protocol", "seed", "method", "n (patients)"]
    columns += [*WITH_CHANCE.values(), *ALONE.values(), "sanity check", "finds the lesion"]
    explained = [r for r in group if verdicts.methods(r.claims)]
    phantom = any(r.dataset_kind == "phantom" for r in explained)
    return Table(f"Methods of explanation{', on phantom lesions' if phantom else ''}", columns, rows, _notes(rows))


def _rows(record: records.Record) -> list[list[str]]:
    methods = verdicts.methods(record.claims)
    rows = []
    for method in (verdicts.CHANCE, *methods) if methods else ():
        claims = {score: record.claims.get(verdicts.claim(method, score)) for score in verdicts.SCORES}
        counted = max((e for e in claims.values() if e), key=lambda e: e.n, default=None)
        size = f"{counted.n} ({counted.patients})" if counted else "n/a"
        shown = [claims[score] for score in (*WITH_CHANCE, *ALONE)]
        if method == verdicts.CHANCE:
            name, cells, said = f"({method})", [number(e.value) if e else "" for e in shown], ("", "")
        else:
            name, cells = verdicts.title(method), [with_interval(e) if e else "" for e in shown]
            said = verdicts.words(verdicts.verdict(record.claims, method))
        rows.append([record.run, record.protocol, number(record.seed), name, size, *cells, *said])
    return rows


def _notes(rows: Sequence[Sequence[str]]) -> list[str]:
    notes = [
        "Maps for the score of class 1 (its logit less the mean of all) over lesions of class 1 of the reported "
        "part; means with 95 % intervals over patients. pointing: the strongest pixel is in the lesion. "
        "energy inside: share of the map's sum of squares there. AUC of pixels: one of the lesion is stronger than "
        "one outside. Dice: of the lesion with as many of the strongest pixels. deletion, insertion: area under the "
        "class's probability while the strongest pixels are taken away (small is good) or brought back (large is "
        "good). flip, left-right: correlation with the map of the mirrored image. one stage random, all random: rank "
        "correlation of the maps before and after weights are random, of all random ones its absolute value (small "
        "is good).",
        f"sanity check: passed where the upper bound of `all random` is below {verdicts.SANITY_BOUND}, a bound of "
        "ours. finds the lesion: those of pointing, energy inside and AUC of pixels whose difference to chance, "
        "lesion by lesion, has a lower bound above 0. Neither is corrected for the number of methods.",
    ]
    if any("*" in cell for row in rows for cell in row):
        notes.append(f"\\*: fewer than {verdicts.FEW} patients, or nothing varies: not to be trusted.")
    return notes
