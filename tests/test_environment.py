"""The places that name dependencies agree."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
EXTRAS = ("collect", "lab", "dev", "docs")


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text):
    return {canonical(n): v for n, v in re.findall(r"([A-Za-z][\w.-]*)==([\w.+!-]+)", text)}


def project():
    """Return what pyproject.toml says, of dependencies the names alone."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {**told, "dependencies": [Requirement(text).name for text in told["dependencies"]]}


def test_conda_lists_every_dependency_at_the_constrained_version():
    wanted = {
        canonical(name)
        for name in project()["dependencies"]
        + [n for extra in EXTRAS for n in project()["optional-dependencies"][extra]]
    }
    constraints = pins((ROOT / "constraints.txt").read_text())
    conda = pins((ROOT / "environment.yml").read_text())
    assert conda == {name: constraints[name] for name in wanted}


def test_the_constrained_versions_are_within_the_ranges():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    constraints = pins((ROOT / "constraints.txt").read_text())
    ranges = {r.name: r.specifier for r in map(Requirement, told)}
    assert ranges["torch"], "a later major version is not known to work"
    assert all(constraints[canonical(n)] in wanted for n, wanted in ranges.items() if wanted)


def test_conda_has_pip_itself():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    assert "  - pip" in lines


def test_every_constraint_is_exact_and_names_no_place():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert lines
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in lines)


def test_installed_versions_are_the_constrained_ones():
    from importlib.metadata import version

    constraints = pins((ROOT / "constraints.txt").read_text())
    names = [canonical(name) for name in project()["dependencies"]]
    assert {n: version(n).split("+")[0] for n in names} == {n: constraints[n] for n in names}
