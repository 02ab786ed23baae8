"""The doctor: this machine, a GPU that is not there, broken packages, a full disk, a read-only folder."""

import collections
import json
import pathlib
import sys
import types

import pytest

from mammo_tf import cases, cli, doctor, doctor_gpu
from mammo_tf.datasets import about, mini_mias
from tests import samples
from tests.test_doctor_gpu import SMI, program

Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch, tmp_path):
    """Whatever the machine that tests run on has."""
    monkeypatch.setattr(doctor_gpu, "on_machine", lambda: doctor_gpu.Machine())
    monkeypatch.chdir(tmp_path)
    for variable in (*doctor.DATA_VARIABLES, "KERAS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def value(report, title, name):
    (section,) = [section for section in report.sections if section.title == title]
    (line,) = [line for line in section.lines if line.name.strip() == name]
    return line.value


def test_this_machine_is_well_and_says_what_it_has(capsys):
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("Nothing needs mending.") and "!!!" not in printed
    for word in ("tensorflow", "Keras backend", "precision 'auto'", "cache", "memory", "MAMMO_TF_DATA"):
        assert word in printed
    assert cli.main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["healthy"] and facts["faults"] == []
    assert facts["sections"]["Devices"]["precision 'auto'"].split(":")[0] in ("float32", "mixed_bfloat16")


def test_nothing_names_the_machine(capsys):
    import platform

    assert cli.main(["doctor", "--verbose"]) == 0
    assert platform.node() not in capsys.readouterr().out.replace("/", " ").split()


def test_a_gpu_that_tensorflow_does_not_use_is_loud(monkeypatch, tmp_path, capsys):
    monkeypatch.undo()  # the real question, put to a false nvidia-smi
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin", "nvidia-smi", SMI)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "!!! this machine has a GPU that TensorFlow cannot use: NVIDIA A100-SXM4-40GB" in printed
    assert "!!!     pip install -e '.[gpu]'" in printed and f"tensorflow[and-cuda]=={tf.__version__}" in printed
    assert "CUDA up to 12.2" in printed and "!!! TensorFlow computes on" in printed
    assert cli.main(["doctor", "--quiet"]) == 1
    assert capsys.readouterr().out.startswith("!!! this machine has a GPU")


@pytest.mark.parametrize("error", [ImportError("libfoo.so: cannot open"), TypeError("Descriptors cannot be created")])
def test_a_tensorflow_that_does_not_load_is_a_line_and_no_traceback(monkeypatch, capsys, error):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "tensorflow":
                raise error

    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("tensorflow", "keras")}
    for name in kept:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace())
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr()
    assert f"!!! TensorFlow cannot be used: {type(error).__name__}: {error}" in printed.out
    assert "pip install" in printed.out and "Traceback" not in printed.out + printed.err


def test_missing_packages(monkeypatch):
    versions = {"mammo-tf": "0.1"}
    monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, ""))
    lines = {line.name: line for line in doctor._packages()}
    assert lines["mammo-tf"].value == "0.1" and not lines["mammo-tf"].fault
    assert lines["numpy"].fault and "not installed" in lines["numpy"].value
    assert not lines["xlrd"].fault and "INbreast" in lines["xlrd"].value  # only optional


def test_what_tensorflow_writes_is_kept_for_verbose():
    with doctor_gpu.heard() as said:
        import os

        os.write(2, b"I0000 cuda: no library\n")
    assert said == ["I0000 cuda: no library"]
    report = doctor.Report((doctor.Section("Devices", (doctor.Line("processor", "a CPU"),)),), tuple(said))
    assert "no library" in doctor.text(report, verbose=True) and "no library" not in doctor.text(report)


def test_a_full_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(10**12, 0, int(1.9e9)))
    line = doctor.folder_line("cache", tmp_path / "new" / "cache", "empty", "MAMMO_TF_CACHE")
    assert "1.9 GB" in line.fault and any("MAMMO_TF_CACHE" in mend for mend in line.mend)
    assert not (tmp_path / "new").exists()  # looking makes nothing
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(10**12, 0, int(2.1e9)))
    assert not doctor.folder_line("cache", tmp_path, "", "").fault


@pytest.mark.skipif(not pathlib.Path("/proc/self").is_dir(), reason="needs a folder that nobody can write")
def test_a_cache_that_cannot_be_written(monkeypatch, capsys):
    monkeypatch.setenv("MAMMO_TF_CACHE", "/proc/self/cache")
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "!!! /proc/self/cache: cannot be written" in printed and "by MAMMO_TF_CACHE" in printed


def test_a_cache_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "cache"):
        line = doctor.folder_line("cache", folder, "empty", "MAMMO_TF_CACHE")
        assert line.fault == f"{folder}: cannot be written: Not a directory" and "MAMMO_TF_CACHE" in line.mend[0]


def test_folders_that_cannot_be_looked_into_are_faults_and_no_tracebacks(tmp_path, monkeypatch):
    folder = tmp_path / ("x" * 300)  # forbidden even to root
    for variable in ("MAMMO_TF_CACHE", "MAMMO_TF_DATA", "KERAS_HOME"):
        monkeypatch.setenv(variable, str(folder))
    report = doctor.examine([mini_mias], folder / "runs")
    assert [line.fault for line in report.faults] == [
        f"{folder}: cannot be written: File name too long",
        f"{folder / 'runs'}: cannot be written: File name too long",
        f"MAMMO_TF_DATA={folder}: cannot be read: File name too long",
    ]


def test_data_folders(monkeypatch, tmp_path):
    (tmp_path / "data" / "mini_mias").mkdir(parents=True)
    (tmp_path / "data" / "mini_mias" / mini_mias.TABLE).write_text("mdb001 G NORM\nmdb002 G NORM\n")
    (tmp_path / "data" / "other").mkdir()
    (tmp_path / "data" / "done" / "1.0.0").mkdir(parents=True)
    (tmp_path / "data" / "done" / "1.0.0" / "prepared.json").write_text("{}")

    def nothing(root):
        raise cases.DataError(root, "no table")

    other = samples.module(NAME="other", entries=nothing)
    absent = samples.module(NAME="absent", entries=lambda root: (about.Entry("a", "p", ""),))
    monkeypatch.setenv("MAMMO_TF_DATA", str(tmp_path / "data"))
    report = doctor.examine([mini_mias, other, absent, samples.module(NAME="done", entries=nothing)])
    assert value(report, "Data", "done").startswith("a prepared dataset; see mammo-tf check done ")
    assert value(report, "Data", "mini_mias").startswith("tables of 2 images")
    assert value(report, "Data", "other") == "no table" and value(report, "Data", "absent") == "no such folder"
    assert value(report, "Data", "MAMMO_TF_REAL_DATA") == "not set" and not report.faults
    monkeypatch.setenv("MAMMO_TF_DATA", str(tmp_path / "nowhere"))
    (line,) = doctor.examine([mini_mias]).faults
    assert "nowhere" in line.fault and "no such folder" in line.fault


def test_weights_that_are_kept(tmp_path):
    assert "--weights" in value(doctor.examine([]), "Pre-trained weights", "ImageNet")
    folder = tmp_path / "keras" / "models"
    folder.mkdir(parents=True)
    (folder / "resnet50.h5").write_bytes(b"0" * 1_500_000)
    (folder / "imagenet_class_index.json").touch()
    report = doctor.examine([])
    assert value(report, "Pre-trained weights", "resnet50.h5") == f"1.5 MB, {folder}"
    (section,) = [section for section in report.sections if section.title == "Pre-trained weights"]
    assert len(section.lines) == 1
