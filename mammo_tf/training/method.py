"""A Keras net as a method: fitted on examples, it predicts probabilities for examples.

    method = KerasMethod(resnet.resnet18, Pipeline(side=224, normalize=imagenet), (Stage(50, keras.optimizers.SGD),))
    fitted = method.fit(train, val, ctx)
    fitted(test)                            # (N, classes) float32 probabilities, in the order of the examples

Repeatable for one seed, precision, machine and TensorFlow build: nothing is drawn from global random states here. On
a GPU, and for strict bits on a CPU, the caller calls `precision.deterministic()` first.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mammo_tf import cases, describe
from mammo_tf.training import checkpoint, fitted, parts, precision, schedule, scoring, tensorboard
from mammo_tf.training import fit as fitting
from mammo_tf.training import frozen as freezing

ALGORITHM_VERSION = 1
MODEL_FILE, Fitted, load_fitted = fitted.MODEL_FILE, fitted.Fitted, fitted.load_fitted
_SHOWN_EPOCHS = 50  # histograms and images of at most so many epochs

log = logging.getLogger("mammo_tf")


@dataclasses.dataclass(frozen=True)
class KerasMethod:
    """A net, its data pipeline and its training.

    Attributes:
        net: images (B, H, W, C) -> logits (B, classes), `net(x, seed=...)`; a function or a `functools.partial` of
            one.
        pipeline: a `pipeline.build.Pipeline`.
        stages: run one after the other.
        select: rule that picks the best epoch (`schedule`); without a validation part it must be `last_epoch`.
        class_weight: "balanced" gives all classes the same total weight in the training loss; None leaves them.
        pretrained: `(model, file) -> None` puts pre-trained weights into the model, from `ctx.weights`.
        classes: how many the labels tell apart, 0 to classes - 1.
        start: `(model, context) -> None` puts into the model, after `pretrained`, what earlier runs learned, from
            their folders in `ctx.inputs`.
        precision: what "auto" stands for with this net; "auto" leaves it to the device.
        frozen: where the net is cut: what comes before learns nothing, and its features are computed once. None
            trains the net as its stages say.
        needed: how many of the classes the training part must hold; None for all.
        steps: what TensorBoard shows of single training steps, which changes no result; None for the epochs alone.
    """

    net: Callable[..., Any]
    pipeline: Any
    stages: tuple[schedule.Stage, ...]
    select: schedule.Select = schedule.best_val_accuracy
    class_weight: str | None = None
    pretrained: Callable[[keras.Model, Path], None] | None = None
    classes: int = dataclasses.field(default=2, metadata={"added": True})
    start: Callable[[keras.Model, cases.Context], None] | None = dataclasses.field(
        default=None, metadata={"added": True}
    )
    precision: str = dataclasses.field(default="auto", metadata={"added": True})
    frozen: freezing.Frozen | None = dataclasses.field(default=None, metadata={"added": True})
    steps: tensorboard.Steps | None = dataclasses.field(default=None, metadata={"added": True})
    needed: int | None = dataclasses.field(default=None, metadata={"added": True})

    def __post_init__(self):
        schedule.check(self.stages)
        if self.classes < 2:
            raise cases.MammoError(f"method: classes must be 2 or more, found {self.classes}")
        if self.class_weight not in ("balanced", None):
            raise cases.MammoError(f'method: class_weight is "balanced" or None, found {self.class_weight!r}')

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], ctx: cases.Context) -> Fitted:
        """Trains on `train` and selects the epoch on `val`.

        Args:
            train, val: examples with labels 0 to classes - 1; `val` may be empty.
            ctx: seed, folder (checkpoint and `tensorboard/` go there), precision, weights, inputs, resume, strict,
                draw.

        Raises:
            MammoError: a class is missing from training or all but one from validation, pre-trained weights are
                needed and not given, a stage or `steps` matches no layer, the net has other classes, the folder
                cannot be written, or the checkpoint found belongs to another training.
        """
        chosen = precision.resolve(ctx.precision, own=self.precision)
        log.info("%s; precision %s: %s", precision.describe_device(), chosen.policy, chosen.reason)
        self._check(val, ctx)
        checkpoint.make_folder(Path(ctx.folder))
        arrays = {"training": self.pipeline.load(train, strict=ctx.strict)}
        if len(val):
            arrays["validation"] = self.pipeline.load(val, strict=ctx.strict)
        for part, loaded in arrays.items():
            needed = (self.needed or self.classes) if part == "training" else 2
            parts.check_labels(part, loaded.labels, self.classes, needed)
        watched = self.pipeline.load(ctx.watch, strict=ctx.strict) if ctx.watch else None
        return self._train(arrays["training"], arrays.get("validation"), watched, ctx, chosen)

    def build(self, ctx: cases.Context, chosen: precision.Precision) -> keras.Model:
        """The untrained model, with the weights that it starts from where the method has any.

        Raises:
            MammoError: the net has not as many outputs as the method has classes.
        """
        pipeline = self.pipeline
        with precision.policy(chosen):
            image = keras.Input((*pipeline.shape, pipeline.depth), name="image")
            model = keras.Model(image, self.net(image, seed=ctx.seed), name="net")
        if model.output_shape != (None, self.classes):
            raise cases.MammoError(
                f"method: {self.classes} classes need a net of shape {(None, self.classes)}, not {model.output_shape}"
            )
        if self.pretrained:
            self.pretrained(model, Path(ctx.weights))
        if self.start:
            self.start(model, ctx)
        return model

    def _check(self, val: Sequence[cases.Example], ctx: cases.Context) -> None:
        if not len(val) and self.select is not schedule.last_epoch:
            raise cases.MammoError(
                f"method: the validation part is empty, {self.select.__name__} cannot select an epoch; use last_epoch"
            )
        self.check_weights(ctx)

    def check_weights(self, ctx: cases.Context) -> None:
        """Raises MammoError or DataError where the pre-trained weights that the net starts from are not there."""
        if self.pretrained and ctx.weights is None:
            raise cases.MammoError(
                "method: this net starts from pre-trained weights and none were given; name their source with "
                "--weights imagenet, --weights FILE or --weights phantom"
            )
        if self.pretrained and not Path(ctx.weights).is_file():
            raise cases.DataError(ctx.weights, "no such file of pre-trained weights")

    def _train(self, train: Any, val: Any, watched: Any, ctx: cases.Context, chosen: precision.Precision) -> Fitted:
        normalizer = self.pipeline.normalize(train.images)
        model = self.build(ctx, chosen)
        identity = self._identity(train, val, ctx, chosen)
        if self.start:
            identity["start weights"] = parts.digest_variables(model.variables)
        plan = fitting.Plan(self.stages, self.select, Path(ctx.folder), identity, ctx.resume)
        factors = parts.class_factors(train, self.class_weight, self.classes)
        weighted = dataclasses.replace(train, weights=train.weights * factors)
        data = fitting.Data(self.pipeline, normalizer, weighted, val, ctx.seed, watched)
        board = self._tensorboard(model, data, ctx, chosen)
        shown = self.steps.weights(model) if self.steps else []  # raises before features are computed
        learner, data = freezing.learned(self.frozen, model, data) if self.frozen else (model, data)
        logs = self._step_logs(shown, data, board.folder)
        outcome = fitting.fit(learner, data, plan, [board, *logs], logs)
        with precision.policy(chosen):
            bare = keras.Model(model.input, model.output, name=model.name)  # leaves the optimizer behind
        return Fitted(
            model=bare,
            normalizer=normalizer,
            pipeline=self.pipeline,
            history=outcome.history,
            best_epoch=outcome.best_epoch,
            val_reads=len(outcome.history) if val else 0,
            precision=chosen.policy,
            device=precision.describe_device(),
            problems=tuple(train.problems) + (tuple(val.problems) if val else ()),
        )

    def _identity(self, train: Any, val: Any, ctx: cases.Context, chosen: precision.Precision) -> dict[str, str]:
        fields = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not (field.metadata.get("added") and getattr(self, field.name) == field.default)
            and field.name != "steps"  # decides nothing: a training may go on with it or without
        }
        weights = Path(ctx.weights).read_bytes() if self.pretrained else b""
        return {
            **{name: describe.text(value) for name, value in fields.items()},
            "version": str(ALGORITHM_VERSION),
            "seed": str(ctx.seed),
            "precision": chosen.policy,
            "weights file": hashlib.sha256(weights).hexdigest()[:16] if self.pretrained else "none",
            "training part": parts.digest(train),
            "validation part": parts.digest(val) if val else "none",
        }

    def _tensorboard(
        self, model: keras.Model, data: fitting.Data, ctx: cases.Context, chosen: precision.Precision
    ) -> tensorboard.TensorBoard:
        optimizers = [stage.optimizer() for stage in self.stages]
        hparams = {
            "net": describe.text(self.net),
            "optimizer": " ".join(type(optimizer).__name__ for optimizer in optimizers),
            "learning_rate": " ".join(f"{float(optimizer.learning_rate):g}" for optimizer in optimizers),
            "epochs": schedule.ends(self.stages)[-1],
            "batch": self.pipeline.batch,
            "side": _in_words(self.pipeline.side),
            "class_weight": str(self.class_weight),
            "select": self.select.__name__,
            "precision": chosen.policy,
            "budget": ctx.budget,
            "seed": ctx.seed,
        }
        return tensorboard.TensorBoard(
            folder=Path(ctx.folder) / "tensorboard",
            labels=data.val.pooled(data.val.labels) if data.val else np.zeros(0),
            batch=data.first_batch,
            hparams=hparams,
            draw=ctx.draw,
            every=-(-schedule.ends(self.stages)[-1] // _SHOWN_EPOCHS),
            whole=model,
        )

    def _step_logs(
        self, weights: Sequence[keras.Variable], data: fitting.Data, folder: Path
    ) -> list[tensorboard.StepLog]:
        if self.steps is None:
            return []
        per_epoch, epochs = data.pipeline.steps(data.train), schedule.ends(self.stages)[-1]
        return [tensorboard.StepLog(folder, weights, self.steps.histograms, per_epoch=per_epoch, epochs=epochs)]


def _in_words(side: int | tuple[int, int]) -> int | str:
    return side if isinstance(side, int) else "x".join(map(str, side))


@dataclasses.dataclass(frozen=True)
class StepTimes:
    """Seconds on a batch.

    Attributes:
        step: of training.
        features: of the forward pass through what is frozen, which every image takes once; 0 where all is trained.
    """

    step: float
    features: float = 0.0


def time_step(method: KerasMethod, seed: int, repeats: int = 2) -> StepTimes:
    """How long a training step takes on noise, at the method's own sizes and precision "auto", after one to warm up.

    Args:
        method: all its layers learn, or all above what is frozen, by the first stage's optimizer; the weights it
            starts from are not needed.
        seed: of the net and the noise.
        repeats: steps that are timed and averaged.
    """
    pipeline = method.pipeline
    context = cases.Context(seed=seed, budget="", folder=None)
    model = dataclasses.replace(method, pretrained=None, start=None).build(
        context, precision.resolve(own=method.precision)
    )
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((pipeline.batch, *pipeline.shape, pipeline.depth), np.float32)
    y = rng.integers(0, method.classes, pipeline.batch)
    features = 0.0
    if method.frozen:
        base, model = method.frozen.split(model)
        scorer, images = scoring.make_scorer(base), tf.constant(x)
        features = _seconds(lambda: scorer(images), repeats)
        x = scorer(images).numpy()
    fitting.compile_model(model, method.stages[0].optimizer())
    return StepTimes(_seconds(lambda: model.train_on_batch(x, y), repeats), features)


def _seconds(call: Callable[[], Any], repeats: int) -> float:
    call()
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - started) / repeats
