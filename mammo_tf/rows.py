"""A row of a paper's table as a value: what is learned from which examples, under which rules; and its hash.

`run.execute` does it. Everything here is frozen and holds real callables, so that a row can be hashed by their names.

    row = Run(paper="toy", name="mean", method=method, data=data, split=split, protocol=Rules("honest", "test"), ...)
    identity(row, Settings(budget=budget, dataset=cbis_ddsm), dataset.fingerprint)          # "0123abcd"
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mammo_tf import cases, datasets, describe, labels, records
from mammo_tf.datasets import phantom
from mammo_tf.evaluation import thresholds


class Method(Protocol):
    """Whatever can be fitted.

    `fit` returns `predict(examples) -> (N, C) float32 probabilities, C >= 2`. The returned object may also carry
    `model`, `normalizer`, `history`, `best_epoch`, `val_reads`, `problems` and `save(folder)`, as
    `training.method.Fitted` does; what it lacks is left out of the run's folder.
    """

    def fit(
        self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context, /
    ) -> Callable[[Sequence[cases.Example]], np.ndarray]: ...


@dataclasses.dataclass(frozen=True)
class Budget:
    """How much a run may cost; a paper file adds its own columns (image side, widths, epochs)."""

    name: str
    phantom: phantom.PhantomSpec
    draws: int = 2000  # of the bootstrap that bounds macro AUC and balanced accuracy of several classes


@dataclasses.dataclass(frozen=True)
class Rules:
    """A named protocol: which part is reported, and what it lets leak.

    Attributes:
        name: "as_published" or "honest".
        reported: "val" or "test", the part that the table speaks of.
        leaks: the protocol's flaws in words, beside those of its split.
        threshold: rule of `evaluation.thresholds` that chooses the second operating point on validation.
        watched: the test part is scored after every epoch, as in a paper that shows its curve; no rule sees that.
        fits_test: the method gets the test part too (`Context.leaked`), as where a paper fitted before the split.
    """

    name: str
    reported: str
    leaks: tuple[str, ...] = ()
    threshold: Callable[..., float] = thresholds.youden
    watched: bool = dataclasses.field(default=False, metadata={"added": True})
    fits_test: bool = dataclasses.field(default=False, metadata={"added": True})


@dataclasses.dataclass(frozen=True)
class AtBudget:
    """A split that a budget has a say in: `make(budget)` is the split."""

    make: Callable[[Any], Callable[..., Any]]


Selection = tuple[Sequence[cases.Example], Sequence[cases.Problem]]


@dataclasses.dataclass(frozen=True)
class Run:
    """One row of a paper's table under one protocol.

    Attributes:
        paper: key of the paper file.
        name: the row, as `--only` takes it.
        method: budget -> Method.
        data: (dataset, budget) -> (examples, problems).
        split: (examples, seed) -> Splits, or several of them: cross-validation, or repeated subsets. Their metrics
            are averaged over the splits (`evaluation.folds`). `AtBudget` where their number hangs on the budget.
        protocol: the rules it is run and reported under.
        policy: dataset name -> label policy.
        needs: runs trained before this one, or budget -> those; their folders come as `Context.inputs`.
        standin: what `--weights phantom` means here: a run on another phantom whose net is the starting point.
        pretrained: the way to the weights that `--weights imagenet` means, or None where a run starts from scratch.
        spec: budget -> the phantom that this run reads, whatever the command line names; for stand-ins.
        phantom_spec: budget -> the phantom in the place of the run's dataset where no folder is given; None for the
            budget's own. A second dataset needs other patients. Not part of the hash: the dataset's fingerprint is.
        dataset: the format module of this run, where the command line's is not meant.
        sample: (parts, budget, seed) -> (parts, problems): what becomes of the examples after the split (patches of
            whole images), so that all runs on one split learn from the same patients.
        classes: names of the classes where they are not the label policy's two.
        after: what else is measured or drawn of a fitted run: `run.Done` -> claims. Not part of the hash. None
            stands for saliency maps.
        together: what is measured of all its splits: one `run.Done` each -> claims. Not part of the hash.
        known_means: dataset -> mean gray value (0 to 255) of the paper's training images; not part of the hash.
        published, extra: the paper's numbers for this row, by metric; True for a row that it has not. Neither counts.
        takes: what an image is to be cut to before the net's own preprocessing; not part of the hash.
    """

    paper: str
    name: str
    method: Callable[[Any], Method]
    data: Callable[[cases.Dataset, Any], Selection]
    split: Callable[..., cases.Splits | tuple[cases.Splits, ...]] | AtBudget
    protocol: Rules
    policy: Callable[[str], labels.LabelPolicy]
    needs: tuple[Run, ...] | Callable[[Any], tuple[Run, ...]] = ()
    standin: Run | None = None
    pretrained: Callable[[], pathlib.Path] | None = None
    spec: Callable[[Any], phantom.PhantomSpec] | None = None
    phantom_spec: Callable[[Any], phantom.PhantomSpec] | None = dataclasses.field(default=None, compare=False)
    dataset: types.ModuleType | None = None
    sample: Callable[[cases.Splits, Any, int], tuple[cases.Splits, Sequence[cases.Problem]]] | None = None
    classes: tuple[str, ...] | None = None
    after: tuple[Callable[[Any], dict[str, Any]], ...] | None = dataclasses.field(default=None, compare=False)
    together: tuple[Callable[[Sequence[Any]], dict[str, Any]], ...] = dataclasses.field(default=(), compare=False)
    known_means: Mapping[str, float] = dataclasses.field(default_factory=dict, compare=False)
    published: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    extra: bool = dataclasses.field(default=False, compare=False)
    takes: str = dataclasses.field(default="cut as in training", compare=False)

    def splits(self, examples: Sequence[cases.Example], budget: Any, seed: int) -> tuple[cases.Splits, ...]:
        """The examples dealt to parts, once or several times."""
        split = self.split.make(budget) if isinstance(self.split, AtBudget) else self.split
        dealt = split(examples, seed)
        return (dealt,) if isinstance(dealt, cases.Splits) else tuple(dealt)

    def needed(self, budget: Any) -> tuple[Run, ...]:
        """The runs that this one needs at a budget."""
        return self.needs(budget) if callable(self.needs) else self.needs


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line decides.

    Attributes:
        budget: one of the paper file's.
        dataset: the format module of the runs that name none of their own.
        root: its folder; None stands for the phantom.
        roots: folders by dataset name, for runs with a dataset of their own; None stands for the phantom, asked for.
        seed: 0 to 2^32 - 1.
        out: where the runs' folders go.
        weights: "imagenet" (each run's published ones), "phantom" or a file; for runs with pre-trained weights.
        precision: "auto", "float32", "bfloat16" or "float16".
        resume: keep what is there: a finished run is returned, a stopped one goes on.
        strict: stop at the first unreadable file.
        intensity: how DICOM values become gray values (`datasets.dicom`): "raw", "voi" or "minmax".
    """

    budget: Any
    dataset: types.ModuleType
    root: pathlib.Path | None = None
    roots: Mapping[str, pathlib.Path | None] = dataclasses.field(default_factory=dict)
    seed: int = 0
    out: pathlib.Path = pathlib.Path("runs")
    weights: str | None = None
    precision: str = "auto"
    resume: bool = False
    strict: bool = False
    intensity: str = "raw"


def module_of(run: Run, settings: Settings) -> types.ModuleType:
    """The format module that a run reads."""
    return run.dataset or settings.dataset


def root_of(run: Run, settings: Settings) -> pathlib.Path | None:
    """The folder that a run reads, None for the phantom.

    Raises:
        cases.MammoError: some dataset is real and this run's is not named: a phantom must not slip in beside it.
    """
    if run.spec:
        return None
    if run.dataset is None:
        return settings.root
    real = [name for name, root in settings.roots.items() if root is not None]
    if real and run.dataset.NAME not in settings.roots:
        raise cases.MammoError(
            f"{run.name} reads {run.dataset.NAME}, but --root names {', '.join(real)} only: add --root "
            f"{run.dataset.NAME}=DIR, or --root {run.dataset.NAME}=phantom to learn from the phantom"
        )
    return settings.roots.get(run.dataset.NAME)


def open_data(run: Run, settings: Settings) -> cases.Dataset:
    """The dataset of a run: the folder given, or the phantom of its budget where none is."""
    own = run.spec or run.phantom_spec
    spec = own(settings.budget) if own else settings.budget.phantom
    how = {"strict": settings.strict, "intensity": settings.intensity}
    return datasets.open_dataset(module_of(run, settings), root_of(run, settings), spec=spec, **how)


def identity(run: Run, settings: Settings, fingerprint: str, known: dict[Any, str] | None = None) -> str:
    """Eight digits for everything that decides the numbers; the budget counts after scaling.

    Counted are the run's description, the dataset's fingerprint, the settings, the hashes of what it needs, and the
    ALGORITHM_VERSION of every module that the paper file or this one imports, directly or not, but for the command
    line and what it alone imports: another command changes no number.

    Args:
        run, settings: what is run and how.
        fingerprint: of the dataset of the run.
        known: fingerprints of datasets by what was read; needs that read another dataset have theirs opened once.
    """
    known = {} if known is None else known
    known[_source(run, settings)] = fingerprint
    needs = [
        identity(need, settings, fingerprint_of(need, settings, known), known) for need in run.needed(settings.budget)
    ]
    standin = run.standin if settings.weights == "phantom" else None
    decided = {
        "name": run.name,
        "method": run.method(settings.budget),
        "data": run.data,
        "split": run.split,
        "protocol": run.protocol,
        "policy": run.policy(module_of(run, settings).NAME),
        "versions": describe.versions(
            ["mammo_tf.run", *map(_module, (run.method, run.data, run.split))], apart=["mammo_tf.cli"]
        ),
        "budget": settings.budget,
        "dataset": fingerprint,
        "seed": settings.seed,
        "weights": weights_digest(run, settings),
        "precision": settings.precision,
        "spec": run.spec and run.spec(settings.budget),
        "standin": standin and identity(standin, for_standin(settings), "phantom"),
    }
    if run.sample or run.classes:
        decided |= {"sample": run.sample, "classes": run.classes}
    return records.hash8(decided, needs)


def _source(run: Run, settings: Settings) -> tuple[Any, ...]:
    other = run.phantom_spec and run.phantom_spec(settings.budget)
    return module_of(run, settings).NAME, run.spec is None, other


def fingerprint_of(need: Run, settings: Settings, known: dict[Any, str]) -> str:
    """A need with a phantom of its own counts by its spec, as part of its description."""
    if need.spec is not None:
        return known.get((module_of(need, settings).NAME, True, None), "phantom")
    source = _source(need, settings)
    if source not in known:
        known[source] = open_data(need, settings).fingerprint
    return known[source]


def _module(call: Any) -> str:
    """The module of a function, a partial of one, or a callable value."""
    call = getattr(call, "func", call)
    return call.__module__ if hasattr(call, "__qualname__") else type(call).__module__


def for_standin(settings: Settings) -> Settings:
    """One stand-in serves every seed and run; it is trained once."""
    return dataclasses.replace(settings, resume=True, weights=None, seed=0)


def weights_name(run: Run, settings: Settings) -> str:
    """What a record calls the weights that a run started from."""
    if run.pretrained is None:
        return "scratch"
    own = getattr(run.pretrained, "source", "imagenet")  # a way to other weights than ImageNet's says so
    given = settings.weights or "imagenet"
    return {"imagenet": own, "phantom": "phantom_standin"}.get(given) or pathlib.Path(given).name


def weights_file(run: Run, settings: Settings) -> pathlib.Path | None:
    """The file of pre-trained weights that a run starts from; None for none, and for those that a stand-in makes.

    Raises:
        cases.DataError: `--weights` names no file.
    """
    if run.pretrained is None or settings.weights == "phantom":
        return None
    if settings.weights in (None, "imagenet"):
        return run.pretrained()
    path = pathlib.Path(settings.weights)
    if not path.is_file():
        raise cases.DataError(path, "--weights names no file (and is neither imagenet nor phantom)")
    return path


def weights_digest(run: Run, settings: Settings) -> str | None:
    """The source of pre-trained weights: a file counts by its content, not by its name."""
    path = weights_file(run, settings)
    return path and hashlib.sha256(path.read_bytes()).hexdigest()[:16]
