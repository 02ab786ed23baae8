import dataclasses
import functools
import os
import pathlib
import subprocess
import sys
import textwrap
import threading
import time
from concurrent import futures

import numpy as np
import pytest

from mammo_tf import cache, cases


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: pathlib.Path) -> None:
    (folder / "a.txt").write_text("1234")


def refuse(folder: pathlib.Path) -> None:
    raise AssertionError("made twice")


def test_folder_is_named_by_the_variable_else_by_the_platform(root, monkeypatch):
    assert cache.folder() == root
    monkeypatch.delenv("MAMMO_TF_CACHE")
    assert cache.folder().name == "mammo_tf"


def test_an_entry_is_made_once(root):
    assert cache.get("one", fill) == root / "one"
    assert (cache.get("one", refuse) / "a.txt").read_text() == "1234"
    assert [path.name for path in root.iterdir()] == ["one"]


def test_a_maker_that_fails_leaves_nothing(root):
    def fail(folder):
        fill(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get("one", fail)
    assert list(root.iterdir()) == []


def test_the_loser_of_two_takes_the_winners_entry(root):
    def slow(folder):
        cache.get("one", fill)  # another process, faster
        (folder / "a.txt").write_text("late")

    assert (cache.get("one", slow) / "a.txt").read_text() == "1234"
    assert [path.name for path in root.iterdir()] == ["one"]


def test_a_kill_in_the_middle_is_never_taken_for_a_result(root):
    script = """
        import os, signal
        from mammo_tf import cache
        def make(folder):
            (folder / "half.txt").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        cache.get("one", make)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode != 0
    (left,) = root.iterdir()
    assert left.name.startswith(".making-one-") and cache.entries() == []
    assert [path.name for path in cache.get("one", fill).iterdir()] == ["a.txt"]
    assert left.exists()  # it may belong to a process at work
    old = time.time() - 3600 * (cache.STALE_HOURS + 1)
    for path in (left / "half.txt", left):
        os.utime(path, (old, old))
    cache.get("two", fill)
    assert not left.exists()


def test_entries_and_clear(root):
    assert cache.entries() == []
    cache.get("b", fill), cache.get("a", fill)
    assert [(entry.key, entry.bytes) for entry in cache.entries()] == [("a", 4), ("b", 4)]
    assert abs(cache.entries()[0].modified - time.time()) < 60
    cache.clear("b"), cache.clear("unknown")
    assert [entry.key for entry in cache.entries()] == ["a"]
    cache.clear()
    assert list(root.iterdir()) == []


def test_a_folder_that_cannot_be_written_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(cases.MammoError, match="MAMMO_TF_CACHE"):
        cache.get("one", fill)


def test_a_full_disk_names_the_variable(root):
    def full(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(cases.MammoError, match=r"No space left.*MAMMO_TF_CACHE"):
        cache.get("one", full)


@pytest.mark.parametrize("bad", ["", "../up", ".hidden", "a/b"])
def test_keys_stay_inside_the_folder(bad):
    with pytest.raises(ValueError, match="cache key"):
        cache.get(bad, fill)


@dataclasses.dataclass(frozen=True)
class Spec:
    size: int = 3


def test_key_depends_on_content_alone():
    assert cache.key("a", Spec(), {"y": 1, "x": 2}) == cache.key("a", Spec(3), {"x": 2, "y": 1})
    assert len({cache.key(part) for part in ("1", 1, Spec(1), Spec(2), b"1", cases.Side.LEFT)}) == 6
    with pytest.raises(TypeError, match="no stable description"):
        cache.key(object())


def test_arrays_are_made_once_and_the_longest_unused_go_first(monkeypatch):
    monkeypatch.setattr(cache, "_MEMORY", type(cache._MEMORY)())
    monkeypatch.setattr(cache, "MEMORY_BYTES", 20)
    made = []

    def make(name, size=8):
        made.append(name)
        return np.zeros(size, np.uint8)

    def get(name, size=8):
        return cache.remembered(name, functools.partial(make, name, size))

    assert get("a") is get("a") and not get("a").flags.writeable
    get("b")
    get("a")
    get("c")  # 24 bytes: b was unused for longest
    assert [get(name) is not None for name in ("a", "c", "b")] and made == ["a", "b", "c", "b"]
    get("large", 21)
    get("large", 21)
    assert made[-2:] == ["large", "large"]
    with pytest.raises(ZeroDivisionError):
        cache.remembered("fault", lambda: 1 // 0)
    assert "fault" not in cache._MEMORY


def test_threads_that_want_one_array_make_it_once(monkeypatch):
    monkeypatch.setattr(cache, "_MEMORY", type(cache._MEMORY)())
    made, gate = [], threading.Barrier(4, timeout=20)

    def make():
        made.append(1)
        time.sleep(0.05)
        return np.arange(3)

    def ask(_):
        gate.wait()
        return cache.remembered("one for all", make)

    with futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert len(made) == 1 and all(array is found[0] for array in found) and not cache._MAKING


def test_what_a_maker_raises_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr(cache, "_MEMORY", type(cache._MEMORY)())
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            cache.remembered("broken", lambda: 1 / 0)
    assert cache.remembered("broken", lambda: np.zeros(2)).shape == (2,)
