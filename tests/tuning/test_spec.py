"""Names become values at one door, once, and the ids of runs stay what they are."""

import dataclasses
import json
import pickle
import sys
from pathlib import Path

import pytest

import workbench
from workbench.methods import METHODS
from workbench.methods.guided_update import BY_VALUE, GUIDANCES
from workbench.runs import run_table
from workbench.runs.compare import compare
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.shipped.networks import load_model, load_network
from workbench.tasks import find
from workbench.tuning import identity
from workbench.tuning.identity import id_of
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec

PACKAGE = Path(workbench.__file__).parent
SHORT = {"updates": 2, "eval_every": 0, "episodes": 1, "settings": {"batch_size": 4}}


# ---- ids ----


def test_every_shipped_row_has_the_id_of_its_spec():
    """Byte for byte the canonical form of today, of whatever files are on this machine."""
    whole = 0
    for run_id, text in run_table.shipped()[["run", "spec"]].itertuples(index=False):
        canonical = json.loads(text)
        assert id_of(canonical) == run_id
        spec = RunSpec.stored(canonical)
        now = spec.canonical
        assert run_table.key(now) == run_table.key(canonical)
        if now["assets"] == canonical["assets"]:
            assert spec.id == run_id
            whole += 1
        elif all(now["assets"].values()):  # else it read files that do not ship
            changed = {n for n, h in now["assets"].items() if h != canonical["assets"][n]}
            assert (changed, spec.settings["dm_data"]) == ({"diffuser"}, "few-shot"), run_id
    assert whole > 500


def test_what_is_asked_for_looks_at_no_file(monkeypatch):
    """Pages ask it of thousands of runs while a tuning holds the interpreter between two calls."""
    spec = RunSpec("cheetah-vel", 2)
    whole = spec.canonical

    def looked(*_, **__):
        raise AssertionError("a file was looked at")

    monkeypatch.setattr(Path, "stat", looked)
    monkeypatch.setattr(Path, "exists", looked)
    assert spec.asked == {n: v for n, v in whole.items() if n not in ("assets", "code")}
    assert run_table.key(spec.asked) == run_table.key(whole)


def test_every_shipped_run_has_the_id_of_its_spec():
    store = RunStore(assets.ROOT / "runs")
    assert store.ids()
    assert [store.spec(run_id).id for run_id in store.ids()] == store.ids()


# ---- what only some settings need ----


@pytest.mark.parametrize("guidance", GUIDANCES)
@pytest.mark.parametrize("method", [m for m in METHODS if METHODS[m].guided])
def test_a_critic_counts_where_value_guides_and_nowhere_else(shipped, method, guidance):
    spec = RunSpec("toy", 5, method=method, settings={"guidance": guidance})
    assert ("critic" in spec.files) is (guidance in BY_VALUE)
    assert "eta" not in spec.canonical["settings"], "as it was before there was one"
    assert RunSpec.stored(json.loads(json.dumps(spec.canonical))).id == spec.id
    before, untuned = spec.id, spec.untuned.id
    path = assets.pretrained_path("toy", "critic")
    path.write_bytes(path.read_bytes() + b"\0")
    assert (spec.id != before) is (guidance in BY_VALUE)
    assert spec.untuned.id == untuned
    assert identity.id_of(identity.untuned(spec.canonical)) == untuned
    weighed = RunSpec("toy", 5, method=method, settings={"guidance": guidance, "eta": 0.3})
    assert weighed.canonical["settings"]["eta"] == 0.3
    assert weighed.id != spec.id
    assert "--eta 0.3" in weighed.command


@pytest.mark.parametrize("guidance", BY_VALUE)
def test_a_run_guided_by_value_loads_its_critic(shipped, guidance):
    spec = RunSpec("toy", 5, **{**SHORT, "settings": {"batch_size": 4, "guidance": guidance}})
    assert spec.resolved().method.critic is load_network("toy", "critic")
    *_, last = run(spec)
    assert "value" in last.metrics
    assets.pretrained_path("toy", "critic").unlink()
    with pytest.raises(ValueError, match=r"No critic ships for toy.*workbench critic toy"):
        dataclasses.replace(spec).resolved()
    assert RunSpec("toy", 5, **SHORT).resolved().method.critic is None


# ---- the door ----


@pytest.fixture
def full_data(tmp_path, monkeypatch):
    """A folder for what is collected of a whole task."""
    monkeypatch.setattr("workbench.shipped.full_data.FOLDER", tmp_path / "full")
    monkeypatch.setattr("workbench.shipped.full_data.EPISODES", 10)


@pytest.mark.parametrize("name", METHODS)
def test_behind_the_door_every_name_is_what_it_stands_for(shipped, toy, name, full_data):
    spec = RunSpec("toy", 5, "random", name, prompts="expert", precision="fp32")
    found = spec.resolved()
    assert (found.spec, found.family, found.task) == (spec, toy, toy.task(5))
    assert type(found.method) is METHODS[name]
    for field, network in METHODS[name].needs.items():
        assert getattr(found.method, field) is load_network("toy", network)
    assert found.model.precision == "fp32"
    assert found.model.normalizer is load_model("toy").normalizer
    few, prompts = (assets.demos(toy.task(5), quality) for quality in ("random", "expert"))
    assert [t.episode_return for t in found.prompts] == [t.episode_return for t in prompts]
    if METHODS[name].data == "full":
        assert len(found.demos) == 3 * 10
    else:
        assert [t.episode_return for t in found.demos] == [t.episode_return for t in few]


def test_what_was_looked_up_does_not_travel_to_other_machines(shipped):
    spec = RunSpec("toy", 5)
    assert {path.parent for path in spec.files.values()} == {shipped / "toy", shipped / "toy/demos"}
    plain = pickle.dumps(spec)
    assert str(shipped).encode() not in plain
    assert pickle.loads(plain) == spec
    assert pickle.loads(plain).id == spec.id


NAMES = {"toy", "medium", "prompt-diffuser", "test", "bf16"}


class Way:
    """What a stream calls until the first update: by name, so that values do not count.

    Attributes:
        modules: That are given a spec or a name out of it, in order, neighbours once.
        finds: Look-ups of a family.
        paths: Look-ups of where a shipped file is, from outside.
    """

    def __init__(self, stream):
        self.seen, self.modules, self.finds, self.paths, self.done = {}, [], 0, 0, False
        places = (assets.pretrained_path, assets.demos_path, assets.policy_path)
        self.places = {place.__code__ for place in places}
        before = sys.getprofile()
        sys.setprofile(self.look)
        try:
            for _ in stream:
                if self.done:
                    return
        finally:
            sys.setprofile(before)

    def look(self, frame, event, _):
        code = frame.f_code
        path = Path(code.co_filename)
        if event != "call" or self.done or PACKAGE not in path.parents or id(frame) in self.seen:
            return
        self.seen[id(frame)] = frame  # a generator that goes on is called once
        self.finds += code is find.__code__
        outside = frame.f_back.f_code.co_filename != code.co_filename
        self.paths += code in self.places and outside
        self.done = code.co_name == "update" and path.parent.name == "methods"
        given = [frame.f_locals.get(name) for name in code.co_varnames[: code.co_argcount]]
        named = any(isinstance(v, RunSpec) or (isinstance(v, str) and v in NAMES) for v in given)
        if named and self.modules[-1:] != [path]:
            self.modules.append(path)

    @property
    def returns(self):
        """How often the way comes back to a module that it had left."""
        return len(self.modules) - len(set(self.modules))


@pytest.fixture
def loaded(shipped):
    """The networks are in memory: reading a file is another matter."""
    list(run(RunSpec("toy", 5, **SHORT, seed=1)))


def test_a_spec_passes_few_modules_on_its_way_to_the_first_update(loaded, tmp_path):
    spec = RunSpec("toy", 5, **SHORT)
    way = Way(RunStore(tmp_path).record(spec, run(spec)))
    assert way.done
    assert len(set(way.modules)) <= 7, way.modules
    assert way.returns <= 4, way.modules
    assert way.finds <= 1, "the file of the demonstrations names its family"
    assert way.paths <= 3, "of two networks and the demonstrations"


def test_a_comparison_looks_names_up_once_for_each_of_its_runs(loaded, tmp_path):
    spec = RunSpec("toy", 5, **SHORT)
    way = Way(compare(spec, RunStore(tmp_path)))
    assert way.done
    assert way.finds <= 4, "two files, the untuned spec, and an evaluation"
    assert way.paths <= 5, "of two networks and one, and of the demonstrations of each"


def test_a_spec_made_from_another_looks_up_its_own_names(shipped, toy):
    spec = RunSpec("toy", 5)
    assert spec.resolved_task == toy.task(5)
    other = dataclasses.replace(spec, task=2)
    assert spec.files["demos"] != other.files["demos"]
    assert other.resolved_task == toy.task(2)


def test_auto_is_what_runs_have_called_bf16(shipped):
    """So ids are what they were, and what is read back is what was asked."""
    auto, half = RunSpec("toy", 5), RunSpec("toy", 5, precision="bf16")
    assert auto.precision == "auto"
    assert auto.canonical["precision"] == "bf16"
    assert auto.id == half.id != RunSpec("toy", 5, precision="fp32").id
    back = RunSpec.stored(half.canonical)
    assert (back.precision, back.id) == ("auto", auto.id)
    assert "precision" not in auto.command
    full = RunSpec("toy", 5, precision="fp32")
    assert RunSpec.stored(full.canonical).precision == "fp32"
    assert auto.resolved().model.precision == half.resolved().model.precision == "bf16"
    with pytest.raises(ValueError, match="'auto', 'fp32' or 'bf16'"):
        RunSpec("toy", 5, precision="fp16")
