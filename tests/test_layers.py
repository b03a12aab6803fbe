"""The package's shape: imports point one way, files are read in one sitting."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

ROOT = Path(workbench.__file__).parent
# A module imports only from rows above it.
ROWS = """
tasks.family tasks.rewards tasks.inertia tasks.locomotion tasks.ant
tasks.sawyer tasks.reach tasks splits variants
trajectory rollout behaviour dataset own assets full
memory acting dropout frozen checkpoint model stored chain_gradient diffusion informed generators
parallel training pretrain pretrain_generator hyper projection toy
methods.method methods.prompt_dt methods.mt_orl methods.tuned_prompt methods.tuned_weights
methods.soft_prompt methods.adapter methods.hdt methods.fine_tuning methods.prompt_tuning
methods.generated methods.prompt_diffuser methods.informed_diffuser
methods.prompt_vae methods.prompt_gan methods
tune presets locks store remote compare prompts held_out making
sweep cluster results scores search tables assembled ablation lengths findings
grid expected
standings background library export_run colours coverage
pickled episodes fitting published hdf5 minari_io formats report received
raycast meshes marks views film render columns player chain figures figures_data figures_tables
figures_ablation figures_lengths figures_gradient figures_findings job queue replay clips
lessons charts figures_lessons figures_toy widgets widgets_live exercises
equations stills handouts
recipes reproduce doctor
pages pages.guard pages.style pages.pace pages.jobs pages.families
pages.controls pages.sets pages.link pages.shown pages.progress
pages.gradient pages.video pages.explore
pages.links pages.rows pages.charts pages.cells pages.sweeps
pages.upload pages.own_sets pages.demos pages.data
pages.lengths pages.ablate pages.claims pages.compare pages.picked pages.runs
pages.navigation pages.serving
commands commands.output commands.settings
commands.make commands.methods commands.evaluate commands.assets commands.data
commands.sweeping commands.sweep commands.tasks commands.play commands.app
commands.table commands.readme commands.notebooks
commands.browsing commands.screenshots commands.timings
__main__
"""
ORDER = [*ROWS.split()]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
every_module = pytest.mark.parametrize("module", ORDER)


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


def test_the_order_names_every_module_once():
    assert len(set(ORDER)) == len(ORDER)
    assert set(ORDER) == FILES.keys() - {"__init__"}


@every_module
def test_imports_point_one_way(module):
    above = set(ORDER[: ORDER.index(module)])
    upward = imported(ast.parse(FILES[module].read_text())) - above
    # the package of a module is loaded before it, so naming the package is naming its modules
    assert not upward, f"{module} imports {', '.join(sorted(upward))} from below itself"


def test_an_upward_import_is_seen():
    tree = ast.parse(
        "def f():\n"
        "    from workbench import assets\n"
        "    from workbench.tasks import rewards, find\n"
        "    import workbench.tune\n"
        "    import numpy, json"
    )
    assert imported(tree) == {"assets", "tasks.rewards", "tasks", "tune"}
    assert imported(ast.parse("from workbench import RunStore")) == {"workbench"}


@pytest.mark.parametrize(
    "module",
    ["columns", "projection", "job", "raycast", "meshes", "marks", "pickled", "hdf5"],
)
def test_these_modules_need_nothing_of_ours(module):
    assert imported(ast.parse(FILES[module].read_text())) == set()


@every_module
def test_only_the_pages_know_the_browser_and_only_the_command_line_prints(module):
    tree = ast.parse(FILES[module].read_text())
    names = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tops = {name.split(".")[0] for name in names}
    if not module.startswith("pages") and module != "player":
        assert "streamlit" not in tops
    if module != "__main__" and not module.startswith("commands"):
        silences = {"logging"} if module == "pages.serving" else set()  # what another one logs
        assert not (tops - silences) & {"tyro", "tqdm", "logging", "argparse"}
        calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
        assert not [f for f in calls if isinstance(f, ast.Name) and f.id == "print"]


def test_the_names_say_what_they_are():
    stems = {path.stem for path in FILES.values()}
    assert not stems & {"utils", "util", "base", "common", "helpers", "misc", "core"}


def test_no_file_is_longer_than_400_lines():
    lengths = {name: len(path.read_text().splitlines()) for name, path in FILES.items()}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


@every_module
def test_every_module_says_its_purpose_first(module):
    assert ast.get_docstring(ast.parse(FILES[module].read_text()))


def test_the_streams_load_no_page_and_no_plots():
    """What a cluster node runs must not need a browser; in a process of its own."""
    code = (
        "import sys, workbench.store, workbench.job; "
        "print(sorted({'streamlit', 'plotly', 'tyro', 'stable_baselines3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_what_they_say_each_time():
    """`tune`, `rollout` and `compare` are modules too: neither may hide the other."""
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
    with pytest.raises(AttributeError, match="no public name 'nothing'"):
        workbench.nothing  # noqa: B018
