"""bfloat16 counts only where the processor has instructions for it."""

import os
import subprocess
import sys

import pytest
import torch

from workbench.networks.fast import processor
from workbench.networks.fast.processor import bf16_instructions, has_bf16


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"avx2", "avx512_f", "avx512_bw", "avx512_vnni"}, ()),
        ({"avx512_f", "avx512_bf16"}, ("avx512_bf16",)),
        ({"avx512_bf16", "amx_bf16", "amx_tile"}, ("amx_bf16", "avx512_bf16")),
        ({"neon", "sve", "bf16"}, ("bf16",)),
        ({"neon"}, ()),
        (set(), ()),
    ],
)
def test_only_instructions_count(monkeypatch, flags, names):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(processor, "has_onednn", lambda: True)
    monkeypatch.setattr(processor, "_flags", lambda: flags)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert bf16_instructions.__wrapped__() == names
    for ceiling, reaches in (("AVX512_CORE", False), ("avx2", False), ("AVX512_CORE_AMX", True)):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", ceiling)
        assert bf16_instructions.__wrapped__() == (names if reaches else ())
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False, raising=False)
    assert bf16_instructions.__wrapped__() == ()


def test_where_torch_does_not_tell_linux_does(monkeypatch, tmp_path):
    named = processor._flags() & processor._BF16
    assert bool(named) >= has_bf16()
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    if sys.platform == "linux":
        assert bool(processor._flags() & processor._BF16) == bool(named)
    monkeypatch.setattr(processor, "Path", lambda _: tmp_path / "missing")
    assert processor._flags() == set()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "cpu family\t: 6\nmodel\t\t: 207\nmodel name\t: Some Xeon\n",
            "Some Xeon (family 6, model 207), avx2, avx512_bf16",
        ),
        ("CPU implementer\t: 0x41\n", "an Arm, avx2, avx512_bf16"),
    ],
)
def test_a_processor_is_named_with_what_it_has(monkeypatch, tmp_path, text, said):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    monkeypatch.setattr(processor, "Path", lambda _: file)
    monkeypatch.setattr(processor.platform, "processor", lambda: "an Arm")
    monkeypatch.setattr(processor, "_flags", lambda: {"avx2", "sse2", "avx512_bf16"})
    assert processor.described() == said


UPDATES = """
import time, torch
torch.set_num_threads(1)
from workbench.methods import METHODS
from workbench.networks.fast.processor import has_bf16
from workbench.shipped import assets
from workbench.shipped.networks import load_diffuser, load_model
from workbench.tasks import find
from workbench.tuning.spec import RunSpec

assert not has_bf16()
spec = RunSpec("cheetah-vel", 2)
assert (spec.precision, spec.asked_precision) == ("auto", "bf16")
model, demos = load_model(spec.family), assets.demos(find(spec.family).task(2), "medium")
best = {}
learners = {
    precision: METHODS[spec.method](diffuser=load_diffuser(spec.family)).start(
        model.computing(precision), demos, torch.Generator().manual_seed(0)
    )
    for precision in ("fp32", "bf16")
}
for n in range(64):
    for precision, learner in learners.items():
        began = time.thread_time()
        learner.update()
        spent = time.thread_time() - began
        best[precision] = min(best.get(precision, spent), spent)
    if n > 6 and best["bf16"] < 1.2 * best["fp32"]:
        break
print(best["bf16"] / best["fp32"])
"""


@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE"])
def test_without_instructions_an_update_by_default_takes_no_longer_than_in_float32(isa):
    """Emulated by oneDNN, bfloat16 took twenty times as long.

    The best of some is compared; of more, while a busy machine lets it be too long.
    """
    assert float(emulated(isa, UPDATES)) < 1.2


ACTING = """
import time, torch
torch.set_num_threads(1)
from tests.benchmarks.cases import prompted, seeds
from workbench.data.rollout import evaluate
from workbench.networks.fast.checked import plain_only
from workbench.networks.fast.processor import has_bf16
from workbench.tasks import find

assert not has_bf16()
task = find("cheetah-vel").tasks("test")[0]
ways = {"plain": {}, "exact": {}, "bf16": {"precision": "bf16"}}
best, first = {}, {}
for n in range(24):
    for name, how in ways.items():
        began = time.thread_time()
        with plain_only() if name == "plain" else torch.inference_mode():
            acting = prompted(task, **how).start(seeds(12))
            observations = torch.randn(30, 12, 20, generator=torch.Generator().manual_seed(0))
            actions = []
            for row in observations[..., : acting.rows.observations.shape[-1]].numpy():
                actions.append(torch.from_numpy(acting.act(row)))
                acting.receive(row[:, 0])
        spent = time.thread_time() - began
        best[name], first[name] = min(best.get(name, spent), spent), torch.stack(actions)
    if n > 1 and max(best["exact"], best["bf16"]) < 1.2 * best["plain"]:
        break
for name in ("exact", "bf16"):
    error = (first[name] - first["plain"]).abs().max()
    assert error < 1e-5, (name, error)
print(max(best["exact"], best["bf16"]) / best["plain"])
"""


@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE"])
def test_without_instructions_acting_is_the_same_and_no_slower(isa):
    assert float(emulated(isa, ACTING)) < 1.2


def emulated(isa, code):
    """Run a program as on a processor without later instructions, and return what it prints."""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("half", "fast"), [(1.0, True), (2.0, True), (9.0, False)])
def test_instructions_that_are_slow_do_not_count(monkeypatch, half, fast):
    seconds = {torch.bfloat16: half, torch.float32: 2.0}
    monkeypatch.setattr(processor, "bf16_instructions", lambda: ("avx512_bf16",))
    monkeypatch.setattr(processor, "product_seconds", seconds.get)
    assert has_bf16.__wrapped__() is fast
    monkeypatch.setattr(processor, "bf16_instructions", lambda: ())
    assert not has_bf16.__wrapped__()


def test_a_product_takes_time():
    assert 0 <= processor.product_seconds(torch.float32) < 1
