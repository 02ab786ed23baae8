"""Kreiss, "Using Deep Learning Methods For Identifying Breast Cancer From Mammograms": a head on Inception V3.

Whole mammograms of INbreast, BI-RADS 4 to 6 against the rest. Inception V3 stays as ImageNet left it; a convolution,
a max-pool, ReLU and a fully connected layer above it are trained on an enlarged training set, in five folds without a
validation part, and on all data. The report's own next steps are rows: a validation part, positives alone enlarged,
copies made before the split, a small net from scratch. What the report leaves open, and what is done here, is
numbered in docs/papers/kreiss2018.md.

Protocols
    as_published: folds over images, so that images of one patient stand in training and test; the all-data row is
        tested on what it has learned from. The report does not say that it went by patient.
    honest: folds over patients; the all-data row trains on all that is not its test part.

Commands
    python experiments/kreiss2018.py --list
    python experiments/kreiss2018.py --budget demo --weights phantom
    python experiments/kreiss2018.py --root inbreast=/data/INbreast --weights imagenet --budget paper
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from typing import Any

import keras

from mammo_tf import cases, cli, explained, labels, run, tuning
from mammo_tf.datasets import cbis_ddsm, inbreast, patches, phantom, split_everything, splits, whole_views
from mammo_tf.explain import methods
from mammo_tf.models import baseline, conv_head, inception_v3, keras_weights
from mammo_tf.pipeline import augment, build, enlarge, features, normalize
from mammo_tf.training import frozen, method, schedule, tensorboard

KEY = "kreiss2018"
DATASETS = (inbreast, cbis_ddsm)

# "313 healthy mammograms and 75 with masses/positive findings" become 3,104 and 1,992; INbreast has 310 and 100.
ENLARGED = (3104, 1992)
INBREAST = (310, 100)


@dataclasses.dataclass(frozen=True)
class Budget(run.Budget):
    """The report's numbers, or smaller ones.

    Attributes:
        side: of the images ("Inception V3": 299).
        width: channels as a fraction of the published nets'.
        batch: 32.
        epochs: passes over the enlarged set; not stated.
        folds: 5 ("folds goes from 0-4").
        factors: examples for each image of class 0 and 1.
        trials: of the search, in each fold ("Hyperparameter tuning").
        lesions: on which methods of explanation are scored.
        standin_epochs: of the net that stands in for ImageNet weights.
    """

    side: int = 299
    width: float = 1.0
    batch: int = 32
    epochs: int = 10
    folds: int = 5
    factors: tuple[float, float] = (ENLARGED[0] / INBREAST[0], ENLARGED[1] / INBREAST[1])
    trials: int = 30
    lesions: int = 48
    standin_epochs: int = 30


BUDGETS = {
    "smoke": Budget(
        "smoke",
        phantom.PhantomSpec(patients=24, height=256, width=192, spacing_mm=0.8),
        draws=200,
        side=96,
        width=0.0625,
        batch=16,
        epochs=1,
        folds=2,
        factors=(1.5, 3.0),
        trials=3,
        lesions=2,
        standin_epochs=1,
    ),
    "demo": Budget(
        "demo",
        phantom.PhantomSpec(patients=160),
        side=192,
        width=0.25,
        epochs=15,
        factors=(3.0, 6.0),
        trials=8,
        lesions=72,
        standin_epochs=8,
    ),
    "paper": Budget("paper", phantom.PhantomSpec(patients=115, height=4084, width=3328, spacing_mm=0.07)),
}

SHARED = "images of one patient stand in training and test"
AS_PUBLISHED = run.Rules("as_published", reported="test")
HONEST = run.Rules("honest", reported="test")
PROTOCOLS = (AS_PUBLISHED, HONEST)

# "Flipping, contrast, Gaussian noise, brightness"; the ranges are not stated. Values are shares of the full scale.
AUGMENT = augment.Augment(
    flip_horizontal=True, flip_vertical=True, contrast=(0.7, 1.3), brightness=(-0.1, 0.1), noise=0.02
)
CROPPED = dataclasses.replace(AUGMENT, crop=(0.85, 1.0))  # "more approaches of augmentation (such as cropping)"


def birads(dataset: str) -> labels.LabelPolicy:
    return labels.pathology if dataset == "cbis_ddsm" else labels.birads_4_up


def images(dataset: cases.Dataset, budget: Any) -> run.Selection:
    return whole_views.whole_views(dataset, birads(dataset.name))


@dataclasses.dataclass(frozen=True)
class Enlarging:
    """What becomes of the parts after the split.

    Attributes:
        positives: True enlarges class 1 alone, to as many examples as class 0 has, and crops as well.
        even: every fold is enlarged to the same numbers, whatever images it has.
        test: each test image gives way to one altered copy.
    """

    positives: bool = False
    even: bool = False
    test: bool = False

    def of(self, parts: cases.Splits, budget: Budget) -> enlarge.Enlargement:
        counts = [sum(e.label == label for e in parts.train) for label in (0, 1)]
        shape, how = (budget.side, budget.side), CROPPED if self.positives else AUGMENT
        if self.positives:
            return enlarge.Enlargement(shape, how, totals=(counts[0], max(counts)))
        if self.even:
            every = [sum(e.label == label for e in (*parts.train, *parts.val, *parts.test)) for label in (0, 1)]
            share = 1 - 1 / budget.folds
            totals = (round(n * share * factor) for n, factor in zip(every, budget.factors, strict=True))
            return enlarge.Enlargement(shape, how, totals=tuple(totals))
        return enlarge.Enlargement(shape, how, factors=budget.factors)

    def __call__(
        self, parts: cases.Splits, budget: Budget, seed: int
    ) -> tuple[cases.Splits, tuple[cases.Problem, ...]]:
        made = self.of(parts, budget)
        train, test = made(parts.train, seed), parts.test
        if self.test:
            test = tuple(enlarge.Enlargement(made.shape, AUGMENT, factors=(2, 2)).altered(e, seed, 1) for e in test)
        return dataclasses.replace(parts, train=train, test=test), ()


def enlarged_first(dataset: cases.Dataset, budget: Budget) -> run.Selection:
    """The whole dataset enlarged, to be split afterwards: "first implement augmentation ... and then split it"."""
    examples, problems = images(dataset, budget)
    made = enlarge.Enlargement((budget.side, budget.side), AUGMENT, factors=budget.factors)
    return made(examples, 0), problems


def by_fold(budget: Budget, *, honest: bool, val: float = 0.0, leak: str = SHARED) -> Callable[..., Any]:
    if honest:
        return functools.partial(splits.patient_kfold, folds=budget.folds, val_fraction=val)
    return functools.partial(splits.random_kfold, folds=budget.folds, val_fraction=val, leak=leak)


def inception(budget: Budget) -> Callable[..., Any]:
    return functools.partial(inception_v3.inception_v3_features, width=max(2, int(32 * budget.width)))


def adam(rate: float = 1e-3) -> Callable[[], keras.optimizers.Optimizer]:
    return functools.partial(keras.optimizers.Adam, learning_rate=rate)  # "Building the network"


def map_side(side: int) -> int:
    """Side of Inception V3's last feature map.

    >>> map_side(96), map_side(192), map_side(299)
    (1, 4, 8)
    """
    for kernel, stride in ((3, 2), (3, 1), (3, 2), (3, 1), (3, 2), (3, 2), (3, 2)):
        side = (side - kernel) // stride + 1
    return side


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Inception V3, frozen, and the head.

    Attributes:
        validated: the epoch is chosen on validation; else the last is taken.
        head: None for the head of the report at the budget's width.
    """

    validated: bool = False
    head: conv_head.Head | None = None

    def __call__(self, budget: Budget) -> method.KerasMethod:
        head = self.head or conv_head.Head(filters=max(8, int(64 * budget.width)))
        return method.KerasMethod(
            net=functools.partial(conv_head.conv_head, features=inception(budget), head=head),
            pipeline=build.Pipeline(budget.side, normalize.centred, batch=budget.batch),
            stages=(schedule.Stage(budget.epochs, adam(), trainable=conv_head.PREFIXES),),
            select=schedule.lowest_val_loss if self.validated else schedule.last_epoch,
            pretrained=inception_v3.load_keras,
            frozen=frozen.Frozen(conv_head.CUT, features.of),
            steps=tensorboard.Steps(("top_conv",)),  # figures 11 and 12
        )


# "Kernel size, padding options, strides, etc. ... the learning rate, step sizes and batch size", "our loss functions"
# (next steps 3); the values are not stated. The first of each is what the other rows take.
SPACE = (
    tuning.Choice("kernel", (3, 1, 5)),
    tuning.Choice("padding", conv_head.PADDINGS),
    tuning.Choice("stride", (1, 2)),
    tuning.Choice("filters", (64, 16, 256)),
    tuning.Choice("fc", (0, 64)),
    tuning.Choice("optimizer", ("adam", "sgd", "rmsprop")),
    tuning.LogRange("learning_rate", 1e-4, 1e-2, first=1e-3),
    tuning.Choice("batch", (32, 16, 64)),
    tuning.Choice("class_weight", ("none", "balanced")),
)
OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "sgd": functools.partial(keras.optimizers.SGD, momentum=0.9),
    "rmsprop": keras.optimizers.RMSprop,
}


def candidate(choices: tuning.Choices, *, budget: Budget) -> method.KerasMethod:
    """The row with other choices; filters and units are those of a net of full width, a kernel fits the map."""
    plain = Transfer()(budget)
    head = conv_head.Head(
        filters=max(2, int(choices["filters"] * budget.width)),
        kernel=min(choices["kernel"], map_side(budget.side)),
        padding=choices["padding"],
        stride=choices["stride"],
        fc=(max(4, int(choices["fc"] * budget.width)),) if choices["fc"] else (),
    )
    optimizer = functools.partial(OPTIMIZERS[choices["optimizer"]], learning_rate=choices["learning_rate"])
    return dataclasses.replace(
        plain,
        net=functools.partial(plain.net, head=head),
        pipeline=dataclasses.replace(plain.pipeline, batch=choices["batch"]),
        stages=(dataclasses.replace(plain.stages[0], optimizer=optimizer),),
        class_weight=None if choices["class_weight"] == "none" else choices["class_weight"],
    )


def tuned(budget: Budget, *, honest: bool) -> tuning.Tuned:
    """A search in every fold, judged by two folds of its training part: of patients, or (as published) of images."""
    inner = by_fold(dataclasses.replace(budget, folds=2), honest=honest)
    return tuning.Tuned(functools.partial(candidate, budget=budget), SPACE, budget.trials, inner)


def small_cnn(budget: Budget) -> method.KerasMethod:
    """Three convolutions and one fully connected layer, from scratch: "2-3 hidden layers" (next steps 5)."""
    net = functools.partial(baseline.baseline_cnn, width=max(8, int(32 * budget.width)), fc=(64,))
    return method.KerasMethod(
        net=net,
        pipeline=build.Pipeline(budget.side, normalize.centred, batch=budget.batch),
        stages=(schedule.Stage(budget.epochs, adam()),),
        select=schedule.last_epoch,
        precision="float32",  # so few channels take a CPU longer in bfloat16
    )


def standin_net(budget: Budget) -> method.KerasMethod:
    """Inception V3 from scratch on crops of lesions, mass or calcification: what ImageNet is on the phantom.

    At the side of the images that it will see: on a larger map than it learned on, its features grow.
    """
    net = functools.partial(inception_v3.inception_v3, width=max(2, int(32 * budget.width)))
    moves = augment.Augment(flip_horizontal=True, flip_vertical=True, rotate_deg=(-180.0, 180.0))
    return method.KerasMethod(
        net=net,
        pipeline=build.Pipeline(budget.side, normalize.centred, moves, batch=budget.batch),
        stages=(schedule.Stage(budget.standin_epochs, adam()),),
        select=schedule.best_val_auc,
    )


def other_phantom(budget: Budget) -> phantom.PhantomSpec:
    """Other patients than those of the rows, and more of them."""
    return dataclasses.replace(budget.phantom, patients=4 * budget.phantom.patients, seed=budget.phantom.seed + 1000)


def _is_mass(lesion: cases.Lesion) -> float:
    return float(lesion.kind == "mass")


def _shows_mass(view: cases.View) -> float:
    return float(any(lesion.kind == "mass" for lesion in view.lesions))


KIND = labels.LabelPolicy("lesion_kind", ("calcification", "mass"), _is_mass, _shows_mass)


KINDS = ("mass", "calcification")


def kind_policy(dataset: str) -> labels.LabelPolicy:
    return KIND


def kind_crops(dataset: cases.Dataset, budget: Any) -> run.Selection:
    """A lesion in three scales, since those of a whole image are small."""
    return patches.lesion_crops(dataset, KIND, kinds=KINDS, paddings=(0.2, 1.0, 3.0))


def scattered_crops(dataset: cases.Dataset, budget: Any) -> run.Selection:
    """A lesion anywhere in a crop of three to four times its size: a map that shows the middle does not find it."""
    return patches.lesion_crops(dataset, KIND, kinds=KINDS, paddings=(1.0, 1.5), shift=0.3)


STANDIN = run.Run(
    KEY,
    "phantom_standin",
    standin_net,
    kind_crops,
    functools.partial(splits.patient_holdout, fractions=(0.7, 0.15, 0.15)),
    HONEST,
    kind_policy,
    spec=other_phantom,
    dataset=cbis_ddsm,
    after=(),
)


WHOLE = "the whole mammogram"


def row(name: str, protocol: run.Rules, make: Callable[[Budget], Any], **more: Any) -> run.Run:
    """A row over folds, enlarged after the split unless `more` says otherwise."""
    honest = protocol is HONEST
    pretrained = make is not small_cnn
    common = {
        "data": images,
        "split": run.AtBudget(functools.partial(by_fold, honest=honest)),
        "policy": birads,
        "sample": Enlarging(),
        "after": (),
        "standin": STANDIN if pretrained else None,
        "pretrained": keras_weights.imagenet_inception_v3 if pretrained else None,
        "takes": WHOLE,
    }
    return run.Run(KEY, name, make, protocol=protocol, **{**common, **more})


# Those that ask the net a few times for a map; the others ask it up to hundreds of times, and each map is made again
# for the sanity check and the flips.
QUICK = (
    "saliency",
    "gradient_x_input",
    "deconvnet",
    "guided_backpropagation",
    "gradcam",
    "lrp_epsilon",
    "lrp_z_plus",
    "lrp_composite",
)


def explanations(done: Any) -> dict[str, Any]:
    """Hook: methods of explanation scored on lesions of the test part, in the first fold: all at budget paper."""
    if done.parts.fold:
        return {}
    chosen = {"smoke": QUICK[:1], "paper": tuple(methods.METHODS)}.get(done.budget.name, QUICK)
    return explained.scored(done, methods=chosen, count=done.budget.lesions)


ALL_DATA_LEAK = "tested on the images that were learned from"


def all_data(protocol: run.Rules) -> run.Run:
    if protocol is HONEST:
        split: Any = functools.partial(first_fold, folds=5)
    else:
        split = functools.partial(split_everything.tested_on_training, leak=ALL_DATA_LEAK)
    return row("inceptionv3_all_data", protocol, Transfer(), split=split)


def first_fold(examples: Any, seed: int, *, folds: int) -> cases.Splits:
    """One test part of patients, everybody else trains."""
    return splits.patient_kfold(examples, seed, folds=folds, val_fraction=0)[0]


def lesion_kind() -> run.Run:
    """The report's net on crops, mass or calcification: a question that its features answer, to explain the answers.

    Whole images of INbreast's size in number may teach the head nothing; maps of such a net show that, and no more.
    """
    split = functools.partial(first_fold, folds=5)
    more: dict[str, Any] = {"data": scattered_crops, "policy": kind_policy, "split": split, "after": (explanations,)}
    more["takes"] = "a crop of three to four times the lesion's size, the lesion anywhere in it"
    return row("lesion_kind", HONEST, Transfer(), extra=True, **more)


def _rows(protocol: run.Rules) -> list[run.Run]:
    honest = protocol is HONEST
    validated = run.AtBudget(functools.partial(by_fold, honest=honest, val=0.2))
    explain = (explanations,) if honest else ()
    ways = {"test_augmented": Enlarging(test=True), "even": Enlarging(even=True)}
    ways["even_test_augmented"] = Enlarging(even=True, test=True)
    return [
        row("inceptionv3_cv", protocol, Transfer(), after=explain),
        *(row(f"inceptionv3_cv_{way}", protocol, Transfer(), sample=how, extra=True) for way, how in ways.items()),
        row("tuned", protocol, functools.partial(tuned, honest=honest), after=(tuning.told,)),
        all_data(protocol),
        row("inceptionv3_cv_val", protocol, Transfer(validated=True), split=validated),
        row("inceptionv3_cv_balanced", protocol, Transfer(), sample=Enlarging(positives=True)),
        row("small_cnn", protocol, small_cnn, after=explain),
    ]


# "First implement augmentation on all train set and then split it": copies of one image on both sides.
AUGMENT_FIRST = row(
    "inceptionv3_cv_augment_first",
    AS_PUBLISHED,
    Transfer(),
    data=enlarged_first,
    split=run.AtBudget(
        functools.partial(by_fold, honest=False, leak="copies of one image, and images of one patient, on both sides")
    ),
    sample=None,
)

RUNS = (*(one for pair in zip(*map(_rows, PROTOCOLS), strict=True) for one in pair), AUGMENT_FIRST, lesion_kind())

# What the report says in words, as pairs: (claim, row, row that it is said to beat).
COMPARISONS = (
    ("test images that are augmented too are easier (Results)", "inceptionv3_cv_test_augmented", "inceptionv3_cv"),
    ("augmentation balanced over the folds helps (Results)", "inceptionv3_cv_even", "inceptionv3_cv"),
    ("enlarging the positive class alone helps (next steps)", "inceptionv3_cv_balanced", "inceptionv3_cv"),
    ("a small net does as well (next steps)", "small_cnn", "inceptionv3_cv"),
)

# As RESULTS.md words them, of the first fold: record's name -> (claim, what counts for it).
CLAIMS = {
    "tuned_promise": ("AUC of the best trial inside the training part of fold 0: mean, least, largest", ""),
    "tuned_gain": ("what tuning promised there over the report's head", "above 0"),
    "tuned_kept": ("and the AUC on the test part of fold 0", ""),
}

# What README shows; RESULTS.md shows all.
FRONT = ("inceptionv3_cv", "inceptionv3_all_data")

# Altered test images are other examples than the images themselves.
OTHER_TEST_PART = tuple(
    (rules.name, f"inceptionv3_cv{way}_test_augmented") for rules in PROTOCOLS for way in ("", "_even")
)


def paper_fits(one: run.Run) -> float:
    """How many times a row trains on as many examples: folds, and in each the trials, on half of them twice."""
    budget = BUDGETS["paper"]
    folds = 1 if one.name in ("inceptionv3_all_data", "lesion_kind") else budget.folds
    return folds * (budget.trials + 1 if one.name == "tuned" else 1)


PAPER_TRAIN_SIZES = {"as_published": round(0.8 * sum(ENLARGED)), "honest": round(0.8 * sum(ENLARGED))}

if __name__ == "__main__":
    raise SystemExit(cli.experiment(sys.modules[__name__]))
