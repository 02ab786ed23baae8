"""The arrows between the modules: who may import whom, from one table, checked over the syntax trees."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "mammo_tf"
BASE = {"cases", "cache", "describe", "errors", "labels", "regions"}
PARTS = {"datasets", "pipeline", "models", "training", "classical", "evaluation", "explain"}
ALLOWED = {
    "__init__": set(),
    "__main__": {"cli"},
    "errors": set(),
    "regions": {"errors"},
    "cases": {"errors", "regions"},
    "labels": {"cases"},
    "cache": {"cases", "describe"},
    "describe": set(),
    **{part: BASE | {part} for part in PARTS},
    "figures": BASE | {"evaluation"},
    "figures_comparisons": {"evaluation", "figures"},
    "figures_mammograms": {"cases", "figures"},
    "figures_dreams": {"cases", "figures"},
    "figures_bands": {"cases", "figures"},
    "figures_explained": {"cases", "figures"},
    "figures_folds": {"evaluation", "figures"},
    "figures_calibration": {"evaluation", "figures"},
    "records": BASE | {"evaluation"},
    "audit": BASE | PARTS | {"records"},
    "certificates": {"audit", "cases", "records"},
    "predictions": {"cases"},
    "artifacts": BASE | PARTS | {"records", "figures", "figures_folds", "predictions"},
    "measure": BASE | PARTS | {"artifacts", "audit", "records"},
    "intake": BASE,
    "machine": set(),
    "rows": BASE | PARTS | {"records"},
    "reuse": BASE | PARTS | {"artifacts"},
    "ensembles": BASE | PARTS | {"figures", "figures_comparisons"},
    "tuning": BASE | PARTS | {"records"},
    "dreaming": BASE | PARTS | {"artifacts", "figures", "figures_dreams"},
    "lesions_shown": BASE | PARTS | {"artifacts", "figures", "figures_bands", "figures_mammograms"},
    "explaining": BASE | PARTS | {"artifacts", "figures", "figures_mammograms", "records", "reuse"},
    "explaining_given": BASE | PARTS,
    "explaining_methods": BASE
    | PARTS
    | {"explaining", "explaining_given", "figures", "figures_explained", "records", "reuse"},
    "explained": BASE | PARTS | {"explaining_given", "figures", "figures_explained"},
    "run": BASE
    | PARTS
    | {"records", "artifacts", "audit", "certificates", "measure", "intake", "machine", "rows", "run_settings"},
    "run_settings": {"cases", "records", "rows"},
    "tables": {"evaluation"},
    "pairs": BASE | PARTS | {"artifacts", "records", "tables"},
    "report_printed": {"evaluation", "tables"},
    "report_paper": {"records", "report_printed", "tables"},
    "gaps": BASE | PARTS | {"artifacts", "pairs", "records", "tables"},
    "report": BASE
    | PARTS
    | {
        "gaps",
        "pairs",
        "records",
        "report_beside",
        "report_explained",
        "report_folds",
        "report_nulls",
        "report_paper",
        "report_seeds",
        "tables",
    },
    "report_seeds": {"evaluation", "gaps", "records", "tables"},
    "report_beside": {"records", "tables"},
    "feature_nets": BASE | PARTS,
    "selections": BASE | PARTS,
    "categories": BASE | PARTS | {"figures", "figures_categories"},
    "figures_categories": {"figures"},
    "report_folds": {"records", "tables"},
    "report_explained": {"explain", "records", "tables"},
    "readme": {"records", "report", "tables"},
    "figures_forest": {"evaluation", "figures", "tables"},
    "page": BASE
    | PARTS
    | {
        "artifacts",
        "figures",
        "figures_forest",
        "page_figures",
        "records",
        "report",
        "report_nulls",
        "report_paper",
        "tables",
    },
    "page_figures": BASE
    | PARTS
    | {"artifacts", "explaining", "figures_comparisons", "figures_mammograms", "pairs", "records"},
    "export": BASE | PARTS | {"records"},
    "null_records": {"cases", "records"},
    "nulls": BASE | {"artifacts", "machine", "null_records", "records", "run"},
    "report_nulls": {"null_records", "tables"},
    "planning": BASE
    | PARTS
    | {"machine", "nulls", "records", "report", "report_nulls", "report_paper", "run", "run_settings", "tables"},
    "checking": BASE | PARTS | {"checking_pixels", "checking_tables"},
    "checking_pixels": BASE,
    "checking_tables": {"datasets"},
    "checking_text": {"checking", "checking_pixels", "checking_tables", "records", "tables"},
    "preparing": BASE | PARTS,
    "doctor": BASE | PARTS | {"doctor_gpu", "machine"},
    "doctor_gpu": set(),
    "commands": BASE
    | PARTS
    | {
        "commands_data",
        "commands_evaluate",
        "commands_evidence",
        "null_records",
        "tables",
        "readme",
        "records",
        "report",
        "page",
        "artifacts",
        "explaining",
        "export",
        "figures",
        "pairs",
        "sources",
    },
    "commands_data": BASE | PARTS | {"checking", "checking_text", "doctor", "figures", "preparing", "records"},
    "sources": {"cases", "pairs", "records"},
    "commands_evaluate": BASE
    | PARTS
    | {"artifacts", "commands_data", "figures", "figures_calibration", "records", "sources", "tables"},
    "auditing": BASE | PARTS | {"artifacts", "certificates", "pairs", "records"},
    "commands_evidence": BASE
    | PARTS
    | {"auditing", "commands", "commands_data", "planning", "report_printed", "tables"},
    "cli": BASE | PARTS | {"commands", "commands_data", "ensembles", "run", "planning"},
}
HEAVY = {
    "tensorflow": (
        "pipeline/",
        "training/",
        "explain/",
        "export.py",
        "models/batch_norm.py",
        "doctor.py",
        "datasets/prepared.py",
        "datasets/tfds.py",
        "datasets/tfds_stream.py",
    ),
    "keras": (
        "pipeline/",
        "training/",
        "explain/",
        "models/",
        "explaining.py",
        "export.py",
        "doctor.py",
        "feature_nets.py",
        "lesions_shown.py",
        "reuse.py",
        "tuning.py",
    ),
    "matplotlib": (
        "figures.py",
        "figures_bands.py",
        "figures_calibration.py",
        "figures_categories.py",
        "figures_comparisons.py",
        "figures_dreams.py",
        "figures_explained.py",
        "figures_folds.py",
        "figures_forest.py",
        "figures_mammograms.py",
    ),
    "torch": ("models/weights.py",),
}


def imports(path: pathlib.Path) -> list[str]:
    """Every module that a file imports, wherever in it, with dots."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def unit(path: pathlib.Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_the_table_allows(path):
    own = {name.split(".")[1] for name in imports(path) if name.startswith("mammo_tf.")}
    assert own - ALLOWED[unit(path)] == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_stay_where_they_belong(path):
    relative = path.relative_to(PACKAGE).as_posix()
    for package, homes in HEAVY.items():
        used = any(name.split(".")[0] == package for name in imports(path))
        assert not used or relative.startswith(homes), f"{relative} imports {package}"


def test_every_module_stands_in_the_table():
    assert {unit(path) for path in FILES} == set(ALLOWED)


def test_the_table_catches_a_forbidden_arrow(tmp_path):
    (tmp_path / "bad.py").write_text("def f():\n    from mammo_tf.pipeline import build\n    return build\n")
    assert imports(tmp_path / "bad.py") == ["mammo_tf.pipeline.build"]
    assert "pipeline" not in ALLOWED["datasets"]


def test_importing_the_package_and_its_command_loads_no_tensorflow():
    modules = "mammo_tf.cli, mammo_tf.checking_text, mammo_tf.doctor, mammo_tf.preparing, mammo_tf.datasets.cbis_ddsm"
    code = f"import sys, {modules}; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
