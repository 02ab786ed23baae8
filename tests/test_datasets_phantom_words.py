import dataclasses

import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import phantom_lesions, phantom_words


def finding(kind: str, **changes) -> phantom_lesions.Finding:
    one = phantom_lesions.finding(np.random.default_rng(0), kind, cases.Pathology.MALIGNANT, 90.0)
    return dataclasses.replace(one, **changes)


def words(found: phantom_lesions.Finding, name: str) -> set[str]:
    return {phantom_words.describe(found, np.random.default_rng(seed))[name] for seed in range(200)}


def test_a_mass_is_described_by_its_margin_not_by_its_outcome():
    smooth = finding("mass", signs=0, irregularity=0.03, obscured=0.0, aspect=1.05)
    assert words(smooth, "mass margins") == {"CIRCUMSCRIBED", "ILL_DEFINED"}
    assert words(smooth, "mass shape") == {"ROUND", "OVAL"}
    assert "OBSCURED" in words(dataclasses.replace(smooth, obscured=0.3), "mass margins")
    wild = finding("mass", signs=9, irregularity=0.19)
    assert words(wild, "mass margins") == {"SPICULATED", "ILL_DEFINED"} and words(wild, "mass shape") == {"IRREGULAR"}


def test_a_cluster_is_described_by_its_specks():
    branching = finding("calcification", parts=20, signs=18)
    assert words(branching, "calc type") == {"PLEOMORPHIC", "FINE_LINEAR_BRANCHING", "AMORPHOUS"}
    scattered = finding("calcification", parts=20, signs=0)
    assert {"ROUND_AND_REGULAR", "COARSE"} < words(scattered, "calc type")
    assert words(scattered, "calc distribution") == {"CLUSTERED", "REGIONAL"}


def test_assessments_follow_the_outcome_and_subtlety_the_contrast():
    assert "5" in words(finding("mass"), "assessment")
    called_off = finding("mass", pathology=cases.Pathology.BENIGN_WITHOUT_CALLBACK)
    assert words(called_off, "assessment") == {"2", "3", "4"}
    assert words(finding("mass", subtlety=3), "subtlety") == {"2", "3", "4"}
    assert words(finding("mass", subtlety=5), "subtlety") == {"4", "5"}
