"""The command line: one JSON value on stdout, all else on stderr, exit status 2 for bad input."""

import dataclasses
import inspect
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench.__main__ as command
from workbench.commands import evaluate as evaluate_verbs
from workbench.commands import settings
from workbench.commands import tasks as listed
from workbench.data.rollout import evaluate
from workbench.data.trajectory_files import load_trajectories
from workbench.methods import METHODS
from workbench.networks.prompt_dt import PromptDT
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.shipped.networks import NETWORKS, load_network
from workbench.tasks import FAMILIES, find, make
from workbench.tuning.loop import run
from workbench.tuning.prompt_kinds import PROMPTS
from workbench.tuning.spec import RunSpec, plain_settings
from workbench.upkeep import making

ROOT = Path(command.__file__).parents[1]


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run one verb in this process; return exit status, stdout and stderr."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)

    def run_verb(*words):
        monkeypatch.setattr(sys, "argv", ["workbench", *map(str, words)])
        capsys.readouterr()
        try:
            command.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    yield run_verb
    torch.set_num_threads(threads)


def one_json_value(out):
    assert out.endswith("\n")
    assert out.count("\n") == 1, "exactly one line"
    return json.loads(out)


def refusal(result, *words):
    """Check that bad input gave status 2, nothing on stdout and one line on stderr."""
    status, out, err = result
    assert status == 2
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in err


# ---- as a user runs it: its own process, the real simulator, what ships ----


def python(*words, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WORKBENCH_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "workbench", *words],
        capture_output=True, text=True, cwd=cwd, env=environment, timeout=120,
    )  # fmt: skip


def test_tune_prints_one_json_value_and_keeps_both_runs(tmp_path):
    words = "tune cheetah-vel 2 --quality medium --updates 3 --eval-every 3 --episodes 2 --json"
    done = python(*words.split(), "--store", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = one_json_value(done.stdout)
    assert set(result) == {
        "run", "before", "after", "losses", "conflict_share", "seconds", "peak_memory_mb",
    }  # fmt: skip
    for side in ("before", "after"):
        assert set(result[side]) == {"return_mean", "return_sd", "episodes"}
        assert result[side]["episodes"] == 2
    assert set(result["losses"]) == {"loss_dm", "loss_dt"}
    assert 0 <= result["conflict_share"] <= 1
    assert 0 < result["seconds"] < 120
    assert 50 < result["peak_memory_mb"] < 8000
    store = RunStore(tmp_path / "here")
    assert set(store.ids()) == {result["run"], store.spec(result["run"]).untuned.id}
    assert "update" in done.stderr, "progress is on stderr"
    assert {p.name for p in tmp_path.iterdir()} <= {"here", "MUJOCO_LOG.TXT"}


def test_help_names_every_verb(tmp_path):
    done = python("--help", cwd=tmp_path)
    assert done.returncode == 0
    for verb in command.VERBS:
        assert verb in done.stdout


def loaded_by(*words, cwd):
    """Run a verb in a process of its own; return its large packages and its CPU seconds."""
    code = (
        "import sys, time\n"
        f"sys.argv[1:] = {list(words)!r}\n"
        "from workbench.__main__ import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    large = {'torch', 'scipy', 'mujoco', 'pandas', 'tyro'} & set(sys.modules)\n"
        "    print(time.process_time(), *sorted(large), file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, env=environment
    )
    assert done.returncode == 0, done.stderr
    seconds, *large = done.stderr.split()
    return set(large), float(seconds)


def test_help_answers_at_once(tmp_path):
    large, seconds = loaded_by("--help", cwd=tmp_path)
    assert large == set()
    assert seconds < 0.5


def test_the_tasks_are_listed_without_torch(tmp_path):
    large, _ = loaded_by("tasks", cwd=tmp_path)
    assert "torch" not in large
    assert tuple(NETWORKS) == listed.NETWORKS


@pytest.mark.parametrize(
    "words", [("methods",), ("table", "1"), ("table", "search"), ("runs", "--store", ".")]
)
def test_what_ships_is_listed_without_torch(words, tmp_path):
    large, seconds = loaded_by(*words, cwd=tmp_path)
    assert not {"torch", "scipy"} & large
    assert seconds < 3.0, "a second on an idle machine"


def test_the_command_of_a_run_of_a_variant_is_one_that_tune_takes(call, tmp_path):
    spec = RunSpec("cheetah-vel", 7, method="informed-diffuser", variant="seed-1", updates=0)
    spec = dataclasses.replace(spec, model="harmodt", episodes=1, eval_every=0)
    status, out, err = call(*spec.command.split()[3:], "--json")
    assert status == 0, err
    assert json.loads(out)["run"] == spec.id


def test_a_verb_that_needs_torch_after_all_computes_on_one_thread(tmp_path):
    code = (
        "import sys\n"
        "from workbench.__main__ import main\n"
        "sys.argv[1:] = ['table', '1', '--families', 'cheetah-dir', '--methods', 'prompt-dt']\n"
        "main()\n"
        "import torch\n"
        "print(torch.get_num_threads(), file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "1\n")


@pytest.mark.parametrize("verb", command.VERBS)
def test_the_overview_says_what_each_verb_says_of_itself(verb):
    said = inspect.getdoc(command.loaded(verb)).splitlines()[0]
    assert command.summary(verb) == said
    assert said.endswith(".")
    assert f"  {verb:<18}{said}\n" in command.overview()


# ---- in this process ----


TUNE = ("--updates", 4, "--eval-every", 2, "--episodes", 3, "--seed", 5)


def test_what_the_tables_do_not_tune_is_not_tuned_unless_asked(shipped, call, tmp_path):
    """Updates on random few-shot data harm an informed diffuser's prompts."""
    words = ("tune", "toy", 5, "--method", "informed-diffuser", "--episodes", 2, "--json")
    runs = [one_json_value(call(*words, *more)[1])["run"] for more in ((), ("--updates", 1))]
    store = RunStore(tmp_path / "runs")
    assert [store.spec(run).updates for run in runs] == [0, 1]


def test_tune_says_what_the_runs_say(shipped, call, tmp_path):
    status, out, err = call("tune", "toy", 5, *TUNE, "--lam", 0.5, "--json")
    assert (status, "Traceback" in err) == (0, False)
    result = one_json_value(out)
    settings = {"lam": 0.5, "projection": "published", "lr": 1e-3, "temperature": 0.5}
    spec = RunSpec("toy", 5, settings=settings, updates=4, eval_every=2, episodes=3, seed=5)
    (before,), steps = run(spec.untuned), list(run(spec))
    assert result["run"] == spec.id
    assert result["before"] == before.evaluation.summary()
    assert result["after"] == steps[-1].evaluation.summary()
    assert result["losses"]["loss_dm"] == pytest.approx(steps[-1].metrics["loss_dm"], abs=1e-5)
    conflicts = [s.gradients.conflict for s in steps[1:]]
    assert result["conflict_share"] == pytest.approx(np.mean(conflicts), abs=1e-4)
    assert set(RunStore(tmp_path / "runs").ids()) == {spec.id, spec.untuned.id}


def test_tune_defaults_are_the_methods(shipped, call):
    """A flag left out must not make another run."""
    _, out, _ = call("tune", "toy", 5, "--updates", 1, "--episodes", 1, "--json")
    assert one_json_value(out)["run"] == RunSpec("toy", 5, updates=1, episodes=1).id


def test_tune_without_updates_has_no_losses(shipped, call):
    _, out, _ = call("tune", "toy", 5, "--updates", 0, "--episodes", 1, "--json")
    result = one_json_value(out)
    assert (result["losses"], result["conflict_share"]) == ({}, None)


SETTINGS = [
    ("soft-prompt", ("--lr", 0.5), {"lr": 0.5}),
    ("adapter", ("--bottleneck", 4), {"bottleneck": 4}),
    (
        "prompt-dt-ft",
        ("--batch-size", 4, "--weight-decay", 0),
        {"batch_size": 4, "weight_decay": 0.0},
    ),
    ("prompt-tuning-dt", ("--line-search", "--mu", 0.2), {"line_search": True, "mu": 0.2}),
    ("prompt-tuning-dt", ("--scorer", "online"), {"scorer": "online"}),
    ("mt-orl", (), {}),
]


@pytest.mark.parametrize(("method", "flags", "settings"), SETTINGS)
def test_tune_takes_any_method_and_its_settings(shipped, call, method, flags, settings):
    few = {"updates": 2, "eval_every": 0, "episodes": 2, "prompts": "expert", "precision": "fp32"}
    words = [w for name, v in few.items() for w in (f"--{name.replace('_', '-')}", v)]
    status, out, err = call("tune", "toy", 5, "--method", method, *words, *flags, "--json")
    assert status == 0, err
    result = one_json_value(out)
    spec = RunSpec("toy", 5, method=method, settings=settings, **few)
    *_, last = run(spec)
    assert result["run"] == spec.id
    assert result["after"] == last.evaluation.summary()
    assert result["before"] == next(run(spec.untuned)).evaluation.summary()
    assert result["losses"].keys() == {n for n in last.metrics if n.startswith("loss_")}
    assert result["conflict_share"] is None


@pytest.mark.parametrize("name", METHODS)
def test_every_setting_of_every_method_has_a_flag_and_a_line_of_help(name):
    flags = {f.name: f for f in dataclasses.fields(settings.Settings)}
    for setting, (_, default) in settings.settings_of(name).items():
        assert setting in flags
        assert settings.HELP[setting].endswith(".")
        assert RunSpec("cheetah-vel", 2, method=name, settings={setting: default})
    tune_takes = inspect.signature(evaluate_verbs.tune).parameters
    assert not flags.keys() & tune_takes.keys(), "one flag would hide the other"
    assert settings.given(settings.NONE_GIVEN) == {}


def test_help_is_for_settings_that_there_are():
    assert settings.HELP.keys() == {f.name for f in dataclasses.fields(settings.Settings)}


def test_without_json_a_table_for_people_is_printed(shipped, call):
    status, out, _ = call("tune", "toy", 5, "--updates", 1, "--episodes", 1)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "run", "before", "after", "losses", "conflict_share", "seconds", "peak_memory_mb",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "hints"),
    [
        (("tune", "toy", 5, "--lam", -1), ("lam", "-1")),
        (("tune", "toy", 5, "--lam", "nan"), ("lam", "nan")),
        (("tune", "toy", 5, "--temperature", 2), ("temperature", "2")),
        (("tune", "toy", 5, "--lr", -1), ("lr", "-1")),
        (("tune", "toy", 5, "--method", "adapter", "--lam", 1), ("adapter", "no setting 'lam'")),
        (("tune", "toy", 5, "--bottleneck", 4), ("prompt-diffuser", "no setting 'bottleneck'")),
        (("tune", "toy", 5, "--method", "adaptor"), ("Did you mean 'adapter'?",)),
        (("tune", "toy", 5, "--method", "prompt-dt"), ("nothing to compare",)),
        (("tune", "toy", 5, "--prompts", "good"), ("expert, medium, random",)),
        (("tune", "toy", 5, "--split", "validation"), ("validation",)),
        (("tune", "toy", 5, "--updates", -1), ("updates", "-1")),
        (("tune", "toy", 5, "--episodes", 0), ("episodes", "0")),
        (("tune", "toy", 5, "--eval-every", -1), ("eval_every", "-1")),
        (("tune", "toy", 99), ("99", "0 to 5")),
        (("tune", "toy", 0), ("few-shot", "demos toy")),
        (("tune", "cheetah-vell", 5), ("Did you mean 'cheetah-vel'?",)),
        (("collect", "cheetahvel"), ("Did you mean 'cheetah-vel'?",)),
        (("pretrain", "toy", "--data", "nowhere"), ("missing", "collect toy")),
        (("diffuser", "toy", "--data", "nowhere"), ("missing", "collect toy")),
        (("prompts", "nothing"), ("Known: ",)),
        (("demos", "nothing"), ("Known: ",)),
        (("import", "missing.pkl"), ("missing.pkl",)),
        (("import", "missing.pkl", "--family", "cheetah-vell"), ("Did you mean 'cheetah-vel'?",)),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_bad_input_is_one_line_on_stderr_and_status_2(shipped, call, tmp_path, words, hints, form):
    refusal(call(*words, *form), *hints)
    assert {p.name for p in tmp_path.iterdir()} <= {"assets", "MUJOCO_LOG.TXT"}, "no half run"


@pytest.mark.parametrize(
    "words",
    [("tune", "cheetah-vel"), ("tune", "cheetah-vel", "two"), ("tune", "cheetah-vel", 2, "--lam"),
     ("tune", "cheetah-vel", 2, "--projection", "vectr"), ("tuna",),
     ("tune", "cheetah-vel", 2, "--projection", "None"),
     ("tune", "cheetah-vel", 2, "--precision", "fp16")],
    ids=lambda value: " ".join(map(str, value)),
)  # fmt: skip
def test_words_that_cannot_be_parsed_are_refused_before_anything_runs(call, words):
    status, out, err = call(*words)
    assert status == 2
    assert out == ""
    assert err


@pytest.fixture
def published(tmp_path):
    """A file in the published form: two episodes of our own, cheetah-vel task 5."""
    env, draw, episodes = make(find("cheetah-vel").task(5)), np.random.default_rng(0), []
    for seed in range(2):
        rows, (observation, _) = [], env.reset(seed=seed)
        for _ in range(10):
            action = draw.uniform(-1, 1, 6).astype(np.float32)
            following, reward, *_ = env.step(action)
            rows.append((observation, following, action, [reward], [False]))
            observation = following
        names = ("observations", "next_observations", "actions", "rewards", "terminals")
        columns = [np.array(c) for c in zip(*rows, strict=True)]
        episodes.append(dict(zip(names, columns, strict=True)))
    path = tmp_path / "cheetah_vel-5-prompt-expert.pkl"
    path.write_bytes(pickle.dumps(episodes))
    return path


def test_import_replays_a_published_file(call, published):
    status, out, _ = call("import", published, "--json")
    assert status == 0
    (row,) = one_json_value(out)
    assert row["family"] == "cheetah-vel"
    assert row["task"] == 5
    assert any("error" in name and abs(value) < 1e-3 for name, value in row.items()
               if isinstance(value, float))  # fmt: skip


def test_import_refuses_code_and_reads_the_other_file(call, published, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'executed'}",))

    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps([Bomb()]))
    status, out, err = call("import", tmp_path / "bomb.pkl", published, "--json")
    assert status == 2
    assert len(one_json_value(out)) == 1
    assert "bomb.pkl" in err
    assert not (tmp_path / "executed").exists()


def test_banded_attention_never_takes_the_place_of_what_ships(call):
    words = "pretrain", "cheetah-vel", "--attention", "banded", "--prompt-length", 0
    refusal(call(*words), "no banded variant", "--out")


def test_a_variant_of_another_seed_says_the_seed_itself(call):
    for verb in ("pretrain", "diffuser", "vae"):
        words = (verb, "cheetah-vel", "--variant", "seed-1", "--seed", "2")
        refusal(call(*words), "seed-1 is of seed 1", "leave out")


def test_the_whole_chain_of_commands_makes_every_asset(shipped, call, toy, tmp_path, monkeypatch):
    """Collect, few-shot sets, Prompt-DT, diffuser, prompts: each reads what the one before made."""
    for path in (shipped / "toy").rglob("*.safetensors"):
        if "behaviour" not in path.name:
            path.unlink()

    status, out, _ = call("collect", "toy", "--episodes", 2, "--json")
    assert status == 0
    table = one_json_value(out)
    assert [row["quality"] for row in table] == ["expert", "medium", "random"]
    assert table[0]["mean"] > table[2]["mean"]
    files = sorted((tmp_path / "data" / "toy").iterdir())
    assert len(files) == 3 * len(toy.train_indices)
    assert all(len(load_trajectories(f)) == 2 for f in files)
    written = [f.stat().st_mtime_ns for f in files]
    call("collect", "toy", "--episodes", 2, "--json")
    assert [f.stat().st_mtime_ns for f in files] == written, "skips what exists"
    expert = assets.policy_path("toy", "expert")
    whole = expert.read_bytes()
    assets.behaviour("toy", "expert").save(expert, seed=9)
    call("collect", "toy", "--episodes", 2, "--json")
    changed = [f.name for f, t in zip(files, written, strict=True) if f.stat().st_mtime_ns != t]
    assert changed == [f.name for f in files if "expert" in f.name], "another policy, other data"
    expert.write_bytes(whole)

    status, out, _ = call("demos", "toy", "--json")
    assert status == 0
    assert len(one_json_value(out)) == 3 * len(toy.test_indices)
    expert, other = (assets.demos(toy.task(5), q) for q in ("expert", "random"))
    assert len(expert) == 5
    returns = [[t.episode_return for t in s] for s in (expert, other)]
    assert np.mean(returns[0]) > np.mean(returns[1])

    same = ("--n-layers", 2, "--n-heads", 2, "--width", 16, "--context-length", 4)
    same = (*same, "--prompt-length", 3)
    status, out, _ = call("pretrain", "toy", *same, "--steps", 3, "--batch-size", 4, "--json")
    assert status == 0
    made = one_json_value(out)
    model = PromptDT.load(assets.model_path("toy"))
    assert made["parameters"] == model.n_parameters
    assert model.config.width == 16

    status, out, _ = call(
        "diffuser", "toy", "--prompt-length", 3, "--n-diffusion-steps", 4, "--width", 24,
        "--steps", 3, "--batch-size", 4, "--json",
    )  # fmt: skip
    assert status == 0
    assert one_json_value(out)["parameters"] > 0

    small = ("--prompt-length", 3, "--width", 24, "--steps", 3, "--batch-size", 4)
    for verb, words in (
        ("vae", (*small, "--latent", 4)),
        ("gan", small),
        ("hyper", ("--steps", 3, "--n-tasks", 2, "--batch-size", 4)),
        ("pretrain", ("--prompt-length", 0, "--steps", 3, "--width", 16, "--n-layers", 2)),
        ("pretrain", (*same, "--model", "multi-game-dt", "--steps", 3, "--batch-size", 4)),
        ("pretrain", (*same, "--model", "gato", "--steps", 3, "--batch-size", 4)),
        ("pretrain", (*same, "--model", "harmodt", "--begin-with-prompt-dt", "--steps", 3)),
    ):
        status, out, _ = call(verb, "toy", *words, "--json")
        assert status == 0
        name = words[words.index("--model") + 1] if "--model" in words else verb
        name = "mt-orl" if name == "pretrain" else name
        assert Path(one_json_value(out)["file"]).name == f"{name}.safetensors"
        network = load_network("toy", name)
        assert one_json_value(out)["parameters"] == network.n_parameters > 0

    monkeypatch.setattr(assets, "ON_DEMAND", tmp_path / "data")
    begun = ("--attention", "banded", "--begin-with-prompt-dt", "--lr", 0, "--batch-size", 4)
    status, out, _ = call("pretrain", "toy", *same, *begun, "--steps", 1, "--json")
    assert status == 0
    file = Path(one_json_value(out)["file"])
    assert (
        file.resolve() == assets.ON_DEMAND / "variants" / "banded" / "toy" / "prompt-dt.safetensors"
    )
    ours, ships = (load_network("toy", "prompt-dt", variant=v).state_dict() for v in ("banded", ""))
    assert all(torch.equal(ours[n], ships[n]) for n in ships), "not a step away from its beginning"
    begun = ("--variant", "lam-0", "--begin-with-shipped", "--lr", 0, "--steps", 1)
    status, out, _ = call("diffuser", "toy", *small, "--n-diffusion-steps", 4, *begun, "--json")
    assert status == 0
    ours, ships = (load_network("toy", "diffuser", variant=v).state_dict() for v in ("lam-0", ""))
    assert all(torch.equal(ours[n], ships[n]) for n in ships), "not a step away from its beginning"
    status, _, err = call("diffuser", "toy", "--prompt-length", 3, "--width", 16, *begun)
    assert status == 2
    assert "Leave out `--begin-with-shipped`" in err
    begun = ("--variant", "paper-size", "--begin-with-prompt-dt", "--steps", 1)
    status, _, err = call("pretrain", "toy", *begun)
    assert status == 2
    assert f"those of {load_network('toy', 'prompt-dt').config}" in err, "of what ships"

    listed = {n for n in assets.manifest() if "behaviour" not in n}
    there = {p.relative_to(shipped).as_posix() for p in shipped.rglob("*.safetensors")}
    assert listed == {n for n in there if "behaviour" not in n}
    assert assets.manifest()["toy/prompt-dt.safetensors"]["command"].startswith(
        "python -m workbench pretrain toy --n-layers 2"
    )

    status, out, _ = call("prompts", "toy", "--episodes", 1, "--n-prompts", 2, "--json")
    assert status == 0
    assert len(one_json_value(out)) == 2 * 5
    status, out, _ = call("prompts", "toy", "--episodes", 1, "--n-prompts", 2, "--keep")
    assert "wrong-task" in out
    kept = assets.manifest()["toy/prompt-dt.safetensors"]["measured"]["held_out"]
    assert [row["prompt"] for row in kept] == list(PROMPTS)
    assert f"{kept[0]['return_mean']:.1f}" in out
    assert kept[0]["episodes"] == 2
    monkeypatch.setattr(evaluate_verbs, "compare_prompts", None)  # --kept runs nothing
    status, out, _ = call("prompts", "toy", "--kept")
    assert status == 0
    assert f"{kept[0]['return_mean']:.1f}" in out
    refusal(call("prompts", "toy", "--tasks", 5, "--keep"), "whole tables")

    status, out, _ = call("tune", "toy", 5, "--updates", 1, "--episodes", 1, "--json")
    assert status == 0


def test_training_data_and_few_shot_sets_share_no_start(shipped, call, toy, tmp_path, monkeypatch):
    """Also where a task is in both splits, as in Cheetah-dir."""
    both = dataclasses.replace(toy, test_indices=(0, 1, 2))
    monkeypatch.setitem(FAMILIES, "toy", both)
    assert call("collect", "toy", "--episodes", 3)[0] == 0
    assert call("demos", "toy")[0] == 0
    starts = []
    for path in (tmp_path / "data" / "toy").iterdir():
        starts += [t.states[0].tobytes() for t in load_trajectories(path)]
    for task in both.tasks("test"):
        for quality in ("expert", "medium", "random"):
            starts += [t.states[0].tobytes() for t in assets.demos(task, quality)]
    assert len(starts) == 3 * (4 * 3 + 3 * 5)
    assert len(set(starts)) == len(starts)


def test_a_family_may_ask_for_another_number_of_episodes(shipped, call, toy, tmp_path, monkeypatch):
    monkeypatch.setitem(making.EPISODES, "toy", 3)
    assert call("collect", "toy")[0] == 0
    files = list((tmp_path / "data" / "toy").iterdir())
    assert {len(load_trajectories(f)) for f in files} == {3}


def test_a_checkpoint_written_elsewhere_is_not_entered(shipped, call, tmp_path):
    call("collect", "toy", "--episodes", 1)
    status, _, _ = call("pretrain", "toy", "--steps", 1, "--batch-size", 2, "--width", 8,
                        "--prompt-length", 3, "--out", tmp_path / "mine.safetensors")  # fmt: skip
    assert status == 0
    assert PromptDT.load(tmp_path / "mine.safetensors").config.width == 8
    assert "toy/prompt-dt.safetensors" not in assets.manifest()


@pytest.mark.parametrize("verb", ["pretrain", "diffuser", "vae", "gan", "hyper"])
def test_no_training_steps_are_refused(shipped, call, verb):
    call("collect", "toy", "--episodes", 1)
    words = () if verb == "hyper" else ("--prompt-length", 3)
    refusal(call(verb, "toy", "--steps", 0, *words), "steps")


def test_behaviour_trains_and_ships_three_qualities(shipped, call, toy, tmp_path, monkeypatch):
    """Snapshots of a few updates; what counts as medium is widened, they hardly learn."""
    monkeypatch.setattr(making, "MEDIUM", (-1e9, 1e9))
    words = "--env-steps 96 --n-envs 2 --n-steps 8 --batch-size 8 --n-epochs 1 --width 6"
    status, out, _ = call("behaviour", "toy", *words.split(), "--snapshots", 3, "--json")
    assert status == 0
    rows = one_json_value(out)
    assert [Path(r["file"]).stem for r in rows] == [
        "behaviour-expert", "behaviour-medium", "behaviour-random",
    ]  # fmt: skip
    refusal(call("behaviour", "toy", *words.split(), "--snapshots", 2), "other settings", "--work")
    assert rows[0]["env_steps"] == 96
    assert rows[2]["env_steps"] == 0
    assert rows[0]["normalised_return"] == 1
    for quality in ("expert", "medium", "random"):
        policy = assets.behaviour("toy", quality).given(toy.task(5))
        assert len(evaluate(policy, toy.task(5), [1]).trajectories[0]) == 12


def test_an_interrupt_is_said_in_one_line(shipped, call, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunStore, "record", interrupted)
    status, out, err = call("tune", "toy", 5)
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "stopped; what was finished is kept"
    assert "Traceback" not in err


def test_methods_lists_every_way_of_adapting(shipped, call):
    """With what it trains on the toy family, and every setting as published or ours, once."""
    rows = {
        row["method"]: row
        for row in one_json_value(call("methods", "--family", "toy", "--json")[1])
    }
    assert list(rows) == list(METHODS)
    assert rows["prompt-dt"]["trainable"] == 0
    assert rows["soft-prompt"]["trainable"] == 3 * (3 + 1 + 1)
    for name, row in rows.items():
        both = [*row["published"], *row["ours"]]
        assert sorted(both) == sorted(plain_settings(METHODS[name]()))
    said = {"lam": 1.0, "projection": "published", "dm_data": "initial"}
    assert rows["prompt-diffuser"]["published"] == {**said, "prompt_positions": "published"}
    assert "Prompt-Tuning DT" in call("methods", "--family", "toy")[1]
