"""What a reader would say of the phantom's lesions, in the words of CBIS-DDSM.

The words follow what is drawn, not the pathology alone; now and then the reader errs.

    words = describe(finding, np.random.default_rng(0))       # {"mass shape": "OVAL", "mass margins": ...}
"""

from __future__ import annotations

import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import phantom_lesions

SPICULATED_FROM = 5  # radial strands from which a reader speaks of a spiculated margin


def describe(lesion: phantom_lesions.Finding, rng: np.random.Generator) -> dict[str, str]:
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


def _mass_words(lesion: phantom_lesions.Finding, rng: np.random.Generator) -> dict[str, str]:
    smooth = ("ROUND", "OVAL") if lesion.aspect < 1.15 else ("OVAL", "OVAL", "LOBULATED")
    shape = "IRREGULAR" if lesion.irregularity + rng.normal(0, 0.02) > 0.12 else _pick(rng, *smooth)
    if lesion.signs >= SPICULATED_FROM:
        margins = _pick(rng, "SPICULATED", "SPICULATED", "SPICULATED", "ILL_DEFINED")
    elif lesion.irregularity > 0.12:
        margins = _pick(rng, "ILL_DEFINED", "MICROLOBULATED", "OBSCURED")
    else:
        usual = "OBSCURED" if lesion.obscured else "CIRCUMSCRIBED"
        margins = _pick(rng, usual, usual, usual, "ILL_DEFINED")
    return {"mass shape": shape, "mass margins": margins}


def _assessment(lesion: phantom_lesions.Finding, rng: np.random.Generator) -> str:
    chances = {
        cases.Pathology.MALIGNANT: (0.03, 0.0, 0.08, 0.44, 0.45),
        cases.Pathology.BENIGN: (0.18, 0.05, 0.33, 0.42, 0.02),
    }.get(lesion.pathology, (0.0, 0.55, 0.38, 0.07, 0.0))
    return str(rng.choice(("0", "2", "3", "4", "5"), p=chances))


def _pick(rng: np.random.Generator, *words: str) -> str:
    return words[int(rng.integers(len(words)))]
