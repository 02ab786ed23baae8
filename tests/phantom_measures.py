"""What tests measure on mammograms and on lesions drawn alone, real or phantom; plain NumPy and OpenCV."""

import dataclasses
import itertools

import cv2
import numpy as np
from scipy import stats

from mammo_tf import cases
from mammo_tf.datasets import phantom_drawing, phantom_lesions

SPACING_MM = 0.4
CENTRE_MM = (25.6, 25.6)


def lesion(
    kind: str, seed: int, index: int, *, plain: bool = False, background: float = 0.0, parts: int | None = None
):
    """A lesion drawn on nothing, or on power-law noise of that standard deviation: image, outline, finding.

    Every other one is malignant. `parts` is another number of strands or specks than the finding's own.
    """
    pathology = cases.Pathology.MALIGNANT if index % 2 else cases.Pathology.BENIGN
    found = phantom_lesions.finding(np.random.default_rng([seed, index]), kind, pathology, 90.0)
    found = phantom_lesions.plain(found) if plain else found
    found = found if parts is None else dataclasses.replace(found, parts=parts, signs=0)
    image = np.zeros((128, 128), np.float32)
    phantom_drawing.add(image, found, CENTRE_MM, SPACING_MM, np.random.default_rng([seed, index, 1]))
    mask = phantom_drawing.outline(image.shape, found, CENTRE_MM, SPACING_MM, np.random.default_rng([seed, index, 1]))
    if background:
        image = image + np.float32(background) * noise(np.random.default_rng([seed, index, 2]), image.shape)
    return image, mask, found


def noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Noise whose power falls as 1/f^3, of variance 1; written on its own, not the phantom's."""
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :])
    f[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal(shape)) * f**-1.5).real
    return (field / field.std()).astype(np.float32)


def nuisances(kind: str, seed: int, index: int) -> dict[str, float]:
    """What must not tell the classes apart, measured on a lesion drawn alone."""
    image, mask, found = lesion(kind, seed, index)
    slope = np.hypot(*np.gradient(image, SPACING_MM))
    high, wide = (np.ptp(np.flatnonzero(mask.any(axis=axis))) for axis in (1, 0))
    return {
        "size": mask.sum(),
        "box": max(high, wide),
        "mean": image[mask].mean(),
        "total": image.sum(),
        "max": image.max(),
        "spread": image[mask].std(),
        "mean slope": slope[mask].mean(),
        "max slope": slope.max(),
        "edge width": rim_width(seed, index) if kind == "mass" else speck_width(image),
        "mean over contrast": image[mask].mean() / found.contrast,
    }


def rim_width(seed: int, index: int) -> float:
    """10-90 % width in mm across the rim of a mass without strands: 0.8 of its height over the slope half way up.

    The rim's height is 0.7 of the contrast. The median over the rim is what most of it is like.
    """
    image, _, found = lesion("mass", seed, index, parts=0)
    core = (image > 0.35 * found.contrast).astype(np.uint8)
    rim = core - cv2.erode(core, np.ones((3, 3), np.uint8)) > 0
    return float(0.8 * 0.7 * found.contrast / np.median(np.hypot(*np.gradient(image, SPACING_MM))[rim]))


def speck_width(image: np.ndarray) -> float:
    """Height over steepest slope beside it, in mm, of the specks that stand out: their median."""
    slope = np.hypot(*np.gradient(image, SPACING_MM)).astype(np.float32)
    peaks = (image == cv2.dilate(image, np.ones((3, 3)))) & (image > 0.2 * image.max())
    return float(np.median(image[peaks] / cv2.dilate(slope, np.ones((3, 3)))[peaks]))


def radial_features(image: np.ndarray, mask: np.ndarray) -> list[float]:
    """How the lines round a lesion lie, and how its bright spots do: nothing of size, brightness or sharpness.

    In five rings round the centre of the outline, the mean over directions of cos 2(gradient - radius), weighted by
    the gradient's square; and for the bright spots in the outline the first, second and fourth angular moments.
    """
    rows, columns = np.nonzero(mask)
    y, x = (np.arange(n) - c.mean() for n, c in zip(image.shape, (rows, columns), strict=True))
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    down, right = np.gradient(smooth)
    turn = np.arctan2(y[:, None], x[None, :])
    radius = np.hypot(y[:, None], x[None, :]) / np.sqrt(mask.sum() / np.pi)
    weight = down**2 + right**2
    aligned = weight * np.cos(2 * (np.arctan2(down, right) - turn))
    rings = [(radius >= a) & (radius < b) for a, b in itertools.pairwise((0.3, 0.7, 0.95, 1.2, 1.5, 1.9))]
    out = [aligned[ring].sum() / weight[ring].sum() for ring in rings]
    fine = np.clip(smooth - cv2.GaussianBlur(image, (0, 0), 4.0), 0, None)[mask]
    return out + [abs((fine * np.exp(1j * k * turn[mask])).sum()) / fine.sum() for k in (1, 2, 4)]


def mammogram(image: np.ndarray, *, film: bool) -> dict[str, float]:
    """Texture, histogram and border of a mammogram of 0.4 mm pixels, gray values over their own 99.5th percentile."""
    image = np.clip(image / np.percentile(image[image > 0.05 * image.max()], 99.5), 0, 1.2).astype(np.float32)
    inside = cv2.morphologyEx((image > (0.15 if film else 0.03)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((9, 9)))
    _, label, sizes, _ = cv2.connectedComponentsWithStats(inside)
    breast = label == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax()
    depth = cv2.distanceTransform(breast.astype(np.uint8), cv2.DIST_L2, 5) * SPACING_MM
    inner = image[depth > 12]
    outside = image[cv2.dilate(breast.astype(np.uint8), np.ones((25, 25))) == 0]
    found = _texture(image, depth)
    found |= {"median": np.median(inner), "width": np.ptp(np.percentile(inner, (10, 90))), "skew": stats.skew(inner)}
    found |= {f"at {mm} mm": np.median(image[abs(depth - mm) < 0.5]) / found["median"] for mm in (1, 3, 6, 10, 18)}
    return found | {"air": np.median(outside), "noise of air": np.ptp(np.percentile(outside, (16, 84))) / 2}


def _texture(image: np.ndarray, depth: np.ndarray, side: int = 96) -> dict[str, float]:
    """Standard deviation and slope of the radial power spectrum of windows in the breast, planes taken out."""
    down, right = np.mgrid[:side, :side].reshape(2, -1) - side / 2
    plane = np.stack([np.ones(side * side), down, right], axis=1)
    inverse, taper = np.linalg.pinv(plane), np.outer(np.hanning(side), np.hanning(side))
    spreads, power = [], []
    for top, left in itertools.product(*(range(0, n - side, side // 2) for n in image.shape)):
        if (depth[top : top + side, left : left + side] > 5).all():
            window = image[top : top + side, left : left + side].ravel()
            window = (window - plane @ (inverse @ window)).reshape(side, side)
            spreads.append(window.std())
            power.append(np.abs(np.fft.fft2(window * taper)) ** 2)
    if not power:
        return {}
    f = np.hypot(np.fft.fftfreq(side, SPACING_MM)[:, None], np.fft.fftfreq(side, SPACING_MM)[None, :])
    bins = np.geomspace(0.08, 1.0, 12)
    mean = [np.mean(power, axis=0)[(f >= low) & (f < high)].mean() for low, high in itertools.pairwise(bins)]
    slope = np.polyfit(np.log(np.sqrt(bins[1:] * bins[:-1])), np.log(mean), 1)[0]
    return {"spectrum slope": slope, "texture": np.mean(spreads)}
