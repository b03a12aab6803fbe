"""Is everything here, and does it work? Versions, graphics, ffmpeg, every shipped file."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from workbench.data.qualities import QUALITIES
from workbench.networks.diffusion import DiffuserConfig, PromptDiffuser
from workbench.networks.fast import remembered
from workbench.networks.fast.checked import Verdict, verdicts
from workbench.networks.fast.processor import bf16_instructions, has_bf16
from workbench.networks.prompt_dt import Mode, ModelConfig, Precision, PromptDT, PromptedPolicy
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.shipped.checkout import CLONE
from workbench.tasks import FAMILIES, Family, plugins
from workbench.tuning.presets import SHIPPED_SPECS
from workbench.upkeep.making import data_path
from workbench.upkeep.recipes import NETWORKS, OPTIONAL, Verb, usual_words
from workbench.viewing.scene import render

Level = Literal["ok", "warning", "problem"]

CONSTRAINTS = (CLONE or Path.cwd()) / "constraints.txt"
PYTHON = (3, 11)
PACKAGES: Mapping[str, str] = {
    "torch": "",
    "numpy": "",
    "mujoco": "",
    "gymnasium": "",
    "safetensors": "",
    "streamlit": "",
    "metaworld": "",
    "minari": "",
    "stable_baselines3": "training behaviour policies",
}
"""Packages whose versions matter; what an optional one is for."""
LIMIT_MB = 100
"""What the shipped files may take together."""
FIELDS = {"command": str, "seed": int, "commit": str, "bytes": int, "sha256": str, "measured": dict}
"""What the manifest says of every file."""
_WORDS: Mapping[Verb, str] = {
    "pretrain": "Prompt-DT",
    "mt-orl": "MT-ORL's network",
    "diffuser": "diffuser",
    "informed": "informed diffuser",
    "critic": "critic",
    "vae": "VAE",
    "gan": "GAN",
    "hyper": "HDT's hyper-network",
    "multi-game-dt": "multi-game DT",
    "harmodt": "HarmoDT",
    "gato": "Gato",
}
_GL = {
    "egl": "Debian, Ubuntu: `apt-get install libegl1`; with an NVIDIA card its driver brings it.",
    "osmesa": "Debian, Ubuntu: `apt-get install libosmesa6`.",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: What it belongs to, such as ``"graphics"`` or a family's name.
        name: What it is.
        level: ``"problem"`` when something will not work or a figure may not hold.
        text: What was found.
        remedy: What to do about it; empty where nothing is to do.
    """

    area: str
    name: str
    level: Level
    text: str
    remedy: str = ""


def examine(data: Path = Path("data")) -> Iterator[Finding]:
    """Look at the whole installation, in a few seconds.

    Args:
        data: Folder of the training data.
    """
    yield from versions()
    yield from processor()
    yield from graphics()
    yield from film()
    yield from shipped()
    yield from plugged()
    for family in FAMILIES.values():
        yield from made(family, data)


def versions() -> Iterator[Finding]:
    """Compare what is installed with what is pinned; the simulator's version decides figures."""
    area, python = "versions", platform.python_version()
    if tuple(map(int, python.split(".")[:2])) < PYTHON:
        text = f"{python}; {'.'.join(map(str, PYTHON))} or newer is needed"
        yield Finding(area, "Python", "problem", text, "make install PYTHON=python3.11")
    else:
        yield Finding(area, "Python", "ok", python)
    pins = {}
    if CONSTRAINTS.exists():
        lines = (line.partition("==") for line in CONSTRAINTS.read_text().split())
        pins = {name.lower().replace("-", "_"): version for name, _, version in lines}
    else:
        text = f"{CONSTRAINTS} is missing: versions cannot be compared"
        yield Finding(area, "constraints.txt", "warning", text, "git checkout -- constraints.txt")
    for name, purpose in PACKAGES.items():
        yield _version(name, purpose, pins.get(name))


def _version(name: str, purpose: str, pin: str | None) -> Finding:
    area = "versions"
    try:
        there = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if purpose:
            return Finding(area, name, "warning", f"missing; for {purpose}", "make install")
        return Finding(area, name, "problem", "missing", "make install")
    if pin is None:
        return Finding(area, name, "ok", f"{there}, not pinned")
    if there.partition("+")[0] == pin:
        return Finding(area, name, "ok", f"{there}, as pinned")
    remedy = f"pip install {name}=={pin}"
    if name == "mujoco":
        text = f"{there}, pinned is {pin}: the models, the data and every figure hold for that one"
        return Finding(area, name, "problem", text, remedy)
    return Finding(area, name, "warning", f"{there}, pinned is {pin}", remedy)


def processor() -> Iterator[Finding]:
    """Say how many cores there are, what they are fast at, and whether there is CUDA."""
    area = "processor"
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    yield Finding(area, "cores", "ok", f"{cores} ({platform.machine()})")
    if has_bf16():
        text = f"in hardware ({', '.join(bf16_instructions())})"
        yield Finding(area, "bfloat16", "ok", text)
    else:
        text = "no instructions for it that torch uses: float32 takes its place, about half as fast"
        yield Finding(area, "bfloat16", "warning", text)
    yield from doubles()
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        text = ", ".join(f"{card.name}, {card.total_memory / 2**30:.0f} GiB" for card in cards)
        yield Finding(area, "CUDA", "ok", text)
    else:
        yield Finding(area, "CUDA", "ok", "none; nothing here needs it")


def doubles() -> Iterator[Finding]:
    """Try the optimised doubles of ``networks/fast`` at the size that ships: which are used?"""
    family = next(iter(FAMILIES.values()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = PromptDT(ModelConfig(), family).frozen()
        diffuser = PromptDiffuser(DiffuserConfig(), family)
    rows = torch.zeros(8, model.config.prompt_length, len(model.normalizer.mean))
    prompt = model.normalizer.unpack(rows, rows[..., :2])
    for mode in get_args(Mode):
        for precision in get_args(Precision):
            PromptedPolicy(model, prompt, mode=mode, precision=precision).start(range(len(prompt)))
    model.computing("bf16")(prompt, prompt)
    diffuser.sample(rows[..., :2], torch.Generator(), temperature=0.5)
    tried: dict[str, Verdict] = {}
    for verdict in verdicts():
        if verdict.double not in tried or not verdict.used:
            tried[verdict.double] = verdict
    again = f"Delete {remembered.folder()} to have it tried again on a quiet machine."
    for name, verdict in tried.items():
        area, why = "processor", verdict.why
        if verdict.used:
            yield Finding(area, name, "ok", f"used: {why}")
        else:
            yield Finding(area, name, "warning", f"not used, the plain way is: {why}", again)


def graphics() -> Iterator[Finding]:
    """Try every way of drawing a film; the browser's replays need none of them."""
    area = "graphics"
    works = {name: name == "ray" or render.works_here(name) for name in render.candidates()}
    chosen = next(name for name, good in works.items() if good)
    for name, good in works.items():
        if name == "ray":
            continue
        if good:
            text = "works, films are drawn with it" if name == chosen else "works"
            yield Finding(area, name, "ok", text)
        elif chosen != "ray":
            text = f"does not work; not needed beside {chosen}"
            yield Finding(area, name, "ok", text, _GL.get(name, ""))
        else:
            remedy = _GL.get(name, "Name another with MUJOCO_GL.")
            yield Finding(area, name, "warning", "does not work: films take longer", remedy)
    text = "works everywhere" + (", films are drawn with it" if chosen == "ray" else "")
    yield Finding(area, "ray", "ok", text)


def film() -> Iterator[Finding]:
    """Find ffmpeg and encode two pictures with it."""
    area, remedy = "film", "pip install --force-reinstall imageio-ffmpeg -c constraints.txt"
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg

        text = f"{imageio_ffmpeg.get_ffmpeg_version()} in {imageio_ffmpeg.get_ffmpeg_exe()}"
        yield Finding(area, "ffmpeg", "ok", text)
    except Exception as error:
        yield Finding(area, "ffmpeg", "problem", f"missing: {_line(error)}", remedy)
        return
    try:
        with tempfile.TemporaryDirectory(prefix="workbench-doctor-") as folder:
            path, kind = Path(folder) / "two.mp4", {"codec": "libx264", "pixelformat": "yuv420p"}
            with imageio.get_writer(path, fps=2, macro_block_size=2, **kind) as writer:
                for grey in (0, 255):
                    writer.append_data(np.full((32, 32, 3), grey, np.uint8))
            with imageio.get_reader(path) as reader:
                n = sum(1 for _ in reader)
        if n != 2:
            raise RuntimeError(f"2 pictures went in, {n} came out")
        yield Finding(area, "libx264", "ok", "two pictures encoded and read back")
    except Exception as error:
        yield Finding(area, "libx264", "problem", f"cannot encode: {_line(error)}", remedy)


def shipped() -> Iterator[Finding]:
    """Compare every shipped file with the manifest, and the manifest with the folder."""
    area, root = "assets", assets.ROOT
    there = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
    there.pop(assets.MANIFEST.name, None)
    restore = "git checkout -- assets/manifest.json"
    try:
        entries = assets.manifest()
    except ValueError as error:
        yield Finding(area, "manifest.json", "problem", _line(error), restore)
        return
    if not entries:
        yield Finding(area, "manifest.json", "problem", "missing or empty", restore)
        return
    bad = [f for name, entry in entries.items() if (f := _damage(name, entry, there.get(name)))]
    yield from bad
    for name in sorted(there.keys() - entries.keys()):
        text = "is not in the manifest: nobody knows what made it"
        remedy = "Delete it, or make it with the verb that enters it."
        yield Finding(area, name, "problem", text, remedy)
    if not bad:
        text = f"{len(entries)}, each with the size and SHA-256 of the manifest"
        yield Finding(area, "files", "ok", text)
    size = sum(path.stat().st_size for path in there.values()) / 1e6
    level: Level = "problem" if size > LIMIT_MB else "ok"
    remedy = "Ship less: smaller models, fewer runs." if level == "problem" else ""
    yield Finding(area, "size", level, f"{size:.1f} MB of at most {LIMIT_MB} MB", remedy)
    dirty = sum(str(e.get("commit")).endswith(("+", "unknown")) for e in entries.values())
    if dirty:
        text = f"{dirty} files were made by code that was not committed"
        remedy = "python -m workbench reproduce-assets --check  makes them again and compares"
        yield Finding(area, "commits", "warning", text, remedy)


def plugged() -> Iterator[Finding]:
    """Say what every plug-in brings, or why it could not be loaded."""
    for plugin in plugins.plugins():
        brings = [f.name for f in plugin.families] + [name for name, _ in plugin.methods]
        if plugin.error:
            remedy = f"Mend it, or leave it out of {plugins.VARIABLE}."
            yield Finding("plug-ins", plugin.name, "problem", plugin.error, remedy)
        else:
            yield Finding("plug-ins", plugin.name, "ok", f"{', '.join(brings)}; code {plugin.code}")


def _damage(name: str, entry: Mapping[str, Any], path: Path | None) -> Finding | None:
    """Return what is wrong with one file of the manifest: the first thing, in one line."""
    remedy = f"git checkout -- assets/{name}"
    if entry.get("command"):
        remedy += f"  or make it again: {entry['command']}"
    lacking = [field for field in FIELDS if not isinstance(entry.get(field), FIELDS[field])]
    if path is None:
        text = "is missing"
    elif lacking:
        text = f"its entry in the manifest says nothing of {', '.join(lacking)}"
    elif (size := path.stat().st_size) != entry["bytes"]:
        how = "truncated" if size < entry["bytes"] else "longer than it was"
        text = f"has {size:,} bytes, the manifest says {entry['bytes']:,}: {how}"
    elif assets.sha256(path) != entry["sha256"]:
        text = f"its bytes have changed: the SHA-256 differs{_unreadable(path)}"
    elif _unreadable(path):
        text = f"is as recorded{_unreadable(path)}"
    else:
        return None
    return Finding("assets", name, "problem", text, remedy)


def _unreadable(path: Path) -> str:
    """Return what is wrong with the header of a safetensors file, or ""."""
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "np") as file:
                file.keys()
        except (OSError, SafetensorError) as error:
            return f", and its header cannot be read ({_line(error)})"
    return ""


def made(family: Family, data: Path) -> Iterator[Finding]:
    """Say what of a family is made, and by which command the rest would be."""
    name = family.name
    home = assets.home_of(name)
    try:
        entries = assets.manifest(home)
    except ValueError:
        entries = {}

    def measured(path: Path) -> Mapping[str, Any]:
        return entries.get(path.relative_to(home).as_posix(), {}).get("measured") or {}

    def finding(what: str, verb: Verb, paths: list[Path], text: str, level="warning") -> Finding:
        missing = sum(not path.exists() for path in paths)
        if not missing:
            return Finding(name, what, "ok", text)
        text = f"{len(paths) - missing} of {len(paths)}" if len(paths) > 1 else "not made"
        remedy = shlex.join(("python", "-m", "workbench", *usual_words(name, verb)))
        return Finding(name, what, level, text, remedy)

    policies = {quality: assets.policy_path(name, quality) for quality in QUALITIES}
    returns = [_returns(quality, measured(path)) for quality, path in policies.items()]
    text = f"return on the test tasks (normalised): {', '.join(returns)}"
    yield finding("behaviour policies", "behaviour", list(policies.values()), text)
    sets = [assets.demos_path(t, q) for t in family.tasks("test") for q in QUALITIES]
    yield finding("few-shot sets", "demos", sets, f"all {len(sets)}")
    for verb, network in NETWORKS.items():
        path = assets.pretrained_path(name, network)
        n = measured(path).get("parameters")
        text = f"{n / 1e6:.3f}M parameters" if n else "there"
        # Only comparisons need the others: a family may ship without them.
        level: Level = "ok" if verb in OPTIONAL else "warning"
        yield finding(_WORDS[verb], verb, [path], text, level)
    yield _recorded(name)
    files = [data_path(data, t, q) for t in family.tasks("train") for q in QUALITIES]
    text = f"{len(files)} files below {data}"
    # Not shipped, and only pretraining reads it: nothing is wrong without it.
    yield finding("training data", "collect", files, text, "ok")


def _returns(quality: str, measured: Mapping[str, Any]) -> str:
    if "return_test_tasks" not in measured:
        return f"{quality} not measured"
    share = measured.get("normalised_return")
    return f"{quality} {measured['return_test_tasks']:.1f}" + (
        "" if share is None else f" ({share:.2f})"
    )


def _recorded(name: str) -> Finding:
    """Say whether the runs that are to ship are there, made with the assets as they are now."""
    what, store = "recorded runs", RunStore(assets.ROOT / "runs")
    wanted = [i for spec in SHIPPED_SPECS.get(name, ()) for i in (spec.id, spec.untuned.id)]
    n = sum(run_id in store for run_id in wanted)
    if n == len(wanted):
        return Finding(name, what, "ok", f"all {n}" if n else "none is to ship")
    text = f"{n} of {len(wanted)} for the model, diffuser and few-shot sets as they are now"
    return Finding(name, what, "warning", text, f"python -m workbench record {name}")


def _line(error: BaseException) -> str:
    """Return what an error says, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
