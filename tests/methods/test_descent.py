"""AdamW beside torch's, and the falling learning rate with the average that acts."""

import subprocess
import sys

import pytest
import torch

from workbench.methods.descent import AdamW, Descent


def assert_same(ours, theirs):
    """Bit for bit as the pinned torch; another one may round in another order."""
    pinned = torch.__version__.startswith("2.13.")
    rtol, atol = (0.0, 0.0) if pinned else (1e-5, 1e-7)
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_a_step_is_torchs_bit_for_bit(decay):
    torch.manual_seed(0)
    ours = [torch.randn(shape, requires_grad=True) for shape in ((5,), (3, 4), ())]
    theirs = [p.detach().clone().requires_grad_() for p in ours]
    adam, oracle = AdamW(ours, decay), torch.optim.AdamW(theirs, weight_decay=decay)
    for step in range(20):
        lr = 1e-2 / (1 + step / 3)
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a) * 10.0 ** (step % 5 - 2)
            b.grad = a.grad.clone()
        adam.step(lr)
        oracle.param_groups[0]["lr"] = lr
        oracle.step()
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)


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
        assert_same(ours, theirs)


def test_tuning_does_not_import_torchs_compiler():
    script = """
import sys, torch
from workbench.methods.descent import Descent
number = torch.zeros(3, requires_grad=True)
descent = Descent([number], 0.1, lr_half=1, average=0.5, clip=1.0)
descent.step([torch.ones(3)])
assert number.abs().min() > 0
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
