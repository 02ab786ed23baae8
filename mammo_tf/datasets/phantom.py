"""A synthetic mammography cohort: not patients, but something to train on where no data set is at hand.

Each breast has an anatomy and, mostly, one lesion that both projections show at the same distance from the nipple.
Pathology decides the margin of a mass or the shape of a cluster (`phantom_lesions`) and nothing else: size, position,
contrast, density, dose and marker are drawn without looking at it. Views are rendered when they are loaded, each from
(seed, patient, breast, projection) alone, so in any order, number and process.

    found = phantom.cases(phantom.PhantomSpec(patients=20))
    pixels = found[0].views[0].pixels()                      # (600, 450) uint16
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from mammo_tf import cases as contract
from mammo_tf import regions
from mammo_tf.datasets import (
    phantom_acquisition,
    phantom_anatomy,
    phantom_drawing,
    phantom_lesions,
    phantom_marks,
    phantom_tissue,
    phantom_words,
)

ALGORITHM_VERSION = 2

LOOKS = {"film": (16, (16,)), "ffdm": (12, (12, 13, 14))}  # usual bits, allowed bits
SMALLEST_FIELD_MM = (100.0, 75.0)

TEST_SHARE = 0.2
OWN_PART = 0.75  # chance that her calcifications' part is drawn anew; then 2 % of the patients stand in both parts
BOTH_BREASTS = 0.10  # of the patients
ONE_VIEW = 0.10  # of the breasts; the rest has CC and MLO, so 100 patients have about 209 views
LESIONS = (0.10, 0.78, 0.12)  # chances of 0, 1, 2 lesions in a breast
WITHOUT_CALLBACK = 0.12  # of the patients: never called back, so all they have is benign
MALIGNANT = {"mass": 0.46, "calcification": 0.36}  # of all lesions of the kind
MARKED = 0.35  # of the views
_TRUTH, _CC, _MLO, _REPORT = range(4)  # streams of random numbers of a patient
_IMAGE, _LESION = range(2)  # and of each of her views
_PROJECTIONS = (contract.Projection.CC, contract.Projection.MLO)


@dataclasses.dataclass(frozen=True)
class PhantomSpec:
    """What to make.

    Attributes:
        patients: their number; a patient does not change when more are added.
        height, width: pixels of a view.
        spacing_mm: side of a pixel. Lesions are sized in mm; the breast shrinks where the field is under 240x180 mm.
        seed: another seed, other patients.
        look: "film" (digitised, grain and dust) or "ffdm" (digital, thickness evened out).
        bits: BitsStored; 16 for film, 12 (default), 13 or 14 for ffdm.
        mass_fraction: share of the masses among the lesions; the rest are calcification clusters.
        spicules: False draws the same masses without signs of malignancy, so that nothing tells the classes apart.
        cluster_shape: False does so for the clusters.

    Raises:
        MammoError: a value outside its range.
    """

    patients: int = 700
    height: int = 600
    width: int = 450
    spacing_mm: float = 0.4
    seed: int = 0
    look: str = "film"
    bits: int | None = None
    mass_fraction: float = 0.77
    spicules: bool = True
    cluster_shape: bool = True

    def __post_init__(self):
        field = self.height * self.spacing_mm, self.width * self.spacing_mm
        if self.look not in LOOKS:
            raise contract.MammoError(f"phantom: look is one of {', '.join(LOOKS)}, found {self.look!r}")
        if self.stored_bits not in LOOKS[self.look][1]:
            allowed = ", ".join(map(str, LOOKS[self.look][1]))
            raise contract.MammoError(f"phantom: {self.look} has {allowed} bits, found {self.bits}")
        if self.patients < 0 or self.seed < 0 or not 0 <= self.mass_fraction <= 1:
            raise contract.MammoError(
                "phantom: patients and seed are at least 0 and mass_fraction is in [0, 1], found "
                f"{self.patients}, {self.seed} and {self.mass_fraction}"
            )
        if field[0] < SMALLEST_FIELD_MM[0] or field[1] < SMALLEST_FIELD_MM[1]:
            raise contract.MammoError(
                f"phantom: the field is at least {SMALLEST_FIELD_MM[0]:g} x {SMALLEST_FIELD_MM[1]:g} mm, found "
                f"{self.height} x {self.width} pixels of {self.spacing_mm:g} mm = {field[0]:g} x {field[1]:g} mm"
            )

    @property
    def stored_bits(self) -> int:
        return LOOKS[self.look][0] if self.bits is None else self.bits

    @property
    def grid(self) -> phantom_anatomy.Grid:
        return phantom_anatomy.Grid(self.height, self.width, self.spacing_mm)


@dataclasses.dataclass(frozen=True)
class ViewTruth:
    """One exposure: the lesions' centres, (x, y) in mm from the chest wall and from the top, and how it was taken."""

    projection: contract.Projection
    centres_mm: tuple[tuple[float, float], ...]
    exposure: phantom_acquisition.Exposure


@dataclasses.dataclass(frozen=True)
class Breast:
    """What is true of one breast; `findings[i]` lies at `views[j].centres_mm[i]`."""

    side: contract.Side
    anatomy: phantom_anatomy.Anatomy
    findings: tuple[phantom_lesions.Finding, ...]
    views: tuple[ViewTruth, ...]


@dataclasses.dataclass(frozen=True)
class Patient:
    """What is true of one patient: the official part, "train" or "test", of each kind of lesion, and her breasts."""

    index: int
    part: Mapping[str, str]
    breasts: tuple[Breast, ...]


def cases(spec: PhantomSpec) -> tuple[contract.Case, ...]:
    """The cohort, sorted by patient id; nothing is rendered before a view or a mask is loaded.

    >>> found = cases(PhantomSpec(patients=2))
    >>> found[1].patient_id, found[0].views[0].max_value
    ('P_00002', 65535)
    """
    return tuple(_case(spec, patient(spec, index)) for index in range(spec.patients))


def patient(spec: PhantomSpec, index: int) -> Patient:
    """The truth about the patient of that index, from 0; it costs about a millisecond."""
    rng = _stream(spec, index, _TRUTH)
    part = _parts(rng)
    called = rng.random() >= WITHOUT_CALLBACK
    density = str(rng.choice(("1", "2", "3", "4"), p=(0.15, 0.38, 0.34, 0.13)))
    sides = [contract.Side.LEFT, contract.Side.RIGHT]
    if rng.random() >= BOTH_BREASTS:
        sides = [sides[int(rng.integers(2))]]
    return Patient(index, part, tuple(_breast(spec, rng, side, density, called) for side in sides))


def _breast(spec: PhantomSpec, rng: np.random.Generator, side: contract.Side, density: str, called: bool) -> Breast:
    field = spec.height * spec.spacing_mm, spec.width * spec.spacing_mm
    anatomy = phantom_anatomy.anatomy(rng, density, field)
    either = _PROJECTIONS[int(rng.integers(2))]
    missing = either if rng.random() < ONE_VIEW else None
    findings: list[phantom_lesions.Finding] = []
    taken: dict[contract.Projection, list[tuple[float, float, float]]] = {p: [] for p in _PROJECTIONS}
    for _ in range(int(rng.choice(3, p=LESIONS))):
        lesion = _finding(spec, rng, anatomy, called)
        radius = lesion.annotated_mm + 2
        centres = [anatomy.outline(p).place(rng, lesion.distance_mm, radius, taken[p]) for p in _PROJECTIONS]
        if None not in centres:
            findings.append(lesion)
            for projection, centre in zip(_PROJECTIONS, centres, strict=True):
                taken[projection].append((*centre, radius))
    views = []
    for projection in _PROJECTIONS:
        exposure = _exposure(rng, anatomy, spec.look, f"{side[0]} {projection}")
        if projection is not missing:
            views.append(ViewTruth(projection, tuple(c[:2] for c in taken[projection]), exposure))
    return Breast(side, anatomy, tuple(_as_drawn(spec, f) for f in findings), tuple(views))


def _parts(rng: np.random.Generator) -> dict[str, str]:
    """The official part of each kind: the published ones were drawn for each kind, so some patients stand in both."""
    mass, calcification = ("test" if rng.random() < TEST_SHARE else "train" for _ in range(2))
    return {"mass": mass, "calcification": calcification if rng.random() < OWN_PART else mass}


def _finding(
    spec: PhantomSpec, rng: np.random.Generator, anatomy: phantom_anatomy.Anatomy, called: bool
) -> phantom_lesions.Finding:
    kind = "mass" if rng.random() < spec.mass_fraction else "calcification"
    malignant = rng.random() < MALIGNANT[kind] / (1 - WITHOUT_CALLBACK)
    if not called:
        pathology = contract.Pathology.BENIGN_WITHOUT_CALLBACK
    else:
        pathology = contract.Pathology.MALIGNANT if malignant else contract.Pathology.BENIGN
    return phantom_lesions.finding(rng, kind, pathology, min(anatomy.cc.depth, anatomy.mlo.depth))


def _as_drawn(spec: PhantomSpec, lesion: phantom_lesions.Finding) -> phantom_lesions.Finding:
    shown = spec.spicules if lesion.kind == "mass" else spec.cluster_shape
    return lesion if shown else phantom_lesions.plain(lesion)


def _exposure(
    rng: np.random.Generator, anatomy: phantom_anatomy.Anatomy, look: str, text: str
) -> phantom_acquisition.Exposure:
    dose, contrast = float(np.exp(rng.normal(0, 0.2))), float(np.sqrt(rng.random()))
    mark = phantom_marks.mark(rng, look, text, MARKED)
    return phantom_acquisition.Exposure(look, phantom_acquisition.reference(anatomy), dose, mark, contrast)


def _case(spec: PhantomSpec, who: Patient) -> contract.Case:
    views = tuple(_view(spec, who, b, v) for b, breast in enumerate(who.breasts) for v in range(len(breast.views)))
    return contract.Case(_patient_id(who.index), views)


def _view(spec: PhantomSpec, who: Patient, b: int, v: int) -> contract.View:
    breast = who.breasts[b]
    view = breast.views[v]
    id = f"{_patient_id(who.index)}_{breast.side}_{view.projection}"
    return contract.View(
        id=id,
        patient_id=_patient_id(who.index),
        side=breast.side,
        projection=view.projection,
        load=Pixels(spec, who.index, b, v),
        max_value=2**spec.stored_bits - 1,
        spacing_mm=spec.spacing_mm,
        lesions=tuple(_lesion(spec, who, (b, v, i), id) for i in range(len(breast.findings))),
        attributes={"breast density": breast.anatomy.density},
        path=f"phantom:{id}",
    )


def _lesion(spec: PhantomSpec, who: Patient, at: tuple[int, int, int], view_id: str) -> contract.Lesion:
    b, v, i = at
    finding = who.breasts[b].findings[i]
    id = f"{view_id}_{i + 1}"
    words = phantom_words.describe(finding, _stream(spec, who.index, _REPORT, b, i))
    region = regions.MaskRegion(Mask(spec, who.index, b, v, i), path=f"phantom:{id}")
    return contract.Lesion(id, finding.pathology, finding.kind, region, words, who.part[finding.kind])


def _patient_id(index: int) -> str:
    return f"P_{index + 1:05d}"


def _stream(spec: PhantomSpec, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(spec.seed, spawn_key=key))


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Renders a view: () -> (H, W) uint16; `breast` and `view` index the patient's truth."""

    spec: PhantomSpec
    patient: int
    breast: int
    view: int

    def __call__(self) -> np.ndarray:
        spec = self.spec
        breast = patient(spec, self.patient).breasts[self.breast]
        view = breast.views[self.view]
        rng = _view_stream(spec, self.patient, self.breast, view, _IMAGE)
        outline = breast.anatomy.outline(view.projection)
        tissue = phantom_tissue.attenuation(breast.anatomy, outline, spec.grid, rng)
        for i, (finding, centre) in enumerate(zip(breast.findings, view.centres_mm, strict=True)):
            own = _view_stream(spec, self.patient, self.breast, view, _LESION, i)
            phantom_drawing.add(tissue.attenuation, finding, centre, spec.spacing_mm, own)
        pixels = phantom_acquisition.acquire(tissue, view.exposure, spec.grid, rng, spec.stored_bits)
        right = breast.side is contract.Side.RIGHT
        pixels = np.ascontiguousarray(pixels[:, ::-1]) if right else pixels
        gray = round(0.9 * (2**spec.stored_bits - 1))  # never the image's own maximum: that may be the lesion's
        phantom_marks.burn_in(pixels, view.exposure.mark, spec.spacing_mm, gray=gray, left=right)
        return pixels


@dataclasses.dataclass(frozen=True)
class Mask:
    """Draws the annotation of one lesion: () -> (H, W) bool; the image is not rendered for it."""

    spec: PhantomSpec
    patient: int
    breast: int
    view: int
    lesion: int

    def __call__(self) -> np.ndarray:
        breast = patient(self.spec, self.patient).breasts[self.breast]
        view = breast.views[self.view]
        rng = _view_stream(self.spec, self.patient, self.breast, view, _LESION, self.lesion)
        finding, centre = breast.findings[self.lesion], view.centres_mm[self.lesion]
        mask = phantom_drawing.outline(self.spec.grid.shape, finding, centre, self.spec.spacing_mm, rng)
        return mask[:, ::-1].copy() if breast.side is contract.Side.RIGHT else mask


def _view_stream(spec: PhantomSpec, index: int, breast: int, view: ViewTruth, *key: int) -> np.random.Generator:
    own = _CC if view.projection is contract.Projection.CC else _MLO
    return _stream(spec, index, own, breast, *key)
