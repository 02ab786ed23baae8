"""The patch sets S1 and S10 of Shen et al. 2019 (section 3.1.1): five classes of patches of whole images.

Everything happens in the frame of the resized image; in the paper that is 1152 x 896, and a patch 224 x 224. The
patches of one image are windows of one resized view: `example.views[0].load.view` is the same object for all of them.
What is drawn hangs on (seed, image, lesion) alone. The rules themselves are `patch_sampling`'s; `patch_table` keeps
what was drawn as a CSV file.

    parts, problems = patch_sets.sample_parts(
        whole, patch_sets.PAPER_S10, size=(1152, 896), patch=224, resize=resize.area, seed=0
    )
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from concurrent import futures

import numpy as np

from mammo_tf import cases, regions
from mammo_tf.datasets import patch_sampling

ALGORITHM_VERSION = 1

CLASSES = ("background", "malignant mass", "benign mass", "malignant calcification", "benign calcification")
READERS = 4  # threads that read masks; more only queue at the disk

Sampling = patch_sampling.Sampling
PAPER_S1, PAPER_S10 = patch_sampling.PAPER_S1, patch_sampling.PAPER_S10
CODE_S1, CODE_S10 = patch_sampling.CODE_S1, patch_sampling.CODE_S10

Resize = Callable[[np.ndarray, int, int], np.ndarray]
_KINDS = {"mass": "mass", "calcification": "calcification", "cluster": "calcification"}
_OUTCOMES = {
    cases.Pathology.MALIGNANT: "malignant",
    cases.Pathology.BENIGN: "benign",
    cases.Pathology.BENIGN_WITHOUT_CALLBACK: "benign",
}
_BACKGROUND = "bg"


@dataclasses.dataclass(frozen=True)
class Patch:
    """One patch as it was drawn.

    Attributes:
        id: `<image>/<sampling>/<lesion or bg>/<number>`.
        label: index in `CLASSES`.
        roi: the lesion's id, "" for background.
        top, left: the first pixel in the frame of the resized image; below 0 where the patch overhangs.
        side: rows and columns.
        eased: how often the rules had been eased when it was accepted (`patch_sampling.Sampling.relax`).
    """

    id: str
    label: int
    roi: str
    top: int
    left: int
    side: int
    eased: int = 0


def label_of(lesion: cases.Lesion) -> int | None:
    """The index in `CLASSES` of a lesion's patches; None where it has no class."""
    kind, outcome = _KINDS.get(lesion.kind), _OUTCOMES.get(lesion.pathology)
    return CLASSES.index(f"{outcome} {kind}") if kind and outcome else None


def sample_parts(
    parts: cases.Splits, sampling: Sampling, *, size: tuple[int, int], patch: int, resize: Resize, seed: int
) -> tuple[cases.Splits, tuple[cases.Problem, ...]]:
    """The patches of a split of whole images, in the same parts and in the images' order.

    Args:
        parts: examples of one view each; their labels are not looked at.
        sampling: the rules.
        size: (height, width) that every image is resized to.
        patch: rows and columns of a patch.
        resize: as for `cases.View.resized`.
        seed: of everything that is drawn.

    Returns:
        Patches with labels 0.0 to 4.0 (`CLASSES`), and what was left out: lesions without a class or a readable
        region; images whose lesions cannot be placed give no background.

    Raises:
        cases.MammoError: an example has not one view, an image is there twice, or a size is not positive.
    """
    _check(parts, size, patch)
    work = functools.partial(_of_example, sampling=sampling, size=size, patch=patch, resize=resize, seed=seed)
    dealt, problems = {}, []
    with futures.ThreadPoolExecutor(READERS) as pool:
        for name in ("train", "val", "test"):
            found = list(pool.map(work, getattr(parts, name)))
            dealt[name] = tuple(example for some, _ in found for example in some)
            problems += [problem for _, some in found for problem in some]
    return dataclasses.replace(parts, **dealt), tuple(problems)


def _check(parts: cases.Splits, size: tuple[int, int], patch: int) -> None:
    examples = (*parts.train, *parts.val, *parts.test)
    if min(*size, patch) < 1:
        raise cases.MammoError(f"patches: size and patch are at least 1 pixel, found {size} and {patch}")
    if several := [example.id for example in examples if len(example.views) != 1]:
        raise cases.MammoError(f"patches: {len(several)} examples have not one view: {', '.join(several[:3])}")
    counts = collections.Counter(example.views[0].id for example in examples)
    if twice := [id for id, count in counts.items() if count > 1]:
        raise cases.MammoError(f"patches: {len(twice)} images stand in several examples: {', '.join(twice[:3])}")


def _of_example(
    example: cases.Example, sampling: Sampling, size: tuple[int, int], patch: int, resize: Resize, seed: int
) -> tuple[list[cases.Example], tuple[cases.Problem, ...]]:
    view = example.views[0]
    drawn, problems = sample(view, sampling, size=size, patch=patch, seed=seed)
    return examples_of(view, drawn, size, resize, part=example.part), problems


def examples_of(
    view: cases.View, drawn: Sequence[Patch], size: tuple[int, int], resize: Resize, *, part: str | None = None
) -> list[cases.Example]:
    """The patches of one image as examples; their views are windows of one resized view, without `spacing_mm`."""
    # A spacing would have the image decoded to learn its aspect.
    whole = dataclasses.replace(view, spacing_mm=None).resized(*size, resize)
    return [
        cases.Example(
            id=one.id,
            patient_id=view.patient_id,
            views=(whole.window(one.top, one.left, one.side, one.side, id=one.id),),
            label=float(one.label),
            roi_id=one.roi,
            part=part,
        )
        for one in drawn
    ]


def sample(
    view: cases.View, sampling: Sampling, *, size: tuple[int, int], patch: int, seed: int
) -> tuple[tuple[Patch, ...], tuple[cases.Problem, ...]]:
    """Draws the patches of one image: those of its lesions, then the background.

    Background keeps away from every lesion, from those without a class by their box.

    Args:
        view: the whole image, in its own pixels; decoded only where `min_breast` asks for it or a lesion is no mask.
        sampling, size, patch, seed: as for `sample_parts`.
    """
    found = [_find(view, lesion, size) for lesion in view.lesions]
    problems = _problems(view, found)
    usable = [one for one in found if one.label is not None]
    out: list[Patch] = []
    for one in usable:
        rng = _stream(seed, view.id, sampling.name, one.id)
        corners = patch_sampling.positives(one.mask, sampling, patch, rng)
        out += _patches(view, sampling, one, corners, patch)
    if any(one.mask is None for one in found):
        return tuple(out), problems
    try:
        scene = patch_sampling.Scene(size, [one.mask for one in found], _breast(view, sampling, size))
    except (cases.DataError, OSError) as error:
        return tuple(out), (*problems, _problem(view, error, "no background patches"))
    count = sampling.per_roi * (1 if sampling.background_once else max(1, len(usable)))
    rng = _stream(seed, view.id, sampling.name, _BACKGROUND)
    corners = patch_sampling.background(scene, count, sampling, patch, rng)
    return (*out, *_patches(view, sampling, _Found("", label=0), corners, patch)), problems


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """A lesion in the resized image: its class, None where it has none, and its mask, None where it has no place."""

    id: str
    label: int | None = None
    mask: np.ndarray | None = None
    path: str = ""
    reason: str = ""


def _find(view: cases.View, lesion: cases.Lesion, size: tuple[int, int]) -> _Found:
    path, label = view.path or view.id, label_of(lesion)
    if lesion.region is None:
        return _Found(lesion.id, None, None, path, "the dataset does not say where it lies")
    region = regions.ScaledRegion(lesion.region, view, *size)
    try:
        mask = _filled(region.bounds(), size) if label is None else region.mask(size)
        if not mask.any():
            raise cases.DataError(getattr(lesion.region, "path", "") or path, "no pixel of it lies in the image")
    except (cases.DataError, OSError) as error:
        problem = _problem(view, error)
        return _Found(lesion.id, None, None, problem.path, problem.reason)
    reason = "" if label is not None else f"no class of patches for a {lesion.kind} that is {lesion.pathology}"
    return _Found(lesion.id, label, mask, path, reason)


def _filled(box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, bool)
    top, left, bottom, right = (max(0, edge) for edge in box)
    mask[top:bottom, left:right] = True
    return mask


def _problem(view: cases.View, error: cases.DataError | OSError, prefix: str = "") -> cases.Problem:
    if isinstance(error, cases.DataError):
        return cases.Problem.of(error, prefix)
    reason = error.strerror or str(error)
    path = str(error.filename or view.path or view.id)
    return cases.Problem(path, f"{prefix}: {reason}" if prefix else reason)


def _problems(view: cases.View, found: Sequence[_Found]) -> tuple[cases.Problem, ...]:
    """One a reason and file: INbreast has hundreds of calcifications in an image."""
    lesions = collections.defaultdict(list)
    for one in found:
        if one.reason:
            lesions[one.path, one.reason].append(one.id)
    out = []
    for (path, reason), ids in lesions.items():
        named = f"lesion {ids[0]}" if len(ids) == 1 else f"{len(ids)} lesions ({ids[0]}, ...)"
        out.append(cases.Problem(path, f"{named}: {reason}", "left out"))
    if any(one.mask is None for one in found):
        reason = "no background patches: they might show a lesion that cannot be placed"
        out.append(cases.Problem(view.path or view.id, reason, "left out"))
    return tuple(out)


def _breast(view: cases.View, sampling: Sampling, size: tuple[int, int]) -> np.ndarray | None:
    return patch_sampling.breast_mask(view.pixels(), *size) if sampling.min_breast else None


def _patches(
    view: cases.View, sampling: Sampling, of: _Found, corners: Sequence[patch_sampling.Corner], side: int
) -> list[Patch]:
    stem = f"{view.id}/{sampling.name}/{of.id or _BACKGROUND}"
    return [Patch(f"{stem}/{k}", of.label, of.id, at.top, at.left, side, at.eased) for k, at in enumerate(corners)]


def _stream(seed: int, *names: str) -> np.random.Generator:
    """Random numbers of their own for the names, whatever else is drawn."""
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
