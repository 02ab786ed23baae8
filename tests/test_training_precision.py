import keras
import pytest
from tensorflow.python.framework import config

from mammo_tf import cases
from mammo_tf.training import precision


def gpu(*capability):
    return precision.Device("GPU", "some", 1, capability or None)


def cpu(*flags):
    return precision.Device("CPU", "some", flags=frozenset(flags))


@pytest.mark.parametrize(
    ("device", "policy"),
    [
        (cpu("avx2", "amx_bf16"), "mixed_bfloat16"),
        (cpu("avx512_bf16"), "mixed_bfloat16"),
        (cpu("avx2", "avx512f"), "float32"),
        (cpu(), "float32"),
        (gpu(6, 1), "float32"),
        (gpu(7, 0), "mixed_float16"),
        (gpu(7, 5), "mixed_float16"),
        (gpu(8, 0), "mixed_bfloat16"),
        (gpu(9, 0), "mixed_bfloat16"),
        (gpu(), "float32"),
    ],
)
def test_auto_follows_the_device(device, policy):
    assert precision.resolve("auto", device).policy == policy


def test_an_explicit_wish_is_obeyed_and_commented():
    assert precision.resolve("float16", gpu(7, 5)).reason == "as asked for"
    slow = precision.resolve("bfloat16", cpu("avx2"))
    assert slow.policy == "mixed_bfloat16"
    assert "not made for it" in slow.reason and "amx_bf16" in slow.reason
    assert precision.resolve("float32", gpu(9, 0)) == precision.Precision("float32", "as asked for")


def test_auto_is_what_a_net_says_where_it_says_so():
    found = precision.resolve("auto", gpu(9, 0), own="float32")
    assert found == precision.Precision("float32", "this net's own, whatever the device")
    assert precision.resolve("bfloat16", gpu(9, 0), own="float32").policy == "mixed_bfloat16"
    assert precision.resolve("auto", gpu(9, 0), own="auto").policy == "mixed_bfloat16"


def test_an_unknown_wish_is_refused():
    with pytest.raises(cases.MammoError, match="expected auto, float32, bfloat16, float16; found 'half'"):
        precision.resolve("half", cpu())


def test_the_policy_holds_inside_only():
    before = keras.config.dtype_policy()
    with pytest.raises(ZeroDivisionError), precision.policy(precision.Precision("mixed_bfloat16", "")):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        raise ZeroDivisionError
    assert keras.config.dtype_policy() == before


def test_cpuinfo_is_read(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx512_bf16\n")
    found = precision._cpu(tmp_path / "cpuinfo")
    assert (found.name, found.flags) == ("Some CPU", {"fpu", "avx512_bf16"})
    assert precision._cpu(tmp_path / "missing").flags == frozenset()


def test_device_is_described():
    assert precision.describe_device(gpu(8, 6)) == "GPU some (compute capability 8.6)"
    assert precision.describe_device(cpu()) == "CPU some"
    assert precision.describe_device().startswith(precision.device().kind)


def test_determinism_is_switched_on():
    assert not config.is_op_determinism_enabled()
    precision.deterministic()
    assert config.is_op_determinism_enabled()
