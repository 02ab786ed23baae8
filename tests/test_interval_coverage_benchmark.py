"""The benchmark of coverage: it goes on where it was stopped, and its tables are of the lines that it wrote."""

from benchmarks import interval_coverage
from mammo_tf.evaluation import coverage


def few(monkeypatch, tmp_path):
    chosen = [
        interval_coverage.Cell("auc", (0.8,), 10, 1, 0.3),
        interval_coverage.Cell("difference", (0.9, 0.8), 10, 2, 0.8),
        interval_coverage.Cell("proportion", (0.9,), 10, 4, 0.8),
    ]
    monkeypatch.setattr(coverage, "FILE", tmp_path / "coverage.csv")
    monkeypatch.setattr(interval_coverage, "cells", lambda: chosen)
    coverage.FILE.write_text(",".join(coverage.COLUMNS) + "\n")
    return chosen


def test_lines_of_a_stopped_call_are_kept_and_sorted(monkeypatch, tmp_path):
    chosen = few(monkeypatch, tmp_path)
    interval_coverage.main(["--studies", "30"])
    whole = coverage.FILE.read_text()
    part = tmp_path / "coverage.part"
    assert not part.exists()
    done = [line for line in whole.splitlines()[1:] if line.startswith("proportion")]
    part.write_text("\n".join(done) + "\n")
    asked = []

    def counted(cell, studies):
        asked.append(cell)
        return interval_coverage.simulate(cell, studies)

    class Here:
        """A pool of this process, so that calls can be counted."""

        def __init__(self, processes):
            pass

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *_: None  # noqa: E731
        map = staticmethod(map)

    monkeypatch.setattr(interval_coverage.concurrent.futures, "ProcessPoolExecutor", Here)
    interval_coverage.main(["--studies", "30"], do=counted)
    assert asked == chosen[:2] and coverage.FILE.read_text() == whole
    interval_coverage.main(["--studies", "30", "--kind", "auc"])
    assert coverage.FILE.read_text() == whole


def test_tables_show_the_range_and_what_is_outside(monkeypatch, tmp_path, capsys):
    few(monkeypatch, tmp_path)
    rows = [("auc", "score", "0.8", 10, 0.95), ("auc", "score", "0.9", 10, 0.92), ("auc", "score", "0.9", 20, 0.975)]
    lines = [",".join(map(str, (k, m, v, n, 1, 0.3, 2000, c, 0.1))) for k, m, v, n, c in rows]
    coverage.FILE.write_text("\n".join([",".join(coverage.COLUMNS), *lines]) + "\n")
    interval_coverage.main(["--table"])
    text = capsys.readouterr().out
    assert "| auc | score | 1 below, 1 above, of 3 | 92.0 to 95.0 | 97.5 to 97.5 |" in text
    assert "| auc | score | 1 below, 1 above, of 3 | 95.0 to 95.0 | 92.0 to 97.5 |" in text
