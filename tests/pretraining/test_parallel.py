"""One training by several processes: the steps of one process with the whole batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import workbench.__main__ as command
from tests.conftest import TOY_SIZES, record
from workbench.networks.prompt_dt import PromptDT
from workbench.pretraining import parallel
from workbench.pretraining.parallel import ALONE, World, joined
from workbench.pretraining.prompt_dt import Pool, PretrainConfig, identity, pretrain
from workbench.shipped import assets

ROOT = Path(assets.__file__).parents[2]
SMALL = [
    *("--steps", 10, "--width", 16, "--n-layers", 2, "--context-length", 4, "--prompt-length", 3),
    *("--dropout", 0, "--precision", "fp32", "--device", "cpu", "--warmup", 2, "--json"),
]


@pytest.fixture
def pool(toy):
    return Pool(("expert", record(task, 3)) for task in toy.tasks("train"))


def workbench(*words, cwd, processes=1):
    """Run the command line as a user does; return what it printed."""
    begin = ["-m"]
    if processes > 1:
        begin = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        begin += ["-m"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *begin, "workbench", *map(str, words)],
        capture_output=True, text=True, cwd=cwd, env=environment, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_two_processes_take_the_steps_of_one_with_the_double_batch(tmp_path):
    workbench("collect", "cheetah-dir", "--episodes", 2, cwd=tmp_path)
    train = ("pretrain", "cheetah-dir", *SMALL)
    done = workbench(*train, "--batch-size", 4, "--out", "two/a.safetensors", cwd=tmp_path,
                     processes=2)  # fmt: skip
    two = json.loads(done.stdout)
    one = json.loads(
        workbench(*train, "--batch-size", 8, "--out", "one/a.safetensors", cwd=tmp_path).stdout
    )
    assert two["loss_last_tenth"] == pytest.approx(one["loss_last_tenth"], abs=2e-5)
    assert [p.name for p in (tmp_path / "two").iterdir()] == ["a.safetensors"]
    a, b = (PromptDT.load(tmp_path / f / "a.safetensors") for f in ("two", "one"))
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(x, y, atol=2e-5, rtol=1e-3, msg=name)
    assert not list((tmp_path / "build").rglob("*")), "no checkpoint is left"


def test_other_verbs_refuse_several_processes(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setattr(sys, "argv", ["workbench", "tasks"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "pretrain" in capsys.readouterr().err


def test_alone_nothing_is_changed(pool):
    batch = pool.trajectories.segments([0, 1], [0, 1], 3)
    assert ALONE.part(batch) is batch
    assert ALONE.share(batch.mask) == 1.0
    assert ALONE.mean(0.1) == 0.1
    assert ALONE.shared(batch) is batch
    with joined("cpu") as world:
        assert world == World()


def test_parts_cover_the_batch_once(pool):
    batch = pool.trajectories.segments([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], 3)
    parts = [World(rank, 3).part(batch) for rank in range(3)]
    assert [len(part) for part in parts] == [2, 2, 2]
    rows = torch.cat([part.observations for part in parts]).flatten(1)
    assert sorted(rows.tolist()) == sorted(batch.observations.flatten(1).tolist())


def test_the_number_of_processes_is_part_of_what_a_training_is(pool):
    config = PretrainConfig(steps=2, batch_size=4)
    alone = identity(pool, config, TOY_SIZES, 0)
    assert identity(pool, config, TOY_SIZES, 0, processes=1) == alone
    assert identity(pool, config, TOY_SIZES, 0, processes=2) != alone


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_asking_for_cuda_without_it_says_what_to_do():
    with pytest.raises(ValueError, match="--device cpu"), joined("cuda"):
        pass
    with joined("auto") as world:
        assert world.device == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_cuda_learns_what_the_processor_learns(pool):
    config = PretrainConfig(steps=5, batch_size=8, precision="fp32", prompt_qualities=("expert",))
    sizes = TOY_SIZES
    sizes = type(sizes)(**{**vars(sizes), "dropout": 0.0})
    with joined("cuda") as world:
        there = [step.loss for step in pretrain(pool, config, sizes, 0, world=world)]
    here = [step.loss for step in pretrain(pool, config, sizes, 0)]
    assert there == pytest.approx(here, abs=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_a_training_on_cuda_goes_on_as_if_it_had_never_stopped(pool):
    config = PretrainConfig(steps=6, batch_size=4, prompt_qualities=("expert",))
    with joined("cuda") as world:
        state, losses = None, []
        for step in pretrain(pool, config, TOY_SIZES, 0, world=world):
            losses.append(step.loss)
            state = step.state() if step.step == 3 else state
        again = [s.loss for s in pretrain(pool, config, TOY_SIZES, 0, state, world)]
    assert again == pytest.approx(losses[3:], abs=1e-5)


def test_the_module_says_the_command():
    assert "torchrun --nproc-per-node 2 -m workbench pretrain" in parallel.__doc__
