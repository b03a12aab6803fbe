"""Running a notebook names what fails and says what it takes."""

import json
from pathlib import Path

import pytest

from workbench.commands import notebooks
from workbench.teaching import execution

WHY = "the extra `lab` is not installed: make install EXTRAS=collect,lab,dev"
nbformat = pytest.importorskip("nbformat", reason=WHY)
pytest.importorskip("nbclient", reason=WHY)


def test_a_failing_notebook_names_the_error(tmp_path):
    cells = [nbformat.v4.new_code_cell("raise KeyError('lost')")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "bad.ipynb")
    with pytest.raises(ValueError, match="stops at a cell: KeyError"):
        execution.cost("bad", {}, tmp_path)
    with pytest.raises(ValueError, match=r"no notebook 'worse'\. Choose from bad"):
        execution.cost("worse", {}, tmp_path)


def test_it_says_what_running_a_notebook_takes(tmp_path):
    cells = [nbformat.v4.new_code_cell("held = b'.' * 2**28")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "large.ipynb")
    took = execution.cost("large", {}, tmp_path)
    assert 0 < took.seconds < 60
    assert 0.25 < took.gigabytes < 4


def test_a_kernel_that_ends_keeps_nobody_waiting(tmp_path, monkeypatch):
    """No second ping is on its way when a kernel ends: nobody would ever answer it."""
    channels = pytest.importorskip("jupyter_client.channels", reason=WHY)
    monkeypatch.setattr(channels.HBChannel, "time_to_dead", 0.01)
    asked = []
    make = channels.HBChannel._create_socket
    monkeypatch.setattr(
        channels.HBChannel, "_create_socket", lambda self: asked.append(self) or make(self)
    )
    cells = [nbformat.v4.new_code_cell("import time; time.sleep(1)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "slow.ipynb")
    execution.cost("slow", {}, tmp_path)
    assert len(asked) == 1


def test_the_verb_looks_at_no_run_that_is_kept(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(
        execution, "cost", lambda name, env: seen.append(env) or execution.Cost(12.34, 0.567)
    )
    notebooks.notebooks(("1_tasks_and_data",), as_json=True)
    row = {"notebook": "1_tasks_and_data", "seconds": 12.3, "memory, GB": 0.57}
    assert json.loads(capsys.readouterr().out) == [row]
    assert not Path(seen[0]["WORKBENCH_RUNS"]).exists()  # what is kept elsewhere would be quicker
