"""Making the networks of one's own family, watched: its progress, its end, and going on."""

import sys
import threading
import time
from pathlib import Path

import pytest

from tests.tasks.test_plugins import FAMILY
from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import evaluate
from workbench.data.trajectory_files import save_trajectories
from workbench.shipped import assets
from workbench.tasks import find
from workbench.upkeep.making import data_path
from workbench.upkeep.recipes import recipe
from workbench.upkeep.watched_making import WatchedMaking, lacking


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Return fake(then): an interpreter that notes its words and does what it is told."""

    def fake(then):
        path = tmp_path / "python"
        path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/said\n{then}\n')
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        return tmp_path / "said"

    return fake


@pytest.fixture
def making(plugged, tmp_path):
    plugged(FAMILY)
    return WatchedMaking("mine", tmp_path / "work")


def until(true, seconds=20.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_family_without_networks_lacks_them_and_they_take_some_time(making):
    assert lacking() == ["mine"]
    verbs = [step.recipe.verb for step in making.plan]
    assert verbs == ["behaviour", "collect", "demos", "pretrain", "diffuser", "informed"]
    assert (making.n_steps, making.fresh, making.share) == (6, True, 0.0)
    assert making.left == making.expected > 60


def test_its_commands_are_those_of_the_command_line(making, python):
    said = python("exit 0")
    steps = [outcome.step.recipe.verb for outcome in making.outcomes()]
    assert steps == [step.recipe.verb for step in making.plan]
    wanted = [" ".join(words) for step in making.plan for words in step.recipe.commands]
    assert said.read_text().splitlines() == [f"-m workbench {words}" for words in wanted]
    assert making.share == pytest.approx(1.0)
    assert making.error == ""


def test_the_bar_of_a_step_is_its_progress_and_an_end_interrupts_it(making, python, tmp_path):
    python(
        f"trap 'echo ended > {tmp_path}/ended; exit 130' INT TERM\n"
        "printf '\\rPPO:  10%%|#\\rPPO:  60%%|######\\r\\r' >&2\n"
        "while true; do sleep 0.05; done"
    )
    outcomes = []
    drain = threading.Thread(target=lambda: outcomes.extend(making.outcomes()), daemon=True)
    drain.start()
    wanted = 0.6 * making.plan[0].recipe.seconds / making.expected
    until(lambda: making.share == pytest.approx(wanted))
    assert making.now.recipe.verb == "behaviour"
    assert 0 < making.left < 1e5
    making.end()
    drain.join(20)
    assert [outcome.status for outcome in outcomes] == [130]
    assert (tmp_path / "ended").exists()
    assert making.error == "", "to be stopped is no failure"
    assert next(making.outcomes()).status == 130, "what was ended begins nothing"


def test_a_step_that_fails_ends_it_with_its_last_words(making, python):
    python("echo 'error: no more room' >&2; exit 1")
    (outcome,) = making.outcomes()
    assert outcome.status == 1
    assert making.error == "behaviour failed: error: no more room"


def test_what_was_begun_from_recordings_goes_on_from_them(plugged, tmp_path):
    plugged(FAMILY)
    family, work = find("mine"), tmp_path / "work"
    task = family.tasks("train")[1]
    items = evaluate(UniformPolicy(1), task, range(3)).trajectories
    save_trajectories(data_path(work / "data", task, "expert"), items, source="/recordings")
    making = WatchedMaking("mine", work)
    assert making.place.from_data == Path("/recordings")
    (collect, demos, *_) = making.plan
    assert collect.recipe.commands[0][-2:] == ("--from-data", "/recordings")
    assert demos.recipe.verb == "demos", "no behaviour is trained"


def test_what_has_its_files_lacks_nothing(plugged, tmp_path):
    plugged(FAMILY)
    (tmp_path / "work/build/behaviour/mine-0").mkdir(parents=True)
    assert not WatchedMaking("mine", tmp_path / "work").fresh
    home = assets.home_of("mine") / "mine"
    for verb in ("behaviour", "demos", "pretrain", "diffuser", "informed"):
        assert lacking() == ["mine"]
        for name in recipe(find("mine"), verb, {}).files:
            (home.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (home.parent / name).touch()
    assert lacking() == []
