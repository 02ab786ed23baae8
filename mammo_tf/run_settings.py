"""How a run was called, kept in its folder from its beginning, so that it can be done again from there.

`settings.json` names the row and its protocol, the budget with its numbers as `--set` left them, the dataset, its
folders by absolute paths, and the other settings. It is of the user's own folder: no record takes anything from it.

    facts = run_settings.read("runs/ao2020/baseline_cnn-honest-...-0123abcd")
    row, settings = run_settings.restored(facts, ao2020)
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import types
from collections.abc import Mapping
from typing import Any

from mammo_tf import cases, records, rows

FILE = "settings.json"
_AS_THEY_ARE = ("seed", "precision", "strict", "intensity")
_KNOWN = (None, "imagenet", "phantom")  # `--weights` that name no file


def write(run: rows.Run, settings: rows.Settings, folder: pathlib.Path) -> None:
    """Writes the file of a run that begins.

    Raises:
        cases.DataError: the folder cannot be written.
    """
    weights = settings.weights if settings.weights in _KNOWN else _absolute(settings.weights)
    facts = {
        "paper": run.paper,
        "run": run.name,
        "protocol": run.protocol.name,
        "budget": settings.budget.name,
        "numbers": _numbers(settings.budget),
        "dataset": settings.dataset.NAME,
        "root": _absolute(settings.root),
        "roots": {name: _absolute(root) for name, root in settings.roots.items()},
        "weights": weights,
        **{name: getattr(settings, name) for name in _AS_THEY_ARE},
    }
    records.write_json(records.plain(facts), folder / FILE)


def _numbers(budget: Any) -> dict[str, float | None]:
    """Those fields of a budget that `--set` may change."""
    values = {f.name: getattr(budget, f.name) for f in dataclasses.fields(budget)}
    return {name: value for name, value in values.items() if isinstance(value, int | float | None)}


def _absolute(folder: Any) -> str | None:
    return None if folder is None else str(pathlib.Path(folder).expanduser().absolute())


def read(folder: Any) -> dict[str, Any]:
    """What `write` has written.

    Raises:
        cases.DataError: no such file, or not of this form; of an older run the message names the command to use.
    """
    path = pathlib.Path(folder) / FILE
    if not path.is_file():
        raise cases.DataError(folder, f"no {FILE}, so it is no run's folder or an older run's: {_instead(path)}")
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise cases.DataError(path, f"cannot be read: {error}") from None
    names = {"paper", "run", "protocol", "budget", "numbers", "dataset", "root", "roots", "weights", *_AS_THEY_ARE}
    if not isinstance(facts, Mapping) or set(facts) != names:
        raise cases.DataError(path, f"expected an object with {', '.join(sorted(names))}")
    texts = ("paper", "run", "protocol", "budget", "dataset")
    if not all(isinstance(facts[name], str) for name in texts):
        raise cases.DataError(path, f"expected text as {', '.join(texts)}")
    if not isinstance(facts["numbers"], Mapping) or not isinstance(facts["roots"], Mapping):
        raise cases.DataError(path, "expected objects as numbers and roots")
    return dict(facts)


def _instead(path: pathlib.Path) -> str:
    """The command for a run without the file."""
    paper, named = "PAPER", "--only ROW --protocol PROTOCOL"
    if (path.parent / "record.json").is_file():
        (record,) = records.load(path.parent / "record.json")
        paper, named = record.paper, f"--only {record.run} --protocol {record.protocol}"
    return f"call `python experiments/{paper}.py --null {named}` with the options that it had"


def restored(facts: Mapping[str, Any], experiment: types.ModuleType) -> tuple[rows.Run, rows.Settings]:
    """The row and its settings, `out` left at its default.

    Args:
        facts: of `read`.
        experiment: the paper file.

    Raises:
        cases.MammoError: the paper file has no such row, budget, number or dataset.
    """
    found = {(one.name, one.protocol.name): one for one in experiment.RUNS}
    row = _of(found, (facts["run"], facts["protocol"]), experiment, "row")
    budgets = {budget.name: budget for budget in experiment.BUDGETS.values()}
    budget = _of(budgets, facts["budget"].partition("+")[0], experiment, "budget")
    if unknown := sorted(set(facts["numbers"]) - set(_numbers(budget))):
        raise cases.MammoError(f"{FILE}: budget {facts['budget']} of {experiment.KEY} has no number {unknown[0]}")
    settings = rows.Settings(
        budget=dataclasses.replace(budget, **facts["numbers"], name=facts["budget"]),
        dataset=_of({one.NAME: one for one in experiment.DATASETS}, facts["dataset"], experiment, "dataset"),
        root=_path(facts["root"]),
        roots={name: _path(root) for name, root in facts["roots"].items()},
        weights=facts["weights"],
        **{name: facts[name] for name in _AS_THEY_ARE},
    )
    return row, settings


def _of(found: Mapping[Any, Any], name: Any, experiment: types.ModuleType, what: str) -> Any:
    if name not in found:
        asked = " ".join(name) if isinstance(name, tuple) else name
        raise cases.MammoError(
            f"{FILE}: {experiment.KEY} has no {what} {asked}; nets that rows start from are no rows"
        )
    return found[name]


def _path(text: str | None) -> pathlib.Path | None:
    return None if text is None else pathlib.Path(text)
