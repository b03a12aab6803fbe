"""A run taken along is the same run elsewhere, and what makes it again makes it."""

import io
import shlex
import zipfile

import pytest

from workbench.runs.library import command, snippet, zipped
from workbench.runs.store import RunStore
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec

SPECS = [
    {"settings": {"lam": 3.0, "projection": "vector"}, "seed": 4},
    {"method": "prompt-dt", "updates": 0, "quality": "expert"},
    {"method": "prompt-dt", "updates": 0, "settings": {"prompted": False}},
    {"method": "soft-prompt", "prompts": "random", "precision": "fp32"},
]


@pytest.fixture(params=SPECS, ids=lambda fields: fields.get("method", "prompt-diffuser"))
def spec(shipped, request):
    return RunSpec("toy", 5, episodes=2, eval_every=1, **{"updates": 2, **request.param})


def test_a_zip_unpacked_in_another_store_is_the_run(spec, model, tmp_path):
    store, other = RunStore(tmp_path / "runs"), RunStore(tmp_path / "other")
    list(store.record(spec, run(spec)))
    with zipfile.ZipFile(io.BytesIO(zipped([(store, spec.id)]))) as file:
        assert command(store.spec(spec.id)) in file.read("README.txt").decode()
        assert f"{spec.id}/lock" not in file.namelist()
        file.extractall(other.root)
    assert other.ids() == [spec.id]
    assert other.spec(spec.id).id == spec.id
    assert (other.returns(spec.id)[-1] == store.returns(spec.id)[-1]).all()
    assert len(other.load(spec.id, model)) == spec.updates + 1


def test_several_runs_go_into_one_zip(shipped, tmp_path):
    store = RunStore(tmp_path)
    specs = [RunSpec("toy", 5, updates=1, episodes=1, seed=seed) for seed in (0, 1)]
    for one in specs:
        list(store.record(one, run(one)))
    with zipfile.ZipFile(io.BytesIO(zipped((store, one.id) for one in specs))) as file:
        folders = {name.split("/")[0] for name in file.namelist()}
    assert folders == {"README.txt", *(one.id for one in specs)}
    with pytest.raises(ValueError, match="not complete"):
        zipped([(store, "none")])


def test_the_snippet_makes_the_run(spec, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet(spec), "reproduce.py", "exec"), {})
    assert RunStore("runs").ids() == [spec.id]
    assert capsys.readouterr().out.count("updates:") == len(RunStore("runs").returns(spec.id))


def test_the_command_makes_the_run(spec, tmp_path, monkeypatch):
    from workbench import __main__ as line

    monkeypatch.chdir(tmp_path)
    words = shlex.split(command(spec))
    assert words[:3] == ["python", "-m", "workbench"]
    monkeypatch.setattr("sys.argv", ["workbench", *words[3:]])
    line.main()
    assert spec.id in RunStore("runs")
