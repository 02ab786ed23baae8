"""Yi et al. 2017: "Optimizing and Visualizing Deep Learning for Benign/Malignant Classification in Breast Tumors".

Crops of lesions in DDSM, CC and MLO of one breast. Five nets behind a bank of difference-of-Gaussians filters, with
one set of weights for both views ("parallel") or a branch for each ("multi-modal"); an ensemble of 100 GoogLeNets;
two hand-crafted baselines (Table 1); Directed Dream (Figure 4). What the paper leaves open, and what is done here,
is numbered in docs/papers/yi2017.md.

Protocols
    as_published: 82, 9 and 9 % of the patients (893, 99, 100). The test part is scored after every epoch (figure 3a),
        and the hand-crafted baselines are tested on another part (19 %, the paper's 206 patients). The paper picked
        the net of its ensemble by the loss on the test part; here it is GoogLeNet under both protocols, and
        RESULTS.md says which net test and validation would have picked (PICKED).
    honest: 70, 10 and 20 % of the patients; all rows share one test part, which is read for the table alone;
        for the ensemble also for its curve.

Commands
    python experiments/yi2017.py --list
    python experiments/yi2017.py --budget demo                   # its set of rows (SETS)
    python experiments/yi2017.py --only googlenet_ensemble100 --members 0:25 --resume
    python experiments/yi2017.py --root ddsm=/data/DDSM --budget paper
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from typing import Any

import keras

from mammo_tf import cases, cli, dreaming, ensembles, labels, lesions_shown, page_figures, reuse, run
from mammo_tf.classical import handcrafted, huo, sahiner
from mammo_tf.datasets import breasts, cbis_ddsm, ddsm, mini_mias, phantom, splits
from mammo_tf.models import alexnet, dog, googlenet, inception_v3, resnet50, two_view, vgg
from mammo_tf.pipeline import augment, normalize, resize, views
from mammo_tf.training import adam, method, schedule

KEY = "yi2017"
DATASETS = (ddsm, cbis_ddsm, mini_mias)


@dataclasses.dataclass(frozen=True)
class Budget(run.Budget):
    """The paper's numbers (section 2.1 and 3), or smaller ones.

    Attributes:
        side: of the image that a net takes (224).
        margin: so many pixels more on every side are kept for the random crop (256 - 224 = 2 x 16).
        batch: images a step (120); a multi-modal net takes them in pairs, half as many.
        epochs: 800.
        width: channels of the nets as a fraction of the paper's.
        members: of the ensemble (100).
        rate, decay: of Adam (0.001, times 0.99 an epoch).
        norm_rate: the rate of nets with batch norm, which bear the paper's where the others die of it.
        settle: so many last epochs run at a tenth of the rate; 0 in the paper.
        texture_side: side of a crop in pixels when its hand-crafted features are measured.
        dreams: how much is dreamt.
    """

    side: int = 224
    margin: int = 16
    batch: int = 120
    epochs: int = 800
    width: float = 1.0
    members: int = 100
    rate: float = 1e-3
    decay: float = 0.99
    settle: int = 0
    texture_side: int = 300
    dreams: dreaming.Plan = dataclasses.field(default_factory=dreaming.Plan)
    norm_rate: float = dataclasses.field(default=1e-3, metadata={"added": True})


BUDGETS = {
    "smoke": Budget(
        "smoke",
        phantom.PhantomSpec(patients=60, height=256, width=192, spacing_mm=0.8, mass_fraction=1.0),
        draws=200,
        side=80,
        margin=6,
        batch=16,
        epochs=1,
        width=0.0625,
        members=2,
        texture_side=96,
        dreams=dreaming.Plan(4, 3),
    ),
    "demo": Budget(
        "demo",
        phantom.PhantomSpec(patients=1200, mass_fraction=1.0),
        side=80,
        margin=6,
        batch=16,
        epochs=16,
        width=0.25,
        members=8,
        rate=2e-4,
        settle=3,
        texture_side=160,
    ),
    "paper": Budget(
        "paper", phantom.PhantomSpec(patients=1200, height=4096, width=3072, spacing_mm=0.06, mass_fraction=1.0)
    ),
}

AS_PUBLISHED = run.Rules(
    "as_published",
    reported="test",
    leaks=("the test part is scored after every epoch (figure 3a)",),
    watched=True,
)
AS_PUBLISHED_ENSEMBLE = run.Rules(
    "as_published", reported="test", leaks=("the paper chose this net by its loss on the test part (section 3)",)
)
AS_PUBLISHED_BASELINE = run.Rules(
    "as_published",
    reported="test",
    leaks=("tested on another part than the nets that it is compared with (section 2.5: 206 patients, not 100)",),
)
HONEST = run.Rules("honest", reported="test")
PROTOCOLS = (AS_PUBLISHED, HONEST)
FRACTIONS = {"as_published": (893 / 1092, 99 / 1092, 100 / 1092), "honest": (0.7, 0.1, 0.2)}  # section 2.5
OTHER_PART = ((1092 - 206 - 99) / 1092, 99 / 1092, 206 / 1092)


def pathology(dataset: str) -> labels.LabelPolicy:
    return labels.mias_severity if dataset == "mini_mias" else labels.pathology


# "Tumors", and methods that need the margin of a mass: masses. mini-MIAS has few, so all of its lesions are taken.
MASSES = ("mass",)
KINDS = {"mini_mias": ("mass", "calcification", "distortion", "asymmetry")}


def crops(dataset: cases.Dataset, budget: Any, *, alone: Callable[..., Any] = breasts.single) -> run.Selection:
    """A breast's lesion as its two views show it, 750 x 750 pixels of DDSM round the centroid of the outline.

    mini-MIAS has one view of a breast: it stands `alone`, or is repeated for a net with a branch for each view.
    """
    views = alone if dataset.name == "mini_mias" else breasts.drop
    kinds = KINDS.get(dataset.name, MASSES)
    return breasts.breasts(dataset, pathology(dataset.name), kinds=kinds, views=views)


def part(protocol: str) -> Callable[..., cases.Splits]:
    return functools.partial(splits.patient_holdout, fractions=FRACTIONS[protocol])


def of_width(width: int, budget: Budget) -> int:
    return max(4, int(width * budget.width))


def alexnet_features(budget: Budget) -> Callable[..., Any]:
    """Below 160 pixels half the stride and a map of 3: with the paper's, one pixel would be left of the last map."""
    fc = max(16, int(4096 * budget.width))
    stride, grid = (4, alexnet.GRID) if budget.side >= 160 else (2, alexnet.GRID // 2)
    return functools.partial(
        alexnet.alexnet_features,
        width=of_width(64, budget),
        fc=fc,
        dropout=DROPOUT,
        form=alexnet.Form(stride, grid, keras.initializers.HeNormal),
    )


def vgg16_features(budget: Budget) -> Callable[..., Any]:
    return functools.partial(vgg.vgg16_features, width=of_width(64, budget))


def googlenet_features(budget: Budget) -> Callable[..., Any]:
    return functools.partial(googlenet.googlenet_features, width=of_width(64, budget))


def inceptionv3_features(budget: Budget) -> Callable[..., Any]:
    return functools.partial(inception_v3.inception_v3_features, width=of_width(32, budget))


def resnet_features(budget: Budget) -> Callable[..., Any]:
    return functools.partial(resnet50.resnet50_features, width=of_width(64, budget))


# "Residual Net" is ResNet-50; the order is that of Table 1.
NETS = {
    "alexnet": alexnet_features,
    "vgg16": vgg16_features,
    "googlenet": googlenet_features,
    "inceptionv3": inceptionv3_features,
    "resnet": resnet_features,
}
WITH_BATCH_NORM = ("inceptionv3", "resnet")
DROPOUT, L2 = 0.1, 1e-6  # section 3
PRECISION = "float32"  # whatever the device, so that the numbers do not hang on it; docs/papers/yi2017.md, 23
FULL_TURN = (-0.5, 359.5)  # each whole degree alike


def moves(budget: Budget, rotate: bool) -> augment.Augment:
    """Section 2.1: a random crop in training, always; rotation by whole degrees where the row is augmented."""
    reach = (budget.margin + 0.5) / (budget.side + 2 * budget.margin)
    return augment.Augment(
        translate=(-reach, reach), rotate_deg=FULL_TURN if rotate else None, whole=True, fill="reflect"
    )


@dataclasses.dataclass(frozen=True)
class Net:
    """A row of Table 1 as a method.

    Attributes:
        name: key of NETS.
        multimodal: a branch for each view, or one set of weights.
        augmented: random rotation.
        dog: the filter bank stands before the net.
    """

    name: str
    multimodal: bool = False
    augmented: bool = True
    dog: bool = True

    def __call__(self, budget: Budget) -> method.KerasMethod:
        sigmas = dog.sigmas_at(budget.side) if self.dog else None
        features = NETS[self.name](budget)
        if self.multimodal:
            top = two_view.Top((of_width(256, budget),), DROPOUT)
            net = functools.partial(two_view.multi_modal, features=features, dog=sigmas, top=top)
        else:
            net = functools.partial(two_view.one_view, features=features, dog=sigmas, dropout=DROPOUT)
        make = views.PairPipeline if self.multimodal else views.ParallelPipeline
        rate = budget.norm_rate if self.name in WITH_BATCH_NORM else budget.rate
        return method.KerasMethod(
            net=net,
            pipeline=make(
                budget.side,
                normalize.per_image,
                moves(budget, self.augmented),
                batch=budget.batch // 2 if self.multimodal else budget.batch,
                channels=1,
                resize=resize.area,
                margin=budget.margin,
            ),
            stages=(
                schedule.Stage(
                    budget.epochs,
                    functools.partial(adam.Adam, learning_rate=rate),
                    decay=functools.partial(fade, budget=budget),
                    penalty=(("", L2),),
                ),
            ),
            select=schedule.lowest_val_loss,
            precision=PRECISION,
        )


def fade(epoch: int, *, budget: Budget) -> float:
    """The rate's factor: 0.99 an epoch (section 3); a tenth of it in the last epochs where a budget settles."""
    factor = schedule.step_decay(epoch, every=1, factor=budget.decay)
    if budget.settle:
        factor *= schedule.settle(epoch, start=budget.epochs - budget.settle, factor=0.1)
    return factor


# Table 1: accuracy, AUC, loss. The multi-modal group has four values for five nets; which is missing cannot be told.
# fmt: off
TABLE_1 = {
    "alexnet_parallel_noaug": (0.70, 0.82, 1.24),
    "vgg16_parallel_noaug": (0.70, 0.79, 1.20),
    "googlenet_parallel_noaug": (0.78, 0.87, 1.51),
    "inceptionv3_parallel_noaug": (0.74, 0.84, 1.91),
    "resnet_parallel_noaug": (0.72, 0.80, 0.78),
    "alexnet_parallel_aug": (0.70, 0.78, 0.65),
    "vgg16_parallel_aug": (0.72, 0.88, 0.58),
    "googlenet_parallel_aug": (0.78, 0.87, 0.53),
    "inceptionv3_parallel_aug": (0.84, 0.87, 1.49),
    "resnet_parallel_aug": (0.74, 0.81, 0.64),
}
# fmt: on
MULTIMODAL = {"group": "four of five: accuracy .58 .77 .73 .71, AUC .64 .78 .75 .74, loss 1.18 1.94 2.10 2.93"}


def published(name: str) -> dict[str, Any]:
    if name in TABLE_1:
        return dict(zip(("accuracy", "auc", "loss"), TABLE_1[name], strict=True))
    return MULTIMODAL if "multimodal" in name else {}


def net_row(name: str, protocol: run.Rules, *, dog_bank: bool = True) -> run.Run:
    """A row of Table 1: `<net>_multimodal_aug`, `<net>_parallel_aug` or `<net>_parallel_noaug`."""
    net, way, augmented = name.split("_")
    multimodal = way == "multimodal"
    after = (lesions_shown.size, lesions_shown.saliency)
    if name == "googlenet_parallel_aug" and dog_bank:
        after += (lesions_shown.responses, lesions_shown.seeds, dreaming.dreams)
    return run.Run(
        KEY,
        name if dog_bank else f"{name}_nodog",
        Net(net, multimodal, augmented == "aug", dog_bank),
        functools.partial(crops, alone=breasts.repeat) if multimodal else crops,
        part(protocol.name),
        protocol,
        pathology,
        after=(lesions_shown.size,) if multimodal else after,
        published=published(name) if dog_bank else {},
        extra=not dog_bank,
        takes="a square crop of 33.75 mm round the lesion",
    )


def member_row(number: int, protocol: run.Rules) -> run.Run:
    """A member of the ensemble; the first is the row of Table 1 itself."""
    first = net_row("googlenet_parallel_aug", protocol)
    if not number:
        return first
    make = ensembles.Member(first.method, number)
    return dataclasses.replace(first, name=f"googlenet_member{number:03d}", method=make, after=(), published={})


def members(budget: Budget, *, protocol: run.Rules) -> tuple[run.Run, ...]:
    return tuple(member_row(number, protocol) for number in range(budget.members))


def ensemble(budget: Budget) -> reuse.Ensemble:
    return reuse.Ensemble(tuple((one.name,) for one in members(budget, protocol=HONEST)), flips=False)


def ensemble_row(protocol: run.Rules) -> run.Run:
    first = net_row("googlenet_parallel_aug", protocol)
    return dataclasses.replace(
        first,
        name="googlenet_ensemble100",
        method=ensemble,
        protocol=AS_PUBLISHED_ENSEMBLE if protocol is AS_PUBLISHED else protocol,
        needs=functools.partial(members, protocol=protocol),
        after=(ensembles.curve,),
        published={"accuracy": 0.85, "auc": 0.91, "loss": 0.45},
    )


def sahiner_method(budget: Budget) -> handcrafted.HandCrafted:
    """The band is 4 mm wide, as Sahiner et al. have it: of a crop of 33.75 mm."""
    width = max(12, round(4.0 / (breasts.CROP_PIXELS * breasts.PIXEL_MM) * budget.texture_side))
    features = functools.partial(sahiner.features, width=width)
    return handcrafted.HandCrafted(features, sahiner.learn, side=budget.texture_side)


def huo_method(budget: Budget) -> handcrafted.HandCrafted:
    return handcrafted.HandCrafted(huo.features, huo.learn, side=budget.texture_side)


BASELINES = {"sahiner": (sahiner_method, 0.71), "huo": (huo_method, 0.60)}


def baseline_row(name: str, protocol: run.Rules) -> run.Run:
    make, accuracy = BASELINES[name]
    honest = protocol is HONEST
    other = functools.partial(splits.patient_holdout, fractions=OTHER_PART)
    return run.Run(
        KEY,
        name,
        make,
        crops,
        part(protocol.name) if honest else other,
        HONEST if honest else AS_PUBLISHED_BASELINE,
        pathology,
        after=(lesions_shown.bands,) if name == "sahiner" else (),
        published={"accuracy": accuracy},
    )


WAYS = ("multimodal_aug", "parallel_noaug", "parallel_aug")  # the groups of Table 1


def _rows(protocol: run.Rules) -> list[run.Run]:
    found = [net_row(f"{net}_{way}", protocol) for way in WAYS for net in NETS]
    found += [ensemble_row(protocol), *(baseline_row(name, protocol) for name in BASELINES)]
    return [*found, *(net_row(f"{net}_parallel_aug", protocol, dog_bank=False) for net in NETS)]


RUNS = tuple(one for pair in zip(*map(_rows, PROTOCOLS), strict=True) for one in pair)

# What a budget runs where no row is named.
SETS = {
    "demo": (
        "alexnet_multimodal_aug",
        "googlenet_multimodal_aug",
        *(f"{net}_parallel_noaug" for net in NETS),
        *(f"{net}_parallel_aug" for net in NETS),
        "googlenet_ensemble100",
        *BASELINES,
        "googlenet_parallel_aug_nodog",
    )
}

# What README shows; RESULTS.md shows all.
FRONT = ("googlenet_parallel_aug", "googlenet_ensemble100", "sahiner")

# What the paper compares: (claim, row, row that it is said to beat).
COMPARISONS = (
    *((f"augmentation helps, {net} (Table 1)", f"{net}_parallel_aug", f"{net}_parallel_noaug") for net in NETS),
    *(
        (f"parallel beats multi-modal, {net} (Table 1)", f"{net}_parallel_aug", f"{net}_multimodal_aug")
        for net in NETS
    ),
    ("the ensemble beats its first member (Table 1)", "googlenet_ensemble100", "googlenet_parallel_aug"),
    ("nets beat hand-crafted features (Table 1)", "googlenet_ensemble100", "sahiner"),
    ("nets beat hand-crafted features (Table 1)", "googlenet_ensemble100", "huo"),
    ("Sahiner beats Huo (Table 1)", "sahiner", "huo"),
    *(
        (f"the filter bank helps, {net} (not in the paper)", f"{net}_parallel_aug", f"{net}_parallel_aug_nodog")
        for net in NETS
    ),
)

# Section 3: the net of the ensemble is the best one "as defined by test time loss".
PICKED = {"net of the ensemble": tuple(f"{net}_{way}" for way in WAYS for net in NETS)}

# Under as_published the baselines have a test part of their own, as in the paper: such differences are not paired.
OTHER_TEST_PART = tuple(("as_published", name) for name in BASELINES)

# Claims about dreams and the ensemble, as RESULTS.md words them: record's name -> (claim, what counts for it).
CLAIMS = {
    "parameters": ("a multi-modal net has about twice the parameters (millions)", ""),
    "ensemble_auc_gain": ("the ensemble is better than one net: AUC gained, paired", "above 0"),
    "ensemble_member_auc": ("AUC of the members: mean, least, largest", ""),
    "dream_score_malignant": ("the malignant dream raises the net's score", "above 0"),
    "dream_score_benign": ("the benign dream raises the opposite score", "above 0"),
    "dream_spiculation_malignant": ("the malignant dream is more spiculated than its start, degrees", "above 0"),
    "dream_spiculation_benign": ("and the benign dream less, degrees", "below 0"),
    "dream_spiculation_gap": ("malignant less benign dream, degrees", "above 0"),
    "dream_spiculation_gap_learned": ("and more so than dreams of the net before its training", "above 0"),
    "dream_sharpness_gap": ("sharpness of the margin, malignant less benign dream", ""),
    "dream_contrast_gap": ("contrast, malignant less benign dream", ""),
    "dream_opposition": ("the two dreams are opposite: correlation of their changes", "near -1"),
    "dream_opposition_untrained": ("the same of the net before its training", ""),
    "dream_roughness_gain": ("the sum of all maps is smoother than one saliency map (Geary's C)", "above 0"),
    "dream_roughness_gain_untrained": ("the same of the net before its training", ""),
    "dream_inside_accumulated": ("share of the sum's energy within the lesion", ""),
    "dream_inside_area": ("that of a uniform map", ""),
    "dream_inside_gain": ("the sum lies more within the lesion than one map", "above 0"),
    "dream_inside_accumulated_learned": ("and more so than that of the net before its training", "above 0"),
}

# What the page draws of several rows, and the pictures of its gallery.
FIGURES = {
    "Figure 3a: one GoogLeNet's training": functools.partial(page_figures.losses, rows=("googlenet_parallel_aug",)),
    "Figure 3b: ROC curves": functools.partial(
        page_figures.rocs,
        panels={
            "parallel, augmented": tuple(f"{net}_parallel_aug" for net in NETS),
            "ensemble and baselines": ("googlenet_ensemble100", "googlenet_parallel_aug", *BASELINES),
        },
    ),
}
GALLERY = {
    "seeds.png": "Figure 1: the crop round the seed, CC and MLO",
    "dream_malignant.gif": "Figure 4a: Directed Dream, more malignant",
    "dream_benign.gif": "Figure 4b: Directed Dream, more benign",
    "dreams.png": "lesions and their two dreams",
    "responses.png": "what the filter bank gives the net",
    "bands_1.png": "the straightened band of a malignant mass",
    "bands_0.png": "and of a benign one",
    "ensemble.png": "what the number of members is worth",
}

# Section 2.5: 893 patients with two images each; honest has 70 % of 1092.
PAPER_TRAIN_SIZES = {"as_published": 2 * 893, "honest": 2 * 764}

if __name__ == "__main__":
    raise SystemExit(cli.experiment(sys.modules[__name__]))
