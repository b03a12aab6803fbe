"""The falling learning rate, with the average that acts; and what tuning does not import."""

import os
import subprocess
import sys

import torch

from tests.conftest import assert_as_pinned_torch
from workbench.methods.descent import Descent


def test_a_descent_is_torchs_with_its_schedule_and_clipping():
    torch.manual_seed(0)
    ours = torch.randn(7, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    descent = Descent([ours], 1e-2, lr_half=4, average=0.9, clip=1.0)
    oracle = torch.optim.AdamW([theirs], lr=1e-2, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(oracle, lambda t: 1 / (1 + t / 4))
    for _ in range(12):
        theirs.grad = torch.randn(7) * 3
        descent.step([theirs.grad.clone()])
        torch.nn.utils.clip_grad_norm_([theirs], 1.0)
        oracle.step()
        schedule.step()
        assert_as_pinned_torch(ours, theirs)


def test_no_method_imports_torchs_compiler():
    """It takes 75 MB: found in a class, where somebody tuned the GAN after eight minutes."""
    script = """
import sys
from workbench.methods import METHODS
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec
for name, kind in METHODS.items():
    if kind.data != "few-shot" or name in ("prompt-tuning-dt", "prompt-bandit"):
        continue  # no gradient, or that of prompt-dt-ft
    spec = RunSpec("cheetah-vel", 2, "expert", name, updates=1, eval_every=0, episodes=1)
    assert len(list(run(spec))) == 2
    loaded = [module for module in ("torch._dynamo", "sympy") if module in sys.modules]
    assert not loaded, (name, loaded)
print("none")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.strip() == "none", done.stderr
