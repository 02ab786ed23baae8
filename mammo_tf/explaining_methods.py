"""The command `mammo-tf explain RUN --method NAME` for every method of `explain.methods`: pictures, arrays, scores.

Each method writes `explain_<method>.png` (image, map, overlay), `explain_<method>.npz` (images, maps, classes,
probabilities, titles, ...) and, where its maps can be scored, `explain_<method>.csv`, a row an image; "all" writes
those of all of them and `explain_all.png`, a row an image and a column a method. Images are files, or the examples
that the run kept (`explaining_given`); these have their ROIs, so that what asks for the lesion is scored too. The
score of a class is its logit less the mean of all logits (`explain.methods.centred`).

    paths = explain(record, [], pathlib.Path("pictures"), None, method="lrp_epsilon")
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import logging
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import cases, explaining, explaining_given, figures, figures_explained, records, reuse
from mammo_tf.explain import answers, methods, scores, verdicts
from mammo_tf.training import precision, scoring

LOG = logging.getLogger("mammo_tf")
ALL = "all"
UNIT, PICTURE = methods.UNIT_MASKING, methods.ACTIVATION_MAXIMISATION
NAMES = (*methods.METHODS, UNIT, PICTURE)


def explain(
    record: records.Record,
    images: Sequence[pathlib.Path],
    out: pathlib.Path,
    bits: int | None,
    *,
    method: str,
    name: str | None = None,
    scored: bool = True,
) -> list[pathlib.Path]:
    """What `explaining.explain` does for these methods.

    Args:
        record, images, out, bits: as there.
        method: a name of `NAMES`, or "all".
        name: of the class to explain, or its number; None for the predicted class of each image.
        scored: whether scores are made, which takes far longer than the maps.

    Raises:
        cases.MammoError: the net is not one of one image, nothing was kept, a file or a class is not there.
    """
    folder = explaining.first_fit(pathlib.Path(record.folder))
    fitted = reuse.load(folder)
    explaining_given.refuse_other_nets(folder, fitted, record.class_names, method)
    index = explaining_given.index_of(name, record.class_names, fitted.classes)
    if images:
        examples = [explaining.example_of(path, bits, record.intensity) for path in images]
        given = explaining_given.of_examples(fitted, examples)
    else:
        given = explaining_given.nothing(fitted) if method == PICTURE else explaining_given.kept(folder, fitted)
    kind = "phantom, not patients" if record.dataset_kind == "phantom" else "real data"
    note = f"{record.run}, {record.protocol}: {record.dataset} ({kind}), budget {record.budget}"
    how = {"class_names": record.class_names, "index": index, "note": note}
    return write(fitted, given, method, out, **how, settings=methods.SETTINGS if scored else None)


def write(
    fitted: Any,
    given: explaining_given.Given,
    method: str,
    out: pathlib.Path,
    *,
    class_names: Sequence[str],
    index: int | None = None,
    note: str = "",
    settings: scores.Settings | None = methods.SETTINGS,
) -> list[pathlib.Path]:
    """The files of one method, or of "all"; returns their paths.

    Of "all" a method that the net does not fit (a layer that relevance has no rule for) is left out, with a warning.

    Args:
        fitted: of a net of one image.
        given: the images.
        method: a name of `NAMES`, or "all".
        out: a folder that is there.
        class_names: K.
        index: the class to explain; None for the predicted class of each image.
        note: what the net and its data are.
        settings: of the scores; None for none.

    Raises:
        cases.MammoError: the method does not fit the net; a file cannot be written.
    """
    model = methods.centred(precision.recast(fitted.model, "float32"))
    found = explaining_given.answered(model, given, class_names, index)
    job = _Job(model, given, found, out, tuple(class_names), index, note, settings)
    return _all(job) if method == ALL else _one(job, method)[0]


@dataclasses.dataclass(frozen=True)
class _Job:
    """What all methods of one call share."""

    model: Any
    given: explaining_given.Given
    found: explaining_given.Answered
    out: pathlib.Path
    class_names: tuple[str, ...]
    index: int | None
    note: str
    settings: scores.Settings | None


def _all(job: _Job) -> list[pathlib.Path]:
    paths, maps = [], {}
    for name in NAMES:
        try:
            written, made = _one(job, name)
        except cases.DataError:  # a folder that cannot be written is so for the others too
            raise
        except cases.MammoError as error:
            LOG.warning("%s is left out: %s", name, error)
            continue
        paths += written
        maps |= {} if made is None else {name: made}
    figure = figures_explained.montage(
        job.given.images,
        {verdicts.title(name): found for name, found in maps.items()},
        job.found.titles,
        signed={verdicts.title(name) for name in maps if methods.METHODS[name].signed},
        outlines=job.given.masks,
        title="Methods of explanation",
        note=f"{figures_explained.SCALES}; {job.note}",
    )
    return [_saved(figure, job.out / "explain_all.png"), *paths]


def _one(job: _Job, method: str) -> tuple[list[pathlib.Path], np.ndarray | None]:
    """The files of one method, and its maps where it has any to lay beside those of others."""
    if method in (UNIT, PICTURE):
        return (_units(job) if method == UNIT else _pictures(job)), None
    given, classes = job.given, job.found.classes
    explainer = methods.explainers((method,), job.model, given.images, given.inputs)[method]
    maps = answers.explained(explainer, job.model, given.inputs, classes).astype(np.float32)
    figure = figures_explained.rows(
        given.images,
        maps,
        job.found.titles,
        signed=methods.METHODS[method].signed,
        outlines=given.masks,
        title=verdicts.title(method),
        note=job.note,
    )
    facts = {"images": given.images, "maps": maps, "classes": classes, "titles": job.found.titles}
    facts |= {"probabilities": job.found.probabilities, "rois": given.masks}
    paths = [_saved(figure, job.out / f"explain_{method}.png"), _arrays(job, method, facts)]
    return ([*paths, _scores(job, method, explainer)] if job.settings else paths), maps


def _units(job: _Job) -> list[pathlib.Path]:
    given, found = job.given, methods.units(job.model, job.given.inputs, job.found.classes)
    names = [f"{title}\nchannel {k}" for title, k in zip(job.found.titles, found.channels, strict=True)]
    figure = figures_explained.rows(
        given.images,
        found.activations,
        names,
        signed=False,
        outlines=given.masks,
        third=np.where(found.masks, given.images, given.images.min(axis=(1, 2), keepdims=True)),
        names=("image", "activation of the unit", "what it sees"),
        title=f"unit masking, layer {found.layer}",
        note=job.note,
    )
    facts = {"images": given.images, "maps": found.activations, "classes": job.found.classes, "titles": names}
    facts |= {"probabilities": job.found.probabilities, "rois": given.masks, "masks": found.masks}
    facts |= {"channels": found.channels, "layer": found.layer}
    return [_saved(figure, job.out / f"explain_{UNIT}.png"), _arrays(job, UNIT, facts)]


def _pictures(job: _Job) -> list[pathlib.Path]:
    """A picture for each class, or for the one that --class names, from a start of zeros: no image is looked at."""
    classes = range(len(job.class_names)) if job.index is None else [job.index]
    start = np.zeros(job.given.inputs.shape[1:], np.float32)
    maps = np.stack([methods.maximised(job.model, k, start=start).image for k in classes])
    probabilities = scoring.softmax(explaining_given.logits(job.model, maps))
    titles = [f"{job.class_names[k]}\nP {probabilities[i, k]:.2f}" for i, k in enumerate(classes)]
    figure = figures_explained.pictures(maps.mean(axis=-1), titles, title="activation maximisation", note=job.note)
    facts = {"maps": maps, "classes": np.array(list(classes)), "titles": titles, "probabilities": probabilities}
    return [_saved(figure, job.out / f"explain_{PICTURE}.png"), _arrays(job, PICTURE, facts)]


def _arrays(job: _Job, method: str, facts: Mapping[str, Any]) -> pathlib.Path:
    path = job.out / f"explain_{method}.npz"
    with _written(path):
        np.savez_compressed(path, **{name: np.asarray(value) for name, value in facts.items()}, method=method)
    return path


def _scores(job: _Job, method: str, explainer: answers.Explainer) -> pathlib.Path:
    """A row an image; what asks for a lesion is left out where no image has one."""
    given, found, path = job.given, job.found, job.out / f"explain_{method}.csv"
    table = scores.table(job.model, given.inputs, given.masks, found.classes, {method: explainer}, job.settings)
    known = {f"{score}_chance" if of == scores.CHANCE else score: values for (of, score), values in table.items()}
    known = {name: values for name, values in known.items() if not np.isnan(values).all()}
    with _written(path), path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "class", "probability", *known])
        for i, k in enumerate(found.classes):
            numbers = (found.probabilities[i, k], *(values[i] for values in known.values()))
            writer.writerow([given.names[i], job.class_names[k], *(f"{number:.6g}" for number in numbers)])
    return path


@contextlib.contextmanager
def _written(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cases.DataError(path, f"cannot be written: {error.strerror}") from None


def _saved(figure: Any, path: pathlib.Path) -> pathlib.Path:
    figures.save(figure, path)
    return path
