"""The falling learning rate, with the average that acts; and what tuning does not import."""

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
import dataclasses, sys
from workbench.tuning.loop import run
from workbench.tuning.presets import CHOSEN, chosen
for key, (_, updates) in CHOSEN.items():
    spec = chosen(key, "cheetah-vel", 2, quality="expert", seed=0)
    spec = dataclasses.replace(spec, updates=min(updates, 1), eval_every=0, episodes=1)
    assert len(list(run(spec))) == spec.updates + 1
    loaded = [name for name in ("torch._dynamo", "sympy") if name in sys.modules]
    assert not loaded, (key, loaded)
print("none")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "none", done.stderr
