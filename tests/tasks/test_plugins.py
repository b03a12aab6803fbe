"""Families and methods from outside: found everywhere, named by their line where they fail."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from workbench.methods import METHODS
from workbench.shipped import assets
from workbench.tasks import FAMILIES, SHIPPED, find, plugins
from workbench.tuning.presets import CHOSEN, Side
from workbench.tuning.spec import RunSpec

FAMILY = """
from workbench import Family

MINE = Family.from_gymnasium(
    "Pendulum-v1", name="mine", goals=[0.8, 1.2, 1.6], set_goal="m", test=[1],
    target_return=-150.0, return_scale=500.0,
)
"""
METHOD = """
from dataclasses import dataclass
from workbench.methods import SoftPrompt
from workbench.methods.soft_prompt import SoftPromptLearner

@dataclass(frozen=True)
class MySoftPrompt:
    lr: float = 1e-2
    batch_size: int = 8

    def start(self, model, demos, rng, *, prompts=None):
        return SoftPromptLearner(self, model, demos, rng, prompts or demos)
"""


def test_a_family_and_a_method_of_one_file_each(plugged):
    plugged(FAMILY, "family.py")
    plugged(METHOD, "method.py")
    assert list(FAMILIES) == [*SHIPPED, "mine"]
    assert find("mine").task(1).goal == (1.2,)
    assert list(METHODS)[-1] == "my-soft-prompt"
    kind = METHODS["my-soft-prompt"]
    assert (kind.label, kind.needs, kind.data, kind.guided) == (
        "My soft prompt", {}, "few-shot", False,
    )  # fmt: skip
    assert CHOSEN["my-soft-prompt"] == ({}, 100)
    assert "SoftPrompt" not in {k.__name__ for n, k in METHODS.items() if plugins.of_method(n)}
    assert plugins.failures() == []


def test_what_is_loaded_already_is_checked_as_it_is(tmp_path):
    times = tmp_path / "times"
    (tmp_path / "method.py").write_text(f"{METHOD}\nopen({str(times)!r}, 'a').write('x')\n")
    for named in ("method.py", ""):
        times.write_text("")
        done = subprocess.run(
            [sys.executable, "-m", "workbench", "check", "method.py"],
            cwd=tmp_path, capture_output=True, text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(plugins.__file__).parents[2]),
                plugins.VARIABLE: named,
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert times.read_text() == "x", "read once"


def test_a_setting_of_ones_own_is_a_flag_of_the_commands(plugged, tmp_path):
    """In a process of its own, for flags are made when the commands are imported."""
    seeded = METHOD.replace("MySoftPrompt", "Other").replace("lr: float = 1e-2", "seed: int = 3")
    plugged(METHOD.replace("lr: float = 1e-2", "lr: float = 1e-2\n    sigma: float = 0.5"))
    plugged(seeded, "other.py")
    words = [
        "sweep",
        "--family",
        "cheetah-dir",
        "--method",
        "my-soft-prompt",
        "--sigma",
        "0.1",
        "1",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "workbench", *words, "--no-untuned", "--dry-run", "--json"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(plugins.__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == 4, "two tasks, two values; `seed` is the run's own"


def test_nothing_of_a_plugin_is_known_without_it(plugged):
    assert list(FAMILIES) == list(SHIPPED)
    with pytest.raises(ValueError, match="no task family 'mine'"):
        find("mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\nx = 1 / 0\n", "line 2: ZeroDivisionError"),
        ("x = (\n", "line 1: SyntaxError"),
        ("import nothing_of_the_kind\n", "line 1: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "line 1: SystemExit"),
        ("x = 1\n", "neither a Family nor a method"),
        (FAMILY.replace('"mine"', '"reach"'), "there is a family 'reach' already"),
        (FAMILY.replace('"mine"', '"My family"'), "1 to 40 of a to z"),
        (FAMILY.replace('"m"', '"weight"').replace("[1]", "[7]"), "`test` must be some of"),
        (FAMILY.replace("Pendulum-v1", "Pendulumm-v1"), "line 4: "),
        (METHOD.replace("frozen=True", "frozen=False"), "MySoftPrompt must be frozen"),
        (METHOD.replace("lr: float = 1e-2", "lr: float"), "`lr` of the method MySoftPrompt must"),
    ],
)
def test_one_that_fails_is_named_with_its_line_and_the_rest_works(plugged, text, said):
    plugged(text, "bad.py")
    plugged(METHOD, "method.py")
    (failure,) = plugins.failures()
    assert "bad.py was left out" in failure
    assert said in failure
    assert "my-soft-prompt" in METHODS
    with pytest.raises(ValueError, match=r"no task family 'mine'.*bad\.py was left out"):
        find("mine")


def test_a_file_that_is_not_there_is_named(plugged, monkeypatch, tmp_path):
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "gone.py"))
    plugins._forget()
    assert "there is no file" in plugins.failures()[0]


def test_its_code_is_part_of_a_runs_identity(plugged, shipped):
    path = plugged(METHOD, "method.py")
    ours, mine = (RunSpec("toy", 5, method=m) for m in ("soft-prompt", "my-soft-prompt"))
    assert "code" not in ours.canonical
    assert mine.canonical["code"] == {"method": plugins.of_method("my-soft-prompt").code}
    before = ours.id, mine.id
    plugged(METHOD + "# another line\n", path.name)
    assert ours.id == before[0]
    assert mine.id != before[1]


def test_its_untuned_prompt_depends_on_the_family_alone(plugged, shipped):
    from workbench.tuning.identity import untuned

    plugged(METHOD, "method.py")
    plugged(FAMILY, "family.py")
    for family, task in (("toy", 5), ("mine", 1)):
        spec = RunSpec(family, task, method="my-soft-prompt")
        assert untuned(spec.canonical) == spec.untuned.canonical
        assert ("code" in spec.untuned.canonical) is (family == "mine")


def test_a_run_of_ones_own_method_is_kept_and_read(plugged, shipped, tmp_path):
    from workbench.runs.store import RunStore
    from workbench.tuning.loop import run

    plugged(METHOD, "method.py")
    spec = RunSpec("toy", 5, method="my-soft-prompt", updates=2, episodes=2, eval_every=0)
    store = RunStore(tmp_path / "runs")
    assert len(list(store.record(spec, run(spec)))) == 3
    assert store.spec(spec.id).id == spec.id
    assert Side("my-soft-prompt").spec("toy", 5, "medium").method == "my-soft-prompt"


def test_what_is_made_for_it_stays_with_the_user(plugged, tmp_path, monkeypatch):
    path = plugged(FAMILY)
    assert assets.model_path("mine") == tmp_path / "own-assets/mine/prompt-dt.safetensors"
    monkeypatch.delenv(plugins.HOME)
    assert assets.home_of("mine") == path.parent / plugins.FOLDER
    assert assets.home_of("reach") == assets.ROOT


def test_processes_in_other_folders_find_it(plugged, tmp_path, monkeypatch):
    plugged(FAMILY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(plugins.VARIABLE, "mine.py")
    plugins._forget()
    assert "mine" in FAMILIES
    (tmp_path / "elsewhere").mkdir()
    code = "from workbench import find; print(find('mine').horizon)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "elsewhere", env=dict(os.environ), capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "200", done.stderr


def test_installed_packages_bring_theirs_by_entry_points(plugged, monkeypatch):
    module = types.ModuleType("some_package")
    module.__file__ = str(plugged(METHOD, "package.py"))
    monkeypatch.setenv(plugins.VARIABLE, "")
    exec(METHOD.replace("MySoftPrompt", "Theirs"), vars(module))
    monkeypatch.setitem(sys.modules, "some_package", module)

    class Point:
        value, module = "some_package:Theirs", "some_package"

        def load(self):
            return sys.modules["some_package"].Theirs

    def entry_points(group):
        return [Point()] if group == "workbench.methods" else []

    monkeypatch.setattr(plugins.importlib.metadata, "entry_points", entry_points)
    plugins._forget()
    assert plugins.failures() == []
    assert METHODS["theirs"].label == "Theirs"


PACKAGE = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "some-tasks"
version = "1.0"

[project.entry-points."workbench.families"]
some = "some_tasks.families"

[project.entry-points."workbench.methods"]
some = "some_tasks.methods:MySoftPrompt"

[tool.setuptools]
packages = ["some_tasks"]
"""


def test_a_package_that_pip_installs_brings_both(tmp_path):
    pytest.importorskip("setuptools")
    source, target = tmp_path / "source", tmp_path / "site"
    (source / "some_tasks").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PACKAGE)
    parts = {"__init__": "", "families": FAMILY, "methods": METHOD}
    for name, text in parts.items():
        (source / f"some_tasks/{name}.py").write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run(
        [*pip, "--no-build-isolation", "--target", target, source], check=True, timeout=120
    )
    root = str(Path(plugins.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), root])}
    environment.pop(plugins.VARIABLE, None)
    code = (
        "from workbench import FAMILIES, METHODS\n"
        "from workbench.tasks import plugins\n"
        "print(plugins.failures(), list(FAMILIES)[-1], list(METHODS)[-1])\n"
        "print(len(set(plugins.code_of('mine', 'my-soft-prompt').values())))\n"
        "print(plugins.of_family('mine').home)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    found, hashes, home = done.stdout.splitlines()
    assert found == "[] mine my-soft-prompt", done.stderr
    assert hashes == "1", "both are of one package, whose every file counts"
    assert home == str(Path.home() / ".workbench")


def test_one_is_added_and_read_anew(plugged, tmp_path):
    path = tmp_path / "later.py"
    path.write_text(METHOD)
    assert plugins.add(path).methods[0][0] == "my-soft-prompt"
    path.write_text(METHOD.replace("MySoftPrompt", "Other"))
    plugins.add(path)
    assert "other" in METHODS
    assert "my-soft-prompt" not in METHODS
    path.write_text("1 / 0")
    with pytest.raises(ValueError, match="line 1: ZeroDivisionError"):
        plugins.add(path)


def test_a_package_that_was_edited_is_read_anew(plugged, tmp_path, monkeypatch):
    package = tmp_path / "edited_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "methods.py").write_text(METHOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(plugins.VARIABLE, "edited_package.methods")
    plugins._forget()
    assert list(METHODS)[-1] == "my-soft-prompt"
    before = plugins.seen()
    (package / "methods.py").write_text(METHOD.replace("MySoftPrompt", "AnotherMethod"))
    plugins._forget()
    assert list(METHODS)[-1] == "another-method"
    assert plugins.seen() != before
    plugins.agree(plugins.seen())
    assert list(METHODS)[-1] == "another-method"


def test_the_key_of_a_method_is_its_class_or_its_name():
    assert plugins.key_of(type("PickedPrompt", (), {})) == "picked-prompt"
    assert plugins.key_of(type("MyGANTuning", (), {})) == "my-gan-tuning"
    assert plugins.key_of(type("Any", (), {"name": "mine"})) == "mine"


def test_while_it_is_imported_what_ships_is_found(plugged):
    look = "from workbench import find\nassert find('reach').horizon == 500\n"
    plugged(look + FAMILY + "\nfrom workbench import FAMILIES\nassert 'mine' not in FAMILIES\n")
    assert plugins.failures() == []
    assert "mine" in FAMILIES
