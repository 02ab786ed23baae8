"""The phantom's lesions: what is true of a mass or a calcification cluster, before it is drawn.

What the class decides is the margin of a mass and the shape of a cluster, and nothing else. Every mass has the same
fine strands at its rim, by number, length and strength: in a malignant one most run radially (spicules) and the core
is irregular, in a benign one most run past it side by side, like strands of normal tissue, and the core is smooth.
Every cluster has the same specks, by number, area and distance from its centre: in a malignant one most lie along a
branching duct and are drawn out, in a benign one they are round and scattered. `phantom_masses` and
`phantom_clusters` draw them so that size, contrast, sharpness and mean brightness carry no class.

    found = finding(np.random.default_rng(0), "mass", cases.Pathology.BENIGN, deepest_mm=90.0)
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mammo_tf import cases

_PLAIN_IRREGULARITY = 0.05


@dataclasses.dataclass(frozen=True)
class Finding:
    """One lesion of a breast, as both projections share it.

    Attributes:
        kind: "mass" or "calcification".
        pathology: decides `signs` and `irregularity` by chance; they are all of it that is drawn.
        radius_mm: of the mass core, or of the cluster.
        contrast: attenuation added at the centre of a mass; specks get a multiple of it.
        edge_mm: softness of the mass's rim.
        aspect: longer over shorter axis.
        parts: number of strands or specks.
        signs: how many of them are as in malignancy (radial, or along a branch and drawn out).
        irregularity: relative standard deviation of the core's radius.
        obscured: share of a mass's rim that tissue hides.
        distance_mm: from the nipple.
        subtlety: 1 (subtle) to 5 (obvious); decides the contrast by chance.
    """

    kind: str
    pathology: cases.Pathology
    radius_mm: float
    contrast: float
    edge_mm: float
    aspect: float
    parts: int
    signs: int
    irregularity: float
    obscured: float
    distance_mm: float
    subtlety: int

    @property
    def annotated_mm(self) -> float:
        """Radius of the smallest disc that holds the annotated outline, whatever its angle."""
        return self.radius_mm * np.sqrt(self.aspect) * 1.3


def finding(rng: np.random.Generator, kind: str, pathology: cases.Pathology, deepest_mm: float) -> Finding:
    """A lesion of the given kind and outcome, at most `deepest_mm` from the nipple."""
    malignant = pathology is cases.Pathology.MALIGNANT
    subtlety = int(rng.choice(5, p=(0.08, 0.14, 0.24, 0.26, 0.28))) + 1
    parts = int(rng.integers(9, 13) if kind == "mass" else rng.integers(10, 26))
    return Finding(
        kind=kind,
        pathology=pathology,
        radius_mm=float(rng.uniform(4, 10)),
        contrast=float((0.22 + 0.07 * subtlety) * rng.uniform(0.6, 1.4)),
        edge_mm=float(rng.uniform(0.4, 0.9)),
        aspect=float(rng.uniform(1.0, 1.4)),
        parts=parts,
        signs=_signs(rng, parts, malignant),
        irregularity=float(rng.uniform(0.08, 0.20) if malignant else rng.uniform(0.02, 0.10)),
        obscured=float(rng.uniform(0.1, 0.5) * (rng.random() < 0.35)),
        distance_mm=float(deepest_mm * rng.uniform(0.2, 1.0)),
        subtlety=subtlety,
    )


def _signs(rng: np.random.Generator, parts: int, malignant: bool) -> int:
    """Nearly all parts in malignancy, but few in one of six; hardly any in benign lesions, some in one of eight."""
    typical, share = rng.random(), rng.random()
    if malignant:
        return round(parts * (0.75 + 0.25 * share if typical > 0.16 else 0.15 + 0.25 * share))
    return round(parts * (0.18 * share if typical > 0.12 else 0.2 + 0.2 * share))


def plain(lesion: Finding) -> Finding:
    """The same lesion without a sign of malignancy."""
    return dataclasses.replace(lesion, signs=0, irregularity=_PLAIN_IRREGULARITY)
