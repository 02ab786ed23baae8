"""Figures of a paper that show several runs at once, drawn from records and the folders of the runs.

A paper file names them: `FIGURES = {"Figure 2": functools.partial(page_figures.losses, rows=("a", "b"))}`. Each is
called with the records of one budget, kind of data and protocol, and gives None where a row is missing.

    figure = page_figures.losses(found, rows=("vgg_v512x3", "vgg_v512x1"))
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mammo_tf import artifacts, explaining, figures_comparisons, figures_mammograms, pairs, records

Found = Sequence[records.Record]


def groups(found: Found) -> Iterable[Found]:
    """Records of one kind of data, budget and protocol, the first seed of each row; whatever the dataset."""
    keys = dict.fromkeys((r.dataset_kind, r.budget, r.protocol) for r in found)
    for key in keys:
        same = sorted((r for r in found if (r.dataset_kind, r.budget, r.protocol) == key), key=lambda r: r.seed)
        yield list({r.run: r for r in reversed(same)}.values())


def _note(found: Found) -> str:
    kind = "phantom, not patients" if found[0].dataset_kind == "phantom" else "real data"
    return f"{kind}, budget {found[0].budget}, {found[0].protocol}"


def _by_name(found: Found, rows: Sequence[str]) -> dict[str, records.Record]:
    named = {r.run: r for r in found}
    return {name: named[name] for name in rows if name in named}


def losses(found: Found, *, rows: Sequence[str]) -> Any | None:
    """Figure 2: training and validation loss of nets over the epochs."""
    files = {name: pathlib.Path(r.folder) / "history.csv" for name, r in _by_name(found, rows).items()}
    if not files or not all(file.is_file() for file in files.values()):
        return None
    return figures_comparisons.losses({n: artifacts.read_history(f) for n, f in files.items()}, note=_note(found))


def rocs(found: Found, *, panels: Mapping[str, Sequence[str]]) -> Any | None:
    """Figure 3: the ROC curves of several rows, a panel a dataset; of several splits the scores are pooled."""
    drawn: dict[str, dict[str, Any]] = {}
    for panel, rows in panels.items():
        for name, record in _by_name(found, rows).items():
            if file := pairs.predictions_file(record):
                p = artifacts.read_predictions(file)
                drawn.setdefault(panel, {})[name] = {
                    "labels": p.labels,
                    "scores": p.scores,
                    "estimate": record.metrics["auc"],
                }
    return figures_comparisons.rocs(drawn, note=_note(found)) if drawn else None


def profiles(found: Found, *, rows: tuple[str, str], names: tuple[str, str]) -> Any | None:
    """Figure 4: mammograms of two datasets and their gray values, from the examples that two runs kept."""
    folders = [explaining.first_fit(pathlib.Path(r.folder)) for r in _by_name(found, rows).values()]
    files = [folder / explaining.FILE for folder in folders]
    if len(files) < 2 or not all(file.is_file() for file in files):
        return None
    one, other = (list(explaining.read(file.parent).images) for file in files)
    return figures_mammograms.intensity_profiles(one, other, names, note=_note(found))


def table4(found: Found, *, rows: Mapping[str, Mapping[int, str]]) -> Any | None:
    """Table 4 as a figure: model -> the paper's number of training patients -> row.

    A point stands at the number that the run had, since everyone of another dataset is not the paper's 72.
    """
    named = {r.run: r for r in found}
    points = {
        model: [
            (named[name].sizes["train"]["patients"] if patients else 0, named[name].metrics["auc"])
            for patients, name in sizes.items()
            if name in named
        ]
        for model, sizes in rows.items()
    }
    points = {model: some for model, some in points.items() if some}
    return figures_comparisons.table4(points, note=_note(found)) if points else None
