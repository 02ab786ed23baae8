"""What a split lets leak, measured: patients and annotated regions that stand in training and in a later part.

Three crops of each region dealt 80/20 at random give every later crop a relative in training, but for 0.2^2:

    audit.overlap(parts)["val"]["roi_share"]     # 0.96
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from mammo_tf import cases, records
from mammo_tf.datasets import splits

PATIENTS_FILE = "patients.json"


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Counts in the file `path` how often the labels of each part were scored; a resumed run goes on counting."""

    path: pathlib.Path

    def read(self, part: str, times: int = 1) -> int:
        """Adds `times` and returns the total of the part."""
        counts = self._counts()
        counts[part] = counts.get(part, 0) + times
        records.write_json(counts, self.path)
        return counts[part]

    def count(self, part: str) -> int:
        """How often the labels of the part were scored so far."""
        return self._counts().get(part, 0)

    def _counts(self) -> dict[str, int]:
        return json.loads(self.path.read_text()) if self.path.is_file() else {}


def overlap(parts: cases.Splits) -> dict[str, dict[str, float]]:
    """For validation and test (where not empty): how much of them has a relative in training.

    Returns:
        part -> `examples` (how many), `with_patient_in_train` and `with_roi_in_train` (how many of them share the
        patient, and the annotated region, with a training example), `patient_share` and `roi_share` (the same as
        fractions of `examples`, in [0, 1]).
    """
    patients = {e.patient_id for e in parts.train}
    rois = {e.roi_id for e in parts.train if e.roi_id}
    out = {}
    for name, part in (("val", parts.val), ("test", parts.test)):
        if part:
            same_patient = sum(e.patient_id in patients for e in part)
            same_roi = sum(e.roi_id in rois for e in part)
            out[name] = {
                "examples": len(part),
                "with_patient_in_train": same_patient,
                "with_roi_in_train": same_roi,
                "patient_share": same_patient / len(part),
                "roi_share": same_roi / len(part),
            }
    return out


def sizes(parts: cases.Splits) -> dict[str, dict[str, int]]:
    """Part -> examples, patients, positives (examples of class 1), rois; empty parts are left out."""
    return {
        name: {
            "examples": len(part),
            "patients": len({e.patient_id for e in part}),
            "positives": sum(e.label == 1 for e in part),
            "rois": len({e.roi_id for e in part if e.roi_id}),
        }
        for name, part in parts_of(parts).items()
        if part
    }


def in_words(parts: cases.Splits) -> str:
    """Examples and patients of each part, in one line."""
    return ", ".join(f"{name} {s['examples']} ({s['patients']} patients)" for name, s in sizes(parts).items())


def refuse_empty(parts: cases.Splits, reported: str) -> None:
    """Raises cases.MammoError unless training, validation and the reported part hold both classes.

    A split without a validation part has none to hold them.
    """
    if not getattr(parts, reported):
        raise cases.MammoError(f"split: the protocol reports the {reported} part, but the split leaves it empty")
    splits.require_classes(parts, tuple(dict.fromkeys(("train", *(("val",) if parts.val else ()), reported))))


def write_patients(folder: pathlib.Path, parts: cases.Splits) -> None:
    """Writes which patients stood in which part, for `refuse_shared_patients` of a later run."""
    named = {name: sorted({e.patient_id for e in part}) for name, part in parts_of(parts).items()}
    records.write_json(named, folder / PATIENTS_FILE)


def refuse_shared_patients(
    folder: pathlib.Path, their_fingerprint: str, parts: cases.Splits, our_fingerprint: str
) -> None:
    """Refuses an earlier run that has learned from patients whom this run validates or tests on.

    Its training patients must not meet this run's validation or test part, nor its validation patients (its epoch was
    chosen on them) this run's test part. Another dataset has other patients; a split with a named leak may share.

    Args:
        folder: of the earlier run, with the file of `write_patients`.
        their_fingerprint, our_fingerprint: of the datasets of the earlier run and of this one.
        parts: of this run.

    Raises:
        cases.MammoError: patients are shared.
        cases.DataError: the folder does not say who its patients were.
    """
    if their_fingerprint != our_fingerprint or parts.leaks:
        return
    theirs = _read_patients(folder / PATIENTS_FILE)
    ours = {name: {e.patient_id for e in part} for name, part in parts_of(parts).items()}
    for learned, scored in (("train", "val"), ("train", "test"), ("val", "test")):
        if shared := sorted(ours[scored].intersection(theirs[learned])):
            raise cases.MammoError(
                f"{folder}: {len(shared)} patient(s) of its {learned} part stand in this run's {scored} part "
                f"({', '.join(shared[:3])}); train it on the same split"
            )


def parts_of(parts: cases.Splits) -> dict[str, tuple[cases.Example, ...]]:
    """The three parts by name."""
    return {"train": parts.train, "val": parts.val, "test": parts.test}


def _read_patients(path: pathlib.Path) -> dict[str, Any]:
    try:
        named = json.loads(path.read_text())
    except OSError as error:
        raise cases.DataError(path, f"cannot tell the patients of the earlier run: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise cases.DataError(path, f"not JSON: {error}") from None
    if not isinstance(named, dict) or {"train", "val", "test"} - set(named):
        raise cases.DataError(path, "expected lists of patients by part: train, val, test")
    return named
