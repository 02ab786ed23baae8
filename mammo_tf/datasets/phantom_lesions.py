"""The phantom's lesions: masses and calcification clusters, drawn as extra attenuation round a point.

What the class decides is the margin of a mass and the shape of a cluster, and nothing else. Every mass has the same
fine strands at its rim, by number, length and strength: in a malignant one most run radially (spicules) and the core
is irregular, in a benign one most run past it side by side, like strands of normal tissue, and the core is smooth.
Every cluster has the same specks, by number, area and distance from its centre: in a malignant one most lie along a
branching duct and are drawn out, in a benign one they are round and scattered. So size, contrast, sharpness and mean
brightness carry no class.

    add(tissue.attenuation, finding, (80.0, 120.0), 0.4, np.random.default_rng(0))
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.special

from mammo_tf import cases

SPICULATED_FROM = 5  # radial strands from which a reader speaks of a spiculated margin
_PLAIN_IRREGULARITY = 0.05
_SPECK_CONTRAST = 2.5
_LOOSE = 1.14  # annotated radius over the radius of the core, on average
_MEAN_INSIDE = 0.69  # what a smooth mass adds to the annotated ellipse on average, over its contrast
_REACH = 2.4  # half side of the drawn window, in radii


@dataclasses.dataclass(frozen=True)
class Finding:
    """One lesion of a breast, as both projections share it.

    Attributes:
        kind: "mass" or "calcification".
        pathology: decides `signs` and `irregularity` by chance; they are all of it that is drawn.
        radius_mm: of the mass core, or of the cluster.
        contrast: attenuation added at the centre of a mass; specks get 2.5 times as much.
        edge_mm: softness of the mass's rim.
        aspect: longer over shorter axis.
        parts: number of strands or specks.
        signs: how many of them are as in malignancy (radial, or along a branch and drawn out).
        irregularity: relative amplitude of the core's lobulation.
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
        irregularity=float(rng.uniform(0.07, 0.17) if malignant else rng.uniform(0.02, 0.09)),
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


def describe(lesion: Finding, rng: np.random.Generator) -> dict[str, str]:
    """A reader's report in the words of CBIS-DDSM: shape, margins, type, distribution, subtlety, assessment."""
    share = lesion.signs / lesion.parts
    if lesion.kind == "mass":
        words = _mass_words(lesion, rng)
    elif share > 0.5:
        words = {"calc type": _pick(rng, "PLEOMORPHIC", "FINE_LINEAR_BRANCHING", "PLEOMORPHIC", "AMORPHOUS")}
        words["calc distribution"] = _pick(rng, "LINEAR", "SEGMENTAL", "CLUSTERED")
    else:
        words = {"calc type": _pick(rng, "ROUND_AND_REGULAR", "PUNCTATE", "COARSE", "AMORPHOUS", "PLEOMORPHIC")}
        words["calc distribution"] = _pick(rng, "CLUSTERED", "REGIONAL", "CLUSTERED")
    words["assessment"] = _assessment(lesion, rng)
    words["subtlety"] = str(int(np.clip(lesion.subtlety + rng.choice((-1, 0, 0, 0, 1)), 1, 5)))
    return words


def _mass_words(lesion: Finding, rng: np.random.Generator) -> dict[str, str]:
    smooth = ("ROUND", "OVAL") if lesion.aspect < 1.15 else ("OVAL", "OVAL", "LOBULATED")
    shape = "IRREGULAR" if lesion.irregularity + rng.normal(0, 0.02) > 0.11 else _pick(rng, *smooth)
    if lesion.signs >= SPICULATED_FROM:
        margins = _pick(rng, "SPICULATED", "SPICULATED", "SPICULATED", "ILL_DEFINED")
    elif lesion.irregularity > 0.11:
        margins = _pick(rng, "ILL_DEFINED", "MICROLOBULATED", "OBSCURED")
    else:
        margins = _pick(rng, "CIRCUMSCRIBED", "CIRCUMSCRIBED", "OBSCURED", "ILL_DEFINED")
    return {"mass shape": shape, "mass margins": margins}


def _assessment(lesion: Finding, rng: np.random.Generator) -> str:
    chances = {
        cases.Pathology.MALIGNANT: (0.03, 0.0, 0.08, 0.44, 0.45),
        cases.Pathology.BENIGN: (0.18, 0.05, 0.33, 0.42, 0.02),
    }.get(lesion.pathology, (0.0, 0.55, 0.38, 0.07, 0.0))
    return str(rng.choice(("0", "2", "3", "4", "5"), p=chances))


def _pick(rng: np.random.Generator, *words: str) -> str:
    return words[int(rng.integers(len(words)))]


def add(
    attenuation: np.ndarray,
    lesion: Finding,
    centre_mm: tuple[float, float],
    spacing_mm: float,
    rng: np.random.Generator,
) -> None:
    """Draws the lesion into `attenuation` (H, W), in place; `centre_mm` is (x, y)."""
    window, x, y = _window(attenuation.shape, centre_mm, lesion.radius_mm * _REACH + 2, spacing_mm)
    draw = _mass if lesion.kind == "mass" else _cluster
    attenuation[window] += draw(lesion, x, y, spacing_mm, rng)


def outline(
    shape: tuple[int, int],
    lesion: Finding,
    centre_mm: tuple[float, float],
    spacing_mm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The annotation, bool (H, W): a loose ellipse round the core, drawn with the same hand in both classes.

    `rng` must start as the one given to `add` did, so that the outline turns with the lesion.
    """
    mask = np.zeros(shape, bool)
    window, x, y = _window(shape, centre_mm, lesion.annotated_mm + 1, spacing_mm)
    angle = rng.uniform(0, np.pi)
    hand = rng.spawn(1)[0]
    loose = hand.uniform(_LOOSE - 0.06, _LOOSE + 0.06)
    turn = np.arctan2(y, x)
    wobble = 1 + 0.03 * np.cos(2 * turn + hand.uniform(0, 6.3)) + 0.03 * np.cos(3 * turn + hand.uniform(0, 6.3))
    mask[window] = _elliptic(x, y, angle, lesion.aspect) <= lesion.radius_mm * loose * wobble
    return mask


def _window(
    shape: tuple[int, int], centre_mm: tuple[float, float], half_mm: float, spacing_mm: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The part of the image within half_mm of the centre, and its x (1, w) and y (h, 1) in mm from there."""
    slices, axes = [], []
    for n, centre in zip(shape, reversed(centre_mm), strict=True):
        start = max(0, int((centre - half_mm) / spacing_mm))
        stop = min(n, int((centre + half_mm) / spacing_mm) + 2)
        slices.append(slice(start, max(start, stop)))
        axes.append(((np.arange(start, max(start, stop)) + 0.5) * spacing_mm - centre).astype(np.float32))
    return tuple(slices), axes[1][None, :], axes[0][:, None]


def _elliptic(x: np.ndarray, y: np.ndarray, angle: float, aspect: float) -> np.ndarray:
    """Distance from the centre, measured so that an ellipse of that aspect becomes a circle of the same area."""
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.hypot(along / np.sqrt(aspect), across * np.sqrt(aspect))


def _mass(lesion: Finding, x: np.ndarray, y: np.ndarray, spacing_mm: float, rng: np.random.Generator) -> np.ndarray:
    """A domed core with a soft rim, and strands at the rim; the brighter of the two wins."""
    angle = rng.uniform(0, np.pi)
    radius, turn = _elliptic(x, y, angle, lesion.aspect), np.arctan2(y, x)
    lobes, phases = np.arange(3, 9), rng.uniform(0, 2 * np.pi, 6)
    heights = lesion.radius_mm * 1.41 * lesion.irregularity * np.sqrt(rng.dirichlet(np.ones(6)))
    rim, slope = np.full_like(turn, lesion.radius_mm), np.zeros_like(turn)
    for k, height, phase in zip(lobes, heights, phases, strict=True):
        rim += height * np.cos(k * turn + phase)
        slope -= height * k * np.sin(k * turn + phase)
    # r(t) = R (1 + e f(t)), f of variance 1, encloses pi R^2 (1 + e^2): divided out, so that size tells nothing.
    rim /= np.sqrt(1 + lesion.irregularity**2)
    # The distance to an oblique rim is shorter than along the radius: without this, lobes would have sharper edges.
    depth = (rim - radius) / np.hypot(1, slope / np.maximum(radius, 0.5 * lesion.radius_mm))
    core = scipy.special.expit(depth / np.float32(0.6 * np.hypot(lesion.edge_mm, 0.4 * spacing_mm)))
    core *= 0.7 + 0.3 * np.sqrt(np.clip(1 - (radius / rim) ** 2, 0, None))
    drawn = np.maximum(core, _strands(lesion, x, y, spacing_mm, rng))
    # Lobes and strands leave the annotated ellipse by different amounts: the mean in it is made the same for all.
    return np.float32(lesion.contrast * _MEAN_INSIDE) / drawn[radius <= _LOOSE * lesion.radius_mm].mean() * drawn


def _strands(
    lesion: Finding, x: np.ndarray, y: np.ndarray, spacing_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """Fine lines whose middles lie on a ring round the core: `signs` radial ones, the others nearly parallel."""
    n = lesion.parts
    turn = (np.arange(n) + rng.uniform(-0.4, 0.4, n)) * 2 * np.pi / n + rng.uniform(0, 2 * np.pi)
    length, width = lesion.radius_mm * rng.uniform(0.6, 1.1, n), rng.uniform(0.45, 0.9, n) / 2
    passing = rng.uniform(0, np.pi) + rng.normal(0, 0.35, n) - turn
    tilt = np.where(rng.permutation(n) < lesion.signs, rng.normal(0, 0.12, n), passing)
    bend, strength = rng.normal(0, 0.015, n), rng.uniform(0.5, 0.8, n)
    out = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for i in range(n):
        middle = 0.9 * lesion.radius_mm + length[i] / 2
        dx, dy = x - middle * np.cos(turn[i]), y - middle * np.sin(turn[i])
        along = dx * np.cos(turn[i] + tilt[i]) + dy * np.sin(turn[i] + tilt[i])
        across = dy * np.cos(turn[i] + tilt[i]) - dx * np.sin(turn[i] + tilt[i]) - bend[i] * along**2
        sigma = np.hypot(width[i], 0.4 * spacing_mm)  # a line finer than a pixel is spread and so fainter
        line = np.exp(-0.5 * (across / sigma) ** 2) * (strength[i] * width[i] / sigma)
        ends = scipy.special.expit((length[i] / 2 - np.abs(along)) * 1.5)
        np.maximum(out, line * ends, out=out)
    return out


def _cluster(
    lesion: Finding, x: np.ndarray, y: np.ndarray, spacing_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """Specks in the annotated ellipse; those that are signs lie on three branches and are drawn out along them."""
    n = lesion.parts
    angle = rng.uniform(0, np.pi)
    sign = rng.permutation(n) < lesion.signs
    outward = np.sqrt(rng.uniform(0, 1, n))
    reach = 0.95 * lesion.radius_mm * outward
    turn = np.where(sign, _branches(rng, outward), rng.uniform(0, 2 * np.pi, n))
    size, stretch = rng.uniform(0.18, 0.40, n), np.where(sign, rng.uniform(1.3, 2.2, n), rng.uniform(1.0, 1.15, n))
    strength, leaning = rng.uniform(0.5, 1.0, n), rng.normal(0, 0.4, n)
    out = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for i in range(n):
        along, across = reach[i] * np.cos(turn[i]) * np.sqrt(lesion.aspect), reach[i] * np.sin(turn[i])
        across /= np.sqrt(lesion.aspect)
        cx, cy = along * np.cos(angle) - across * np.sin(angle), along * np.sin(angle) + across * np.cos(angle)
        way = np.arctan2(cy, cx) + leaning[i]
        long, short = (
            np.hypot(size[i] * stretch[i], 0.4 * spacing_mm),
            np.hypot(size[i] / stretch[i], 0.4 * spacing_mm),
        )
        u, v = (x - cx) * np.cos(way) + (y - cy) * np.sin(way), (y - cy) * np.cos(way) - (x - cx) * np.sin(way)
        speck = np.exp(-0.5 * ((u / long) ** 2 + (v / short) ** 2)) * (strength[i] * size[i] ** 2 / (long * short))
        np.maximum(out, speck, out=out)
    # Where specks overlap a sum would be too bright, and the maximum loses some: the total is kept as if none did.
    total = 2 * np.pi * (strength * size**2).sum() / spacing_mm**2
    return np.float32(_SPECK_CONTRAST * lesion.contrast * total / out.sum()) * out


def _branches(rng: np.random.Generator, outward: np.ndarray) -> np.ndarray:
    """Angles of specks, given their distance in [0, 1], along a bent duct whose two arms fork on their way out."""
    arm, fork = rng.integers(2, size=outward.size), rng.choice((-1, 1), outward.size)
    start, opening = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.7, 2)
    bend = rng.uniform(-0.8, 0.8)
    return start + arm * (np.pi + bend) + fork * opening[arm] * outward + rng.normal(0, 0.08, outward.size)
