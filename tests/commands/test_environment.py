"""Ctrl-C, pipes, encodings, schedulers and homes: the command line as people use it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from workbench import __main__ as command
from workbench.commands import environment
from workbench.viewing.scene import graphics, render

ROOT = Path(__file__).parents[2]


def run(*words, module="workbench", flags=(), **variables):
    """Run a verb in a process of its own, as a shell does."""
    return subprocess.run(
        [sys.executable, *flags, "-m", module, *words],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        timeout=300,
    )


def ended(*words, delay=None, until=None, **variables):
    """Interrupt a verb after a delay, or once its stderr says something; return status, stderr."""
    child = subprocess.Popen(
        [sys.executable, "-c", _ENTERED, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )
    said = child.stderr.read(len(b"entered\n"))
    time.sleep(delay or 0)
    child.send_signal(signal.SIGINT)
    said += child.stderr.read()
    return child.wait(60), said.removeprefix(b"entered\n")


# What `python -m workbench` does, which says when Python itself is up.
_ENTERED = """
import runpy, sys
sys.argv[0] = "workbench"
import signal
from workbench.commands.environment import stop_at_once
signal.signal(signal.SIGINT, stop_at_once)
sys.stderr.write("entered\\n"); sys.stderr.flush()
runpy.run_module("workbench", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("delay", [0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
def test_an_interrupt_while_loading_is_one_line(delay, tmp_path):
    words = ["tune", "cheetah-vel", "2", "--store", str(tmp_path)]
    status, said = ended(*words, delay=delay)
    assert status == 130
    lines = [line for line in said.splitlines() if line.strip() and b"update" not in line]
    assert lines == [environment.STOPPED.encode()]


def test_the_entry_is_guarded_before_anything_large_is_loaded():
    before, _, _ = (ROOT / "workbench" / "__main__.py").read_text().partition("import ast")
    assert "signal.signal(signal.SIGINT, stop_at_once)" in before
    code = (
        "import sys; import workbench.commands.environment; "
        "print(sorted({'numpy', 'torch', 'pandas', 'mujoco', 'tyro'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("both", ["", "2>&1"])
@pytest.mark.parametrize("words", ["--help", "tasks cheetah-vel --json"])
def test_a_reader_that_has_seen_enough_is_met_with_silence(words, both):
    line = f"{sys.executable} -m workbench {words} {both} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stderr == b""
    assert done.stdout in (b"0\n", b"120\n"), "120 is Python's own, where nothing was read at all"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_a_terminal_cannot_show_is_replaced(encoding, tmp_path):
    name = os.fsdecode(b"caf\xe9-\xe2\x86\x92.pkl")
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    done = run("import", str(tmp_path / name), PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert b"Git LFS pointer" in done.stderr
    assert b"Traceback" not in done.stderr
    done = run("tasks", "ant-dir", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")


def test_schedulers_threads_and_optimised_python(tmp_path):
    done = run(
        "tasks", "cheetah-dir", "--json", flags=("-OO",), WORLD_SIZE="8", WORKBENCH_THREADS="auto"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    done = run("findings", WORKBENCH_THREADS="all")
    assert done.returncode == 2
    assert b"WORKBENCH_THREADS must be a number from 1 up, or auto: got 'all'" in done.stderr


@pytest.mark.parametrize("renderer", ["osmesa", "egl"])
def test_a_renderer_that_is_not_there_stops_no_verb(renderer):
    other = {"egl": "osmesa", "osmesa": "egl"}[renderer]
    done = run("tasks", "cheetah-dir", MUJOCO_GL=renderer, PYOPENGL_PLATFORM=other)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_renderer_asked_for_is_kept_for_those_who_draw(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setenv("WORKBENCH_RENDERER", "")  # so that what is left behind is undone
    monkeypatch.delenv("WORKBENCH_RENDERER")
    for _ in range(2):  # a process of ours that starts another one
        graphics.leave_drawing_to_children()
        assert os.environ["MUJOCO_GL"] == "disable"
        assert graphics.wanted() == "osmesa"
        assert render.candidates()[0] == "osmesa"
    monkeypatch.delenv("WORKBENCH_RENDERER")


def test_threads(monkeypatch):
    monkeypatch.delenv("WORKBENCH_THREADS", raising=False)
    assert (environment.threads(), environment.threads(3)) == (1, 3)
    monkeypatch.setenv("WORKBENCH_THREADS", " Auto ")
    assert environment.threads() == os.cpu_count()
    for wrong in ("0", "-1", "1.5", "many", "99999"):
        monkeypatch.setenv("WORKBENCH_THREADS", wrong)
        with pytest.raises(ValueError, match="WORKBENCH_THREADS"):
            environment.threads()


def test_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    for word, want in [
        ("~/runs", "/home/me/runs"),
        ("--store=~/runs", "--store=/home/me/runs"),
        ("--store", "--store"),
        ("~", "~"),
        ("a=~/b", "a=~/b"),
        ("own:~/x", "own:~/x"),
    ]:
        assert environment.at_home(word) == want


def test_torchrun_is_told_from_a_scheduler(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "many")
    assert not environment.under_torchrun()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert environment.under_torchrun()


def test_a_full_disk_is_one_line(monkeypatch, capsys, tmp_path):
    def full(verb):
        def fail():
            raise OSError(28, "No space left on device", str(tmp_path))

        return fail

    monkeypatch.setattr(command, "loaded", full)
    monkeypatch.setattr(sys, "argv", ["workbench", "tasks"])
    before = torch.get_num_threads()
    with pytest.raises(SystemExit) as end:
        command.main()
    torch.set_num_threads(before)
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("failed: [Errno 28] No space left on device")
