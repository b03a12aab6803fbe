"""The wheel holds the whole package, and says where it looks for what ships beside it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from workbench.shipped import checkout

ROOT = Path(__file__).parents[1]
BUILD = "from setuptools import build_meta; build_meta.build_wheel({!r})"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: a build leaves folders behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "workbench", source / "workbench", ignore=ignored)
    command = [sys.executable, "-c", BUILD.format(str(out))]
    subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture
def installed(wheel, tmp_path):
    """A folder as pip leaves it, and a way to run the command line from it, elsewhere."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    (elsewhere := tmp_path / "elsewhere").mkdir()

    def run(*words, **environment):
        names = {n: v for n, v in os.environ.items() if n != "WORKBENCH_ASSETS"}
        return subprocess.run(
            [sys.executable, "-m", "workbench", *words], cwd=elsewhere, capture_output=True,
            text=True, env={**names, "PYTHONPATH": str(site), **environment},
        )  # fmt: skip

    return site, run


def note(site, **origin):
    """Write what pip notes of where a distribution came from (PEP 610)."""
    (info,) = site.glob("*.dist-info")
    (info / "direct_url.json").write_text(json.dumps(origin))


def test_every_file_of_the_package_is_in_it_and_nothing_else(wheel):
    inside = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    files = (p for p in (ROOT / "workbench").rglob("*") if p.is_file())
    package = {p.relative_to(ROOT).as_posix() for p in files if "__pycache__" not in p.parts}
    assert inside == package
    assert any(name.endswith(".js") for name in inside)


def test_it_has_the_command_workbench(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
    said = archive.read(name).decode().split("\n")
    assert said[:2] == ["[console_scripts]", "workbench = workbench.__main__:program"]


def test_it_finds_what_ships_in_the_clone_it_was_installed_from(installed):
    site, run = installed
    note(site, url=ROOT.as_uri(), dir_info={})
    done = run("tasks", "--json")
    assert done.returncode == 0, done.stderr
    family, *_ = json.loads(done.stdout)
    assert family["family"] == "cheetah-vel"
    assert "prompt-dt" in family["networks"]


def test_it_finds_what_ships_by_a_variable(installed):
    _, run = installed
    done = run("tasks", "--json", WORKBENCH_ASSETS=str(ROOT / "assets"))
    assert done.returncode == 0, done.stderr
    assert "prompt-dt" in json.loads(done.stdout)[0]["networks"]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        {"url": "file:///nowhere", "dir_info": {}},
        {"url": "file:///x.whl", "archive_info": {}},
    ],
    ids=["an index", "a clone that is gone", "a file"],
)
def test_it_says_which_of_both_to_set(installed, origin):
    site, run = installed
    if origin:
        note(site, **origin)
    done = run("tasks")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: The shipped files are not here")
    assert "WORKBENCH_ASSETS" in line
    assert "pip install CLONE" in line
    assert run("--help").returncode == 0


def test_a_clone_is_known_by_its_project_file(tmp_path):
    assert checkout.RUNNING == ROOT
    (tmp_path / "workbench").mkdir()
    assert checkout.clone_of(tmp_path / "workbench") is None
    (tmp_path / "pyproject.toml").touch()
    assert checkout.clone_of(tmp_path / "workbench") == tmp_path


def test_the_pages_start_the_same_way_from_the_clone_and_from_a_wheel():
    """Streamlit reads the script it starts, and the settings beside it: there are two of each."""
    start = ROOT / "workbench" / "app" / "start"
    for name in ("app.py", ".streamlit/config.toml"):
        assert (start / name).read_text() == (ROOT / name).read_text()
