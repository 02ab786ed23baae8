"""One self-contained HTML page: the tables of `report` and, beside them, the figures that the runs drew.

page.write(pathlib.Path("page.html"), {"ao2020": ao2020}, records.load("runs/demo"))
"""

from __future__ import annotations

import base64
import html
import itertools
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mammo_tf import (
    artifacts,
    figures,
    figures_forest,
    page_figures,
    records,
    report,
    report_nulls,
    report_paper,
    tables,
)

FIGURES = {
    "curves.png": "accuracy and loss",
    "roc.png": "ROC",
    "confusion.png": "confusion matrix",
    "mean_roc.png": "mean ROC of the folds",
    "categories.png": "answers by BI-RADS category",
    "folds.png": "fold by fold",
    "saliency_0.png": "saliency, negatives",
    "saliency_1.png": "saliency, positives",
    "patches.png": "sampled patches of one training image",
    "heatmaps.png": "heatmaps of the surest examples",
    "explained.png": "methods of explanation, lesion by lesion",
}
_TOO_MANY = 7  # runs: a picture has no more colours, and a longer legend covers its lines
STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; --warn: #b45309; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1500px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { margin-bottom: .2rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) } h3 { margin-top: 2rem }
.warn { border-left: 4px solid var(--warn); padding: .4rem .8rem; background: var(--soft) }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap }
th { position: sticky; top: 0; background: Canvas } .note { font-size: .87em; opacity: .8; max-width: 75rem }
pre { background: var(--soft); padding: .5rem .8rem; overflow-x: auto } figure { margin: 0 }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: .8rem; align-items: end }
.double { grid-column: span 2 } .one img { width: auto; max-width: 100% }
figcaption { font-size: .85em; opacity: .8 } img { width: 100%; background: #fff; border-radius: 4px }
"""


def write(
    path: pathlib.Path, experiments: Mapping[str, Any], found: Sequence[records.Record], nulls: Sequence[Any] = ()
) -> None:
    """Writes the page; a run whose folder is gone is shown without its figures. `nulls`: null tests."""
    body = [f'<h1>mammo_tf</h1><p class="warn">{html.escape(report.WARNING)}</p>']
    for key in sorted(experiments):
        if sections := report.sections(experiments[key], found):
            body.append(f"<h2>{html.escape((experiments[key].__doc__ or key).splitlines()[0])}</h2>")
            body += map(_table, report_paper.tables(experiments[key]))
            together = getattr(experiments[key], "TOGETHER", {})
            body += itertools.chain.from_iterable(_section(section, together) for section in sections)
            body += map(_table, report_nulls.of(experiments[key], nulls))
            body += _figures(experiments[key], found)
            body += _gallery(experiments[key], found)
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>mammo_tf</title><style>{STYLE}</style></head>'
        f"<body>{''.join(body)}</body></html>\n"
    )


def _figures(experiment: Any, found: Sequence[records.Record]) -> Iterable[str]:
    """The figures that a paper file names, for each kind of data, budget and protocol."""
    mine = [r for r in found if r.paper == experiment.KEY]
    for group in page_figures.groups(mine):
        for title, draw in getattr(experiment, "FIGURES", {}).items():
            if (figure := draw(group)) is not None:
                named = html.escape(f"{title}; {group[0].dataset_kind}, {group[0].budget}, {group[0].protocol}")
                yield f'<h3>{named}</h3><div class="one">{_image(figures.to_png(figure), title)}</div>'


def _gallery(experiment: Any, found: Sequence[records.Record]) -> Iterable[str]:
    """The pictures that a paper file names in `GALLERY` (file -> caption), of every run that has drawn them."""
    pictures = []
    for record in (r for r in found if r.paper == experiment.KEY and r.folder):
        for name, caption in getattr(experiment, "GALLERY", {}).items():
            path = pathlib.Path(record.folder) / name
            if path.is_file():
                said = html.escape(f"{caption} ({record.run}, {record.protocol}, {record.dataset_kind})")
                image = _image(path.read_bytes(), caption, path.suffix[1:])
                pictures.append(f'<figure class="double">{image}<figcaption>{said}</figcaption></figure>')
    if pictures:
        yield f'<h2>Gallery</h2><div class="figures">{"".join(pictures)}</div>'


def _section(section: report.Section, together: Mapping[str, Sequence[str]]) -> Iterable[str]:
    yield f"<h2>{html.escape(section.title)}</h2>"
    if section.records[0].dataset_kind == "phantom":
        yield f'<p class="warn">{html.escape(report.PHANTOM)}</p>'
    yield f"<pre>{html.escape(chr(10).join(report.commands(section)))}</pre>"
    yield from map(_table, section.tables)
    yield f'<h3>All runs</h3><div class="one">{_image(figures.to_png(forest(section)), "AUC of all runs")}</div>'
    runs = list(dict.fromkeys(r.run for r in section.records))
    everything = {} if len(runs) > _TOO_MANY else {"all runs": runs}
    for title, names in {**together, **everything}.items():
        yield from _comparison(title, [r for r in section.records if r.run in names])
    for record in section.records:
        yield from _run(record)


def forest(section: report.Section) -> Any:
    """The figure of a section's AUCs, one line a run (and seed, where it has several)."""
    rows: dict[str, dict[str, Any]] = {}
    for r in section.records:
        several = any(other.run == r.run and other.seed != r.seed for other in section.records)
        name = r.run + (f", seed {r.seed}" if several else "")
        name += f" ({len(r.class_names)} classes)" if len(r.class_names) > 2 else ""
        rows.setdefault(name, {})[r.protocol] = r.metrics["auc"]
    kind = "phantom, not patients" if section.records[0].dataset_kind == "phantom" else "real data"
    return figures_forest.forest(list(rows.items()), title=section.title, note=kind)


def _table(table: tables.Table) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in table.rows)
    notes = "".join(f'<p class="note">{_inline(note)}</p>' for note in table.notes)
    whole = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<h3>{html.escape(table.title)}</h3>{whole}{notes}"


def _inline(note: str) -> str:
    """A note's Markdown as HTML: `code`, and escaped stars."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(note)).replace("\\*", "*")


def _comparison(title: str, found: Sequence[records.Record]) -> Iterable[str]:
    """Curves and ROC of several runs of one protocol in one figure."""
    for protocol in dict.fromkeys(r.protocol for r in found):
        same = [r for r in found if r.protocol == protocol and has_folder(r)]
        runs = {r.run: overlay_input(r) for r in same if r.seed == same[0].seed}
        if len(runs) > 1:
            picture = figures.overlay(runs, note=f"{found[0].dataset_kind}, {protocol}")
            yield f"<h3>{html.escape(f'{title}, {protocol}')}</h3>{_image(figures.to_png(picture), title)}"


def overlay_input(record: records.Record) -> dict[str, Any]:
    """What `figures.overlay` draws of a run, read from its folder."""
    folder = pathlib.Path(record.folder)
    predictions = artifacts.read_predictions(folder / "predictions.csv")
    history = artifacts.read_history(folder / "history.csv")
    return {"history": history, "labels": predictions.labels, "scores": predictions.scores}


def has_folder(record: records.Record) -> bool:
    return bool(record.folder) and (pathlib.Path(record.folder) / "history.csv").is_file()


def _run(record: records.Record) -> Iterable[str]:
    folder = pathlib.Path(record.folder or ".")
    found = [(_drawn(folder, name), caption) for name, caption in FIGURES.items()]
    pictures = [(path, f"{caption}{_fold(path, folder)}") for path, caption in found if path.is_file()]
    if not pictures or not record.folder:
        return
    yield f"<h3>{html.escape(record.run)}, {html.escape(record.protocol)}, seed {record.seed}</h3>"
    images = "".join(
        f"<figure{_span(path)}>{_image(path.read_bytes(), caption)}<figcaption>{caption}</figcaption></figure>"
        for path, caption in pictures
    )
    yield f'<div class="figures">{images}</div>'


def _drawn(folder: pathlib.Path, name: str) -> pathlib.Path:
    """A figure of the whole run, or, where it has several splits, that of the first."""
    first = folder / "fold0" / name
    return first if first.is_file() and not (folder / name).is_file() else folder / name


def _fold(path: pathlib.Path, folder: pathlib.Path) -> str:
    return "" if path.parent == folder else f", {path.parent.name}"


def _span(path: pathlib.Path) -> str:
    """Curves and saliency montages are twice as wide as the rest."""
    return "" if path.name in ("roc.png", "confusion.png", "mean_roc.png", "categories.png") else ' class="double"'


def _image(data: bytes, alt: str, kind: str = "png") -> str:
    return f'<img alt="{html.escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
