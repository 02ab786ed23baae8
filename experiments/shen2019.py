"""Shen et al., "Deep Learning to Improve Breast Cancer Early Detection on Screening Mammography": patches to images.

A patch classifier becomes an all-convolutional net for whole mammograms of CBIS-DDSM, which is carried to INbreast
with image labels only (Tables 1 to 4). What the paper leaves open, and what is done here: docs/papers/shen2019.md.

Protocols
    as_published: the official training part of CBIS-DDSM is dealt anew by patient (85 % and 15 %, a tenth of the
        former validates), heads are compared and the ensemble is picked by test AUC; images are resized by cubic
        interpolation; frozen batch norms use batch statistics; on INbreast the part that stops training is reported.
    honest: the official test part is read for the number reported and for its four flips; patients that stand in both
        official parts are taken out of training; epoch, heads, thresholds and ensemble are chosen on validation;
        images are resized by area; INbreast by patient-grouped five-fold cross-validation, validation inside it.

Commands
    python experiments/shen2019.py --list
    python experiments/shen2019.py --budget demo                 # its set of rows (SETS)
    python experiments/shen2019.py --budget paper --only resnet_v256-128x1 --root cbis_ddsm=DIR --weights imagenet
    python experiments/shen2019.py --set height=2304 --set width=1792 --budget paper --only patch_resnet50_s10
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

from mammo_tf import cases, cli, explaining, labels, page_figures, reuse, run
from mammo_tf.classical import forest
from mammo_tf.datasets import (
    cbis_ddsm,
    inbreast,
    patch_choice,
    patch_sampling,
    patch_sets,
    phantom,
    split_subsets,
    splits,
    whole_views,
)
from mammo_tf.evaluation import forensics
from mammo_tf.models import all_conv, all_conv_heads, keras_weights, resnet50, vgg
from mammo_tf.pipeline import augment, build, normalize, patches, resize
from mammo_tf.training import adam as optimizers
from mammo_tf.training import method, schedule

KEY = "shen2019"
DATASETS = (cbis_ddsm, inbreast)
KNOWN_MEANS = {"cbis_ddsm": 52.18, "inbreast": 44.33}  # of the authors' training images; their public code


@dataclasses.dataclass(frozen=True)
class Budget(run.Budget):
    """The paper's numbers, or smaller ones.

    Attributes:
        height, width: of the whole image (section 3.1.1: 1152 x 896).
        patch: side of a patch; None for height x 224/1152 in multiples of 32, at least 64, so that a patch of an
            image of another size shows the same millimetres.
        channels: widths of backbones and heads, as a fraction of the paper's.
        units: bottlenecks of the four stages of ResNet50; smoke and demo have fewer.
        per_roi: patches round each ROI in S10, and as many of the background.
        code_patches: 1 samples patches by the rules of the authors' code, 0 by the paper's (`patch_sets`).
        min_breast: least share of a background patch that shows breast; 0 allows empty air (the authors' code).
        patch_batch, image_batch: section 3.1.2.
        patch_rates, image_rates: learning rates of the stages (section 3.1.2); the last one serves INbreast too.
        patch_epochs: patch set -> epochs of its stages (section 3.1.2); a net from scratch has as many in all, but a
            stand-in for ImageNet weights those of "s10_scratch".
        image_epochs: of the two stages; up to `more` epochs follow, until the validation AUC has not risen in
            `patience` of them (the paper trained on "with up to 200 additional epochs").
        scratch_epochs: of a whole-image net without a patch net.
        transfer_epochs: on INbreast (section 3.2.2).
        min_split: smallest node of the random forest that is split (section 3.1.4: 300 of 1,903 images).
        repeats: subsets a size in Table 4 (the paper drew one), and folds under `honest`.
        inbreast_patients: of the INbreast phantom.
        vgg_channels: `channels` of the VGG16 backbone; None for the same. VGG16 costs far more at one width.
        warp_order: interpolation of the augmentation, 0 nearest neighbour (the authors' code), 1 bilinear.
        settle: the last so many epochs of a patch net, and of a net from scratch, run at a tenth of the rate.
        keras20: 1 builds ResNet50 as Keras 2.0.8 had it, for --weights with an .h5 file of the authors.
    """

    height: int = 1152
    width: int = 896
    patch: int | None = None
    channels: float = 1.0
    units: tuple[int, ...] = resnet50.UNITS
    per_roi: int = 10
    code_patches: int = 0
    patch_batch: int = 32
    image_batch: int = 2
    patch_rates: tuple[float, float, float] = (1e-3, 1e-4, 1e-5)
    image_rates: tuple[float, float] = (1e-4, 1e-5)
    patch_epochs: Mapping[str, tuple[int, ...]] = dataclasses.field(
        default_factory=lambda: {"s10": (3, 10, 37), "s1": (3, 10, 187), "s10_scratch": (50,), "s1_scratch": (200,)}
    )
    image_epochs: tuple[int, int] = (30, 20)
    more: int = 200
    patience: int = 30
    scratch_epochs: int = 50
    transfer_epochs: int = 200
    min_split: int = 300
    repeats: int = 5
    inbreast_patients: int = 115
    keras20: int = dataclasses.field(default=0, metadata={"added": True})
    vgg_channels: float | None = dataclasses.field(default=None, metadata={"added": True})
    min_breast: float = dataclasses.field(default=0.0, metadata={"added": True})
    warp_order: int = dataclasses.field(default=0, metadata={"added": True})
    settle: int = dataclasses.field(default=0, metadata={"added": True})

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def patch_side(self) -> int:
        return self.patch or patch_choice.scaled_patch(self.height)

    @property
    def grid(self) -> int:
        """Side of the backbone's feature map of a patch: 7 at 224."""
        return self.patch_side // 32


SMALL = phantom.PhantomSpec(patients=1200, height=256, width=192, spacing_mm=0.4)
BUDGETS = {
    "smoke": Budget(
        "smoke",
        phantom.PhantomSpec(patients=36, height=160, width=128, spacing_mm=0.8),
        draws=100,
        height=128,
        width=128,
        channels=0.0625,
        units=(1, 1, 1, 1),
        per_roi=2,
        image_batch=8,
        patch_epochs={"s10": (1, 1, 1), "s1": (1, 1, 1), "s10_scratch": (1,), "s1_scratch": (1,)},
        image_epochs=(1, 1),
        more=0,
        scratch_epochs=1,
        transfer_epochs=1,
        min_split=4,
        repeats=2,
        inbreast_patients=40,
    ),
    "demo": Budget(
        "demo",
        SMALL,
        height=256,
        width=192,
        channels=0.25,
        vgg_channels=0.125,
        units=(1, 1, 1, 1),
        per_roi=3,
        image_batch=8,
        patch_rates=(3e-3, 1e-3, 1e-3),
        image_rates=(1e-3, 2e-4),
        patch_epochs={"s10": (1, 1, 16), "s1": (1, 1, 54), "s10_scratch": (8,), "s1_scratch": (24,)},
        image_epochs=(3, 3),
        more=0,
        scratch_epochs=6,
        transfer_epochs=5,
        min_split=190,
        repeats=3,
        warp_order=1,
        settle=3,
    ),
    "paper": Budget("paper", phantom.PhantomSpec(patients=1249, height=1152, width=896, spacing_mm=0.2)),
}

RADIANS_02 = math.degrees(0.2)
AUGMENT = augment.Augment(  # section 3.1.2; the fill and (but for `Budget.warp_order`) order are the authors' code's
    flip_horizontal=True,
    flip_vertical=True,
    rotate_deg=(-25.0, 25.0),
    shear_deg=(-RADIANS_02, RADIANS_02),
    zoom_y=(0.8, 1.2),
    zoom_x=(0.8, 1.2),
    channel_shift_each=(-20 / 255, 20 / 255),
    fill="nearest",
    order=0,
)

AS_PUBLISHED = run.Rules(
    "as_published",
    reported="test",
    leaks=(
        "21 heads are compared, and the ensemble is picked, by the AUC of the test part",
        "the views of one patient count as independent in the paper's numbers (not in the intervals here)",
    ),
)
HONEST = run.Rules("honest", reported="test")
AS_PUBLISHED_INBREAST = run.Rules(
    "as_published",
    reported="val",
    leaks=("the part that stops training and chooses the epoch is the part reported; there is no test part",),
)
PROTOCOLS = (AS_PUBLISHED, HONEST)


def augmentation(budget: Budget) -> augment.Augment:
    return dataclasses.replace(AUGMENT, order=budget.warp_order)


def settled(budget: Budget, epochs: int) -> Callable[[int], float] | None:
    """The decay of a stage of so many epochs whose last ones run at a tenth of the rate; None at budget paper."""
    return functools.partial(schedule.settle, start=epochs - budget.settle, factor=0.1) if budget.settle else None


def is_honest(protocol: run.Rules) -> bool:
    return protocol.name == "honest"


def pathology(dataset: str) -> labels.LabelPolicy:
    return labels.pathology


def birads(dataset: str) -> labels.LabelPolicy:
    return labels.birads_4_up_drop_3  # section 3.2.1


def images(dataset: cases.Dataset, budget: Any, *, policy: Callable[[str], labels.LabelPolicy]) -> run.Selection:
    return whole_views.whole_views(dataset, policy(dataset.name))


SPLITS = {
    "as_published": functools.partial(splits.resplit_official_train, fractions=(0.765, 0.085, 0.15)),
    "honest": functools.partial(splits.official, val_fraction=0.15, drop_shared=True),
}
RESIZE = {"as_published": resize.cubic, "honest": resize.area}
BN_FROZEN = {"as_published": "batch", "honest": "inference"}
SAMPLING = {  # (patch set, by the authors' code)
    ("s1", False): patch_sampling.PAPER_S1,
    ("s10", False): patch_sampling.PAPER_S10,
    ("s1", True): patch_sampling.CODE_S1,
    ("s10", True): patch_sampling.CODE_S10,
}


def sample(
    parts: cases.Splits, budget: Budget, seed: int, *, patch_set: str, protocol: str
) -> tuple[cases.Splits, tuple[cases.Problem, ...]]:
    """The images of each part become patches (section 3.1.1)."""
    sampling = dataclasses.replace(SAMPLING[patch_set, bool(budget.code_patches)], min_breast=budget.min_breast)
    if patch_set != "s1":
        sampling = dataclasses.replace(sampling, per_roi=budget.per_roi)
    how = {"size": budget.shape, "patch": budget.patch_side, "resize": RESIZE[protocol]}
    return patch_sets.sample_parts(parts, sampling, **how, seed=seed)


KIND_CLASSES = ("calcification", "mass")
KIND_OF = {1: 1.0, 2: 1.0, 3: 0.0, 4: 0.0}


def sample_kinds(parts: cases.Splits, budget: Budget, seed: int) -> tuple[cases.Splits, tuple[cases.Problem, ...]]:
    """Patches of masses (1) and calcifications (0): the task of the stand-in for ImageNet weights."""
    found, problems = sample(parts, budget, seed, patch_set="s10", protocol="honest")
    kinds = {name: _kinds(getattr(found, name)) for name in ("train", "val", "test")}
    return dataclasses.replace(found, **kinds), problems


def _kinds(examples: tuple[cases.Example, ...]) -> tuple[cases.Example, ...]:
    return tuple(dataclasses.replace(e, label=KIND_OF[int(e.label)]) for e in examples if int(e.label) in KIND_OF)


def other_phantom(budget: Budget) -> phantom.PhantomSpec:
    return dataclasses.replace(budget.phantom, seed=budget.phantom.seed + 1000)


def inbreast_phantom(budget: Budget) -> phantom.PhantomSpec:
    return dataclasses.replace(budget.phantom, patients=budget.inbreast_patients, seed=budget.phantom.seed + 2000)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A net without its head, the net with one, and where its ImageNet weights come from."""

    features: Callable[..., Any]
    net: Callable[..., Any]
    imagenet: Callable[[], Any]


BACKBONES = {
    "resnet50": Backbone(resnet50.resnet50_features, resnet50.resnet50, keras_weights.imagenet_resnet50),
    "vgg16": Backbone(vgg.vgg16_features, vgg.vgg16, keras_weights.imagenet_vgg16),
}


def size_of(backbone: str, budget: Budget) -> dict[str, Any]:
    """Width, and units of a ResNet, at a budget."""
    if backbone != "resnet50":
        return {"width": max(4, int(64 * (budget.vgg_channels or budget.channels)))}
    width = {"width": max(4, int(64 * budget.channels))}
    return {**width, "units": budget.units, **({"compat": "keras2.0"} if budget.keras20 else {})}


def top_layers(backbone: str, budget: Budget) -> tuple[str, ...]:
    """What the second stage opens (section 3.1.2: the last 46 layers of ResNet50, the last 11 of VGG16)."""
    return resnet50.top_prefixes(budget.units) if backbone == "resnet50" else vgg.TOP_PREFIXES


def loader(budget: Budget) -> Callable[..., None]:
    """What puts pre-trained weights into a patch net."""
    return keras20_or_ours if budget.keras20 else keras_weights.load_by_name


def keras20_or_ours(model: Any, path: Any) -> None:
    """The backbone from an .h5 file of the authors, or from a net of this package such as the stand-in."""
    ours = str(path).endswith(".keras")
    (keras_weights.load_by_name if ours else keras_weights.load_keras20)(model, path)


def adam(rate: float) -> Callable[[], optimizers.Adam]:
    return functools.partial(optimizers.Adam, learning_rate=rate)


@dataclasses.dataclass(frozen=True)
class PatchNet:
    """A row of Table 1 as a method; `classes` is 2 for the stand-in."""

    backbone: str
    patch_set: str
    protocol: str
    pretrained: bool = True
    classes: int = 5

    def __call__(self, budget: Budget) -> method.KerasMethod:
        backbone = BACKBONES[self.backbone]
        return method.KerasMethod(
            net=functools.partial(backbone.net, classes=self.classes, **size_of(self.backbone, budget)),
            pipeline=patches.PatchPipeline(
                budget.patch_side,
                normalize.train_mean,
                augmentation(budget),
                batch=budget.patch_batch,
                balance=True,
                resize=RESIZE[self.protocol],
            ),
            stages=self._stages(budget),
            select=schedule.best_val_accuracy,
            classes=self.classes,
            pretrained=loader(budget) if self.pretrained else None,
        )

    def _stages(self, budget: Budget) -> tuple[schedule.Stage, ...]:
        """Section 3.1.2: last layer, top layers, all; a constant rate of 1e-3 from scratch."""
        if not self.pretrained:
            standin = self.classes == 2
            epochs = sum(budget.patch_epochs[f"{self.patch_set}_scratch" if standin else self.patch_set])
            return (schedule.Stage(epochs, adam(1e-3), decay=settled(budget, epochs)),)
        opened = (("logits",), top_layers(self.backbone, budget), ("",))
        *first, last = (
            schedule.Stage(epochs, adam(rate), prefixes, bn_frozen=BN_FROZEN[self.protocol])
            for epochs, rate, prefixes in zip(
                budget.patch_epochs[self.patch_set], budget.patch_rates, opened, strict=True
            )
        )
        return (*first, dataclasses.replace(last, decay=settled(budget, last.epochs)))


def decay(factor: float, top: Any) -> tuple[tuple[str, float], ...]:
    """Weight decay of the new layers alone, as in the authors' code; FcTop has its logits among its `top_` layers."""
    last = () if isinstance(top, all_conv_heads.FcTop) else (("logits", factor),)
    return (("top_", factor), *last)


@dataclasses.dataclass(frozen=True)
class ImageNet:
    """A row of Tables 2 to 4 as a method: a whole-image net that starts from a patch net, from another net, or bare.

    Attributes:
        backbone: key of BACKBONES.
        top: `all_conv_heads.VggTop`, `ResnetTop` or `FcTop`.
        heatmap: whether the heatmap stands between backbone and top.
        protocol: its name.
        start: the run that it starts from; None for random weights.
        transfer: True for INbreast: all layers learn at once from another whole-image net.
    """

    backbone: str
    top: Any
    heatmap: bool
    protocol: str
    start: str | None
    transfer: bool = False

    def __call__(self, budget: Budget) -> method.KerasMethod:
        backbone = functools.partial(BACKBONES[self.backbone].features, **size_of(self.backbone, budget))
        heatmap = all_conv.Heatmap(classes=5, pool=budget.grid) if self.heatmap else None
        start = reuse.from_whole_net if self.transfer else reuse.from_patch_net
        return method.KerasMethod(
            net=functools.partial(
                all_conv.whole_image,
                backbone=backbone,
                top=self._top(budget),
                heatmap=heatmap,
            ),
            pipeline=build.Pipeline(
                budget.shape,
                normalize.train_mean,
                augmentation(budget),
                batch=budget.image_batch,
                balance=True,
                resize=RESIZE[self.protocol],
            ),
            stages=self._stages(budget),
            select=schedule.best_val_auc,
            start=functools.partial(start, need=self.start) if self.start else None,
        )

    def _top(self, budget: Budget) -> Any:
        """The top at the budget's widths; a pool that is larger than a small image's heatmap covers all of it."""
        top = all_conv_heads.scaled(self.top, budget.channels)
        if not isinstance(top, all_conv_heads.FcTop):
            return top
        return dataclasses.replace(top, pool=min(top.pool, *(side // 32 - budget.grid + 1 for side in budget.shape)))

    def _stages(self, budget: Budget) -> tuple[schedule.Stage, ...]:
        """Section 3.1.2: the top, then all; section 3.2.2 for INbreast; scratch as the patch nets."""
        low, frozen = adam(budget.image_rates[1]), BN_FROZEN[self.protocol]
        if self.transfer:
            return (schedule.Stage(budget.transfer_epochs, low, penalty=decay(0.01, self.top)),)
        if self.start is None:
            epochs, penalty = budget.scratch_epochs, decay(0.001, self.top)
            return (schedule.Stage(epochs, adam(1e-3), decay=settled(budget, epochs), penalty=penalty),)
        first, second = budget.image_epochs
        high, new = adam(budget.image_rates[0]), ("top_", "logits")
        stages = (
            schedule.Stage(first, high, new, bn_frozen=frozen, penalty=decay(0.001, self.top)),
            schedule.Stage(second, low, penalty=decay(0.01, self.top)),
        )
        if not budget.more:
            return stages
        return (*stages, schedule.Stage(budget.more, low, penalty=decay(0.01, self.top), patience=budget.patience))


DATA = functools.partial(images, policy=pathology)
INBREAST_DATA = functools.partial(images, policy=birads)


def standin(backbone: str) -> run.Run:
    return run.Run(
        paper=KEY,
        name=f"phantom_standin_{backbone}",
        method=PatchNet(backbone, "s10", "honest", pretrained=False, classes=2),
        data=DATA,
        split=functools.partial(splits.patient_holdout, fractions=(0.7, 0.15, 0.15)),
        protocol=HONEST,
        policy=pathology,
        spec=other_phantom,
        dataset=cbis_ddsm,
        sample=sample_kinds,
        classes=KIND_CLASSES,
        after=(),
    )


STANDINS = {name: standin(name) for name in BACKBONES}


WHOLE = "the whole mammogram"


def row(name: str, protocol: run.Rules, make: Callable[[Any], Any], **more: Any) -> run.Run:
    """A row on CBIS-DDSM."""
    common = {"data": DATA, "split": SPLITS[protocol.name], "policy": pathology, "dataset": cbis_ddsm, "takes": WHOLE}
    return run.Run(KEY, name, make, protocol=protocol, known_means=KNOWN_MEANS, **{**common, **more})


# Table 1: name -> (backbone, patch set, pre-trained, accuracy, best epoch).
# fmt: off
TABLE_1 = {
    "patch_resnet50_s1_scratch": ("resnet50", "s1", False, 0.97, 198),
    "patch_resnet50_s1": ("resnet50", "s1", True, 0.99, 99),
    "patch_resnet50_s10_scratch": ("resnet50", "s10", False, 0.63, 24),
    "patch_resnet50_s10": ("resnet50", "s10", True, 0.89, 39),
    "patch_vgg16_s10": ("vgg16", "s10", True, 0.84, 25),
}


def patch_row(name: str, protocol: run.Rules) -> run.Run:
    backbone, patch_set, pretrained, accuracy, epoch = TABLE_1[name]
    return row(
        name,
        protocol,
        PatchNet(backbone, patch_set, protocol.name, pretrained),
        sample=functools.partial(sample, patch_set=patch_set, protocol=protocol.name),
        classes=patch_sets.CLASSES,
        after=(explaining.patch_picture, explaining.patch_heat),
        standin=STANDINS[backbone] if pretrained else None,
        pretrained=BACKBONES[backbone].imagenet if pretrained else None,
        published={"table": "1", "accuracy": accuracy, "epoch": epoch},
        takes="a square patch of the mammogram, cut after the whole was resized as in training",
    )


def resnet(*blocks: tuple[tuple[int, int, int], int]) -> all_conv_heads.ResnetTop:
    return all_conv_heads.ResnetTop(blocks)


def vgg_top(*blocks: tuple[int, int]) -> all_conv_heads.VggTop:
    return all_conv_heads.VggTop(blocks)


R2048, R1024 = ((512, 512, 2048), 1), ((512, 512, 1024), 2)
RESNET, VGG = ("resnet50", "patch_resnet50_s10"), ("vgg16", "patch_vgg16_s10")
# Tables 2 and 3: name -> ((backbone, patch net), top, heatmap, table, AUC, AUC of four flips, best epoch).
# fmt: off
HEADS = {
    "resnet_s1_r2048x1": (("resnet50", "patch_resnet50_s1"), resnet(R2048, R2048), False, "2", 0.63, None, 35),
    "resnet_r2048x1": (RESNET, resnet(R2048, R2048), False, "2", 0.85, 0.87, 20),
    "resnet_r1024x2": (RESNET, resnet(R1024, R1024), False, "2", 0.85, 0.87, 34),
    "resnet_r256-128x1": (
        RESNET,
        resnet(((256, 256, 256), 1), ((128, 128, 128), 1)),
        False,
        "2",
        0.84,
        0.85,
        25,
    ),
    "resnet_r256-128x3": (
        RESNET,
        resnet(((256, 256, 256), 3), ((128, 128, 128), 3)),
        False,
        "2",
        0.83,
        0.84,
        17,
    ),
    "resnet_r512-256x3": (
        RESNET,
        resnet(((256, 256, 512), 3), ((128, 128, 256), 3)),
        False,
        "2",
        0.84,
        0.87,
        48,
    ),
    "resnet_v256-128x1": (RESNET, vgg_top((256, 1), (128, 1)), False, "2", 0.87, 0.88, 36),
    "resnet_heatmap_r1024x2": (RESNET, resnet(R1024, R1024), True, "2", 0.80, None, 47),
    "resnet_heatmap_r256-512x2": (
        RESNET,
        resnet(((64, 64, 256), 2), ((128, 128, 512), 2)),
        True,
        "2",
        0.81,
        None,
        41,
    ),
    "resnet_fc_5": (RESNET, all_conv_heads.FcTop(5, (64, 32)), True, "2", 0.73, None, 28),
    "resnet_fc_2": (RESNET, all_conv_heads.FcTop(2, (512, 256)), True, "2", 0.72, None, 47),
    "resnet_fc_1": (RESNET, all_conv_heads.FcTop(1, (2048, 1024)), True, "2", 0.65, None, 43),
    "vgg_v512x3": (VGG, vgg_top((512, 3), (512, 3)), False, "3", 0.81, 0.82, 91),
    "vgg_v512x1": (VGG, vgg_top((512, 1), (512, 1)), False, "3", 0.83, 0.86, 98),
    "vgg_v256-128x3": (VGG, vgg_top((256, 3), (128, 3)), False, "3", 0.83, 0.85, 51),
    "vgg_v256-128x1": (VGG, vgg_top((256, 1), (128, 1)), False, "3", 0.85, 0.86, 61),
    "vgg_v128-64x1": (VGG, vgg_top((128, 1), (64, 1)), False, "3", 0.84, 0.85, 142),
    "vgg_r1024x2": (VGG, resnet(R1024, R1024), False, "3", 0.85, 0.88, 165),
    "vgg_fc_5": (VGG, all_conv_heads.FcTop(5, (64, 32)), True, "3", 0.71, None, 26),
    "vgg_fc_2": (VGG, all_conv_heads.FcTop(2, (512, 256)), True, "3", 0.68, None, 27),
    "vgg_fc_1": (VGG, all_conv_heads.FcTop(1, (2048, 1024)), True, "3", 0.69, None, 50),
}
# Section 3.1.4: the four of the ensemble.
FOUR = {
    "resnet_resnet": "resnet_r1024x2",
    "resnet_vgg": "resnet_v256-128x1",
    "vgg_vgg": "vgg_v256-128x1",
    "vgg_resnet": "vgg_r1024x2",
}
ALL_CONV = tuple(name for name, facts in HEADS.items() if not facts[2] and "_s1_" not in name)
FAMILIES = {  # where `honest` chooses the members at budget paper
    "resnet_resnet": tuple(name for name in ALL_CONV if name.startswith("resnet_r")),
    "resnet_vgg": ("resnet_v256-128x1",),
    "vgg_vgg": tuple(name for name in ALL_CONV if name.startswith("vgg_v")),
    "vgg_resnet": ("vgg_r1024x2",),
}


def head_row(name: str, protocol: run.Rules) -> run.Run:
    (backbone, patch_net), top, heatmap, table, auc, flipped, epoch = HEADS[name]
    return row(
        name,
        protocol,
        ImageNet(backbone, top, heatmap, protocol.name, patch_net),
        needs=(patch_row(patch_net, protocol),),
        after=(explaining.flips, explaining.pictures),
        published={"table": table, "auc": auc, "auc_four_flips": flipped, "epoch": epoch},
    )


def scratch_row(protocol: run.Rules) -> run.Run:
    """The net of `resnet_v256-128x1` without a patch net: what end-to-end training is to be compared with."""
    (backbone, _), top, *_ = HEADS["resnet_v256-128x1"]
    make = ImageNet(backbone, top, False, protocol.name, None)
    return row("resnet_v256-128x1_scratch", protocol, make, after=(explaining.flips,), extra=True)


def two_step(budget: Budget) -> reuse.TwoStep:
    grow = functools.partial(forest.forest, min_samples_split=budget.min_split)
    return reuse.TwoStep("patch_resnet50_s10", budget.shape, grow)


def two_step_row(protocol: run.Rules) -> run.Run:
    return row(
        "two_step",
        protocol,
        two_step,
        needs=(patch_row("patch_resnet50_s10", protocol),),
        after=(explaining.pictures,),
        published={"table": "section 3.1.4", "auc": 0.73},
    )


def families(budget: Budget, protocol: str) -> tuple[tuple[str, ...], ...]:
    """The paper's four, or (honest, at budget paper) every head that validation may choose from."""
    if protocol == "honest" and budget.name.startswith("paper"):
        return tuple(FAMILIES[name] for name in FOUR)
    return tuple((head,) for head in FOUR.values())


def ensemble(budget: Budget, *, protocol: str, flips: bool) -> reuse.Ensemble:
    return reuse.Ensemble(families(budget, protocol), flips)


def members(budget: Budget, *, protocol: run.Rules) -> tuple[run.Run, ...]:
    return tuple(head_row(name, protocol) for family in families(budget, protocol.name) for name in family)


def ensemble_row(protocol: run.Rules, *, flips: bool) -> run.Run:
    published = {"table": "section 3.1.4", "auc_four_flips": 0.91, "sensitivity": 0.861, "specificity": 0.801}
    return row(
        "ensemble" if flips else "ensemble_unflipped",
        protocol,
        functools.partial(ensemble, protocol=protocol.name, flips=flips),
        needs=functools.partial(members, protocol=protocol),
        after=(explaining.pictures,) if flips else (),
        published=published if flips else {},
        extra=not flips,
    )


# Table 4: training patients -> AUC of the four models.
SIZES = {
    20: (0.92, 0.88, 0.87, 0.89),
    30: (0.93, 0.94, 0.93, 0.90),
    40: (0.93, 0.95, 0.93, 0.93),
    50: (0.94, 0.95, 0.94, 0.93),
    60: (0.95, 0.95, 0.95, 0.94),
    72: (0.95, 0.95, 0.95, 0.95),
}
EVERYONE = 72  # "72 (All)"


@dataclasses.dataclass(frozen=True)
class InbreastSplit:
    """budget -> section 3.2.1: 70 and 30 % of the patients, subsets of the former (None: all); honest: folds."""

    protocol: str
    patients: int | None

    def __call__(self, budget: Budget) -> Callable[..., tuple[cases.Splits, ...]]:
        if self.protocol == "honest":
            how = {"folds": budget.repeats, "val_fraction": 0.2}
            return functools.partial(split_subsets.kfold_subsets, **how, patients=self.patients)
        how = {"fractions": (0.7, 0.3), "repeats": budget.repeats}
        return functools.partial(split_subsets.train_subsets, **how, patients=self.patients)


def transfer_row(model: str, patients: int, protocol: run.Rules) -> run.Run:
    """A row of Table 4; with 0 patients the net is applied as it is."""
    head = FOUR[model]
    (backbone, _), top, heatmap, *_ = HEADS[head]
    make = ImageNet(backbone, top, heatmap, protocol.name, head, transfer=True)
    some = patients if 0 < patients < EVERYONE else None
    published = (
        {"table": "4", "patients": patients, "auc": SIZES[patients][list(FOUR).index(model)]} if patients else {}
    )
    return run.Run(
        KEY,
        f"inbreast_{model}_{patients}",
        make if patients else AsItIs(head),
        INBREAST_DATA,
        run.AtBudget(InbreastSplit(protocol.name, some)),
        HONEST if is_honest(protocol) else AS_PUBLISHED_INBREAST,
        birads,
        needs=(head_row(head, protocol),),
        phantom_spec=inbreast_phantom,
        dataset=inbreast,
        after=() if patients else (explaining.pictures,),
        known_means=KNOWN_MEANS if patients else {},
        published=published,
        extra=not patients,
        takes=WHOLE,
    )


@dataclasses.dataclass(frozen=True)
class AsItIs:
    """budget -> a net of CBIS-DDSM on INbreast without fine-tuning."""

    need: str

    def __call__(self, budget: Budget) -> reuse.AsIs:
        return reuse.AsIs(self.need)


def inbreast_ensemble(budget: Budget) -> reuse.Ensemble:
    return reuse.Ensemble(tuple((f"inbreast_{model}_{EVERYONE}",) for model in FOUR), flips=True)


def inbreast_ensemble_row(protocol: run.Rules) -> run.Run:
    model_rows = tuple(transfer_row(model, EVERYONE, protocol) for model in FOUR)
    published = {"table": "section 3.2.2", "auc_four_flips": 0.98, "sensitivity": 0.867, "specificity": 0.961}
    return dataclasses.replace(
        model_rows[0],
        name="inbreast_ensemble",
        method=inbreast_ensemble,
        needs=model_rows,
        after=(explaining.pictures,),
        known_means={},
        published=published,
    )


def hard(budget: Budget, *, protocol: str) -> reuse.HardPatches:
    """Section 4: "perhaps by focusing on the patches that are likely to be misclassified"; not done in the paper."""
    inner = PatchNet("resnet50", "s10", protocol)(budget)
    return reuse.HardPatches(inner, "patch_resnet50_s10", functools.partial(patch_choice.hard, share=0.5))


def hard_row(protocol: run.Rules) -> run.Run:
    plain = patch_row("patch_resnet50_s10", protocol)
    make = functools.partial(hard, protocol=protocol.name)
    return dataclasses.replace(
        plain, name="patch_resnet50_s10_hard", method=make, needs=(plain,), published={}, extra=True
    )


def _rows(protocol: run.Rules) -> list[run.Run]:
    found = [patch_row(name, protocol) for name in TABLE_1]
    found += [head_row(name, protocol) for name in HEADS]
    found += [two_step_row(protocol), ensemble_row(protocol, flips=True)]
    found += [transfer_row(model, patients, protocol) for patients in SIZES for model in FOUR]
    found += [inbreast_ensemble_row(protocol)]
    found += [hard_row(protocol), scratch_row(protocol), ensemble_row(protocol, flips=False)]
    return found + [transfer_row(model, 0, protocol) for model in FOUR]


RUNS = tuple(one for pair in zip(*map(_rows, PROTOCOLS), strict=True) for one in pair)

# What a budget runs where no row is named.
SETS = {
    "demo": (
        "patch_resnet50_s10",
        "patch_vgg16_s10",
        "resnet_r1024x2",
        "resnet_v256-128x1",
        "vgg_v256-128x1",
        "vgg_r1024x2",
        "resnet_heatmap_r1024x2",
        "resnet_fc_5",
        "two_step",
        "resnet_v256-128x1_scratch",
        "ensemble",
        "ensemble_unflipped",
        *(f"inbreast_{model}_0" for model in FOUR),
        *(f"inbreast_vgg_vgg_{patients}" for patients in (20, 40, EVERYONE)),
    )
}

# As printed, for `mammo-tf forensics`.
PRINTED = (
    forensics.Group(
        "section 3.1.4, the ensemble on CBIS-DDSM", ({"sensitivity": "86.1%", "specificity": "80.1%"},), images=376
    ),
    forensics.Group(
        "section 3.2.2, the ensemble on INbreast", ({"sensitivity": "86.7%", "specificity": "96.1%"},), images=107
    ),
)

# What README shows; RESULTS.md shows all.
FRONT = (
    "patch_resnet50_s10",
    "vgg_v256-128x1",
    "ensemble",
)

# What the paper compares: (claim, row, row that it is said to beat). A missing row leaves its comparison out.
COMPARISONS = (
    ("pre-training helps the patch net (Table 1)", "patch_resnet50_s10", "patch_resnet50_s10_scratch"),
    ("pre-training helps the patch net (Table 1)", "patch_resnet50_s1", "patch_resnet50_s1_scratch"),
    ("ResNet50 beats VGG16 on patches (Table 1)", "patch_resnet50_s10", "patch_vgg16_s10"),
    ("hard patches (not in the paper)", "patch_resnet50_s10_hard", "patch_resnet50_s10"),
    ("S10 beats S1 (Table 2)", "resnet_r2048x1", "resnet_s1_r2048x1"),
    ("the heatmap is a bottleneck (Table 2)", "resnet_r1024x2", "resnet_heatmap_r1024x2"),
    ("convolutions beat heatmap and FC (Table 2)", "resnet_r1024x2", "resnet_fc_5"),
    ("convolutions beat heatmap and FC (Table 3)", "vgg_v256-128x1", "vgg_fc_5"),
    ("fewer convolutions in VGG blocks (Table 3)", "vgg_v512x1", "vgg_v512x3"),
    ("fewer convolutions in VGG blocks (Table 3)", "vgg_v256-128x1", "vgg_v256-128x3"),
    ("narrower VGG blocks (Table 3)", "vgg_v256-128x1", "vgg_v512x1"),
    ("depth of ResNet blocks (Table 2)", "resnet_r1024x2", "resnet_r256-128x1"),
    ("VGG blocks on ResNet50 (Table 2)", "resnet_v256-128x1", "resnet_r1024x2"),
    ("ResNet blocks on VGG16 (Table 3)", "vgg_r1024x2", "vgg_v256-128x1"),
    ("ResNet50 or VGG16 below VGG blocks", "resnet_v256-128x1", "vgg_v256-128x1"),
    ("narrower VGG blocks (Table 3)", "vgg_v128-64x1", "vgg_v256-128x1"),
    ("pooling 5x5 beats none (Table 2)", "resnet_fc_5", "resnet_fc_1"),
    ("pooling 5x5 beats none (Table 3)", "vgg_fc_5", "vgg_fc_1"),
    ("end to end beats two steps (section 3.1.4)", "resnet_r1024x2", "two_step"),
    ("the average beats the best single net (section 3.1.4)", "ensemble_unflipped", "resnet_v256-128x1"),
    ("the average beats the best single net (section 3.2.2)", "inbreast_ensemble", f"inbreast_resnet_vgg_{EVERYONE}"),
    ("flips help the average", "ensemble", "ensemble_unflipped"),
    ("the patch net is worth its ROIs (not in the paper)", "resnet_v256-128x1", "resnet_v256-128x1_scratch"),
    *(
        (
            f"{patients} patients against none, {model} (Table 4)",
            f"inbreast_{model}_{patients}",
            f"inbreast_{model}_0",
        )
        for model in FOUR
        for patients in (20, EVERYONE)
    ),
    *(
        (f"all patients against 20, {model} (Table 4)", f"inbreast_{model}_{EVERYONE}", f"inbreast_{model}_20")
        for model in FOUR
    ),
)

# What the page draws of several rows.
FIGURES = {
    "Figure 2: losses of two VGG nets": functools.partial(page_figures.losses, rows=("vgg_v512x3", "vgg_v512x1")),
    "Figure 3: the four models and their average": functools.partial(
        page_figures.rocs,
        panels={
            "CBIS-DDSM": (*FOUR.values(), "ensemble"),
            "INbreast": (*(f"inbreast_{model}_{EVERYONE}" for model in FOUR), "inbreast_ensemble"),
        },
    ),
    "Figure 4: gray values of the two datasets": functools.partial(
        page_figures.profiles, rows=("resnet_v256-128x1", "inbreast_resnet_vgg_0"), names=("CBIS-DDSM", "INbreast")
    ),
    "Table 4: training patients on INbreast": functools.partial(
        page_figures.table4,
        rows={model: {patients: f"inbreast_{model}_{patients}" for patients in (0, *SIZES)} for model in FOUR},
    ),
}


def paper_train_size(one: run.Run) -> int:
    """Training examples at budget paper: sections 3.1.1 (1,903 images, ten patches, ten of background) and 3.2.1."""
    if one.dataset is inbreast:
        return 4 * int(one.published.get("patients", EVERYONE))  # 280 images of 72 women
    if one.sample is None:
        return 1903
    each = 2 if "_s1" in one.name and "_s10" not in one.name else 20
    return 1903 * each // (2 if one.name.endswith("_hard") else 1)


if __name__ == "__main__":
    raise SystemExit(cli.experiment(sys.modules[__name__]))
