"""The house: rooms that import one way, modules without circles, files read in one sitting."""

import ast
import re
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
ROOMS = sorted(name for name in MODULES if FILES[name].name == "__init__.py")
"""The rooms, and the rooms inside them."""
every_room = pytest.mark.parametrize("name", ROOMS)
SCRIPTS = {"app.navigation", "app.start.app"}
"""What Streamlit runs; nothing imports them."""

TESTS = Path(__file__).parent
OF_A_WHOLE_ROOM = {
    "app": {"accessibility", "broken_links", "five_questions", "in_a_browser", "main_path"},
    "commands": {"main", "verbs"},
    "methods": {"added_method", "baselines"},
    "runs": {"crash", "export_run", "queue"},
    "tasks": {"fifth_family"},
    "teaching": {"notebooks"},
}
"""Tests that mirror no module, since what they test is several modules together."""

LONGEST = 400
LONG = {"networks/prompt_dt.py": "the whole transformer in one file"}
"""Files that are longer than a sitting, and why."""


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


@every_room
def test_a_room_says_what_lives_in_it_and_where_to_begin(name):
    title, empty, *lines = ast.get_docstring(ast.parse(FILES[name].read_text())).splitlines()
    assert title.endswith("."), "a title is a sentence of one line"
    assert empty == ""
    assert 3 <= len(lines) <= 6
    quoted = re.findall(r"``([\w.]+)``", " ".join(lines))
    theirs = {word.removeprefix("workbench.") for word in quoted if word.startswith("workbench.")}
    assert theirs <= FILES.keys()
    named = {word for word in quoted if "." not in word}
    inside = {p.stem for p in FILES[name].parent.glob("*") if p.is_dir() or p.suffix == ".py"}
    inside -= {"__init__", "__pycache__"}
    parts = {stem for stem in inside for word in named if stem.startswith(f"{word}_")}
    assert named <= inside, "no other names"
    assert inside - parts <= named, "each module by name, or by the one that it is a part of"


def mirrors():
    for path in sorted(TESTS.rglob("test_*.py")):
        *folders, _ = path.relative_to(TESTS).parts
        if folders:
            yield "/".join(folders), path.stem.removeprefix("test_")


def test_tests_mirror_the_rooms():
    folders = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("__init__.py")}
    known = {name.replace(".", "/") for name in ROOMS}
    assert folders - {".", "benchmarks", "campaign", "tools"} <= known
    for folder, stem in mirrors():
        home = TESTS.parent if folder == "tools" else ROOT
        files = {path.stem for path in (home / folder).rglob("*.*")}
        assert stem in files | OF_A_WHOLE_ROOM.get(folder, set()), f"{folder}/test_{stem}.py"


def test_what_is_listed_as_a_rooms_own_test_is_there():
    listed = {(room, stem) for room, stems in OF_A_WHOLE_ROOM.items() for stem in stems}
    assert listed <= set(mirrors())


def test_files_are_read_in_one_sitting():
    files = (path for path in ROOT.rglob("*") if path.suffix in (".py", ".js", ".css"))
    lengths = {p.relative_to(ROOT).as_posix(): p.read_text().count("\n") for p in files}
    assert {name for name, lines in lengths.items() if lines > LONGEST} <= LONG.keys()


@pytest.mark.parametrize("module", sorted(FILES.keys() - SCRIPTS))
def test_importing_a_module_defines_names_and_does_nothing_else(module):
    _, *rest = ast.parse(FILES[module].read_text()).body  # the docstring
    if rest:
        assert ast.unparse(rest[0]) == "from __future__ import annotations"
    calls = {
        ast.unparse(node)
        for node in rest
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    }
    loops = [node for node in rest if isinstance(node, ast.For | ast.While | ast.With | ast.Try)]
    assert not calls
    assert not loops


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


def test_the_package_itself_loads_nothing():
    code = (
        "import sys, time, workbench; "
        "print(time.process_time(), *{'torch', 'numpy', 'mujoco', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *large = done.stdout.split()
    assert not large
    assert float(seconds) < 0.3
