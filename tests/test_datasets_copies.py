import pytest

from mammo_tf import cases
from mammo_tf.datasets import copies


def test_a_further_table_is_listed_unless_it_is_a_true_copy(tmp_path):
    for name, text in {"a": "1", "copy": "1", "other": "2"}.items():
        (tmp_path / name).write_text(text)
    assert copies.left_out([tmp_path / "a"]) == []
    (problem,) = copies.left_out([tmp_path / name for name in ("a", "copy", "other")])
    assert (problem.path, problem.kind) == (str(tmp_path / "other"), "left out")
    assert problem.reason == f"another file of that name; {tmp_path / 'a'} is used"


def test_one_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a").write_text("1")
    with pytest.raises(cases.DataError, match="gone: cannot be read: No such file"):
        copies.left_out([tmp_path / "a", tmp_path / "gone"])
