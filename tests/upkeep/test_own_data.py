"""The user's own trajectories in place of behaviour policies, and networks from them."""

import json

import numpy as np
import pytest

from tests.conftest import record
from workbench.data.trajectory_files import load_trajectories, save_trajectories
from workbench.shipped import assets
from workbench.upkeep.own_data import few_shot_sets, sets_of, training_data


@pytest.fixture
def recordings(toy, shipped, tmp_path):
    """A file of nine episodes for every task, of very different skill."""
    folder = tmp_path / "recordings"
    for i in range(len(toy.goals)):
        items = [e for n in range(3) for e in record(toy.task(i), 3, seed=n, skill=1 - n / 2)]
        save_trajectories(folder / f"{i}.safetensors", items)
    return folder


def test_episodes_are_ordered_by_their_return(toy, recordings):
    found = sets_of(toy.task(5), recordings)
    means = [np.mean([t.episode_return for t in items]) for items in found.values()]
    assert list(found) == ["expert", "medium", "random"]
    assert [len(items) for items in found.values()] == [3, 3, 3]
    assert means[0] > means[1] > means[2]


def test_qualities_that_files_name_are_taken(toy, recordings):
    task = toy.task(5)
    (recordings / "5.safetensors").unlink()
    for n, quality in enumerate(("random", "expert", "medium")):
        save_trajectories(recordings / f"5-{quality}.safetensors", record(task, 2, seed=n))
    found = sets_of(task, recordings)
    assert np.array_equal(found["random"][0].actions, record(task, 2, seed=0)[0].actions)


def test_data_and_few_shot_sets_are_written(toy, recordings, tmp_path):
    rows = list(training_data(toy, recordings, tmp_path / "data"))
    assert len(rows) == 3 * len(toy.train_indices)
    assert len(load_trajectories(tmp_path / "data/toy/3-medium.safetensors")) == 3
    list(few_shot_sets(toy, recordings, "a command"))
    entry = assets.manifest()["toy/demos/5-expert.safetensors"]
    assert entry["command"] == "a command"
    assert len(assets.demos(toy.task(5), "expert")) == 3


def test_what_lacks_is_named(toy, recordings):
    (recordings / "2.safetensors").unlink()
    with pytest.raises(ValueError, match=r"no file of toy 2: name it 2\.\*"):
        sets_of(toy.task(2), recordings)
    save_trajectories(recordings / "2-expert.safetensors", record(toy.task(2), 2))
    with pytest.raises(ValueError, match="no medium, random file of toy 2"):
        sets_of(toy.task(2), recordings)
    save_trajectories(recordings / "5.safetensors", record(toy.task(5), 2))
    with pytest.raises(ValueError, match=r"has 2 episode\(s\) of toy 5: at least 3"):
        sets_of(toy.task(5), recordings)
    with pytest.raises(ValueError, match="There is no folder"):
        sets_of(toy.task(5), recordings / "nowhere")


@pytest.mark.filterwarnings("ignore")
def test_one_command_from_recordings_to_networks(plugged, tmp_path, monkeypatch, capsys):
    """The example of the documentation, made small; each step in a process of its own."""
    from workbench.commands.upkeep import reproduce_assets
    from workbench.data.behaviour import UniformPolicy
    from workbench.data.rollout import evaluate
    from workbench.tasks import find

    small = """
        horizon=12,
        training={
            "pretrain": "--steps 2 --batch-size 4 --n-layers 1 --width 16 --context-length 4",
            "diffuser": "--steps 2 --batch-size 4 --guided-batch-size 4 --width 16",
            "informed": "--steps 2 --batch-size 4 --guided-batch-size 4 --width 16",
        },
    """
    from tests.test_examples import EXAMPLES

    text = (EXAMPLES / "pendulum.py").read_text()
    plugged(text.replace("    goal_label=", small + "    goal_label="), "pendulum.py")
    family = find("pendulum")
    for i in range(len(family.goals)):
        items = evaluate(UniformPolicy(1), family.task(i), range(3), filmed=1).trajectories
        save_trajectories(tmp_path / f"recordings/{i}.safetensors", items)
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "recordings"
    reproduce_assets(("pendulum",), from_data=source, as_json=True)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    made = {row["step"]: row["status"] for row in result["steps"]}
    assert made == {
        "collect": 0, "demos": 0, "pretrain": 0, "diffuser": 0, "informed": 0,
    }  # fmt: skip
    assert assets.has_models("pendulum")
    home = tmp_path / "own-assets"
    assert {e["commit"] for e in json.loads((home / "manifest.json").read_text()).values()}
    reproduce_assets(("pendulum",), from_data=source, as_json=True)
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert all(row["status"] is None for row in again["steps"]), "nothing is due any more"
