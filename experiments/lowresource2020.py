"""Low Resource Breast Cancer Detection with Mammograms: fine-tuning against features, Lasso, SMOTE and an SVM.

INbreast, BI-RADS 4 to 6 against 1 to 3. Table 1 fine-tunes ResNet50, ResNet18 and SqueezeNet (ImageNet) and the net
of Wu et al. 2019 (NYU); Table 2 learns support vector machines and logistic regression on features of ResNet50 and of
the NYU net. What the paper leaves open, what its own digits show, and what is done here:
docs/papers/lowresource2020.md.

Protocols
    as_published: Table 1: images are dealt at random, 80 % and 20 %, and the epoch is chosen on the part reported.
        Table 2: scaling, Lasso and SMOTE are fitted on all images before these, synthetic ones included, are dealt to
        ten folds. That both were so follows from the numbers of test images that fit the printed digits.
    honest: patients are dealt; Table 1 chooses on validation and reports a test part; in Table 2 everything is fitted
        inside the training part of each fold.

Commands
    python experiments/lowresource2020.py --list
    python experiments/lowresource2020.py --budget demo --weights phantom
    python experiments/lowresource2020.py --root inbreast=/data/INbreast --weights imagenet --budget paper
        (the NYU rows need the released weights: MAMMO_TF_NYU_WEIGHTS=FILE)
    python experiments/lowresource2020.py --dataset mini_mias --root mini_mias=/data/mini-mias --budget paper \
        --weights FILE --only squeezenet_lasso_smote_svm
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras

from mammo_tf import cases, categories, cli, feature_nets, labels, report_beside, run, selections
from mammo_tf.classical import deep_features, margins, selected, selected_first
from mammo_tf.datasets import cbis_ddsm, inbreast, mini_mias, patches, phantom, splits, whole_views
from mammo_tf.evaluation import forensics
from mammo_tf.models import keras_weights, nyu_resnet22, nyu_weights, resnet, resnet50, squeezenet, squeezenet_weights
from mammo_tf.models import weights as torch_weights
from mammo_tf.pipeline import augment, build, normalize, nyu_crop, views
from mammo_tf.training import method, progressive, schedule, untrained

KEY = "lowresource2020"
DATASETS = (inbreast, cbis_ddsm, mini_mias)
IMAGES = 410  # section 4; the numbers of features kept are shares of it here


@dataclasses.dataclass(frozen=True)
class Budget(run.Budget):
    """The paper's numbers, or smaller ones; it gives no size of an image, no rate and no number of epochs.

    Attributes:
        side: of the images of the ImageNet nets.
        sides: smaller ones before it ("progressive resizing").
        width: channels of the ImageNet nets as a fraction.
        units: bottlenecks of the four stages of ResNet50.
        nyu_side: of the NYU net's images: 203 to 266 give the paper's 4096 features; 0 stands for features of windows
            of native size, averaged over the image to 256, and for fine-tuning at 224.
        nyu_width: filters of the NYU net's first stage.
        batch: of training.
        head_epochs, epochs: of the two phases at each size.
        rates: learning rates of the two phases.
        scratch_epochs: of the net from scratch.
        folds: 10.
        noises: on which each row of Table 2 is run too.
        standin_epochs, nyu_epochs: of the nets that stand in for ImageNet's and NYU's weights.
    """

    side: int = 224
    sides: tuple[int, ...] = (112,)
    width: float = 1.0
    units: tuple[int, ...] = resnet50.UNITS
    nyu_side: int = 224
    nyu_width: int = 16
    batch: int = 16
    head_epochs: int = 5
    epochs: int = 15
    rates: tuple[float, float] = (1e-3, 1e-4)
    scratch_epochs: int = 40
    folds: int = 10
    noises: int = 20
    standin_epochs: int = 30
    nyu_epochs: int = 30


BUDGETS = {
    "smoke": Budget(
        "smoke",
        phantom.PhantomSpec(patients=60, height=256, width=192, spacing_mm=0.8),
        draws=200,
        side=64,
        sides=(48,),
        width=0.125,
        units=(1, 1, 1, 1),
        nyu_width=2,
        head_epochs=1,
        epochs=1,
        scratch_epochs=1,
        folds=2,
        noises=2,
        standin_epochs=1,
        nyu_epochs=1,
    ),
    "demo": Budget(
        "demo",
        phantom.PhantomSpec(patients=200),
        side=128,
        sides=(96,),
        units=(1, 1, 1, 1),
        head_epochs=3,
        epochs=6,
        scratch_epochs=12,
        standin_epochs=6,
        nyu_epochs=20,
    ),
    "paper": Budget("paper", phantom.PhantomSpec(patients=196, height=4084, width=3328, spacing_mm=0.07)),
}

CHOSEN = "the epoch is chosen on the part reported"
SHARED = "images of one patient stand in both parts"
AS_PUBLISHED = run.Rules("as_published", reported="val", leaks=(CHOSEN,))
BEFORE = run.Rules("as_published", reported="test", fits_test=True)
HONEST = run.Rules("honest", reported="test")
PROTOCOLS = ("as_published", "honest")

# The paper names none; what every fine-tuning of the time had.
AUGMENT = augment.Augment(flip_horizontal=True, rotate_deg=(-10.0, 10.0), zoom_y=(0.9, 1.1), zoom_x=(0.9, 1.1))


def outcome(dataset: str) -> labels.LabelPolicy:
    """BI-RADS where the dataset has it ("BIRADS 1, 2 and 3 are benign"), else malignant against the rest."""
    return {"inbreast": labels.birads_4_up, "mini_mias": labels.mias_severity}.get(dataset, labels.pathology)


def images(dataset: cases.Dataset, budget: Any) -> run.Selection:
    return whole_views.whole_views(dataset, outcome(dataset.name))


def windows(dataset: cases.Dataset, budget: Any) -> run.Selection:
    """The images as the NYU net takes them: the breast, facing right, in a window of the projection's size."""
    examples, problems = images(dataset, budget)
    return tuple(_windowed(example, dataset) for example in examples), problems


def _windowed(example: cases.Example, dataset: cases.Dataset) -> cases.Example:
    found = tuple(nyu_crop.windowed(view, dataset.fingerprint) for view in example.views)
    return dataclasses.replace(example, views=found)


def breasts(dataset: cases.Dataset, budget: Any) -> run.Selection:
    """A window of each view of a breast, CC and MLO; a breast without both is left out."""
    examples, problems = windows(dataset, budget)
    of: dict[tuple[str, Any], dict[cases.Projection, cases.Example]] = {}
    for example in examples:
        of.setdefault((example.patient_id, example.views[0].side), {})[example.views[0].projection] = example
    found = []
    for pair in of.values():
        if {cases.Projection.CC, cases.Projection.MLO} <= pair.keys():
            cc, mlo = pair[cases.Projection.CC], pair[cases.Projection.MLO]
            found.append(dataclasses.replace(cc, views=cc.views + mlo.views, label=max(cc.label, mlo.label)))
    return tuple(found), problems


# Table 1

CATEGORIES = tuple(f"BI-RADS {k}" for k in range(1, 7))


def to_birads(parts: cases.Splits, budget: Budget, seed: int) -> tuple[cases.Splits, tuple[cases.Problem, ...]]:
    """Labels 0 to 5 for BI-RADS 1 to 6, after a deal that goes by benign and malignant."""
    found = {name: tuple(map(_category, getattr(parts, name))) for name in ("train", "val", "test")}
    return dataclasses.replace(parts, **found), ()


def _category(example: cases.Example) -> cases.Example:
    return dataclasses.replace(example, label=categories.of(example) - 1.0)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A net of Table 1.

    Attributes:
        net: (budget) -> images -> logits.
        load: what puts weights into it.
        imagenet: the way to them.
        normalize: what they expect.
        head: layers of the first phase.
    """

    net: Callable[[Budget], Callable[..., Any]]
    load: Callable[..., None]
    imagenet: Callable[[], Any]
    normalize: Callable[..., Any]
    head: tuple[str, ...] = ("logits",)


def resnet50_net(budget: Budget) -> Callable[..., Any]:
    return functools.partial(resnet50.resnet50, **resnet50_size(budget))


def resnet50_size(budget: Budget) -> dict[str, Any]:
    return {"width": max(4, int(64 * budget.width)), "units": budget.units}


def resnet18_net(budget: Budget) -> Callable[..., Any]:
    return functools.partial(resnet.resnet18, width=max(4, int(64 * budget.width)))


def squeezenet_net(budget: Budget) -> Callable[..., Any]:
    return functools.partial(squeezenet.squeezenet, width=squeezenet_width(budget), variant=squeezenet.KERAS)


def squeezenet_width(budget: Budget) -> int:
    return max(4, int(64 * budget.width) // 4 * 4)


BACKBONES = {
    "resnet50": Backbone(
        resnet50_net, keras_weights.load_by_name, keras_weights.imagenet_resnet50, normalize.imagenet_caffe
    ),
    "resnet18": Backbone(
        resnet18_net, torch_weights.load_backbone, torch_weights.imagenet_resnet18, normalize.imagenet
    ),
    "squeezenet": Backbone(
        squeezenet_net,
        squeezenet_weights.load_backbone,
        squeezenet_weights.imagenet_squeezenet,
        normalize.imagenet_caffe,
    ),
}


def adam(rate: float) -> Callable[[], keras.optimizers.Optimizer]:
    return functools.partial(keras.optimizers.Adam, learning_rate=rate)


def phases(budget: Budget, head: tuple[str, ...]) -> tuple[schedule.Stage, ...]:
    """ "Using as feature extractor", then fine-tuning (section 5)."""
    first, second = budget.rates
    return (
        schedule.Stage(budget.head_epochs, adam(first), trainable=head),
        schedule.Stage(budget.epochs, adam(second)),
    )


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """A row of Table 1: two phases at each size, the second size going on from the first."""

    backbone: str
    classes: int

    def __call__(self, budget: Budget) -> progressive.Progressive:
        backbone = BACKBONES[self.backbone]
        inner = method.KerasMethod(
            net=functools.partial(backbone.net(budget), classes=self.classes),
            pipeline=build.Pipeline(budget.side, backbone.normalize, AUGMENT, batch=budget.batch),
            stages=phases(budget, backbone.head),
            select=schedule.best_val_accuracy,
            pretrained=backbone.load,
            classes=self.classes,
            needed=2,  # INbreast has 8 images of BI-RADS 6: a training part may lack them
        )
        return progressive.Progressive(inner, budget.sides)


def nyu_size(budget: Budget) -> int:
    return budget.nyu_side or 224


@dataclasses.dataclass(frozen=True)
class FineTunedNyu:
    """The NYU net of one view, its own layers above the ResNet included, on images of all views."""

    view: str

    def __call__(self, budget: Budget) -> method.KerasMethod:
        return method.KerasMethod(
            net=functools.partial(nyu_resnet22.compared, width=budget.nyu_width),
            pipeline=build.Pipeline(
                nyu_size(budget),
                normalize.per_image,
                dataclasses.replace(AUGMENT, flip_horizontal=False),
                batch=budget.batch,
                channels=1,
            ),
            stages=phases(budget, ("fc", "logits")),
            select=schedule.best_val_accuracy,
            pretrained=functools.partial(nyu_weights.load_file, view=self.view),
        )


def resnet18_scratch(budget: Budget) -> method.KerasMethod:
    """ "Small networks trained-from-scratch on medical images" (section 5), which the paper asks for and has not."""
    return method.KerasMethod(
        net=resnet18_net(budget),
        pipeline=build.Pipeline(budget.side, normalize.per_image, AUGMENT, batch=budget.batch),
        stages=(schedule.Stage(budget.scratch_epochs, adam(1e-3)),),
        select=schedule.best_val_accuracy,
    )


# Stand-ins: what ImageNet and NYU's million mammograms are on the phantom.


def other_phantom(budget: Budget) -> phantom.PhantomSpec:
    """Other patients than those of the rows, and more of them."""
    return dataclasses.replace(budget.phantom, patients=3 * budget.phantom.patients, seed=budget.phantom.seed + 1000)


def kind_policy(dataset: str) -> labels.LabelPolicy:
    return labels.lesion_kind


def kind_crops(dataset: cases.Dataset, budget: Any) -> run.Selection:
    """A lesion in three scales, since those of a whole image are small."""
    kinds = ("mass", "calcification")
    return patches.lesion_crops(dataset, labels.lesion_kind, kinds=kinds, paddings=(0.2, 1.0, 3.0))


@dataclasses.dataclass(frozen=True)
class ImageNetStandin:
    """A net from scratch that tells masses from calcifications, at the side of the images that it will see."""

    backbone: str

    def __call__(self, budget: Budget) -> method.KerasMethod:
        backbone = BACKBONES[self.backbone]
        moves = augment.Augment(flip_horizontal=True, flip_vertical=True, rotate_deg=(-180.0, 180.0))
        return method.KerasMethod(
            net=backbone.net(budget),
            pipeline=build.Pipeline(budget.side, backbone.normalize, moves, batch=32),
            stages=(schedule.Stage(budget.standin_epochs, adam(1e-3)),),
            select=schedule.best_val_auc,
        )


def nyu_standin(budget: Budget) -> method.KerasMethod:
    """The NYU net of a breast from scratch, malignant against benign: its own task, on other patients."""
    return method.KerasMethod(
        net=functools.partial(nyu_resnet22.breast, width=budget.nyu_width),
        pipeline=views.PairPipeline(nyu_size(budget), normalize.per_image, batch=budget.batch, channels=1),
        stages=(schedule.Stage(budget.nyu_epochs, adam(1e-3)),),
        select=schedule.best_val_auc,
    )


def malignant(dataset: str) -> labels.LabelPolicy:
    return labels.pathology


def standin(
    name: str, make: Callable[[Budget], Any], data: Callable[..., Any], policy: Callable[..., Any]
) -> run.Run:
    split = functools.partial(splits.patient_holdout, fractions=(0.7, 0.15, 0.15))
    more: dict[str, Any] = {"spec": other_phantom, "dataset": cbis_ddsm, "after": ()}
    return run.Run(KEY, f"phantom_standin_{name}", make, data, split, HONEST, policy, **more)


STANDINS = {name: standin(name, ImageNetStandin(name), kind_crops, kind_policy) for name in BACKBONES}
STANDINS["nyu"] = standin("nyu", nyu_standin, breasts, malignant)

TABLE_1 = {  # (accuracy, AUROC, precision, recall)
    "resnet50_birads": (0.549, 0.475, 0.513, 0.481),
    "resnet18_birads": (0.573, 0.390, 0.686, 0.524),
    "squeezenet_birads": (0.427, 0.459, 0.270, 0.210),
    "resnet50_binary": (0.866, 0.9, 0.737, 0.7),
    "resnet18_binary": (0.854, 0.872, 0.75, 0.6),
    "squeezenet_binary": (0.732, 0.695, 0.437, 0.35),
    "nyu_lmlo_binary": (0.780, 0.544, 0.625, 0.25),
    "nyu_rcc_binary": (0.793, 0.581, 0.667, 0.3),
}

WHOLE = "the whole mammogram"
WINDOW = "the breast, facing right, in the NYU net's window (mammo_tf.pipeline.nyu_crop)"
HOLDOUTS = {
    "as_published": (AS_PUBLISHED, functools.partial(splits.random_examples, fractions=(0.8, 0.2), leak=SHARED)),
    "honest": (HONEST, functools.partial(splits.patient_holdout, fractions=(0.64, 0.16, 0.2))),
}


def fine_tuning_row(name: str, protocol: str) -> run.Run:
    net, _, task = name.partition("_")
    rules, split = HOLDOUTS[protocol]
    common: dict[str, Any] = {"policy": outcome, "after": (), "published": _table1(name), "takes": WHOLE}
    common["extra"] = name not in TABLE_1
    if name == "resnet18_scratch":
        return run.Run(KEY, name, resnet18_scratch, images, split, rules, **common)
    if net == "nyu":
        common |= {"standin": STANDINS["nyu"], "pretrained": nyu_weights.released, "takes": WINDOW}
        return run.Run(KEY, name, FineTunedNyu(task.partition("_")[0]), windows, split, rules, **common)
    common |= {"standin": STANDINS[net], "pretrained": BACKBONES[net].imagenet}
    if task == "birads":
        common |= {"sample": to_birads, "classes": CATEGORIES}
    make = FineTuned(net, len(CATEGORIES) if task == "birads" else 2)
    return run.Run(KEY, name, make, images, split, rules, **common)


def _table1(name: str) -> dict[str, Any]:
    columns = ("accuracy", "auc", "precision", "recall")
    return {"table": "1", **dict(zip(columns, TABLE_1[name], strict=True))} if name in TABLE_1 else {}


# Figure 3


def released_net(budget: Budget) -> untrained.Untrained:
    """ "We used the NYU model for inference on the INBreast dataset, without any fine-tuning": the net of L-CC."""
    return untrained.Untrained(FineTunedNyu("lcc")(budget))


def inference_row() -> run.Run:
    """Nothing is learned, so nothing leaks: every image is in the test part of one of five folds."""
    return run.Run(
        KEY,
        "nyu_inference",
        released_net,
        windows,
        functools.partial(splits.patient_kfold, folds=5, val_fraction=0),
        HONEST,
        outcome,
        standin=STANDINS["nyu"],
        pretrained=nyu_weights.released,
        after=(),
        together=(functools.partial(categories.histogram, answers=nyu_resnet22.OF_A_BREAST),),
        takes=WINDOW,
    )


# Table 2


@dataclasses.dataclass(frozen=True)
class Features:
    """The features of a net: budget -> `deep_features.DeepFeatures`.

    Attributes:
        nets: "resnet50", "squeezenet", or views of the NYU net, over whose features the mean is taken.
    """

    nets: tuple[str, ...]

    def __call__(self, budget: Budget) -> deep_features.DeepFeatures:
        if self.nets[0] not in BACKBONES:
            side, pool = budget.nyu_side or None, deep_features.flattened if budget.nyu_side else deep_features.pooled
            shape = (side, side) if side else None
            net = functools.partial(nyu_resnet22.resnet22_features, width=budget.nyu_width)
            cuts = (
                self._cut(net, (side, side, 1), functools.partial(nyu_weights.load_file, view=v)) for v in self.nets
            )
            picture = feature_nets.Picture(shape, normalize.per_image, channels=1)
            return deep_features.DeepFeatures(tuple(cuts), picture, pool, batch=8 if side else 1)
        side, backbone = budget.side, BACKBONES[self.nets[0]]
        net = {
            "resnet50": functools.partial(resnet50.resnet50_features, **resnet50_size(budget)),
            "squeezenet": functools.partial(
                squeezenet.squeezenet_features, width=squeezenet_width(budget), variant=squeezenet.KERAS
            ),
        }[self.nets[0]]
        cut = self._cut(net, (side, side, 3), backbone.load)
        return deep_features.DeepFeatures((cut,), feature_nets.Picture((side, side), backbone.normalize))

    @staticmethod
    def _cut(net: Callable[..., Any], shape: tuple[Any, ...], load: Callable[..., None]) -> feature_nets.Cut:
        return feature_nets.Cut(net, shape, load)


FEATURES = {  # features, how many of them Table 2 keeps
    "resnet50": (Features(("resnet50",)), 217),
    "nyu_lcc": (Features(("lcc",)), 350),
    "nyu_avg": (Features(("lcc", "lmlo")), 325),  # left and right share a ResNet: the mean of four is that of two
    "squeezenet": (Features(("squeezenet",)), 217),
}
CLASSIFIERS = {"svm": margins.linear_svm, "rbf": margins.rbf_svm, "lr": margins.logistic}

TABLE_2 = {  # (accuracy, "AUC", mean, deviation, number of features)
    "resnet50_all_svm": (0.6544, 0.562, 0.58, 0.09, 2048),
    "resnet50_lasso_svm": (0.8676, 0.8362, 0.74, 0.11, 217),
    "resnet50_lasso_rbf": (0.75, 0.5143, 0.51, 0.03, 217),
    "resnet50_lasso_lr": (0.8676, 0.8362, 0.76, 0.12, 217),
    "resnet50_lasso_smote_svm": (0.9317, 0.9345, 0.94, 0.03, 217),
    "resnet50_lasso_smote_lr": (0.9122, 0.9157, 0.95, 0.04, 217),
    "nyu_lcc_all_svm": (0.6912, 0.5680, 0.56, 0.07, 4096),
    "nyu_lcc_all_rbf": (0.7426, 0.5, 0.50, 0.03, 4096),
    "nyu_lcc_lasso_svm": (0.8750, 0.8412, 0.74, 0.10, 350),
    "nyu_lcc_lasso_rbf": (0.7426, 0.5, 0.50, 0.03, 350),
    "nyu_lcc_lasso_lr": (0.8456, 0.8027, 0.72, 0.11, 350),
    "nyu_lcc_lasso_smote_svm": (0.9610, 0.9631, 0.96, 0.02, 350),
    "nyu_lcc_lasso_smote_lr": (0.9317, 0.9361, 0.94, 0.04, 350),
    "nyu_avg_lasso_svm": (0.8162, 0.7269, 0.73, 0.07, 325),
    "nyu_avg_lasso_lr": (0.8162, 0.7082, 0.72, 0.08, 325),
    "nyu_avg_lasso_smote_svm": (0.9756, 0.9758, 0.97, 0.04, 325),
    "nyu_avg_lasso_smote_rbf": (0.6683, 0.6733, 0.72, 0.07, 325),
    "nyu_avg_lasso_smote_lr": (0.9610, 0.9623, 0.97, 0.03, 325),
}
# Not of the paper: a small net's features, and SMOTE before the split without a selection.
MORE = (
    "resnet50_all_smote_svm",
    "nyu_lcc_all_smote_svm",
    "squeezenet_all_svm",
    "squeezenet_all_smote_svm",
    "squeezenet_lasso_svm",
    "squeezenet_lasso_rbf",
    "squeezenet_lasso_lr",
    "squeezenet_lasso_smote_svm",
    "squeezenet_lasso_smote_lr",
)


def recipe_of(name: str) -> selected.Recipe:
    """What a row of Table 2 does, by its name."""
    features = next(key for key in FEATURES if name.startswith(f"{key}_"))
    words = name.removeprefix(f"{features}_").split("_")
    keep = FEATURES[features][1] / IMAGES if "lasso" in words else None
    return selected.Recipe(CLASSIFIERS[words[-1]], smote="smote" in words, keep=keep)


@dataclasses.dataclass(frozen=True)
class Classified:
    """A row of Table 2 as a method."""

    name: str
    before: bool

    def __call__(self, budget: Budget) -> selected.Selected | selected_first.SelectedFirst:
        key = next(key for key in FEATURES if self.name.startswith(f"{key}_"))
        features, recipe = FEATURES[key][0](budget), recipe_of(self.name)
        if self.before:
            return selected_first.SelectedFirst(features, recipe, budget.folds)
        return selected.Selected(features, recipe)


def dealt_before(budget: Budget, *, name: str) -> Callable[..., Any]:
    recipe = recipe_of(name)
    fitted = ["scaling", *(["Lasso"] if recipe.selects else []), *(["SMOTE"] if recipe.smote else [])]
    leak = f"{', '.join(fitted)} fitted on all images before the split; images of one patient in training and test"
    leak += "; synthetic images in the test part" if recipe.smote else ""
    return functools.partial(selected_first.kfold, folds=budget.folds, smote=recipe.smote, leak=leak)


def dealt(budget: Budget) -> Callable[..., Any]:
    return functools.partial(splits.patient_kfold, folds=budget.folds, val_fraction=0)


def noise_claims(done: Sequence[run.Done]) -> dict[str, Any]:
    return selections.on_noise(done, count=done[0].budget.noises)


def classical_row(name: str, protocol: str) -> run.Run:
    before, nyu = protocol == "as_published", name.startswith("nyu")
    split = run.AtBudget(functools.partial(dealt_before, name=name) if before else dealt)
    net = name.partition("_")[0]
    return run.Run(
        KEY,
        name,
        Classified(name, before),
        windows if nyu else images,
        split,
        BEFORE if before else HONEST,
        outcome,
        standin=STANDINS[net],
        pretrained=nyu_weights.released if nyu else BACKBONES[net].imagenet,
        after=(),
        together=(selections.table2, noise_claims),
        published=_table2(name),
        extra=name not in TABLE_2,
    )


def _table2(name: str) -> dict[str, Any]:
    columns = ("holdout_accuracy", "holdout_balanced_accuracy", "cv_balanced_accuracy", "cv_deviation", "features")
    return {"table": "2", **dict(zip(columns, TABLE_2[name], strict=True))} if name in TABLE_2 else {}


# As printed, for `mammo-tf forensics`; of Table 2 what it calls AUC is the balanced accuracy of hard labels.
def printed(title: str, names: str, *lines: str) -> forensics.Group:
    return forensics.Group(title, tuple(dict(zip(names.split(), line.split(), strict=True)) for line in lines))


PRINTED = (
    printed(
        "Table 1, binary rows",
        "accuracy precision recall",
        "0.866 0.737 0.7",
        "0.854 0.75 0.6",
        "0.732 0.437 0.35",
        "0.780 0.625 0.25",
        "0.793 0.667 0.3",
    ),
    printed(
        "Table 2, rows without SMOTE",
        "accuracy balanced_accuracy",
        "0.6544 0.562",
        "0.8676 0.8362",
        "0.75 0.5143",
        "0.6912 0.5680",
        "0.7426 0.5",
        "0.8750 0.8412",
        "0.8456 0.8027",
        "0.8162 0.7269",
        "0.8162 0.7082",
    ),
    printed(
        "Table 2, rows with SMOTE",
        "accuracy balanced_accuracy",
        "0.9317 0.9345",
        "0.9122 0.9157",
        "0.9610 0.9631",
        "0.9317 0.9361",
        "0.9756 0.9758",
        "0.6683 0.6733",
        "0.9610 0.9623",
    ),
)

RUNS = (
    *(fine_tuning_row(name, protocol) for name in (*TABLE_1, "resnet18_scratch") for protocol in PROTOCOLS),
    inference_row(),
    *(classical_row(name, protocol) for name in (*TABLE_2, *MORE) for protocol in PROTOCOLS),
)

FINE_TUNED = ("resnet50_birads", "resnet50_binary", "nyu_lmlo_binary", "nyu_rcc_binary")
SETS = {
    "demo": (
        *FINE_TUNED,
        "resnet18_scratch",
        "nyu_inference",
        *TABLE_2,
        "resnet50_all_smote_svm",
        "nyu_lcc_all_smote_svm",
    )
}

# What the paper says in words, as pairs: (claim, row, row that it is said to beat).
COMPARISONS = (
    (
        "features and a linear SVM with SMOTE beat fine-tuning (abstract)",
        "nyu_avg_lasso_smote_svm",
        "resnet50_binary",
    ),
    ("NYU's features beat ImageNet's (abstract)", "nyu_lcc_lasso_svm", "resnet50_lasso_svm"),
    ("NYU's features beat ImageNet's, with SMOTE", "nyu_lcc_lasso_smote_svm", "resnet50_lasso_smote_svm"),
    ("SMOTE helps (section 5)", "resnet50_lasso_smote_svm", "resnet50_lasso_svm"),
    ("SMOTE helps, NYU (section 5)", "nyu_lcc_lasso_smote_svm", "nyu_lcc_lasso_svm"),
    ("a linear kernel beats RBF (section 6)", "nyu_avg_lasso_smote_svm", "nyu_avg_lasso_smote_rbf"),
    ("selection helps", "resnet50_lasso_svm", "resnet50_all_svm"),
    ("pre-training helps (section 5)", "resnet18_binary", "resnet18_scratch"),
)

# Table 1 is tested on parts of its own.
OTHER_TEST_PART = tuple((protocol, name) for protocol in PROTOCOLS for name in (*TABLE_1, "resnet18_scratch"))

BESIDE = (
    report_beside.Beside(
        "Balanced accuracy of ten folds, as in the paper's Table 2",
        (
            report_beside.Column("paper", "published", "cv_balanced_accuracy"),
            report_beside.Column("as_published", "as_published", "cv_balanced_accuracy"),
            report_beside.Column("honest", "honest", "cv_balanced_accuracy"),
            report_beside.Column("gap", "gap", "cv_balanced_accuracy"),
            report_beside.Column("as_published, on noise", "as_published", "noise_balanced_accuracy"),
            report_beside.Column("honest, on noise", "honest", "noise_balanced_accuracy"),
            report_beside.Column("features kept", "honest", "features_kept"),
        ),
        (
            "Means over the folds; in brackets the least and the largest fold. as_published: synthetic images count "
            "among those tested, as the paper's digits show; `Measured` speaks of real images alone.",
            "On noise: normal features of the same shape, labels and patients; in brackets three standard errors of "
            "the mean over the noises. An honest number is 0.5.",
        ),
    ),
    report_beside.Beside(
        'One split, a third of the images tested: what Table 2 calls accuracy and "AUC"',
        (
            report_beside.Column("paper: accuracy", "published", "holdout_accuracy"),
            report_beside.Column("as_published", "as_published", "holdout_accuracy"),
            report_beside.Column("honest", "honest", "holdout_accuracy"),
            report_beside.Column('paper: "AUC"', "published", "holdout_balanced_accuracy"),
            report_beside.Column("as_published: balanced accuracy", "as_published", "holdout_balanced_accuracy"),
            report_beside.Column("honest: balanced accuracy", "honest", "holdout_balanced_accuracy"),
            report_beside.Column("as_published: AUC of scores", "as_published", "holdout_auc"),
            report_beside.Column("honest: AUC of scores", "honest", "holdout_auc"),
        ),
        ("Of hard labels the area under the ROC curve is the balanced accuracy, and the paper's column is that.",),
    ),
)

CLAIMS = {
    "called_malignant_4_up": ("NYU's net calls malignant, of BI-RADS 4 to 6 (Figure 3)", "few"),
    "called_malignant_below_4": ("NYU's net calls malignant, of BI-RADS 1 to 3 (Figure 3)", "few"),
}

# What README shows; RESULTS.md shows all.
FRONT = ("nyu_avg_lasso_smote_svm", "resnet50_binary")


def paper_train_size(one: run.Run) -> int:
    """Of the paper's 410 images."""
    return round((0.8 if one.protocol.name == "as_published" else 0.64) * IMAGES)


def paper_fits(one: run.Run) -> float:
    """The smaller images of a row with two sizes cost as their pixels do: a quarter."""
    sides = getattr(one.method(BUDGETS["paper"]), "sides", ())
    return 1 + sum((side / BUDGETS["paper"].side) ** 2 for side in sides)


if __name__ == "__main__":
    raise SystemExit(cli.experiment(sys.modules[__name__]))
