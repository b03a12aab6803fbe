"""The house: rooms that import one way, modules without circles, files read in one sitting."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

ROOT = Path(workbench.__file__).parent
ORDER = [
    "tasks",
    "data",
    "networks",
    "shipped",
    "methods",
    "tuning",
    "pretraining",
    "runs",
    "paper",
    "exchange",
    "viewing",
    "teaching",
    "upkeep",
    "app",
    "commands",
]
"""A room imports only from rooms before it."""
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
MODULES = sorted(FILES.keys() - {"__init__", "__main__"})
every_module = pytest.mark.parametrize("module", MODULES)


def imported(tree):
    """Return the modules of the package that a file imports, wherever in it, by our names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written in full"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {n if n.removeprefix("workbench.") in FILES else node.module for n in inner}
    return {n.removeprefix("workbench.") for n in found if n.split(".")[0] == "workbench"}


GRAPH = {module: imported(ast.parse(path.read_text())) for module, path in FILES.items()}


def room(module):
    return module.split(".")[0]


def test_every_module_is_in_a_room():
    assert {room(module) for module in MODULES} == set(ORDER)


@every_module
def test_imports_point_one_way(module):
    above = ORDER[: ORDER.index(room(module)) + 1]
    upward = {name for name in GRAPH[module] if room(name) not in above}
    assert not upward, f"{module} imports {', '.join(sorted(upward))} from below itself"


def test_no_modules_import_each_other():
    done, path = set(), []

    def walk(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for name in GRAPH.get(module, ()):
            walk(name)
        done.add(path.pop())

    for module in MODULES:
        walk(module)


def test_an_upward_import_is_seen():
    tree = ast.parse(
        "def f():\n"
        "    from workbench.shipped import assets\n"
        "    from workbench.tasks import rewards, find\n"
        "    import workbench.tuning.loop\n"
        "    import numpy, json"
    )
    assert imported(tree) == {"shipped.assets", "tasks.rewards", "tasks", "tuning.loop"}
    assert imported(ast.parse("from workbench import RunStore")) == {"workbench"}


def test_tuning_loads_no_pretraining():
    assert "pretraining" not in {room(n) for m in MODULES if room(m) in ORDER[:6] for n in GRAPH[m]}


@every_module
def test_only_the_pages_know_the_browser_and_only_the_command_line_prints(module):
    tree = ast.parse(FILES[module].read_text())
    names = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tops = {name.split(".")[0] for name in names}
    if room(module) != "app" and module != "viewing.player.component":
        assert "streamlit" not in tops
    if room(module) != "commands":
        silences = {"logging"} if module == "app.serving" else set()  # what another one logs
        assert not (tops - silences) & {"tyro", "tqdm", "logging", "argparse"}
        calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
        assert not [f for f in calls if isinstance(f, ast.Name) and f.id == "print"]


def test_the_names_say_what_they_are():
    stems = {part for name in MODULES for part in name.split(".")}
    assert not stems & {"utils", "util", "base", "common", "helpers", "misc", "core"}


@every_module
def test_every_module_says_its_purpose_first(module):
    assert ast.get_docstring(ast.parse(FILES[module].read_text()))


def test_the_streams_load_no_page_and_no_plots():
    """What a cluster node runs must not need a browser; in a process of its own."""
    code = (
        "import sys, workbench.runs.store, workbench.runs.jobs; "
        "print(sorted({'streamlit', 'plotly', 'tyro', 'stable_baselines3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_what_they_say_each_time():
    code = (
        "import importlib, workbench\n"
        "for twice in range(2):\n"
        "    for module, names in workbench._PUBLIC.items():\n"
        "        for name in names:\n"
        "            own = getattr(importlib.import_module('workbench.' + module), name)\n"
        "            assert getattr(workbench, name) is own, (module, name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 15 <= len(workbench.__all__) <= 30
