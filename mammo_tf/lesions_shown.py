"""Pictures of the lesions that a run on crops has seen, and the size of its net: hooks of `run.Run.after`.

`seeds` is figure 1 of Yi et al. 2017 (both views with the crop round the seed), `responses` what a net's filter bank
gives it, `bands` the straightened bands of Sahiner's method, `saliency` the maps of `artifacts.saliency` for examples
of two views.

    run.Run(..., after=(lesions_shown.seeds, lesions_shown.saliency))
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from mammo_tf import artifacts, cases, figures, figures_bands, figures_mammograms
from mammo_tf.classical import rbst
from mammo_tf.evaluation import intervals

Claims = dict[str, intervals.Estimate]


def saliency(done: Any) -> Claims:
    """Hook: saliency maps of the first views and how much lies at the rim, as `artifacts.saliency`."""
    single = tuple(first_view(example) for example in done.predictions.examples)
    predictions = dataclasses.replace(done.predictions, examples=single)
    return artifacts.saliency(done.folder, done.fitted, predictions, done.shown)


def size(done: Any) -> Claims:
    """Hook: how many parameters the net has, in millions, as the claim `parameters`."""
    count = done.fitted.model.count_params() / 1e6
    return {"parameters": intervals.Estimate(count, count, count, 1, "counted")}


def first_view(example: cases.Example) -> cases.Example:
    return dataclasses.replace(example, views=example.views[:1])


def of_each_class(done: Any) -> list[cases.Example]:
    """The first example of each class in the reported part, the last class first."""
    found: dict[float, cases.Example] = {}
    for example in done.predictions.examples:
        found.setdefault(example.label, example)
    return [found[label] for label in sorted(found, reverse=True)]


def seeds(done: Any) -> Claims:
    """Hook: the views of an example of the highest class, the crop as a red square, and the crops: `seeds.png`."""
    example = of_each_class(done)[0]
    windows = [view.load for view in example.views]
    whole = [(str(view.projection), w.view.pixels(), w) for view, w in zip(example.views, windows, strict=True)]
    drawn = [(f"{name}, {w.height} pixels a side", image, (w.top, w.left, w.height)) for name, image, w in whole]
    crops = [view.pixels() for view in example.views]
    name = done.shown.class_names[int(example.label)]
    figure = figures_mammograms.seeds(drawn, crops, title=f"The crop round the seed, {name}", note=done.shown.note)
    figures.save(figure, done.folder / "seeds.png")
    return {}


def responses(done: Any) -> Claims:
    """Hook: one normalised crop and the answers of the layer named "dog" to it, as `responses.png`."""
    names = [layer.name for layer in done.fitted.model.layers]
    if "dog" not in names:
        return {}
    layer = done.fitted.model.get_layer("dog")
    pipeline, example = done.fitted.pipeline, first_view(of_each_class(done)[0])
    arrays = pipeline.load([example], strict=True)
    images, _, _ = next(iter(pipeline.evaluate(arrays, done.fitted.normalizer)))
    bank = keras.ops.convert_to_numpy(keras.ops.cast(layer(images), "float32"))[0]
    titles = ["input", *(f"DoG, sigma {sigma:.2f}" for sigma in layer.sigmas)]
    note = f"each from its least to its largest value; {done.shown.note}"
    figure = figures.contact_sheet(list(np.moveaxis(bank, -1, 0)), titles, 3, title="Filter bank", note=note)
    figures.save(figure, done.folder / "responses.png")
    return {}


def bands(done: Any) -> Claims:
    """Hook: the first mass of each class with its band straightened below it, as `bands_<class>.png`."""
    method = done.fitted.method
    width = method.features.keywords["width"]
    for example in of_each_class(done):
        image, mask, _ = method.prepared(example.views[0])
        band = rbst.straightened(image, mask, width=width)
        name = done.shown.class_names[int(example.label)]
        figure = figures_bands.straightened(
            image, mask, band, title=f"A {name} mass and its band", note=done.shown.note
        )
        figures.save(figure, done.folder / f"bands_{int(example.label)}.png")
    return {}
