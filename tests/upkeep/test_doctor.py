"""The doctor: each kind of damage is a line of its own, and nothing else is said of it."""

import importlib.metadata
import json
import os

import imageio_ffmpeg
import pytest
import torch

from workbench.commands import upkeep
from workbench.data.qualities import QUALITIES
from workbench.networks.fast.processor import has_bf16
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tasks import FAMILIES
from workbench.tuning.loop import run
from workbench.tuning.presets import SHIPPED_SPECS
from workbench.tuning.spec import RunSpec
from workbench.upkeep import doctor, making
from workbench.upkeep.doctor import Finding
from workbench.viewing.scene import render

POLICY = "toy/behaviour-expert.safetensors"
MODEL = "toy/prompt-dt.safetensors"


@pytest.fixture
def entered(shipped):
    """The toy family's assets, every file in the manifest."""
    for path in sorted(shipped.rglob("*.safetensors")):
        verb = "behaviour" if "behaviour" in path.name else "demos"
        assets.record(path, command=f"python -m workbench {verb} toy", seed=0, return_test_tasks=-1)
    return shipped


def problems(findings):
    return [f for f in findings if f.level == "problem"]


def by_name(findings):
    findings = list(findings)
    assert len({f.name for f in findings}) == len(findings)
    return {f.name: f for f in findings}


# ---- the shipped files ----


def test_whole_assets_are_well(entered):
    found = by_name(doctor.shipped())
    assert not problems(found.values())
    n = len(list(entered.rglob("*.safetensors")))
    assert found["files"].text.startswith(f"{n}, each")
    assert found["size"].text.endswith("MB of at most 100 MB")


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def edit(root, change):
    entries = assets.manifest()
    change(entries)
    (root / "manifest.json").write_text(json.dumps(entries))


DAMAGE = {
    "a flipped byte": (lambda r: flip(r / POLICY, -5), POLICY, ["bytes have changed", "SHA-256"]),
    "a flipped byte in the header": (
        lambda r: flip(r / POLICY, 3),
        POLICY,
        ["SHA-256", "header cannot be read"],
    ),
    "a truncated file": (
        lambda r: os.truncate(r / POLICY, 40),
        POLICY,
        ["has 40 bytes", "truncated"],
    ),
    "an emptied file": (lambda r: os.truncate(r / POLICY, 0), POLICY, ["has 0 bytes", "truncated"]),
    "a longer file": (
        lambda r: (r / POLICY).open("ab").write(b"x"),
        POLICY,
        ["longer than it was"],
    ),
    "a missing file": (lambda r: (r / POLICY).unlink(), POLICY, ["is missing"]),
    "an extra file": (
        lambda r: (r / "toy" / "new.bin").write_bytes(b"x"),
        "toy/new.bin",
        ["not in the manifest"],
    ),
    "a partial file": (
        lambda r: (r / "manifest.77.partial").write_bytes(b"{"),
        "manifest.77.partial",
        ["not in the manifest"],
    ),
    "an entry without a hash": (
        lambda r: edit(r, lambda e: e[POLICY].pop("sha256")),
        POLICY,
        ["says nothing of sha256"],
    ),
    "an entry with words for a size": (
        lambda r: edit(r, lambda e: e[POLICY].update(bytes="many", measured=None)),
        POLICY,
        ["says nothing of bytes, measured"],
    ),
    "an entry of a file outside": (
        lambda r: edit(r, lambda e: e.update({"../conftest.py": dict(e[POLICY])})),
        "../conftest.py",
        ["is missing"],
    ),
    "a file that never was safetensors": (
        lambda r: (
            (r / POLICY).write_bytes(b"hello"),
            assets.record(r / POLICY, command="c", seed=0),
        ),
        POLICY,
        ["is as recorded, and its header cannot be read"],
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_each_damage_is_one_clear_line(entered, damage):
    do, name, words = DAMAGE[damage]
    do(entered)
    (found,) = problems(doctor.shipped())
    assert (found.area, found.name) == ("assets", name)
    for word in words:
        assert word in found.text
    assert "\n" not in found.text
    assert found.remedy


def test_the_remedy_of_a_damaged_file_names_the_command_that_makes_it(entered):
    os.truncate(entered / POLICY, 3)
    (found,) = problems(doctor.shipped())
    assert f"git checkout -- assets/{POLICY}" in found.remedy
    assert "python -m workbench behaviour toy" in found.remedy


def test_two_damages_are_two_lines(entered):
    flip(entered / POLICY, -1)
    (entered / MODEL).unlink()
    assert [f.name for f in problems(doctor.shipped())] == [POLICY, MODEL]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', "\xff\xfe", "null"])
def test_a_corrupt_manifest_is_one_line_and_the_families_are_still_told(
    entered, toy, text, tmp_path
):
    assets.MANIFEST.write_bytes(text.encode("latin1"))
    (found,) = doctor.shipped()
    assert (found.name, found.level) == ("manifest.json", "problem")
    assert "cannot be read" in found.text
    assert "git checkout" in found.remedy
    assert by_name(doctor.made(toy, tmp_path))["few-shot sets"].level == "ok"


def test_a_missing_manifest_is_a_problem(shipped):
    (found,) = doctor.shipped()
    assert (found.name, found.level) == ("manifest.json", "problem")


def test_too_much_is_a_problem(entered, monkeypatch):
    monkeypatch.setattr(doctor, "LIMIT_MB", 0.01)
    (found,) = problems(doctor.shipped())
    assert found.name == "size"


def test_uncommitted_code_is_a_warning(entered):
    for commit, level in (("0123456789ab", None), ("0123456789ab+", "warning")):
        edit(entered, lambda e, c=commit: [x.update(commit=c) for x in e.values()])
        found = by_name(doctor.shipped()).get("commits")
        assert (found and found.level) == level


# ---- versions ----


def pretend(monkeypatch, **versions):
    real = importlib.metadata.version

    def version(name):
        said = versions.get(name, "")
        if said is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return said or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    return by_name(doctor.versions())


def test_only_another_simulator_is_a_problem(monkeypatch):
    found = pretend(monkeypatch, mujoco="3.4.0", torch="2.0.0", numpy="1.0")
    assert found["mujoco"].level == "problem"
    assert "3.4.0, pinned is 3.3.0" in found["mujoco"].text
    assert found["mujoco"].remedy == "pip install mujoco==3.3.0"
    assert [found[n].level for n in ("torch", "numpy")] == ["warning", "warning"]


def test_a_build_of_the_pinned_version_is_that_version(monkeypatch):
    found = pretend(monkeypatch, torch="2.13.0+cu130", stable_baselines3="2.9.2")
    assert found["torch"].level == found["stable_baselines3"].level == "ok"


def test_what_is_missing_is_said(monkeypatch):
    found = pretend(monkeypatch, gymnasium=None, stable_baselines3=None)
    assert [found[n].level for n in ("gymnasium", "stable_baselines3")] == ["problem", "warning"]
    assert "behaviour policies" in found["stable_baselines3"].text


def test_an_old_python_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.18")
    assert by_name(doctor.versions())["Python"].level == "problem"


def test_without_pins_nothing_is_compared(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "CONSTRAINTS", tmp_path / "none.txt")
    found = by_name(doctor.versions())
    assert found["constraints.txt"].level == "warning"
    assert not problems(found.values())


# ---- the processor ----


def test_every_double_is_tried_at_the_size_that_ships(untried):
    state = torch.get_rng_state()
    found = by_name(doctor.doubles())
    assert torch.equal(torch.get_rng_state(), state)
    named = {"acting, exact fp32", "acting, block fp32", "chain gradient"}
    if has_bf16():
        named |= {"acting, exact bf16", "acting, block bf16", "prompt gradient, bf16"}
    assert set(found) == named
    assert all("numbers differ by" in f.text for f in found.values())


# ---- graphics and film ----


@pytest.mark.parametrize(
    ("working", "levels", "chosen"),
    [
        ({"egl", "osmesa"}, ["ok", "ok"], "egl"),
        ({"osmesa"}, ["ok", "ok"], "osmesa"),
        (set(), ["warning", "warning"], "ray"),
    ],
)
def test_graphics_says_what_draws_and_what_to_install(monkeypatch, working, levels, chosen):
    monkeypatch.setattr(render, "candidates", lambda: ["egl", "osmesa", "ray"])
    monkeypatch.setattr(render, "works_here", lambda name: name in working)
    found = list(doctor.graphics())
    assert [f.name for f in found] == ["egl", "osmesa", "ray"]
    assert [f.level for f in found] == [*levels, "ok"]
    assert [f.name for f in found if "drawn with it" in f.text] == [chosen]
    for f in found[:2]:
        assert ("apt-get" in f.remedy) == (f.name not in working)
    render.backend.cache_clear()
    assert render.backend() == chosen
    render.backend.cache_clear()


def test_graphics_may_be_switched_off(monkeypatch):
    monkeypatch.delenv("WORKBENCH_RENDERER", raising=False)  # what an earlier verb was told
    monkeypatch.setenv("MUJOCO_GL", "disable")
    (found,) = doctor.graphics()
    assert (found.name, found.level) == ("ray", "ok")


def test_ffmpeg_encodes():
    found = by_name(doctor.film())
    assert [f.level for f in found.values()] == ["ok", "ok"]


def test_a_broken_ffmpeg_is_a_problem(monkeypatch):
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_version", lambda: "9")
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: "/bin/false")
    monkeypatch.setattr(imageio_ffmpeg._io, "get_ffmpeg_exe", lambda: "/bin/false")
    (found,) = problems(doctor.film())
    assert found.name == "libx264"

    def missing():
        raise RuntimeError("No ffmpeg exe could be found.\nInstall it.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    (found,) = doctor.film()
    assert (found.name, found.level) == ("ffmpeg", "problem")
    assert "No ffmpeg exe could be found. Install it." in found.text
    assert "pip install" in found.remedy


# ---- the families ----


def test_a_family_says_what_it_has_and_how_to_make_the_rest(entered, toy, tmp_path):
    found = by_name(doctor.made(toy, tmp_path))
    assert {f.level for f in found.values()} == {"ok"}
    assert "expert -1.0" in found["behaviour policies"].text
    assert found["few-shot sets"].text == "all 6"
    assert found["training data"].text == "0 of 12"
    assert found["training data"].remedy == "python -m workbench collect toy"
    data = making.data_path(tmp_path, toy.task(0), "expert")
    data.parent.mkdir()
    data.touch()
    assert by_name(doctor.made(toy, tmp_path))["training data"].text == "1 of 12"

    assets.demos_path(toy.task(2), "random").unlink()
    assets.policy_path("toy", "medium").unlink()
    assets.model_path("toy").unlink()
    assets.diffuser_path("toy").unlink()
    optional = {"mt-orl": "MT-ORL's network", "vae": "VAE", "hyper": "HDT's hyper-network"}
    for name in optional:
        assets.pretrained_path("toy", name).unlink()
    found = by_name(doctor.made(toy, tmp_path))
    for verb, name in optional.items():  # a family may ship without: that is no damage
        assert (found[name].level, found[name].text) == ("ok", "not made")
        how = "pretrain toy --prompt-length 0" if verb == "mt-orl" else f"{verb} toy"
        assert found[name].remedy == f"python -m workbench {how}"
    assert "parameters" not in found["GAN"].text
    want = {
        "behaviour policies": ("2 of 3", "behaviour"),
        "few-shot sets": ("5 of 6", "demos"),
        "Prompt-DT": ("not made", "pretrain"),
        "diffuser": ("not made", "diffuser"),
    }
    for name, (text, verb) in want.items():
        got = found[name]
        assert (got.level, got.text) == ("warning", text)
        assert got.remedy == f"python -m workbench {verb} toy"


def test_recorded_runs_of_other_assets_do_not_count(entered, toy, tmp_path, monkeypatch):
    spec = RunSpec("toy", 5, updates=1, episodes=1)
    monkeypatch.setitem(SHIPPED_SPECS, "toy", (spec,))

    def said():
        found = by_name(doctor.made(toy, tmp_path))["recorded runs"]
        return found.level, found.text.split(" for ")[0], found.remedy

    lacking = ("warning", "0 of 2", "python -m workbench record toy")
    assert said() == lacking
    for each in (spec, spec.untuned):
        list(RunStore(entered / "runs").record(each, run(each)))
    assert said() == ("ok", "all 2", "")
    flip(assets.demos_path(toy.task(5), "medium"), -1)
    assert said() == lacking


# ---- the verb ----


@pytest.mark.parametrize(("level", "status"), [("ok", 0), ("warning", 0), ("problem", 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_the_verb_ends_with_1_only_for_problems(monkeypatch, capsys, level, status, as_json):
    found = [Finding("a", "good", "ok", "fine"), Finding("b", "thing", level, "so so", "do this")]
    monkeypatch.setattr(upkeep, "examine", lambda data: iter(found))
    try:
        upkeep.doctor(as_json=as_json)
        ended = 0
    except SystemExit as end:
        ended = end.code
    assert ended == status
    out = capsys.readouterr().out
    if as_json:
        assert out.count("\n") == 1
        said = json.loads(out)
        assert said["findings"][1] == {
            "area": "b", "name": "thing", "level": level, "text": "so so", "remedy": "do this",
        }  # fmt: skip
        assert (said["problems"], said["warnings"]) == (level == "problem", level == "warning")
    else:
        assert "thing: so so" in out
        assert "→ do this" in out
        assert out.splitlines()[-1].startswith("1 problem," if status else "no problems,")


def test_this_installation(monkeypatch):
    """Everything for real, but the files: those are being made now and then."""
    found = list(doctor.examine())
    areas = list(dict.fromkeys(f.area for f in found))
    assert areas == ["versions", "processor", "graphics", "film", "assets", *FAMILIES]
    assert not [f for f in problems(found) if f.area in ("graphics", "film")]
    names = {f.name for f in found if f.area == "cheetah-vel"}
    assert names == {"behaviour policies", "few-shot sets", "Prompt-DT", "MT-ORL's network",
                     "diffuser", "informed diffuser", "critic", "VAE", "GAN", "HDT's hyper-network",
                     "multi-game DT", "HarmoDT", "Gato", "recorded runs",
                     "training data"}  # fmt: skip
    policies = [f for f in found if f.area == "cheetah-vel" and f.name == "behaviour policies"]
    assert all(quality in policies[0].text for quality in QUALITIES)
