"""GPUs as a machine shows them: programs of the test's own on PATH, files of its own for /proc and /dev."""

import os
import stat

import pytest

from mammo_tf import doctor_gpu

SMI = """\
#!/bin/sh
if [ $# -eq 0 ]; then
    echo "| NVIDIA-SMI 535.104.05    Driver Version: 535.104.05    CUDA Version: 12.2     |"
else
    echo "NVIDIA A100-SXM4-40GB, 535.104.05, 40960 MiB"
    echo "NVIDIA A100-SXM4-40GB, 535.104.05, 40960 MiB"
fi
"""
DRIVERLESS = """\
#!/bin/sh
echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
exit 9
"""
LSPCI = """\
#!/bin/sh
echo "00:02.0 VGA compatible controller: Intel Corporation UHD Graphics"
echo "3b:00.0 3D controller: NVIDIA Corporation GA100 [A100 SXM4 40GB] (rev a1)"
echo "3c:00.0 Audio device: NVIDIA Corporation Audio"
"""


def program(folder, name, text):
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without any trace of a GPU; its programs go to the folder that is returned."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin-of-nobody")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("proc", "dev"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(doctor_gpu, f"_{name.upper()}", tmp_path / name)
    program(programs, "echo", '#!/bin/sh\nprintf "%s\\n" "$1"\n')
    return programs


def test_a_machine_without_a_gpu(bare):
    found = doctor_gpu.on_machine()
    assert found == doctor_gpu.Machine()
    assert doctor_gpu.verdict(found, 0) == ("", ())


def test_nvidia_smi_names_gpus_and_driver(bare):
    program(bare, "nvidia-smi", SMI)
    found = doctor_gpu.on_machine()
    assert found.names == ("NVIDIA A100-SXM4-40GB, 40960 MiB",) * 2 and found.seen_by == ("nvidia-smi",)
    assert (found.driver, found.cuda, found.fault) == ("535.104.05", "12.2", "")


def test_a_driver_that_does_not_answer_beside_a_card_on_the_bus(bare):
    program(bare, "nvidia-smi", DRIVERLESS)
    program(bare, "lspci", LSPCI)
    found = doctor_gpu.on_machine()
    assert found.names == ("NVIDIA Corporation GA100 [A100 SXM4 40GB] (rev a1)",) and found.seen_by == ("lspci",)
    assert "communicate" in found.fault and found.driver == ""
    fault, mend = doctor_gpu.verdict(found, 0)
    assert "GA100" in fault and "driver" in mend[0] and not any("pip" in line for line in mend)


def test_the_drivers_own_files(bare, tmp_path):
    information = tmp_path / "proc" / "gpus" / "0000:3b:00.0" / "information"
    information.parent.mkdir(parents=True)
    information.write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 120\n")
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev" / name).touch()
    found = doctor_gpu.on_machine()
    assert found.names == ("NVIDIA H100 80GB HBM3",)
    assert found.seen_by == ("/proc/driver/nvidia", "/dev/nvidia*")
    information.unlink()
    assert doctor_gpu.on_machine().names == ("NVIDIA GPU",)  # of which only the device file is seen


def test_a_gpu_that_tensorflow_uses_is_no_fault(bare):
    program(bare, "nvidia-smi", SMI)
    assert doctor_gpu.verdict(doctor_gpu.on_machine(), 1) == ("", ())


def test_a_gpu_that_tensorflow_does_not_use_is_one_with_what_mends_it(bare):
    program(bare, "nvidia-smi", SMI)
    fault, mend = doctor_gpu.verdict(doctor_gpu.on_machine(), 0, tensorflow="2.21.0", built_for="12.5.1")
    assert "TensorFlow cannot use" in fault and "A100" in fault
    assert mend[0] == "pip install -e '.[gpu]'" and "tensorflow[and-cuda]==2.21.0" in mend[1]
    text = "\n".join(mend)
    assert "535.104.05" in text and "CUDA up to 12.2" in text and "built for CUDA 12.5.1" in text


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_that_the_user_hides_needs_no_package(bare, monkeypatch, hidden):
    program(bare, "nvidia-smi", SMI)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    _, mend = doctor_gpu.verdict(doctor_gpu.on_machine(), 0)
    assert len(mend) == 1 and "unset CUDA_VISIBLE_DEVICES" in mend[0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert "pip install" in doctor_gpu.verdict(doctor_gpu.on_machine(), 0)[1][0]


def test_a_program_that_hangs_is_not_waited_for(bare, monkeypatch):
    monkeypatch.setattr(doctor_gpu, "_SECONDS", 0.2)
    program(bare, "nvidia-smi", "#!/bin/sh\nexec /bin/sleep 5\n")
    found = doctor_gpu.on_machine()
    assert found.names == () and "timed out" in found.fault


def test_libraries_are_counted_from_tensorflows_own_list():
    here, wanted = doctor_gpu.libraries()
    assert 0 <= here <= wanted and wanted >= 5
