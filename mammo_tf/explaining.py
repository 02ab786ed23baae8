"""Heatmaps over mammograms: where the patch net behind a run sees a malignant lesion, beside what the run answers.

Heat is P(malignant mass) + P(malignant calcification) of the patch net slid over the image (Shen et al. 2019, section
2.1); a net with a heatmap of its own is asked for that one. `pictures` and `flips` are hooks of `run.Run.after`,
`explain` is the command `mammo-tf explain`.

    paths = explain(record, images=[pathlib.Path("view.png")], out=pathlib.Path("pictures"))
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import keras
import numpy as np

from mammo_tf import artifacts, cases, figures, figures_mammograms, records, reuse
from mammo_tf.datasets import folder_files, patch_sets, patch_table
from mammo_tf.evaluation import combine, compare, intervals

FILE, PATCHES = "heatmaps.npz", "patches.csv"
MALIGNANT = tuple(i for i, name in enumerate(patch_sets.CLASSES) if name.startswith("malignant"))


@dataclasses.dataclass(frozen=True)
class Shown:
    """Images with their heat, ready to draw.

    Attributes:
        images: (N, H, W) uint16 at the net's size, 65535 is white.
        heat: (N, h, w) float32 in [0, 1], edge to edge with the image; NaN where no window is centred
        masks: bool (N, H, W), the annotated ROIs filled.
        titles: N.
        source: whose heat it is.
    """

    images: np.ndarray
    heat: np.ndarray
    masks: np.ndarray
    titles: tuple[str, ...]
    source: str


def heat_net(folder: pathlib.Path, fitted: Any) -> tuple[Any, str] | None:
    """A fitted net that gives heatmaps (N, u, v, classes) for a run, and what it is; None where there is none."""
    if getattr(fitted, "classes", 2) > 2:
        return reuse.heatmap_net(folder, patch_table.image_shape(folder / PATCHES)), "heatmap of the patch net"
    names = [layer.name for layer in fitted.model.layers] if hasattr(fitted, "model") else []
    if "heatmap_logits" in names:
        logits = fitted.model.get_layer("heatmap_logits").output
        softmax = keras.layers.Softmax(name="heat", dtype="float32")(logits)
        own = keras.Model(fitted.model.input, softmax, name="heat")
        return dataclasses.replace(fitted, model=own), "heatmap inside the net"
    return _started_from(folder, shape_of(fitted))


def _started_from(folder: pathlib.Path, shape: tuple[int, int] | None) -> tuple[Any, str] | None:
    patch = reuse.patch_folder(folder)
    if patch is None or shape is None:
        return None
    return reuse.heatmap_net(patch, shape), "heatmap of the patch net that it started from"


def shape_of(fitted: Any) -> tuple[int, int] | None:
    """(height, width) of the images that a fitted method takes, None where it takes none."""
    for holder in (fitted, getattr(fitted, "net", None), *getattr(fitted, "nets", ())):
        if hasattr(holder, "pipeline"):
            return holder.pipeline.shape
    return None


def maps(net: Any, source: str, examples: Sequence[cases.Example], titles: Sequence[str]) -> Shown:
    """Images, heat and ROIs of some examples."""
    arrays = net.pipeline.load(examples, strict=True)
    heat = placed(reuse.heatmaps(net, examples)[..., MALIGNANT].sum(axis=-1), net.pipeline.shape)
    masks = np.stack([roi_mask(example.views[0], net.pipeline.shape) for example in examples])
    return Shown(arrays.images, heat, masks, tuple(titles), source)


def roi_mask(view: cases.View, shape: tuple[int, int]) -> np.ndarray:
    """Every annotated ROI of a view, filled, at (height, width): bool, True where a pixel holds any part of one."""
    mask = np.zeros(view.shape, np.float32)
    for lesion in view.lesions:
        if lesion.region is not None:
            np.maximum(mask, lesion.region.mask(view.shape), out=mask)
    return cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_AREA) > 0


def placed(heat: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Heat of windows (N, u, v), each window's at its centre: (N, 2 H/32, 2 W/32), NaN where no centre lies.

    A window is `pool` cells of 32 pixels a side and moves by one, so u = H/32 - pool + 1. Half cells: the centre
    of an even number of cells lies between two.

    >>> placed(np.ones((1, 2, 2)), (96, 96))[0, :, 2].tolist()
    [nan, 1.0, 1.0, 1.0, 1.0, nan]
    """
    halves = heat.repeat(2, axis=1).repeat(2, axis=2).astype(np.float32)
    rims = [(0, 0), *((side // 32 - cells,) * 2 for side, cells in zip(shape, heat.shape[1:], strict=True))]
    return np.pad(halves, rims, constant_values=np.nan)


def pictures(done: Any) -> dict[str, intervals.Estimate]:
    """Hook: the surest true and false positives and negatives with their heat, as `heatmaps.png` and `.npz`."""
    found = heat_net(done.folder, done.fitted)
    if found is None or done.predictions.classes > 2:
        return {}
    chosen = figures_mammograms.four_cases(done.predictions.labels, done.predictions.scores)
    examples = [done.predictions.examples[i] for i in chosen.values()]
    titles = [f"{outcome}\nP {done.predictions.scores[i]:.2f}" for outcome, i in chosen.items()]
    shown = maps(*found, examples, titles)
    save(shown, done.folder, done.shown.note)
    return {}


def save(shown: Shown, folder: pathlib.Path, note: str) -> list[pathlib.Path]:
    """Writes the picture and the arrays; returns both paths."""
    picture, arrays = folder / "heatmaps.png", folder / FILE
    figure = figures_mammograms.heatmaps(
        shown.images / 65535, shown.heat, shown.titles, outlines=shown.masks, note=f"{shown.source}; {note}"
    )
    figures.save(figure, picture)
    facts = {field.name: getattr(shown, field.name) for field in dataclasses.fields(shown)}
    np.savez_compressed(arrays, **{**facts, "titles": np.array(shown.titles), "source": np.array(shown.source)})
    return [picture, arrays]


def read(folder: pathlib.Path) -> Shown:
    """What `save` has written.

    Raises:
        cases.DataError: the run has drawn none.
    """
    try:
        with np.load(folder / FILE, allow_pickle=False) as stored:
            facts = {field.name: stored[field.name] for field in dataclasses.fields(Shown)}
    except (OSError, ValueError, KeyError) as error:
        raise cases.DataError(
            folder / FILE, f"no examples kept by the run; name some by --images ({error})"
        ) from None
    return Shown(**{**facts, "titles": tuple(map(str, facts["titles"])), "source": str(facts["source"])})


def flips(done: Any) -> dict[str, intervals.Estimate]:
    """Hook: AUC of the mean over an image's four flips, and what that adds, paired ("A-AUC" of Tables 2 and 3)."""
    p = done.predictions
    averaged = combine.four_flips(done.fitted.four_flips(p.examples))
    done.ledger.read(done.reported)
    flipped = dataclasses.replace(p, scores=averaged[:, 1].astype(float))
    artifacts.write_predictions(done.folder / "predictions_flips.csv", flipped)
    gain = compare.compare(p.labels, flipped.scores, p.scores, p.patients)
    return {"auc_four_flips": intervals.auc(p.labels, flipped.scores, p.patients), "auc_flip_gain": gain.auc}


def patch_picture(done: Any) -> dict[str, intervals.Estimate]:
    """Hook: the coordinates of all patches as `patches.csv`, and those of one training image drawn on it."""
    patch_table.write(done.folder / PATCHES, done.parts)
    image = next((e for e in done.parts.train if e.roi_id), done.parts.train[0]).views[0].load.view
    mine = [e for e in done.parts.train if e.views[0].load.view is image]
    windows = [(e.views[0].load, int(e.label)) for e in mine]
    boxes = [(w.top, w.left, w.height, label) for w, label in windows]
    pixels = image.pixels()
    masks = [lesion.region.mask(pixels.shape) for lesion in image.lesions if lesion.region is not None]
    outline = np.any(masks, axis=0) if masks else np.zeros(pixels.shape, bool)
    figure = figures_mammograms.patches_on_view(
        pixels / 65535, boxes, done.shown.class_names, outlines=outline, note=f"{image.id}; {done.shown.note}"
    )
    figures.save(figure, done.folder / "patches.png")
    return {}


def patch_heat(done: Any) -> dict[str, intervals.Estimate]:
    """Hook: the patch net's heat over one image of the reported part for each class of lesion, as `pictures` does."""
    found: dict[int, cases.Example] = {}
    for example in done.predictions.examples:
        label, image = int(example.label), example.views[0].load.view
        if label and label not in found:
            found[label] = dataclasses.replace(example, id=image.id, views=(image,))
    if found:
        examples = [found[label] for label in sorted(found)]
        shape = (examples[0].views[0].load.height, examples[0].views[0].load.width)
        titles = [done.shown.class_names[label] for label in sorted(found)]
        net = reuse.heatmap_net(done.folder, shape)
        save(maps(net, "heatmap of the patch net", examples, titles), done.folder, done.shown.note)
    return {}


def first_fit(folder: pathlib.Path) -> pathlib.Path:
    """Where a run's net and examples lie: its folder, or that of its first split where it has several."""
    return folder / "fold0" if (folder / "fold0").is_dir() else folder


def heatmap(
    record: records.Record, images: Sequence[pathlib.Path], out: pathlib.Path, bits: int | None
) -> list[pathlib.Path]:
    """Method "heatmap": of the files, or of the examples that the run has kept."""
    folder = first_fit(pathlib.Path(record.folder))
    note = f"{record.run}, {record.protocol}: {record.dataset} ({record.dataset_kind}), budget {record.budget}"
    if not images:
        return save(read(folder), out, note)
    one_net = (folder / "preprocessing.json").is_file()  # or an average of nets, or two steps: no net of their own
    fitted = reuse.load(folder) if one_net else None
    found = heat_net(folder, fitted) if one_net else _started_from(folder, read(folder).images.shape[1:])
    if found is None:
        raise cases.DataError(folder, "neither the run nor what it started from is a patch net with a heatmap")
    examples = [example_of(path, bits, record.intensity) for path in images]
    titles = [path.stem for path in images]
    if fitted is not None and len(record.class_names) == 2:
        answers = zip(titles, fitted(examples)[:, 1], strict=True)
        titles = [f"{name}\nP({record.class_names[1]}) {p:.2f}" for name, p in answers]
    return save(maps(*found, examples, titles), out, note)


def _by_maps(record: records.Record, *given: Any, **how: Any) -> list[pathlib.Path]:
    """One of MAPS. By name: no number of a run hangs on what draws it, and hashes count what a module imports."""
    return importlib.import_module("mammo_tf.explaining_methods").explain(record, *given, **how)


MAPS = (
    "saliency",
    "smoothgrad",
    "gradient_x_input",
    "integrated_gradients",
    "occlusion",
    "lrp_epsilon",
    "lrp_z_plus",
    "lrp_composite",
    "deconvnet",
    "guided_backpropagation",
    "gradcam",
    "unit_masking",
    "activation_maximisation",
    "all",
)
METHODS: dict[str, Callable[..., list[pathlib.Path]]] = {"heatmap": heatmap}
METHODS |= {name: functools.partial(_by_maps, method=name) for name in MAPS}


def example_of(path: pathlib.Path, bits: int | None, intensity: str = "raw") -> cases.Example:
    """One image file (DICOM, PNG, TIFF, PGM, JPEG) as an example without a label that is known.

    Args:
        path: the file; a dark background is taken for granted.
        bits: of the stored values, where the file's own number is not to be believed (12-bit values in a 16-bit PNG).
        intensity: how DICOM values become gray values (`datasets.dicom`), as in the run's training.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise cases.MissingError(path, "no such file")
    image = folder_files.stored(path, intensity)
    view = cases.View(
        id=path.stem,
        patient_id=path.stem,
        side=None,
        projection=cases.Projection.OTHER,
        load=image.open,
        max_value=2**bits - 1 if bits else image.max_value,
        path=str(path),
    )
    return cases.Example(path.stem, path.stem, (view,), 0.0)


def explain(
    record: records.Record,
    *,
    method: str = "heatmap",
    images: Sequence[pathlib.Path] = (),
    out: pathlib.Path,
    bits: int | None = None,
    name: str | None = None,
    scored: bool = True,
) -> list[pathlib.Path]:
    """Draws a run's explanations into a folder; returns the files written.

    Args:
        record: of a finished run, whose folder is still there.
        method: a name of `METHODS`.
        images: files to explain; none stands for the examples that the run kept.
        out: the folder, made where it is missing.
        bits: see `example_of`.
        name: of the class to explain, or its number; None for the predicted class. Not of a heatmap.
        scored: whether the maps are scored too, as far as they can be.

    Raises:
        cases.MammoError: no such method or class; a file that cannot be read; a run without a heatmap.
    """
    if method not in METHODS:
        raise cases.MammoError(f"--method {method}: there are {', '.join(METHODS)}")
    if name is not None and method not in MAPS:
        raise cases.MammoError(f"--class {name}: --method {method} shows malignant lesions alone")
    how = {"name": name, "scored": scored} if method in MAPS else {}
    return METHODS[method](record, images, artifacts.make_folder(pathlib.Path(out)), bits, **how)
