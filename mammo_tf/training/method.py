"""A Keras net as a method: fitted on examples, it predicts probabilities for examples.

    method = KerasMethod(resnet.resnet18, Pipeline(side=224, normalize=imagenet), (Stage(50, keras.optimizers.SGD),))
    fitted = method.fit(train, val, ctx)
    fitted(test)                            # (N, 2) float32 probabilities, in the order of the examples

Repeatable for one seed, precision, machine and TensorFlow build: nothing is drawn from global random states here. On
a GPU, and for strict bits on a CPU, the caller calls `precision.deterministic()` first.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mammo_tf import cases, describe
from mammo_tf.training import checkpoint, precision, schedule, scoring, tensorboard
from mammo_tf.training import fit as fitting

ALGORITHM_VERSION = 1
MODEL_FILE = "model.keras"
_SHOWN_EPOCHS = 50  # histograms and images of at most so many epochs

log = logging.getLogger("mammo_tf")


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A trained net with all that is needed to apply it.

    Attributes:
        model: uncompiled, images (B, S, S, C) as normalised -> logits (B, 2); holds the weights of `best_epoch`.
        normalizer: fitted on the training images.
        pipeline: loads and normalises examples.
        history: one row an epoch (columns: `fit.fit`).
        best_epoch: 1-based.
        val_reads: how often the labels of the validation part were scored.
        precision: the Keras dtype policy it was trained under, such as "mixed_bfloat16".
        device: what it was trained on, as `precision.describe_device` names it.
        problems: files of the training and validation parts that were left out.
    """

    model: keras.Model
    normalizer: Any
    pipeline: Any
    history: list[dict[str, float]]
    best_epoch: int
    val_reads: int
    precision: str
    device: str
    problems: tuple[cases.Problem, ...] = ()

    def __call__(self, examples: Sequence[cases.Example]) -> np.ndarray:
        """Probabilities (N, 2) float32, one row an example, in their order.

        Raises:
            DataError: a file cannot be read; the result is never shorter than the input.
        """
        if not len(examples):
            return np.zeros((0, 2), np.float32)
        arrays = self.pipeline.load(examples, strict=True)
        for problem in arrays.problems:
            raise cases.DataError(problem.path, problem.reason)
        wanted = tuple(example.id for example in examples)
        if tuple(arrays.ids) != wanted:
            raise cases.MammoError(f"prediction: {len(wanted)} examples asked for, {len(arrays.ids)} loaded")
        dataset = self.pipeline.evaluate(arrays, self.normalizer)
        return scoring.softmax(scoring.predict(self._scorer, dataset))

    @functools.cached_property
    def _scorer(self) -> Callable[[Any], Any]:
        return scoring.make_scorer(self.model)

    def save(self, folder: Path) -> Path:
        """Writes the model as `model.keras` into the folder and returns its path.

        Raises:
            DataError: the file cannot be written.
        """
        path = Path(folder) / MODEL_FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():  # Keras 3.15's variables have the __array__ of numpy 1
                warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
                self.model.save(path)
        except OSError as error:
            raise cases.DataError(path, f"the model cannot be written ({error.strerror or error})") from error
        return path


@dataclasses.dataclass(frozen=True)
class KerasMethod:
    """A net, its data pipeline and its training.

    Attributes:
        net: images (B, S, S, C) -> logits (B, 2), `net(x, seed=...)`; a function or a `functools.partial` of one.
        pipeline: a `pipeline.build.Pipeline`.
        stages: run one after the other.
        select: rule that picks the best epoch (`schedule`); without a validation part it must be `last_epoch`.
        class_weight: "balanced" gives both classes the same total weight in the training loss; None leaves them.
        pretrained: `(model, file) -> None` puts pre-trained weights into the model, from `ctx.weights`.
    """

    net: Callable[..., Any]
    pipeline: Any
    stages: tuple[schedule.Stage, ...]
    select: schedule.Select = schedule.best_val_accuracy
    class_weight: str | None = None
    pretrained: Callable[[keras.Model, Path], None] | None = None

    def __post_init__(self):
        if not self.stages:
            raise cases.MammoError("method: at least one stage is needed")
        if self.class_weight not in ("balanced", None):
            raise cases.MammoError(f'method: class_weight is "balanced" or None, found {self.class_weight!r}')

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], ctx: cases.Context) -> Fitted:
        """Trains on `train` and selects the epoch on `val`.

        Args:
            train, val: examples with labels 0 or 1; `val` may be empty.
            ctx: seed, folder (checkpoint and `tensorboard/` go there), precision, weights, resume, strict, draw.

        Raises:
            MammoError: a class is missing from a part, pre-trained weights are needed and not given, a stage matches
                no layer, the folder cannot be written, or the checkpoint found belongs to another training.
        """
        chosen = precision.resolve(ctx.precision)
        log.info("%s; precision %s: %s", precision.describe_device(), chosen.policy, chosen.reason)
        self._check(val, ctx)
        checkpoint.make_folder(Path(ctx.folder))
        arrays = {"training": self.pipeline.load(train, strict=ctx.strict)}
        if len(val):
            arrays["validation"] = self.pipeline.load(val, strict=ctx.strict)
        for part, loaded in arrays.items():
            check_labels(part, loaded.labels)
        return self._train(arrays["training"], arrays.get("validation"), ctx, chosen)

    def build(self, ctx: cases.Context, chosen: precision.Precision) -> keras.Model:
        """The untrained model, with its pre-trained weights where the method has any."""
        pipeline = self.pipeline
        with precision.policy(chosen):
            image = keras.Input((pipeline.side, pipeline.side, pipeline.channels), name="image")
            model = keras.Model(image, self.net(image, seed=ctx.seed), name="net")
        if self.pretrained:
            self.pretrained(model, Path(ctx.weights))
        return model

    def _check(self, val: Sequence[cases.Example], ctx: cases.Context) -> None:
        if not len(val) and self.select is not schedule.last_epoch:
            raise cases.MammoError(
                f"method: the validation part is empty, {self.select.__name__} cannot select an epoch; use last_epoch"
            )
        if self.pretrained and ctx.weights is None:
            raise cases.MammoError(
                "method: this net starts from pre-trained weights and none were given; name their source with "
                "--weights imagenet, --weights FILE or --weights phantom"
            )
        if self.pretrained and not Path(ctx.weights).is_file():
            raise cases.DataError(ctx.weights, "no such file of pre-trained weights")

    def _train(self, train: Any, val: Any, ctx: cases.Context, chosen: precision.Precision) -> Fitted:
        normalizer = self.pipeline.normalize(train.images)
        model = self.build(ctx, chosen)
        identity = self._identity(train, val, ctx, chosen)
        plan = fitting.Plan(self.stages, self.select, Path(ctx.folder), identity, ctx.resume)
        weighted = dataclasses.replace(train, weights=train.weights * class_factors(train, self.class_weight))
        data = fitting.Data(self.pipeline, normalizer, weighted, val, ctx.seed)
        outcome = fitting.fit(model, data, plan, [self._tensorboard(data, ctx, chosen)])
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
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        weights = Path(ctx.weights).read_bytes() if self.pretrained else b""
        return {
            **{name: describe.text(value) for name, value in fields.items()},
            "version": str(ALGORITHM_VERSION),
            "seed": str(ctx.seed),
            "precision": chosen.policy,
            "weights file": hashlib.sha256(weights).hexdigest()[:16] if self.pretrained else "none",
            "training part": digest(train),
            "validation part": digest(val) if val else "none",
        }

    def _tensorboard(
        self, data: fitting.Data, ctx: cases.Context, chosen: precision.Precision
    ) -> tensorboard.TensorBoard:
        optimizers = [stage.optimizer() for stage in self.stages]
        hparams = {
            "net": describe.text(self.net),
            "optimizer": " ".join(type(optimizer).__name__ for optimizer in optimizers),
            "learning_rate": " ".join(f"{float(optimizer.learning_rate):g}" for optimizer in optimizers),
            "epochs": schedule.ends(self.stages)[-1],
            "batch": self.pipeline.batch,
            "side": self.pipeline.side,
            "class_weight": str(self.class_weight),
            "select": self.select.__name__,
            "precision": chosen.policy,
            "budget": ctx.budget,
            "seed": ctx.seed,
        }
        return tensorboard.TensorBoard(
            folder=Path(ctx.folder) / "tensorboard",
            labels=data.val.labels if data.val else np.zeros(0),
            batch=data.first_batch,
            hparams=hparams,
            draw=ctx.draw,
            every=-(-schedule.ends(self.stages)[-1] // _SHOWN_EPOCHS),
        )


def time_step(method: KerasMethod, seed: int, repeats: int = 2) -> float:
    """Seconds a training step takes on noise, at the method's own sizes and precision "auto", after one to warm up.

    Args:
        method: all its layers learn, by the first stage's optimizer; pre-trained weights are not needed.
        seed: of the net and the noise.
        repeats: steps that are timed and averaged.
    """
    pipeline = method.pipeline
    context = cases.Context(seed=seed, budget="", folder=None)
    model = dataclasses.replace(method, pretrained=None).build(context, precision.resolve("auto"))
    fitting.compile_model(model, method.stages[0].optimizer())
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((pipeline.batch, pipeline.side, pipeline.side, pipeline.channels), np.float32)
    y = rng.integers(0, 2, pipeline.batch)
    model.train_on_batch(x, y)
    started = time.perf_counter()
    for _ in range(repeats):
        model.train_on_batch(x, y)
    return (time.perf_counter() - started) / repeats


def check_labels(part: str, labels: np.ndarray) -> None:
    """Refuses a part with unknown labels or with one class only.

    Raises:
        MammoError: names the part and what was found.
    """
    counts = {label: int(np.sum(labels == label)) for label in (0, 1)}
    if sum(counts.values()) != len(labels):
        raise cases.MammoError(f"{part} part: {len(labels) - sum(counts.values())} label(s) are neither 0 nor 1")
    if not all(counts.values()):
        raise cases.MammoError(
            f"{part} part: both classes are needed, found {counts[0]} of class 0 and {counts[1]} of class 1"
        )


def class_factors(arrays: Any, class_weight: str | None) -> np.ndarray:
    """Factor (N,) on the sample weights: "balanced" gives each class half of the total weight, and keeps the total.

    With unit weights that is n / (2 n_class), as in scikit-learn.
    """
    if class_weight is None:
        return np.ones(len(arrays.labels), np.float32)
    totals = np.array([arrays.weights[arrays.labels == label].sum() for label in (0, 1)], np.float64)
    return (totals.sum() / (2 * totals))[arrays.labels.astype(int)].astype(np.float32)


def digest(arrays: Any) -> str:
    """Hash of a part's images, labels, weights and ids, 16 hexadecimal digits."""
    found = hashlib.sha256("\n".join(arrays.ids).encode())
    for array in (arrays.images, arrays.labels, arrays.weights):
        found.update(np.ascontiguousarray(array).data)
    return f"{len(arrays.ids)} examples {found.hexdigest()[:16]}"
