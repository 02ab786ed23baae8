"""What lets a number be higher than it should: an audit of a dataset, and of a run that has ended.

Of a dataset: patients, exposures and images that stand in both official parts, films that stand there twice, and
labels that can be told from the files without looking at the image. Of a run: what its record and its folder say of
how the reported part was dealt, touched and chosen on.

    found = of_dataset(cbis_ddsm, root)             # [Finding("patients in both official parts", 31, ...)]
    found = of_runs(pathlib.Path("runs/ao2020/..."))
"""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
import types
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from mammo_tf import artifacts, cases, certificates, labels, pairs, records
from mammo_tf.datasets import about, likeness
from mammo_tf.evaluation import folds, intervals, metrics

SHOWN = 5  # examples of each finding
SOURCE_FOLDS = 5
SOURCE_P, SOURCE_DEALS = 0.01, 199
SOURCE_AUC = 0.6  # from where on, its interval wholly above 0.5, a label told by metadata is a finding


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        kind: what it is, a fixed phrase.
        count: how many.
        examples: some of them, at most SHOWN.
        leak: True where a number may be too high for it; False where it is only to be known.
        note: what it means, or what was measured.
    """

    kind: str
    count: int
    examples: tuple[str, ...]
    leak: bool = True
    note: str = ""


def _finding(kind: str, some: Iterable[Any], note: str = "", *, leak: bool = True) -> list[Finding]:
    """A finding of these, or none where there are none."""
    some = sorted(map(str, some))
    return [Finding(kind, len(some), tuple(some[:SHOWN]), leak, note)] if some else []


def of_tables(entries: Sequence[about.Entry]) -> list[Finding]:
    """What a dataset's tables alone say: patients, exposures and images of both official parts."""
    patients = _in_both(entries, lambda entry: entry.patient_id)
    exposures = _in_both(entries, lambda e: " ".join((e.patient_id, e.side, e.view)) if e.side and e.view else "")
    images = _in_both(entries, lambda entry: entry.image)
    return [
        *_finding("patients in both official parts", patients, "pool no parts without taking them out of one"),
        *_finding("exposures in both official parts", exposures, "one breast, one projection, in both"),
        *_finding("images in both official parts", images),
    ]


def _in_both(entries: Sequence[about.Entry], key: Callable[[about.Entry], Hashable]) -> list[Hashable]:
    parts = collections.defaultdict(set)
    for entry in entries:
        if entry.part:
            parts[key(entry)].add(entry.part)
    return [one for one, some in parts.items() if one and len(some) > 1]


def of_views(views: Sequence[cases.View], policy: labels.LabelPolicy) -> list[Finding]:
    """What the files say: films that stand there twice, and labels that metadata tell.

    Twins of one patient are only to be known of; of two patients, or in two official parts, they are a leak.
    """
    pairs, problems = likeness.twins(views)
    named = {True: [], False: []}
    for pair in pairs:
        apart = pair.one.patient_id != pair.other.patient_id or _parts(pair.one) != _parts(pair.other)
        turned = ", mirrored" if pair.mirrored else ""
        named[apart].append(f"{pair.one.id} and {pair.other.id} ({pair.correlation:.2f}{turned})")
    return [
        *_finding("films of two patients or parts that are one", named[True], "correlation of detail"),
        *_finding("films of one patient that are one", named[False], "correlation of detail", leak=False),
        *source(views, policy),
        *_finding("images that cannot be read", [p.path for p in problems], "left out of the audit", leak=False),
    ]


def _parts(view: cases.View) -> set[str]:
    return {lesion.part for lesion in view.lesions if lesion.part} or {str(view.attributes.get("part", ""))}


def source(views: Sequence[cases.View], policy: labels.LabelPolicy) -> list[Finding]:
    """A label that size, depth, pixel size and the dataset's word on film and digitizer tell without the image.

    A tree of three levels learns it in folds of patients; a finding where the mean AUC is at least SOURCE_AUC, its
    interval lies above 1/2, and hardly any dealing of the labels to other patients reaches as much (SOURCE_P): folds
    share their training parts, which the interval does not know.
    """
    known = [(view, policy.view(view)) for view in views]
    known = [(view, int(label)) for view, label in known if not math.isnan(label)]
    y = np.array([label for _, label in known])
    patients = np.array([view.patient_id for view, _ in known])
    table, names = _metadata([view for view, _ in known])
    if len(set(y)) < 2 or not table.shape[1] or not (scored := _scored(table, y, patients)):
        return []
    found: intervals.Estimate = folds.evaluate(scored)["auc"]
    if not (found.value >= SOURCE_AUC and found.low > 0.5):
        return []
    p = _reached(table, y, patients, found.value)
    if p > SOURCE_P:
        return []
    told = f"AUC {found.value:.3f} [{found.low:.3f}, {found.high:.3f}], p {p:.3f}"
    note = f"{told}, of {policy.name} from {', '.join(names)} alone"
    return [Finding("the label goes with the source of the image", len(y), tuple(names), True, note)]


def _scored(table: np.ndarray, y: np.ndarray, patients: np.ndarray) -> list[folds.Fold]:
    """What the tree says of each fold's test part; empty where no fold holds both classes."""
    from sklearn import tree

    found = []
    for train, test in _folds(y, patients):
        fitted = tree.DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)
        fitted.fit(table[train], y[train])
        found.append(folds.Fold(y[test], fitted.predict_proba(table[test])[:, 1], patients[test]))
    return found


def _reached(table: np.ndarray, y: np.ndarray, patients: np.ndarray, value: float) -> float:
    """The share of deals of the patients' labels, this one among them, whose mean AUC is as high."""
    names, members = np.unique(patients, return_inverse=True)
    positive = np.zeros(len(names), int)
    np.maximum.at(positive, members, y)
    rng, reached = np.random.default_rng(0), 1
    for _ in range(SOURCE_DEALS):
        scored = _scored(table, rng.permutation(positive)[members], patients)
        reached += bool(scored) and np.mean([metrics.auc(f.labels, f.scores) for f in scored]) >= value
    return reached / (SOURCE_DEALS + 1)


def _metadata(views: Sequence[cases.View]) -> tuple[np.ndarray, list[str]]:
    """Facts of the files that vary, (N, F), and their names."""
    columns: dict[str, list[float]] = {
        "height": [view.shape[0] for view in views],
        "width": [view.shape[1] for view in views],
        "max_value": [view.max_value for view in views],
        "spacing": [view.spacing_mm or 0.0 for view in views],
        "lossy": [float(view.lossy) for view in views],
    }
    for name in ("film_type", "digitizer"):
        words = [str(view.attributes.get(name, "")).lower() for view in views]
        for word in sorted(set(words)):
            columns[f"{name} {word}".strip()] = [float(one == word) for one in words]
    varying = {name: values for name, values in columns.items() if len(set(values)) > 1}
    return np.array(list(varying.values()), float).T.reshape(len(views), len(varying)), list(varying)


def _folds(y: np.ndarray, patients: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Train and test rows, patients dealt by whether one of their images is positive; fewer folds where few are."""
    from sklearn import model_selection

    names, members = np.unique(patients, return_inverse=True)
    positive = np.zeros(len(names), int)
    np.maximum.at(positive, members, y)
    count = min(SOURCE_FOLDS, int(np.bincount(positive, minlength=2).min()))
    if count < 2:
        return []
    dealer = model_selection.StratifiedKFold(count, shuffle=True, random_state=0)
    dealt = [np.isin(members, test) for _, test in dealer.split(names, positive)]
    both = [test for test in dealt if len(set(y[test])) == len(set(y[~test])) == 2]
    return [(np.flatnonzero(~test), np.flatnonzero(test)) for test in both]


def of_dataset(
    module: types.ModuleType, root: pathlib.Path, policy: labels.LabelPolicy = labels.pathology
) -> list[Finding]:
    """Audits a folder of a format: its tables, then the images that are there.

    Raises:
        cases.DataError: as the format's reader.
    """
    return [*of_tables(module.entries(root)), *of_views(module.read(root).views, policy)]


def of_runs(path: pathlib.Path) -> dict[str, list[Finding]]:
    """Audits every run, or kept record, that a file or folder holds: name -> what was found.

    Raises:
        cases.DataError: it holds no record.
    """
    found = records.load(path)
    if not found:
        raise cases.DataError(path, "no record of a run that has ended is there")
    if len(found) == 1:
        return {str(path): of_record(found[0])}
    return {f"{path}: {record.paper} {record.label}": of_record(record) for record in found}


def of_record(record: records.Record) -> list[Finding]:
    """Audits a run that has ended: its record, and its predictions where they are there."""
    shared = record.audit.get(record.reported, {})
    part = f"the {record.reported} part"
    counted = {
        f"images of {part} whose patient is in training": shared.get("with_patient_in_train", 0),
        f"images of {part} whose region is in training": shared.get("with_roi_in_train", 0),
    }
    found = [Finding(kind, int(count), ()) for kind, count in counted.items() if count]
    found += _finding("leaks that the protocol names", record.leaks)
    if record.reported == "val" and record.selection not in ("last_epoch", "none"):
        found.append(Finding("epoch chosen on the part that is reported", 1, (record.selection,)))
    if record.reported == "val" and record.tuned and record.threshold_rule != "fixed":
        found.append(Finding("threshold chosen on the part that is reported", 1, (record.threshold_rule,)))
    if record.test_reads > 1:
        found.append(Finding(f"labels of {part} read more than once", record.test_reads, (), leak=False))
    if record.certificate:
        found += _of_certificate(record, part)
    else:
        found.append(Finding("record without a certificate, of an older version", 1, (record.hash,), leak=False))
    known = {one.kind for one in found}
    if file := pairs.predictions_file(record):
        found += [one for one in _of_predictions(record, file, part) if one.kind not in known]
    return found


def _of_certificate(record: records.Record, part: str) -> list[Finding]:
    told = record.certificate
    found = []
    for pair, counts in told["shared"].items():
        names = pair.split(" and ")
        chose = "val" in told["chosen"].values() and record.reported == "test"
        tells = record.reported in names and ("train" in names or chose)
        found += [Finding(f"{kind} in {pair}", n, (), tells) for kind, n in counts.items() if n]
    counted = {
        f"altered copies in {part}": told["copies"],
        f"images of {part} that were learned from": told["learned"],
    }
    if record.reported == "test" and "test" in told["given"]:
        counted[f"images of {part} that the method was given to fit on"] = told["parts"][record.reported]["examples"]
    if record.reported in told["watched"]:
        counted[f"images of {part} that were scored after every epoch"] = told["parts"][record.reported]["examples"]
    found += [Finding(kind, n, ()) for kind, n in counted.items() if n]
    if not certificates.matches(record):
        found.append(Finding("certificate that is not of this record", 1, (str(told.get("hash")),)))
    return found


def _of_predictions(record: records.Record, path: pathlib.Path, part: str) -> list[Finding]:
    p = artifacts.read_predictions(path)
    copies = [id for id in p.ids if (found := certificates.MADE.search(id)) and found[0] != "@test"]
    again = [id for id in p.ids if id.endswith("@test")]
    found = [
        *_finding(f"altered copies in {part}", copies),
        *_finding(f"images of {part} that were learned from", again),
    ]
    if record.certificate:
        ids = [np.array(p.ids, object)[p.folds == fold] for fold in np.unique(p.folds)]
        told = record.certificate["parts"][record.reported]["digest"]
        if certificates.digest(ids) != told:
            found.append(Finding("predictions of other images than the certificate's", len(p.ids), (path.name,)))
    return found
