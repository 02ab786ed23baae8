"""A pipeline for patches of whole images: each image is decoded once, its patches are cut on the fly.

An example's view is a window (`View.window`) of a resized view (`View.resized`), as large as the net's input. Nothing
of the size of all patches together is ever held: Shen et al. (2019) cut 20 patches round each of 2,500 lesions.

    page = view.resized(1152, 896, resize.area)
    examples = [Example(id, patient, (page.window(top, left, 224, 224),), label=2.0) for ...]
    arrays = PatchPipeline(side=224, normalize=normalize.train_mean).load(examples)
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from concurrent import futures

import numpy as np

from mammo_tf import cases
from mammo_tf.pipeline import arrays as loaded
from mammo_tf.pipeline import build

ALGORITHM_VERSION = 1


@dataclasses.dataclass(frozen=True)
class PatchPipeline(build.Pipeline):
    """A `build.Pipeline` whose `side` is that of the patches; `resize` is not used, the pages have their size.

    `normalize` sees the pages, so the mean of a training set is that of its whole images, as in Shen et al. (2019).
    """

    def __post_init__(self):
        super().__post_init__()
        if self.margin:
            raise cases.MammoError(
                f"pipeline: patches are cut from their pages and have no margin, found {self.margin}"
            )

    def load(self, examples: Sequence[cases.Example], *, strict: bool = False) -> build.Arrays:
        """Decodes the pages in threads, each once: views are one page if they are one object or share their id.

        Args:
            examples: each with one view, a window of the pipeline's shape; the pages uint16 with the max_value 65535
                and all of one size. A label is a class number.
            strict: raise at the first unreadable page instead of leaving its patches out.

        Raises:
            DataError: with `strict`, a page is unreadable.
            MammoError: no example is left, a label is unknown, a view is no window or one of another size, or a page
                has another max_value, dtype or size than the others.
        """
        loaded.check_examples(examples)
        windows = [self._window(example) for example in examples]
        parents = {id(window.view): window.view for window in windows}
        pages = {view.id: view for view in parents.values()}
        with futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            decoded = pool.map(functools.partial(build.decode, strict=strict), pages.values())
            images, place, problems = _stack(zip(pages.values(), decoded, strict=True), len(pages))
        kept = [i for i, window in enumerate(windows) if window.view.id in place]
        if not kept:
            first = f"; the first: {problems[0].path}: {problems[0].reason}" if problems else ""
            raise cases.MammoError(f"pipeline: no patch left of {len(examples)}{first}")
        where = [(place[windows[i].view.id], windows[i].top, windows[i].left) for i in kept]
        return loaded.collect(
            [examples[i] for i in kept], images=images, problems=problems, where=np.array(where, np.int32)
        )

    def _window(self, example: cases.Example) -> cases.WindowLoader:
        window = example.views[0].load
        if not isinstance(window, cases.WindowLoader):
            raise cases.MammoError(f"pipeline: the view of {example.id} is no window of an image")
        if (window.height, window.width) != self.shape:
            raise cases.MammoError(
                f"pipeline: the window of {example.id} is {(window.height, window.width)}, the net takes {self.shape}"
            )
        if window.view.max_value != np.iinfo(np.uint16).max:
            raise cases.MammoError(
                f"pipeline: the page {window.view.id} has the max_value {window.view.max_value}, expected 65535"
            )
        return window


def _stack(
    decoded: Iterator[tuple[cases.View, np.ndarray | cases.Problem]], count: int
) -> tuple[np.ndarray, dict[str, int], tuple[cases.Problem, ...]]:
    """Pages one by one into one array: (M, H, W) uint16, view id -> page, and those that cannot be read."""
    images, place, problems = np.zeros((0, 0, 0), np.uint16), {}, []
    for view, page in decoded:
        if isinstance(page, cases.Problem):
            problems.append(page)
            continue
        if not place:
            images = np.empty((count, *page.shape), np.uint16)
        if page.dtype != np.uint16 or page.shape != images.shape[1:]:
            raise cases.MammoError(
                f"pipeline: {view.path or view.id} is {page.dtype} {page.shape}, the first page uint16 "
                f"{images.shape[1:]}"
            )
        images[len(place)] = page
        place[view.id] = len(place)
    return images[: len(place)], place, tuple(problems)
