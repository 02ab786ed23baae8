"""A check of a dataset's folder as text for a terminal, 100 columns wide, and as JSON.

print(checking_text.text(checking.examine(mini_mias, folder)))
"""

from __future__ import annotations

import collections
import dataclasses
import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from mammo_tf import checking, checking_pixels, checking_tables, records, tables

WIDTH = 100
FEW = 5  # of a list, where --verbose shows all
_KINDS = ("missing", "unreadable", "left out")
_OUTSIDE = 0.1  # of the published mean: what is farther away is said to be


def as_json(check: checking.Check) -> dict[str, Any]:
    """Everything as JSON can hold it: no NaN, counted repairs beside the listed ones."""
    found = dataclasses.asdict(check)
    found["about"]["known"] = dict(check.about.known)
    if check.files:
        found["files"]["repaired"] = dict(collections.Counter(repair.rule for repair in check.files.repairs))
    return records.plain(found)


def text(check: checking.Check, *, verbose: bool = False) -> str:
    """The whole check; `verbose` lists every file instead of the first five of each kind."""
    parts = [_head(check)]
    if check.tables is None:
        parts += _expected(check)
    else:
        parts += _tables(check, verbose)
    if check.files:
        parts.append("\n".join(_files(check.files, verbose)))
    if check.pixels:
        parts.append("\n".join(_pixels(check)))
    return "\n\n".join([*parts, _wrapped(check.verdict)])


def _wrapped(line: str, indent: int = 0, hang: int = 2) -> str:
    """A line of at most `WIDTH` columns, or several; a path or an id is never cut."""
    first, later = " " * indent, " " * (indent + hang)
    rules = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(line, WIDTH, initial_indent=first, subsequent_indent=later, **rules)


def _fact(name: str, value: str, width: int = 10) -> str:
    """`name  value`, later lines below the value."""
    return f"  {name:{width}}{_wrapped(value, width + 2, 0).lstrip()}"


def _head(check: checking.Check) -> str:
    phantom = "a synthetic phantom, not mammograms: terms and published numbers do not apply"
    facts = {"folder": check.folder, "format": check.dataset, "kind": phantom if _is_phantom(check) else "real data"}
    if check.prepared:
        facts["prepared"] = "records made by mammo-tf prepare; the tables below are counted from them"
    if not _is_phantom(check):
        facts |= {"terms": check.about.terms, "cite": check.about.citation}
    return "\n".join([_wrapped(check.about.title), *(_fact(name, value) for name, value in facts.items() if value)])


def _is_phantom(check: checking.Check) -> bool:
    return check.kind == "phantom"


def _expected(check: checking.Check) -> list[str]:
    if check.template:
        return [f"A proposal of a table, to be looked at and completed\n{check.template.rstrip()}"]
    tree = textwrap.indent(textwrap.dedent(check.about.tree).strip("\n"), "  ")
    where = f"To be had from\n{_wrapped(check.about.where, 2, 0)}" if check.about.where else ""
    return [f"The reader expects\n{tree}", *filter(None, [where])]


def _aligned(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table, all but the first `left` columns flush right."""
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    right = [[cell if i < left else cell.rjust(widths[i]) for i, cell in enumerate(row)] for row in (columns, *rows)]
    head, *lines = tables.text(tables.Table(title, right[0], right[1:])).split("\n")
    return "\n".join([head, *(f"  {line}" for line in lines)])


def _tables(check: checking.Check, verbose: bool) -> list[str]:
    found = check.tables
    names = {"rows": "rows", "images": "images", "patients": "patients", "found": "images found"}
    shown = [name for name in names if getattr(found.total, name)]  # nobody needs a column of zeros
    rows, group = [], None
    for one in (found.total, *found.counts):
        rows.append([one.group if one.group != group else "", one.value])
        rows[-1] += [f"{getattr(one, name):,}" for name in shown]
        group = one.group
    table = _aligned("The tables", ["", "", *(names[name] for name in shown)], rows, left=2)
    lines = [
        _ids("image", "with benign and malignant lesions", found.both_classes),
        _ids("patient", "in both the training and the test part", found.both_parts),
    ]
    if found.without_patient:
        lines.append(
            f"{_many(found.without_patient, 'image')} of unknown patients: no table, no file name says whose"
        )
    published = "" if _is_phantom(check) else _published(found.published, verbose)
    return list(filter(None, [table, published, "\n".join(filter(None, lines))]))


def _published(found: Sequence[checking_tables.Published], verbose: bool) -> str:
    """The published numbers that differ from those found (all of them with `verbose`), or that none does."""
    counted = [one for one in found if one.here is not None]
    shown = counted if verbose else [one for one in counted if one.here != one.published]
    if not shown:
        return f"All {len(counted)} published numbers agree with these." if counted else ""
    rows = [
        [one.name, f"{one.published:,}", f"{one.here:,}", "" if one.here == one.published else "differs"]
        for one in shown
    ]
    title = f"Published numbers ({len(counted)} compared; those not shown agree)"
    return _aligned(title, ["", "published", "here", ""], rows)


def _many(count: int, noun: str) -> str:
    """`1 image`, `2,000 images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _ids(noun: str, what: str, ids: Sequence[str]) -> str:
    more = ", ..." if len(ids) > FEW else ""
    return _wrapped(f"{_many(len(ids), noun)} {what}: {', '.join(ids[:FEW])}{more}") if ids else ""


def _files(files: checking.Files, verbose: bool) -> Iterator[str]:
    yield "The files"
    yield f"  found {files.found:,} of the {files.images:,} images that the tables name"
    if files.fault:
        yield _wrapped(files.fault, 2)
        return
    for kind in _KINDS:
        yield from _listed(kind, [f"{p.path}: {p.reason}" for p in files.of(kind)], verbose)
    for rule, _ in collections.Counter(repair.rule for repair in files.repairs).most_common():
        lines = [f"{r.path}: {r.what}" for r in files.repairs if r.rule == rule]
        yield from _listed(f"repaired, {rule}", lines, verbose)
    if not files.problems and not files.repairs:
        yield "  none missing, none unreadable, none repaired"


def _listed(what: str, lines: Sequence[str], verbose: bool) -> Iterator[str]:
    if not lines:
        return
    yield f"  {what}: {len(lines):,}"
    shown = lines if verbose else lines[:FEW]
    yield from (_wrapped(line, 4) for line in shown)
    if len(shown) < len(lines):
        yield f"    ... and {len(lines) - len(shown):,} more; --verbose lists them all"


def _pixels(check: checking.Check) -> Iterator[str]:
    pixels, width = check.pixels, 15
    rows, columns = checking_pixels.MEAN_SHAPE
    more = ", spread over the dataset (--images N or --all opens more)" if pixels.images < check.files.found else ""
    yield f"The pixels of {_many(pixels.images, 'image')}{more}"
    yield _fact("rows x columns", _tally([f"{h} x {w}" for (h, w), _ in pixels.sizes], pixels.sizes), width)
    yield _fact("pixel spacing", _tally([_spacing(mm) for mm, _ in pixels.spacings_mm], pixels.spacings_mm), width)
    if pixels.lossy:
        yield _fact("compression", f"lossy in {pixels.lossy:,} of {pixels.images:,}", width)
    for i, gray in enumerate(pixels.gray):
        yield _fact("" if i else "stored grays", _gray(gray), width)
    yield _fact("breast", f"{_percent(pixels.breast)} of the image", width)
    yield _fact(
        "dark", f"{_percent(pixels.dark)} of the pixels lie below {checking_pixels.DARK:.0%} of the scale", width
    )
    yield _fact("mean gray", f"{_mean(pixels)} of 255, images reduced to {rows} x {columns}", width)
    if check.about.mean_8bit is not None:
        yield _fact("", f"{check.about.mean_8bit:g} in {check.about.mean_source}{_far(check)}", width)
    sizes = [f"{kind or 'of unknown kind'} {_size(size)}" for kind, size in pixels.lesions_mm.items()]
    if pixels.lesions_without_size:
        sizes.append(f"{_many(pixels.lesions_without_size, 'lesion')} without a region or a pixel spacing")
    for i, line in enumerate(sizes):
        yield _fact("" if i else "lesions", line, width)


def _size(found: checking_pixels.Range) -> str:
    """Of the longest side of the lesions' boxes, in mm."""
    if found.count == 1:
        return f"{found.median:.0f} mm (1)"
    return f"{found.low:.0f} to {found.high:.0f} mm, median {found.median:.0f} mm ({found.count:,})"


def _tally(names: Sequence[str], counted: Sequence[tuple[Any, int]]) -> str:
    """`1024 x 1024 in all`, the value alone of one image, or the most frequent values with their numbers."""
    if len(counted) == 1:
        return names[0] if counted[0][1] == 1 else f"{names[0]} in all"
    shown = ", ".join(f"{name} ({count:,})" for name, (_, count) in zip(names[:FEW], counted[:FEW], strict=True))
    return shown + (f" and {len(counted) - FEW:,} others" if len(counted) > FEW else "")


def _spacing(mm: float | None) -> str:
    return "unknown" if mm is None else f"{mm:.4g} mm"


def _gray(gray: checking_pixels.Gray) -> str:
    few = f"; {gray.faint:,} with nothing above an eighth of the scale: fewer bits?" if gray.faint else ""
    return (
        f"{gray.bits} bits ({gray.images:,}): least {gray.minimum:,}, 1 % {gray.low:,}, median {gray.median:,}, "
        f"99 % {gray.high:,}, largest {gray.maximum:,}{few}"
    )


def _percent(share: checking_pixels.Range) -> str:
    return f"{share.median:.0%}" + (f" ({share.low:.0%} to {share.high:.0%})" if share.count > 1 else "")


def _mean(pixels: checking_pixels.Pixels) -> str:
    if math.isnan(pixels.mean_8bit_error):
        return f"{pixels.mean_8bit:.1f}"
    return f"{pixels.mean_8bit:.1f} (standard error {pixels.mean_8bit_error:.1f})"


def _far(check: checking.Check) -> str:
    """Says that the mean is another than the published one, beyond what the sample leaves open."""
    pixels, published = check.pixels, check.about.mean_8bit
    noise = 3 * pixels.mean_8bit_error  # unknown for one image, of which nothing is said then
    if math.isnan(noise) or abs(pixels.mean_8bit - published) <= max(_OUTSIDE * published, noise):
        return ""
    if _is_phantom(check):
        return "; this is a phantom, which need not come near"
    return "; these files are far from it: they were converted in another way, or are other images"
